# SPDX-License-Identifier: Apache-2.0
"""What ``edged fleet`` asks and says: how a hub's edges are, its key, an edge that is no more. Asks the hub."""

from __future__ import annotations

import asyncio
import base64
import difflib
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.billing.signing import keyid, public_key
from edged.errors import ConfigError
from edged.hub.fleet import Standing
from edged.ops.control import SCHEMA, Command, Refused
from edged.ops.fleet.edges import Tally, facts, ordered, tally
from edged.ops.text import counted
from edged.state.files import kept_secret
from edged.state.overrides import AuditRow

if TYPE_CHECKING:
    from edged.hub.service import HubService
    from edged.ops.rooms import House

_NO_HUB = "this edged is no hub (its file has no hub section): ask the one that billing.url of the edges leads to"


class FleetCommands:
    """The hub's answers to its operator."""

    def __init__(self, house: House) -> None:
        self._house = house

    def commands(self) -> dict[str, Command]:
        """Name to command, as the control socket takes them."""
        return {
            "fleet": lambda request, _: self._fleet(request),
            "fleet-key": lambda *_: self._key(),
            "fleet-forget": lambda request, _: self._forget(request),
        }

    @property
    def _hub(self) -> HubService:
        hub = self._house.office.hub
        if hub is None:
            raise Refused(_NO_HUB)
        return hub

    async def _fleet(self, request: dict[str, Any]) -> dict[str, Any]:
        hub, only = self._hub, str(request.get("edge") or "")
        standings = hub.standings()
        # in a thread: ten thousand edges take a quarter of a second
        rows = await asyncio.to_thread(_rows, [s for s in standings if not only or s.report.edge == only])
        if only and not rows:
            raise Refused(_nobody(only, (s.report.edge for s in standings)))
        counts = tally(standings)
        return {
            "schema": SCHEMA,
            "site": self._house.loaded.config.site,
            "verdict": _verdict(counts, serves=all(hub.revisions.values())),
            "now": time.time(),
            **_served(hub),
            "current_at": self._house.billing.current_at if self._house.billing is not None else 0.0,
            "connections": hub.front.under_way,
            "waiting": hub.waiting,
            "counts": asdict(counts),
            "edges": rows,
        }

    async def _key(self) -> dict[str, Any]:
        return _key_facts(base64.b64decode(self._hub.public_key))

    async def _forget(self, request: dict[str, Any]) -> dict[str, Any]:
        hub, edge = self._hub, str(request["edge"])
        who, why = str(request.get("who", "?"))[:64], str(request.get("why", ""))[:256]
        if not hub.fleet.forget(edge):
            raise Refused(_nobody(edge, (report.edge for report in hub.fleet.reports())))
        await hub.reports.save()
        await self._house.overrides.note(AuditRow(time.time(), who, "forget", edge, why))
        return {"schema": SCHEMA, "edge": edge, "sentence": f"{edge} is forgotten; should it report again, it is back"}


def _rows(standings: Iterable[Standing]) -> list[dict[str, Any]]:
    now = time.time()
    return [facts(standing, now) for standing in ordered(standings)]


def _served(hub: HubService) -> dict[str, Any]:
    scheme = "https" if hub.settings.tls is not None else "http"
    return {
        "url": f"{scheme}://{hub.endpoint or hub.settings.listen}{hub.settings.path}",
        "public_key": hub.public_key,
        "keyid": keyid(base64.b64decode(hub.public_key)),
        "revisions": dict(hub.revisions),
    }


def key_of(path: Path) -> dict[str, Any]:
    """The public key of the private one in ``path``, which no hub has to have in force. Refused."""
    try:
        private = kept_secret(path)
    except ConfigError as error:
        raise Refused(f"{path}: {error.problems[0].found}; expected 64 hexadecimal digits") from None
    if private is None:
        raise Refused(f"{path}: there is no such file; openssl rand -hex 32 makes one")
    return _key_facts(public_key(private))


def _key_facts(public: bytes) -> dict[str, Any]:
    return {"schema": SCHEMA, "public_key": base64.b64encode(public).decode(), "keyid": keyid(public)}


def _nobody(edge: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(edge, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'no edge "{edge[:63]}" has reported here{hint}'


def _verdict(counts: Tally, *, serves: bool) -> str:
    if not serves:
        return "there is no list yet to serve"
    if not counts.known:
        return "no edge has reported yet"
    if not counts.needing:
        return f"{counted(counts.known, 'edge')}, all well"
    return f"{counts.needing:,} of {counted(counts.known, 'edge')} {'needs' if counts.needing == 1 else 'need'} you"
