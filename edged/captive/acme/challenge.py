# SPDX-License-Identifier: Apache-2.0
"""The HTTP-01 challenges that are under way: a token and its key authorisation in, a path and its answer out. Pure.

RFC 8555 section 8.3. ``respond`` looks the path up, on the portal's own host alone.
"""

from __future__ import annotations

import re

_PATH = "/.well-known/acme-challenge/"
_MOST = 8
"""An order for one name has one challenge; a child that says more than this is out of its mind."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_KEY_AUTHORIZATION = re.compile(r"[A-Za-z0-9_-]{1,256}\.[A-Za-z0-9_-]{1,256}")
"""RFC 8555 section 8.1: the token, a dot, the account key's thumbprint."""


class Challenges:
    """What is answered while an order runs; whoever asks is answered, strangers too."""

    def __init__(self) -> None:
        self.proofs: dict[str, bytes] = {}
        """Key authorisation by path; the portal reads it at every request."""

    def serve(self, token: str, key_authorization: str) -> None:
        """Answer ``token`` from now on. ValueError: it is malformed, or there are too many."""
        if not _TOKEN.fullmatch(token) or not _KEY_AUTHORIZATION.fullmatch(key_authorization):
            raise ValueError("a malformed challenge")
        if len(self.proofs) >= _MOST:
            raise ValueError("too many challenges")
        self.proofs[_PATH + token] = key_authorization.encode()

    def clear(self) -> None:
        """The order is over: its answers are nobody's any more."""
        self.proofs.clear()
