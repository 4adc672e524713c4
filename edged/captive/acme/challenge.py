# SPDX-License-Identifier: Apache-2.0
"""The answers to HTTP-01 challenges that are under way: a request in, a response or nothing out. Pure. RFC 8555 8.3."""

from __future__ import annotations

import re

from edged.captive.answers import Kind, Response
from edged.captive.respond import Request

_PATH = "/.well-known/acme-challenge/"
_MOST = 8
"""An order for one name has one challenge; a child that says more than this is out of its mind."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_KEY_AUTHORIZATION = re.compile(r"[A-Za-z0-9_-]{1,256}\.[A-Za-z0-9_-]{1,256}")
"""RFC 8555 section 8.1: the token, a dot, the account key's thumbprint."""


class Challenges:
    """Token to key authorisation, while an order runs; whoever asks for a token is answered, strangers too."""

    def __init__(self, host: str = "") -> None:
        self.host = host
        self._answers: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def serve(self, token: str, key_authorization: str) -> None:
        """Answer ``token`` from now on. ValueError: it is malformed, or there are too many."""
        if not _TOKEN.fullmatch(token) or not _KEY_AUTHORIZATION.fullmatch(key_authorization):
            raise ValueError("a malformed challenge")
        if len(self._answers) >= _MOST:
            raise ValueError("too many challenges")
        self._answers[token] = key_authorization.encode()

    def clear(self) -> None:
        """The order is over: its answers are nobody's any more."""
        self._answers.clear()

    def answer(self, request: Request) -> Response | None:
        """The response to the certificate authority's question; None when ``request`` is not that."""
        if not self._answers or request.host != self.host or not request.reads:
            return None
        found = self._answers.get(request.path.removeprefix(_PATH)) if request.path.startswith(_PATH) else None
        if found is None:
            return None
        headers = (
            ("Content-Type", "application/octet-stream"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        )
        return Response(200, headers, found, Kind.CHALLENGE)
