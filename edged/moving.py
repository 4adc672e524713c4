# SPDX-License-Identifier: Apache-2.0
"""Devices on the VLAN of the blocked: from the key server to the policy at once, and which addresses they have. I/O.

A telephone checks for the Internet as soon as it has an address: by then the packet filter must know its MAC address,
and DNS and the page whose it is.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress

import structlog

from edged.host.addresses import Neighbour
from edged.host.nearby import Nearby
from edged.mpsk.moves import Moves
from edged.values import IpAddress
from edged.writer import Writer

log = structlog.get_logger(__name__)

NEIGHBOURS_S = 2.0
"""Seconds between two looks at the neighbour table, when anybody is known by a device at all."""
PAUSE_S = 0.05
"""Seconds between two changes of the policy, and between two looks: a crowd goes together."""
AT_ONCE = 500
"""Devices, or addresses of theirs, that one change takes: the loop is held for about a millisecond."""
BURST, WINDOW_S = 8, 0.2
"""Changes of the policy for addresses that are made at once within so many seconds; more of them go together."""


class Moving:
    """Key server -> policy; neighbour table -> policy."""

    def __init__(self, moves: Moves, writer: Writer) -> None:
        self._moves, self._writer = moves, writer
        self._moved, self._look = asyncio.Event(), asyncio.Event()
        self._nearby: Nearby | None = None
        self._deaf = False
        """Said that there is no hearing; once is enough."""
        self._turned_up: dict[IpAddress, Neighbour] = {}
        self._window: asyncio.TimerHandle | None = None
        self._left = BURST
        """Changes left in it: who invents addresses by the thousand changes the policy no more often."""
        moves.wake = self._moved.set

    async def open(self) -> None:
        """Take those of before a restart, before anything is compared with them."""
        self._writer.move(self._moves.taken())
        await self._writer.meet_neighbours()

    async def run(self) -> None:
        """Follow both until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_moves(), name="moving-devices")
                group.create_task(self._follow_neighbours(), name="moving-neighbours")
        finally:
            self._listen(wanted=False)

    async def _follow_moves(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            while changes := self._moves.taken(AT_ONCE):
                self._writer.move(changes)
                # it may be a neighbour already: of an earlier stay, or by what its DHCP server has told the kernel
                self._look.set()
                await asyncio.sleep(PAUSE_S)

    async def _follow_neighbours(self) -> None:
        while True:
            # before the look: who turns up while it is on its way is told
            self._listen(wanted=bool(self._writer.current.view.learned.moved))
            self._look.clear()
            began = time.monotonic()
            await self._writer.meet_neighbours()
            # a large table takes long: however often another look is due, half of the time is for others
            await asyncio.sleep(max(PAUSE_S, time.monotonic() - began))
            with suppress(TimeoutError):
                async with asyncio.timeout(NEIGHBOURS_S - PAUSE_S):
                    await self._look.wait()

    def _listen(self, *, wanted: bool) -> None:
        """Hear of neighbours while there are devices to hear of."""
        loop = asyncio.get_running_loop()
        if wanted and self._nearby is None:
            try:
                self._nearby = Nearby()
            except OSError as error:
                if not self._deaf:
                    log.warning("neighbours-not-heard", error=str(error))
                self._deaf = True
                return
            self._deaf = False
            loop.add_reader(self._nearby, self._hear, self._nearby)
        elif not wanted and self._nearby is not None:
            loop.remove_reader(self._nearby)
            self._nearby.close()
            self._nearby = None
            if self._window is not None:
                self._window.cancel()
                self._reopen()

    def _hear(self, nearby: Nearby) -> None:
        """Take the address of a device at once where the last look can judge it, else look again."""
        heard, moved = nearby.heard(), self._writer.current.view.learned.moved
        for address, mac, interface in heard or ():
            if mac in moved.holders and moved.addresses.get(address) != mac and not address.is_link_local:
                with suppress(OSError):  # the interface has gone
                    self._turned_up[address] = Neighbour(address, mac, socket.if_indextoname(interface))
        if heard is None or len(self._turned_up) > AT_ONCE:
            self._turned_up.clear()
            self._look.set()
        if self._left:
            self._meet()

    def _meet(self) -> None:
        """Take who has turned up."""
        if not self._turned_up:
            return
        met, self._turned_up = self._turned_up, {}
        if not self._writer.meet(met.values()):
            self._look.set()
        self._left -= 1
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW_S, self._reopen)

    def _reopen(self) -> None:
        self._window, self._left = None, BURST
        self._meet()
