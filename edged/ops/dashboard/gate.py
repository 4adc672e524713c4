# SPDX-License-Identifier: Apache-2.0
"""Who may read the ops address: the facts of a request in, a verdict out. Pure. RFC 6750 section 2.1, RFC 6265.

Without a token a loopback address serves whoever reaches it by an address or as ``localhost``: a page of another host
that has its own name resolve to 127.0.0.1 bears that name in ``Host`` and is turned away. With a token that is no way
in, for the browser sends neither cookie nor token under a foreign name.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

from edged.values import Endpoint, Secret, parse_address

COOKIE = "edged_ops"
COOKIE_S = 7 * 86400
"""Seconds that one log-in lasts. Another token ends all of them."""
_LONGEST = 512
"""Octets of a cookie or a token that are looked at."""


class Verdict(StrEnum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    UNKNOWN = "unknown"
    """No token, or another one."""
    FOREIGN = "foreign host"
    """Asked under a name that is not ours."""
    CLOSED = "closed"
    """Others reach the address, and there is no token: names are for nobody there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request counts here."""

    host: str = ""
    """The field ``Host``."""
    authorization: str = ""
    cookie: str = ""
    """The value of the cookie ``COOKIE``."""


def judge(asked: Asked, listen: Endpoint, token: Secret | None, now: float, *, names: bool) -> Verdict:
    """The verdict on ``asked`` at ``now`` (epoch seconds); ``names``: what it asks for names subscribers."""
    if token is not None:
        scheme, _, said = asked.authorization.partition(" ")
        known = (scheme.lower() == "bearer" and fits(said.strip(), token)) or _is_ours(asked.cookie, token, now)
        return Verdict.ADMITTED if known else Verdict.UNKNOWN
    if not listen.address.is_loopback:
        return Verdict.CLOSED if names else Verdict.ADMITTED
    return Verdict.ADMITTED if is_address(asked.host) else Verdict.FOREIGN


def fits(said: str, token: Secret) -> bool:
    """True when ``said`` is ``token``; takes as long for a near miss as for a far one."""
    return len(said) <= _LONGEST and hmac.compare_digest(said.encode("utf-8", "replace"), token.reveal())


def cookie_of(token: Secret, now: float) -> str:
    """The value of a cookie that is good for ``COOKIE_S``; the token cannot be had from it."""
    until = int(now) + COOKIE_S
    return f"{until}.{_signed(token, until)}"


def _is_ours(cookie: str, token: Secret, now: float) -> bool:
    until, _, signature = cookie[:_LONGEST].partition(".")
    if not (until.isascii() and until.isdigit()) or not now < int(until) <= now + COOKIE_S + 1:
        return False
    return hmac.compare_digest(signature.encode("utf-8", "replace"), _signed(token, int(until)).encode())


def _signed(token: Secret, until: int) -> str:
    return hmac.new(token.reveal(), f"edged dashboard until {until}".encode(), hashlib.sha256).hexdigest()


def is_address(host: str) -> bool:
    """True when a ``Host`` is an IP address or ``localhost``, with or without a port: no other site's name."""
    name = host.rpartition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        parse_address(name)
    except ValueError:
        return False
    return True
