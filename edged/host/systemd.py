# SPDX-License-Identifier: Apache-2.0
"""What passes between systemd and us: sd_notify(3), sd_listen_fds(3). Reads the environment, writes one socket."""

from __future__ import annotations

import os
import select
import socket
from array import array
from collections.abc import Sequence
from pathlib import Path

_PATIENCE = 2.0
"""Seconds for systemd to make room for one message: it is to be told, not waited for."""
_BARRIER = 5.0
"""Seconds for systemd to have read all that was said, as sd_notify_barrier(3) of its own services has it."""
_FIRST = 3
"""SD_LISTEN_FDS_START: the descriptors after standard input, output and error."""
_MOST = 4096
"""Descriptors that are looked at."""


def is_listening() -> bool:
    """True when somebody hears what ``notify`` says."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def notify(message: str, fds: Sequence[int] = ()) -> None:
    """Send ``READY=1``, ``WATCHDOG=1`` and the like, and descriptors; nothing happens outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notification:
            notification.settimeout(_PATIENCE)
            # a leading @ is the abstract namespace
            place = "\0" + address[1:] if address[0] == "@" else address
            notification.sendmsg([message.encode()], rights, 0, place)
    except OSError:
        return  # no supervisor, or no descriptor left, is no reason to stop serving


def barrier() -> bool:
    """Wait until systemd has done what it was told: it closes this message's descriptor last. False: it did not."""
    reader, writer = os.pipe()
    try:
        notify("BARRIER=1", (writer,))
    finally:
        os.close(writer)
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        return bool(poll.poll(_BARRIER * 1000))
    finally:
        os.close(reader)


def passed() -> list[tuple[str, int]]:
    """Names and descriptors that systemd gave this process, not its children. Once, before any other is opened."""
    pid, count, names = (os.environ.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    named = names.split(":")
    found = []
    for index in range(min(int(count[:6]), _MOST)):
        try:
            os.set_inheritable(_FIRST + index, False)  # noqa: FBT003  # the system's signature
        except OSError:
            continue  # fewer than it was said
        found.append((named[index] if index < len(named) else "", _FIRST + index))
    return found


def watchdog_interval() -> float:
    """Seconds between two signs of life, half of what systemd allows; 0.0: no watchdog is wanted."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    wanted = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if wanted and microseconds.isdigit() else 0.0


def credentials() -> Path | None:
    """Where systemd has put this unit's credentials (systemd.exec(5), LoadCredential=); None: it gave none."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return Path(directory) if directory else None
