# SPDX-License-Identifier: Apache-2.0
"""What each session of one BNG should be, what it was told, and what is said next. No I/O; the clock is passed in.

A session that may have been told to be blocked is on record before it is told, and stays there until the BNG has
acknowledged the opposite or reported its end: no loss, no refusal and no restart leaves somebody blocked who has paid.
Opening goes before blocking. RFC 5176 sections 2.3 and 3.5.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from edged.enforce.bng.entry import LATE, Counters, Entry, Held, Order, is_another
from edged.enforce.bng.places import Key, prefixes_of
from edged.enforce.bng.record import Record
from edged.enforce.bng.returns import Returns
from edged.enforce.bng.turns import FRESH_FIRST, IN_TURN, Kind, Turns
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
MOST_BLOCKS = 12
"""Requests that block under way at once: there is always room for somebody who has paid."""
IN_SILENCE = 4
"""Requests under way at once at a BNG that answers nothing."""


class Ledger:
    """Every session of one BNG that runs."""

    def __init__(self, way: Way, value: str = "") -> None:
        """``value``: what who is blocked is told now; a session that was told another is told again."""
        self.counters = Counters()
        self._way = way
        self._record = Record(value)
        self._entries: dict[Key, Entry] = {}
        self._recalled = False
        self._lifting = False
        self._turns = Turns()
        self._needing: dict[Key, None] = {}
        self._shut: dict[Key, tuple[Prefix, ...]] = {}
        """Of sessions that are to be opened, their addresses."""
        self._failing: dict[Key, None] = {}
        self._gone: dict[Key, None] = {}
        self._flying: Counter[Act] = Counter()
        self._returns = Returns()
        self._silent_until = 0.0
        self._pauses = 0
        self._latest = 0.0
        """The clock when it was last looked at."""

    # --- what is reported, and what is wanted -------------------------------------------------------

    def remember(self, rows: list[Told], now: float, *, more: bool = False) -> None:
        """Take what an earlier run may have told; ``more``: that was not all."""
        for row in rows:
            entry = self._entries.get((row.nas, row.session))
            if entry is None:
                self._record.remember(row)
            else:
                self._record.recall((row.nas, row.session), entry, row)
                self._place((row.nas, row.session), entry, now)
        self._recalled = not more
        for key in [] if more else [key for key, entry in self._entries.items() if entry.asleep]:
            self._place(key, self._entries[key], now)

    def seen(self, key: Key, session: Session, now: float, *, blocked: bool, shown: bool | None = None) -> None:
        """``session`` runs, as of a report, and is to be ``blocked`` or not; ``shown``: as in ``Entry``."""
        self._steady(now)
        entry = self._entries.get(key)
        if entry is None or is_another(session, entry.session.started):
            before, entry = entry, Entry(session, blocked)
            if before is not None:
                self.ended(key)
                # its beginning was reported late: what was said since was said to it
                if before.on_record and session.started <= before.sent + LATE:
                    entry.held, entry.sent, entry.formers = Held.MAYBE, before.sent, before.formers
            self._entries[key] = entry
            self._begin(key, entry, now)
        entry.session, entry.asleep = session, False
        self._shut.pop(key, None)
        is_news = session.updated > entry.answered + MARGIN
        if self._way.leaves or (is_news and entry.flying is None):
            entry.shown = shown
        if is_news and entry.absent:
            entry.due = now if entry.gone else entry.due
            entry.alive = True
        self._want(key, entry, now, blocked=blocked)
        self._place(key, entry, now)

    def wants(self, key: Key, now: float, *, blocked: bool) -> None:
        """The session, if it runs, is to be blocked or not."""
        self._steady(now)
        entry = self._entries.get(key)
        if entry is not None and entry.blocked is not blocked:
            self._want(key, entry, now, blocked=blocked)
            self._place(key, entry, now)

    def ended(self, key: Key) -> None:
        """The session is over."""
        entry = self._drop(key)
        if self._record.forget(key) or (entry is not None and entry.on_record):
            self._record.change(key)

    def slept(self, key: Key, session: Session, now: float, *, blocked: bool) -> None:
        """Nobody has reported on ``session`` for long. It may run, and be blocked by us: who pays is opened."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(session, blocked)
            self._begin(key, entry, now)
        entry.session, entry.asleep = session, True
        self._want(key, entry, now, blocked=blocked)
        self._place(key, entry, now)

    def _drop(self, key: Key) -> Entry | None:
        entry = self._entries.pop(key, None)
        self._turns.drop(key)
        for some in (self._needing, self._failing, self._gone, self._shut):
            some.pop(key, None)
        if entry is not None and entry.flying is not None:
            self._flying[entry.flying] -= 1
        return entry

    def _begin(self, key: Key, entry: Entry, now: float) -> None:
        self._record.recall(key, entry)
        if self._way.leaves:
            entry.returned = entry.session in self._returns
            entry.due = max(now, self._returns.due(entry.session))

    def _want(self, key: Key, entry: Entry, now: float, *, blocked: bool) -> None:
        if entry.blocked is not blocked:
            entry.blocked, entry.confirmed, entry.absent, entry.alive = blocked, False, False, False
            # somebody has paid, or has not: nothing is left to wait for, but the end of what has been ended
            entry.tries, entry.cause, entry.due = 0, "", max(now, entry.left + LEAVES_WITHIN)
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
        if entry.shown is False and entry.on_record and not entry.formers:
            return Held.NEVER
        if entry.shown and entry.held is not Held.BLOCKED:
            # an address in the pool of the blocked may be there for reasons that are not edged's
            ours = self._way.is_ours or entry.blocked or entry.on_record or (entry.returned and not self._lifting)
            return Held.BLOCKED if ours else entry.held
        return entry.held

    def lift(self) -> None:
        """Nobody is to be blocked by edged any more: what another than edged puts in a pool stays there."""
        self._lifting = True

    # --- what is said next --------------------------------------------------------------------------

    def take(self, now: float) -> Order | None:
        """The next request to send; ``answered`` or ``unkept`` is to be called for it. None: nothing is due."""
        self._steady(now)
        for key in self._turns.ripe(now):
            entry = self._entries.get(key)
            if entry is not None and entry.due <= now:
                self._place(key, entry, now)
        for kind in self._allowed(now):
            for key in self._turns.taken(kind):
                entry = self._entries.get(key)
                if entry is not None and entry.flying is None and entry.due <= now and _kind(entry) == kind:
                    return self._order(key, kind[0], entry, now)
        return None

    def _allowed(self, now: float) -> tuple[Kind, ...]:
        """What may be said now. What others are not answered holds up nobody who has just paid."""
        flying = self._flying.total()
        if self._pauses and (flying or now < self._silent_until):
            return IN_TURN[:1] if flying < IN_SILENCE else ()
        if self._pauses:
            return FRESH_FIRST
        return IN_TURN if self._flying[Act.BLOCK] < MOST_BLOCKS else IN_TURN[:2]

    def _order(self, key: Key, act: Act, entry: Entry, now: float) -> Order:
        order = Order(key, act, entry.session, entry, entry.held)
        entry.flying, entry.sent = act, now
        self._flying[act] += 1
        # whatever it says may hold from the moment that it goes out, and only a report after the exchange can tell
        entry.shown = entry.shown if self._way.leaves else None
        self._hold(key, entry, Held.MAYBE)
        return order

    def next_due(self, now: float) -> float:
        """When ``take`` may next have something, epoch seconds; infinity: only after news."""
        if self._turns.any(self._allowed(now)):
            return now
        if not self._pauses:
            return self._turns.next
        if self._flying.total():
            return math.inf
        return max(now if self._turns.any() else self._turns.next, self._silent_until)

    def _steady(self, now: float) -> None:
        """A clock that went back leaves nobody waiting for a time that is far away by now."""
        by, self._latest = self._latest - now, now
        if by <= 1.0:
            return
        self._silent_until -= by
        self._returns.set_back(by)
        for key, entry in tuple(self._entries.items()):
            entry.due, entry.left, entry.sent, entry.answered = (
                at - by for at in (entry.due, entry.left, entry.sent, entry.answered)
            )
            self._place(key, entry, now)

    def answered(self, order: Order, result: Result, now: float) -> None:
        """``order`` ended so."""
        self._steady(now)
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
        """``order`` was not sent, since it cannot be remembered, or cannot name its session."""
        if self._landed(order):
            if order.entry.held is Held.MAYBE:
                self._hold(order.key, order.entry, order.before)
            self._failed(order.entry, why, REFUSED_WAITS, now)
            self._place(order.key, order.entry, now)

    def _landed(self, order: Order) -> bool:
        """True when the session that ``order`` was about still runs."""
        if self._entries.get(order.key) is not order.entry:
            return False
        order.entry.flying = None
        self._flying[order.act] -= 1
        return True

    def _acknowledged(self, order: Order, now: float) -> None:
        entry = order.entry
        entry.absent, entry.alive, entry.formers = False, False, ()
        if not self._way.leaves:
            self._hold(order.key, entry, Held.BLOCKED if order.act is Act.BLOCK else Held.OPENED)
            entry.tries, entry.cause, entry.confirmed = 0, "", False
            return
        # its end is what counts, and that is accounting's word
        entry.left = now
        self._returns.sent_away(entry.session, now, REFUSED_WAITS)
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
            self._record.change(key)

    def _place(self, key: Key, entry: Entry, now: float) -> None:
        """Put ``entry`` where it belongs."""
        need = entry.need
        if need is None:
            entry.tries, entry.cause = 0, ""
            # once: the next report of one line says nothing of another line of the same login
            if self._way.leaves and not entry.settled:
                self._returns.settle(entry.session)
        entry.settled = need is None
        if entry.asleep and self._recalled and entry.flying is None and (entry.gone or not entry.on_record):
            self.ended(key)  # there is nothing to undo
            return
        for where, belongs in (
            (self._needing, need is not None and not entry.gone),
            (self._failing, need is not None and not entry.gone and bool(entry.cause)),
            (self._gone, need is not None and entry.gone),
        ):
            if belongs:
                where.setdefault(key)
            else:
                where.pop(key, None)
        if need is not Act.OPEN or entry.gone:
            self._shut.pop(key, None)
        elif key not in self._shut:
            self._shut[key] = prefixes_of(entry.session)
        kind = _kind(entry)
        if kind is not None and not entry.gone and entry.flying is None:
            self._turns.put(key, kind, entry.due, now)

    # --- what is on record --------------------------------------------------------------------------

    def unwritten(self, target: str, now: float) -> tuple[list[Told], list[Key]]:
        """What is to be kept, and what is to be forgotten, since it was last asked."""
        return self._record.unwritten(self._entries, target, now)

    def unkept_rows(self, rows: list[Told], gone: list[Key]) -> None:
        """They could not be written: the next time."""
        for key in chain(((row.nas, row.session) for row in rows), gone):
            self._record.change(key)

    # --- what is so ---------------------------------------------------------------------------------

    def get(self, key: Key) -> Entry | None:
        """Where one session stands; None: none such runs."""
        return self._entries.get(key)

    def keys(self) -> list[Key]:
        """Every session that runs."""
        return list(self._entries)

    def __len__(self) -> int:
        return sum(not entry.asleep for entry in self._entries.values())

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
        return tuple(chain.from_iterable(self._shut.values()))

    def on_record(self) -> list[Session]:
        """The sessions that may be blocked there by a word of ours."""
        return [entry.session for entry in self._entries.values() if entry.on_record]


def _kind(entry: Entry) -> Kind | None:
    """What is still to be said, and whether it was tried in vain."""
    return None if entry.need is None else (entry.need, bool(entry.tries))
