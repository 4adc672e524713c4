"""The menus that the stand-in plays, as data: the fields of each, what a value must be, since which version. Pure.

Fields: the public-domain console schema tikoci/restraml (7.9 to 7.24; the rules' matchers as in its dump of 7.14.1),
reject types by version of IP. What no dump reaches (6.49) is marked with the version that it is known to have come
with. A field that stands here nowhere is refused, as a misspelt one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tests.routeros.values import (
    Spell,
    Version,
    address_4,
    address_6,
    anything,
    host,
    negated,
    one_of,
    or_name,
    ports,
    timeout,
    truth,
)

EVER = Version(0, 0)
V7 = Version(7, 0)


@dataclass(frozen=True, slots=True)
class Field:
    """One property that ``add`` and ``set`` take."""

    spell: Spell = anything
    default: str | None = None
    """What is printed where nobody gave it; None: nothing is."""
    since: Version = EVER


@dataclass(frozen=True, slots=True)
class Menu:
    """One menu and its rules."""

    path: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    verbs: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    """Two items that have all of these in common are a duplicate."""
    ordered: bool = False
    """``move`` and ``place-before`` work."""
    single: bool = False
    """One item without an id."""
    since: Version = EVER
    shown: tuple[str, ...] = ()
    """Printed and never set: ``dynamic``, ``creation-time``, …"""
    hidden: tuple[str, ...] = ()
    """Set and never printed."""


TEXT, TRUTH, PORTS, TIME = Field(), Field(truth), Field(negated(ports)), Field(timeout)
LIST = Field(negated(anything))
COMMENT = TEXT
DISABLED = Field(truth, "false")

_READ = frozenset({"print", "getall", "listen"})
_WRITE = frozenset({"add", "set", "remove", "enable", "disable", "comment", "unset"})
_ITEMS = _READ | _WRITE
_RULES = _ITEMS | {"move"}

# --- address lists ---------------------------------------------------------------------------------


def _address_list(path: str, spell: Spell) -> Menu:
    fields = {
        "list": TEXT,
        "address": Field(or_name(spell)),
        "timeout": TIME,
        "comment": COMMENT,
        "dynamic": Field(truth, "false"),
        "disabled": DISABLED,
    }
    return Menu(
        path, fields, _ITEMS - {"unset"}, ("list", "address"), alike=("list", "address"), shown=("creation-time",)
    )


# --- rules -----------------------------------------------------------------------------------------

_NAMES = (
    "connection-bytes", "connection-limit", "connection-mark", "connection-nat-state", "connection-rate",
    "connection-state", "connection-type", "content", "dscp", "dst-address-type", "dst-limit", "fragment", "hotspot",
    "icmp-options", "in-bridge-port", "in-bridge-port-list", "in-interface", "in-interface-list", "ingress-priority",
    "ipsec-policy", "ipv4-options", "jump-target", "layer7-protocol", "limit", "log-prefix", "nth", "out-bridge-port",
    "out-bridge-port-list", "out-interface", "out-interface-list", "packet-mark", "packet-size",
    "per-connection-classifier", "priority", "protocol", "psd", "random", "realm", "routing-mark", "src-address-type",
    "src-mac-address", "tcp-flags", "tcp-mss", "time", "tls-host", "ttl", "address-list",
)  # fmt: skip
_MATCHERS: dict[str, Field] = dict.fromkeys(_NAMES, TEXT) | {
    "chain": TEXT,
    "comment": COMMENT,
    "disabled": DISABLED,
    "log": Field(truth, "false"),
    "address-list-timeout": TIME,
    "src-address-list": LIST,
    "dst-address-list": LIST,
    "src-port": PORTS,
    "dst-port": PORTS,
    "port": PORTS,
}

_ACTIONS = ("accept", "add-dst-to-address-list", "add-src-to-address-list", "jump", "log", "passthrough", "return")
_FILTER = (*_ACTIONS, "drop", "fasttrack-connection", "reject", "tarpit")
_NAT = (*_ACTIONS, "dst-nat", "src-nat", "masquerade", "netmap", "redirect", "same")
_MANGLE = (
    *_ACTIONS, "change-dscp", "change-mss", "change-ttl", "clear-df", "fasttrack-connection", "mark-connection",
    "mark-packet", "mark-routing", "route", "set-priority", "sniff-pc", "sniff-tzsp", "strip-ipv4-options",
)  # fmt: skip
_RAW = (*_ACTIONS, "drop", "notrack")

_REJECTS = {
    4: (
        "icmp-admin-prohibited", "icmp-host-prohibited", "icmp-host-unreachable", "icmp-net-prohibited",
        "icmp-network-unreachable", "icmp-port-unreachable", "icmp-protocol-unreachable", "tcp-reset",
    ),
    6: ("icmp-address-unreachable", "icmp-admin-prohibited", "icmp-no-route", "icmp-port-unreachable", "tcp-reset"),
}  # fmt: skip
_NEW_MARKS = {
    f"new-{name}": TEXT for name in ("connection-mark", "dscp", "mss", "packet-mark", "priority", "routing-mark", "ttl")
}


def _range_or_host(version: int) -> Spell:
    """Addresses that traffic is led to: one, or a range of them."""

    def spelled(text: str) -> str:
        return "-".join(host(end) for end in text.split("-", 1)) if version == 6 else address_4(text)

    return spelled


def _rules(name: str, version: int, actions: tuple[str, ...], more: dict[str, Field], since: Version) -> Menu:
    spell = address_4 if version == 4 else address_6
    address = Field(negated(spell))
    fields = _MATCHERS | {"src-address": address, "dst-address": address, "action": Field(one_of(*actions), "accept")}
    path = f"/{'ip' if version == 4 else 'ipv6'}/firewall/{name}"
    shown = ("dynamic", "invalid", "bytes", "packets")
    return Menu(path, fields | more, _RULES, ("chain",), ordered=True, since=since, shown=shown)


def _all_rules(version: int) -> tuple[Menu, ...]:
    # singular in IPv6, in every dump of the schema: a misspelt one must fail
    to = {"to-addresses" if version == 4 else "to-address": Field(_range_or_host(version)), "to-ports": Field(ports)}
    v6_nat = EVER if version == 4 else V7
    return (
        _rules("nat", version, _NAT, to, v6_nat),
        _rules("filter", version, _FILTER, {"reject-with": Field(one_of(*_REJECTS[version]))}, EVER),
        _rules("mangle", version, _MANGLE, _NEW_MARKS | {"passthrough": TRUTH}, EVER),
        _rules("raw", version, _RAW, {}, EVER),
    )


# --- the rest --------------------------------------------------------------------------------------

_STATIC = Menu(
    "/ip/dns/static",
    {
        "name": TEXT,
        "regexp": TEXT,
        "type": Field(one_of("A", "AAAA", "CNAME", "FWD", "MX", "NS", "NXDOMAIN", "SRV", "TXT"), "A"),
        "address": Field(host),
        "cname": TEXT,
        "forward-to": TEXT,
        "text": TEXT,
        "ttl": Field(timeout, "1d"),
        "match-subdomain": Field(truth, since=V7),
        "address-list": Field(since=V7),
        "comment": COMMENT,
        "disabled": DISABLED,
    },
    _RULES - {"unset"},
    ordered=True,
    shown=("dynamic",),
)
_POLICY = Field()
_DHCP = (
    Menu(
        "/ip/dhcp-server/option",
        {"name": TEXT, "code": Field(ports), "value": TEXT, "force": Field(truth, "false", since=V7)},
        _ITEMS - {"unset", "enable", "disable", "comment"},
        ("name", "code"),
        alike=("name",),
        shown=("raw-value",),
    ),
    Menu(
        "/ip/dhcp-server/network",
        {
            "address": Field(address_4),
            "gateway": TEXT,
            "dns-server": TEXT,
            "domain": TEXT,
            "dhcp-option": TEXT,
            "dhcp-option-set": TEXT,
            "comment": COMMENT,
        },
        _ITEMS - {"enable", "disable"},
        ("address",),
        alike=("address",),
        shown=("dynamic",),
    ),
)
_RADIUS = (
    Menu(
        "/radius",
        {
            "address": Field(host),
            "secret": TEXT,
            "service": TEXT,
            "authentication-port": Field(ports, "1812"),
            "accounting-port": Field(ports, "1813"),
            "accounting-backup": Field(truth, "false"),
            "timeout": TEXT,
            "src-address": Field(host),
            "realm": TEXT,
            "require-message-auth": Field(since=Version(7, 15)),
            "comment": COMMENT,
            "disabled": DISABLED,
        },
        _RULES,
        ("address",),
        ordered=True,
        hidden=("secret",),
    ),
    Menu("/radius/incoming", {"accept": Field(truth, "false"), "port": Field(ports, "3799")},
         frozenset({"print", "getall", "set"}), single=True),
)  # fmt: skip
_CERTIFICATE = Menu(
    "/certificate",
    {
        "name": TEXT,
        "common-name": TEXT,
        "subject-alt-name": TEXT,
        "key-usage": TEXT,
        "key-size": TEXT,
        "days-valid": Field(ports),
        "trusted": TRUTH,
    },
    _READ | {"add", "set", "remove", "sign"},
    ("name",),
    alike=("name",),
    shown=("fingerprint",),
)
_MENUS = (
    *_DHCP,
    *_RADIUS,
    _CERTIFICATE,
    _address_list("/ip/firewall/address-list", address_4),
    _address_list("/ipv6/firewall/address-list", address_6),
    *_all_rules(4),
    *_all_rules(6),
    Menu("/ip/firewall/connection", verbs=_READ | {"remove"}),
    Menu("/ipv6/firewall/connection", verbs=_READ | {"remove"}),
    _STATIC,
    Menu(
        "/ip/service",
        {
            "port": Field(ports),
            "address": TEXT,
            "disabled": DISABLED,
            "certificate": Field(default="none"),
            "max-sessions": Field(ports, "20", since=Version(7, 16)),
        },
        _READ | {"set", "enable", "disable"},
        shown=("name", "invalid"),
    ),
    Menu(
        "/system/script",
        {"name": TEXT, "source": TEXT, "policy": _POLICY, "comment": COMMENT, "dont-require-permissions": TRUTH},
        _ITEMS - {"unset", "enable", "disable"} | {"run"},
        ("name",),
        alike=("name",),
        shown=("owner", "run-count", "invalid"),
    ),
    Menu("/system/identity", {"name": TEXT}, frozenset({"print", "getall", "set"}), single=True),
    Menu("/system/resource", verbs=frozenset({"print", "getall"}), single=True),
    Menu(
        "/user",
        {"name": TEXT, "group": TEXT, "address": TEXT, "password": TEXT, "comment": COMMENT, "disabled": DISABLED},
        _ITEMS - {"unset"},
        ("name", "group"),
        alike=("name",),
        hidden=("password",),
    ),
    Menu(
        "/user/group",
        {"name": TEXT, "policy": _POLICY, "comment": COMMENT},
        _ITEMS - {"unset", "enable", "disable"},
        ("name",),
        alike=("name",),
    ),
)
MENUS: Mapping[str, Menu] = MappingProxyType({menu.path: menu for menu in _MENUS})
"""By path."""
