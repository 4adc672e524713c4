# SPDX-License-Identifier: Apache-2.0
"""The last good list and the held one, as JSON Lines in the state directory. I/O.

One header, one subscriber a line, one line of checksum; two generations. Beside the newest a journal of single
subscribers that have changed since, appended: a payment does not cost the writing of a hundred thousand others. Keys
are not here: the database has them, sealed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from edged.errors import UpstreamError
from edged.model import NO_ACCOUNT, Account, Snapshot, State, Subscriber, intern
from edged.state.files import write_atomically
from edged.values import MacAddress, parse_mac, parse_prefix

_SCHEMA = 1
_JOURNAL_OCTETS = 4 * 1024 * 1024
"""Some ten thousand words; then the whole list is written."""
_LINE_OCTETS = 1024 * 1024
"""The mapping's limits keep a line far below; more is damage."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was on disk, and what was wrong with it."""

    snapshot: Snapshot | None
    fault: str = ""
    """A sentence when the newest file was damaged and an older one, or none, was taken."""
    words: tuple[Subscriber, ...] = ()
    """Subscribers that have changed since ``snapshot`` was written, the last word on each."""


class SnapshotFiles:
    """``snapshot.jsonl``, the one before it, and ``held.jsonl``. The calls block: give them a thread."""

    def __init__(self, directory: Path) -> None:
        self._newest = directory / "snapshot.jsonl"
        self._older = directory / "snapshot.1.jsonl"
        self._held = directory / "held.jsonl"
        self._journal = directory / "words.jsonl"
        self._newest_is_good = True
        self._newest_id = ""
        """Of the snapshot in the newest file; empty: there is none that words could be added to."""

    def save(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` the last good list; the one before stays as the older one. UpstreamError."""
        try:
            if self._newest_is_good and self._newest.exists():
                # a second name, then a rename: at no instant is there no good file
                spare = self._older.with_name(f".{self._older.name}.new")
                spare.unlink(missing_ok=True)
                os.link(self._newest, spare)
                spare.replace(self._older)
            self._newest_id = ""
            write_atomically(self._newest, _encode(snapshot))
            # one that outlives this names another snapshot, and is not read
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise UpstreamError(f"{self._newest}: {error.strerror}") from error
        self._newest_is_good, self._newest_id = True, snapshot.id

    def append(self, words: Iterable[Subscriber]) -> bool:
        """Add ``words`` to what the newest file says; False: it is time to write the whole list. UpstreamError."""
        try:
            size = self._journal.stat().st_size if self._journal.exists() else 0
            # not before there are two generations of the list: one alone is no good copy of itself
            if not self._newest_id or size > _JOURNAL_OCTETS or not self._older.exists():
                return False
            lines = b"".join(_word_line(self._newest_id, word) for word in words)
            descriptor = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                if os.write(descriptor, lines) != len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._newest_id = ""  # what follows a torn line is not read: the next time all is written
            raise UpstreamError(f"{self._journal}: {error.strerror}") from error
        return True

    def load(self) -> Found:
        """The newest good list, or the one before it with the fault of the newest. Damage never raises."""
        faults = []
        for path in (self._newest, self._older):
            try:
                snapshot = _read(path)
            except UpstreamError as error:
                self._newest_is_good = False
                faults.append(str(error))
                continue
            if snapshot is not None:
                if path == self._newest:
                    self._newest_id = snapshot.id
                return Found(snapshot, "; ".join(faults), self._words(snapshot.id))
        return Found(None, "; ".join(faults))

    def _words(self, snapshot_id: str) -> tuple[Subscriber, ...]:
        """The journal's last word on each, as far as it is whole and about ``snapshot_id``."""
        words: dict[str, Subscriber] = {}
        with contextlib.suppress(OSError), self._journal.open("rb") as file:
            for line in iter(lambda: file.readline(_LINE_OCTETS), b""):
                word = _word(snapshot_id, line)
                if word is None or not line.endswith(b"\n"):
                    # another snapshot's, or cut off by a crash: nothing after it is trusted, nor would be
                    self._newest_id = ""
                if word is None:
                    break
                words[word.id] = word
        return tuple(words.values())

    def hold(self, snapshot: Snapshot) -> None:
        """Keep ``snapshot`` until a person has decided about it. UpstreamError."""
        try:
            write_atomically(self._held, _encode(snapshot))
        except OSError as error:
            raise UpstreamError(f"{self._held}: {error.strerror}") from error

    def held(self) -> Found:
        """The reading that waits for a person, if any."""
        try:
            return Found(_read(self._held))
        except UpstreamError as error:
            return Found(None, str(error))

    def drop_held(self) -> None:
        """Forget the held reading: it was accepted, or a good one has come. UpstreamError."""
        try:
            self._held.unlink(missing_ok=True)
        except OSError as error:
            raise UpstreamError(f"{self._held}: {error.strerror}") from error


def _encode(snapshot: Snapshot) -> Iterator[bytes]:
    header: object = {
        "schema": _SCHEMA,
        "id": snapshot.id,
        "revision": snapshot.revision,
        "read_at": snapshot.read_at,
        "known": snapshot.known,
        "count": len(snapshot.subscribers),
    }
    digest = hashlib.sha256()
    for row in chain([header], map(_row, snapshot.subscribers)):
        line = json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        digest.update(line)
        yield line
    yield _checksum(digest.hexdigest())


def _checksum(digest: str) -> bytes:
    return json.dumps({"sha256": digest}).encode() + b"\n"


def _row(s: Subscriber) -> list[Any]:
    a = s.account
    account = None if a is NO_ACCOUNT else _account(a)
    addresses = [str(prefix) for prefix in s.addresses]
    return [s.id, s.state.value, s.reason, s.since, addresses, s.devices, s.logins, s.brand, account]


def _account(a: Account) -> list[str]:
    """As earlier versions wrote it, whose files are read still: what came later stands at the end, if it is said."""
    fields = [a.name, a.amount_due, a.currency, a.due, a.pay_url, a.language]
    return [*fields, a.invoice] if a.invoice else fields


def _word_line(snapshot_id: str, word: Subscriber) -> bytes:
    row = json.dumps([snapshot_id, _row(word)], ensure_ascii=True, separators=(",", ":"))
    return f'["{_line_digest(row)}",{row}]\n'.encode()


def _word(snapshot_id: str, line: bytes) -> Subscriber | None:
    """The word in a line of the journal; None when it is not whole, or is about another snapshot."""
    try:
        digest, (of, row) = json.loads(line)
        again = json.dumps([of, row], ensure_ascii=True, separators=(",", ":"))
        return _subscriber(row) if of == snapshot_id and digest == _line_digest(again) else None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _line_digest(row: str) -> str:
    return hashlib.sha256(row.encode()).hexdigest()[:16]


def _read(path: Path) -> Snapshot | None:
    """The snapshot in ``path``; None when there is no such file. UpstreamError when it is damaged."""
    try:
        with path.open("rb") as file:
            return _decode(iter(lambda: file.readline(_LINE_OCTETS), b""))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UpstreamError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise UpstreamError(f"{path} is damaged and not used") from error


def _decode(lines: Iterator[bytes]) -> Snapshot:
    """ValueError, TypeError, KeyError or IndexError when anything is not as ``_encode`` wrote it."""
    digest = hashlib.sha256()
    first = next(lines, b"")
    digest.update(first)
    header = json.loads(first)
    if header["schema"] != _SCHEMA:
        raise ValueError("another schema")
    subscribers = []
    for _ in range(header["count"]):
        line = next(lines, b"")
        digest.update(line)
        subscribers.append(_subscriber(json.loads(line)))
    if next(lines, b"") != _checksum(digest.hexdigest()) or next(lines, b""):
        raise ValueError("not the octets that were written")
    known = header["known"]
    return Snapshot(
        id=str(header["id"]),
        revision=str(header["revision"]),
        read_at=float(header["read_at"]),
        subscribers=tuple(subscribers),
        known=None if known is None else int(known),
    )


def _subscriber(row: list[Any]) -> Subscriber:
    identity, state, reason, since, addresses, devices, logins, brand, account = row
    return Subscriber(
        id=identity,
        state=State(state),
        reason=intern(reason),
        since=float(since),
        addresses=tuple(map(parse_prefix, addresses)),
        devices=tuple(MacAddress(intern(parse_mac(mac))) for mac in devices),
        logins=tuple(logins),
        brand=intern(brand),
        account=NO_ACCOUNT if account is None else Account(*account),
    )
