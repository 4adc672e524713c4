# SPDX-License-Identifier: Apache-2.0
"""The lists behind the dashboard's numbers: the house in, rows out. Reads; some 0.3 s for 100,000 rows, in a thread."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any

from edged.model import Access, Subscriber
from edged.mpsk.csvfile import guarded
from edged.ops.dashboard.mask import HIDDEN, Mask
from edged.ops.fleet.edges import facts, ordered
from edged.ops.record.changes import Change
from edged.ops.record.history import Bin, quantile, took_below
from edged.ops.text import moment, printable
from edged.ops.words import kind_of
from edged.state.history import CHANGES

if TYPE_CHECKING:
    from edged.ops.rooms import House

Row = tuple[Any, ...]


class Kind(StrEnum):
    """What a cell is: how it is shown, and what the mask does with it."""

    SUBSCRIBER = "subscriber"
    """An id that ``explain`` answers to."""
    SECRET = "secret"  # noqa: S105  # hidden by the mask, not a password
    """Addresses and names of people's things."""
    TIME = "time"
    """Epoch seconds; 0: none."""
    NUMBER = "number"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a list."""

    name: str
    """In the CSV, and over the column."""
    kind: Kind = Kind.WORD


@dataclass(frozen=True, slots=True)
class Listing:
    """One list."""

    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Material], Iterable[Row]]
    nothing: str
    """What an empty one says."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """What the rows are made of."""

    house: House
    now: float
    bins: tuple[Bin, ...] = ()
    changes: tuple[Change, ...] = ()
    """Oldest first."""
    devices: tuple[dict[str, Any], ...] = ()
    """As ``edged keys devices`` has them."""


_WHO, _SINCE = Column("subscriber", Kind.SUBSCRIBER), Column("since", Kind.TIME)


def _lines(house: House, subscriber: Subscriber) -> str:
    view = house.current.view
    return " ".join(map(str, (*view.lines_of(subscriber), *view.devices_of(subscriber))))


def _having(access: Access) -> Callable[[Material], Iterator[Row]]:
    def rows(material: Material) -> Iterator[Row]:
        view = material.house.current.view
        for subscriber in view.table.subscribers.values():
            decision = view.decide_subscriber(subscriber, material.now)
            if decision.access is access:
                lines = _lines(material.house, subscriber)
                yield subscriber.id, decision.reason, decision.since, decision.until, str(decision.rule), lines

    return rows


_LINE = (
    _WHO, Column("reason"), _SINCE, Column("until", Kind.TIME), Column("decided by"), Column("lines", Kind.SECRET),
)  # fmt: skip


def _restored(material: Material) -> Iterator[Row]:
    return ((c.at, c.subscriber, c.before, c.reason) for c in reversed(material.changes) if c.is_restored)


def _changes(material: Material) -> Iterator[Row]:
    return ((c.at, c.subscriber, c.before, c.after, c.reason, c.by) for c in reversed(material.changes))


def _history(material: Material) -> Iterator[Row]:
    for one in reversed(material.bins):
        median, slow = quantile(one.spans, 0.5), quantile(one.spans, 0.95)
        yield (
            float(one.start), one.blocked, one.added, one.lifted, one.restored,
            "" if median is None else f"{median:.1f}", "" if slow is None else f"{slow:.1f}",
            one.answers, "" if (late := took_below(one.took, 0.99)) is None else f"{late * 1e3:.2f}",
            one.pages, "held" if one.held else "", " ".join(one.lost), round(one.seconds),
        )  # fmt: skip


def _targets(material: Material) -> Iterator[Row]:
    for name, health in material.house.enforce.status().items():
        state = "OK" if health.ok else "FAIL" if health.error else "WARN"
        yield (
            name, state, health.since, health.wanted, health.actual, health.compared, health.drift, health.drifted,
            health.error,
        )  # fmt: skip


def _waiting(material: Material) -> Iterator[Row]:
    for name in material.house.enforce.status():
        yield from ((name, who, at) for who, at in material.house.recorder.held_back(name).items())


def _devices(material: Material) -> Iterator[Row]:
    for d in material.devices:
        yield d["mac"], d["ssid"], d["key"], d["subscriber"], d["label"], d["since"] or 0.0, d["client"]


def _keys(material: Material) -> Iterator[Row]:
    for k in material.house.mpsk.key_facts():
        yield k.id, k.origin, k.ssid, k.site, k.label, k.subscriber, k.vlan or "", k.standing, len(k.devices)


def _rejects(material: Material) -> Iterator[Row]:
    for mac, last in material.house.mpsk.rejected():
        yield last.at, mac, last.ssid, last.client, last.reason, last.key.id if last.key else ""


def _strangers(material: Material) -> Iterator[Row]:
    for one in material.house.radius.arrivals() if material.house.radius is not None else ():
        yield str(one.address), one.count, one.first_seen, one.last_seen


def _words(material: Material) -> Iterator[Row]:
    words = material.house.current.view.learned.overrides.values()
    for word in sorted((w for w in words if w.until > material.now), key=lambda w: (w.until, w.subscriber)):
        yield word.subscriber, kind_of(material.house, word).value, word.at, word.until, word.who, word.why


def _edges(material: Material) -> Iterator[Row]:
    hub = material.house.office.hub
    for standing in ordered(hub.standings()) if hub is not None else ():
        edge = facts(standing, material.now)
        state = "silent" if edge["silent"] else "behind" if edge["late"] else "alarms" if edge["alarms"] else "well"
        yield (
            edge["edge"], state, edge["version"], edge["heard_at"], edge["read_at"], round(edge["behind"]),
            edge["blocked"], edge["source"], round(edge["clock_off"]), " ".join(edge["alarms"]),
        )  # fmt: skip


_KEPT = "The newest 500 changes are kept, over a restart too. Changes while edged was away are not known."
LISTS: dict[str, Listing] = {
    "blocked": Listing("Who is blocked", _LINE, _having(Access.BLOCKED), "No one is blocked."),
    "notice": Listing("Who is reminded", _LINE, _having(Access.NOTICE), "Nobody is to be reminded."),
    "pass": Listing("Who has a pass", _LINE, _having(Access.PASS), "Nobody has a pass."),
    "restored": Listing(
        "Opened by billing",
        (Column("at", Kind.TIME), _WHO, Column("from"), Column("reason")),
        _restored, "Nobody was opened of late.", _KEPT,
    ),
    "changes": Listing(
        "Changes of access",
        (Column("at", Kind.TIME), _WHO, Column("from"), Column("to"), Column("reason"), Column("by", Kind.SECRET)),
        _changes, "Nothing has changed.", _KEPT,
    ),
    "history": Listing(
        "The last day, ten minutes a row",
        (
            Column("begins", Kind.TIME), *(Column(name, Kind.NUMBER) for name in (
                "blocked", "newly blocked", "lifted", "opened by billing", "median s", "95th percentile s",
                "DNS answers", "99th percentile ms", "pages",
            )), Column("reading"), Column("targets lost", Kind.SECRET), Column("seconds seen", Kind.NUMBER),
        ),
        _history, "Nothing was counted yet.",
    ),
    "targets": Listing(
        "Targets",
        (
            Column("target", Kind.SECRET), Column("state"), _SINCE, Column("wanted", Kind.NUMBER),
            Column("actual", Kind.NUMBER), Column("compared", Kind.TIME), Column("drift mended", Kind.NUMBER),
            Column("drift seen", Kind.TIME), Column("error", Kind.SECRET),
        ),
        _targets, "No target is named: nobody is steered.",
        "Drift is what somebody else had changed on the target, at the last comparison that found any.",
    ),
    "waiting": Listing(
        "Who may still be blocked",
        (Column("target", Kind.SECRET), _WHO, Column("lifted", Kind.TIME)),
        _waiting, "Nobody: every target is as it should be, or nobody was lifted since it fails.",
        "Lifted since the target was last as it should be, of the newest 500 changes.",
    ),
    "devices": Listing(
        "Devices on the Wi-Fi",
        (
            Column("device", Kind.SECRET), Column("network"), Column("key", Kind.SUBSCRIBER), _WHO,
            Column("label", Kind.SECRET), _SINCE, Column("client"),
        ),
        _devices, "No device is on the Wi-Fi, or no access point reports sessions (accounting).",
        "The first 20,000.",
    ),
    "keys": Listing(
        "Keys",
        (
            Column("key", Kind.SUBSCRIBER), Column("from"), Column("network"), Column("site"),
            Column("label", Kind.SECRET), _WHO, Column("vlan", Kind.NUMBER), Column("state"),
            Column("devices", Kind.NUMBER),
        ),
        _keys, "There are no keys.",
    ),
    "rejects": Listing(
        "Devices that were refused",
        (
            Column("at", Kind.TIME), Column("device", Kind.SUBSCRIBER), Column("network"), Column("client"),
            Column("reason"), Column("key", Kind.SUBSCRIBER),
        ),
        _rejects, "No device was refused of late.", "The latest request of each device, since the start.",
    ),
    "strangers": Listing(
        "Unknown NAS",
        (
            Column("address", Kind.SUBSCRIBER), Column("requests", Kind.NUMBER), Column("first", Kind.TIME),
            Column("last", Kind.TIME),
        ),
        _strangers, "No unknown address has asked over RADIUS.",
    ),
    "words": Listing(
        "Operators' words",
        (
            _WHO, Column("kind"), Column("at", Kind.TIME), Column("until", Kind.TIME), Column("by", Kind.SECRET),
            Column("why", Kind.SECRET),
        ),
        _words, "No word of an operator is in force.",
    ),
    "edges": Listing(
        "Edges of this hub",
        (
            Column("edge"), Column("state"), Column("version"), Column("reported", Kind.TIME),
            Column("list of", Kind.TIME), Column("behind s", Kind.NUMBER), Column("blocked", Kind.NUMBER),
            Column("source"), Column("clock s", Kind.NUMBER), Column("alarms"),
        ),
        _edges, "No edge has reported here, or this is no hub.",
        "As each last said of itself; those that need somebody first.",
    ),
}  # fmt: skip
"""By name, as it stands in the path."""


def selected(listing: Listing, rows: Iterable[Row], wanted: dict[str, str]) -> list[Row]:
    """The rows whose cells are what ``wanted`` says, by the name of the column."""
    places = {column.name: index for index, column in enumerate(listing.columns)}
    tests = [(places[name], value) for name, value in wanted.items() if name in places]
    return [row for row in rows if all(str(row[index]) == value for index, value in tests)]


def cell(value: Any, kind: Kind, mask: Mask, *, masked: bool) -> str:
    """A cell as a person reads it."""
    if kind is Kind.TIME:
        return moment(value).removesuffix(" UTC") if value else ""
    if kind is Kind.NUMBER and isinstance(value, int):
        return f"{value:,}"
    text = printable(str(value))
    if kind is Kind.SUBSCRIBER:
        return mask.one(text)
    return HIDDEN if kind is Kind.SECRET and masked and text else text


def as_csv(listing: Listing, rows: Iterable[Row], mask: Mask, *, masked: bool) -> str:
    """The whole list; times as RFC 3339, and no cell that a spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in listing.columns])
    for row in rows:
        writer.writerow([_plain(v, c.kind, mask, masked=masked) for v, c in zip(row, listing.columns, strict=True)])
    return out.getvalue()


def _plain(value: Any, kind: Kind, mask: Mask, *, masked: bool) -> str:
    if kind is Kind.TIME:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else ""
    if kind is Kind.NUMBER:
        return str(value)
    return _WITHIN.sub(r"\1'", guarded(cell(value, kind, mask, masked=masked)))


_WITHIN = re.compile(r"(;+)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
"""Where a spreadsheet that parts cells by semicolons would see the beginning of a formula."""
SHOWN = 20
"""Rows of the newest changes on the page itself."""
_TOGETHER = 3
"""So many of one kind within a minute are one row."""


def grouped(changes: Collection[Change], most: int = CHANGES) -> list[dict[str, Any]]:
    """The newest changes first, those of one kind within a minute as one row; ``changes`` are oldest first.

    Where ``most`` of them are kept, the oldest row may lack some: its count is "at least".
    """
    rows: list[dict[str, Any]] = []
    cut = next(iter(changes)) if len(changes) >= most else None
    for _, run in groupby(reversed(tuple(changes)), key=lambda c: (c.at // 60, c.before, c.after, c.reason, c.by)):
        same = list(run)
        together = [same] if len(same) > _TOGETHER else [[one] for one in same]
        for several in together:
            first = several[0]
            rows.append(
                {
                    "at": first.at, "subscriber": first.subscriber, "count": len(several),
                    "more": cut is not None and several[-1] is cut, "before": first.before,
                    "after": first.after, "reason": first.reason, "by": first.by,
                }
            )  # fmt: skip
            if len(rows) == SHOWN:
                return rows
    return rows
