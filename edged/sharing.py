# SPDX-License-Identifier: Apache-2.0
"""Between the shared store and the rooms: what other edges wrote comes into force here. I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from edged.errors import ConfigError
from edged.state.shared.capture import Capture, forget_sharing
from edged.state.shared.target import key_mark, parse_target, shared_seal

if TYPE_CHECKING:
    from edged.config.schema import Config
    from edged.state.database import Database
    from edged.state.keys import KeyStore
    from edged.state.shared.service import Replicator
    from edged.state.shared.standing import Standing

Learn = Callable[[], Awaitable[None]]
ROOMS: Mapping[str, str] = {
    "override": "words", "pass": "words", "snooze": "words", "device": "keys", "key": "keys", "session": "sessions",
    "signer": "signers",
}  # fmt: skip
"""Which room is told of which kind of row; the audit is read when it is asked for."""


class Sharing:
    """The exchange of this edge; nothing where ``state.database`` is ``sqlite``."""

    def __init__(self, config: Config, database: Database, keys: KeyStore) -> None:
        self._config = config
        self._database = database
        self._keys = keys
        self._rooms: Mapping[str, Learn] = {}
        self._replicator: Replicator | None = None

    @property
    def standing(self) -> Standing | None:
        """How the exchange stands; None: there is none."""
        return self._replicator.standing if self._replicator is not None else None

    async def open(self, rooms: Mapping[str, Learn]) -> None:
        """Note every change from now on. ``rooms``: by their name in ``ROOMS``. ConfigError: a library is missing."""
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
            parse_target(state.database, state.database_password), edge=self._config.site, group=state.group
        )
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

    async def _learned(self, kinds: set[str]) -> None:
        for room in sorted({ROOMS[kind] for kind in kinds if kind in ROOMS}):
            await self._rooms[room]()


def rooms(house: Any) -> Mapping[str, Learn]:
    """Who is told of what."""

    async def words() -> None:
        await house.clerk.recount()
        await house.relearn()

    async def signers() -> None:
        for address in await house.signers.load():
            if house.radius is not None and str(address) not in house.radius.signed:
                house.radius.signed.add(str(address))

    return {
        "words": words, "keys": house.mpsk.reload_keys, "sessions": house.accounting.follow, "signers": signers,
    }  # fmt: skip
