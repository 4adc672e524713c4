# SPDX-License-Identifier: Apache-2.0
"""The ``state:`` section. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edged.fields import Duration, Settings


class LifeSettings(Settings):
    """What ``edged log`` can look back on; the audit has a year of its own."""

    keep: Duration = 92 * 86400.0
    """How long, in seconds."""
    rows: int = Field(default=100_000, ge=100, le=10_000_000)
    """How many of all subscribers together; beyond, the oldest go. 100,000 take some 11 MB."""


class StateSettings(Settings):
    """Where edged keeps what it must not forget."""

    directory: Path = Path("/var/lib/edged")
    """Last good snapshot, sealing key, certificates, SQLite file."""
    database: str = Field(default="sqlite", pattern=r"^(sqlite|postgresql://.+)$")
    """sqlite, or postgresql://… (not in this version: see docs/configure.md)."""
    log: LifeSettings = LifeSettings()
    """How much is kept of what befell each subscriber's line."""
