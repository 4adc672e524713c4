# SPDX-License-Identifier: Apache-2.0
"""RADIUS clients that have once signed a request and must do so ever after, kept across restarts. I/O."""

from __future__ import annotations

from collections.abc import Iterable

from edged.state.database import Database
from edged.values import IpAddress, parse_address


class SignerStore:
    """The table ``signing_clients`` (CVE-2024-3596: forgetting it at a restart would be a bypass)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[IpAddress]:
        """Every remembered address."""
        return [parse_address(row[0]) for row in await self._database.read("SELECT address FROM signing_clients")]

    async def save(self, addresses: Iterable[IpAddress]) -> None:
        """Remember these too."""
        await self._database.write_many(
            "INSERT OR IGNORE INTO signing_clients (address) VALUES (?)", [(str(a),) for a in addresses]
        )
