# SPDX-License-Identifier: Apache-2.0
"""Subscribers and Keys in, documents of the open feed (docs/feed.md) out: ``billing.mapping`` backwards. Pure.

A passphrase is in the octets of a list of keys, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from edged.billing.mapping import Lines
from edged.model import NO_ACCOUNT, Key, Subscriber

Entry = Subscriber | Key | Lines
Object = dict[str, Any]
KINDS = ("subscribers", "keys")
"""What every hub has; ``sessions``, who of the subscribers is online, only one whose billing says it."""
PAGE = 5_000
"""Objects in one page: a megabyte or so."""


def feed_object(entry: Entry) -> Object:
    """The object that says ``entry``; what it does not say is left out."""
    if isinstance(entry, Subscriber):
        said = _subscriber(entry)
    elif isinstance(entry, Key):
        said = _key(entry)
    else:
        said = {"id": entry.id, "addresses": list(map(str, entry.addresses)), "since": _moment(entry.since)}
    return {name: value for name, value in said.items() if value}


def _subscriber(s: Subscriber) -> Object:
    said: Object = {
        "id": s.id,
        "state": s.state.value,
        "reason": s.reason,
        "since": _moment(s.since),
        "addresses": [str(prefix) for prefix in s.addresses],
        "devices": list(s.devices),
        "logins": list(s.logins),
        "brand": s.brand,
    }
    if s.account is NO_ACCOUNT:
        return said
    a = s.account
    return said | {
        "name": a.name,
        "amount_due": a.amount_due,
        "currency": a.currency,
        "due": a.due,
        "pay_url": a.pay_url,
        "language": a.language,
        "invoice": a.invoice,
    }


def _key(k: Key) -> Object:
    return {
        "id": k.id,
        "ssid": k.ssid,
        "passphrase": k.passphrase.reveal_text(),
        "subscriber": k.subscriber,
        "site": k.site,
        "label": k.label,
        "vlan": k.vlan,
        "device_limit": k.device_limit,
        "devices": list(k.devices),
        "not_before": _moment(k.not_before),
        "expires": _moment(k.expires),
        "rate": _rate(k.rate.down, k.rate.up) if k.rate else "",
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z") if seconds else ""


def _rate(*numbers: int) -> str:
    """Bit/s in the largest unit that is exact: at most nine digits are read back (``fields.parse_rate``)."""
    return "/".join(map(_scaled, numbers))


def _scaled(number: int) -> str:
    for unit, scale in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number and number % scale == 0:
            return f"{number // scale}{unit}"
    return str(number)


def page(kind: str, entries: Sequence[Entry], revision: str, known: int | None, number: int) -> bytes:
    """Page ``number``, from 1, of all ``entries``; beyond the last, an empty one."""
    part = entries[(number - 1) * PAGE : number * PAGE]
    document: Object = {"revision": revision, "total": len(entries)}
    if kind == "subscribers" and known is not None:
        document["known"] = known
    document[kind] = list(map(feed_object, part))
    if number * PAGE < len(entries):
        document["next"] = f"/{kind}?revision={revision}&page={number + 1}"
    return _octets(document)


def difference(kind: str, entries: Iterable[Entry], removed: Iterable[str], revision: str, known: int | None) -> bytes:
    """What changed until ``revision``: entries that are new or others, and ids that are gone."""
    objects = list(map(feed_object, entries))
    document: Object = {"revision": revision, "total": len(objects), "removed": sorted(removed), kind: objects}
    if kind == "subscribers" and known is not None:
        document["known"] = known
    return _octets(document)


def one(entry: Subscriber) -> bytes:
    """The answer about one subscriber."""
    return _octets(feed_object(entry))


def active(subscriber: str) -> bytes:
    """The answer about one whom billing calls active and nobody lists."""
    return _octets({"id": subscriber, "state": "active"})


def unknown(subscriber: str) -> bytes:
    """The answer, with status 404, about one whom billing does not know."""
    return _octets({"id": subscriber, "state": "unknown"})


def unlisted(kind: str) -> bytes:
    """The answer, with status 404, about a list that this hub does not have."""
    return _octets({"list": kind, "state": "unknown"})


def _octets(document: Object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
