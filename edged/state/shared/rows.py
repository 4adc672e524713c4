# SPDX-License-Identifier: Apache-2.0
"""What edges exchange: rows of the tables as values, and as JSON that may come from anybody. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Any

from edged.errors import UpstreamError
from edged.values import parse_address, parse_mac, parse_prefix

MOST_OCTETS = 16_384
"""Of the body of one row; the largest that edged writes is a key with some hundred devices."""
MOST_NAME = 4_096
_SHORT = 900
_NAME = "~name"
_MOST_TEXT = 8_192
_LEAST_SECONDS, _MOST_SECONDS = -1e10, 1e11
"""Years 1653 to 5138: beyond, no calendar has a day for it. A NAS may say that a session began 136 years ago."""
_DAY_S = 86400.0
_MOST_WHOLE = 2**63 - 1

TEXT, REAL, WHOLE = "text", "real", "whole"
REAL_OR_NONE, WHOLE_OR_NONE = "real?", "whole?"
Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of row: its table, what names a row of it, and what is in it."""

    table: str
    key: Mapping[str, str]
    """Column to type, in the order of the name."""
    body: Mapping[str, str]
    stamp: str = ""
    """The column that says which of two rows is the later word; empty: it stands elsewhere, or there is none."""
    forgettable: bool = False
    """True where a deletion is a word too."""
    everywhere: bool = False
    """True: to every group."""


KINDS: Mapping[str, Kind] = {
    "device": Kind(
        "devices",
        {"ssid": TEXT, "mac": TEXT},
        {"origin": TEXT, "key": TEXT, "first_seen": REAL, "last_seen": REAL},
        stamp="last_seen", forgettable=True,
    ),
    "session": Kind(
        "sessions",
        {"nas": TEXT, "session": TEXT},
        {
            "login": TEXT, "mac": TEXT, "ipv4": TEXT, "ipv6": TEXT, "delegated": TEXT, "started": REAL,
            "updated": REAL, "stopped": REAL_OR_NONE, "octets_in": WHOLE, "octets_out": WHOLE, "bound_ipv4": REAL,
            "bound_ipv6": REAL, "bound_delegated": REAL, "silent": WHOLE, "client": TEXT, "ssid": TEXT,
            "origin": TEXT, "key": TEXT, "bssid": TEXT,
        },
        stamp="updated",
    ),
    "pass": Kind("passes", {"subscriber": TEXT, "at": REAL}, {"ends": REAL, "who": TEXT}, stamp="at"),
    "snooze": Kind("snoozes", {"subscriber": TEXT}, {"until": REAL}, stamp="until"),
    "signer": Kind("signing_clients", {"address": TEXT}, {}),
    "override": Kind(
        "overrides",
        {"subscriber": TEXT},
        {
            "blocked": WHOLE, "until": REAL, "reason": TEXT, "why": TEXT, "who": TEXT, "at": REAL, "kind": TEXT,
        },
        stamp="at", forgettable=True, everywhere=True,
    ),
    "audit": Kind(
        "audit",
        {"at": REAL, "who": TEXT, "action": TEXT, "subject": TEXT, "why": TEXT},
        {},
        stamp="at", everywhere=True,
    ),
    "key": Kind(
        "keys",
        {"id": TEXT},
        {
            "ssid": TEXT, "site": TEXT, "subscriber": TEXT, "label": TEXT, "passphrase": TEXT, "vlan": WHOLE_OR_NONE,
            "device_limit": WHOLE_OR_NONE, "devices": TEXT, "not_before": REAL, "expires": REAL,
            "rate_down": WHOLE_OR_NONE, "rate_up": WHOLE_OR_NONE, "created": REAL, "revoked": REAL_OR_NONE,
            "marked": REAL,
        },
        everywhere=True,
    ),
}  # fmt: skip
"""By its name in the shared table. Billing's keys are not among them: every edge has those from billing."""
KEY = "key"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing as one edge knows it."""

    kind: str
    name: str
    """What names it, a JSON array."""
    changed: float
    """Epoch seconds of the word."""
    body: Mapping[str, Value] = field(default_factory=dict)
    """Column to value; what a newer edged added stays in it. The passphrase of a key is sealed."""
    gone: bool = False

    @property
    def text(self) -> str:
        """The body as JSON, the same for the same."""
        return json.dumps(self.body, sort_keys=True)


def named(*parts: Value) -> str:
    """The name of a row by its key, exact to the last bit of a float."""
    return json.dumps(parts)


def parts_of(kind: Kind, name: str) -> tuple[Value, ...]:
    """The key that ``name`` spells. UpstreamError when it is not one of this kind."""
    if len(name) > MOST_NAME:
        raise UpstreamError(f"a row of {kind.table} has a name of {len(name)} characters")
    try:
        parts = json.loads(name, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"a row of {kind.table} has a name that is not JSON") from error
    if not isinstance(parts, list) or len(parts) != len(kind.key):
        raise UpstreamError(f"a row of {kind.table} has a name of other parts")
    checked = zip(kind.key.items(), parts, strict=True)
    return tuple(_value(kind.table, column, wanted, part) for (column, wanted), part in checked)


def stamp_of(name: str, row_name: str, body: Mapping[str, Value]) -> float:
    """When the word of a living row was said; a session that was stopped, and not for its silence, ended later."""
    kind = KINDS[name]
    if name == "session" and body["stopped"] is not None and not body["silent"]:
        return max(_number(body["updated"]), _number(body["stopped"]))
    if kind.stamp in body:
        return _number(body[kind.stamp])
    if kind.stamp:
        return _number(parts_of(kind, row_name)[list(kind.key).index(kind.stamp)])
    return 0.0


def spelt(row: Row) -> tuple[str, str]:
    """Its name and its body in the shared table: what is too long for an index stands there by its hash."""
    if len(row.name) <= _SHORT:
        return row.name, row.text
    return sha256(row.name.encode()).hexdigest(), json.dumps({**row.body, _NAME: row.name}, sort_keys=True)


def fits(row: Row) -> bool:
    """False when other edges would refuse it."""
    try:
        received(row.kind, *spelt(row), row.changed, gone=row.gone)
    except UpstreamError:
        return False
    return True


def shape(kinds: Iterable[str]) -> str:
    """Tells what an edge that shares ``kinds`` takes of a row: one that takes more reads everything again."""
    taken = [(kind, list(KINDS[kind].key), list(KINDS[kind].body)) for kind in sorted(kinds)]
    return sha256(json.dumps(taken).encode()).hexdigest()[:8]


def received(name: str, row_name: str, text: str | None, changed: object, *, gone: bool) -> Row:
    """The row that stands in the shared table. UpstreamError when it is none that edged would write."""
    kind = KINDS.get(name)
    if kind is None or text is None or len(text) > MOST_OCTETS:
        raise UpstreamError(f"a row of kind {name[:32]!r} is too large, or of no known kind")
    try:
        body = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"a row of {kind.table} is not JSON") from error
    if not isinstance(body, dict):
        raise UpstreamError(f"a row of {kind.table} is not an object")
    row_name = str(body.pop(_NAME, row_name))
    key = dict(zip(kind.key, parts_of(kind, row_name), strict=True))
    at = _real(kind.table, "changed", changed)
    if gone:
        if not kind.forgettable:
            raise UpstreamError(f"a row of {kind.table} is said to be gone")
        kept = {
            c: _value(kind.table, c, kind.body[c], body[c]) for c in ("first_seen",) if c in body and c in kind.body
        }
        return Row(name, row_name, at, kept, gone=True)
    if missing := set(kind.body) - set(body):
        raise UpstreamError(f"a row of {kind.table} lacks {', '.join(sorted(missing))}")
    checked = {c: _value(kind.table, c, wanted, body[c]) for c, wanted in kind.body.items()}
    try:
        _sense(name, {**key, **checked})
    except ValueError as error:
        raise UpstreamError(f"a row of {kind.table} makes no sense") from error
    if name != KEY:
        at = stamp_of(name, row_name, checked)
    return Row(name, row_name, at, body | checked)


def _sense(name: str, row: Mapping[str, Value]) -> None:
    """ValueError when a room would stumble over it."""
    if name == "device" and parse_mac(str(row["mac"])) != row["mac"]:
        raise ValueError(name)
    if name == "session":
        _addresses(row)
    if name == "signer":
        parse_address(str(row["address"]))
    if name == "key":
        for mac in str(row["devices"]).split():
            parse_mac(mac)
    allowed = {
        "override": ("kind", {"block", "promise", "exemption"}),
        "device": ("origin", {"billing", "local"}),
        "session": ("origin", {"", "billing", "local"}),
    }
    if name in allowed and row[allowed[name][0]] not in allowed[name][1]:
        raise ValueError(name)
    if name == "override":
        longest = (367 if row["kind"] == "exemption" else 32) * _DAY_S  # a day more than an operator may say
        if bool(row["blocked"]) != (row["kind"] == "block") or _number(row["until"]) - _number(row["at"]) > longest:
            raise ValueError(name)


def _addresses(row: Mapping[str, Value]) -> None:
    """ValueError unless those of a session are as edged writes them; its IPv4 one is a single one."""
    if row["ipv4"] and str(IPv4Address(row["ipv4"])) != row["ipv4"]:
        raise ValueError(row["ipv4"])
    for column in ("ipv6", "delegated"):
        for prefix in str(row[column]).split():
            parse_prefix(prefix)


def _value(table: str, column: str, wanted: str, value: object) -> Value:
    if wanted.endswith("?"):
        if value is None:
            return None
        wanted = wanted[:-1]
    # a NAS may end its names with a zero octet
    if wanted == TEXT and isinstance(value, str) and len(value) <= _MOST_TEXT and _is_storable(value, table):
        return value
    if wanted == REAL:
        return _real(table, column, value)
    if wanted == WHOLE and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_WHOLE:
        return value
    raise UpstreamError(f"a row of {table} has another {column} than edged writes")


def _is_storable(text: str, table: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text or table == "sessions"


def _real(table: str, column: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _LEAST_SECONDS <= value <= _MOST_SECONDS:
        return float(value)
    raise UpstreamError(f"a row of {table} has another {column} than edged writes")


def _number(value: Value) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
