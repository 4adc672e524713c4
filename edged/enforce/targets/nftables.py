# SPDX-License-Identifier: Apache-2.0
"""This host's kernel, asked by whoever may (edged/enforce/kernel). I/O.

One transaction per change, few elements by netlink messages of our own, everything else by one nft. Nothing but our
own table is ever written.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import time
from collections.abc import Collection, Iterable, Sequence

from edged.enforce import nft_json
from edged.enforce.desired import Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.edits import Edit, Statement, Timed, Verb, admissions, alive, aside, singly, whole
from edged.enforce.kernel.client import Here
from edged.enforce.kernel.requests import REFUSED, Answer, Forget, Holds, Kernel, Script, Simple, Transact
from edged.enforce.nft_elements import FEW, is_small
from edged.enforce.nft_text import change_text
from edged.enforce.rules import Rules
from edged.enforce.sets import ALL_SETS, SETS, Element, Kind
from edged.enforce.standing import Shortfall
from edged.errors import ConfigError, UpstreamError
from edged.values import IpAddress, MacAddress, Prefix, host_prefix

_FULL_READ_EVERY = 60.0
"""Seconds between two readings of all elements at the most, when somebody else keeps writing to the ruleset."""
_FULL_READ_SHARE = 40.0
"""... and at the least so many times what a reading takes: at most 2.5 % of the time goes into it."""
_REFRESHES = (6, 12)
"""The first Linux in which adding an element again renews its life, if that is another one than before (seen on 6.18).
Earlier ones keep the old end: there it is deleted and added, which waits for every reader, some ten milliseconds."""
_TICK_MS = 20
"""The kernel counts in ticks of up to ten milliseconds: two lives that are nearer to each other may be one to it."""
_LIFE = 2.0
"""A learned address lives this many times as long as asked: not every DNS answer costs a transaction."""
_FORGET_WAIT = 1.0
"""Seconds that a change waits until connections are forgotten. To look through a million takes half a minute and more
on a small router, and who pays meanwhile does not wait for it."""
_BESIDE = 2
"""Times that connections are looked through at once: a line that opens meanwhile is let go beside many."""


class NftablesTarget:
    """The table ``inet edged`` of the network namespace that the process is in."""

    name = "nftables"
    carries = ALL_SETS
    shortfall: Shortfall | None = None

    def __init__(self, kernel: Kernel | None = None, *, program: str = "nft", away: Collection[IpAddress] = ()) -> None:
        """``kernel``: who asks it for us; None: this process does, with ``program``.

        ``away``: addresses that the other edge of a pair may have.
        """
        self._kernel: Kernel = kernel or Here(program)
        self._away = frozenset(away)
        self._foreign: tuple[str, ...] = ()
        self._reluctant: tuple[str, ...] = ()
        """What connection tracking said when it would not forget; empty while it does."""
        self._rules: Rules | None = None
        self._digest = ""
        """What the kernel showed right after we wrote ``_rules``; another one now: somebody touched them."""
        self._actual: Actual | None = None
        self._generation = -1
        """The ruleset's generation for which ``_actual`` holds."""
        self._own = 0
        """Transactions of our own since then."""
        self._counting = asyncio.Lock()
        """Held around a transaction of our own and its being counted, and around reading both numbers."""
        self._read_at = -_FULL_READ_EVERY
        self._read_took = 0.0
        self._replace = _kernel() < _REFRESHES
        self._offset = 1 + secrets.randbelow(1000)
        """Milliseconds more in every life: after a restart, none is the one that the kernel may still hold."""
        self._lives: dict[IpAddress, tuple[int, float]] = {}
        """The life in milliseconds that each address was given last, and its end in monotonic seconds."""
        self._alive_until: dict[IpAddress, float] = {}
        """Learned addresses that we know to be in the kernel, each with its end in monotonic seconds."""
        self._turn = 0
        """Of lives that are given again and again: none is the one before."""
        self._waiting: dict[IpAddress, float] = {}
        self._admitting = asyncio.Lock()
        self._comparing = asyncio.Lock()
        """One reading or change at a time: a reading that straddles a change would be remembered wrongly."""
        self._blocked: set[Prefix] = set()
        self._opened: set[Prefix] = set()
        """Lines that changed and whose connections are still tracked as before."""
        self._doors: set[Prefix] = set()
        """Our page's own addresses, until it is known whether an earlier run has left something in force."""
        self._forgetting: dict[asyncio.Task[None], frozenset[Prefix]] = {}
        """What lets connections go just now, and the opened lines that it is about."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """As in ``Target``."""
        return (*self._elsewhere(), *self._foreign, *self._reluctant)

    def _elsewhere(self) -> Iterable[str]:
        """Where we lead blocked lines to an address that no interface has: an `ip address add` that a reboot undid."""
        portals = (self._rules.portal4, self._rules.portal6) if self._rules else ()
        wanted = (portal.address for portal in portals if portal and portal.address not in self._away)
        for address in (address for address in wanted if not _is_here(address)):
            yield f"{address} is on no interface (ip address add {address} dev lo): blocked lines see no page"

    @property
    def lingering(self) -> set[Prefix]:
        """As in ``Target``."""
        return self._opened.union(*self._forgetting.values())

    async def start(self, rules: Rules) -> None:
        """As in ``Target``: the kernel checks our rules without taking them."""
        try:
            await self._nft(Script(rules, check=True))
        except UpstreamError as error:
            found, expected = str(error), "an nft and a kernel that take edged's rules"
            if "not installed" in found:
                expected = "Debian's package nftables"
            elif "Operation not permitted" in found:
                found = "nftables needs CAP_NET_ADMIN, which this process has not"
                expected = "AmbientCapabilities=CAP_NET_ADMIN in the unit, or root"
            raise ConfigError.of("enforce.nftables", found, expected) from None
        self._doors = {host_prefix(portal.address) for portal in (rules.portal4, rules.portal6) if portal}
        await self._scan(rules)

    async def read(self) -> Actual | None:
        """As in ``Target``; from memory while the ruleset's generation says that nobody else wrote."""
        async with self._comparing:
            await self._forget()
            generation, own = await self._counted()
            if self._actual is not None and await self._is_untouched(generation, own):
                return self._actual
            return await self._read_all(generation, own)

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """As in ``Target``."""
        async with self._comparing:
            self._actual = None  # unknown, should the change be cut short
            if not await self._transacted(singly(plan) if is_small(plan) else []):
                await self._nft(Script(desired.rules if plan.base else None, whole(desired, plan)))
                self._own += 1
            if plan.base:
                listed = await self._list(terse=True)
                self._digest = "" if listed is None else nft_json.digest(listed)
                self._rules = desired.rules
                await self._scan(desired.rules)
            self._actual = Actual(desired.rules, desired.sets)
            self._blocked.update(plan.blocked())
            self._opened.update(plan.unblocked())
            await self._forget()
            return True

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """As in ``Target``: one transaction at a time; what comes meanwhile goes together into the next."""
        now = time.monotonic()
        wanted = {a: now + s for a, s in entries if not self._alive(a, now + s)}
        if not wanted:
            return
        for address, end in wanted.items():
            self._waiting[address] = max(end, self._waiting.get(address, 0.0))
        async with self._admitting:
            if all(self._alive(address, end) for address, end in wanted.items()):
                return
            batch, self._waiting = self._waiting | wanted, {}
            await self._admit(batch)

    async def vouch(self, seconds: float) -> None:
        """As in ``Target``."""
        life = self._another(seconds) if seconds else 0
        await self._put(alive(life, replace=self._replace))

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """As in ``Target``."""
        await self._put(aside(source, destination, self._another(seconds), replace=self._replace))

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        """As in ``Target``."""
        for name, spec in SETS.items():
            if not spec.blocked:
                continue
            for element in _as_elements(spec.kind, spec.version, address, devices):
                answer = await self._kernel.ask(Holds(Statement(Verb.ADD, name, frozenset({element}))))
                if answer.code == 0:
                    return True
        return False

    async def counters(self) -> dict[str, int]:
        """As in ``Target``."""
        answer = await self._kernel.ask(Simple.COUNTERS)
        return nft_json.counters(nft_json.rows(answer.octets)) if answer.code == 0 else {}

    def render(self, desired: Desired, plan: Plan) -> str:
        """As in ``Target``."""
        return change_text(desired, plan)

    async def lift(self) -> bool:
        """Take our table away and let its lines' connections go: for whoever decides to watch. False: there was none.

        UpstreamError when it cannot be taken away.
        """
        actual = await self.read()
        if actual is None:
            return False
        await self._nft(Simple.LIFT)
        self._opened.update(Plan(remove=actual.sets).unblocked())
        await self._forget()
        return True

    async def close(self) -> None:
        """As in ``Target``: nothing is held open, and the table stays."""

    def _alive(self, address: IpAddress, until: float) -> bool:
        return self._alive_until.get(address, 0.0) >= until

    async def _admit(self, batch: dict[IpAddress, float]) -> None:
        now = time.monotonic()
        lives = {address: self._life(address, end - now) for address, end in batch.items() if end > now}
        if lives:
            await self._put(admissions(lives.items(), replace=self._replace))
        self._alive_until = {a: end for a, end in self._alive_until.items() if end > now}
        # counted from before the transaction: the kernel's end is never earlier than ours
        ends = {address: now + life / 1000 for address, life in lives.items()}
        self._alive_until.update(ends)
        self._lives = {a: given for a, given in self._lives.items() if given[1] > now}
        self._lives.update((address, (life, ends[address])) for address, life in lives.items())

    def _another(self, seconds: float) -> int:
        """Milliseconds to live, at least ``seconds`` and other ones than the last time."""
        self._turn = self._turn % 50 + 1
        return int(seconds * 1000) + self._offset + self._turn * _TICK_MS

    async def _put(self, edits: list[Timed]) -> None:
        """Give elements a life: by messages of our own, or by nft where there are many or the kernel wants it so."""
        if not await self._transacted(edits if sum(len(edit.entries) for edit in edits) <= FEW else []):
            async with self._comparing:  # what nft does is counted when it has ended: nobody may look in between
                await self._nft(Script(None, edits))
                self._own += 1

    def _life(self, address: IpAddress, wanted: float) -> int:
        """Milliseconds, at least ``_LIFE`` times ``wanted`` seconds, and never what the address was given last."""
        life, (last, _) = int(wanted * _LIFE * 1000) + self._offset, self._lives.get(address, (0, 0.0))
        return life if abs(life - last) >= _TICK_MS else last + _TICK_MS

    async def _transacted(self, edits: Sequence[Edit]) -> bool:
        """Make ``edits`` by messages of our own, and count it; False: none, or the kernel will not have it so.

        nft knows more ways, and words for what is wrong.
        """
        if not edits:
            return False
        async with self._counting:
            answer = await self._kernel.ask(Transact(edits))
            self._own += sum(answer.octets)
        return answer.code == 0

    async def _counted(self) -> tuple[int, int]:
        """The ruleset's generation, and how many transactions of our own since the last reading are in it."""
        async with self._counting:
            answer = await self._kernel.ask(Simple.GENERATION)
            return int.from_bytes(answer.octets) if answer.code == 0 else -1, self._own

    async def _is_untouched(self, generation: int, own: int) -> bool:
        """True when nobody else wrote, or not to our rules; elements are looked at less often."""
        if 0 <= self._generation == generation - own:
            return True
        if time.monotonic() - self._read_at >= min(_FULL_READ_EVERY, _FULL_READ_SHARE * self._read_took):
            return False
        listed = await self._list(terse=True)
        if listed is None or not self._digest or nft_json.digest(listed) != self._digest:
            return False
        await self._scan(self._rules)  # what was in the way may be gone
        return True

    async def _read_all(self, generation: int, own: int) -> Actual | None:
        begun = time.monotonic()
        listed = await self._list(terse=False)
        self._read_at = time.monotonic()
        self._read_took = self._read_at - begun
        self._generation, self._own = generation, self._own - own
        if listed is not None:
            # an earlier run may have ended between an opening and what it forgets: who is blocked is led here anew
            self._opened |= self._doors
        self._doors = set()
        admitted = nft_json.garden(listed or ())
        self._alive_until = {a: end for a, end in self._alive_until.items() if a in admitted}
        if listed is None:
            self._actual, self._rules, self._digest = None, None, ""
            return None
        sets = await asyncio.to_thread(nft_json.elements, listed)
        if nft_json.digest(listed) != self._digest:
            self._rules = None
        self._actual = Actual(self._rules, sets)
        await self._scan(self._rules)
        return self._actual

    async def _forget(self) -> None:
        """Let the connections of changed lines go; what takes long goes on beside, and is never in the way."""
        if not (self._blocked or self._opened) or len(self._forgetting) >= _BESIDE:
            return
        blocked, opened = frozenset(self._blocked), frozenset(self._opened)
        self._blocked, self._opened = set(), set()
        task = asyncio.create_task(self._let_go(blocked, opened), name="enforce-connections")
        self._forgetting[task] = opened
        task.add_done_callback(self._forgetting.pop)
        await asyncio.wait({task}, timeout=_FORGET_WAIT)

    async def _let_go(self, blocked: frozenset[Prefix], opened: frozenset[Prefix]) -> None:
        """Have them forgotten; what fails is due again."""
        try:
            answer = await self._kernel.ask(Forget(blocked, opened))
        except UpstreamError as error:
            answer = Answer(REFUSED, str(error))
        if answer.code:
            code = errno.errorcode.get(answer.code, answer.complaint)
            self._reluctant = (f"connection tracking does not forget ({code}): old UDP flows outlive a change",)
            self._blocked |= blocked
            self._opened |= opened
        else:
            self._reluctant = ()

    async def _list(self, *, terse: bool) -> list[nft_json.Row] | None:
        """The listing of our table; None when it is absent."""
        answer = await self._kernel.ask(Simple.TERSE if terse else Simple.TABLE)
        if answer.code == 0:
            return await asyncio.to_thread(nft_json.rows, answer.octets)
        if "No such file or directory" in answer.complaint:
            return None
        raise UpstreamError(_reason(answer))

    async def _scan(self, rules: Rules | None) -> None:
        answer = await self._kernel.ask(Simple.RULESET)
        foreign = nft_json.foreign_warnings(nft_json.rows(answer.octets)) if answer.code == 0 else ()
        self._foreign = (*(rules.warnings if rules else ()), *foreign)

    async def _nft(self, request: Script | Simple) -> None:
        answer = await self._kernel.ask(request)
        if answer.code:
            raise UpstreamError(_reason(answer))


def _is_here(address: IpAddress) -> bool:
    """False when the kernel has that address on no interface of its own."""
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as asked:
            asked.bind((str(address), 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def _as_elements(kind: Kind, version: int, address: IpAddress, devices: Sequence[MacAddress]) -> Iterable[Element]:
    """``address`` or ``devices`` as elements of a set of that kind; none where they cannot be in it."""
    if kind is Kind.MAC:
        return devices
    if version != address.version:
        return ()
    return (int(address) if kind is Kind.HOST else host_prefix(address),)


def _kernel() -> tuple[int, int]:
    """The running kernel's first two numbers; (0, 0) when they cannot be read."""
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _reason(answer: Answer) -> str:
    """What nft said, without the text that it quotes back (which holds subscribers' addresses)."""
    if answer.code == REFUSED:
        return answer.complaint
    line = next((text for text in answer.complaint.splitlines() if "Error:" in text), "no reason given")
    return f"nft: {line[line.index('Error:') :].removeprefix('Error: ')[:200] if 'Error:' in line else line}"
