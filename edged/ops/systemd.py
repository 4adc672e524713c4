# SPDX-License-Identifier: Apache-2.0
"""Telling systemd that we are ready, alive or stopping (sd_notify(3)). Reads the environment, writes one socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def notify(message: str) -> None:
    """Send ``READY=1``, ``WATCHDOG=1`` and the like; nothing happens outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notification:
            # a leading @ is the abstract namespace
            notification.sendto(message.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        return  # no supervisor, or no descriptor left, is no reason to stop serving


def watchdog_interval() -> float:
    """Seconds between two signs of life, half of what systemd allows; 0.0: no watchdog is wanted."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    wanted = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if wanted and microseconds.isdigit() else 0.0


def credentials() -> Path | None:
    """Where systemd has put this unit's credentials (systemd.exec(5), LoadCredential=); None: it gave none."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return Path(directory) if directory else None
