# SPDX-License-Identifier: Apache-2.0
"""NASes as RADIUS hears them in; who is unknown, who does not sign, who has which secret out. Pure reading."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edged.ops.text import counted, moment, span
from edged.values import IpAddress, parse_address

if TYPE_CHECKING:
    from edged.ops.rooms import House
    from edged.radius.clients import Arrival
    from edged.radius.heard import Heard
    from edged.radius.settings import ClientSettings

Facts = dict[str, Any]

NAMED = 20
"""Addresses in one answer; the count says how many there are."""


def nases(house: House, now: float) -> Facts:
    """For ``edged status`` and ``/status``: what an operator has to do something about."""
    if house.radius is None:
        return {"strangers": [], "unsigned": {"count": 0, "list": []}, "secrets": []}
    heard = list(house.radius.clients.hearing)
    unsigned = sorted(
        (max(it.unsigned, it.refused), host, it) for host, it in heard if max(it.unsigned, it.refused) > it.signed
    )
    listed = [
        {"address": host, "client": it.client, "last": last, "dropped": it.refused > it.unsigned}
        for last, host, it in reversed(unsigned[-NAMED:])
    ]
    return {
        "strangers": [_stranger(arrival) for arrival in house.radius.arrivals()[:NAMED]],
        "unsigned": {"count": len(unsigned), "list": listed},
        "secrets": [
            _secrets(client, heard, now)
            for client in house.loaded.config.radius.clients
            if client.secret_before is not None
        ],
    }


def _stranger(arrival: Arrival) -> Facts:
    address = str(arrival.address)
    return {
        "address": address,
        "count": arrival.count,
        "since": arrival.first_seen,
        "last": arrival.last_seen,
        "try": f'{{name: …, networks: ["{address}"], secret: !file …}} under radius.clients, then edged reload',
    }


def _secrets(client: ClientSettings, heard: list[tuple[str, Heard]], now: float) -> Facts:
    mine = [(host, it) for host, it in heard if it.client == client.name and (it.new_secret or it.old_secret)]
    old = sorted(host for host, it in mine if it.uses_old_secret)
    new = len(mine) - len(old)
    last = max((it.old_secret for _, it in mine), default=0.0)
    if old:
        sentence = f"{len(old)} of {len(mine)} still use secret_before, the last {span(now - last)} ago"
    elif new:
        sentence = f"all {new} heard since the start use secret: are these all? then secret_before may go"
    else:
        sentence = "nobody was heard since the start"
    return {"client": client.name, "old": len(old), "new": new, "last_old": last, "list": old[:NAMED]} | {
        "sentence": sentence
    }


def old_secrets(house: House) -> dict[str, int]:
    """How many NASes still use ``secret_before``, by client that has one."""
    return {row["client"]: row["old"] for row in nases(house, time.time())["secrets"]}


# --- explain -------------------------------------------------------------------------------------


def with_nas(house: House, facts: Facts) -> Facts:
    """``facts`` of an address, with what RADIUS knows of it; as they are where it knows nothing."""
    try:
        address = parse_address(str(facts.get("subject", "")))
    except ValueError:
        return facts
    if house.radius is None or "name" in facts:
        return facts
    rows, headline = _told(house, address, time.time())
    if not rows:
        return facts
    if facts.get("access") != "stranger":
        return facts | {"who": [*facts.get("who", ()), *rows]}
    return {"subject": facts["subject"], "access": facts["access"], "headline": headline, "who": rows}


def _told(house: House, address: IpAddress, now: float) -> tuple[list[str], str]:
    assert house.radius is not None  # noqa: S101  # with_nas has looked
    clients = house.radius.clients
    heard, client = clients.hearing.find(str(address)), clients.client_at(address)
    name = heard.client if heard is not None else client.name if client is not None else ""
    arrival = next((it for it in clients.arrivals() if it.address == address), None)
    if name:
        rows = [f"RADIUS client {name}", *_heard(heard, client, now)]
        if heard is None:
            rows += _refusals(house, name)
        return rows, f"{address} is an access point (NAS) of {name}"
    if arrival is not None:
        last = span(now - arrival.last_seen)
        rows = [
            f"{_requests(arrival.count)} since {moment(arrival.first_seen)}, the last {last} ago",
            "dropped: no client under radius.clients covers it; to hear it: " + _stranger(arrival)["try"],
        ]
        return rows, f"{address} asks over RADIUS and is an UNKNOWN NAS"
    return [], ""


def client_rows(house: House, name: str, now: float) -> list[str] | None:
    """How many NASes of the client ``name`` were heard, then each of them; None: there is no such client."""
    if house.radius is None or not any(client.name == name for client in house.loaded.config.radius.clients):
        return None
    mine = sorted(((it.last, host, it) for host, it in house.radius.clients.hearing if it.client == name), reverse=True)
    if not mine:
        return ["nobody was heard since the start", *_refusals(house, name)]
    rows = [
        f"{host}: last heard {span(now - last)} ago, {_requests(it.requests)}; {_signs(it)}"
        for last, host, it in mine[:NAMED]
    ]
    more = [f"and {len(mine) - NAMED:,} more"] if len(mine) > NAMED else []
    return [f"{counted(len(mine), 'NAS', 'NASes')} heard since the start", *rows, *more]


def _signs(heard: Heard) -> str:
    if not (heard.signed or heard.unsigned):
        return "accounting alone"
    return "signs" if heard.signed >= heard.unsigned else "does NOT sign"


def _requests(count: int) -> str:
    return f"{count:,} request" + ("" if count == 1 else "s")


def _heard(heard: Heard | None, client: ClientSettings | None, now: float) -> Iterator[str]:
    if heard is None:
        yield "not heard since the start of edged"
        return
    if heard.refused > max(heard.signed, heard.unsigned):
        yield f"DROPPED {span(now - heard.refused)} ago: a request without Message-Authenticator (docs/wifi.md, Sites)"
    if not heard.requests:
        return
    way = "over TLS" if heard.tls >= heard.last else "over UDP"
    yield f"last heard {span(now - heard.last)} ago {way}, {_requests(heard.requests)} since the start"
    if heard.tls >= heard.last:
        yield "secret: none of its own, the certificate counts"
    elif client is not None and client.secret_before is not None:
        proven = heard.old_secret or heard.new_secret
        which = "secret_before, the old one" if heard.uses_old_secret else "secret, the new one"
        yield f"secret: {which}" if proven else "secret: not proven yet, none of its requests is signed"
    else:
        yield "secret: the client's one"
    if heard.signed or heard.unsigned:
        yield (
            "signs (Message-Authenticator)"
            if heard.signed >= heard.unsigned
            else (f"does NOT sign: the last request, {span(now - heard.unsigned)} ago, had no Message-Authenticator")
        )


def _refusals(house: House, name: str) -> list[str]:
    """What was dropped of this client last, for that may be why it was never heard."""
    assert house.radius is not None  # noqa: S101  # with_nas has looked
    latest = house.radius.counters.latest
    reasons = [reason.value for reason, who in latest.items() if who == name]
    return [f"dropped from this client: {', '.join(reasons)}"] if reasons else []
