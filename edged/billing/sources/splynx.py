# SPDX-License-Identifier: Apache-2.0
"""Splynx (API 2.0) in, Readings out: everything counted, then the log of changes. Dials out; replies are bounded.

What is read when, and what becomes of it, is in docs/billing-splynx.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import structlog

from edged.billing.paging import parse_json
from edged.billing.reading import Direct, Progress, Reading, make_snapshot, reused, silent
from edged.billing.settings import BillingSettings, SplynxSettings
from edged.billing.splynx.claims import Claims
from edged.billing.splynx.client import BOUNDS, Bounds, RefusedError, SplynxClient
from edged.billing.splynx.fields import number
from edged.billing.splynx.mapping import (
    REASONS,
    NoLabelsError,
    Terms,
    brand_of,
    check_labels,
    cleared,
    merged,
    pay_page,
    restricted_in,
    sessions_of,
    subscriber_of,
    subscribers_of,
)
from edged.billing.splynx.needs import CHANGES, CUSTOMERS, INVOICES, ONLINE, PARTNERS, SERVICES, missing
from edged.billing.splynx.query import Asked, of_status
from edged.billing.splynx.rows import (
    NO_LINES,
    Changes,
    Customer,
    Customers,
    Invoice,
    Invoices,
    ListChangedError,
    OnlineRows,
    Partners,
    Services,
)
from edged.billing.splynx.standing import OVERLAP, UNREAD, Standing
from edged.errors import UpstreamError
from edged.model import OnlineSession, Snapshot, State, Subscriber
from edged.values import Secret

log = structlog.get_logger(__name__)

T = TypeVar("T")

_CUSTOMERS = tuple(of_status(CUSTOMERS, status) for status in REASONS)
_SERVICES = tuple(of_status(SERVICES, status) for status in ("active", "stopped", "pending", "hidden"))
_OPEN = of_status(INVOICES, "not_paid").fields
_FEW = 20
"""Blocked customers whose invoices are asked for one by one; for more, all open invoices are read at once."""
_SLACK = 0.02
"""Share of the online list that may come and go while it is read."""


class _ManyChangesError(Exception):
    """So much changed that reading everything is cheaper."""


class SplynxSource(Direct):
    """``source: splynx``."""

    every: float | None = None

    def __init__(
        self,
        url: str,
        key: Secret,
        secret: Secret,
        *,
        settings: SplynxSettings,
        bounds: Bounds = BOUNDS,
        authority: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._splynx = SplynxClient(url, key, secret, bounds=bounds, authority=authority, clock=clock)
        self.name = self._splynx.name
        self._bounds = bounds
        self._clock = clock
        self._exempt = frozenset(label.strip().lower() for label in settings.exempt_labels)
        self._pay = pay_page(url, settings.direct_pay) if settings.direct_pay else ""
        self._terms = Terms(self._exempt, self._pay)
        self._claims: Claims | None = None
        """Whose addresses they are, by the last full reading."""
        self._last: tuple[Subscriber, ...] = ()
        """Of the last full reading."""
        self._admitted = False
        self._standing = Standing()
        """Warnings that stand, so that each is logged once."""

    @classmethod
    def of(cls, settings: BillingSettings) -> SplynxSource:
        """The source of ``billing.url``."""
        if settings.url is None or settings.key is None or settings.secret is None:
            raise ValueError("the settings have checked that there is a URL, a key and a secret")
        own = settings.splynx
        return cls(settings.url, settings.key, settings.secret, settings=own, authority=settings.ca)

    @property
    def trouble(self) -> str:
        """What Splynx does not tell beside the list itself, the one thing that matters most; empty: nothing."""
        return self._standing.trouble

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        """Everything; with ``previous``, what the log of changes names since; None: it names nobody. UpstreamError."""
        try:
            async with asyncio.timeout(self._bounds.reading):
                if previous is not None and self._claims is not None:
                    with suppress(_ManyChangesError):
                        return await self._since(previous)
                return await self._everything(told)
        except TimeoutError:
            raise UpstreamError(f"{self.name}: no whole list within {self._bounds.reading:.0f} s") from None

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What billing says of one customer now; None: it knows none of that id. UpstreamError."""
        name = number(subscriber, 1)
        if name is None or str(name) != subscriber:
            return None
        one = await self._one(name)
        if one is None or one.state is State.ACTIVE:
            return one
        if self._claims is None:
            return None  # whose addresses they are is not known before the first whole list
        (mine,), _ = cleared((one,), self._claims, {name})
        return mine

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """Everybody who is online; None: the key may not read that. UpstreamError."""
        rows = await self._optional(ONLINE, self._online)
        if rows is None:
            return None
        return await asyncio.to_thread(sessions_of, rows.online, self._clock())

    async def close(self) -> None:
        """Log out and close the connections."""
        await self._splynx.close()

    # --- everything ------------------------------------------------------------------------------

    async def _everything(self, told: Progress) -> Reading:
        await self._admit()
        # before the lists: what changes while they are read is in the log behind this mark
        first_day = self._first_day()
        changes = await self._optional(CHANGES, lambda: self._log(None, first_day), forgive="splynx-changes-unreadable")
        partners = await self._optional(
            PARTNERS, lambda: self._splynx.whole([Asked(PARTNERS)], Partners), forgive="splynx-partners-unreadable"
        )
        brands = self._terms.brands
        if partners is not None:
            brands = {partner: brand_of(name) for partner, name in partners.names.items()}
        terms = Terms(self._exempt, self._pay, brands)
        known = await self._splynx.count(Asked(CUSTOMERS))
        customers = (await self._splynx.whole(_CUSTOMERS, Customers, told)).by_id
        check_labels(customers.values(), terms)
        restricted = terms.restricted(customers.values())
        services = await self._splynx.whole(_SERVICES, lambda: Services(restricted), told)
        blocked = [c.id for c in customers.values() if c.status == "blocked" and c.id in restricted]
        invoices = await self._debts(blocked, told)
        online = await self._optional(ONLINE, self._online, forgive="splynx-online-unreadable")

        def assemble() -> tuple[Snapshot, int]:
            for row in online.online if online is not None and restricted else ():
                for prefix in row.prefixes if row.customer else ():
                    # a pool may give out what an old service still has on paper
                    services.claims.add(prefix, row.customer)
            listed = subscribers_of(customers.values(), services.lines, invoices, terms)
            mine, withheld = cleared(listed, services.claims, restricted)
            kept = tuple(reused(mine, self._last))
            return make_snapshot(kept, None, revision="", known=known, read_at=self._clock()), withheld

        snapshot, withheld = await asyncio.to_thread(assemble)
        self._terms, self._claims = terms, services.claims
        self._warn(UNREAD, services.unread)
        self._warn(OVERLAP, withheld)
        marks = _marks(changes, first_day) if changes is not None else await self._counted()
        reading = Reading(snapshot, marks)
        self._last = snapshot.subscribers
        with suppress(UpstreamError, _ManyChangesError):
            # who paid during a long reading does not wait for the next look
            return await self._since(reading) or reading
        return reading

    async def _admit(self) -> None:
        """UpstreamError that names every permission without which nothing works; a list could just be empty."""
        if self._admitted:
            return
        lacking = []
        for asked in (Asked(CUSTOMERS), _SERVICES[0]):
            try:
                await self._splynx.count(asked)
                await self._splynx.get(asked.path, asked.page(limit=1))
            except RefusedError as error:
                lacking.append(error)
        if len(lacking) > 1:
            raise UpstreamError(f"{self.name}: {missing(error.need for error in lacking)}")
        if lacking:
            raise lacking[0]
        self._admitted = True

    async def _debts(self, blocked: list[int], told: Progress) -> dict[int, list[Invoice]]:
        """Open invoices of ``blocked`` customers; empty where they cannot be had: a page without an amount."""

        async def read() -> Invoices:
            if len(blocked) > _FEW:
                return await self._splynx.whole([Asked(INVOICES, _OPEN)], lambda: Invoices(frozenset(blocked)), told)
            parts = [Asked(INVOICES, {"customer_id": customer, **_OPEN}) for customer in blocked]
            return await self._splynx.whole(parts, lambda: Invoices(frozenset(blocked)))

        if not blocked:
            self._standing.over(INVOICES)  # nobody is shown an amount
            return {}
        invoices = await self._optional(INVOICES, read, forgive="splynx-amounts-unreadable")
        return invoices.open if invoices is not None else {}

    async def _counted(self) -> dict[str, str]:
        """How many there are of each restricted status: all that shows a change where the log cannot be read."""
        return {f"count.{asked.status}": str(await self._splynx.count(asked)) for asked in _CUSTOMERS}

    # --- changes ---------------------------------------------------------------------------------

    async def _since(self, previous: Reading) -> Reading | None:
        """``previous`` with what changed since; None: nothing did. _ManyChangesError."""
        marks = previous.marks
        if "log.id" not in marks:
            if await self._counted() == marks:
                return None
            raise _ManyChangesError
        try:
            changes = await self._log(int(marks["log.id"]), marks["log.day"])
        except RefusedError:
            raise _ManyChangesError from None  # the key may not read it any more: the whole list says, and counts
        if changes.last <= int(marks["log.id"]):
            return None
        before, claims = previous.snapshot, self._claims or Claims()
        listed = {one.id for one in before.subscribers}
        answers: dict[str, Subscriber | None] = {}
        for name in sorted(changes.customers):
            try:
                answers[str(name)] = await self._one(name, new=str(name) not in listed)
            except NoLabelsError:
                raise _ManyChangesError from None  # the rows of a list have them

        def assemble() -> Snapshot:
            both = merged(before.subscribers, answers)
            mine, _ = cleared(both, claims, restricted_in(both))
            return make_snapshot(mine, None, revision="", known=before.known, read_at=self._clock())

        return Reading(await asyncio.to_thread(assemble), _marks(changes, marks["log.day"]))

    async def _log(self, since: int | None, first_day: str) -> Changes:
        """The log after entry ``since`` (None: only how far it goes), the newest first, from ``first_day`` on."""
        asked = Asked(CHANGES, {"date": (">=", first_day)})
        changes, offset = Changes(since), 0
        for _ in range(self._bounds.pages):
            # a log that grows meanwhile moves its entries to later pages: met twice, never missed
            came = await self._splynx.page(
                asked, asked.page(limit=self._bounds.page, offset=offset, descending=True), changes
            )
            offset += came
            if len(changes.customers) > self._bounds.changed:
                raise _ManyChangesError
            if not came or changes.met:
                return changes
        raise UpstreamError(f"{self.name}: the pages of changes do not end")

    def _first_day(self) -> str:
        """Two days back: a day for the zones, a day for a clock that is wrong."""
        return (datetime.fromtimestamp(self._clock(), UTC).date() - timedelta(days=2)).isoformat()

    async def _one(self, name: int, *, new: bool = False) -> Subscriber | None:
        """One customer; ``new``: the last full reading may not know what is theirs. UpstreamError."""
        reply = await self._splynx.get(f"{CUSTOMERS}/{name}")
        if reply.status == 404:
            return None
        row = parse_json(reply.octets)
        if not isinstance(row, dict) or number(row.get("id", name)) != name:
            raise UpstreamError(f"{self.name} was asked for one customer and answered with something else")
        customer = Customer.of(name, row)
        restricted = bool(self._terms.restricted((customer,)))
        lines, invoices = NO_LINES, list[Invoice]()
        if restricted:
            check_labels((customer,), self._terms)
        if restricted or new:
            asked = Asked(f"{CUSTOMERS}/{name}/internet-services")
            services = await self._splynx.whole([asked], lambda: Services({name}))
            lines = services.lines.get(name, lines)
            if self._claims is not None:
                self._claims.merge(services.claims)
            if restricted and customer.status == "blocked":
                invoices = (await self._debts([name], silent)).get(name, invoices)
        return subscriber_of(customer, lines, invoices, self._terms)

    # --- sessions --------------------------------------------------------------------------------

    async def _online(self) -> OnlineRows:
        """Everybody online, by growing id: who leaves meanwhile moves nobody out of the next page."""
        for _ in range(self._bounds.restarts):
            rows = OnlineRows()
            with suppress(ListChangedError):
                before = await self._splynx.count(Asked(ONLINE))
                for _ in range(self._bounds.pages):
                    asked = Asked(ONLINE, {"id": (">", rows.last)})
                    if not await self._splynx.page(asked, asked.page(limit=self._bounds.page), rows):
                        break
                after = await self._splynx.count(Asked(ONLINE))
                slack = int(_SLACK * max(before, after))
                if min(before, after) - slack <= rows.count <= max(before, after) + slack:
                    return rows
        raise UpstreamError(f"{self.name}: who is online does not add up to its count, {self._bounds.restarts} times")

    # --- what may be missing ---------------------------------------------------------------------

    async def _optional(self, path: str, ask: Callable[[], Awaitable[T]], *, forgive: str = "") -> T | None:
        """The answer, or None where the key may not ask; with ``forgive``, an event of the log, where it fails at all.

        Said once.
        """
        try:
            answer = await ask()
        except RefusedError as error:
            if self._standing.refused(path):
                log.warning("splynx-permission-missing", error=f"{error}; without it, {error.need.without}")
            return None
        except UpstreamError as error:
            if not forgive:
                raise
            if self._standing.failed(path, str(error)):
                log.warning(forgive, error=str(error))
            return None
        self._standing.over(path)
        return answer

    def _warn(self, event: str, count: int) -> None:
        if self._standing.counted(event, count):
            log.warning(event, count=count)


def _marks(changes: Changes, first_day: str) -> dict[str, str]:
    """The log's last entry, and from which day on to ask next: the one before the entry's own, by Splynx's clock."""
    day = changes.date and (date.fromisoformat(changes.date) - timedelta(days=1)).isoformat()
    return {"log.id": str(changes.last), "log.day": max(day, first_day)}
