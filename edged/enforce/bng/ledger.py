# SPDX-License-Identifier: Apache-2.0
"""What each session of one BNG should be, what it was told, and what is said next. No I/O; the clock is passed in.

A session that may have been told to be blocked is on record before it is told, and stays there until the BNG has
acknowledged the opposite or reported its end: no loss, no refusal and no restart leaves somebody blocked who has paid.
Opening goes before blocking. RFC 5176 sections 2.3 and 3.5.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from edged.enforce.bng.entry import Counters, Entry, Held, Order
from edged.enforce.bng.places import Key, prefixes_of
from edged.enforce.bng.ways import Act, Way, refusal
from edged.radius.client import Outcome, Result
from edged.state.sessions import Session
from edged.state.told import Told
from edged.values import Prefix

REFUSED_WAITS = (2.0, 10.0, 60.0, 300.0, 600.0)
"""Seconds to the next attempt on one session after a NAK, attempt by attempt; the last one again and again."""
SILENT_WAITS = (2.0, 10.0, 30.0, 60.0)
"""The same for one session of which the BNG said nothing."""
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds that a BNG which answers nothing is left alone; then one session at a time is tried."""
MARGIN = 2.0
"""Seconds that a report must be younger than an acknowledgement to speak of the time after it."""
LEAVES_WITHIN = 15.0
"""Seconds in which a session that was ended must be reported as ended, or it is told again."""
NO_SESSION = 503
"""Session-Context-Not-Found."""
SILENCE = "no answer"
LATE = 10.0
"""Seconds after its first sending in which a request may still arrive: its retransmissions take seven."""
MOST_RETURNS = 10_000
"""Logins whose sessions were ended, remembered at once."""


class Ledger:
    """Every session of one BNG that runs."""

    def __init__(self, way: Way, value: str = "") -> None:
        """``value``: what who is blocked is told now; a session that was told another is told again."""
        self.counters = Counters()
        self._way = way
        self._value = value
        self._entries: dict[Key, Entry] = {}
        self._remembered: dict[Key, Told] = {}
        """Of sessions on record that nobody reports on."""
        self._unwritten: set[Key] = set()
        self._ready: dict[Act, OrderedDict[Key, None]] = {act: OrderedDict() for act in (Act.OPEN, Act.BLOCK)}
        """In the order in which they are told."""
        self._later: list[tuple[float, Key]] = []
        self._needing: dict[Key, None] = {}
        self._failing: dict[Key, None] = {}
        self._gone: dict[Key, None] = {}
        self._flying = 0
        self._returns: dict[str, tuple[int, float]] = {}
        """Logins whose sessions were ended: how often of late, and when the next may be."""
        self._silent_until = 0.0
        self._pauses = 0

    # --- what is reported, and what is wanted -------------------------------------------------------

    def remember(self, rows: list[Told], now: float) -> None:
        """Take what an earlier run may have told."""
        for row in rows:
            entry = self._entries.get((row.nas, row.session))
            if entry is None:
                self._remembered[row.nas, row.session] = row
            else:
                self._recall((row.nas, row.session), entry, row)
                self._place((row.nas, row.session), entry, now)

    def seen(self, key: Key, session: Session, now: float, *, blocked: bool, shown: bool | None = None) -> None:
        """``session`` runs, as of a report, and is to be ``blocked`` or not; ``shown``: as in ``Entry``."""
        entry = self._entries.get(key)
        if entry is None or _is_another(session, entry.session.started):
            before, entry = entry, Entry(session, blocked)
            if before is not None:
                self.ended(key)
                # its beginning was reported late: what was said since was said to it
                if before.on_record and session.started <= before.sent + LATE:
                    entry.held, entry.sent = Held.MAYBE, before.sent
            self._entries[key] = entry
            self._begin(key, entry, now)
        entry.session = session
        is_news = session.updated > entry.answered + MARGIN
        if self._way.leaves or (is_news and not entry.flying):
            entry.shown = shown
        if is_news and entry.absent:
            entry.due = now if entry.gone else entry.due
            entry.alive = True
        self._want(key, entry, now, blocked=blocked)
        self._place(key, entry, now)

    def wants(self, key: Key, now: float, *, blocked: bool) -> None:
        """The session, if it runs, is to be blocked or not."""
        entry = self._entries.get(key)
        if entry is not None and entry.blocked is not blocked:
            self._want(key, entry, now, blocked=blocked)
            self._place(key, entry, now)

    def ended(self, key: Key) -> None:
        """The session is over."""
        entry = self._drop(key)
        if self._remembered.pop(key, None) is not None or (entry is not None and entry.on_record):
            self._unwritten.add(key)

    def slept(self, key: Key, target: str, now: float) -> None:
        """Nobody has reported on the session for long; it may come back, and then be as it was told."""
        entry = self._drop(key)
        if entry is not None and entry.on_record:
            self._remembered[key] = self._row(target, key, entry, now)

    def _drop(self, key: Key) -> Entry | None:
        entry = self._entries.pop(key, None)
        for some in (*self._ready.values(), self._needing, self._failing, self._gone):
            some.pop(key, None)
        self._flying -= entry is not None and entry.flying
        return entry

    def _begin(self, key: Key, entry: Entry, now: float) -> None:
        row = self._remembered.pop(key, None)
        if row is not None:
            self._recall(key, entry, row)
        if self._way.leaves:
            entry.returned = _who(entry.session) in self._returns
            entry.due = max(now, self._returns.get(_who(entry.session), (0, 0.0))[1])

    def _recall(self, key: Key, entry: Entry, row: Told) -> None:
        """Take what is on record of a session of this name; what cannot have been said to this one is forgotten."""
        if not _is_another(entry.session, row.started):
            acknowledged = row.acknowledged and row.value == self._value
            entry.held, entry.sent = Held.BLOCKED if acknowledged else Held.MAYBE, row.at
            if acknowledged is row.acknowledged:
                return
        elif entry.session.started <= row.at + LATE:
            entry.held, entry.sent = Held.MAYBE, row.at
        self._unwritten.add(key)

    def _want(self, key: Key, entry: Entry, now: float, *, blocked: bool) -> None:
        if entry.blocked is not blocked:
            entry.blocked, entry.confirmed, entry.absent, entry.alive = blocked, False, False, False
            # somebody has paid, or has not: nothing is left to wait for, but the end of what has been ended
            entry.tries, entry.cause, entry.due = 0, "", max(now, entry.left + LEAVES_WITHIN)
            if _who(entry.session) in self._returns:
                self._returns[_who(entry.session)] = (0, 0.0)
        before = entry.held
        self._hold(key, entry, self._as_shown(entry))
        if before is not entry.held:
            self.counters.reverted += before in {Held.BLOCKED, Held.OPENED} and bool(entry.answered)
            entry.confirmed = False
        elif entry.shown is entry.blocked and entry.answered and entry.need is None and not entry.confirmed:
            entry.confirmed = True
            self.counters.confirmed += 1

    def _as_shown(self, entry: Entry) -> Held:
        """What a report shows goes before what was acknowledged."""
        if entry.shown is False and entry.on_record:
            return Held.NEVER
        if entry.shown and entry.held is not Held.BLOCKED:
            # an address in the pool of the blocked may be there for reasons that are not edged's
            ours = self._way.is_ours or entry.blocked or entry.on_record or entry.returned
            return Held.BLOCKED if ours else entry.held
        return entry.held

    # --- what is said next --------------------------------------------------------------------------

    def take(self, now: float) -> Order | None:
        """The next request to send; ``answered`` or ``unkept`` is to be called for it. None: nothing is due."""
        while self._later and self._later[0][0] <= now:
            _, key = heappop(self._later)
            entry = self._entries.get(key)
            if entry is not None and entry.due <= now:
                self._place(key, entry, now)
        if self._pauses and self._flying:
            return None
        paused = self._pauses and now < self._silent_until
        for act, ready in self._ready.items():
            for key in self._unasked() if paused else _emptying(ready):
                ready.pop(key, None)
                entry = self._entries.get(key)
                if entry is not None and entry.need is act and not entry.flying and entry.due <= now:
                    return self._order(key, act, entry, now)
            if paused:
                return None
        return None

    def _order(self, key: Key, act: Act, entry: Entry, now: float) -> Order:
        entry.flying, entry.sent = True, now
        self._flying += 1
        # whatever it says may hold from the moment that it goes out, and only a report after the exchange can tell
        entry.shown = entry.shown if self._way.leaves else None
        self._hold(key, entry, Held.MAYBE)
        return Order(key, act, entry.session, entry)

    def _unasked(self) -> list[Key]:
        """Who has paid, and was not told yet: what others are not answered holds none of them up."""
        waiting = ((key, self._entries.get(key)) for key in self._ready[Act.OPEN])
        return [key for key, entry in waiting if entry is not None and not entry.tries]

    def next_due(self, now: float) -> float:
        """When ``take`` may next have something, epoch seconds; infinity: only after news."""
        if self._pauses and self._flying:
            return math.inf
        first = now if any(self._ready.values()) else self._later[0][0] if self._later else math.inf
        return max(first, self._silent_until) if self._pauses and not self._unasked() else first

    def answered(self, order: Order, result: Result, now: float) -> None:
        """``order`` ended so."""
        self.counters.requests[order.act.value, result.outcome.value] += 1
        if result.outcome is not Outcome.TIMEOUT:
            self._speaks(now)
        elif now >= self._silent_until:
            self._silent_until = now + PAUSES[min(self._pauses, len(PAUSES) - 1)]
            self._pauses += 1
        entry = order.entry
        if not self._landed(order):
            return
        entry.answered = now
        match result.outcome:
            case Outcome.ACK:
                self._acknowledged(order, now)
            case Outcome.NAK:
                entry.absent = result.error_cause == NO_SESSION
                self._failed(entry, refusal(result.error_cause), REFUSED_WAITS, now)
            case Outcome.TIMEOUT:
                self._failed(entry, SILENCE, SILENT_WAITS, now)
        self._place(order.key, entry, now)

    def unkept(self, order: Order, why: str, now: float) -> None:
        """``order`` was not sent, since it cannot be remembered."""
        if self._landed(order):
            self._failed(order.entry, why, REFUSED_WAITS, now)
            self._place(order.key, order.entry, now)

    def _landed(self, order: Order) -> bool:
        """True when the session that ``order`` was about still runs."""
        if self._entries.get(order.key) is not order.entry:
            return False
        order.entry.flying = False
        self._flying -= 1
        return True

    def _acknowledged(self, order: Order, now: float) -> None:
        entry = order.entry
        entry.absent, entry.alive = False, False
        if not self._way.leaves:
            self._hold(order.key, entry, Held.BLOCKED if order.act is Act.BLOCK else Held.OPENED)
            entry.tries, entry.cause, entry.confirmed = 0, "", False
            return
        # its end is what counts, and that is accounting's word
        entry.left = now
        times = self._returns.pop(_who(entry.session), (0, 0.0))[0]
        if len(self._returns) >= MOST_RETURNS:
            del self._returns[next(iter(self._returns))]
        self._returns[_who(entry.session)] = (times + 1, now + REFUSED_WAITS[min(times, len(REFUSED_WAITS) - 1)])
        self._failed(entry, "acknowledged, and it goes on" if entry.tries else "", (LEAVES_WITHIN,), now)

    def _failed(self, entry: Entry, cause: str, waits: tuple[float, ...], now: float) -> None:
        entry.due = now + waits[min(entry.tries, len(waits) - 1)]
        entry.tries += 1
        entry.cause = cause

    def _speaks(self, now: float) -> None:
        """The BNG answers: after a long silence, what it was silent to is tried again now."""
        long, self._pauses, self._silent_until = self._pauses >= len(PAUSES) // 2, 0, 0.0
        for key in tuple(self._failing) if long else ():
            entry = self._entries[key]
            if entry.cause == SILENCE:
                entry.due = now
                self._place(key, entry, now)

    def _hold(self, key: Key, entry: Entry, held: Held) -> None:
        if entry.held is not held:
            entry.held = held
            self._unwritten.add(key)

    def _place(self, key: Key, entry: Entry, now: float) -> None:
        """Put ``entry`` where it belongs."""
        need = entry.need
        if need is None:
            entry.tries, entry.cause = 0, ""
            if self._way.leaves:
                self._returns.pop(_who(entry.session), None)
        for where, belongs in (
            (self._needing, need is not None and not entry.gone),
            (self._failing, need is not None and not entry.gone and bool(entry.cause)),
            (self._gone, need is not None and entry.gone),
        ):
            if belongs:
                where.setdefault(key)
            else:
                where.pop(key, None)
        if need is None or entry.gone or entry.flying:
            return
        if entry.due <= now:
            self._ready[need].setdefault(key)
        else:
            heappush(self._later, (entry.due, key))

    # --- what is on record --------------------------------------------------------------------------

    def unwritten(self, target: str, now: float) -> tuple[list[Told], list[Key]]:
        """What is to be kept, and what is to be forgotten, since it was last asked."""
        keys, self._unwritten = self._unwritten, set()
        rows, gone = [], []
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None and entry.on_record:
                rows.append(self._row(target, key, entry, now))
            elif key in self._remembered:
                rows.append(self._remembered[key])
            else:
                gone.append(key)
        return rows, gone

    def _row(self, target: str, key: Key, entry: Entry, now: float) -> Told:
        return Told(target, *key, entry.session.started, entry.held is Held.BLOCKED, self._value, now)

    def unkept_rows(self, rows: list[Told], gone: list[Key]) -> None:
        """They could not be written: the next time."""
        self._unwritten.update(((row.nas, row.session) for row in rows), gone)

    # --- what is so ---------------------------------------------------------------------------------

    def get(self, key: Key) -> Entry | None:
        """Where one session stands; None: none such runs."""
        return self._entries.get(key)

    def keys(self) -> list[Key]:
        """Every session that runs."""
        return list(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def failing(self) -> list[Entry]:
        """Sessions that are not as they should be after an attempt, in order."""
        return [self._entries[key] for key in self._failing]

    @property
    def absent(self) -> list[Entry]:
        """Sessions that accounting has as running and the BNG does not know."""
        return [self._entries[key] for key in self._gone]

    @property
    def silent(self) -> bool:
        """True while the BNG answers nothing."""
        return self._pauses > 0

    @property
    def waiting(self) -> int:
        """How many sessions are not as they should be yet."""
        return len(self._needing)

    def is_settled(self, keys: Iterable[Key]) -> bool:
        """True when none of ``keys`` waits for its first answer."""
        return not any(key in self._needing and not self._entries[key].tries for key in keys)

    def closed(self) -> tuple[Prefix, ...]:
        """The addresses of sessions that are to be open and that the BNG has not opened, as far as it is known."""
        shut = (self._entries[key] for key in self._needing)
        return tuple(prefix for entry in shut if not entry.blocked for prefix in prefixes_of(entry.session))

    def on_record(self) -> list[Session]:
        """The sessions that may be blocked there by a word of ours."""
        return [entry.session for entry in self._entries.values() if entry.on_record]


def _emptying(ready: OrderedDict[Key, None]) -> Iterator[Key]:
    while ready:
        yield ready.popitem(last=False)[0]


def _who(session: Session) -> str:
    """Whoever comes back after a session has ended."""
    return session.login or session.mac or f"{session.nas} {session.session}"


def _is_another(session: Session, started: float) -> bool:
    """A NAS that counts from 1 again: what is known of a session's beginning only ever gets earlier."""
    return session.started > started + 1.0
