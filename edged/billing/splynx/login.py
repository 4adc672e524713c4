# SPDX-License-Identifier: Apache-2.0
"""Key, secret and a nonce in, the body of a log-in out; replies in, a Token or what to do about a refusal out. Pure.

Splynx API 2.0, "Authentication" and "Error handling"; HMAC-SHA256 of RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

from edged.billing.paging import parse_json
from edged.billing.splynx.fields import number
from edged.errors import UpstreamError
from edged.values import Secret

TOKENS = "admin/auth/tokens"

_UNKNOWN_LIFE = 1500.0
"""Seconds, where the reply's times make no sense: the documented 30 minutes, and a little less."""
_LONGEST_LIFE = 86_400.0
_TOKEN = re.compile(r"[!-'*-~]{1,4096}")
"""Printable ASCII without the parentheses of the Authorization header."""
_REFUSAL_OCTETS = 65_536


class Nonce:
    """Seconds since the epoch, growing by at least one however the clock is set."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float) -> int:
        """The nonce of a log-in at ``now``."""
        self._last = max(self._last + 1, int(now))
        return self._last


def sign(key: Secret, secret: Secret, nonce: int) -> str:
    """Upper-case hexadecimal HMAC-SHA256, under the secret, of nonce and key joined."""
    return hmac.new(secret.reveal(), str(nonce).encode() + key.reveal(), hashlib.sha256).hexdigest().upper()


def login_body(key: Secret, secret: Secret, nonce: int) -> bytes:
    """The JSON that asks for a token."""
    signature = sign(key, secret, nonce)
    body = {"auth_type": "api_key", "key": key.reveal_text(), "nonce": nonce, "signature": signature}
    return json.dumps(body).encode()


@dataclass(frozen=True, slots=True)
class Token:
    """Leave to ask for a while."""

    access: Secret
    refresh: Secret
    life: float
    """Seconds that ``access`` is good for, from the reply on."""

    @property
    def header(self) -> str:
        """The value of Authorization."""
        return f"Splynx-EA (access_token={self.access.reveal_text()})"

    @property
    def rest(self) -> float:
        """Seconds after which it is renewed: a little before its end."""
        return self.life - min(60.0, self.life / 4)


def read_token(octets: bytes, *, now: float, date: str = "") -> Token:
    """The token in a reply. Its end is Splynx's time: counted from the reply's own ``Date``, else from ``now``.

    UpstreamError when there is none.
    """
    document = parse_json(octets)
    access, refresh = (document.get(name) if isinstance(document, dict) else None for name in _PARTS)
    if not (isinstance(access, str) and isinstance(refresh, str) and _TOKEN.fullmatch(access + refresh)):
        raise UpstreamError("the log-in was answered without a token")
    end = number(document.get("access_token_expiration"), 1, 10**12) or 0
    life = end - (_moment(date) or now)
    return Token(Secret(access), Secret(refresh), min(life, _LONGEST_LIFE) if life > 0 else _UNKNOWN_LIFE)


_PARTS = ("access_token", "refresh_token")


def _moment(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def error_code(octets: bytes) -> str:
    """``internal_code`` of a refusal; empty when the body bears none (a HEAD, a proxy's page)."""
    if len(octets) > _REFUSAL_OCTETS:
        return ""
    try:
        document = parse_json(octets)
    except UpstreamError:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("internal_code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Z_0-9]{1,64}", code) else ""


class Remedy(StrEnum):
    """What helps against a refusal."""

    RENEW = "renew"
    ANEW = "anew"
    """Log in anew: the token is bound to what has changed, or is gone."""
    NONE = "none"


_ANEW = {
    "EXPIRED_REFRESH_TOKEN", "TOKEN_BANNED", "IP_CHANGED", "USER_AGENT_CHANGED", "EMPTY_ACCESS_TOKEN",
    "MISSED_AUTHORIZATION_HEADER", "UNAUTHORIZED",
}  # fmt: skip


def remedy(status: int, code: str) -> Remedy:
    """What to try, once, after a refusal. A HEAD bears no code: its 401 and 403 may be the token's."""
    if code == "EXPIRED_ACCESS_TOKEN":
        return Remedy.RENEW
    if code in _ANEW or (not code and status in {401, 403}):
        return Remedy.ANEW
    return Remedy.NONE


def is_refusal(status: int, code: str) -> bool:
    """True when the key may not ask this at all, whatever the token."""
    return (status in {403, 405} and code not in _ANEW) or code in {
        "FORBIDDEN", "METHOD_NOT_ALLOWED", "METHOD_DISABLED",
        "NOT_ALLOWED_BY_PARTNER_RESTRICTION", "NOT_ALLOWED_BY_USER_RESTRICTION",
    }  # fmt: skip


_SENTENCES = {
    "NOT_ALLOWED_BY_PARTNER_RESTRICTION": "the API key belongs to a partner that may not see this",
    "NOT_ALLOWED_BY_USER_RESTRICTION": "the API key may not see this",
    "METHOD_DISABLED": "this call is switched off for the API",
    "IP_CHANGED": "a token is bound to one source address, and this edge's requests come from several",
    "USER_AGENT_CHANGED": "a token is bound to one User-Agent, and something on the way changes it",
    "TOKEN_BANNED": "the token was banned by Splynx, also a new one",
    "EXPIRED_ACCESS_TOKEN": "a token that was just given has expired: compare the clocks",
    "EXPIRED_REFRESH_TOKEN": "a token that was just given has expired: compare the clocks",
    "INVALID_AUTH_TYPE": "this Splynx does not take API keys",
}


def why(status: int, code: str, *, login: bool = False) -> str:
    """What a refusal means, for the operator."""
    if code in _SENTENCES:
        return _SENTENCES[code]
    if login and not code and status in {404, 405}:
        return f"no Splynx API answers at billing.url ({status})"
    if login and 400 <= status < 500:
        return "the log-in is refused: billing.key and billing.secret do not fit, or this host's clock was set back"
    meaning = {
        401: "the token is not accepted, also a new one",
        403: "the API key may not ask this",
        405: "not allowed",
    }
    return meaning.get(status, f"answered {status}{' (redirects are not followed)' if 300 <= status < 400 else ''}")
