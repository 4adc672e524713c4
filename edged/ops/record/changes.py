# SPDX-License-Identifier: Apache-2.0
"""How subscribers stood and the view of now in, whose access is another and who said so out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from edged.model import Access
from edged.policy.access import Decision, Rule, View


class Standing(NamedTuple):
    """What a subscriber gets who is not plainly open."""

    access: Access
    reason: str = ""
    by: str = ""
    """Who said so: ``billing``, an operator, ``pass``."""


class Change(NamedTuple):
    """One subscriber's access became another. A row of the table ``changes``."""

    at: float
    """Epoch seconds."""
    subscriber: str
    before: str
    after: str
    """Each an ``Access``."""
    reason: str
    by: str

    @property
    def is_restored(self) -> bool:
        """True when billing opened who was blocked, or paid on a pass."""
        return self.by == BILLING and self.before in _SHUT and self.after in _FREE

    @property
    def blocks(self) -> bool:
        """True when from now on they see the page."""
        return self.after == Access.BLOCKED

    @property
    def lifts(self) -> bool:
        """True when from now on they do not see it."""
        return self.before == Access.BLOCKED


OPEN = Standing(Access.OPEN)
BILLING = "billing"
EDGED = "edged"
"""Nobody's new word: an operator's has ended."""
_SHUT, _FREE = {Access.BLOCKED, Access.PASS}, {Access.OPEN, Access.NOTICE}
_BY = {Rule.PASS: "pass"}


def standing(view: View, subscriber_id: str, now: float) -> Standing:
    """How the subscriber stands at ``now`` (epoch seconds), whether billing lists them or not."""
    subscriber = view.table.subscribers.get(subscriber_id)
    if subscriber is None:
        word = view.learned.overrides.get(subscriber_id)
        if word is None or word.until <= now or not word.blocked:
            return OPEN
        return Standing(Access.BLOCKED, word.reason, word.who)
    decision = view.decide_subscriber(subscriber, now)
    return Standing(decision.access, decision.reason, _said_by(view, decision))


def _said_by(view: View, decision: Decision) -> str:
    if decision.rule is not Rule.OVERRIDE or decision.subscriber is None:
        return _BY.get(decision.rule, BILLING)
    return view.learned.overrides[decision.subscriber.id].who


def differences(
    known: Mapping[str, Standing], view: View, ids: Iterable[str] | None, now: float
) -> list[tuple[str, Standing]]:
    """Who of ``ids`` (None: of everybody) stands otherwise than in ``known``, and how; some 0.2 s for 100,000."""
    concerned = _everybody(known, view) if ids is None else ids
    found = ((name, standing(view, name, now)) for name in concerned)
    return [(name, now_so) for name, now_so in found if known.get(name, OPEN) != now_so]


def _everybody(known: Mapping[str, Standing], view: View) -> Iterator[str]:
    """One by one: a union of sets would hold the interpreter's lock for all of them."""
    listed, words = view.table.subscribers, view.learned.overrides
    yield from listed
    yield from (name for name in known if name not in listed)
    yield from (name for name in words if name not in listed and name not in known)


def changed(known: dict[str, Standing], news: Collection[tuple[str, Standing]], at: float) -> list[Change]:
    """Take ``news`` into ``known``, which holds who is not plainly open; what of it is another access."""
    changes = []
    for name, now_so in news:
        before = known.pop(name, OPEN)
        if now_so.access is not Access.OPEN:
            known[name] = now_so
        if now_so.access is not before.access:
            reason = now_so.reason or before.reason
            by = now_so.by or BILLING
            if before.access is Access.BLOCKED and before.by not in {"", BILLING} and now_so.access in _FREE:
                by = EDGED  # the end of an operator's block: billing has opened nobody
            changes.append(Change(at, name, before.access, now_so.access, reason, by))
    return changes


class News(NamedTuple):
    """What one new view of the policy means."""

    newest: tuple[Change, ...] = ()
    """The last of the changes, as many as were wanted."""
    counts: Mapping[str, int] = {}
    """How many more there are of each access."""
    added: int = 0
    lifted: int = 0
    restored: int = 0
    opened: tuple[Change, ...] = ()
    """The first of those whom billing opened, as many as were wanted."""
    changes: Sequence[Change] = ()
    """All of them, in no order."""


def news(known: dict[str, Standing], view: View, ids: Iterable[str] | None, at: float, most: int) -> News:
    """Take what ``view`` says of ``ids`` (None: of everybody) into ``known``: some 0.6 s for 100,000 changes."""
    changes = changed(known, differences(known, view, ids, at), at)
    counts = Counter(change.after for change in changes)
    counts.subtract(change.before for change in changes)
    restored = [change for change in changes if change.is_restored]
    return News(
        # not all of them in order: a sort of many holds the interpreter's lock from its first to its last comparison
        tuple(sorted(changes[-most:])),
        counts,
        sum(change.blocks for change in changes),
        sum(change.lifts for change in changes),
        len(restored),
        tuple(restored[:most]),
        changes,
    )


def lifted_since(changes: Iterable[Change], since: float) -> dict[str, float]:
    """Whom a target may hold back that has not changed since then (epoch seconds): who was blocked, and is no longer.

    To when each was lifted; ``changes`` are oldest first.
    """
    was: dict[str, str] = {}
    newest: dict[str, Change] = {}
    for change in changes:
        if change.at > since:
            was.setdefault(change.subscriber, change.before)
            newest[change.subscriber] = change
    return {
        name: change.at
        for name, change in newest.items()
        if was[name] == Access.BLOCKED and change.after != Access.BLOCKED
    }
