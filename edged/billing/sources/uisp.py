# SPDX-License-Identifier: Apache-2.0
"""UISP in (suspended services of the CRM, addresses of the Network), a Reading out. Dials out; replies are bounded.

UISP documents no feed of changes: every look reads the suspended services, which are few, and says None where that
comes to the same list. What takes one call for each client or site is remembered for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from edged.billing.reading import Direct, Progress, Reading, make_snapshot, silent
from edged.billing.settings import BillingSettings
from edged.billing.sources.remembered import Remembered
from edged.billing.sources.uisp_calls import BOUNDS, Bounds, NotAcceptedError, UispCalls
from edged.billing.uisp_objects import NO_CLIENT, Client, Known, Service, Status, map_clients, wanted_sites
from edged.errors import UpstreamError
from edged.model import OnlineSession, State, Subscriber
from edged.values import Prefix, Secret

log = structlog.get_logger(__name__)

_ASKED_AGAIN = 32
"""How many clients that left the list are asked about at one look: their answer is a word, absence is not."""


_UNKNOWN = 0.1
"""The share of sites that may be without an answer in the first reading."""


class UispSource(Direct):
    """``source: uisp``."""

    every: float | None = None

    def __init__(
        self,
        url: str,
        key: Secret,
        token: Secret,
        *,
        bounds: Bounds = BOUNDS,
        authority: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._calls = UispCalls(url, key, token, bounds=bounds, authority=authority)
        self.name = self._calls.name
        self.trouble = ""
        """What cannot be read now beside the list itself, for the operator; empty: nothing."""
        self._bounds = bounds
        self._clock = clock
        self._suspended: dict[int, Service] | None = None
        """As the latest reading had them; None: there was none yet."""
        self._active: dict[int, Service] = {}
        self._sites: Remembered[str, tuple[Prefix, ...]] = Remembered("addresses", bounds.pace)
        self._clients: Remembered[int, Client] = Remembered("clients", bounds.pace)
        self._listed: frozenset[int] = frozenset()
        """Clients that the latest reading blocked."""
        self._reasons: dict[int, str] = {}
        self._organizations: dict[int, str] = {}

    @classmethod
    def of(cls, settings: BillingSettings) -> UispSource:
        """The source of ``billing.url``, with the CRM's key in ``key`` and the Network's token in ``secret``."""
        if settings.key is None or settings.secret is None:
            raise ValueError("the settings have checked that there are both")
        return cls(settings.url or "", settings.key, settings.secret, authority=settings.ca)

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        """The clients with suspended services; None: the same as ``previous``. UpstreamError."""
        try:
            async with asyncio.timeout(self._bounds.reading):
                return await self._read(previous, told)
        except TimeoutError:
            raise UpstreamError(f"{self.name}: no whole list within {self._bounds.reading:.0f} s") from None

    async def _read(self, previous: Reading | None, told: Progress) -> Reading | None:
        suspended = await self._calls.services(status=Status.SUSPENDED, told=told)
        words: tuple[Subscriber, ...] = ()
        known = previous.snapshot.known if previous else None
        if previous is None or self._suspended is None:
            known = await self._read_all(suspended, told)
        else:
            words = await self._ask_about_who_left(self._suspended, suspended, previous)
        await self._ask_what_is_old(suspended, told)
        subscribers = self._joined(suspended)
        named = {one.id for one in subscribers}
        subscribers += tuple(one for one in words if one.id not in named)
        snapshot = await asyncio.to_thread(
            make_snapshot, subscribers, None, revision="", known=known, read_at=self._clock()
        )
        self._suspended = suspended
        self._listed = frozenset(int(one.id) for one in subscribers if one.state is State.BLOCKED)
        if previous is not None and snapshot.id == previous.snapshot.id:
            return None
        return Reading(snapshot)

    async def _read_all(self, suspended: dict[int, Service], told: Progress) -> int:
        """Read what changes seldom; how many clients have a service at all."""
        self._active = await self._calls.services(status=Status.ACTIVE, told=told)
        self._reasons = await self._named("service-suspension-reasons", self._reasons)
        self._organizations = await self._named("organizations", self._organizations)
        return len({service.client for services in (suspended, self._active) for service in services.values()})

    async def _named(self, kind: str, before: dict[int, str]) -> dict[int, str]:
        """Names for the page; nobody is blocked or opened by them, so the list does not wait for them."""
        try:
            return await self._calls.names(kind)
        except NotAcceptedError:
            raise
        except UpstreamError as error:
            log.warning("uisp-names-unread", source=kind, error=str(error))
            return before

    async def _ask_about_who_left(
        self, before: dict[int, Service], suspended: dict[int, Service], previous: Reading
    ) -> tuple[Subscriber, ...]:
        """A word on each client with a service that left the list, as long as they are few. UpstreamError.

        Words of earlier looks stay in the reading until everything is read anew.
        """
        left = {service.client for number, service in before.items() if number not in suspended}
        blocked = {service.client for service in suspended.values()}
        words = {
            one.id: one
            for one in previous.snapshot.subscribers
            if one.state is State.ACTIVE and int(one.id) not in blocked
        }
        if len(left) > _ASKED_AGAIN:
            self._active = await self._calls.services(status=Status.ACTIVE)
            return tuple(words.values())
        for client in sorted(left):
            services = await self._calls.services(client=client)
            self._note_active(client, services)
            missed = [s.id for s in services.values() if s.status == Status.SUSPENDED and s.id not in suspended]
            if missed:
                raise UpstreamError(
                    f"{self.name}: the reading is refused: service {missed[0]} is suspended and was not in the list"
                )
            if client not in blocked:
                words[str(client)] = Subscriber(str(client), State.ACTIVE)
        return tuple(words.values())

    def _note_active(self, client: int, services: dict[int, Service]) -> None:
        others = {number: service for number, service in self._active.items() if service.client != client}
        self._active = others | {n: s for n, s in services.items() if s.status == Status.ACTIVE}

    async def _ask_what_is_old(self, suspended: dict[int, Service], told: Progress) -> None:
        """Bring addresses and balances up to date, as far as they are old. UpstreamError where nothing is known."""
        active = [service for number, service in self._active.items() if number not in suspended]
        sites, clients = wanted_sites(suspended.values(), active), {service.client for service in suspended.values()}
        self._sites.forget(sites)
        self._clients.forget(clients)
        failure = await self._sites.ask(sites, self._calls.addresses, told)
        if failure is not None:
            unknown = sum(site not in self._sites.values for site in sites)
            if self._suspended is None and unknown > len(sites) * _UNKNOWN:
                # just started: everybody without an address would be everybody's line open
                raise failure
        unread = await self._clients.ask(clients, self._one_client, told)
        trouble = str(failure or unread or "")
        if trouble and trouble != self.trouble:
            log.warning("uisp-unread", error=trouble)
        self.trouble = trouble

    async def _one_client(self, number: int) -> Client:
        return await self._calls.client(number) or NO_CLIENT

    def _joined(self, suspended: dict[int, Service], listed: frozenset[int] = frozenset()) -> tuple[Subscriber, ...]:
        active = {number: service for number, service in self._active.items() if number not in suspended}
        return map_clients(
            Known(
                suspended=suspended,
                active=active,
                sites=self._sites.values,
                clients=self._clients.values,
                reasons=self._reasons,
                organizations=self._organizations,
                listed=self._listed | listed,
            )
        )

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What UISP says of one client now; None: it has none of that id. UpstreamError."""
        if not (subscriber.isascii() and subscriber.isdigit() and len(subscriber) <= 18):
            return None
        number = int(subscriber)
        if str(number) != subscriber:
            return None
        try:
            async with asyncio.timeout(self._bounds.reading):
                client = await self._calls.client(number)
                if client is None:
                    return None
                services = await self._calls.services(client=number)
                suspended = {n: s for n, s in services.items() if s.status == Status.SUSPENDED}
                if not suspended:
                    return Subscriber(subscriber, State.ACTIVE)
                if self._suspended is None:
                    return None  # whose addresses they are is not known before the first whole list
                self._note_active(number, services)
                self._clients.put(number, client)
                active = [s for s in services.values() if s.status == Status.ACTIVE]
                failure = await self._sites.ask(wanted_sites(suspended.values(), active), self._calls.addresses, silent)
        except TimeoutError:
            raise UpstreamError(f"{self.name}: no answer within {self._bounds.reading:.0f} s") from None
        if failure is not None:
            log.warning("uisp-unread", error=str(failure))
        return self._joined(suspended, frozenset({number}))[0]

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """None: UISP names devices and their addresses, not who is online."""
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()
