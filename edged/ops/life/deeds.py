# SPDX-License-Identifier: Apache-2.0
"""Changes of access, addresses, events of the page and devices sent away in; what goes into a life out. Pure.

What an operator says, passes, and what is done with a key are in the audit already, and are not noted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edged.model import Access, Event, EventType
from edged.mpsk.memory import Stale
from edged.ops.record.changes import BILLING, EDGED, Change
from edged.policy.access import View
from edged.state.life import Deed
from edged.values import Prefix

SUBSCRIBER = "subscriber"
_NAMED = 8
"""Prefixes of one line that are named; more is a number."""
_EVENTS = {EventType.PAGE_OPENED: "page opened", EventType.PAY_CLICKED: "pay pressed"}
"""A pass is in the audit, a device's first use of a key beside the key."""


def of_changes(changes: Iterable[Change]) -> Iterator[Deed]:
    """Each change of access by billing's word, or since another has ended: operators' and passes are in the audit."""
    for change in changes:
        if change.by in {BILLING, EDGED}:
            reason = change.reason if change.after in {Access.BLOCKED, Access.NOTICE} else ""
            yield Deed(change.at, change.subscriber, change.after, change.by, reason)


def of_event(event: Event) -> Deed | None:
    """What a subscriber did on the page; None: it is kept elsewhere, or nobody is named."""
    what = _EVENTS.get(event.type)
    return Deed(event.at, event.subscriber, what, SUBSCRIBER) if what and event.subscriber else None


def of_moves(before: View, after: View, ids: Iterable[str], at: float) -> Iterator[Deed]:
    """Who of ``ids`` is on other addresses in ``after`` than in ``before``; whose line is gone is on none.

    Of a line that was plainly open billing need not say where it is: that it says so now is no move.
    """
    for name in ids:
        then, now = before.table.subscribers.get(name), after.table.subscribers.get(name)
        if then is None or now is None:
            continue
        had, has = before.lines_of(then), after.lines_of(now)
        if not had and before.decide_subscriber(then, at).access is Access.OPEN:
            continue
        if has and set(had) != set(has):
            yield Deed(at, name, "moved", detail=f"from {_named(had)} to {_named(has)}")


def _named(prefixes: tuple[Prefix, ...]) -> str:
    if not prefixes:
        return "no address"
    more = len(prefixes) - _NAMED
    return ", ".join(map(str, prefixes[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def of_departure(device: Stale, subscriber: str, end: str, at: float) -> Deed:
    """A device that was sent off the Wi-Fi so that it asks again, and how that ended."""
    return Deed(at, subscriber, "device sent away", EDGED, f"{device.mac} from {device.ssid}: {device.reason} ({end})")
