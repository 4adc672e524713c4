"""What the tests of the page share: settings, subscribers, decisions, and requests of usual clients."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from edged.captive.files.service import read_templates
from edged.captive.page.pages import Pages
from edged.captive.respond import Portal, Request
from edged.captive.settings import PortalSettings
from edged.model import Access, Account, Snapshot, State, Subscriber
from edged.policy.access import Decision, Rule, View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import parse_prefix

KEY = bytes(range(32))
NOW = 1_795_000_000.0
PORTAL = Portal("https://portal.example.net", "portal.example.net", KEY, frozenset({"203.0.113.10"}))
ACCOUNT = Account(
    "Ana Maria Kowalska", "49.90", "EUR", "2026-11-01", "https://customer.example.net/pay/7f3a", invoice="2026-1187"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def settings(brand: dict[str, Any] | None = None, **more: Any) -> PortalSettings:
    default = {"name": "Example ISP", "link": "https://customer.example.net/login", **(brand or {})}
    brands = {"default": default, **more.pop("brands", {})}
    return PortalSettings.model_validate({"url": PORTAL.url, "pass": {}, "brands": brands, **more})


def pages(brand: dict[str, Any] | None = None, **more: Any) -> Pages:
    return Pages(settings(brand, **more), read_templates(None), {}, KEY, zone=UTC)


def subscriber(
    id_: str = "1001",
    reason: str = "unpaid",
    state: State = State.BLOCKED,
    address: str = "127.0.0.1",
    **more: Any,
) -> Subscriber:
    return Subscriber(
        id_, state, reason, addresses=(parse_prefix(address),), account=more.pop("account", ACCOUNT), **more
    )


def decision(access: Access, reason: str = "unpaid", **more: Any) -> Decision:
    if access in {Access.STRANGER, Access.EXEMPT, Access.OPEN, Access.DRAIN}:
        return Decision(access, Rule.DEFAULT)
    until = more.pop("until", 0.0)
    return Decision(access, Rule.BILLING, subscriber(reason=reason, **more), reason=reason, until=until)


def view(*subscribers: Subscriber) -> View:
    networks = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8", "::1/128"]})
    return View(compile_table(Snapshot("s", "1", NOW, subscribers), networks))


def get(host: str, target: str = "/", *, https: bool = False, accept: str = BROWSER, **more: Any) -> Request:
    return Request(https=https, method=more.pop("method", "GET"), host=host, target=target, accept=accept, **more)
