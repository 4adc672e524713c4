# SPDX-License-Identifier: Apache-2.0
"""The last good list and the held one, as JSON Lines in the state directory. I/O.

One header, one subscriber a line, one line of checksum; two generations. Keys are not here: the
database has them, sealed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from edged.errors import UpstreamError
from edged.model import NO_ACCOUNT, Account, Snapshot, State, Subscriber, intern
from edged.state.files import write_atomically
from edged.values import MacAddress, parse_mac, parse_prefix

_SCHEMA = 1
_LINE_OCTETS = 1024 * 1024
"""The mapping's limits keep a line far below; more is damage."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was on disk, and what was wrong with it."""

    snapshot: Snapshot | None
    fault: str = ""
    """A sentence when the newest file was damaged and an older one, or none, was taken."""


class SnapshotFiles:
    """``snapshot.jsonl``, the one before it, and ``held.jsonl``. The calls block: give them a thread."""

    def __init__(self, directory: Path) -> None:
        self._newest = directory / "snapshot.jsonl"
        self._older = directory / "snapshot.1.jsonl"
        self._held = directory / "held.jsonl"
        self._newest_is_good = True

    def save(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` the last good list; the one before stays as the older one. UpstreamError."""
        try:
            if self._newest_is_good and self._newest.exists():
                # a second name, then a rename: at no instant is there no good file
                spare = self._older.with_name(f".{self._older.name}.new")
                spare.unlink(missing_ok=True)
                os.link(self._newest, spare)
                spare.replace(self._older)
            write_atomically(self._newest, _encode(snapshot))
        except OSError as error:
            raise UpstreamError(f"{self._newest}: {error.strerror}") from error
        self._newest_is_good = True

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
                return Found(snapshot, "; ".join(faults))
        return Found(None, "; ".join(faults))

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
    account = None if a is NO_ACCOUNT else [a.name, a.amount_due, a.currency, a.due, a.pay_url, a.language]
    addresses = [str(prefix) for prefix in s.addresses]
    return [s.id, s.state.value, s.reason, s.since, addresses, s.devices, s.logins, s.brand, account]


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
