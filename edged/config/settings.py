# SPDX-License-Identifier: Apache-2.0
"""The ``ops:`` section: what the operator sees and where. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from edged.fields import AddressField, EndpointField, SecretField, Settings, wrong
from edged.values import Secret

SHORTEST_TOKEN = 16
"""Octets: nobody guesses a random one of these."""


def _long(token: Secret) -> Secret:
    if len(token) < SHORTEST_TOKEN:
        raise wrong(f"a token of {SHORTEST_TOKEN} characters or more", "openssl rand -hex 32")
    return token


TokenField = Annotated[SecretField, AfterValidator(_long)]


class PairSettings(Settings):
    """Two edges behind the same addresses ([pairs.md](pairs.md)); without it this edge stands alone."""

    addresses: tuple[AddressField, ...] = ()
    """What this host has only while it is the master (VRRP, RFC 9568): the same list on both edges. A listener on one
    of them may be opened while the other edge has it, that the page's address is elsewhere is no alarm, and billing
    can never block one.

    Example: `["100.64.0.1", "2001:db8:100::1", "203.0.113.10", "2001:db8::10"]`
    Mistake: another list than in `keepalived.conf`; an address that each edge has for itself.
    """


class LogSettings(Settings):
    """How loud and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is written: this and what is graver."""
    format: Literal["text", "json"] = "text"
    """`text` (logfmt) or `json`, one line an event.

    Example: `json`
    """


class OpsSettings(Settings):
    """The operator's side."""

    listen: EndpointField | None = None
    """`/metrics`, `/healthz`, `/status` and the [dashboard](dashboard.md) over HTTP; none: off.

    Example: `"127.0.0.1:9300"`
    Mistake: an address that others reach, without `ops.token`.
    """
    token: TokenField | None = None
    """What a reader of the ops address must show, 16 characters or more; `/healthz` alone is open without it. Where
    others reach `ops.listen` there is no dashboard without it.

    Example: `!file /etc/edged/secrets/ops`
    Mistake: a password that people use elsewhere: it travels in clear, see
    [dashboard.md](dashboard.md#who-may-read-it).
    """
    socket: Path = Path("/run/edged/control.sock")
    """What the `edged` command talks to; mode 0660, owner and group of the daemon."""
    log: LogSettings = LogSettings()
    """The log, on standard error."""
