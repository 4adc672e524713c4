# SPDX-License-Identifier: Apache-2.0
"""What an API key must be allowed to read, in the operator's words. Pure.

Names in quotes are those of Splynx's permission table as its users publish it; elsewhere the call itself is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CUSTOMERS = "admin/customers/customer"
SERVICES = "admin/customers/customer/0/internet-services"
ONLINE = "admin/customers/customers-online"
CHANGES = "admin/logs/changes"
INVOICES = "admin/finance/invoices"
PARTNERS = "admin/administration/partners"


@dataclass(frozen=True, slots=True)
class Need:
    """One permission."""

    tick: str
    """Where View is ticked."""
    without: str = ""
    """What is missing without it; empty: nothing works without it."""
    what: str = ""
    """What is not viewed then, in two or three words."""
    unread: str = ""
    """What is missing while it cannot be read although the key may; empty: as ``without``."""


NEEDS = {
    CUSTOMERS: Need('Customers, "Customer"'),
    SERVICES: Need('Customers, "Customer Internet services"'),
    ONLINE: Need(
        'Customers, "Customers Online"',
        "lines with a dynamic address are not found through Splynx",
        "who is online",
        "services alone say what active customers have",
    ),
    CHANGES: Need(
        f"the log of changes ({CHANGES})",
        "a change is seen by counting customers, and costs a full reading each time",
        "the log of changes",
    ),
    INVOICES: Need(f"invoices, under Finance ({INVOICES})", "pages show no amount and link to no invoice", "invoices"),
    PARTNERS: Need(
        f"partners, under Administration ({PARTNERS})",
        "every page has the brand `default`",
        "partners",
        "brands are those of the reading before",
    ),
}


def need_of(path: str) -> Need:
    """The need that a call serves."""
    if "internet-services" in path:
        return NEEDS[SERVICES]
    return next((need for call, need in NEEDS.items() if f"{path}/".startswith(f"{call}/")), Need(path))


def missing(needs: Iterable[Need]) -> str:
    """The sentence that names every missing permission."""
    ticks = "; ".join(dict.fromkeys(need.tick for need in needs))
    return f"the API key may not read what edged needs; tick View in the key's permissions for: {ticks}"
