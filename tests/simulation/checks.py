"""What must be true after every step of a simulated day; each promise has the letter of docs/decisions/0017."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edged.model import Snapshot, State, Subscriber
from edged.values import Prefix
from tests.simulation.billing import OWNER, Answer, Billing

STALENESS = 4 * 3600.0
"""Seconds: billing serves lists at most three hours old, and what was read may be an hour in force without contact."""
DAY = 86400.0
SLACK = 120.0
"""Seconds between the guard's judgement and what is seen outside."""


class BrokenPromiseError(AssertionError):
    """A promise was broken; the text bears the last events."""


def blocked_in(snapshot: Snapshot | None) -> set[str]:
    return set() if snapshot is None else {s.id for s in snapshot.subscribers if s.state is State.BLOCKED}


@dataclass
class Checks:
    """Sees everything, touches nothing."""

    billing: Billing
    time: Callable[[], float]
    limit: int
    honest: bool
    """No lie about a single subscriber was told today: (a) holds without exception."""
    enforced: Snapshot | None = None
    """What the packet filter has: it outlives the daemon."""
    cut_off: set[str] = field(default_factory=set)
    """Who is blocked in it."""
    lines: dict[Prefix, str] = field(default_factory=dict)
    """The addresses that are blocked in it, and as whose."""
    on_disk: set[str] | None = None
    """Who is blocked by the list on disk; None: there is none."""
    accepted: set[str] = field(default_factory=set)
    """Who is blocked by the reading that the guard, or a person, accepted last."""
    by_hand: set[str] = field(default_factory=set)
    judged_true: bool = False
    """Whether the reading that was accepted last was complete and of its moment."""
    single: dict[str, float] = field(default_factory=dict)
    """Who was blocked by a single answer, and when."""
    words: tuple[float, set[str]] | None = None
    """When the reading that is held was judged, and whom it names as active or reminded."""
    newly: list[tuple[float, str]] = field(default_factory=list)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    published: list[tuple[float, str]] = field(default_factory=list)
    worst_wait: float = 0.0

    def note(self, event: str) -> None:
        self.events.append(f"{self.time():10.1f}  {event}")

    def fail(self, promise: str, text: str) -> None:
        tail = "\n".join(self.events)
        raise BrokenPromiseError(f"({promise}) {text}\nthe last events:\n{tail}")

    # --- what the daemon does ------------------------------------------------------------------

    def judged(self, reading: Snapshot, answer: Answer, *, accepted: bool) -> None:
        self.note(f"{'accepted' if accepted else 'held'}: {len(blocked_in(reading))} blocked in {reading.id}")
        self.words = None
        if not accepted:
            self.words = self.time(), {s.id for s in reading.subscribers if s.state is not State.BLOCKED}
        if accepted:
            self.judged_true = answer.true
            self.accepted, self.by_hand = blocked_in(reading), set()

    def judged_word(self, word: Subscriber) -> None:
        self.note(f"a single answer: {word.id} is {word.state.value}")
        if word.state is State.BLOCKED:
            self.accepted = self.accepted | {word.id}
            self.single[word.id] = self.time()
            if self.words is not None:
                self.words[1].discard(word.id)

    def by_person(self, reading: Snapshot) -> None:
        self.note(f"the operator accepts {reading.id}")
        self.accepted = self.by_hand = blocked_in(reading)

    def saved(self, snapshot: Snapshot) -> None:
        self.on_disk = blocked_in(snapshot)

    def spoken(self, words: Iterable[Subscriber]) -> None:
        """Words that were appended to the list on disk."""
        for word in words:
            self.on_disk = (self.on_disk or set()) - {word.id}
            if word.state is State.BLOCKED:
                self.on_disk.add(word.id)

    def publish(self, snapshot: Snapshot, *, loading: bool) -> None:
        before, now = self.cut_off, blocked_in(snapshot)
        new, opened = now - before, before - now
        self.note(
            f"{'loaded' if loading else 'published'}: {len(now)} blocked, new {sorted(new)}, open {sorted(opened)}"
        )
        self.published.append((self.time(), snapshot.id))
        if loading:
            if now != self.on_disk:
                self.fail(
                    "d",
                    f"a restart serves another list than the last good one: {sorted(now ^ (self.on_disk or set()))}",
                )
        elif not new <= self.accepted:
            self.fail("e", f"{sorted(new - self.accepted)} are blocked and no accepted reading says so")
        self._right_lines(snapshot)
        self._no_payer(new, loading=loading)
        self._within_limit(new - self.by_hand, loading=loading)
        if len(before) > 5 and not now:
            self.fail("f", "the list in force is empty, and billing's is not")
        self.enforced, self.cut_off = snapshot, now

    def killed(self, *, quiet: bool) -> None:
        if quiet and self.enforced is not None and self.on_disk != self.cut_off:
            self.fail("d", "the list on disk is not the one in force, and nobody is at work on it")

    # --- (a), (b), (e), (c) --------------------------------------------------------------------

    def _right_lines(self, snapshot: Snapshot) -> None:
        """Every address that was not blocked before is somebody's who was."""
        lines = {prefix: s.id for s in snapshot.subscribers if s.state is State.BLOCKED for prefix in s.addresses}
        before, self.lines = self.lines, lines
        if not self.honest:
            return
        since = self.time() - STALENESS
        for prefix, name in lines.items():
            if prefix not in before:
                owner = OWNER[prefix]
                if not self.billing.truly_blocked_since(owner, since):
                    self.fail("a", f"the line of {owner}, who was not blocked, is blocked as {name}")

    def _no_payer(self, new: set[str], *, loading: bool) -> None:
        """Whoever was opened for a payment is not blocked again by a reading that is older than the payment."""
        if loading or not self.judged_true:
            return
        for who in new:
            paid = self.billing.changed.get(who, 0.0)
            late = self.single.get(who, -1.0) >= paid  # a single answer that lagged behind
            if self.billing.state.get(who) is State.ACTIVE and paid <= self.time() - SLACK and not late:
                self.fail("c", f"{who} has paid, was opened, and is blocked again though billing answers truly")

    def _within_limit(self, new: set[str], *, loading: bool) -> None:
        if not loading:
            self.newly += [(self.time(), who) for who in new]
        in_window = {who for at, who in self.newly if at > self.time() - DAY + SLACK}
        if len(in_window) > self.limit:
            self.fail("b", f"{len(in_window)} were newly blocked within a day, {self.limit} may be")

    def payers_open(self, began: float) -> None:
        """After a true answer that began at ``began``: nobody is blocked who had paid by then."""
        for who in self.cut_off:
            if (
                self.billing.state.get(who, State.ACTIVE) is not State.BLOCKED
                and self.billing.changed.get(who, 0) < began
            ):
                waited = self.time() - self.billing.changed.get(who, 0)
                self.fail(
                    "c", f"{who} paid {waited:.0f} s ago, billing has answered truly since, and the line is blocked"
                )

    def words_heard(self, before: float) -> None:
        """Whoever a held reading names as active, or only reminded, is not blocked."""
        if self.words is not None and self.words[0] < before and (waiting := self.words[1] & self.cut_off):
            self.fail("c", f"a held reading says that {sorted(waiting)} are not blocked, and they are")

    def pause(self, began: float, since: float, *, longest: float) -> None:
        self.worst_wait = max(self.worst_wait, began - since)
        if began - since > longest:
            self.fail("c", f"billing was not asked for {began - since:.0f} s, {longest:.0f} are the longest")

    # --- when the faults are over --------------------------------------------------------------

    def converged(self) -> None:
        wrong = self.cut_off ^ self.billing.blocked()
        if wrong:
            self.fail("liveness", f"the faults are over and {sorted(wrong)} are not as billing has them")
