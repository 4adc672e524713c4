# SPDX-License-Identifier: Apache-2.0
"""Sockets that wait in, whoever spoke, left or stayed too long out. Touches sockets and the loop.

One epoll instance and one timer for all of them: thousands of silent connections cost no task, no handle and no timer
each. epoll(7), edge-triggered: half a request does not wake anybody twice.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum, auto

from edged.captive.admission import Source, Visitor
from edged.values import IpAddress

_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_AT_ONCE = 64
"""Sockets looked at in one wake-up, so that they do not starve the rest of the daemon."""
_GRAIN = 0.005
"""Seconds between two looks for those who stayed too long."""
_SENT_HOME = 64
"""Of these at one look: as _AT_ONCE."""


class Stage(Enum):
    """What comes next for a connection; for the first three the lobby has a patience each."""

    SPEAK = auto()
    """It says something; for TLS, all of its ClientHello."""
    FINISH = auto()
    """It says the rest of a request head."""
    LEAVE = auto()
    """It reads the alert and closes."""
    SIT = auto()
    """It gets a task and a protocol of its own."""
    GONE = auto()
    """Nothing: it is answered, or it has left."""


class Guest(Visitor):
    """A visitor whose socket is still ours."""

    __slots__ = ("address", "sock", "stage", "tls")

    def __init__(
        self, source: Source, leave: Callable[[], object], sock: socket.socket, address: IpAddress, *, tls: bool
    ) -> None:
        super().__init__(source, leave)
        self.sock, self.address, self.tls = sock, address, tls
        self.stage = Stage.SPEAK


class Lobby:
    """All who wait. ``heard`` gets a guest that spoke and whether it has closed; ``overdue`` one that took too long."""

    def __init__(
        self,
        patience: Mapping[Stage, float],
        heard: Callable[[Guest, bool], None],
        overdue: Callable[[Guest], None],
    ) -> None:
        self._patience, self._heard, self._overdue = patience, heard, overdue
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._guests: dict[int, Guest] = {}
        self._due: dict[Stage, OrderedDict[Guest, float]] = {stage: OrderedDict() for stage in patience}
        """By stage, each with one patience, so the first in is the first overdue."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._epoll.fileno(), self._wake)

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, guest: Guest, stage: Stage) -> None:
        """Wait for ``guest``; what it has said meanwhile is heard, too. OSError: the system lacks memory."""
        descriptor = guest.sock.fileno()
        self._epoll.register(descriptor, _EVENTS)
        self._guests[descriptor] = guest
        self._await(guest, stage)

    def move(self, guest: Guest, stage: Stage) -> None:
        """``guest``, who is here, has come to another stage."""
        if guest.stage is not stage:
            del self._due[guest.stage][guest]
            self._await(guest, stage)

    def release(self, guest: Guest) -> None:
        """``guest`` waits here no more; its socket is as open as before. One who is not here: nothing."""
        waiting = self._due.get(guest.stage)
        if waiting is None or waiting.pop(guest, None) is None:
            return
        descriptor = guest.sock.fileno()
        del self._guests[descriptor]
        self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Wait for nobody; the guests are the caller's."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _await(self, guest: Guest, stage: Stage) -> None:
        guest.stage = stage
        due = self._loop.time() + self._patience[stage]
        self._due[stage][guest] = due
        if self._timer is None or self._timer.when() > due:
            self._look_at(due)

    def _wake(self) -> None:
        for descriptor, events in self._epoll.poll(0, _AT_ONCE):
            guest = self._guests.get(descriptor)
            if guest is not None:  # else one heard before it has just displaced it
                self._heard(guest, bool(events & _GONE))

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        now, self._timer = self._loop.time(), None
        for waiting in self._due.values():
            for _ in range(_SENT_HOME):
                guest = next(iter(waiting), None)
                if guest is None or waiting[guest] > now:
                    break
                self.release(guest)
                self._overdue(guest)
        heads = [next(iter(waiting.values())) for waiting in self._due.values() if waiting]
        if heads:
            self._look_at(max(min(heads), now + _GRAIN))
