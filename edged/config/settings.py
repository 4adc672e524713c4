# SPDX-License-Identifier: Apache-2.0
"""The ``ops:`` section: what the operator sees and where. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edged.fields import EndpointField, Settings


class LogSettings(Settings):
    """How loud and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class OpsSettings(Settings):
    """The operator's side."""

    listen: EndpointField | None = None
    """/metrics /healthz /status; missing: none."""
    socket: Path = Path("/run/edged/control.sock")
    """What the edged command talks to."""
    log: LogSettings = LogSettings()
