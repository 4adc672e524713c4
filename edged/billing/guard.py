# SPDX-License-Identifier: Apache-2.0
"""A reading, the last good one and the guard's memory in, Accepted or Held out. Pure.

What billing may change without a person. Absence is weak evidence and guarded; a word that somebody is active
again is never held: ``lifts`` takes it from any reading.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from edged.billing.ground import Ground
from edged.billing.reading import evidence, with_words
from edged.billing.settings import GuardSettings, WindowSettings
from edged.model import Key, Snapshot, State, Subscriber
from edged.state.guard_memory import GuardMemory

_SAMPLES = 5
"""Ids an operator looks up to see whether a held reading is right."""


class Rule(StrEnum):
    """Why a reading is held."""

    FIRST = "first"
    LOST = "lost"
    BLOCKED = "blocked"
    VANISHED = "vanished"
    SHRUNKEN = "shrunken"
    EMPTY = "empty"
    WIDE = "too-wide"
    OWN = "own-address"
    KEYS = "keys-vanished"
    MOVED = "moved"


_SENTENCES = {
    Rule.FIRST: "the first list ever would block or remind {count}",
    Rule.LOST: "the last good list was lost; this one would block or remind {count}",
    Rule.BLOCKED: "{count} newly blocked within the window, {limit} may be",
    Rule.VANISHED: "{count} vanished from the list within the window, {limit} may",
    Rule.SHRUNKEN: "{count} vanished within the window, half of the list; {limit} may",
    Rule.EMPTY: "the list is empty and {count} were in the last good one",
    Rule.WIDE: "{count} have a prefix wider than may ever be blocked",
    Rule.OWN: "{count} have an address of the network itself",
    Rule.MOVED: "{count} blocked subscribers have other lines than before within the window, {limit} may",
    Rule.KEYS: "{count} keys vanished or became others within the window, {limit} may, and never all of them",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that held a reading."""

    rule: Rule
    count: int
    limit: int = 0
    sample: tuple[str, ...] = ()
    """Some of the subscribers' (or keys') ids."""

    def __str__(self) -> str:
        return _SENTENCES[self.rule].format(count=self.count, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The reading may be published, once ``memory`` is saved."""

    memory: GuardMemory


@dataclass(frozen=True, slots=True)
class Held:
    """The reading waits for a person; the memory stays as it was."""

    reasons: tuple[Reason, ...]


Verdict = Accepted | Held


def judge(
    reading: Snapshot,
    last_good: Snapshot | None,
    memory: GuardMemory,
    settings: GuardSettings,
    *,
    ground: Ground,
    now: float,
) -> Verdict:
    """Whether ``reading`` may follow ``last_good`` at ``now`` without a person.

    ``now`` is in seconds of a clock that never jumps ahead (docs/decisions/0017): a jump would empty the windows.
    An empty first list is accepted, for it blocks nobody; the first that blocks anybody is still the first.
    """
    always = [*_ground_reasons(reading, last_good, ground)]
    if settings.leave_to_hub:
        # as on a person's word: what somebody else has judged fills no window of ours
        return Held(tuple(always)) if always else Accepted(remember(reading, memory))
    keys_gone, key_reason = _judge_keys(reading, last_good, memory, settings, now)
    if key_reason is not None:
        always.append(key_reason)
    next_memory = replace(remember(reading, memory), keys_gone=keys_gone)
    if last_good is None or not (memory.started or _restricted(last_good)):
        reasons = _first_reasons(reading, memory, settings) + always
        return Held(tuple(reasons)) if reasons else Accepted(next_memory)
    known = _denominator(reading, memory)
    new = newly_blocked(reading, last_good)
    gone = vanished(reading, last_good) | bared(reading, last_good)
    elsewhere = moved(reading, last_good)
    moved_before = _within(memory.moved, settings.blocked.window, now) | dict.fromkeys(elsewhere, now)
    blocked = _within(memory.blocked, settings.blocked.window, now) | dict.fromkeys(new, now)
    gone_before = _within(memory.vanished, settings.vanished.window, now) | dict.fromkeys(gone, now)
    reasons = [
        Reason(rule, len(events), limit, _sample(who))
        for rule, events, who, window in (
            (Rule.BLOCKED, blocked, new, settings.blocked),
            (Rule.VANISHED, gone_before, gone, settings.vanished),
            (Rule.MOVED, moved_before, elsewhere, settings.blocked),
        )
        if who and len(events) > (limit := _limit(window, known, settings.floor))
    ]
    reasons += [*_shrunken_reasons(reading, last_good, gone, gone_before, settings), *always]
    return (
        Held(tuple(reasons))
        if reasons
        else Accepted(replace(next_memory, blocked=blocked, vanished=gone_before, moved=moved_before))
    )


def _shrunken_reasons(
    reading: Snapshot,
    last_good: Snapshot,
    gone: frozenset[str],
    gone_before: Mapping[str, float],
    settings: GuardSettings,
) -> list[Reason]:
    """Why the list shrinks too much: ``gone`` now, ``gone_before`` in the window with them.

    A share of everybody is often more than a list holds: half of the list is a fault until a person looks, unless the
    operator has said that even more may go.
    """
    if len(gone) > settings.floor and not _restricted(reading):
        return [Reason(Rule.EMPTY, len(gone), 0, _sample(gone))]
    listed = len({s.id for s in last_good.subscribers if s.state is not State.ACTIVE} | gone_before.keys())
    limit = max(settings.floor, _less_than(settings.vanished.share, listed))
    if gone and len(gone_before) > limit:
        return [Reason(Rule.SHRUNKEN, len(gone_before), limit, _sample(gone))]
    return []


def judge_word(
    word: Subscriber,
    before: Subscriber | None,
    memory: GuardMemory,
    settings: GuardSettings,
    *,
    ground: Ground,
    now: float,
) -> Verdict:
    """Whether what billing answered about one subscriber may be acted on, in place of what it said ``before``.

    It is measured as the same change in a whole list is: a hundred words that block are a list that blocks a hundred.
    """
    # neither the keys nor how many subscribers there are is what one answer speaks of
    verdict = judge(
        evidence([word]),
        evidence([before] if before is not None else []),
        replace(memory, keys=0, keys_gone=()),
        settings,
        ground=ground,
        now=now,
    )
    if isinstance(verdict, Held):
        return verdict
    window = verdict.memory
    return Accepted(replace(memory, blocked=window.blocked, moved=window.moved, started=window.started))


def _first_reasons(reading: Snapshot, memory: GuardMemory, settings: GuardSettings) -> list[Reason]:
    restricted = [s.id for s in reading.subscribers if s.state is not State.ACTIVE]
    # `first: accept` is for a new edge; one that lost its list must not take whatever comes, and an empty list would
    # open all that the earlier run has left in the packet filter
    if memory.started:
        return [Reason(Rule.LOST, len(restricted), 0, _sample(restricted))]
    if restricted and settings.first == "hold":
        return [Reason(Rule.FIRST, len(restricted), 0, _sample(restricted))]
    return []


def _judge_keys(
    reading: Snapshot, last_good: Snapshot | None, memory: GuardMemory, settings: GuardSettings, now: float
) -> tuple[tuple[tuple[float, int], ...], Reason | None]:
    """When how many keys vanished or became others, and why that is too many: residents lose the Wi-Fi with them."""
    if last_good is not None and last_good.keys is not None:
        ids = lost_keys(reading, last_good)
        gone = len(ids)
    else:
        # after a restart the last good list bears no keys: count alone
        ids, gone = frozenset(), max(0, memory.keys - len(reading.keys or ()))
    then = tuple((min(at, now), n) for at, n in memory.keys_gone if at > now - settings.vanished.window)
    if not gone:
        return then, None
    count, limit = sum(n for _, n in then) + gone, _limit(settings.vanished, memory.keys, settings.floor)
    reason = Reason(Rule.KEYS, count, limit, _sample(ids)) if count > limit or not reading.keys else None
    return (*then, (now, gone)), reason


def remember(reading: Snapshot, memory: GuardMemory) -> GuardMemory:
    """The memory after ``reading`` was accepted, by the rules or by a person (whose word fills no window)."""
    seen = len(reading.subscribers)
    return replace(
        memory,
        known=reading.known if reading.known is not None else max(memory.known, seen),
        keys=len(reading.keys or ()),
        started=memory.started or _restricted(reading),
        accepted=reading.id,
    )


def newly_blocked(reading: Snapshot, last_good: Snapshot) -> frozenset[str]:
    """Ids blocked in ``reading`` and not in ``last_good``; one who is blocked again counts again."""
    return _blocked(reading) - _blocked(last_good)


def moved(reading: Snapshot, last_good: Snapshot) -> frozenset[str]:
    """Ids blocked in both whose lines are others now: a column that slipped by a row blocks whoever has them."""
    before = {s.id: _lines(s) for s in last_good.subscribers if s.state is State.BLOCKED}
    return frozenset(
        s.id
        for s in reading.subscribers
        if s.state is State.BLOCKED and s.id in before and not _lines(s) <= before[s.id]
    )


def bared(reading: Snapshot, last_good: Snapshot) -> frozenset[str]:
    """Ids restricted in both of whose lines ``reading`` names none: an empty column opens as an empty list does."""
    before = {s.id for s in last_good.subscribers if s.state is not State.ACTIVE and _lines(s)}
    return frozenset(
        s.id for s in reading.subscribers if s.state is not State.ACTIVE and s.id in before and not _lines(s)
    )


def lost_keys(reading: Snapshot, last_good: Snapshot) -> frozenset[str]:
    """Ids of keys of ``last_good`` that no longer give their holder what they gave: gone, changed, or dead now."""
    now = {k.id: k for k in reading.keys or ()}

    def lost(old: Key) -> bool:
        new = now.get(old.id)
        if new is None or _gives(new) != _gives(old):
            return True
        changed = (new.not_before, new.expires) != (old.not_before, old.expires)
        return changed and (new.not_before > reading.read_at or 0 < new.expires <= reading.read_at)

    return frozenset(k.id for k in last_good.keys or () if lost(k))


def vanished(reading: Snapshot, last_good: Snapshot) -> frozenset[str]:
    """Ids that ``last_good`` restricts and of whom ``reading`` says nothing at all."""
    before = {s.id for s in last_good.subscribers if s.state is not State.ACTIVE}
    return frozenset(before.difference(s.id for s in reading.subscribers))


def lifts(last_good: Snapshot, reading: Snapshot, *, absent_too: bool = False) -> Snapshot | None:
    """``last_good`` with the words of ``reading`` that open a line, none that closes one; None: no such word.

    ``absent_too`` is for a reading that the guard has accepted and the disk has not: there, absence counts.
    """
    word = {s.id: s.state for s in reading.subscribers}
    silence = State.ACTIVE if absent_too else State.BLOCKED
    lifted = [
        replace(s, state=said)
        for s in last_good.subscribers
        if (said := word.get(s.id, silence)).severity < s.state.severity
    ]
    return with_words(last_good, lifted) if lifted else None


def _lines(s: Subscriber) -> set[object]:
    return {*s.addresses, *s.devices, *s.logins}


def _gives(key: Key) -> tuple[object, ...]:
    return key.ssid, key.site, key.passphrase, key.subscriber, key.vlan


def _blocked(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(s.id for s in snapshot.subscribers if s.state is State.BLOCKED)


def _restricted(snapshot: Snapshot) -> bool:
    return any(s.state is not State.ACTIVE for s in snapshot.subscribers)


def _denominator(reading: Snapshot, memory: GuardMemory) -> int:
    """One reading never raises its own: what it states counts from the next one on, unless it is less."""
    return memory.known if reading.known is None else min(reading.known, memory.known)


def _limit(window: WindowSettings, whole: int, floor: int) -> int:
    # the sliver keeps 7 % of 100 at 7 whatever binary fractions make of it
    return max(floor, min(math.floor(window.share * whole + 1e-9), window.count))


_HALF = 0.5


def _less_than(share: float, listed: int) -> int:
    """The most that is less than half of ``listed``; or ``share`` of it, where the operator lets more go."""
    return max(math.ceil(_HALF * listed) - 1, math.floor(share * listed + 1e-9) if share >= _HALF else 0)


def _within(events: Mapping[str, float], window: float, now: float) -> dict[str, float]:
    # an event after `now` (the clock was set back) counts as one of now: forgotten it would widen the window, and
    # left where it is it would close it for as long as the clock had been wrong
    return {who: min(at, now) for who, at in events.items() if at > now - window}


_MANY_DEVICES = 64
"""MAC addresses of one household; more is a column of the whole building."""


def _ground_reasons(reading: Snapshot, last_good: Snapshot | None, ground: Ground) -> tuple[Reason, ...]:
    """Prefixes that may never be blocked; one that a person has accepted (we leave it out) is no news."""
    # what stands beside an active subscriber was never judged
    before = () if last_good is None else (s for s in last_good.subscribers if s.state is not State.ACTIVE)
    seen = {s.id: s for s in before}
    wide: list[str] = []
    own: list[str] = []
    for subscriber in reading.subscribers:
        if subscriber.state is State.ACTIVE:
            continue
        old = seen.get(subscriber.id)
        news = old is None or old.addresses != subscriber.addresses or old.devices != subscriber.devices
        if news and (ground.is_vast(subscriber.addresses) or len(subscriber.devices) > _MANY_DEVICES):
            wide.append(subscriber.id)
        for prefix in subscriber.addresses:
            forbidden = ground.forbids(prefix)
            if forbidden is None or (old is not None and prefix in old.addresses):
                continue
            (wide if forbidden == "wide" else own).append(subscriber.id)
    reasons = ((Rule.WIDE, wide), (Rule.OWN, own))
    return tuple(Reason(rule, len(set(who)), 0, _sample(set(who))) for rule, who in reasons if who)


def _sample(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(heapq.nsmallest(_SAMPLES, ids))


def enforceable(snapshot: Snapshot, ground: Ground) -> Snapshot:
    """``snapshot`` without the prefixes that are never blocked, whoever accepted the reading."""

    def cleared(s: Subscriber) -> Subscriber:
        if s.state is State.ACTIVE or all(ground.forbids(prefix) is None for prefix in s.addresses):
            return s
        return replace(s, addresses=tuple(p for p in s.addresses if ground.forbids(p) is None))

    return replace(snapshot, subscribers=tuple(map(cleared, snapshot.subscribers)))
