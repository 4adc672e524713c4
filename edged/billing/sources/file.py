# SPDX-License-Identifier: Apache-2.0
"""A YAML or JSON document, a CSV file, or a folder of them, in, a Reading out. Reads files, never half-written.

A file is taken when it has rested, and when its end shows that no word was cut in two: half an address is another's.
What was cut between two lines is for ``total`` and the guard to notice; it can only leave somebody out.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from edged.billing.cells import Table, parse_cells
from edged.billing.feed_fields import KEY, SUBSCRIBER, found
from edged.billing.mapping import map_keys, map_subscribers
from edged.billing.paging import Page, parse_json, parse_page
from edged.billing.reading import Direct, Progress, Reading, make_snapshot, silent
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError
from edged.model import OnlineSession, Subscriber
from edged.yamltext import load_text

_OCTETS = 256 * 1024 * 1024
"""Half a million subscribers with every field; a larger file is refused while it is read."""
_LOOKS = 10
"""How often a file that keeps changing is looked at before we say so."""
_RESTS_LONG = 5
"""So many looks alike, and not one, where a file was overwritten in place by less than half of it."""
_FOLDER = {"subscribers": "subscribers.csv", "keys": "keys.csv"}

Stamp = tuple[tuple[str, int, int, int], ...]


class FileSource(Direct):
    """``source: file``."""

    every: float | None = 1.0  # a look is one stat: a changed file is in force a second or two later
    trouble = ""
    """Always: what it cannot say fails the reading itself."""

    def __init__(self, path: Path, *, settle: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self.name = str(path)
        self._path = path
        self._settle = settle
        self._clock = clock
        self._last: Reading | None = None
        self._taken: Stamp = ()
        """Of the version that was read last."""

    @classmethod
    def of(cls, settings: BillingSettings) -> FileSource:
        """The source of ``billing.path``."""
        if settings.path is None:
            raise ValueError("the settings have checked that there is a path")
        return cls(settings.path)

    async def read(self, previous: Reading | None, _told: Progress = silent) -> Reading | None:
        """What the files hold, once they have been the same at two looks. UpstreamError."""
        stamp = self._stamp()
        if previous is not None and previous.marks.get("stamp") == repr(stamp):
            return None
        alike = 0
        for _ in range(_LOOKS):
            await asyncio.sleep(self._settle)
            before, stamp = stamp, self._stamp()
            alike = alike + 1 if before == stamp else 0
            if alike >= (_RESTS_LONG if self._shrinks(stamp) else 1):
                octets = await asyncio.to_thread(self._octets, stamp)
                if self._stamp() == stamp:
                    self._last = await asyncio.to_thread(self._parse, octets, repr(stamp))
                    self._taken = stamp
                    return self._last
        raise UpstreamError(f"{self._path} is still being written")

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What the files say of ``subscriber`` now; None when they do not list them: that alone is no word."""
        reading = self._last
        if reading is None or reading.marks.get("stamp") != repr(self._stamp()):
            reading = await self.read(None)
        listed = reading.snapshot.subscribers if reading is not None else ()
        return next((one for one in listed if one.id == subscriber), None)

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """None: a file says nothing of who is online."""
        return None

    async def close(self) -> None:
        """Nothing is held open."""

    def _stamp(self) -> Stamp:
        """What tells one version of the files from another."""
        try:
            if not self._path.is_dir():
                return (_mark("", self._path.stat()),)
            files = {name: self._path / name for name in _FOLDER.values()}
            return tuple(_mark(name, path.stat()) for name, path in files.items() if path.exists())
        except OSError as error:
            raise UpstreamError(unread(self._path, error)) from error

    def _shrinks(self, stamp: Stamp) -> bool:
        """True where a file was overwritten, not replaced, and is less than half of what it was: a writer at work."""
        before = {(name, inode): size for name, _, size, inode in self._taken}
        return any(2 * size < before.get((name, inode), 0) for name, _, size, inode in stamp)

    def _octets(self, stamp: Stamp) -> dict[str, bytes]:
        octets = {}
        for name, *_ in stamp:
            path = self._path / name if name else self._path
            try:
                with path.open("rb") as file:
                    octets[name] = file.read(_OCTETS + 1)
            except OSError as error:
                raise UpstreamError(unread(path, error)) from error
            if len(octets[name]) > _OCTETS:
                raise UpstreamError(f"{path} is larger than {_OCTETS >> 20} MiB")
        return octets

    def _parse(self, octets: dict[str, bytes], stamp: str) -> Reading:
        try:
            document, lines = self._document(octets)
            subscribers, keys = parse_page(document, "subscribers"), document.get("keys")
            return self._reading(subscribers, keys, lines, stamp)
        except UpstreamError as error:
            raise UpstreamError(f"{self._path}: {error}") from None

    def _reading(self, page: Page, keys: object, lines: dict[str, list[int]], stamp: str) -> Reading:
        now = self._clock()
        subscribers = map_subscribers(page.objects, lines.get("subscribers", ()))
        if page.total is not None and page.total != len(subscribers):
            raise UpstreamError(f"the reading is refused: total is {page.total}, the list has {len(subscribers)}")
        mapped_keys = None if keys is None else map_keys(keys, now, lines.get("keys", ()))
        snapshot = make_snapshot(subscribers, mapped_keys, revision=page.revision, known=page.known, read_at=now)
        return Reading(snapshot, {"stamp": stamp})

    def _document(self, octets: dict[str, bytes]) -> tuple[dict[str, object], dict[str, list[int]]]:
        """The lists, and for each that is a table the line of every object."""
        suffix = self._path.suffix.lower()
        if "" not in octets or suffix == ".csv":
            files = _FOLDER if "" not in octets else {"subscribers": ""}
            tables = {
                kind: _table(octets[file], kind, file or self._path.name)
                for kind, file in files.items()
                if file in octets
            }
            return {k: t.objects for k, t in tables.items()}, {k: t.lines for k, t in tables.items()}
        if not octets[""].strip():
            raise UpstreamError("the reading is refused: the file is empty")
        if suffix == ".json":
            document = parse_json(octets[""])
        else:
            text = _decode(octets[""], "utf-8")
            _refuse_cut(text, "\n}]", "line end, } or ]")
            try:
                document = load_text(text)
            except yaml.YAMLError as error:
                raise UpstreamError(f"the reading is refused: {_yaml_fault(error)}") from None
        if not isinstance(document, dict):
            raise UpstreamError(f"the reading is refused: expected a mapping with subscribers, found {found(document)}")
        return document, {}


def unread(path: Path, error: OSError) -> str:
    """Why ``path`` could not be read, and of a file that root has written what mends it."""
    mend = ": the user that edged runs as must be able to read it" if isinstance(error, PermissionError) else ""
    return f"{path}: {error.strerror}{mend}"


def _mark(name: str, status: os.stat_result) -> tuple[str, int, int, int]:
    return (name, status.st_mtime_ns, status.st_size, status.st_ino)


def _table(octets: bytes, kind: str, name: str) -> Table:
    text = _decode(octets, "utf-8-sig")
    _refuse_cut(text, "\n\r", f"line end ({name})")
    return parse_cells(text, name, SUBSCRIBER if kind == "subscribers" else KEY)


def _refuse_cut(text: str, ends: str, expected: str) -> None:
    """UpstreamError where the last word may be the beginning of a longer one."""
    if text and text[-1] not in ends:
        raise UpstreamError(
            f"the reading is refused: its last line has no {expected}: it may be cut off, or still being written"
        )


def _decode(octets: bytes, encoding: str) -> str:
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError:
        raise UpstreamError("the reading is refused: not UTF-8 text") from None


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    # the parser's message may quote a scalar, and a scalar may be a passphrase
    return f"not YAML{place}"
