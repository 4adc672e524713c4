# SPDX-License-Identifier: Apache-2.0
"""The address lists of a RouterOS router, of ours alone: read into a mirror, added to, taken from, renewed. I/O.

Ids are those of one connection and one uptime: after either, everything is read again. A change is sent in pieces, each
of which says what became of every command in it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from edged.enforce.routeros.commands import ABSENT, ALREADY, NO_MENU, Command, change, guarded, interval, remove
from edged.enforce.routeros.entries import PROPERTIES, Entry, Mirror, Printed, entry_command, prefix_of, take
from edged.enforce.routeros.layout import ADDRESS_LISTS, CARRIED, TAG, Layout
from edged.enforce.sets import SETS, Element, Elements, SetName, Sets
from edged.enforce.targets.routeros.api import Answer
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import UpstreamError
from edged.values import IpAddress, Prefix, parse_address

SCRIPTED = 200
"""From so many entries on they are added by scripts: a third less of the router's time, and no id comes back."""
SCRIPT = 50
"""Entries of a script: a garden address waits for one or two of them."""
RENEWED = 500
"""Leases that are renewed at one comparison."""
BLOCKED = tuple(name for name in SetName if name in CARRIED and SETS[name].blocked)
OTHERS = tuple(name for name in SetName if name in CARRIED and not SETS[name].blocked)

Wanted = tuple[SetName, Element]
Finish = Callable[[], Awaitable[Answer]]


class RouterEntries:
    """Of one router."""

    def __init__(self, thread: RouterThread, layout: Layout, clock: Callable[[], float]) -> None:
        self.mirror: Mirror | None = None
        """None: nobody knows what is there."""
        self._thread = thread
        self._layout = layout
        self._clock = clock
        self._covered: dict[SetName, set[Element]] = {name: set() for name in CARRIED}
        """What should be there and is, by an entry that is not ours."""
        self.has_scripts = True
        """False: this router runs no scripts of ours, or one of them did not do what it should."""
        self.absent: frozenset[int] = frozenset()
        """Families whose lists the router has not: IPv6 where that package is off."""

    def is_read(self) -> bool:
        """True while somebody knows."""
        return self.mirror is not None

    def whole(self) -> Mirror:
        """What the router holds. UpstreamError while nobody knows."""
        if self.mirror is None:
            raise UpstreamError("the router is not connected")
        return self.mirror

    def sets(self, mirror: Mirror) -> dict[SetName, Elements]:
        """What is in force of every set."""
        now, nothing = self._clock(), frozenset[Element]()
        return {
            name: mirror.elements(name, self._covered[name], now) if name in CARRIED else nothing for name in SetName
        }

    def holds(self, wanted: Wanted) -> bool:
        """True when an element is in force."""
        name, element = wanted
        entry = self.whole().ours[name].get(element)
        if entry is None:
            return element in self._covered[name] and element in self.whole().foreign[name]
        return not entry.is_disabled and entry.ends > self._clock()

    @property
    def idle(self) -> int:
        """How many elements should be in force and are there as disabled entries of others."""
        foreign = self.mirror.foreign if self.mirror is not None else {}
        return sum(not foreign[name].get(element, True) for name in foreign for element in self._covered[name])

    # --- reading -----------------------------------------------------------------------------------

    async def read(self) -> Mirror:
        """All of our lists; a second one of its like goes."""
        mirror, absent = Mirror(connection=self._thread.connection), set[int]()
        for version, menu in ADDRESS_LISTS.items():
            print_ = Command(menu, "print", {".proplist": PROPERTIES})

            def taken(row: Printed, version: int = version) -> bool:
                take(mirror, version, (row,), self._layout, self._clock())
                return False

            answer = await self._thread.walk(print_, [{"list": list(self._layout.names)}], taken)
            if version == 6 and answer.trap.startswith(NO_MENU):
                absent.add(version)
            elif answer.trap:
                raise UpstreamError(f"{menu} cannot be read: {answer.trap}")
        self.absent = frozenset(absent)
        for piece in self._thread.pieces(mirror.surplus):
            await self._thread.many(piece)
        self.mirror = mirror
        return mirror

    async def learn_ids(self) -> None:
        """Read the ids of what scripts added; what is not there was not added."""
        mirror = self.whole()
        for version, menu in ADDRESS_LISTS.items():
            names = [name for name in BLOCKED if SETS[name].version == version]
            unread = {name: [e for e, entry in mirror.ours[name].items() if not entry.id] for name in names}
            if not any(unread.values()):
                continue
            print_ = Command(menu, "print", {".proplist": ".id,address"})
            read = Mirror()

            def taken(row: Printed, version: int = version, read: Mirror = read) -> bool:
                filled = {**row, "list": self._layout.blocked, "comment": TAG}
                take(read, version, (filled,), self._layout, self._clock())
                return False

            await self._thread.rows(print_, [{"list": [self._layout.blocked]}, {"comment": [TAG]}], taken)
            for name in names:
                for element in unread[name]:
                    found = read.ours[name].get(element)
                    if found is None:
                        del mirror.ours[name][element]
                    else:
                        mirror.ours[name][element].id = found.id

    # --- adding ------------------------------------------------------------------------------------

    async def add(self, wanted: Sequence[Wanted]) -> None:
        """Entries; learned garden addresses that are in their way go first. UpstreamError when some are refused."""
        mirror = self.whole()
        for name, element in wanted:
            address = _host(name, element)
            if name in OTHERS and address in mirror.learned:
                await self._thread.many([remove(ADDRESS_LISTS[SETS[name].version], mirror.learned.pop(address).id)])
        are_new = all(element not in mirror.ours[name] for name, element in wanted)
        if are_new and self.has_scripts and len(wanted) >= SCRIPTED and await self._add_by_script(wanted):
            return
        refusals: list[str] = []
        doubtful: list[Wanted] = []
        for piece in self._thread.pieces(wanted):
            began = self._clock()
            answers = await self._thread.many([self._adding(name, element) for name, element in piece])
            for it, answer in zip(piece, answers, strict=True):
                if ALREADY in answer.trap:
                    doubtful.append(it)
                elif answer.trap:
                    refusals.append(answer.trap)
                else:
                    self._note(it, answer, began)
        if doubtful:
            await self._look_again(doubtful)
        if refusals:
            raise UpstreamError(f"{len(refusals):,} entries were refused: {refusals[0]}")

    def _adding(self, name: SetName, element: Element) -> Command:
        """What brings an element into force: an entry, or that of ours enabled and with its full time again."""
        command = entry_command(self._layout, name, element)
        entry = self.whole().ours[name].get(element)
        if entry is None or entry.ends <= self._clock():
            return command
        life = {"timeout": command.arguments["timeout"]} if "timeout" in command.arguments else {}
        return change(command.menu, entry.id, {"disabled": "no", **life})

    def _note(self, wanted: Wanted, answer: Answer, began: float) -> None:
        name, element = wanted
        entries = self.whole().ours[name]
        known = entries.get(element)
        ends = began + self._layout.lease if self._layout.lease and name in BLOCKED else math.inf
        entries[element] = Entry(answer.ret or (known.id if known else ""), ends)

    async def _add_by_script(self, wanted: Sequence[Wanted]) -> bool:
        """False: this router runs no scripts of ours, so not all is added."""
        under_way: deque[tuple[Sequence[Wanted], float, Finish]] = deque()
        for piece in self._thread.pieces(wanted, max(1, min(SCRIPT, self._thread.piece // 2))):
            script = guarded(self._adding(*it) for it in piece)
            command, began = Command("/", "execute", {"script": script, "as-string": ""}), self._clock()
            under_way.append((piece, began, await self._thread.begin(command, cost=len(piece))))
            # one is on its way while the router works on the other
            if len(under_way) > 1:
                await self._take_in(*under_way.popleft())
            if not self.has_scripts:
                break
        for it in under_way:
            await self._take_in(*it)
        return self.has_scripts

    async def _take_in(self, piece: Sequence[Wanted], began: float, finish: Finish) -> None:
        if (await finish()).trap:
            self.has_scripts = False
        else:
            for it in piece:
                self._note(it, Answer(), began)

    async def _look_again(self, doubtful: Iterable[Wanted]) -> None:
        """The router has entries that we did not know of: ours after all, or somebody else's that does as well."""
        await self.read()
        for name, element in doubtful:
            if element in self.whole().foreign[name]:
                self._covered[name].add(element)

    # --- taking away and renewing ------------------------------------------------------------------

    async def take_away(self, elements: Sequence[Wanted]) -> None:
        """Entries of ours; what is gone already is gone. UpstreamError when some are refused."""
        found = (self.whole().ours[name].get(element) for name, element in elements)
        if any(entry is not None and not entry.id for entry in found):
            await self.learn_ids()
        for name, element in elements:
            self._covered[name].discard(element)
        mirror, refusals = self.whole(), list[str]()
        ours = [(name, element) for name, element in elements if element in mirror.ours[name]]
        for piece in self._thread.pieces(ours):
            commands = [
                remove(ADDRESS_LISTS[SETS[name].version], mirror.ours[name][element].id) for name, element in piece
            ]
            for (name, element), answer in zip(piece, await self._thread.many(commands), strict=True):
                if answer.trap and not answer.trap.startswith(ABSENT):
                    refusals.append(answer.trap)
                else:
                    mirror.ours[name].pop(element, None)
        if refusals:
            raise UpstreamError(f"{len(refusals):,} entries stay: {refusals[0]}")

    async def renew(self) -> None:
        """Give leases their full time again when half of it is over, some at a time; turn what is kept otherwise."""
        mirror, lease, now = self.whole(), self._layout.lease, self._clock()
        mirror.forget_learned(now)
        due = [
            (name, element)
            for name in BLOCKED
            for element, entry in mirror.ours[name].items()
            if entry.id and not _is_kept(entry, lease, now)
        ]
        for piece in self._thread.pieces(due[:RENEWED]):
            await self._renew(piece, lease)

    async def _renew(self, piece: Sequence[Wanted], lease: float) -> None:
        mirror, began = self.whole(), self._clock()
        commands = [
            change(ADDRESS_LISTS[SETS[name].version], mirror.ours[name][element].id, {"timeout": interval(lease)})
            for name, element in piece
        ]
        if not lease:
            # a timeout cannot be taken back: the entry goes and comes
            await self._thread.many([remove(command.menu, command.arguments[".id"]) for command in commands])
            commands = [entry_command(self._layout, name, element) for name, element in piece]
        for it, answer in zip(piece, await self._thread.many(commands), strict=True):
            if answer.trap:
                mirror.ours[it[0]].pop(it[1], None)
            else:
                self._note(it, answer, began)


def elements_of(sets: Sets, names: Sequence[SetName]) -> Iterator[Wanted]:
    """The elements of some sets, in order."""
    return ((name, element) for name in names for element in sorted(sets.get(name, ())))


def prefix_at(wanted: Wanted) -> Prefix:
    """The addresses of an element."""
    return prefix_of(SETS[wanted[0]].version, wanted[1])


def _is_kept(entry: Entry, lease: float, now: float) -> bool:
    """True when an entry need not be touched: more than half of its lease is left, or it is permanent and shall be."""
    return now + lease / 2 < entry.ends < math.inf if lease else entry.ends == math.inf


def _host(name: SetName, element: Element) -> IpAddress | None:
    prefix = prefix_of(SETS[name].version, element)
    return parse_address(str(prefix)) if prefix.is_host else None
