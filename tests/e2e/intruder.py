"""A main process that somebody has taken over: it tries what CAP_NET_ADMIN allows, by itself and by asking. A program.

It wants CAP_NET_ADMIN and the router's namespace of a lab. Prints JSON: what it is, what came of each attempt.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

from edged import capabilities
from edged.capabilities import NET_ADMIN, Sets
from edged.enforce.edits import Statement, Verb
from edged.enforce.kernel import wire
from edged.enforce.kernel.client import Privileged, separated
from edged.enforce.kernel.netlink import Netlink
from edged.enforce.kernel.requests import Forget, Script, Simple, Transact, Widen
from edged.enforce.rules import Rules
from edged.enforce.sets import SetName
from edged.values import Prefix

PATIENCE = 5.0
SETS = {"hosts": Statement(Verb.ADD, SetName.BLOCKED_HOSTS_4, frozenset({1}))}


def tried(what: Callable[[], object]) -> str:
    """What the kernel says to it."""
    try:
        what()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def route_away() -> None:
    """Ask rtnetlink to take the default route away: RTM_DELROUTE (rtnetlink(7))."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(PATIENCE)
        sock.send(struct.pack("=IHHIIBBBBBBBBI", 28, 25, 5, 1, 0, socket.AF_INET, 0, 0, 0, 254, 0, 0, 0, 0))
        answer = sock.recv(4096)
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number:
            raise OSError(number, "refused")


def link_down() -> None:
    """SIOCSIFFLAGS without IFF_UP (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        ioctl(sock, 0x8914, struct.pack("16sH14x", b"lan0", 0))


def regain() -> None:
    capabilities._take(Sets(*(value | 1 << NET_ADMIN for value in capabilities.held())))
    capabilities.hand_on(NET_ADMIN)
    if not capabilities.has(NET_ADMIN):
        raise PermissionError(errno.EPERM, "refused")


def by_nft() -> None:
    if subprocess.run(["nft", "flush", "ruleset"], capture_output=True, check=False).returncode:
        raise PermissionError(errno.EPERM, "refused")


def look_into(process: Privileged) -> None:
    os.close(os.open(f"/proc/{process.pid}/mem", os.O_RDWR))


def alone(process: Privileged) -> dict[str, str]:
    """What it can do by itself."""
    return {
        "netlink": tried(lambda: Netlink().generation()),
        "route": tried(route_away),
        "link": tried(link_down),
        "nft": tried(by_nft),
        "regain": tried(regain),
        "nft after it": tried(by_nft),
        "sysctl": tried(lambda: Path("/proc/sys/net/ipv4/conf/lan0/forwarding").write_text("0")),
        "the other's memory": tried(lambda: look_into(process)),
    }


class Line:
    """One line to the other process, used as badly as can be."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.settimeout(PATIENCE)

    def send(self, message: bytes, *fds: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        self._socket.sendmsg([message], rights)

    def said(self, message: bytes, *fds: int) -> str:
        self.send(message, *fds)
        octets, found, _, _ = socket.recv_fds(self._socket, 1 << 16, 4)
        for fd in found:
            os.close(fd)
        answer = wire.answer_of(octets[5:])
        return "done" if answer.code == 0 else answer.complaint.strip() or errno.errorcode[answer.code]


@contextmanager
def memory(octets: bytes = b"", size: int = 0) -> Iterator[int]:
    fd = os.memfd_create("hostile")
    os.write(fd, octets)
    if size:
        os.truncate(fd, size)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        yield fd
    finally:
        os.close(fd)


HERE, THERE = b"abcd\0", b"abcd\1"


def asked(line: Line) -> dict[str, str]:
    """What the other process says to what is no request, or one too much."""
    named = wire.encoded(Script(Rules(interfaces=("lan0",)), ()))
    foreign = bytearray(wire.encoded(Transact([SETS["hosts"]])))
    foreign[4] = 200
    said = {
        "one octet": line.said(b"x"),
        "a head alone": line.said(HERE),
        "garbage": line.said(HERE + os.urandom(3000)),
        "no such request": line.said(HERE + b"\x63"),
        "nft's own words": line.said(HERE + b"flush ruleset\n"),
        "another set": line.said(HERE + bytes(foreign)),
        "words in an interface": line.said(HERE + named.replace(b"\4lan0", b'\x0f";flush ruleset')),
        "half of a request": line.said(HERE + named[:-3]),
        "everybody's connections": line.said(HERE + wire.encoded(Forget([Prefix(4, 0, 0)], []))),
        "too much at once": line.said(HERE + bytes(1 << 16)),
        "a file that is not there": line.said(THERE),
        "no socket to widen": line.said(HERE + wire.encoded(Widen(4096))),
    }  # fmt: skip
    with memory(size=1 << 40) as huge, memory(wire.encoded(Simple.LIFT) * 9) as long:
        said["a terabyte"] = line.said(THERE, huge)
        said["nine requests"] = line.said(THERE, long)
    reader, writer = os.pipe()
    said["a pipe that nobody fills"] = line.said(THERE, reader)
    folder = os.open("/", os.O_RDONLY)
    said["a folder"] = line.said(THERE, folder)
    said["many files"] = line.said(THERE, *[folder] * 50)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        said["a stream to widen"] = line.said(HERE + wire.encoded(Widen(4096)), stream.fileno())
        said["a folder to widen"] = line.said(HERE + wire.encoded(Widen(4096)), folder)
        said["a socket to widen"] = line.said(HERE + wire.encoded(Widen(1 << 20)), datagrams.fileno())
        said["widened to"] = str(datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    for fd in (reader, writer, folder):
        os.close(fd)
    said["a table"] = line.said(HERE + named)
    said["a host in its set"] = line.said(HERE + wire.encoded(Transact([SETS["hosts"]])))
    many = Statement(Verb.ADD, SetName.BLOCKED_HOSTS_4, frozenset(range(2, 50_000)))
    with memory(wire.encoded(Script(None, [many]))) as full:
        said["fifty thousand more"] = line.said(THERE, full)
    return said


def main() -> None:
    process = separated()
    if process is None:
        sys.exit("CAP_NET_ADMIN is missing")
    found = {
        "pid": process.pid,
        "status": Path("/proc/self/status").read_text(),
        "alone": alone(process),
        "asked": asked(Line(process._lines[0]._socket)),
        "child": subprocess.run(["cat", "/proc/self/status"], check=True, capture_output=True, text=True).stdout,
        "other": subprocess.run(
            ["cat", f"/proc/{process.pid}/status"], check=True, capture_output=True, text=True
        ).stdout,
        "ended": process.ended,
    }
    print(json.dumps(found))
    # the last word: nothing at all, which ends the other process as our own end would
    process._lines[0]._socket.send(b"")


if __name__ == "__main__":
    main()
