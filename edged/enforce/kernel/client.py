# SPDX-License-Identifier: Apache-2.0
"""The daemon's end: starts the process with CAP_NET_ADMIN, gives the capability up, and asks. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO

import structlog

from edged import capabilities
from edged.enforce.kernel import wire
from edged.enforce.kernel.acts import perform
from edged.enforce.kernel.netlink import KeptNetlink
from edged.enforce.kernel.requests import Answer, Forget, Request, Widen
from edged.enforce.kernel.service import HEAD, INLINE
from edged.enforce.nft_elements import FEW
from edged.errors import UpstreamError

log = structlog.get_logger(__name__)

_MODULE = "edged.enforce.kernel.service"
_LINES = 4
"""Requests at a time: nft may take seconds, and a name of the garden does not wait for it."""
_PATIENCE = 40.0
"""Seconds for an answer: nft has thirty."""
_FORGET_PATIENCE = 900.0
"""Seconds until connections are forgotten: a small router takes twenty for each hundred thousand that there are."""
_WIDEN_PATIENCE = 5.0
"""Seconds for the first answer of all, which waits until the other process has started."""
_PULSE = 10.0
"""Seconds for a refusal, which takes none: a process that owes one is stopped or stuck."""
_END = 2.0
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "MALLOC_ARENA_MAX")
"""Variables that the other process gets."""


class Here:
    """Asks the kernel in this process, a socket for each question."""

    def __init__(self, program: str = "nft") -> None:
        self._program = program

    async def ask(self, request: Request) -> Answer:
        """As in ``Kernel``."""
        return await asyncio.to_thread(self._asked, request)

    def _asked(self, request: Request) -> Answer:
        netlink = KeptNetlink()
        try:
            done = perform(request, netlink, self._program)
        finally:
            netlink.close()
        return done.answer if done.fd < 0 else done.answer._replace(octets=_printed(done.fd))


class Privileged:
    """The other process, and the lines to it."""

    def __init__(self) -> None:
        """Start it. OSError when it cannot be started."""
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(_LINES + 2)]
        theirs = [there.fileno() for _, there in pairs]
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-P", "-s", "-m", _MODULE, *map(str, (os.getpid(), *theirs))],
                pass_fds=theirs, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
            )  # fmt: skip
        except OSError:
            for here, _ in pairs:
                here.close()
            raise
        finally:
            for _, there in pairs:
                there.close()
        self._widening, pulse, *lines = (here for here, _ in pairs)
        self._widening.settimeout(_WIDEN_PATIENCE)
        self._pulse, self._feeling = _Line(pulse), asyncio.Lock()
        self._lines = [_Line(line) for line in lines]
        self._idle: asyncio.LifoQueue[_Line] = asyncio.LifoQueue()
        for line in self._lines:
            self._idle.put_nowait(line)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status, minus the signal that ended it; None while it runs."""
        return self._process.poll()

    async def ask(self, request: Request) -> Answer:
        """As in ``Kernel``."""
        large = wire.elements_of(request) > FEW  # a hundred thousand are not for the loop
        octets = await asyncio.to_thread(wire.encoded, request) if large else wire.encoded(request)
        try:
            async with asyncio.timeout(_FORGET_PATIENCE if isinstance(request, Forget) else _PATIENCE):
                line = await self._idle.get()
                try:
                    return await line.asked(octets)
                finally:
                    self._idle.put_nowait(line)
        except TimeoutError:
            await self._feel()
            raise UpstreamError("the process that holds CAP_NET_ADMIN does not answer") from None
        except (OSError, wire.Unfit) as error:
            raise UpstreamError(f"the process that holds CAP_NET_ADMIN is gone ({type(error).__name__})") from None

    async def _feel(self) -> None:
        """End it unless it refuses what is no request: a kernel that is slow holds up one line, never that."""
        async with self._feeling:
            try:
                async with asyncio.timeout(_PULSE):
                    await self._pulse.asked(b"")
            except TimeoutError:
                log.critical("kernel-process-stuck", hint="it is ended, and edged with it, to be started again")
                self._process.kill()
            except (OSError, wire.Unfit):
                pass  # it is gone already

    def widen(self, sock: socket.socket, octets: int) -> bool:
        """Give ``sock`` a receive buffer of ``octets``; False when that cannot be had. Waits, at the start for long."""
        message = bytes(HEAD) + wire.encoded(Widen(octets))
        try:
            socket.send_fds(self._widening, [message], [sock.fileno()])
            answer = wire.answer_of(self._widening.recv(HEAD + INLINE)[HEAD:])
        except (OSError, wire.Unfit):
            self._widening.close()  # an answer that comes late is nobody's
            return False
        return answer.code == 0

    def watch(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` once, when it has ended. Within a running loop."""
        loop = asyncio.get_running_loop()
        watched = os.pidfd_open(self.pid)

        def has_ended() -> None:
            loop.remove_reader(watched)
            os.close(watched)
            gone()

        loop.add_reader(watched, has_ended)

    def close(self) -> None:
        """End it: it ends when its lines do, or is killed."""
        for line in (*self._lines, self._pulse):
            line.close()
        self._widening.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # what the kernel holds fast ends when it lets go
                self._process.wait(_END)


def separated() -> Privileged | None:
    """Start the process that keeps CAP_NET_ADMIN, and give it up here. None: we have none, so nobody needs one.

    UpstreamError: it cannot be started. Before there are threads, and before anything of a stranger's is read.
    """
    if not capabilities.has(capabilities.NET_ADMIN):
        return None
    capabilities.hand_on(capabilities.NET_ADMIN)
    try:
        process = Privileged()
    except OSError as error:
        raise UpstreamError(f"the process that holds CAP_NET_ADMIN cannot be started: {error.strerror}") from None
    if not capabilities.drop(capabilities.NET_ADMIN):
        log.warning("capability-kept", reason="capset is forbidden: SystemCallFilter= of the unit lacks it")
    return process


class _Line:
    """One line, one question at a time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  # the system's signature
        self._socket = sock
        self._number = 0
        self._waiting: asyncio.Future[Answer] | None = None

    async def asked(self, octets: bytes) -> Answer:
        """The answer; those to questions that nobody waits for any more are passed over. OSError, Unfit."""
        loop = asyncio.get_running_loop()
        if not self._number:
            loop.add_reader(self._socket, self._read)
        self._number = self._number % 0xFFFFFFFF + 1
        self._waiting = loop.create_future()
        await self._send(self._number.to_bytes(4), octets)
        return await self._waiting

    async def _send(self, number: bytes, octets: bytes) -> None:
        if len(octets) <= INLINE:
            self._socket.send(number + b"\0" + octets)
            return
        with os.fdopen(os.memfd_create("request"), "wb") as file:  # whose number is nobody else's while it is written
            await asyncio.to_thread(_write, file, octets)
            socket.send_fds(self._socket, [number + b"\1"], [file.fileno()])

    def _read(self) -> None:
        """Something has come."""
        try:
            message, fds, _, _ = socket.recv_fds(self._socket, HEAD + INLINE, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        printed = _printed(fds[0]) if fds else b""
        if not message:
            asyncio.get_running_loop().remove_reader(self._socket)
        waiting = self._waiting
        if waiting is None or waiting.done() or (message and message[:4] != self._number.to_bytes(4)):
            return
        try:
            answer = wire.answer_of(message[HEAD:])
        except wire.Unfit as unfit:
            waiting.set_exception(unfit)
        else:
            waiting.set_result(answer._replace(octets=printed) if fds else answer)

    def close(self) -> None:
        """Let it go; the other process ends."""
        self._socket.close()


def _write(file: BinaryIO, octets: bytes) -> None:
    file.write(octets)
    file.flush()


def _printed(fd: int) -> bytes:
    """All that is in ``fd``, which is closed."""
    with contextlib.closing(os.fdopen(fd, "rb")) as file:
        return file.read()
