# SPDX-License-Identifier: Apache-2.0
"""How a name begins in, names of the house that begin so out: what completion offers. Pure reading.

Ids and names of the configuration alone: never a passphrase, never an address that was only met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.ops.rooms import House

OFFERED = 200
"""Names in one answer: more than anybody reads."""
Names = Iterable[tuple[str, str]]


def offered(house: House, kind: str, beginning: str) -> list[tuple[str, str]]:
    """The first names of that kind in order, each with a word on it; none for a kind that there is not."""
    source = _SOURCES.get(kind)
    if source is None:
        return []
    found = (name for name in source(house) if name[0].startswith(beginning))
    return nsmallest(OFFERED, dict(found).items())


def _subscribers(house: House) -> Iterator[tuple[str, str]]:
    for subscriber in house.current.view.table.subscribers.values():
        yield subscriber.id, f"{subscriber.state} {subscriber.reason}".rstrip()
    yield from ((name, "an operator's word") for name in house.current.view.learned.overrides)


def _keys(house: House) -> Iterator[tuple[str, str]]:
    for stored in house.mpsk.ring.keys.values():
        yield stored.key.id, stored.key.label or f"key on {stored.key.ssid}"


def _subjects(house: House) -> Iterator[tuple[str, str]]:
    yield from _subscribers(house)
    yield from _keys(house)
    yield from ((client.name, "a RADIUS client") for client in house.loaded.config.radius.clients)


def _sites(house: House) -> Iterator[tuple[str, str]]:
    sites = {stored.key.site for stored in house.mpsk.ring.keys.values()}
    yield from ((site, "a site") for site in sites if site)


def _held(house: House) -> Iterator[tuple[str, str]]:
    held = house.billing.held if house.billing is not None else None
    if held is not None:
        yield held.id, "the reading that waits"


def _edges(house: House) -> Iterator[tuple[str, str]]:
    hub = house.office.hub
    if hub is not None:
        yield from ((report.edge, f"an edge, {report.version}") for report in hub.fleet.reports())


_SOURCES: dict[str, Callable[[House], Names]] = {
    "subjects": _subjects,
    "subscribers": _subscribers,
    "keys": _keys,
    "sites": _sites,
    "networks": lambda house: ((ssid, "a Wi-Fi network") for ssid in house.loaded.config.mpsk.networks),
    "held": _held,
    "targets": lambda house: ((t.name, str(t.kind)) for t in house.loaded.config.enforce),
    "brands": lambda house: ((brand, "a brand") for brand in house.loaded.config.portal.brands),
    "edges": _edges,
    "garden": lambda house: ((name, "in the garden") for name in house.loaded.config.garden.names),
}
