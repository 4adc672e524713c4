# SPDX-License-Identifier: Apache-2.0
"""What edged wants on a RouterOS router: commands, entries, rules, connections. The stand-in's console takes it."""

from __future__ import annotations

import dataclasses
import math
from ipaddress import ip_address

import pytest

from edged.enforce.diff import Actual, diff
from edged.enforce.routeros.commands import Command, add, guarded, interval, quoted, seconds
from edged.enforce.routeros.entries import Entry, Mirror, entry_command, learned_command, take
from edged.enforce.routeros.layout import CARRIED, CONNECTIONS, FILTER, NAT, Layout, is_ours, layout_of
from edged.enforce.routeros.rows import menus
from edged.enforce.routeros.text import change_text
from edged.enforce.routeros.tracking import Due
from edged.enforce.rules import Portal, Rules
from edged.enforce.sets import SetName
from edged.enforce.settings import RouterosSettings
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES, subscriber, wanted
from tests.routeros.console import Console
from tests.routeros.sentences import Command as Sent

LAYOUT = Layout("edged-blocked", "edged-garden", "edged-portal", lease=86_400.0)
GIVEN = {"host": "192.0.2.1", "user": "edged", "password": "geheim"}


def execute(console: Console, command: Command) -> str:
    """Do it on the stand-in; its own trap when it will not."""
    outcome = console.execute(Sent(command.menu, command.verb, dict(command.arguments)))
    return str(outcome.replies[-1].pairs.get("ret", ""))


# --- commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("edged-blocked", "edged-blocked"),
        ("2001:db8::/128", "2001:db8::/128"),
        ("!edged-garden", "!edged-garden"),
        ("edged: out rest", '"edged: out rest"'),
        ('a"b\\$c', '"a\\"b\\\\\\$c"'),
        ("", '""'),
    ],
)
def test_a_value_is_quoted_where_a_script_would_read_something_else(value: str, text: str) -> None:
    assert quoted(value) == text


def test_a_script_does_every_entry_whatever_becomes_of_the_others() -> None:
    console = Console()
    addresses = ["192.0.2.1", "192.0.2.1", "no address", "192.0.2.2"]
    commands = [
        add("/ip/firewall/address-list", {"list": "a", "address": text, "comment": 'x; "$y" \\'}) for text in addresses
    ]

    console.execute(Sent("", "execute", {"script": guarded(commands), "as-string": ""}))

    rows = console.items("/ip/firewall/address-list")
    assert [(row["address"], row["comment"]) for row in rows] == [
        ("192.0.2.1", 'x; "$y" \\'), ("192.0.2.2", 'x; "$y" \\')
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("whole", "text"), [(1, "1s"), (0.2, "1s"), (0, "1s"), (90, "1m30s"), (2_592_000, "4w2d"), (604_800.5, "1w1s")]
)
def test_an_interval_is_spelled_as_routeros_prints_it_and_never_shorter(whole: float, text: str) -> None:
    assert interval(whole) == text
    assert seconds(text) == max(1, math.ceil(whole))


def test_uptimes_are_read_in_every_spelling() -> None:
    spelled = ("1w2d3h4m5s", "90", "1d00:01:00", "00:10", "", "soon")

    assert [seconds(text) for text in spelled] == [788_645.0, 90.0, 86_460.0, 600.0, None, None]
    assert [seconds(text) for text in ("9" * 400, f"{'9' * 400}s", f"{'9' * 5000}d", "\u0661s", "\u00b2")] == [None] * 5


# --- entries ---------------------------------------------------------------------------------------


def row(address: str, comment: str = "edged", listed: str = "edged-blocked", **more: str) -> dict[str, str]:
    return {".id": f"*{address}", "list": listed, "address": address, "comment": comment} | more


def test_what_is_printed_is_sorted_into_ours_learned_foreign_and_surplus() -> None:
    mirror = Mirror()
    rows = [
        row("192.0.2.1", timeout="1h"),
        row("198.51.100.0/24"),
        row("192.0.2.2", disabled="true"),
        row("192.0.2.1"),
        row("192.0.2.8-192.0.2.20"),
        row("192.0.2.3", "by hand"),
        row("192.0.2.3", "by hand", disabled="true"),
        row("192.0.2.4", "edgedly"),
        row("192.0.2.5", "by hand", disabled="true"),
        row("some.example", "by hand"),
        row("192.0.2.6", listed="another"),
        row("203.0.113.0/24", listed="edged-garden"),
        row("203.0.113.9", "edged: learned", "edged-garden", timeout="30s"),
        row("203.0.113.10", listed="edged-portal"),
        row("203.0.113.0/25", listed="edged-portal"),
        row("203.0.113.11", "edged: learned", "edged-garden"),
        row("192.0.2.7", "edged: learned", timeout="30s"),
    ]

    take(mirror, 4, rows, LAYOUT, now=100.0)

    hosts = mirror.ours[SetName.BLOCKED_HOSTS_4]
    first, second, third = (int(ip_address(f"192.0.2.{n}")) for n in (1, 2, 3))
    assert hosts == {first: Entry("*192.0.2.1", 3700.0), second: Entry("*192.0.2.2", is_disabled=True)}
    assert set(mirror.ours[SetName.BLOCKED_PREFIXES_4]) == {parse_prefix("198.51.100.0/24")}
    assert mirror.foreign[SetName.BLOCKED_HOSTS_4] == {third: True, third + 1: True, third + 2: False}
    assert set(mirror.ours[SetName.GARDEN_NETWORKS_4]) == {parse_prefix("203.0.113.0/24")}
    assert mirror.learned == {ip_address("203.0.113.9"): Entry("*203.0.113.9", 130.0)}
    assert set(mirror.ours[SetName.PORTAL_4]) == {int(ip_address("203.0.113.10"))}
    assert [command.arguments[".id"] for command in mirror.surplus] == [
        "*192.0.2.1", "*192.0.2.8-192.0.2.20", "*203.0.113.0/25", "*203.0.113.11", "*192.0.2.7"
    ]  # fmt: skip
    assert mirror.elements(SetName.BLOCKED_HOSTS_4, {third}, 200.0) == {first, third}
    assert mirror.elements(SetName.BLOCKED_HOSTS_4, set(), 3700.0) == frozenset(), "its time is up"


def test_what_is_added_is_read_back_as_the_same_element_in_both_families() -> None:
    value = wanted(subscriber("1", "100.64.1.7", "100.64.2.0/24", "2001:db8:100:700::/56", "2001:db8:100:800::1"))
    console, mirror = Console(), Mirror()
    for name in CARRIED:
        for element in value.sets[name]:
            execute(console, entry_command(LAYOUT, name, element))
    execute(console, learned_command(LAYOUT, ip_address("2001:db8::99"), 30.0))

    for version, menu in ((4, "/ip/firewall/address-list"), (6, "/ipv6/firewall/address-list")):
        take(mirror, version, console.items(menu), LAYOUT, now=0.0)

    assert {name: set(entries) for name, entries in mirror.ours.items()} == {
        name: set(value.sets[name]) for name in CARRIED
    }
    assert list(mirror.learned) == [ip_address("2001:db8::99")]
    assert not mirror.surplus


def test_lines_live_for_the_lease_and_everything_else_for_good() -> None:
    host = int(ip_address("192.0.2.1"))

    assert entry_command(LAYOUT, SetName.BLOCKED_HOSTS_4, host).arguments["timeout"] == "1d"
    assert "timeout" not in entry_command(LAYOUT, SetName.PORTAL_4, host).arguments
    assert (
        "timeout" not in entry_command(dataclasses.replace(LAYOUT, lease=0.0), SetName.BLOCKED_HOSTS_4, host).arguments
    )


@pytest.mark.parametrize(
    ("comment", "ours"),
    [("edged", True), ("edged: learned", True), ("edged:", False), ("edged2", False), ("my edged", False), ("", False)],
)
def test_a_comment_says_whose_it_is(comment: str, ours: bool) -> None:
    assert is_ours(comment) is ours


# --- rules -----------------------------------------------------------------------------------------

SHAPES = {
    "all": (RULES, LAYOUT),
    "drop": (RULES, dataclasses.replace(LAYOUT, forward="drop")),
    "web in the garden": (dataclasses.replace(RULES, garden_ports=(80, 443)), LAYOUT),
    "no ports": (dataclasses.replace(RULES, garden_ports=()), LAYOUT),
    "no portal": (Rules(), LAYOUT),
    "well-known ports": (
        dataclasses.replace(RULES, portal4=Portal(ip_address("203.0.113.10")), portal6=None), LAYOUT
    ),
    "no resolver": (dataclasses.replace(RULES, portal4=Portal(ip_address("203.0.113.10"), dns=0)), LAYOUT),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", ["7.9", "7.18.2"])
def test_every_rule_is_one_that_the_console_schema_has(shape: str, version: str) -> None:
    console = Console(version)
    for menu, rows in menus(*SHAPES[shape]).items():
        for rule in rows:
            execute(console, rule.command(menu))
        assert len({rule.comment for rule in rows}) == len(rows), "each is found again by its comment"


def keys(shape: str, menu: str) -> list[str]:
    return [rule.key for rule in menus(*SHAPES[shape])[menu]]


def test_dns_is_steered_before_the_garden_and_the_web_outside_it_alone() -> None:
    steer = {rule.key: rule.fields for rule in menus(*SHAPES["all"])[NAT[4]]}

    assert list(steer)[:4] == ["steer dns udp", "steer dns tcp", "steer http tcp", "steer https tcp"]
    assert "dst-address-list" not in steer["steer dns udp"]
    assert "dst-address-list" not in steer["steer http tcp"], (
        "80 is no port of the garden: it is led away inside it too"
    )
    assert steer["steer https tcp"]["dst-address-list"] == "!edged-garden"
    assert (steer["steer https tcp"]["to-addresses"], steer["steer https tcp"]["to-ports"]) == ("203.0.113.10", "8443")
    inside = {rule.key: rule.fields for rule in menus(*SHAPES["web in the garden"])[NAT[6]]}
    assert inside["steer http tcp"]["dst-address-list"] == "!edged-garden"
    assert inside["steer http tcp"]["to-address"] == "2001:db8::10"


def test_nothing_is_led_to_where_nothing_listens_and_no_door_stands_where_the_ports_are_well_known() -> None:
    assert keys("no portal", NAT[4]) == []
    assert keys("well-known ports", NAT[6]) == []
    assert not [key for key in keys("well-known ports", NAT[4]) if key.startswith("door")]
    assert not [key for key in keys("no resolver", NAT[4]) if "dns" in key]


def test_a_refusal_comes_last_in_its_chain_and_the_jumps_after_all_chains() -> None:
    for shape in SHAPES:
        for menu in FILTER.values():
            assert keys(shape, menu)[-3:] == ["in rest", "from blocked", "to blocked"]
            chain = [rule.key for rule in menus(*SHAPES[shape])[menu] if rule.fields["chain"] == "edged-out"]
            assert chain[-1] == "out rest"
    assert "out tcp" not in keys("drop", FILTER[4])


def test_where_the_rules_are_the_operators_there_are_none_of_ours() -> None:
    assert not any(menus(RULES, dataclasses.replace(LAYOUT, rules=False)).values())


# --- the plan as text ------------------------------------------------------------------------------


def test_a_plan_reads_as_the_commands_of_a_console_in_the_order_in_which_they_are_sent() -> None:
    before, after = wanted(subscriber("1", "100.64.1.7")), wanted(subscriber("2", "2001:db8:100:700::/56"))
    whole = change_text(LAYOUT, before, diff(before, None, CARRIED)).splitlines()
    step = change_text(LAYOUT, after, diff(after, Actual(before.rules, before.sets), CARRIED))

    assert whole[-1] == ("/ip/firewall/address-list/add list=edged-blocked address=100.64.1.7 comment=edged timeout=1d")
    assert whole[0].startswith("/ip/firewall/address-list/add list=edged-garden address=203.0.113.20")
    assert step.splitlines() == [
        "/ip/firewall/address-list/remove [find list=edged-blocked address=100.64.1.7 comment=edged]",
        "/ipv6/firewall/address-list/add list=edged-blocked address=2001:db8:100:700::/56 comment=edged timeout=1d",
    ]


# --- connections -----------------------------------------------------------------------------------


def connection(item: str, protocol: str, src: str, dst: str, **more: str) -> dict[str, str]:
    return {".id": item, "protocol": protocol, "src-address": src, "dst-address": dst} | more


def due(rows: list[dict[str, str]], is_due: Due) -> list[str]:
    return [row[".id"] for row in filter(is_due, rows)]


def test_a_connection_goes_whichever_end_the_line_is_and_of_an_opened_line_udp_alone() -> None:
    rows = [
        connection("*1", "tcp", "100.64.1.7", "198.51.100.1", **{"src-port": "40000"}),
        connection("*2", "tcp", "198.51.100.1", "203.0.113.1", **{"src-port": "5", "reply-src-address": "100.64.1.7"}),
        connection("*3", "udp", "100.64.1.8", "198.51.100.1", **{"src-port": "40000"}),
        connection("*4", "tcp", "100.64.1.8", "198.51.100.1", **{"src-port": "40000"}),
        connection("*5", "udp", "100.64.1.9", "198.51.100.1", **{"src-port": "40000"}),
        connection("*6", "udp", "198.51.100.1", "100.64.2.200", **{"src-port": "40000"}),
        connection("*7", "icmp", "100.64.1.7", "198.51.100.1"),
        {"protocol": "tcp", "src-address": "100.64.1.7"},
    ]
    blocked, opened = [parse_prefix("100.64.1.7"), parse_prefix("100.64.2.0/24")], [parse_prefix("100.64.1.8")]

    assert due(rows, Due(blocked, opened, 4)) == ["*1", "*2", "*3", "*6", "*7"]


def test_an_address_and_its_port_may_be_one_property() -> None:
    v4 = [connection("*1", "tcp", "100.64.1.7:40000", "198.51.100.1:443"), connection("*2", "icmp", "100.64.1.7", "x")]
    v6 = [
        connection("*3", "tcp", "[2001:db8:100:700::1]:40000", "[2001:db8::1]:443"),
        connection("*4", "udp", "2001:db8:100:700::1:53", "2001:db8::1:53"),
        connection("*5", "icmpv6", "2001:db8:100:700::1", "2001:db8::1"),
        connection("*6", "tcp", "2001:db8:100:701::1:40000", "2001:db8::1:443"),
        connection("*7", "tcp", "nonsense", ""),
    ]

    assert due(v4, Due([parse_prefix("100.64.1.7")], [], 4)) == ["*1", "*2"]
    assert due(v6, Due([parse_prefix("2001:db8:100:700::/64")], [], 6)) == ["*3", "*4", "*5"]


def test_the_menus_of_connections_are_those_of_the_stand_in() -> None:
    assert set(CONNECTIONS.values()) <= set(Console().tables)


# --- settings --------------------------------------------------------------------------------------


def test_what_the_contract_leaves_out_is_chosen() -> None:
    layout = layout_of(RouterosSettings.model_validate(GIVEN))

    assert layout == Layout("edged-blocked", "edged-garden", "edged-portal", lease=30 * 86_400.0)
    assert layout_of(RouterosSettings.model_validate(GIVEN | {"entries": "flash"})).lease == 0.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("list", "with blank"), ("list", 'a"b'), ("list", ""), ("fingerprint", "12"), ("lease", "1m"), ("rate", 0),
        ("port", 0), ("entries", "nvram"), ("rules", "none"), ("timeout", "0s"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        RouterosSettings.model_validate(GIVEN | {key: value})


def test_a_fingerprint_is_taken_in_both_spellings() -> None:
    octets = [f"{n:02X}" for n in range(32)]

    assert (
        RouterosSettings.model_validate(GIVEN | {"fingerprint": ":".join(octets)}).fingerprint
        == "".join(octets).lower()
    )
