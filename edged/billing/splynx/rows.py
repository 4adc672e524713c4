# SPDX-License-Identifier: Apache-2.0
"""Pages of Splynx rows in, what edged keeps of them out; the raw rows are let go page by page. Pure.

A row without an id refuses the reading: it could not be counted. Any other odd value costs its own row alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from edged.billing.feed_fields import found
from edged.billing.mapping import Faults
from edged.billing.splynx.claims import Claims
from edged.billing.splynx.fields import Row, amount, day, label_names, mac, network, number, parts, wall_clock, words
from edged.billing.splynx.query import Asked
from edged.errors import UpstreamError
from edged.model import intern
from edged.values import MacAddress, Prefix

K = TypeVar("K")

MOST_ADDRESSES, MOST_DEVICES, MOST_LOGINS = 256, 1024, 64
"""Of one customer, as in docs/feed.md."""


class ListChangedError(UpstreamError):
    """The list changed while it was read; begin again."""


class Rows:
    """All rows of one collection, or of several parts of it: ``add`` each page."""

    what = "rows"

    def __init__(self) -> None:
        self._ids: set[int] = set()

    @property
    def count(self) -> int:
        """Rows so far."""
        return len(self._ids)

    def add(self, rows: object, asked: Asked) -> int:
        """Take one page; how many rows it had. UpstreamError, ListChangedError."""
        faults = Faults()
        if not isinstance(rows, list):
            faults.add(f"{self.what}: expected a list, found {found(rows)}")
            rows = []
        for index, row in enumerate(rows):
            name = number(row.get("id"), 1) if isinstance(row, dict) else None
            if name is None:
                kind = "an object with an id" if isinstance(row, dict) else f"an object, found {found(row)}"
                faults.add(f"{self.what}[{index}]: expected {kind}")
            elif name in self._ids or (asked.status and words(row.get("status"), 32).lower() != asked.status):
                raise ListChangedError(f"{self.what} changed while they were read")
            else:
                self._ids.add(name)
                self._take(name, row)
        faults.refuse()
        return len(rows)

    def _take(self, name: int, row: Row) -> None:
        """Keep what is needed of one row."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Customer:
    """What edged needs of a customer."""

    id: int
    status: str
    """``new``, ``active``, ``blocked``, ``disabled``; whatever else came, in lower case."""
    name: str
    partner: int
    labels: frozenset[str] | None
    """None: the row has no field for them."""

    @classmethod
    def of(cls, name: int, row: Row) -> Customer:
        """The customer in ``row``."""
        status = intern(words(row.get("status"), 32).lower())
        return cls(name, status, words(row.get("name"), 256), number(row.get("partner_id")) or 0, label_names(row))


class Customers(Rows):
    """Customers by id."""

    what = "customers"

    def __init__(self) -> None:
        super().__init__()
        self.by_id: dict[int, Customer] = {}

    def _take(self, name: int, row: Row) -> None:
        self.by_id[name] = Customer.of(name, row)


@dataclass(frozen=True, slots=True)
class Lines:
    """What the services of one customer name, each once."""

    addresses: tuple[Prefix, ...] = ()
    devices: tuple[MacAddress, ...] = ()
    logins: tuple[str, ...] = ()


NO_LINES = Lines()


class Services(Rows):
    """Internet services: the lines of ``wanted`` customers, and the claims of everybody.

    A service that is stopped or pending holds its address as an active one does. One that is hidden keeps others away
    and gives nothing; one that is disabled is over: its address lives on in its ``stopped`` duplicate.
    """

    what = "internet services"

    def __init__(self, wanted: Collection[int]) -> None:
        super().__init__()
        self._wanted = wanted
        self.lines: dict[int, Lines] = {}
        self.claims = Claims()
        self.unread = 0
        """Addresses and MACs that cannot be read, and what is beyond the limits of one customer."""

    def _take(self, _name: int, row: Row) -> None:
        customer = number(row.get("customer_id"), 1) or 0
        status = words(row.get("status"), 32).lower()
        if status == "disabled":
            return
        networks = self._networks(row)
        devices = [mac(text) for text in parts(row.get("mac"))]
        self.unread += devices.count(None)
        macs = [device for device in devices if device is not None]
        login = words(row.get("login"), 253)
        logins = [login] if login else []
        for prefix, _ in networks:
            self.claims.add(prefix, customer)
        for word in (*macs, *logins):
            self.claims.add_word(word, customer)
        if customer in self._wanted and status in {"active", "stopped", "pending"}:
            kept = self.lines.get(customer, NO_LINES)
            self.lines[customer] = Lines(
                self._joined(kept.addresses, [prefix for prefix, exact in networks if exact], MOST_ADDRESSES),
                self._joined(kept.devices, macs, MOST_DEVICES),
                self._joined(kept.logins, logins, MOST_LOGINS),
            )

    def _networks(self, row: Row) -> list[tuple[Prefix, bool]]:
        """The addresses that stay with this service, each with whether it may name a line to block."""
        taking4, taking6 = number(row.get("taking_ipv4")), number(row.get("taking_ipv6"))
        texts: list[tuple[str, bool]] = []
        # 0: the router gives one, 2: from a pool; what stands in the field then is somebody's past
        if taking4 not in {0, 2}:
            texts += [(text, taking4 == 1) for name in ("ipv4", "ipv4_route") for text in parts(row.get(name))]
        if taking6 != 2:
            texts += [(text, True) for name in ("ipv6", "ipv6_delegated") for text in parts(row.get(name))]
        networks = []
        for text, certain in texts:
            prefix, exact = network(text)
            if not exact or not certain:
                self.unread += 1
            if prefix is not None:
                networks.append((prefix, exact and certain))
        return networks

    def _joined(self, kept: tuple[K, ...], more: list[K], most: int) -> tuple[K, ...]:
        both = tuple(dict.fromkeys((*kept, *more)))
        self.unread += max(0, len(both) - most)
        return both[:most]


@dataclass(frozen=True, slots=True)
class Invoice:
    """An open invoice."""

    id: int
    due: Decimal | None
    """None: the sum cannot be read."""
    till: str
    """The day it is to be paid by, ISO 8601; empty: not said."""
    number: str = ""
    """As it is printed on the invoice; empty: not said."""


def _invoice(name: int, due: Decimal | None, row: Row) -> Invoice:
    return Invoice(name, due, day(row.get("date_till")), words(row.get("number"), 64))


class Invoices(Rows):
    """Open invoices of ``wanted`` customers."""

    what = "invoices"

    def __init__(self, wanted: Collection[int]) -> None:
        super().__init__()
        self._wanted = wanted
        self.open: dict[int, list[Invoice]] = {}

    def _take(self, name: int, row: Row) -> None:
        customer, due = number(row.get("customer_id"), 1), amount(row.get("due"))
        # one that is over its day is `not_paid` by the documentation, and `overdue` in Splynx's own pages
        is_open = words(row.get("status"), 32).lower() in {"not_paid", "overdue"} and (due is None or due > 0)
        if customer is not None and customer in self._wanted and is_open:
            self.open.setdefault(customer, []).append(_invoice(name, due, row))


class Partners(Rows):
    """Names of partners by id."""

    what = "partners"

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}

    def _take(self, name: int, row: Row) -> None:
        self.names[name] = words(row.get("name"), 256)


@dataclass(frozen=True, slots=True)
class Online:
    """Somebody who is online; times as Splynx's wall clock has them."""

    login: str
    customer: int
    prefixes: tuple[Prefix, ...]
    start: float
    change: float


class OnlineRows(Rows):
    """Who is online."""

    what = "online customers"

    def __init__(self) -> None:
        super().__init__()
        self.online: list[Online] = []
        self.last = 0
        """The highest id so far."""

    def _take(self, name: int, row: Row) -> None:
        self.last = max(self.last, name)
        texts = [text for key in ("ipv4", "ipv6", "ipv6_delegated") for text in parts(row.get(key))]
        prefixes = [prefix for prefix, exact in map(network, texts) if prefix is not None and exact]
        login, customer = words(row.get("login"), 253), number(row.get("customer_id"), 1) or 0
        if prefixes and (login or customer):
            start, change = wall_clock(row.get("start_session")), wall_clock(row.get("last_change"))
            self.online.append(Online(login, customer, tuple(dict.fromkeys(prefixes)), start, change))


class Changes(Rows):
    """The log of changes: whom it names after the entry ``since``; None: only how far it goes is asked."""

    what = "changes"

    def __init__(self, since: int | None) -> None:
        super().__init__()
        self._since = since
        self.last = since or 0
        """The highest id so far."""
        self.date = ""
        """The latest day so far, ISO 8601."""
        self.customers: set[int] = set()
        self.met = False
        """True once no further page has anything new: the newest came first, down to one that was known."""
        self._falling = True
        self._before = 2**63

    def add(self, rows: object, asked: Asked) -> int:
        """Take one page; entries that came before are no fault here: the log grows while it is read."""
        fresh = rows
        if isinstance(rows, list):
            fresh = [r for r in rows if not isinstance(r, dict) or number(r.get("id"), 1) not in self._ids]
        super().add(fresh, asked)
        return len(rows) if isinstance(rows, list) else 0

    def _take(self, name: int, row: Row) -> None:
        self._falling = self._falling and name < self._before
        self._before = name
        # where no entry is known, two in the order asked for say that the highest has come
        enough = self.count > 1 if self._since is None else name <= self._since
        self.met = self._falling and (self.met or enough)
        self.last = max(self.last, name)
        self.date = max(self.date, day(row.get("date")))
        customer = number(row.get("customer_id"), 1)
        if self._since is not None and name > self._since and customer:
            self.customers.add(customer)
