# SPDX-License-Identifier: Apache-2.0
"""Edges of bench/hub.py, many in one process: whole ones, and thin ones that keep a list's marks and not the list.

A whole edge is ``BillingService`` over ``HubSource`` with a state directory and database of its own. A thin one asks by
the same ``HubSource`` at the same pace: it unpacks every page, checks digest and signature, parses differences and
small lists, and of a large page counts the objects; then it lets go of them. Every edge reports as an edge does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import structlog

from edged.billing.client import Reply
from edged.billing.lists import FeedList
from edged.billing.mapping import Listing
from edged.billing.reading import Progress, silent
from edged.billing.reporting.service import ReportService
from edged.billing.service import BillingService
from edged.billing.settings import BillingSettings
from edged.billing.sources.hub import HubSource
from edged.errors import UpstreamError
from edged.model import Snapshot, Subscriber
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import parse_prefix

Line = tuple[int, float, str, tuple[str, ...]]
"""An edge, a moment (``time.monotonic``), what it came to know, of whom."""
LARGE = 65_536
"""Octets of a page."""
EVERY, FULL = 30.0, 600.0
"""Seconds: ``billing.poll`` as it is without a word in the configuration."""


@dataclass(frozen=True)
class Company:
    """The edges of one process."""

    url: str
    key: str
    public: str
    first: int
    count: int
    whole: bool
    folder: Path

    def settings(self) -> BillingSettings:
        """The ``billing:`` section of each."""
        return BillingSettings.model_validate(
            {
                "source": "hub", "url": self.url, "key": self.key, "signed_by": [self.public],
                "guard": {"first": "accept", "leave_to_hub": True},
            }
        )  # fmt: skip


class Counting(HubSource):
    """A source that counts answers and octets as they came over the wire."""

    answers = 0
    octets = 0

    async def _request(self, method: str, address: str, *, etag: str = "", prefer: str = "") -> Reply:
        reply = await super()._request(method, address, etag=etag, prefer=prefer)
        self.answers += 1
        if method != "HEAD":
            self.octets += int(reply.header("Content-Length") or 0)
        return reply


S = TypeVar("S", bound=Counting)


class _Counted(Listing[Any]):
    """A list of which the number is kept, and of a short one the ids."""

    def __init__(self, source: Marks) -> None:
        self._source = source
        self._ids: list[str] = []
        source.counted = 0

    @property
    def count(self) -> int:  # type: ignore[override]
        return self._source.counted + len(self._ids)

    def add(self, objects: object, _lines: object = ()) -> None:
        if not isinstance(objects, list):
            raise UpstreamError("no list")
        self._ids += [one["id"] for one in objects]

    def done(self) -> tuple[Any, ...]:
        return (*self._ids, *(None,) * self._source.counted)


class Marks(Counting):
    """What a thin edge keeps."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.marks: dict[str, str] = {}
        self.counted = 0
        """Objects of large pages of the list that is being read."""

    async def _request(self, method: str, address: str, *, etag: str = "", prefer: str = "") -> Reply:
        """The objects of a large page, whose signature is verified by now, are counted and left out."""
        reply = await super()._request(method, address, etag=etag, prefer=prefer)
        if len(reply.octets) < LARGE or reply.status != 200:
            return reply
        first, last = reply.octets.index(b":[{") + 2, reply.octets.rindex(b"}]") + 1
        self.counted += reply.octets.count(b'{"id":')
        return replace(reply, octets=reply.octets[:first] + reply.octets[last:])

    async def _changes(
        self, kind: str, _new: Callable[[], Listing[Any]], marks: dict[str, str], told: Progress
    ) -> FeedList[Any] | None:
        return await super()._changes(kind, lambda: _Counted(self), marks, told)

    async def look(self, *, full: bool) -> tuple[str, tuple[str, ...]]:
        """What a look has brought."""
        marks = dict(self.marks)
        if full:
            marks = {name: value for name, value in marks.items() if name.endswith(".etag")}
        found = dict(zip(("subscribers", "keys"), await self._lists(marks, silent), strict=True))
        for kind, read in found.items():
            if read is not None:
                self.marks |= {f"{kind}.revision": read.revision, f"{kind}.etag": f'W/"{read.revision}"'}
        subscribers = found["subscribers"]
        if subscribers is None:
            return "same", ()
        if subscribers.removed is None:
            return "whole", ()
        return "changes", (*subscribers.entries, *subscribers.removed)


class Edges:
    """The edges, and what they came to know."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.lines: list[Line] = []
        self.sources: list[Counting] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.reports: list[ReportService] = []
        self.before = (0, 0)

    def tell(self, edge: int, what: str, ids: tuple[str, ...] = ()) -> None:
        self.lines.append((edge, time.monotonic(), what, ids))

    def start(self) -> None:
        """All in one moment."""
        company = self.company
        run = self._whole if company.whole else self._thin
        for edge in range(company.first, company.first + company.count):
            self.tasks.append(asyncio.create_task(run(edge)))
            report = ReportService(company.settings(), lambda edge=edge: self._facts(edge))  # type: ignore[misc]
            self.reports.append(report)
            self.tasks.append(asyncio.create_task(report.run()))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for source in self.sources:
            await source.close()
        for report in self.reports:
            await report.stop()
        self.before = self.counts()
        self.tasks, self.sources, self.reports = [], [], []

    def counts(self) -> tuple[int, int]:
        """Answers, and octets of bodies."""
        answers, octets = self.before
        return answers + sum(s.answers for s in self.sources), octets + sum(s.octets for s in self.sources)

    async def report_all(self) -> int:
        """Every edge reports once, now."""
        numbers = range(self.company.first, self.company.first + self.company.count)
        await asyncio.gather(*(r._post(self._facts(n)) for n, r in zip(numbers, self.reports, strict=True)))  # noqa: SLF001
        return len(self.reports)

    def _facts(self, edge: int) -> dict[str, Any]:
        source = self.sources[edge - self.company.first] if self.sources else None
        marks = source.marks if isinstance(source, Marks) else {}
        return {
            "edge": f"edge-{edge}", "at": time.time(), "version": "1.0", "mode": "enforce", "started_at": 1.0,
            "alarms": ["billing-held"] if edge % 10 == 0 else [], "subscribers": marks.get("subscribers.revision", ""),
            "keys": marks.get("keys.revision", ""), "read_at": time.time(), "blocked": 900, "listed": 1000, "held": "",
            "source": "hub",
        }  # fmt: skip

    def _source(self, kind: type[S]) -> S:
        settings = self.company.settings()
        source = kind(settings.url or "", settings.key, publics=settings.signed_by)
        self.sources.append(source)
        return source

    async def _thin(self, edge: int) -> None:
        source = self._source(Marks)
        # what the pauses of a whole edge are made of
        pacing: Any = SimpleNamespace(_source=source, every=EVERY, _chance=random.SystemRandom())
        failures, full_at = 0, 0.0
        while True:
            full = time.monotonic() >= full_at
            try:
                self.tell(edge, *await source.look(full=full))
            except UpstreamError as error:
                self.tell(edge, "failed", (str(error),))
                failures += 1
            else:
                failures, full_at = 0, time.monotonic() + FULL if full else full_at
            await asyncio.sleep(BillingService._delay(pacing, failures))  # noqa: SLF001

    async def _whole(self, edge: int) -> None:
        directory = self.company.folder / f"edge-{edge}"
        directory.mkdir(exist_ok=True)
        settings, source = self.company.settings(), self._source(Counting)

        async def publish(snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
            if words is not None and snapshot.id:
                self.tell(edge, "changes", tuple(word.id for word in words))

        database = Database(directory / "edged.sqlite")
        await database.open()
        service = BillingService(
            settings, source=source, guard_memory=GuardMemoryStore(database), snapshots=SnapshotFiles(directory),
            own=(parse_prefix("203.0.113.10"),), publish=publish,
        )  # fmt: skip
        try:
            await service.load()
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run())
                group.create_task(self._follow(edge, service))
        finally:
            await service.stop()
            await database.close()

    async def _follow(self, edge: int, service: BillingService) -> None:
        """Note when a look has been answered, whatever it brought."""
        seen, failed = 0, 0
        while True:
            await asyncio.sleep(0.2)
            counters = service.counters
            answered = counters.unchanged + counters.accepted
            if answered > seen:
                self.tell(edge, "whole" if not seen else "same")
            if counters.refused > failed:
                self.tell(edge, "failed", (service.status().error,))
            seen, failed = answered, counters.refused


def serve(company: Company, pipe: Any) -> None:
    """Do what comes through ``pipe`` until its other end closes; each word is answered."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def run() -> None:
        edges = Edges(company)
        loop = asyncio.get_running_loop()
        words: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "start": _at_once(edges.start), "stop": edges.stop, "report": edges.report_all,
            "counts": _at_once(edges.counts), "lines": _at_once(lambda: _taken(edges)),
        }  # fmt: skip
        with contextlib.suppress(EOFError):
            while True:
                word = await loop.run_in_executor(None, pipe.recv)
                pipe.send(await words[word]())

    asyncio.run(run())


def _at_once(act: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def done() -> Any:
        return act()

    return done


def _taken(edges: Edges) -> list[Line]:
    lines, edges.lines = edges.lines, []
    return lines
