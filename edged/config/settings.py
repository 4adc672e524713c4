# SPDX-License-Identifier: Apache-2.0
"""The ``ops:`` section: what the operator sees and where. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from edged.fields import EndpointField, SecretField, Settings, wrong
from edged.values import Secret

SHORTEST_TOKEN = 16
"""Octets: nobody guesses a random one of these."""


def _long(token: Secret) -> Secret:
    if len(token) < SHORTEST_TOKEN:
        raise wrong(f"a token of {SHORTEST_TOKEN} characters or more", "openssl rand -hex 32")
    return token


TokenField = Annotated[SecretField, AfterValidator(_long)]


class LogSettings(Settings):
    """How loud and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class OpsSettings(Settings):
    """The operator's side."""

    listen: EndpointField | None = None
    """/metrics /healthz /status and the dashboard; missing: none."""
    token: TokenField | None = None
    """What a reader of the ops address must show; missing: nothing, and no dashboard where others reach it."""
    socket: Path = Path("/run/edged/control.sock")
    """What the edged command talks to."""
    log: LogSettings = LogSettings()
