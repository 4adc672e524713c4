"""An edge's billing room on a real state directory, for the tests of its service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edged.billing.reading import with_words
from edged.billing.service import BillingService
from edged.billing.settings import BillingSettings
from edged.billing.sources import Source
from edged.model import Snapshot, State, Subscriber
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.snapshots import SnapshotFiles
from edged.values import parse_prefix

OWN = (parse_prefix("203.0.113.10"),)
START = 1_795_000_000.0


class Killed(BaseException):
    """The process ends here."""


class FragileFiles(SnapshotFiles):
    """Files whose disk may be full, or in the middle of whose saving the process may be killed."""

    full = False
    kill_at = ""

    def save(self, snapshot: Snapshot) -> None:
        if self.kill_at == "before file":
            raise Killed
        if self.full:
            # a directory in the way: the real errors of the real system calls
            blocker = self._newest.with_name(f".{self._newest.name}.new")
            blocker.mkdir(exist_ok=True)
        super().save(snapshot)
        if self.kill_at == "after file":
            raise Killed

    def append(self, words: Iterable[Subscriber]) -> bool:
        if self.kill_at == "before file":
            raise Killed
        if self.full:
            self._journal.unlink(missing_ok=True)
            self._journal.mkdir()  # a directory in the way, as above
        try:
            appended = super().append(words)
        finally:
            if self.full:
                self._journal.rmdir()
        if appended and self.kill_at == "after file":
            raise Killed
        return appended


@dataclass
class Edge:
    """One edge with a real state directory; a restart is another one on the same directory."""

    service: BillingService
    files: FragileFiles
    published: list[Snapshot] = field(default_factory=list)
    words: list[tuple[Subscriber, ...] | None] = field(default_factory=list)
    now: float = START

    def passes(self, seconds: float) -> None:
        """Time goes on, by the clock on the wall and by the one that nobody can set."""
        self.now += seconds
        self.service._running_from += seconds

    @property
    def blocked(self) -> set[str]:
        return {s.id for s in self.published[-1].subscribers if s.state is State.BLOCKED} if self.published else set()


@asynccontextmanager
async def edge(
    directory: Path, source: Source, *, now: float = START, load: bool = True, **billing: Any
) -> AsyncIterator[Edge]:
    document = {
        "source": "rest",
        "url": "https://billing.example.net",
        "guard": {"first": "accept"},
    } | billing
    database = Database(directory / "edged.sqlite")
    await database.open()
    running: Edge
    service = BillingService(
        BillingSettings.model_validate(document),
        source=source,
        guard_memory=GuardMemoryStore(database),
        snapshots=(files := FragileFiles(directory)),
        own=OWN,
        publish=lambda snapshot, words=None: _publish(running, snapshot, words),
        clock=lambda: running.now,
    )
    running = Edge(service, files, now=now)
    try:
        if load:
            await service.load()
        yield running
    finally:
        await database.close()


async def _publish(running: Edge, snapshot: Snapshot, words: tuple[Subscriber, ...] | None) -> None:
    if words is not None:
        snapshot = replace(with_words(running.published[-1], words), id=snapshot.id)
    running.published.append(snapshot)
    running.words.append(words)


def people(*ids: object, state: str = "blocked", addresses: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [{"id": str(n), "state": state, "addresses": list(addresses)} for n in ids]


def names(*ids: object) -> set[str]:
    return {str(n) for n in ids}
