# SPDX-License-Identifier: Apache-2.0
"""What it would cost to change the kernel's sets through a second process, the only one with CAP_NET_ADMIN. Needs root.

A stand-in of that process, in a namespace; see docs/decisions/0043. The same changes directly and through it, in turn:
one element by netlink, and 10,000 by nft.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from array import array
from collections.abc import Callable

from edged.enforce.targets.netlink import Netlink

from edged.enforce.diff import Plan
from edged.enforce.nft_elements import Change, changes
from tests.e2e.lab import Lab

TABLE = "edged"
ROUNDS, MANY = 200, 10_000
NFT = "add table inet edged; add set inet edged blocked4h { type ipv4_addr; }"


def serve(line: socket.socket) -> None:
    """The second process: one message, one answer. An open socket of its own, or nft with what it is handed."""
    with Netlink() as netlink:
        while octets := line.recvmsg(1 << 17, socket.CMSG_SPACE(4)):
            message, rights, _, _ = octets
            if not message:
                return
            status = 0
            if message[:1] == b"n":  # a script in a memfd
                (fd,) = array("i", rights[0][2])
                status = subprocess.run(["nft", "-f", "-"], stdin=fd, check=False).returncode
                os.close(fd)
            else:
                try:
                    netlink.transact([Change(int.from_bytes(message[1:3]), int.from_bytes(message[3:5]), message[5:])])
                except OSError as error:
                    status = error.errno or 1
            line.send(status.to_bytes(2))


def element(number: int) -> tuple[Change, Change]:
    """What adds and what removes one host."""
    one = {"blocked4h": frozenset({0x6440_0000 + number})}
    (add,), (remove,) = changes(Plan(add=one), TABLE), changes(Plan(remove=one), TABLE)  # type: ignore[arg-type]
    return add, remove


def direct(change: Change) -> None:
    with Netlink() as netlink:  # as the target does it: a socket for each
        netlink.transact([change])


def through(line: socket.socket) -> Callable[[Change], None]:
    def ask(change: Change) -> None:
        line.send(b"e" + change.kind.to_bytes(2) + change.flags.to_bytes(2) + change.body)
        assert line.recv(2) == b"\0\0"  # noqa: S101  # a bench that measures refusals measures nothing

    return ask


def script(verb: str) -> bytes:
    hosts = ", ".join(f"100.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(MANY))
    return f"{verb} element inet edged blocked4h {{ {hosts} }}\n".encode()


def many_direct(text: bytes) -> None:
    subprocess.run(["nft", "-f", "-"], input=text, check=True)


def many_through(line: socket.socket) -> Callable[[bytes], None]:
    def ask(text: bytes) -> None:
        fd = os.memfd_create("plan")
        os.write(fd, text)
        os.lseek(fd, 0, os.SEEK_SET)
        line.sendmsg([b"n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))])
        os.close(fd)
        assert line.recv(2) == b"\0\0"  # noqa: S101  # as above

    return ask


def timed(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1e6


def _unprivileged(netlink: Netlink, line: socket.socket) -> None:
    os.setuid(65534)
    try:
        netlink.transact([element(1)[0]])
        line.send(b"done")
    except OSError as error:
        line.send(str(error).encode())
    os._exit(0)


def singly(line: socket.socket) -> None:
    held = Netlink()
    ways = {
        "directly": direct,
        "directly, one socket held": lambda change: held.transact([change]),
        "through a second process": through(line),
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way, ask in ways.items():
            spent[way] += [timed(lambda c=change, a=ask: a(c)) for change in element(number)]  # type: ignore[misc]
    for way, times in spent.items():
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"one element, {way}: median {statistics.median(times):.0f} us, p99 {p99:.0f} us")


def together(line: socket.socket) -> None:
    ways = {"directly": many_direct, "through a second process": many_through(line)}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(5):
        for way, ask in ways.items():
            for verb in ("add", "delete"):
                spent[way].append(timed(lambda v=verb, a=ask: a(script(v))) / 1000)  # type: ignore[misc]
    for way, times in spent.items():
        print(f"{MANY:,} elements by nft, {way}: median {statistics.median(times):.1f} ms of {len(times)}")


def measure() -> None:
    subprocess.run(["nft", NFT], check=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not (child := os.fork()):
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    singly(ours)
    together(ours)
    ours.send(b"")
    ours.close()
    os.waitpid(child, 0)
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    print(f"the privileged process's socket in an unprivileged one's hands: {_said(*pair)}")


def _said(reader: socket.socket, writer: socket.socket) -> str:
    """What the kernel says to a process without the capability that writes to a socket of one that has it."""
    with Netlink() as netlink:
        if not (child := os.fork()):
            _unprivileged(netlink, writer)
        os.waitpid(child, 0)
    return reader.recv(99).decode()


def main() -> None:
    with Lab(prefix=f"edged-b{os.getpid()}") as lab, lab.inside("router"):
        measure()


if __name__ == "__main__":
    main()
