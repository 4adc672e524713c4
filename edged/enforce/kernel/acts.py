# SPDX-License-Identifier: Apache-2.0
"""What CAP_NET_ADMIN is held for: one ``Request`` is done, by netlink or by one nft. I/O, blocking."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import stat
from collections.abc import Sequence
from typing import NamedTuple

from edged.enforce.edits import Timed
from edged.enforce.kernel.netlink import KeptNetlink
from edged.enforce.kernel.requests import REFUSED, Answer, Forget, Holds, Request, Script, Simple, Transact, Widen
from edged.enforce.nft_elements import changes
from edged.enforce.nft_text import TABLE, script_text
from edged.enforce.sets import element_texts

_TABLE = TABLE.partition(" ")[2]
"""Its name alone, as netlink wants it."""
_TIMEOUT = 30.0
"""Seconds for one nft: a hundred thousand prefixes take about three on a small router."""
_ADMIT_TIMEOUT = 5.0
"""Seconds for a few garden addresses, which take a hundredth of one; a resolver's client waits five."""
_SO_RCVBUFFORCE = 33
_LISTS = {
    Simple.TABLE: ("-j", "list", "table", *TABLE.split()),
    Simple.TERSE: ("-t", "-j", "list", "table", *TABLE.split()),
    Simple.RULESET: ("-t", "-j", "list", "ruleset"),
    Simple.COUNTERS: ("-j", "list", "counters", "table", *TABLE.split()),
}


class Done(NamedTuple):
    """An answer; what nft printed is in ``fd``, at its beginning, and the reader's to close. -1: nowhere."""

    answer: Answer
    fd: int = -1


def perform(request: Request, netlink: KeptNetlink, program: str = "nft", fd: int = -1) -> Done:
    """Do it. Never raises for what the kernel or nft says. ``fd``: what came with the request."""
    match request:
        case Simple.LIFT:
            return _nft(program, ("-f", "-"), f"delete table {TABLE}\n", _TIMEOUT)
        case Simple() if request in _LISTS:
            return _nft(program, _LISTS[request], "", _TIMEOUT)
        case Script(rules, edits, check):
            small = rules is None and all(isinstance(edit, Timed) for edit in edits)
            options = (*(("--check",) if check else ()), "-f", "-")
            return _nft(program, options, script_text(rules, edits), _ADMIT_TIMEOUT if small else _TIMEOUT)
        case Holds(which):
            element = f"{{ {', '.join(element_texts(which.name, which.elements))} }}"
            return _nft(program, ("get", "element", *TABLE.split(), which.name, element), "", _TIMEOUT)
    try:
        return Done(Answer(0, octets=_asked(request, netlink, fd)))
    except OSError as error:
        return Done(Answer(error.errno or errno.ETIMEDOUT))


def _asked(request: Request, netlink: KeptNetlink, fd: int) -> bytes:
    """By netlink, or of a socket. OSError as the kernel has it."""
    match request:
        case Widen(octets):
            _widen(fd, octets)
        case Simple.GENERATION:
            with netlink as asked:
                return asked.generation().to_bytes(4)
        case Transact(edits):
            with netlink as asked:
                before = asked.generation()
                asked.transact(changes(edits, _TABLE))
                return bytes([asked.generation() != before])  # what changes nothing is not a generation
        case Forget(blocked, opened):
            with netlink as asked:
                asked.forget(blocked)
                asked.forget(set(opened).difference(blocked), socket.IPPROTO_UDP)
    return b""


def _widen(fd: int, octets: int) -> None:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        raise OSError(errno.ENOTSOCK, "not a socket")
    with socket.socket(fileno=os.dup(fd)) as sock:
        if sock.family not in {socket.AF_INET, socket.AF_INET6} or sock.proto != socket.IPPROTO_UDP:
            raise OSError(errno.EPERM, "not a UDP socket")
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)


def _nft(program: str, arguments: Sequence[str], text: str, seconds: float) -> Done:
    """One nft with ``text`` on its standard input, which all are files in memory: nobody waits for a pipe."""
    given, out, complaints = (os.memfd_create(name) for name in ("text", "out", "complaints"))
    try:
        octets = text.encode()
        while octets:
            octets = octets[os.write(given, octets) :]
        os.lseek(given, 0, os.SEEK_SET)
        code, complaint = _ran([program, *arguments], (given, out, complaints), seconds)
        complaint = complaint or os.pread(complaints, 1 << 16, 0).decode(errors="replace")
    except OSError as error:
        code, complaint = REFUSED, f"nft cannot be started: {error.strerror}"
    finally:
        os.close(given)
        os.close(complaints)
    os.lseek(out, 0, os.SEEK_SET)
    return Done(Answer(code, complaint), out)


def _ran(command: list[str], streams: Sequence[int], seconds: float) -> tuple[int, str]:
    """Exit status, and why there is none."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
    environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C"}
    try:
        pid = os.posix_spawnp(command[0], command, environment, file_actions=actions, setsigdef=[signal.SIGPIPE])
    except FileNotFoundError:
        return REFUSED, f"the program {command[0]} is not installed"
    ended = False
    try:
        ended = _ends(pid, seconds)
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if not ended:
        return REFUSED, f"nft did not end within {seconds:.0f} seconds"
    return os.waitstatus_to_exitcode(status), ""


def _ends(pid: int, seconds: float) -> bool:
    watched = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(watched)
