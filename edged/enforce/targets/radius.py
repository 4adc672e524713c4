# SPDX-License-Identifier: Apache-2.0
"""A BNG as a target: each session whose subscriber is blocked or opened is told so by CoA or Disconnect. I/O. RFC 5176.

A BNG cannot be read. What it holds is what it has acknowledged, what its accounting shows since, and what is on record
of an earlier run. ``apply`` says what should be so; one task of the target's own says it to the BNG and goes on until
every session is as it should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog

from edged.enforce.bng import words
from edged.enforce.bng.entry import Counters, Held, Order
from edged.enforce.bng.ledger import Ledger
from edged.enforce.bng.places import Key, Places, sets_of
from edged.enforce.bng.ways import WAYS, Act, former, named, observed, said, unnamed
from edged.enforce.desired import BLOCKED, Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.rules import Rules
from edged.enforce.sets import SetName
from edged.enforce.settings import RadiusTargetSettings, TargetSettings
from edged.enforce.standing import Shortfall
from edged.errors import UpstreamError
from edged.radius.attributes import Attributes, attribute, text
from edged.radius.client import WAITS, Outcome, Result, change, disconnect
from edged.state.sessions import Session
from edged.state.told import Told
from edged.values import Endpoint, IpAddress, MacAddress, Prefix, host_prefix

log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Requests under way at one BNG."""
SETTLE_S = 2.0
"""Seconds that ``apply`` waits for the first answer about what it concerns: most BNGs need milliseconds."""
FEW = 64
"""Up to so many sessions are waited for."""
PIECE = 100
"""Sessions judged between two turns of the loop: a few milliseconds."""
DISK_S = 1.0
"""Seconds that a request waits for the disk: who is blocked waits longer then, who has paid no longer."""
AUDIT = 200
"""Sessions judged again at each reading, in turn, whatever the sets say."""
REST_S = 5.0
"""Seconds after which the task looks again, whatever it was told: clocks step."""

Judge = Callable[[Session], bool]
"""Whether a session is to be blocked now."""


class Memory(Protocol):
    """What may have been told, over a restart."""

    async def load(self, target: str, now: float) -> list[Told]:
        """Every row of ``target``. UpstreamError when it cannot be read."""
        ...

    async def save(self, target: str, rows: Sequence[Told], gone: Iterable[tuple[str, str]]) -> None:
        """Durable on return. UpstreamError when it is not."""
        ...


CARRIED = frozenset((*BLOCKED.names, SetName.EXEMPT_4, SetName.EXEMPT_6, SetName.SERVED_4, SetName.SERVED_6))
"""A session may be in these; reminders and the VLAN of the blocked are for those who see packets."""


class RadiusTarget:
    """One BNG."""

    carries = CARRIED

    def __init__(
        self,
        settings: RadiusTargetSettings,
        *,
        clock: Callable[[], float] = time.time,
        waits: tuple[float, ...] = WAITS,
    ) -> None:
        self.name = str(settings.nas)
        self._settings = settings
        self._way = WAYS[settings.attribute]
        self._endpoint = Endpoint(settings.nas, settings.port)
        self._clock = clock
        self._waits = waits
        self._ledger = Ledger(self._way, f"{settings.attribute}={settings.blocked}")
        self._places = Places()
        self._judge: Judge = lambda _session: False
        self._memory: Memory | None = None
        self._recalled = False
        self._wanted: Desired | None = None
        """What was last asked for; None: nothing yet, and until then nothing is said."""
        self._audited: list[Key] = []
        self._task: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._recalling, self._writing = asyncio.Lock(), asyncio.Lock()
        self._stir = asyncio.Event()
        self._unkept = asyncio.Event()
        self._answers = asyncio.Event()

    @classmethod
    def of(cls, entry: TargetSettings) -> RadiusTarget:
        """The target of an entry of ``enforce`` whose kind is radius."""
        assert entry.radius is not None  # noqa: S101  # ``TARGETS`` is asked by the entry's kind
        return cls(entry.radius)

    def follow(self, judge: Judge, memory: Memory) -> None:
        """Take what says whether a session is to be blocked, and what remembers. Before ``start``."""
        self._judge, self._memory = judge, memory

    def heard(self, sessions: Iterable[Session], given: Attributes = ()) -> None:
        """Take sessions as accounting has them now, and the report ``given`` of one of them."""
        reported, now = text(given, "Acct-Session-Id"), self._clock()
        for session in sessions:
            if not self._is_here(session):
                continue
            key = (session.nas, session.session)
            if session.stopped is not None:
                self._places.remove(key)
                if session.silent:
                    self._ledger.slept(key, session, now, blocked=self._is_to_be_blocked(session))
                else:
                    self._ledger.ended(key)
            else:
                self._places.put(key, session)
                about = given if reported == session.session else ()
                shown = observed(self._way, session, about, blocked=self._settings.blocked, pool=self._settings.pool)
                self._ledger.seen(key, session, now, blocked=self._is_to_be_blocked(session), shown=shown)
        self._stir.set()

    def _is_to_be_blocked(self, session: Session) -> bool:
        return self._wanted is not None and self._judge(session)

    def _is_here(self, session: Session) -> bool:
        if self._settings.client:
            return session.client == self._settings.client
        place = session.nas.rpartition("@")[2]
        return place.removesuffix(f"/{session.client}") == self.name

    # --- as in Target -----------------------------------------------------------------------------

    @property
    def warnings(self) -> Sequence[str]:
        """As in ``Target``."""
        found = []
        if not len(self._ledger):
            found.append("no session is known there: without its accounting at radius.acct nobody is blocked there")
        if absent := self._ledger.absent:
            whose = words.whose(absent)
            found.append(f"{words.sessions(absent)} by its accounting, and unknown to it by RFC 5176 ({whose})")
        return tuple(found)

    @property
    def lingering(self) -> Collection[Prefix]:
        """As in ``Target``: the lines that it has not acknowledged to be open."""
        return self._ledger.closed()

    @property
    def shortfall(self) -> Shortfall | None:
        """The sessions that are not as they should be after an attempt."""
        failing = self._ledger.failing
        if not failing:
            return None
        causes, one = sorted({entry.cause for entry in failing}), len(failing) == 1
        return Shortfall(
            sum(entry.blocked for entry in failing),
            f"{words.sessions(failing)} not as {'it' if one else 'they'} should be there: {', '.join(causes[:3])}"
            f" ({words.whose(failing)})",
        )

    async def start(self, rules: Rules) -> None:
        """As in ``Target``: whether a BNG takes CoA shows when one is sent."""

    async def read(self) -> Actual | None:
        """As in ``Target``: what was last asked for; at first, what is on record of an earlier run."""
        if self._task is not None and self._task.done():
            self._task.result()  # a bug of ours ends us loudly
        await self._recall()
        self._audit()
        if self._wanted is not None:
            return Actual(self._wanted.rules, self._wanted.sets)
        told = self._ledger.on_record()
        return Actual(None, await asyncio.to_thread(sets_of, told)) if told else None

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """As in ``Target``, save that the BNG is told by a task that goes on; its first answers are waited for."""
        concerned = None if self._wanted is None else self._places.concerned(plan)
        self._wanted = desired
        keys = self._ledger.keys() if concerned is None else list(concerned)
        for number, key in enumerate(keys, 1):
            self._judge_again(key)
            if number % PIECE == 0:
                await asyncio.sleep(0)
        self._begin()
        if len(keys) <= FEW and not self._ledger.silent:
            await self._settled(keys)
        return True

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """As in ``Target``: which garden the blocked reach is the BNG's own filter's matter."""

    async def vouch(self, seconds: float) -> None:
        """As in ``Target``: no reminder leads anywhere from here."""

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """As in ``Target``: the same."""

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        """As in ``Target``: whether a session with ``address``, or of a device, is acknowledged to be blocked."""
        keys = self._places.around(host_prefix(address)).union(*map(self._places.of_device, devices))
        entries = [entry for entry in map(self._ledger.get, keys) if entry is not None]
        if not entries:
            raise UpstreamError(f"no session of it is known at {self.name}")
        return any(entry.held is Held.BLOCKED for entry in entries)

    async def counters(self) -> dict[str, int]:
        """As in ``Target``: its packets are counted there."""
        return {}

    def render(self, _desired: Desired, plan: Plan) -> str:
        """As in ``Target``: the requests, one a line."""
        concerned = self._places.concerned(plan)
        lines = []
        for key in self._ledger.keys() if concerned is None else sorted(concerned):
            entry = self._ledger.get(key)
            if entry is None:
                continue
            blocked = self._judge(entry.session)
            if entry.held is not Held.BLOCKED if blocked else entry.on_record:
                value = self._settings.blocked if blocked else self._settings.open
                lines.append(words.request(self._endpoint, self._way, entry.session, value))
        return "\n".join(lines)

    async def lift(self) -> None:
        """Open whatever an earlier run blocked, while nobody is to be blocked. UpstreamError: it is not known yet."""
        self._wanted = Desired(Rules(), dict.fromkeys(SetName, frozenset()))
        self._ledger.lift()
        self._begin()
        await self._recall()

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._tell_all(), name=f"enforce-tell-{self.name}")
        self._stir.set()

    async def close(self) -> None:
        """As in ``Target``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))  # a bug of ours was said, and what is known is written all the same
            self._task = None
        with contextlib.suppress(UpstreamError):  # the record is of what may be so, and stays true without this
            await self._write()

    # --- what is counted --------------------------------------------------------------------------

    @property
    def requests(self) -> Counters:
        """Plain counts since the start."""
        return self._ledger.counters

    @property
    def sessions(self) -> dict[str, int]:
        """How many sessions of the BNG run, by where they stand; one may be counted twice."""
        ledger = self._ledger
        return {
            "known": len(ledger), "blocked": len(ledger.on_record()), "waiting": ledger.waiting,
            "failing": len(ledger.failing), "absent": len(ledger.absent),
        }  # fmt: skip

    # --- telling ----------------------------------------------------------------------------------

    async def _tell_all(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_record(), name=f"enforce-record-{self.name}")
            while True:
                await self._slots.acquire()
                self._stir.clear()
                order = self._ledger.take(self._clock())
                if order is not None:
                    group.create_task(self._tell(order), name="enforce-tell")
                    await asyncio.sleep(1 / self._settings.rate)
                    continue
                self._slots.release()
                self._unkept.set()
                now = self._clock()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.001, min(REST_S, self._ledger.next_due(now) - now))):
                        await self._stir.wait()

    async def _keep_record(self) -> None:
        """What has changed since it was last written, in time: a disk that hangs keeps nobody waiting."""
        while True:
            await self._unkept.wait()
            self._unkept.clear()
            with contextlib.suppress(UpstreamError):
                await self._recall()
                await self._write()

    async def _tell(self, order: Order) -> None:
        try:
            await self._make_durable(order.act)
            result = await self._ask(order)
        except UpstreamError as error:
            self._ledger.unkept(order, str(error), self._clock())
        else:
            self._ledger.answered(order, result, self._clock())
            if result.outcome is not Outcome.ACK:
                log.info(
                    "bng-refused", target=self.name, reason=order.act.value, end=result.outcome.value,
                    cause=result.error_cause,
                )  # fmt: skip
        finally:
            self._slots.release()
            self._stir.set()
            self._answers.set()
            self._answers = asyncio.Event()

    async def _make_durable(self, act: Act) -> None:
        """That something is said, before it is. Nobody is blocked who could be forgotten; who has paid is opened."""
        try:
            async with asyncio.timeout(DISK_S):
                await self._write()
        except TimeoutError:
            if act is Act.BLOCK:
                raise UpstreamError("database: it is busy") from None
        except UpstreamError:
            if act is Act.BLOCK:
                raise

    async def _ask(self, order: Order) -> Result:
        names = named(order.session, self._settings.identify)
        if not names:
            raise UpstreamError(unnamed(order.session, self._settings.identify))
        # a BNG with a window refuses what is older, and so what was late on its way (RFC 5176, section 6.3)
        stamp = attribute("Event-Timestamp", int(self._clock()))
        ways = (self._way, *former(order.entry.formers))
        if any(way.leaves for way in ways):
            return await disconnect(self._endpoint, self._settings.secret, (*names, stamp), waits=self._waits)
        acts = (order.act, *[Act.OPEN] * (len(ways) - 1))
        more = [
            said(way, act, self._settings.blocked, self._settings.open) for way, act in zip(ways, acts, strict=True)
        ]
        return await change(self._endpoint, self._settings.secret, (*names, stamp, *more), waits=self._waits)

    async def _settled(self, keys: Collection[Key]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while not self._ledger.is_settled(keys):
                    await self._answers.wait()

    def _judge_again(self, key: Key) -> None:
        entry = self._ledger.get(key)
        if entry is not None:
            self._ledger.wants(key, self._clock(), blocked=self._judge(entry.session))

    def _audit(self) -> None:
        """A session's addresses may have become another's without a change of any set."""
        if self._wanted is None:
            return
        self._audited = self._audited or self._ledger.keys()
        for key in self._audited[-AUDIT:]:
            self._judge_again(key)
        del self._audited[-AUDIT:]
        self._stir.set()

    async def _recall(self) -> None:
        async with self._recalling:
            if self._memory is None or self._recalled:
                return
            rows = await self._memory.load(self.name, self._clock())
            for start in range(0, len(rows), PIECE):
                self._ledger.remember(rows[start : start + PIECE], self._clock(), more=True)
                await asyncio.sleep(0)
            self._ledger.remember([], self._clock())
            self._recalled = True
        self._stir.set()

    async def _write(self) -> None:
        """Everything that is not on record yet; durable on return."""
        if self._memory is None:
            return
        async with self._writing:
            rows, gone = self._ledger.unwritten(self.name, self._clock())
            if not rows and not gone:
                return
            try:
                await self._memory.save(self.name, rows, gone)
            except BaseException:  # a cancelled one may not have been written either
                self._ledger.unkept_rows(rows, gone)
                raise
