# SPDX-License-Identifier: Apache-2.0
"""The ``state:`` section. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edged.fields import Duration, Settings


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
    database: str = Field(default="sqlite", pattern=r"^(sqlite|postgresql://.+)$")
    """`sqlite`; `postgresql://…` is for a later version."""
    log: LifeSettings = LifeSettings()
    """What `edged log` can look back on."""
