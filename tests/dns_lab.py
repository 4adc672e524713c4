"""What the tests of the DNS room have in common: one configuration, and policies for one address."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address

from edged.dns.counters import DnsCounters
from edged.dns.settings import DnsSettings, LimitSettings
from edged.dns.sinkhole import Sinkhole
from edged.dns.zone import Zone, compile_zone
from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import Learned, View
from edged.policy.prefixes import PrefixMap
from edged.policy.settings import GardenSettings, SubscribersSettings
from edged.policy.table import compile_table
from edged.values import IpAddress, parse_prefix

PORTAL_HOST = "portal.example.net"
PORTAL_ADDRESSES: tuple[IpAddress, ...] = (ip_address("203.0.113.10"), ip_address("2001:db8::10"))
SETTINGS = DnsSettings.model_validate({"ttl": "10s"})
GARDEN = GardenSettings.model_validate({
    "names": ["pay.example.net", "*.gate.example", ".both.example", ".google.com"],
    "records": {"static.example.net": ["198.51.100.7"]},
})  # fmt: skip
CLIENT = "100.64.0.9"
NOW = 1_800_000_000.0


@cache
def lab_zone() -> Zone:
    return compile_zone(SETTINGS, GARDEN, PORTAL_HOST, PORTAL_ADDRESSES)


def view_of(access: Access, *networks: str, until: float = NOW + 600) -> View:
    """A policy under which every address of ``networks`` has ``access``."""
    held = networks or ("100.64.0.0/10", "2001:db8:100::/40")
    prefixes = tuple(parse_prefix(n) for n in held)
    state = {Access.BLOCKED: State.BLOCKED, Access.PASS: State.BLOCKED, Access.NOTICE: State.NOTICE}.get(
        access, State.ACTIVE
    )
    subscriber = Subscriber("17", state, addresses=prefixes)
    settings = SubscribersSettings.model_validate({
        "networks": [] if access is Access.STRANGER else list(held),
        "exempt": list(held) if access is Access.EXEMPT else [],
    })  # fmt: skip
    learned = Learned(
        passes={"17": until} if access is Access.PASS else {},
        drains=PrefixMap((p, until) for p in prefixes) if access is Access.DRAIN else PrefixMap(),
    )
    return View(compile_table(Snapshot("s", "r", NOW, (subscriber,)), settings), learned)


def lab_sinkhole(access: Access = Access.BLOCKED, *, limit: int = 1_000_000, per_prefix: int = 1_000_000) -> Sinkhole:
    limits = LimitSettings(per_subscriber=limit, per_prefix=per_prefix)
    sinkhole = Sinkhole(lab_zone(), limits, DnsCounters(), secret=bytes(32))
    sinkhole.adopt(view_of(access))
    return sinkhole
