# SPDX-License-Identifier: Apache-2.0
"""The ``state:`` section. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edged.fields import Settings


class StateSettings(Settings):
    """Where edged keeps what it must not forget."""

    directory: Path = Path("/var/lib/edged")
    """Last good snapshot, sealing key, certificates, SQLite file."""
    database: str = Field(default="sqlite", pattern=r"^(sqlite|postgresql://.+)$")
    """sqlite, or postgresql://… (not in this version: see docs/configure.md)."""
