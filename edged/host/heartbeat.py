# SPDX-License-Identifier: Apache-2.0
"""Signs of life for systemd's watchdog, from the event loop; and who holds it up, seen from beside it. I/O.

A loop that is stuck gives no sign, and systemd ends the process (WatchdogSec=). Before that, a thread that the loop
cannot stop writes down where it stands: files and functions, never a value.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from edged.host import systemd

log = structlog.get_logger(__name__)

_BEATS = 8
"""Times that the loop is seen to turn in half of what systemd allows."""
_DEEPEST = 12
"""Calls that are named, the innermost first."""


class Heartbeat:
    """``works`` says whether every room is at work; asked in the loop, as often as a sign is due."""

    def __init__(self, works: Callable[[], bool], interval: float | None = None) -> None:
        self._works = works
        self._interval = systemd.watchdog_interval() if interval is None else interval
        """Seconds between two signs; 0: nobody waits for any."""
        self._beat = time.monotonic()
        self._over = threading.Event()

    async def run(self) -> None:
        """Give signs until cancelled."""
        if not self._interval:
            await asyncio.Event().wait()
        watch = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="heartbeat", daemon=True)
        watch.start()
        due = 0.0
        try:
            while True:
                self._beat = now = time.monotonic()
                if now >= due:
                    due = now + self._interval
                    self._sign()
                await asyncio.sleep(self._interval / _BEATS)
        finally:
            self._over.set()

    def _sign(self) -> None:
        if self._works():
            systemd.notify("WATCHDOG=1")
        else:
            log.error("watchdog-unfed", reason="a room has stopped")

    def _watch(self, loop: int) -> None:
        """In a thread of its own: say once, of each time that the loop of thread ``loop`` stands still, where."""
        told = 0.0
        while not self._over.wait(self._interval / _BEATS):
            beat = self._beat
            stood = time.monotonic() - beat
            if stood > self._interval and beat != told:
                told = beat
                log.critical("loop-stuck", seconds=round(stood, 1), where=" < ".join(_stack(loop)))


def _stack(thread: int) -> list[str]:
    """Files, lines and functions that ``thread`` is in, the innermost first."""
    frame: FrameType | None = sys._current_frames().get(thread)  # noqa: SLF001  # the only way to see another's stack
    found: list[str] = []
    while frame is not None and len(found) < _DEEPEST:
        found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return found
