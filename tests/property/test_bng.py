# SPDX-License-Identifier: Apache-2.0
"""After losses, refusals, reboots, restarts and payments every blocked session is told, every open one restored.

The BNG of these tests is a dictionary that does what RFC 5176 says, and edged's disk is what was written to it in time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.enforce.bng.entry import Order
from edged.enforce.bng.ledger import Ledger
from edged.enforce.bng.places import Key, Places, first, is_blocked, prefixes_of
from edged.enforce.bng.ways import WAYS, Act
from edged.enforce.desired import desired
from edged.enforce.diff import Actual, diff
from edged.enforce.rules import Rules
from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.client import Outcome, Result
from edged.state.sessions import Session
from edged.state.told import Told
from edged.values import Prefix, parse_prefix
from tests.bng_world import NOW, session

NAS = "127.0.0.1"
LOGINS = ("anna", "bert", "cleo")
NAMES = ("s-1", "s-2", "s-3", "s-4")


@dataclass
class World:
    """A BNG that has sessions on lists, edged that has sessions by its reports, and a disk."""

    attribute: str
    now: float = NOW
    there: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    """At the BNG: session to login, start and list."""
    known: dict[str, Session] = field(default_factory=dict)
    """At edged, by accounting."""
    debtors: set[str] = field(default_factory=set)
    disk: dict[Key, Told] = field(default_factory=dict)
    book: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.book = Ledger(WAYS[self.attribute])

    def write(self) -> None:
        rows, gone = self.book.unwritten("bng", self.now)
        self.disk.update({(row.nas, row.session): row for row in rows})
        for key in gone:
            self.disk.pop(key, None)

    def restart(self) -> None:
        """edged is killed: what was not written is lost."""
        self.book = Ledger(WAYS[self.attribute])
        for one in self.known.values():
            self.book.seen((NAS, one.session), one, self.now, blocked=one.login in self.debtors)
        # the sessions are known before the record is read
        self.book.remember(list(self.disk.values()), self.now)

    def begin(self, name: str, login: str, *, reported: bool) -> None:
        if name not in self.there:
            self.there[name] = (login, self.now, "")
            if reported:
                self.report(name)

    def report(self, name: str) -> None:
        login, started, on = self.there[name]
        known = self.known.get(name)
        if known is not None and (known.login, known.started) == (login, started):
            one = replace(known, updated=self.now)
        else:
            one = session(name, login=login, started=started, updated=self.now)
        self.known[name] = one
        shown = on == "blocked" if self.attribute == "Filter-Id" and on else None
        self.book.seen((NAS, name), one, self.now, blocked=login in self.debtors, shown=shown)

    def end(self, name: str, *, reported: bool) -> None:
        if self.there.pop(name, None) is not None and reported and name in self.known:
            del self.known[name]
            self.book.ended((NAS, name))

    def sleep(self, name: str) -> None:
        """Nobody has reported on it for long: it may run all the same."""
        if name in self.known:
            one = self.known[name]
            self.book.slept((NAS, name), replace(one, stopped=one.updated, silent=1), self.now, blocked=self.owes(one))

    def owes(self, one: Session) -> bool:
        return one.login in self.debtors

    def reboot(self, *, reported: bool) -> None:
        for name in tuple(self.there):
            self.end(name, reported=reported)

    def judge(self, login: str, *, owes: bool) -> None:
        (self.debtors.add if owes else self.debtors.discard)(login)
        for name, one in self.known.items():
            self.book.wants((NAS, name), self.now, blocked=one.login in self.debtors)

    def take(self) -> Order | None:
        """What goes out now; on disk before it does."""
        order = self.book.take(self.now)
        if order is not None:
            self.write()
        return order

    def act(self, order: Order) -> Result:
        name, login = order.session.session, order.session.login
        if name not in self.there or self.there[name][0] != login:
            return Result(Outcome.NAK, 503)
        self.there[name] = (*self.there[name][:2], "blocked" if order.act is Act.BLOCK else "open")
        return Result(Outcome.ACK)

    def exchange(self, fate: str) -> None:
        """One request with this fate, if one is due."""
        order = self.take()
        if order is None:
            return
        if fate.startswith("killed"):
            # between the record and the request, or between the request and its answer
            if fate == "killed-later":
                self.act(order)
            self.restart()
            return
        if fate.startswith("overtaken"):  # by a report of before
            for name in self.there:
                self.report(name)
            self.now += 3.0
        match fate.removeprefix("overtaken-"):
            case "unkept":
                self.book.unkept(order, "disk is full", self.now)
                return
            case "refused":
                result = Result(Outcome.NAK, 506)
            case "lost":
                result = Result(Outcome.TIMEOUT)
            case "unanswered":
                self.act(order)
                result = Result(Outcome.TIMEOUT)
            case _:
                result = self.act(order)
        self.book.answered(order, result, self.now)

    def calm(self) -> None:
        """From now on everything works: every session reports twice, and what is due is sent."""
        for _ in range(3):
            self.now += 1000.0
            for name in self.there:
                self.report(name)
            for _ in range(300):
                self.exchange("answered")
                due = self.book.next_due(self.now)
                if due > self.now + 700:
                    break
                self.now = max(self.now, due)
        self.write()


OVERTAKEN = ("overtaken-lost", "overtaken-unanswered", "overtaken-answered")
FATES = st.sampled_from(
    ["answered", "answered", "refused", "lost", "unanswered", "unkept", "killed", "killed-later", *OVERTAKEN]
)
LOGIN, NAME = st.sampled_from(LOGINS), st.sampled_from(NAMES)
OWES = st.tuples(st.just("owes"), LOGIN, st.booleans())
EXCHANGE = st.tuples(st.just("exchange"), FATES)
RARE = st.one_of(
    st.tuples(st.just("end"), NAME, st.booleans()),
    st.tuples(st.just("reboot"), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("write")),
    st.tuples(st.just("sleep"), NAME),
)
STEPS = st.one_of(
    OWES, OWES, EXCHANGE, EXCHANGE, EXCHANGE, RARE,
    st.tuples(st.just("begin"), NAME, LOGIN, st.booleans()),
    st.tuples(st.just("report"), NAME),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 40.0, 700.0])),
)  # fmt: skip


def step(world: World, what: str, *how: object) -> None:
    match what, how:
        case "begin", (str(name), str(login), bool(reported)):
            world.begin(name, login, reported=reported)
        case "end", (str(name), bool(reported)):
            world.end(name, reported=reported)
        case "owes", (str(login), bool(owes)):
            world.judge(login, owes=owes)
        case "report", (str(name),):
            if name in world.there:
                world.report(name)
        case "reboot", (bool(reported),):
            world.reboot(reported=reported)
        case "restart", ():
            world.restart()
        case "write", ():
            world.write()
        case "exchange", (str(fate),):
            world.exchange(fate)
        case "sleep", (str(name),):
            world.sleep(name)
        case "wait", (float(seconds),):
            world.now += seconds
        case other:
            raise AssertionError(other)
    world.now += 2.5  # a report is never as old as the acknowledgement before it


@settings(max_examples=settings().max_examples * 25)
@given(st.sampled_from(["Mikrotik-Address-List", "Filter-Id"]), st.lists(STEPS, min_size=12, max_size=30))
def test_every_blocked_session_is_told_and_every_open_one_restored(
    attribute: str, steps: list[tuple[object, ...]]
) -> None:
    world = World(attribute)
    for name, login in zip(NAMES, LOGINS, strict=False):
        world.begin(name, login, reported=True)
        world.judge(login, owes=True)
    for what, *how in steps:
        step(world, str(what), *how)

    world.calm()

    for name, (login, _, on) in world.there.items():
        assert (on == "blocked") is (login in world.debtors), (name, login, on, world.book.get((NAS, name)))
    # and nobody is named as failing who is not
    assert not world.book.failing
    # what is on record is who is blocked
    assert {name for (_, name) in world.disk if name in world.there} == {
        name for name, (login, _, _) in world.there.items() if login in world.debtors
    }


# --- who is concerned by a change -----------------------------------------------------------------

ADDRESSES = [
    *(f"100.64.0.{n}" for n in range(4)),
    "100.64.0.0/30",
    "2001:db8:100::/56",
    "2001:db8:100::/64",
    "2001:db8:100::5",
]
SETTINGS = SubscribersSettings.model_validate(
    {"networks": ["100.64.0.0/24", "2001:db8::/32"], "exempt": ["100.64.0.3"]}
)
WHERE = st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True)
LISTS = st.lists(st.tuples(WHERE, st.sampled_from(State)), max_size=4)


def view(listed: list[tuple[list[str], State]]) -> View:
    subscribers = tuple(
        Subscriber(str(n), state, addresses=tuple(map(parse_prefix, where))) for n, (where, state) in enumerate(listed)
    )
    return View(compile_table(Snapshot("s", "1", NOW, subscribers), SETTINGS))


@given(LISTS, LISTS, st.lists(WHERE, min_size=1, max_size=3))
def test_a_change_of_the_sets_names_every_session_that_is_to_be_treated_otherwise(
    before: list[tuple[list[str], State]], after: list[tuple[list[str], State]], sessions: list[list[str]]
) -> None:
    then, now = view(before), view(after)
    held, rules = desired(then, Rules(), NOW), Rules()
    plan = diff(desired(now, rules, NOW), Actual(rules, held.sets))
    places = Places()
    changed: set[Key] = set()
    for number, where in enumerate(sessions):
        v4 = next((a for a in where if ":" not in a and "/" not in a), "")
        one = session(str(number), ipv4=v4, ipv6=" ".join(a for a in where if ":" in a))
        places.put((NAS, str(number)), one)
        if is_blocked(then, one, prefixes_of(one), NOW) != is_blocked(now, one, prefixes_of(one), NOW):
            changed.add((NAS, str(number)))

    concerned = places.concerned(plan)

    # a line that becomes somebody else's, and stays open or blocked, changes no set: the audit finds such a session
    unseen = {
        key for key in changed if not _access_differs(then, now, prefixes_of(session(ipv4="", ipv6=_of(sessions, key))))
    }
    assert concerned is not None
    assert changed - unseen <= concerned


def _of(sessions: list[list[str]], key: Key) -> str:
    where = sessions[int(key[1])]
    return " ".join([*(a for a in where if ":" in a), *[a for a in where if ":" not in a and "/" not in a][:1]])


def _access_differs(then: View, now: View, prefixes: Iterable[Prefix]) -> bool:
    return any(
        (then.decide(first(p), NOW).access is Access.BLOCKED) != (now.decide(first(p), NOW).access is Access.BLOCKED)
        for p in prefixes
    )


# --- pools ----------------------------------------------------------------------------------------


@dataclass
class Pools(World):
    """A BNG that ends sessions on request; subscribers come back in the pool that a RADIUS server gives them."""

    attribute: str = "Framed-Pool"
    right: bool = True
    """The RADIUS server knows who owes."""
    away: list[str] = field(default_factory=list)
    """Who was sent away and has not come back."""
    count: int = 0

    def report(self, name: str) -> None:
        login, started, pool = self.there[name]
        self.known[name] = one = session(name, login=login, started=started, updated=self.now)
        self.book.seen((NAS, name), one, self.now, blocked=login in self.debtors, shown=pool == "blocked")

    def come(self, login: str) -> None:
        if login in {there for there, _, _ in self.there.values()}:
            return
        self.count += 1
        owes = login in self.debtors
        pool = "blocked" if owes is self.right else "open"
        self.there[f"s-{self.count}"] = (login, self.now, pool)
        self.report(f"s-{self.count}")

    def act(self, order: Order) -> Result:
        name = order.session.session
        if name not in self.there:
            return Result(Outcome.NAK, 503)
        login, _, _ = self.there[name]
        self.end(name, reported=True)
        self.away.append(login)
        return Result(Outcome.ACK)

    def back(self) -> None:
        while self.away:
            self.come(self.away.pop())


POOL_STEPS = st.one_of(
    OWES, OWES,
    st.tuples(st.just("come"), LOGIN),
    st.tuples(st.just("right"), st.booleans()),
    st.tuples(st.just("back")),
    st.tuples(st.just("exchange"), st.sampled_from(["answered", "answered", "refused", "lost", "unanswered"])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 40.0, 700.0])),
)  # fmt: skip


@settings(max_examples=settings().max_examples * 10)
@given(st.lists(POOL_STEPS, min_size=8, max_size=30))
def test_everybody_ends_in_the_pool_where_they_belong(steps: list[tuple[object, ...]]) -> None:
    world = Pools()
    for login in LOGINS:
        world.come(login)
    for what, *how in steps:
        match what, how:
            case "come", (str(login),):
                world.come(login)
            case "right", (bool(right),):
                world.right = right
            case "back", ():
                world.back()
            case _:
                step(world, str(what), *how)
        world.now += 2.5

    world.right = True
    sent = 0
    for _ in range(60):
        world.back()
        before = len(world.away)
        world.exchange("answered")
        sent += len(world.away) > before
        due = world.book.next_due(world.now)
        if not world.away and due > world.now + 1e5:
            break
        world.now = world.now + 1 if world.away else min(max(world.now, due), world.now + 700)
        for name in world.there:
            world.report(name)

    for name, (login, _, pool) in world.there.items():
        owes = login in world.debtors
        assert not owes or pool == "blocked", (name, login)
        # who is in the pool of the blocked and was never blocked by edged is somebody's else's business
        entry = world.book.get((NAS, name))
        assert owes or pool == "open" or (entry is not None and not entry.on_record and not entry.returned)
    assert sent <= 3 * len(LOGINS), "nobody is ended again and again"
