# SPDX-License-Identifier: Apache-2.0
"""The process that alone holds CAP_NET_ADMIN: a request in, what the kernel said out. I/O; a program of its own.

``python -m edged.enforce.kernel.service FD …``: a SOCK_SEQPACKET line each, served by a thread each. Whoever writes to
them may be hostile: what is done is what ``wire`` can read. It ends with the first line that ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import stat
import sys
import threading

from edged import capabilities
from edged.enforce.kernel import wire
from edged.enforce.kernel.acts import Done, perform
from edged.enforce.kernel.netlink import KeptNetlink
from edged.enforce.kernel.requests import REFUSED, Answer, Widen
from edged.enforce.kernel.wire import Unfit

INLINE = 1 << 15
"""Octets of a request or an answer that stand in the message; more are in a file in memory that comes with it."""
HEAD = 5
"""Octets before them: the number of the request, and whether they are elsewhere."""
MOST_WIDENED = 1024
"""Sockets on one line: memory of the kernel's, and no reload makes so many."""
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 1 << 27,  # octets of what nft is given and prints
    resource.RLIMIT_NOFILE: 256,
}


class Desk:
    """One line, and who answers on it."""

    def __init__(self, line: socket.socket, program: str = "nft") -> None:
        self._line, self._program = line, program
        self._netlink = KeptNetlink()
        self._widened = 0

    def serve(self) -> None:
        """Answer until the other side is gone."""
        while True:
            message, fds, flags, _ = socket.recv_fds(self._line, HEAD + INLINE, 1, socket.MSG_CMSG_CLOEXEC)
            try:
                if not message:
                    return
                cut = flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
                done = self._refusal("it is cut off") if cut else self._done(message, fds[0] if fds else -1)
                self._send(message[:4], done)
            finally:
                for fd in fds:
                    os.close(fd)

    def _done(self, message: bytes, fd: int) -> Done:
        try:
            if len(message) < HEAD:
                return self._refusal("refused: it is too short")
            request = wire.decoded(_elsewhere(fd) if message[4] else message[HEAD:])
            self._widened += isinstance(request, Widen)
            if self._widened > MOST_WIDENED:
                return self._refusal("refused: too many sockets")
            return perform(request, self._netlink, self._program, fd)
        except Unfit as unfit:
            return self._refusal(f"refused: {unfit}")
        except Exception as error:  # noqa: BLE001  # our own bug, and no reason to leave the table to nobody
            sys.stderr.write(f"edged: the kernel's process: {type(error).__name__}\n")
            return self._refusal(f"a fault of edged ({type(error).__name__})")

    @staticmethod
    def _refusal(reason: str) -> Done:
        return Done(Answer(REFUSED, reason))

    def _send(self, number: bytes, done: Done) -> None:
        """The answer, with what nft printed as a file. OSError: the other side is gone, or does not read."""
        try:
            message = number.ljust(4, b"\0") + bytes([done.fd >= 0]) + wire.answer_octets(done.answer)
            if done.fd < 0:
                self._line.send(message)
            else:
                socket.send_fds(self._line, [message], [done.fd])
        finally:
            if done.fd >= 0:
                os.close(done.fd)


def _elsewhere(fd: int) -> bytes:
    """What stands in the file that came along: a copy, since whoever sent it may change it meanwhile."""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > wire.MOST_OCTETS:
            raise Unfit("it is no file, or too long")
        return os.pread(fd, found.st_size, 0)
    except OSError:
        raise Unfit("there is no file") from None


def narrow() -> None:
    """Give up all but the one capability. What a kernel or a sandbox does not allow is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the daemon, at whose end we end
    capabilities.end_with_parent(signal.SIGKILL)
    capabilities.hide()
    capabilities.keep_only(capabilities.NET_ADMIN)
    capabilities.write_nowhere()
    for what, most in _LIMITS.items():
        hard = resource.getrlimit(what)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (limit, limit))


def main() -> int:
    """Serve every line whose descriptor is named."""
    parent, *fds = map(int, sys.argv[1:])
    narrow()
    gc.disable()  # a request is a tree of values: what counts references lets go of it
    if os.getppid() != parent:
        return os.EX_UNAVAILABLE  # it was gone before the kernel knew that we end with it
    ended = threading.Event()

    def serve(line: socket.socket) -> None:
        try:
            Desk(line).serve()
        except OSError:
            pass  # the other side is gone
        finally:
            ended.set()

    for fd in fds:
        line = socket.socket(fileno=fd)
        line.set_inheritable(False)
        threading.Thread(target=serve, args=(line,), daemon=True).start()
    ended.wait()
    os._exit(os.EX_OK)


if __name__ == "__main__":
    raise SystemExit(main())
