# SPDX-License-Identifier: Apache-2.0
"""The ``state:`` section. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edged.fields import Duration, SecretField, Settings, wrong
from edged.state.shared.target import parse_target


def _database(value: str) -> str:
    if value != "sqlite":
        try:
            parse_target(value)
        except ValueError as error:
            raise wrong("sqlite, or a PostgreSQL database", str(error)) from None
    return value


class LifeSettings(Settings):
    """What ``edged log`` can look back on; the audit has a year of its own."""

    keep: Duration = 92 * 86400.0
    """How long what befell a line is kept; `0s`: not at all. The audit has a year of its own.

    Example: `30d`
    """
    rows: int = Field(default=100_000, ge=100, le=10_000_000)
    """How many entries of all subscribers together; beyond, the oldest go."""


class StateSettings(Settings):
    """Where edged keeps what it must not forget."""

    directory: Path = Path("/var/lib/edged")
    """Last good list, held reading, sealing key, link key, stand-in certificate, SQLite file.

    Mistake: two daemons on one directory; to lose `sealing.key`: stored keys do not open without it.
    """
    database: Annotated[str, AfterValidator(_database)] = "sqlite"
    """`sqlite`, or one store for a fleet ([many edges](fleet-store.md)); the edge answers from its own file.

    Example: `postgresql://edged@db.example.net/edged`
    Mistake: a password in the URL; it belongs in `database_password`.
    """
    database_password: SecretField | None = None
    """Of the user in `database`.

    Example: `!file /etc/edged/secrets/database`
    """
    shared_key: SecretField | None = None
    """Seals keys made by hand for the shared store, the same at every edge; at least 32 characters, drawn.

    Example: `!file /etc/edged/secrets/shared-key`
    Mistake: none at all: such keys are then good at the edge that made them, and nowhere else.
    """
    group: str = Field(default="", pattern=r"^[a-z0-9-]{0,40}$")
    """Edges of one group share devices, sessions, passes and snoozes; overrides, keys and the audit reach every group.

    Example: `building-7`
    """
    log: LifeSettings = LifeSettings()
    """What `edged log` can look back on."""
