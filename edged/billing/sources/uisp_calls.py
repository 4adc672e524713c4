# SPDX-License-Identifier: Apache-2.0
"""Single calls to UISP: the CRM's lists page by page, one client, the addresses of one site. Dials out; bounded.

CRM v1.0 takes an app key in ``X-Auth-App-Key``, Network v2.1 a token in ``x-auth-token``; nothing is ever written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from edged.billing.client import BillingClient, StatusError
from edged.billing.reading import Progress, silent
from edged.billing.sources.remembered import FinalError, Pace
from edged.billing.uisp_objects import (
    ChangedError,
    Client,
    Pages,
    Service,
    Status,
    parse_addresses,
    parse_client,
    parse_names,
    parse_services,
)
from edged.errors import UpstreamError
from edged.values import Prefix, Secret

_CRM = "/crm/api/v1.0/"
_NETWORK = "/nms/api/v2.1/"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one reading may cost."""

    request: float = 30.0
    """Seconds for one call."""
    reading: float = 600.0
    """Seconds for all calls of one reading."""
    page_octets: int = 64 * 1024 * 1024
    page: int = 500
    """Services asked for at once: about a megabyte."""
    whole: int = 10_000
    """Services asked for at once where pages do not fit together."""
    pages: int = 4000
    restarts: int = 3
    """How often a list that changes while it is read is begun again."""
    pace: Pace = field(default_factory=Pace)
    """Of the calls for single sites and clients: UISP often is a small console."""


BOUNDS = Bounds()

T = TypeVar("T")
Query = Iterable[tuple[str, str | int]]


def _filter(status: Status | None, client: int | None) -> list[tuple[str, int]]:
    by_status = [("statuses[]", int(status))] if status is not None else []
    return by_status + ([("clientId", client)] if client is not None else [])


class NotAcceptedError(FinalError):
    """One of the two keys is not accepted."""


class UispCalls:
    """The calls, each with its own header."""

    def __init__(
        self, url: str, key: Secret, token: Secret, *, bounds: Bounds = BOUNDS, authority: Path | None = None
    ) -> None:
        self.name = urlsplit(url).hostname or url
        self._base = url.rstrip("/")
        self._key = key
        self._token = token
        self._bounds = bounds
        self._client = BillingClient(self.name, seconds=bounds.request, octets=bounds.page_octets, authority=authority)

    async def services(
        self, *, status: Status | None = None, client: int | None = None, told: Progress = silent
    ) -> dict[int, Service]:
        """All services of ``status``, or of ``client``, by id. UpstreamError, also when no whole list can be had."""
        for _ in range(self._bounds.restarts):
            try:
                return await self._all_pages(status, client, told)
            except ChangedError:
                continue
        return await self._one_page(status, client)

    async def _all_pages(self, status: Status | None, client: int | None, told: Progress) -> dict[int, Service]:
        pages, fixed = Pages(), _filter(status, client)
        for _ in range(self._bounds.pages):
            page = await self._page(fixed, self._bounds.page, pages.offset)
            more = pages.add(page)
            told("services", len(pages.services), None)
            if not more:
                break
        else:
            raise UpstreamError(f"{self.name}: the list of services does not end")
        return self._checked(pages.services.values(), status, client)

    async def _one_page(self, status: Status | None, client: int | None) -> dict[int, Service]:
        """All at once: no order is documented, and without one pages fit together by chance alone. UpstreamError."""
        fixed, pages = _filter(status, client), Pages()
        page = await self._page(fixed, self._bounds.whole, 0)
        try:
            pages.add(page)
            beyond = await self._page(fixed, 1, len(page))
        except ChangedError:
            beyond = page
        if beyond:
            raise UpstreamError(f"{self.name}: the list of services changed during each attempt to read it")
        return self._checked(pages.services.values(), status, client)

    async def _page(self, fixed: list[tuple[str, int]], limit: int, offset: int) -> list[Service]:
        try:
            octets = await self._crm("clients/services", [*fixed, ("limit", limit), ("offset", offset)])
        except StatusError as error:
            if error.status == 404:
                raise UpstreamError(
                    f"{error} (is billing.url the console's address, with nothing behind it?)"
                ) from None
            raise
        return await asyncio.to_thread(self._read, parse_services, octets)

    def _checked(self, services: Iterable[Service], status: Status | None, client: int | None) -> dict[int, Service]:
        # a server that does not know the filter answers with everything: what it says of each decides
        kept = {s.id: s for s in services if status is None or s.status == status}
        if any(client is not None and service.client != client for service in kept.values()):
            raise UpstreamError(f"{self.name} was asked for one client and answered with another")
        return kept

    async def client(self, number: int) -> Client | None:
        """One client; None: there is none of that id. UpstreamError."""
        try:
            octets = await self._crm(f"clients/{number}")
        except StatusError as error:
            if error.status == 404:
                return None
            raise
        found, client = self._read(parse_client, octets)
        if found != number:
            raise UpstreamError(f"{self.name} was asked for one client and answered with another")
        return client

    async def names(self, kind: str) -> dict[int, str]:
        """Id to name of ``organizations`` or ``service-suspension-reasons``. UpstreamError."""
        return self._read(parse_names, await self._crm(kind))

    async def addresses(self, site: str) -> tuple[Prefix, ...]:
        """The addresses of the devices at ``site``; none where UISP has no such site. UpstreamError."""
        try:
            octets = await self._get(_NETWORK, "devices/ips", [("siteId", site)], "x-auth-token", self._token)
        except StatusError as error:
            if error.status == 404:
                return ()
            if error.status in {401, 403}:
                raise NotAcceptedError(f"{self.name}: the Network token (billing.secret) is not accepted") from None
            raise
        return self._read(parse_addresses, octets)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _crm(self, path: str, query: Query = ()) -> bytes:
        try:
            return await self._get(_CRM, path, query, "X-Auth-App-Key", self._key)
        except StatusError as error:
            if error.status in {401, 403}:
                raise NotAcceptedError(f"{self.name}: the CRM app key (billing.key) is not accepted") from None
            raise

    async def _get(self, api: str, path: str, query: Query, header: str, secret: Secret) -> bytes:
        asked = urlencode(list(query))
        address = f"{self._base}{api}{path}" + (f"?{asked}" if asked else "")
        headers = {"Accept": "application/json", header: secret.reveal_text()}
        reply = await self._client.request("GET", address, headers=headers)
        if reply.status != 200:
            raise StatusError(self.name, reply.status)
        return reply.octets

    def _read(self, parse: Callable[[bytes], T], octets: bytes) -> T:
        """What ``parse`` makes of a reply; its refusal bears our name."""
        try:
            return parse(octets)
        except UpstreamError as error:
            raise UpstreamError(f"{self.name}: {error}") from None
