# SPDX-License-Identifier: Apache-2.0
"""Objects of UISP's two APIs in (CRM v1.0, Network v2.1), Subscribers out, or one UpstreamError. Pure.

Numbers may come as text, and what an object does not have may be missing, null or empty. Who is blocked is read
strictly: a service without id, client or status refuses the whole reading. What only the page shows is read leniently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum

from edged.billing.feed_fields import Wrong, found, text
from edged.billing.mapping import Faults
from edged.billing.paging import parse_json
from edged.errors import UpstreamError
from edged.model import NO_ACCOUNT, Account, State, Subscriber, intern
from edged.values import Prefix, host_prefix, parse_address


class Status(IntEnum):
    """The two of UISP's ``ServiceStatus`` that mean a line to us; ended, quoted and deferred ones have none."""

    ACTIVE = 1
    SUSPENDED = 3


@dataclass(frozen=True, slots=True)
class Service:
    """One service of one client."""

    id: int
    client: int
    status: int
    site: str = ""
    """``unmsClientSiteId``: where its devices stand; empty: it is bound to no site."""
    reason: int | None = None
    """``suspensionReasonId``."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the page may say to a client."""

    account: Account = NO_ACCOUNT
    brand: str = ""
    organization: int | None = None


NO_CLIENT = Client()

_SITE = re.compile(r"[0-9A-Za-z-]{1,64}")  # a GUID; the Network API's path takes nothing else
_MOST_ADDRESSES = 256
"""Of one site, and of one client: as many as the feed allows."""


# --- lists --------------------------------------------------------------------------------------------------------


def parse_services(octets: bytes) -> list[Service]:
    """The services of one page, in its order. UpstreamError when it is no list, or one of them cannot be read."""
    faults, services = Faults(), []
    for index, entry in enumerate(_list(octets)):
        try:
            services.append(_service(entry))
        except Wrong as error:
            name = _whole(entry.get("id")) if isinstance(entry, dict) else None
            faults.add(f"{f'service {name}' if name is not None else f'services[{index}]'}: {error}")
    faults.refuse()
    return services


def _list(octets: bytes) -> list[object]:
    document = parse_json(octets)
    if not isinstance(document, list):
        raise UpstreamError(f"the reading is refused: expected a list, found {found(document)}")
    return document


def _service(entry: object) -> Service:
    if not isinstance(entry, dict):
        raise Wrong(f"expected an object, found {found(entry)}")
    numbers = {name: _whole(entry.get(name)) for name in ("id", "clientId", "status")}
    for name, number in numbers.items():
        if number is None:
            raise Wrong(f"{name}: expected a number, found {found(entry.get(name))}")
    site = entry.get("unmsClientSiteId") or ""
    if not isinstance(site, str) or (site and not _SITE.fullmatch(site)):
        raise Wrong("unmsClientSiteId: expected the id of a site")
    return Service(
        numbers["id"] or 0, numbers["clientId"] or 0, numbers["status"] or 0, site.lower(),
        _whole(entry.get("suspensionReasonId")),
    )  # fmt: skip


def _whole(value: object) -> int | None:
    """The number, also where it is spelt as text; None: there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 1 << 63 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return None


class ChangedError(UpstreamError):
    """The list changed while it was read; begin again."""


class Pages:
    """Pages of a list counted by offset: each begins with the last service of the one before.

    UISP documents neither a total nor an order for it. Where something before the seam came or went meanwhile, the
    seam does not fit: without it, a service that slid across would be missed, and a missed one is an open line. The
    list ends where a page holds nothing beyond the seam, not where it is short: a server may give less than was asked.
    """

    def __init__(self) -> None:
        self.services: dict[int, Service] = {}
        self._last: Service | None = None

    @property
    def offset(self) -> int:
        """Where the next page begins."""
        return max(0, len(self.services) - 1)

    def add(self, page: list[Service]) -> bool:
        """Take one page; True: more may follow. ChangedError."""
        if self._last is not None:
            if not page or page[0].id != self._last.id:
                raise ChangedError("a list changed while it was read")
            page = page[1:]
        for service in page:
            if service.id in self.services:
                raise ChangedError("a service is listed twice")
            self.services[service.id] = service
            self._last = service
        return bool(page)


def parse_names(octets: bytes) -> dict[int, str]:
    """Id to name of organisations, or of reasons for a suspension; what has none is left out. UpstreamError."""
    names: dict[int, str] = {}
    for entry in _list(octets):
        if isinstance(entry, dict):
            number, name = _whole(entry.get("id")), _text(entry.get("name"), 256)
            if number is not None and name:
                names[number] = name
    return names


# --- one object ---------------------------------------------------------------------------------------------------


def parse_client(octets: bytes) -> tuple[int, Client]:
    """A client's id and what the page may say to them. UpstreamError when it is no client."""
    document = parse_json(octets)
    number = _whole(document.get("id")) if isinstance(document, dict) else None
    if not isinstance(document, dict) or number is None:
        raise UpstreamError("the reading is refused: expected a client with an id")
    person = " ".join(filter(None, (_text(document.get(part), 128) for part in ("firstName", "lastName"))))
    company = _text(document.get("companyName"), 256)
    amount, currency = _amount(document)
    account = Account(
        name=company if company and (_whole(document.get("clientType")) == _COMPANY or not person) else person,
        amount_due=amount,
        currency=currency,
    )
    return number, Client(
        account, slug(_text(document.get("organizationName"), 256)), _whole(document.get("organizationId"))
    )


_COMPANY = 2
"""``clientType`` of a company; 1 is a person."""


def _text(value: object, limit: int) -> str:
    """Text for the page; empty for anything that is none, or would not fit there."""
    try:
        return str(text(limit)(value)).strip()
    except Wrong:
        return ""


# ISO 4217: how many digits the minor unit has where it is not two
_DIGITS = dict.fromkeys(
    ("CLP", "ISK", "JPY", "KRW", "PYG", "RWF", "UGX", "VND", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


def _amount(client: Mapping[str, object]) -> tuple[str, str]:
    """What is due and in which currency; both empty where nothing is."""
    value = client.get("accountOutstanding")
    currency = _text(client.get("currencyCode"), 16)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 24:
        return "", ""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return "", ""
    if not amount.is_finite() or not 0 < amount < 10**12:
        return "", ""
    rounded = f"{amount:.{_DIGITS.get(currency, 2)}f}"
    return (rounded, intern(currency)) if Decimal(rounded) else ("", "")


def parse_addresses(octets: bytes) -> tuple[Prefix, ...]:
    """The addresses of the devices of one site, each as a host. UpstreamError when it is no list of text.

    The Network API may write a length behind an address: it is the device's own mask, and never means that all of
    that network is the client's.
    """
    addresses: dict[Prefix, None] = {}
    for entry in _list(octets):
        if entry is not None and not isinstance(entry, str):
            raise UpstreamError(f"the reading is refused: expected a list of addresses, found {found(entry)} in it")
        address = _host(entry or "")
        if address is not None:
            addresses[address] = None
    if len(addresses) > _MOST_ADDRESSES:
        raise UpstreamError(f"the reading is refused: a site has {len(addresses)} addresses, at most {_MOST_ADDRESSES}")
    return tuple(addresses)


def _host(spelt: str) -> Prefix | None:
    try:
        address = parse_address(spelt.strip().partition("/")[0])
    except ValueError:
        return None  # «dhcp», an empty field: no address
    # a device's address on its own link alone, or that of no device: nobody's line
    if address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast:
        return None
    return host_prefix(address)


# --- the join -----------------------------------------------------------------------------------------------------


def slug(name: str) -> str:
    """The brand of an organisation: its name in lower case, blanks as hyphens."""
    return intern("-".join(name.lower().split())[:64])


_OVERDUE = re.compile(r"\b(overdue|payments?|unpaid)\b", re.IGNORECASE)


def reason_word(reason: int | None, names: Mapping[int, str]) -> str:
    """The reason of a suspension: ``unpaid`` where UISP names none or one of payment, else UISP's own word."""
    if reason is None:
        return "unpaid"
    name = names.get(reason, "")
    if not name:
        return "suspended"
    return "unpaid" if _OVERDUE.search(name) else slug(name)


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that was read, ready to be joined."""

    suspended: Mapping[int, Service]
    """By id."""
    active: Mapping[int, Service]
    """By id; of these the lines are open, whoever else stands there."""
    sites: Mapping[str, tuple[Prefix, ...]]
    clients: Mapping[int, Client]
    reasons: Mapping[int, str]
    organizations: Mapping[int, str]
    listed: frozenset[int] = frozenset()
    """Clients that were blocked before: they stay in the list whatever becomes of their sites."""


def map_clients(known: Known) -> tuple[Subscriber, ...]:
    """One blocked subscriber for each client with a suspended service, in the order of ids.

    A site, or an address, that an active service has too is nobody's to block. A client of whose sites none was
    answered yet is not listed yet: blocking may wait, and an address that came later would look like one that moved.
    """
    open_addresses = {address for service in known.active.values() for address in known.sites.get(service.site, ())}
    lines: dict[int, list[Service]] = {}
    for service in sorted(known.suspended.values(), key=lambda one: one.id):
        lines.setdefault(service.client, []).append(service)
    return tuple(
        _subscriber(client, services, known, open_addresses)
        for client, services in sorted(lines.items())
        if client in known.listed or not _unanswered(services, known.sites)
    )


def _unanswered(services: list[Service], sites: Mapping[str, tuple[Prefix, ...]]) -> bool:
    bound = [service.site for service in services if service.site]
    return bool(bound) and not any(site in sites for site in bound)


def _subscriber(client: int, services: list[Service], known: Known, open_addresses: set[Prefix]) -> Subscriber:
    addresses = dict.fromkeys(
        address
        for service in services
        for address in known.sites.get(service.site, ())
        if address not in open_addresses
    )
    about = known.clients.get(client, NO_CLIENT)
    name = known.organizations.get(about.organization, "") if about.organization is not None else ""
    return Subscriber(
        str(client), State.BLOCKED, reason_word(services[0].reason, known.reasons),
        addresses=tuple(addresses)[:_MOST_ADDRESSES], brand=slug(name) or about.brand, account=about.account,
    )  # fmt: skip


def wanted_sites(suspended: Iterable[Service], active: Iterable[Service]) -> set[str]:
    """Sites whose addresses matter: of suspended services, and of the active ones of the same clients."""
    suspended = list(suspended)
    clients = {service.client for service in suspended}
    sites = {service.site for service in suspended}
    sites |= {service.site for service in active if service.client in clients}
    return sites - {""}
