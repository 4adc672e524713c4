# SPDX-License-Identifier: Apache-2.0
"""Between the shared store and the rooms: what other edges wrote comes into force here. I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.errors import ConfigError
from edged.state.keys import KeyId, Sighting
from edged.state.sessions import Session
from edged.state.shared.capture import Capture, forget_sharing
from edged.state.shared.rows import KEY, KINDS, Row, parts_of
from edged.state.shared.target import key_mark, parse_target, shared_seal
from edged.values import MacAddress

if TYPE_CHECKING:
    from edged.config.schema import Config
    from edged.state.database import Database
    from edged.state.keys import KeyStore
    from edged.state.shared.service import Replicator
    from edged.state.shared.standing import Standing

Place = tuple[str, MacAddress]
"""Of a device: its SSID and MAC address."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """Who is told of what other edges wrote; the audit is read when it is asked for."""

    words: Callable[[], Awaitable[None]]
    """Overrides, passes and snoozes: read them again."""
    keys: Callable[[], Awaitable[None]]
    """Keys made by hand: read them again."""
    devices: Callable[[Sequence[Sighting], Sequence[Place]], Awaitable[None]]
    """Devices that were seen, and those that are forgotten."""
    sessions: Callable[[Sequence[Session]], None]
    """Accounting sessions as they stand now."""
    signers: Callable[[], Awaitable[None]]
    """RADIUS clients that have signed: read them again."""


class Sharing:
    """The exchange of this edge; nothing where ``state.database`` is ``sqlite``."""

    def __init__(self, config: Config, database: Database, keys: KeyStore) -> None:
        self._config = config
        self._database = database
        self._keys = keys
        self._rooms: Rooms | None = None
        self._replicator: Replicator | None = None

    @property
    def standing(self) -> Standing | None:
        """How the exchange stands; None: there is none."""
        return self._replicator.standing if self._replicator is not None else None

    async def open(self, rooms: Rooms) -> None:
        """Note every change from now on. ConfigError: a library is missing."""
        self._rooms = rooms
        state = self._config.state
        if state.database == "sqlite":
            await forget_sharing(self._database)
            return
        try:
            from edged.state.shared.client import SharedClient
            from edged.state.shared.service import Replicator
        except ImportError as error:
            raise ConfigError.of("state.database", f"{error.name} is not installed", "edged[postgresql]") from error
        seal = shared_seal(state.shared_key) if state.shared_key is not None else None
        client = SharedClient(
            parse_target(state.database, state.database_password), edge=self._config.site, group=state.group,
            mark=key_mark(state.shared_key),
        )  # fmt: skip
        near = Capture(self._database, self._keys, seal, time.time)
        mark = f"{state.group}/{key_mark(state.shared_key)}"
        self._replicator = Replicator(near, client, mark, self._learned)
        await self._replicator.open()

    async def run(self) -> None:
        """Exchange until cancelled; without a shared store there is nothing to wait for, and no end either."""
        if self._replicator is None:
            await asyncio.Event().wait()
        else:
            await self._replicator.run()

    async def _learned(self, rows: Sequence[Row]) -> None:
        """What changed here goes to the rooms, as little of it as they can do with: another edge may be busy."""
        rooms = self._rooms
        if rooms is None:
            return
        kinds = {row.kind for row in rows}
        if KEY in kinds:
            await rooms.keys()
        if devices := [row for row in rows if row.kind == "device"]:
            seen = [_sighting(row) for row in devices if not row.gone]
            await rooms.devices(seen, [_device(row) for row in devices if row.gone])
        if sessions := [_session(row) for row in rows if row.kind == "session"]:
            rooms.sessions(sessions)
        if kinds & {"override", "pass", "snooze"}:
            await rooms.words()
        if "signer" in kinds:
            await rooms.signers()


def _device(row: Row) -> Place:
    ssid, mac = parts_of(KINDS["device"], row.name)
    return str(ssid), MacAddress(str(mac))


def _sighting(row: Row) -> Sighting:
    key = KeyId(str(row.body["origin"]), str(row.body["key"]))
    return Sighting(*_device(row), key, float(row.body["last_seen"] or 0.0))


def _session(row: Row) -> Session:
    kind = KINDS["session"]
    nas, session = parts_of(kind, row.name)
    # a newer edged may have said more
    return Session(nas, session, **{column: row.body[column] for column in kind.body})  # type: ignore[arg-type]
