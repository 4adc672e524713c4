# SPDX-License-Identifier: Apache-2.0
"""Two rows about one thing in, the one that holds at every edge out. Pure.

Commutative, associative and idempotent: in whatever order edges meet, they come to the same. docs/fleet-store.md has
the rules in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edged.state.shared.rows import KEY, KINDS, MOST_OCTETS, Row, Value, spelt

AHEAD_S = 300.0
"""A word from further ahead than this of the shared clock is taken as said now."""

# columns that are joined by themselves, whoever has the later word
_EACH: Mapping[str, Mapping[str, Callable[[Any, Any], Any]]] = {
    "device": {"first_seen": min},
    "pass": {"ends": min, "who": min},
    "snooze": {"until": max},
}
_MARK = ("marked", "revoked")
"""Of a key: whether it is revoked is a word of its own, which a change of anything else does not take back."""


def merge(one: Row, other: Row) -> Row:
    """The later word; of two at one moment the removal, the end, then the greater by its text."""
    later, earlier = (one, other) if _order(one) >= _order(other) else (other, one)
    body: dict[str, Value] = dict(later.body)
    if not later.gone and not earlier.gone:
        # what a newer edged knows and an older one does not say is not lost
        body = {c: v for c, v in earlier.body.items() if c not in KINDS[later.kind].body} | body
    for column, joined in _EACH.get(later.kind, {}).items():
        values = [row.body[column] for row in (one, other) if column in row.body]
        if values:
            body[column] = values[0] if len(values) == 1 else joined(*values)
    if later.kind == KEY:
        marks = [(row.body["marked"], row.body["revoked"]) for row in (one, other)]
        body["marked"], body["revoked"] = max(marks, key=_strength)
    return replace(later, body=body, changed=max(one.changed, other.changed))


def merge_stored(ours: Row, stored: Row) -> Row:
    """As ``merge``; what ``stored`` has beyond its columns goes where the whole would be more than an edge takes."""
    whole = merge(ours, stored)
    if len(spelt(whole)[1]) <= MOST_OCTETS:
        return whole
    return replace(whole, body={c: v for c, v in whole.body.items() if c in KINDS[whole.kind].body})


def bounded(row: Row, now: float) -> Row:
    """``row`` as said ``now`` at the latest, on the clock that all share: a clock far ahead would win for ever."""
    if row.changed <= now + AHEAD_S or row.kind in {"pass", "snooze", "audit", "signer"}:
        return row
    body = dict(row.body)
    columns = ("marked",) if row.kind == KEY else ("updated", "stopped") if row.kind == "session" else ()
    for column in (*columns, KINDS[row.kind].stamp):
        value = body.get(column)
        if isinstance(value, float) and value > now:
            body[column] = now
    until = body.get("until")
    if isinstance(until, float):  # a word lasts as long as it was meant to
        body["until"] = until - (row.changed - now)
    return replace(row, body=body, changed=now)


def _order(row: Row) -> tuple[object, ...]:
    alone = {*_EACH.get(row.kind, ()), *(_MARK if row.kind == KEY else ())}
    own = {c: v for c, v in row.body.items() if c in KINDS[row.kind].body and c not in alone}
    return (row.changed, row.gone, row.body.get("stopped") is not None, replace(row, body=own).text)


def _strength(mark: tuple[Value, Value]) -> tuple[Any, bool, Any]:
    """The later; at one moment a revocation, and of two the one that begins first."""
    marked, revoked = mark
    return marked, revoked is not None, -revoked if isinstance(revoked, (int, float)) else 0.0
