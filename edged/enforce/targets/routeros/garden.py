# SPDX-License-Identifier: Apache-2.0
"""Garden addresses that DNS answers gave, in a RouterOS router's list for their time to live. I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

from edged.enforce.routeros.commands import ALREADY, Command, change, interval, remove, seconds
from edged.enforce.routeros.entries import PROPERTIES, Entry, Mirror, learned_command, spelled
from edged.enforce.routeros.layout import ADDRESS_LISTS, LEARNED, Layout
from edged.enforce.sets import SetName
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import UpstreamError
from edged.values import IpAddress, host_prefix

LIFE = 2.0
"""A learned address lives this many times as long as asked: not every DNS answer costs a command."""
MOST_LEARNED = 8192
"""Learned addresses: a hostile garden zone may not fill a router's memory. Those that end first make room."""


class RouterGarden:
    """Of one router; what is open there stands in its mirror."""

    def __init__(self, thread: RouterThread, layout: Layout, clock: Callable[[], float]) -> None:
        self._thread = thread
        self._layout = layout
        self._clock = clock

    async def admit(self, mirror: Mirror, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """Open addresses, each for at least so many seconds. UpstreamError when one is not open then."""
        now = self._clock()
        due = {address: LIFE * life for address, life in entries if not mirror.is_open(address, now + life)}
        if len(mirror.learned) + len(due) > MOST_LEARNED:
            await self._make_room(mirror, {address for address, _ in entries}, now)
        refusals = await self._open(mirror, due)
        if not refusals:
            return
        closed = []
        for address, why in refusals.items():
            # what we took for known is gone, or what we took for new is there
            mirror.learned.pop(address, None)
            if not (ALREADY in why and await self._find(mirror, address)):
                closed.append(address)
        again = {address: due[address] for address in closed if not mirror.is_open(address, now + due[address])}
        refusals = await self._open(mirror, again)
        if refusals:
            raise UpstreamError(f"the garden does not open: {next(iter(refusals.values()))}")

    async def restore(self, mirror: Mirror, before: Mapping[IpAddress, Entry]) -> None:
        """Open again what was open ``before`` and is not any more, for what is left of its time."""
        now = self._clock()
        left = [(address, entry.ends - now) for address, entry in before.items() if entry.ends > now]
        gone = [(address, life / LIFE) for address, life in left if not mirror.is_open(address, now)]
        for piece in self._thread.pieces(gone):
            await self.admit(mirror, piece)

    async def _make_room(self, mirror: Mirror, asked: set[IpAddress], now: float) -> None:
        """Let those go that end first. The names that are asked for often are opened again and again, and stay."""
        mirror.forget_learned(now)
        more = len(asked - mirror.learned.keys()) + len(mirror.learned) - MOST_LEARNED
        others = (
            (entry.ends, address.version, address) for address, entry in mirror.learned.items() if address not in asked
        )
        leaving = [address for _, _, address in heapq.nsmallest(more, others)]
        # they are nobody's from now on, whoever else makes room meanwhile
        commands = [remove(ADDRESS_LISTS[address.version], mirror.learned.pop(address).id) for address in leaving]
        for piece in self._thread.pieces(commands):
            await self._thread.many(piece, on=mirror.connection)

    async def _open(self, mirror: Mirror, due: dict[IpAddress, float]) -> dict[IpAddress, str]:
        """Whom the router refused, and why."""
        refusals: dict[IpAddress, str] = {}
        for piece in self._thread.pieces(list(due)):
            began = self._clock()
            commands = [self._opening(mirror, address, due[address]) for address in piece]
            for address, answer in zip(piece, await self._thread.many(commands, on=mirror.connection), strict=True):
                if answer.trap:
                    refusals[address] = answer.trap
                    continue
                known = mirror.learned.get(address)
                mirror.learned[address] = Entry(answer.ret or (known.id if known else ""), began + due[address])
        return refusals

    def _opening(self, mirror: Mirror, address: IpAddress, life: float) -> Command:
        command = learned_command(self._layout, address, life)
        known = mirror.learned.get(address)
        if known is None or known.ends <= self._clock():
            return command
        return change(command.menu, known.id, {"timeout": interval(life), "disabled": "no"})

    async def _find(self, mirror: Mirror, address: IpAddress) -> bool:
        """The entry that is in our way: ours from before; or True: somebody else's that opens the garden as well."""
        query = [{"list": [self._layout.garden]}, {"address": [spelled(host_prefix(address))]}]
        print_ = Command(ADDRESS_LISTS[address.version], "print", {".proplist": PROPERTIES})
        for row in await self._thread.rows(print_, query):
            left = seconds(row.get("timeout", ""))
            if row.get("comment") == LEARNED and left is not None:
                mirror.learned[address] = Entry(row.get(".id", ""), self._clock() + left)
            elif row.get("disabled", "false") == "false":
                if left is None:
                    mirror.foreign[SetName(f"gnet{address.version}")][host_prefix(address)] = True
                return True
        return False
