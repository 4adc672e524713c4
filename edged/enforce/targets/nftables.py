# SPDX-License-Identifier: Apache-2.0
"""This host's kernel, through the ``nft`` program and two netlink questions. I/O.

One transaction per change, few elements by messages of our own, everything else by one child process. Nothing but
our own table is ever written.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence

from edged.enforce import nft_json
from edged.enforce.desired import Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.nft_elements import FEW, Change, admissions, alive, aside, changes, is_small
from edged.enforce.nft_text import TABLE, admit_text, alive_text, aside_text, base_text, change_text
from edged.enforce.rules import Rules
from edged.enforce.sets import ALL_SETS, SETS
from edged.enforce.standing import Shortfall
from edged.enforce.targets.netlink import Netlink
from edged.errors import ConfigError, UpstreamError
from edged.values import IpAddress, MacAddress, Prefix

_TABLE = TABLE.partition(" ")[2]
"""Its name alone, as netlink wants it."""
_TIMEOUT = 30.0
"""Seconds for one nft: a hundred thousand prefixes take about three on a small router."""
_ADMIT_TIMEOUT = 5.0
"""Seconds for a few garden addresses, which take a hundredth of one; a resolver's client waits five."""
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


class NftablesTarget:
    """The table ``inet edged`` of the network namespace that the process is in."""

    name = "nftables"
    carries = ALL_SETS
    shortfall: Shortfall | None = None

    def __init__(self, *, program: str = "nft") -> None:
        self._foreign: tuple[str, ...] = ()
        self._reluctant: tuple[str, ...] = ()
        """What connection tracking said when it would not forget; empty while it does."""
        self._program = program
        self._rules: Rules | None = None
        self._digest = ""
        """What the kernel showed right after we wrote ``_rules``; another one now: somebody touched them."""
        self._actual: Actual | None = None
        self._generation = -1
        """The ruleset's generation for which ``_actual`` holds."""
        self._own = 0
        """Transactions of our own since then."""
        self._counting = threading.Lock()
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """As in ``Target``."""
        return (*self._foreign, *self._reluctant)

    @property
    def lingering(self) -> set[Prefix]:
        """As in ``Target``."""
        return self._opened

    async def start(self, rules: Rules) -> None:
        """As in ``Target``: the kernel checks our rules without taking them."""
        try:
            await self._nft(base_text(rules), "--check")
        except UpstreamError as error:
            found, expected = str(error), "an nft and a kernel that take edged's rules"
            if "not installed" in found:
                expected = "Debian's package nftables"
            elif "Operation not permitted" in found:
                found = "nftables needs CAP_NET_ADMIN, which this process has not"
                expected = "AmbientCapabilities=CAP_NET_ADMIN in the unit, or root"
            raise ConfigError.of("enforce.nftables", found, expected) from None
        await self._scan(rules)

    async def read(self) -> Actual | None:
        """As in ``Target``; from memory while the ruleset's generation says that nobody else wrote."""
        async with self._comparing:
            await self._forget()
            generation, own = await asyncio.to_thread(self._counted)
            if self._actual is not None and await self._is_untouched(generation, own):
                return self._actual
            return await self._read_all(generation, own)

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """As in ``Target``."""
        async with self._comparing:
            self._actual = None  # unknown, should the change be cut short
            messages = changes(plan, _TABLE) if is_small(plan) else []
            if not await asyncio.to_thread(self._transacted, messages):
                await self._nft(await asyncio.to_thread(change_text, desired, plan))
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
        messages = alive(life, _TABLE, replace=self._replace)
        await self._put(messages, lambda: alive_text(life, replace=self._replace))

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """As in ``Target``."""
        life = self._another(seconds)
        messages = aside(source, destination, life, _TABLE, replace=self._replace)
        await self._put(messages, lambda: aside_text(source, destination, life, replace=self._replace))

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        """As in ``Target``."""
        elements = [(address.version, str(address)), *((0, mac) for mac in devices)]
        for name, spec in SETS.items():
            for element in (text for version, text in elements if spec.blocked and spec.version == version):
                code, _, _ = await self._run("get", "element", *TABLE.split(), name, f"{{ {element} }}")
                if code == 0:
                    return True
        return False

    async def counters(self) -> dict[str, int]:
        """As in ``Target``."""
        code, out, _ = await self._run("-j", "list", "counters", "table", *TABLE.split())
        return nft_json.counters(nft_json.rows(out)) if code == 0 else {}

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
        await self._nft(f"delete table {TABLE}\n")
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
        messages = admissions(lives.items(), _TABLE, replace=self._replace) if len(lives) <= FEW else []
        if lives:
            await self._put(messages, lambda: admit_text(lives.items(), replace=self._replace))
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

    async def _put(self, messages: list[Change], text: Callable[[], str]) -> None:
        """Give elements a life: by ``messages``, or by nft with ``text()`` where the kernel will not have them so."""
        if not await asyncio.to_thread(self._transacted, messages):
            async with self._comparing:  # what nft does is counted when it has ended: nobody may look in between
                await self._nft(text(), seconds=_ADMIT_TIMEOUT)
                self._own += 1

    def _life(self, address: IpAddress, wanted: float) -> int:
        """Milliseconds, at least ``_LIFE`` times ``wanted`` seconds, and never what the address was given last."""
        life, (last, _) = int(wanted * _LIFE * 1000) + self._offset, self._lives.get(address, (0, 0.0))
        return life if abs(life - last) >= _TICK_MS else last + _TICK_MS

    def _transacted(self, messages: list[Change]) -> bool:
        """Make ``messages`` by ourselves, and count it; False: none, or the kernel will not have it so.

        nft knows more ways, and words for what is wrong.
        """
        try:
            with self._counting, Netlink() as netlink:
                if messages:
                    before = netlink.generation()
                    netlink.transact(messages)
                    self._own += netlink.generation() != before  # what changes nothing is not a generation
        except OSError:
            return False
        return bool(messages)

    def _counted(self) -> tuple[int, int]:
        """The ruleset's generation, and how many transactions of our own since the last reading are in it."""
        with self._counting:
            return _generation(), self._own

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
        with self._counting:
            self._generation, self._own = generation, self._own - own
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
        """Let the connections of changed lines go; what fails stays due and is never in the way."""
        blocked, opened = frozenset(self._blocked), frozenset(self._opened)
        if not blocked and not opened:
            return
        try:
            await asyncio.to_thread(_forget, blocked, opened)
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, "timeout")
            self._reluctant = (f"connection tracking does not forget ({code}): old UDP flows outlive a change",)
        else:
            self._reluctant = ()
            self._blocked -= blocked
            self._opened -= opened

    async def _list(self, *, terse: bool) -> list[nft_json.Row] | None:
        """The listing of our table; None when it is absent."""
        code, out, complaint = await self._run(*(("-t",) if terse else ()), "-j", "list", "table", *TABLE.split())
        if code == 0:
            return await asyncio.to_thread(nft_json.rows, out)
        if "No such file or directory" in complaint:
            return None
        raise UpstreamError(f"nft: {_first_line(complaint)}")

    async def _scan(self, rules: Rules | None) -> None:
        code, out, _ = await self._run("-t", "-j", "list", "ruleset")
        foreign = nft_json.foreign_warnings(nft_json.rows(out)) if code == 0 else ()
        self._foreign = (*(rules.warnings if rules else ()), *foreign)

    async def _nft(self, text: str, *options: str, seconds: float = _TIMEOUT) -> None:
        code, _, complaint = await self._run(*options, "-f", "-", text=text, seconds=seconds)
        if code:
            raise UpstreamError(f"nft: {_first_line(complaint)}")

    async def _run(self, *arguments: str, text: str = "", seconds: float = _TIMEOUT) -> tuple[int, bytes, str]:
        """Exit status, output and complaint of one nft with ``text`` on its standard input."""
        try:
            child = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise UpstreamError(f"the program {self._program} is not installed") from None
        except OSError as error:
            raise UpstreamError(f"nft cannot be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(seconds):
                out, complaint = await child.communicate(text.encode())
        except TimeoutError:
            raise UpstreamError(f"nft did not end within {seconds:.0f} seconds") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return child.returncode or 0, out, complaint.decode(errors="replace")


def _generation() -> int:
    """The number of the ruleset's generation; -1: unknown, so everything is read."""
    try:
        with Netlink() as netlink:
            return netlink.generation()
    except OSError:
        return -1


def _forget(blocked: frozenset[Prefix], opened: frozenset[Prefix]) -> None:
    """Everything of a line that is now blocked; of one that is now open its UDP flows alone.

    Forgetting how a TCP connection to the page is translated cuts it off from the answer that is on its way.
    It ends by itself within seconds; a UDP flow with fixed ports would stay on the sinkhole for ever.
    """
    with Netlink() as netlink:
        netlink.forget(blocked)
        netlink.forget(opened - blocked, socket.IPPROTO_UDP)


def _kernel() -> tuple[int, int]:
    """The running kernel's first two numbers; (0, 0) when they cannot be read."""
    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _first_line(complaint: str) -> str:
    """What nft said, without the text that it quotes back (which holds subscribers' addresses)."""
    line = next((text for text in complaint.splitlines() if "Error:" in text), "no reason given")
    return line[line.index("Error:") :].removeprefix("Error: ")[:200] if "Error:" in line else line
