# SPDX-License-Identifier: Apache-2.0
"""Reports of edges in, the fleet as it was heard of; kept in a file, so that who fell silent is not forgotten. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from edged.hub import fleet
from edged.hub.served import History
from edged.state.files import write_atomically

log = structlog.get_logger(__name__)

_SAVE_EVERY_S = 60.0
_GATHER_S = 1.0
"""Seconds that the first new edge of many waits for the others."""


class Reports:
    """The last report of every edge, in ``fleet.json``."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self.fleet = fleet.Fleet()
        self._file, self._clock = directory / "fleet.json", clock
        self._news = asyncio.Event()
        """There is an edge that the file does not know."""

    async def load(self) -> None:
        """Who was heard of before; damage costs no more than their names until they report again."""
        self.fleet = fleet.Fleet(await asyncio.to_thread(self._load), self._clock())

    def _load(self) -> list[fleet.Report]:
        try:
            kept = json.loads(self._file.read_bytes())
            found = [fleet.read(each, float(each["heard_at"])) for each in kept]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            log.warning("hub-fleet-unread", path=str(self._file))
            return []
        return [report for report in found if report is not None]

    def hear(self, body: bytes, lists: Mapping[str, History[Any]]) -> int:
        """Take the body of a report; the status of the answer. ``lists``: the hub's own, by kind."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        report = fleet.read(document, self._clock())
        if report is None:
            return 400
        known = self.fleet.knows(report.edge)
        superseded = [history.superseded_at(getattr(report, kind)) for kind, history in lists.items()]
        if not self.fleet.hear(report, superseded):
            return 507
        if not known:
            self._news.set()
        return 204

    async def run(self) -> None:
        """Write them down now and then, and soon where one is new, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SAVE_EVERY_S):
                    await self._news.wait()
                    await asyncio.sleep(_GATHER_S)
            self._news.clear()
            await self.save()

    async def save(self) -> None:
        """Write them down now."""
        try:
            await asyncio.to_thread(self._save, self.fleet.reports())
        except OSError as error:
            log.warning("hub-fleet-not-kept", error=error.strerror)

    def _save(self, reports: Sequence[fleet.Report]) -> None:
        """In a thread: ten thousand reports take tenths of a second to write."""
        write_atomically(self._file, [json.dumps([report.facts() for report in reports]).encode()])
