# SPDX-License-Identifier: Apache-2.0
"""This edge's state in, posts to the hub's ``/report`` out. Dials out; nothing waits for it, nothing depends on it."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edged.billing.client import BillingClient
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError

Facts = Callable[[], Mapping[str, Any]]
"""What a report says, JSON values by name; ``alarms`` is a list of codes."""

_MOST = 64 * 1024
"""Octets of a report; the hub reads no more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    every: float = 60.0
    """From one report to the next, half as much more or less, so that a fleet does not report in step."""
    look: float = 5.0
    """From one look at the alarms to the next: a new one is told then."""
    request: float = 10.0


@dataclass(slots=True)
class Counters:
    """Read at scrape time."""

    posted: int = 0
    failed: int = 0


class ReportService:
    """Tells one hub how this edge is."""

    def __init__(
        self, settings: BillingSettings, facts: Facts, *, pace: Pace | None = None, chance: random.Random | None = None
    ) -> None:
        self.counters = Counters()
        self._facts = facts
        self._pace = pace or Pace()
        self._chance = chance or secrets.SystemRandom()
        url = (settings.url or "").rstrip("/")
        self._address, self._key = f"{url}/report", settings.secret or settings.key
        name = urlsplit(url).hostname or "hub"
        self._client = BillingClient(name, seconds=self._pace.request, octets=_MOST, authority=settings.ca)

    async def run(self) -> None:
        """Report until cancelled: now and then, and when an alarm comes or goes."""
        loop = asyncio.get_running_loop()
        told: list[str] | None = None
        due = loop.time() + self._chance.uniform(0.0, self._pace.look)
        while True:
            await asyncio.sleep(min(self._pace.look, max(0.0, due - loop.time())))
            facts = self._facts()
            alarms = list(facts["alarms"])
            if loop.time() < due and alarms == told:
                continue
            told, due = alarms, loop.time() + self._pace.every * self._chance.uniform(0.5, 1.5)
            await self._post(facts)

    async def _post(self, facts: Mapping[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.reveal_text()}"
        try:
            reply = await self._client.request(
                "POST", self._address, headers=headers, body=json.dumps(facts).encode()[:_MOST]
            )
        except UpstreamError:
            self.counters.failed += 1  # billing's own alarms say that the hub is away
            return
        if 200 <= reply.status < 300:
            self.counters.posted += 1
        else:
            self.counters.failed += 1

    async def stop(self) -> None:
        """Close the connection."""
        await self._client.close()
