# SPDX-License-Identifier: Apache-2.0
"""Splynx customers, their lines and invoices in, subscribers out; changes merged into the list before. Pure.

Customer ``blocked``, ``new``, ``disabled`` is State.BLOCKED for the reason unpaid, new, disabled. Nobody else is.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal

from edged.billing.feed_fields import SUBSCRIBER, Wrong
from edged.billing.lists import active_again
from edged.billing.splynx.claims import Claims
from edged.billing.splynx.rows import NO_LINES, Customer, Invoice, Lines, Online
from edged.errors import UpstreamError
from edged.model import NO_ACCOUNT, Account, OnlineSession, State, Subscriber, intern

REASONS = {"blocked": "unpaid", "new": "new", "disabled": "disabled"}
"""Restricted statuses of a customer, and why they are."""

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator and the partners' list say, the same for every customer of one reading."""

    exempt: frozenset[str] = frozenset()
    """Labels, in lower case."""
    pay: str = ""
    """What a pay link begins with, up to the invoice's number; empty: none is given."""
    brands: Mapping[int, str] = field(default_factory=dict)
    """Partner to brand."""

    def is_active(self, customer: Customer) -> bool:
        """True for one who is active, and for one whose label exempts them."""
        return customer.status == "active" or bool(self.exempt & (customer.labels or frozenset()))

    def restricted(self, customers: Iterable[Customer]) -> frozenset[int]:
        """Ids of those who are restricted."""
        return frozenset(c.id for c in customers if c.status in REASONS and not self.is_active(c))


def brand_of(partner: str) -> str:
    """A partner's name as ``portal.brands`` spells it: lower case, blanks to hyphens; empty when it is too long."""
    name = "-".join(partner.lower().split())
    return intern(name) if len(name) <= 64 else ""


def pay_page(url: str, add_on: str) -> str:
    """What the link of an invoice begins with; empty where it would not be a URL of ASCII alone."""
    page = f"{url.rstrip('/').removesuffix('/api/2.0')}/{add_on}/direct-pay-invoice-by-id?item_id="
    try:
        return str(SUBSCRIBER["pay_url"](page))
    except Wrong:
        return ""


class NoLabelsError(UpstreamError):
    """Rows without a field that the operator counts on."""


def check_labels(customers: Collection[Customer], terms: Terms) -> None:
    """NoLabelsError when labels exempt and no row has any field for them: exempt customers would be blocked."""
    if terms.exempt and customers and all(c.labels is None for c in customers):
        raise NoLabelsError(
            "the reading is refused: billing.splynx.exempt_labels is set, and no customer's row has a field for labels"
        )


def subscriber_of(customer: Customer, lines: Lines, invoices: Sequence[Invoice], terms: Terms) -> Subscriber | None:
    """The customer as edged knows them; None for a status that Splynx does not document."""
    if terms.is_active(customer):
        return active_again(str(customer.id))
    if customer.status not in REASONS:
        return None
    account = Account(name=customer.name) if customer.name else NO_ACCOUNT
    if customer.status == "blocked" and invoices:
        account = account_of(customer.name, invoices, terms.pay)
    return Subscriber(
        str(customer.id),
        State.BLOCKED,
        REASONS[customer.status],
        addresses=lines.addresses,
        devices=lines.devices,
        logins=lines.logins,
        brand=terms.brands.get(customer.partner, ""),
        account=account,
    )


def account_of(name: str, invoices: Sequence[Invoice], pay: str) -> Account:
    """The debt that ``invoices`` (at least one) make. No sum is better than a wrong one."""
    oldest = min(invoices, key=lambda i: (i.till or "9999", i.id))
    sums = [invoice.due for invoice in invoices if invoice.due is not None]
    total = sum(sums, Decimal(0)).quantize(_CENT, ROUND_HALF_UP) if len(sums) == len(invoices) else ""
    link = f"{pay}{oldest.id}" if pay else ""
    return Account(name, str(total), due=oldest.till, pay_url=link, invoice=oldest.number)


def subscribers_of(
    customers: Iterable[Customer],
    lines: Mapping[int, Lines],
    invoices: Mapping[int, Sequence[Invoice]],
    terms: Terms,
) -> tuple[Subscriber, ...]:
    """Everybody who is restricted, and a word on those whose label exempts them."""
    all_of_them = (subscriber_of(c, lines.get(c.id, NO_LINES), invoices.get(c.id, ()), terms) for c in customers)
    return tuple(one for one in all_of_them if one is not None)


def cleared(
    subscribers: Iterable[Subscriber], claims: Claims, restricted: Container[int]
) -> tuple[tuple[Subscriber, ...], int]:
    """``subscribers`` without what a customer who is not ``restricted`` has, and how much was withheld so."""
    result, withheld = [], 0
    for one in subscribers:
        addresses = tuple(p for p in one.addresses if claims.is_free(p, restricted))
        devices = tuple(d for d in one.devices if claims.is_free_word(d, restricted))
        logins = tuple(w for w in one.logins if claims.is_free_word(w, restricted))
        lost = sum(map(len, (one.addresses, one.devices, one.logins))) - sum(map(len, (addresses, devices, logins)))
        withheld += lost
        result.append(replace(one, addresses=addresses, devices=devices, logins=logins) if lost else one)
    return tuple(result), withheld


def restricted_in(subscribers: Iterable[Subscriber]) -> frozenset[int]:
    """Ids of those whom a list restricts."""
    return frozenset(int(s.id) for s in subscribers if s.state is not State.ACTIVE)


def merged(before: Sequence[Subscriber], answers: Mapping[str, Subscriber | None]) -> tuple[Subscriber, ...]:
    """The list ``before`` with the newer ``answers``; None: billing knows no such customer any more."""
    entries: dict[str, Subscriber | None] = {s.id: s for s in before}
    entries.update(answers)
    return tuple(one for one in entries.values() if one is not None)


_QUARTER = 900.0
_FARTHEST = 14 * 3600.0
"""No zone is farther from UTC."""


def zone_of(online: Iterable[Online], now: float) -> float:
    """Seconds that Splynx's wall clock is ahead of UTC, to the quarter of an hour: the latest change was just now.

    0 where nothing can be said.
    """
    latest = max((max(row.change, row.start) for row in online), default=0.0)
    offset = round((latest - now) / _QUARTER) * _QUARTER if latest else 0.0
    return offset if abs(offset) <= _FARTHEST else 0.0


def sessions_of(online: Sequence[Online], now: float) -> tuple[OnlineSession, ...]:
    """Sessions with the epoch seconds of their beginning, never later than ``now``; 0: Splynx did not say."""
    zone = zone_of(online, now)
    return tuple(
        OnlineSession(
            login=row.login,
            prefixes=row.prefixes,
            since=min(now, (row.start or row.change) - zone) if row.start or row.change else 0.0,
            subscriber=str(row.customer) if row.customer else "",
        )
        for row in online
    )
