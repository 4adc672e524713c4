# SPDX-License-Identifier: Apache-2.0
"""One field of the open feed (docs/feed.md) in, its value out, or a sentence of what was expected. Pure.

The two tables are the contract; no passphrase, name or URL is ever part of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from edged.fields import parse_rate
from edged.model import Rate, State, intern, is_passphrase
from edged.values import MacAddress, Prefix, Secret, parse_mac, parse_prefix

Reader = Callable[[object], Any]

# they would break logs, pages and the canonical form that the id of a snapshot is made of
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Wrong(ValueError):  # noqa: N818 a verdict on a field, caught where the object is known
    """A field that is not what the feed says; the message is ``expected …``."""


def found(value: object) -> str:  # noqa: PLR0911 one row a kind
    """What kind of thing ``value`` is, in JSON's words, without the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text" if value else "empty text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "something else"


def text(limit: int, *, shared: bool = False, required: bool = False) -> Reader:
    """A reader of text up to ``limit`` characters; ``shared``: one copy for all who have it in common."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise Wrong(f"expected text, found {found(value)}")
        if len(value) > limit:
            raise Wrong(f"expected text of at most {limit} characters, found {len(value)}")
        if _CONTROL.search(value):
            raise Wrong("expected text without control characters")
        if required and not value:
            raise Wrong("expected text that is not empty")
        return intern(value) if shared else value

    return read


def items(limit: int, read: Reader) -> Reader:
    """A reader of a list of up to ``limit`` values, each once."""

    def read_list(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Wrong(f"expected a list of text, found {found(value)}")
        if len(value) > limit:
            raise Wrong(f"expected at most {limit} values, found {len(value)}")
        return tuple(dict.fromkeys(map(read, value)))

    return read_list


def _prefix(value: object) -> Prefix:
    if not isinstance(value, str):
        raise Wrong(f"expected an address or prefix as text, found {found(value)}")
    try:
        return parse_prefix(value)
    except ValueError:
        bits = " with no bits set after its length" if _has_host_bits(value) else ""
        raise Wrong(f"expected an IPv4 or IPv6 address or prefix{bits}, found {value[:60]!r}") from None


def _has_host_bits(value: str) -> bool:
    """True when an address and a length, each good by itself, do not fit together."""
    address, _, length = value.partition("/")
    try:
        most = parse_prefix(address).length
    except ValueError:
        return False
    return length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= most


def _mac(value: object) -> MacAddress:
    if not isinstance(value, str):
        raise Wrong(f"expected a MAC address as text, found {found(value)}")
    try:
        return MacAddress(intern(parse_mac(value)))
    except ValueError:
        raise Wrong("expected a MAC address such as 02:00:5e:10:00:01, found other text") from None


_STATES = {state.value: state for state in State}


def _state(value: object) -> State:
    if isinstance(value, str) and value in _STATES:
        return _STATES[value]
    shown = repr(value[:30]) if isinstance(value, str) else found(value)
    raise Wrong(f"expected active, notice or blocked, found {shown}")


def _moment(value: object) -> float:
    """Epoch seconds. Zero and below mean "not said" in the model, so an empty database date is refused."""
    if not isinstance(value, str):
        raise Wrong(f"expected a time as text, found {found(value)}")
    try:
        moment = datetime.fromisoformat(value) if len(value) <= 40 else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1970 < moment.year < 3000:
        raise Wrong("expected a time after 1970 with its zone, such as 2026-11-20T06:00:00Z")
    return moment.timestamp()


def _date(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong(f"expected a date as text, found {found(value)}")
    try:
        return intern(date.fromisoformat(value).isoformat()) if value else ""
    except ValueError:
        raise Wrong("expected a date such as 2026-11-01") from None


def _url(value: object) -> str:
    # 2048: what every browser takes; anything but http would be a script or an application on the page
    url = str(text(2048)(value))
    if url and (not url.startswith(("https://", "http://")) or not url.isascii() or set(url) & set(" \"'<>\\")):
        raise Wrong("expected an http or https URL")
    return url


def _number(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Wrong(f"expected a whole number, found {found(value)}")
        if not low <= value <= high:
            raise Wrong(f"expected a number from {low} to {high}")
        return value

    return read


def _rate(value: object) -> Rate:
    if not isinstance(value, str):
        raise Wrong(f"expected a rate as text, found {found(value)}")
    try:
        return parse_rate(value)
    except ValueError:
        raise Wrong("expected a rate such as 100M/20M") from None


def _ssid(value: object) -> str:
    ssid = text(32, shared=True, required=True)(value)
    if len(ssid.encode()) > 32:  # IEEE 802.11-2020, section 9.4.2.2
        raise Wrong("expected at most 32 octets")
    return str(ssid)


def _passphrase(value: object) -> Secret:
    if not isinstance(value, str):
        raise Wrong(f"expected text, found {found(value)}")
    if not is_passphrase(value):
        raise Wrong("expected 8 to 63 printable ASCII characters, or 64 hexadecimal digits")
    return Secret(value)


def _invoice(value: object) -> str:
    """A field that came later: what a server already sent under that name, and was ignored, refuses no reading now."""
    try:
        return str(text(64)(value))
    except Wrong:
        return ""


# limits: generous for what billing systems hold, small enough that one object cannot fill the memory
_ID = text(128, required=True)
_DEVICES = items(1024, _mac)

SUBSCRIBER: dict[str, Reader] = {
    "id": _ID,
    "state": _state,
    "reason": text(64, shared=True),
    "since": _moment,
    "addresses": items(256, _prefix),
    "devices": _DEVICES,
    "logins": items(64, text(253, required=True)),  # RFC 2865, section 5: 253 octets of User-Name
    "brand": text(64, shared=True),
    "name": text(256),
    "amount_due": text(32),
    "currency": text(16, shared=True),
    "due": _date,
    "pay_url": _url,
    "language": text(35, shared=True),  # RFC 5646, section 4.4.1
    "invoice": _invoice,
}
KEY: dict[str, Reader] = {
    "id": _ID,
    "ssid": _ssid,
    "passphrase": _passphrase,
    "subscriber": text(128),
    "site": text(128, shared=True),
    "label": text(256),
    "vlan": _number(1, 4094),
    "device_limit": _number(1, 65535),
    "devices": _DEVICES,
    "not_before": _moment,
    "expires": _moment,
    "rate": _rate,
}
