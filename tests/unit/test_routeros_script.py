# SPDX-License-Identifier: Apache-2.0
"""The script that prepares a router, on the stand-in of one: nothing here is tested on RouterOS."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.enforce.routeros.access import RIGHTS
from edged.enforce.routeros.commands import literal
from edged.enforce.routeros.layout import is_ours
from edged.enforce.routeros.script import ApiAccess, Part, Preparation, preparing, removing
from edged.enforce.routeros.sections import SCRIPT_TAG
from edged.enforce.rules import Portal
from edged.values import parse_prefix
from tests.e2e.enforce_contract import RULES
from tests.routeros.console import Console
from tests.routeros.sentences import TrapError
from tests.routeros_scripts import (
    API,
    COA,
    LIST_MENUS,
    PASSWORD,
    RULE_MENUS,
    comments,
    filled,
    foreign,
    furnished,
    items_of,
    made,
    prepared,
    rules_of,
    state,
    written,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "routeros" / "prepare.rsc"
LEAVE = replace(API, layout=replace(API.layout, rules=False))
VERSIONS = ("6.49.10", "7.9", "7.18.2")
EVERY = pytest.mark.parametrize("wanted", [API, LEAVE, COA], ids=["api", "leave", "coa"])


def test_the_script_is_as_it_was() -> None:
    script = preparing(API)
    if os.environ.get("EDGED_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(script, "ascii")

    assert script == GOLDEN.read_text("ascii")


# --- from nothing, and again -----------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_run_writes_nothing_and_nothing_of_others_is_touched(wanted: Preparation, version: str) -> None:
    console = furnished(version)
    before = foreign(console)

    said = prepared(wanted, console)

    assert said.splitlines()[-1] == "prepared for edged"
    assert ("no IPv6 NAT" in said) is (version == "6.49.10")
    assert written(console, filled(preparing(wanted))) == []
    assert foreign(console) == before


@EVERY
def test_what_edged_put_there_can_be_taken_away(wanted: Preparation) -> None:
    console, untouched = made(wanted), furnished()
    assert state(console) != state(untouched)
    console.hand("/ip/firewall/address-list/add", list="edged-blocked", address="100.64.1.7", comment="edged")
    console.hand("/ip/firewall/address-list/add", list="edged-garden", address="203.0.113.9", comment="edged: learned")

    assert console.script(removing(wanted)) == "what was edged's is gone"

    assert state(console) == state(untouched)
    assert written(console, removing(wanted)) == []


def test_without_the_ipv6_package_and_without_dhcp_the_rest_is_prepared() -> None:
    console = Console("6.49.10", clock=lambda: 0.0)
    for menu in [menu for menu in console.tables if menu.startswith(("/ipv6", "/ip/dhcp-server"))]:
        del console.tables[menu]

    said = prepared(API, console)

    assert "no IPv6 lists" in said
    assert "no IPv6 filter" in said
    assert "no DHCP server" in said
    assert console.items("/ip/firewall/filter")[-1]["comment"] == "edged: to blocked"


# --- rules -----------------------------------------------------------------------------------------


@EVERY
def test_ours_come_before_all_others_and_jumps_last(wanted: Preparation) -> None:
    console = made(wanted)
    tag = "edged" if wanted is API else SCRIPT_TAG

    forward = list(comments(console, "/ip/firewall/filter", "forward"))
    assert forward == [f"{tag}: from blocked", f"{tag}: to blocked", "defconf: fasttrack", ""]
    assert next(comments(console, "/ip/firewall/nat", "dstnat")) == f"{tag}: steer dns udp"
    assert next(comments(console, "/ip/firewall/nat", "srcnat")) == f"{tag}: keep source"
    assert {item["comment"] for item in console.items("/ip/firewall/filter") if f"{tag}-" in item["chain"]} == {
        f"{tag}: {key}" for key in ("out portal", "out garden tcp", "out garden udp", "out errors", "in portal",
                                    "in garden tcp", "in garden udp", "in errors", "out ntp", "in ntp", "out quic",
                                    "out tcp", "out rest", "in rest")
    }  # fmt: skip


def test_what_the_target_must_not_take_for_its_own_bears_another_tag_and_stands_in_chains_of_its_own() -> None:
    console = made(LEAVE)

    ours = [item for menu in RULE_MENUS for item in console.items(menu) if "edged-script" in item.get("comment", "")]
    assert len(ours) == 50
    assert not any(is_ours(item["comment"]) for item in ours)
    assert {item["chain"] for item in ours} == {"dstnat", "srcnat", "forward", "edged-script-out", "edged-script-in"}


DRIFTS = {
    "disabled": ("/ip/firewall/filter/set", "edged: from blocked", {"disabled": "yes"}),
    "narrowed": ("/ip/firewall/filter/set", "edged: out tcp", {"in_interface": "ether7"}),
    "changed": ("/ip/firewall/nat/set", "edged: steer dns udp", {"to_addresses": "192.0.2.66"}),
    "widened": ("/ip/firewall/nat/unset", "edged: steer http tcp", {"value_name": "dst-port"}),
    "removed": ("/ip/firewall/nat/remove", "edged: keep source", {}),
    "moved": ("/ip/firewall/filter/move", "edged: out portal", {}),
    "moved behind": ("/ip/firewall/filter/move", "edged: to blocked", {}),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_a_hand_did_to_our_rules_is_mended(drift: str) -> None:
    console, right = made(API), made(API)
    command, comment, change = DRIFTS[drift]
    menu = command.rpartition("/")[0]
    item = next(item[".id"] for item in console.items(menu) if item.get("comment") == comment)
    console.hand(command, id=item, **change)
    assert rules_of(console) != rules_of(right)

    prepared(API, console)

    assert rules_of(console) == rules_of(right)


def test_a_second_rule_of_its_like_goes_and_a_rule_before_ours_is_passed() -> None:
    console = made(API)
    right = rules_of(console)
    twin = next(item for item in console.items("/ip/firewall/nat") if item.get("comment") == "edged: steer dns udp")
    console.hand("/ip/firewall/nat/add", copy_from=twin[".id"])
    first = console.items("/ip/firewall/filter")[0][".id"]
    console.hand("/ip/firewall/filter/add", chain="forward", action="accept", place_before=first)

    prepared(API, console)

    found = rules_of(console)
    assert found["/ip/firewall/nat dstnat"] == right["/ip/firewall/nat dstnat"]
    assert list(comments(console, "/ip/firewall/filter", "forward"))[:3] == [
        "edged: from blocked",
        "edged: to blocked",
        "",
    ]


def test_at_no_moment_of_the_first_run_does_a_jump_lead_into_chains_that_are_not_whole() -> None:
    console = furnished()
    seen: list[int] = []

    def told(menu: str, values: dict[str, str]) -> None:
        if values.get("action") == "jump" and menu == "/ip/firewall/filter":
            seen.append(sum(item["chain"].startswith("edged-") for item in console.items(menu)))

    console.listeners.append(told)
    prepared(API, console)

    assert seen == [14, 14]


@EVERY
def test_when_all_is_taken_away_the_jumps_go_before_the_chains(wanted: Preparation) -> None:
    console = made(wanted)
    left: list[int] = []

    def told(menu: str, values: dict[str, str]) -> None:
        if ".dead" in values and menu == "/ip/firewall/filter":
            left.append(sum(item["action"] == "jump" for item in console.items(menu)))

    console.listeners.append(told)
    console.script(removing(wanted))

    assert left == [1, *[0] * 15]


def test_a_rule_that_a_router_does_not_take_is_told_where_it_may_be_left_out_and_ends_the_script_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console = furnished()
    monkeypatch.delitem(console.tables["/ip/firewall/filter"].fields, "dst-limit")
    said = prepared(API, console)
    assert "does not take the rule: out ntp" in said
    assert "edged: from blocked" in comments(console, "/ip/firewall/filter", "forward")
    assert written(console, filled(preparing(API))) == []

    console = furnished()
    monkeypatch.delitem(console.tables["/ip/firewall/filter"].fields, "reject-with")
    with pytest.raises(TrapError, match="reject-with"):
        prepared(API, console)
    assert list(comments(console, "/ip/firewall/filter", "forward")) == ["defconf: fasttrack", ""]


# --- lists -----------------------------------------------------------------------------------------


def test_entries_of_lines_and_learned_ones_stay_and_ours_come_back() -> None:
    console = made(API)
    menu = LIST_MENUS[0]
    console.hand(f"{menu}/add", list="edged-blocked", address="100.64.1.7", comment="edged", timeout="1h")
    console.hand(f"{menu}/add", list="edged-garden", address="203.0.113.9", comment="edged: learned", timeout="1h")
    console.hand(f"{menu}/add", list="edged-garden", address="203.0.113.99", comment="edged")
    portal = next(item for item in console.items(menu) if item["list"] == "edged-portal")
    console.hand(f"{menu}/disable", id=portal[".id"])
    garden = next(item for item in console.items(menu) if item["address"] == "203.0.113.20")
    console.hand(f"{menu}/set", id=garden[".id"], comment="edged: learned")

    prepared(API, console)

    assert [(item["list"], item["address"], item["disabled"]) for item in console.items(menu) if "comment" in item] == [
        ("edged-blocked", "192.0.2.77", "false"),
        ("edged-blocked", "100.64.1.7", "false"),
        ("edged-garden", "203.0.113.9", "false"),
        ("edged-garden", "203.0.113.20", "false"),
        ("edged-portal", "203.0.113.10", "false"),
    ]
    assert next(item for item in console.items(menu) if item["address"] == "203.0.113.20")["comment"] == "edged"


@EVERY
def test_a_note_that_says_edged_in_a_list_of_others_is_told_and_stays(wanted: Preparation) -> None:
    console = made(wanted)
    console.hand(f"{LIST_MENUS[0]}/add", list="management", address="192.0.2.10", comment="edged")

    for script in (filled(preparing(wanted)), removing(wanted)):
        assert "entries with the comment edged, of older names or of yours: 1" in console.script(script)
        assert "192.0.2.10" in {item["address"] for item in console.items(LIST_MENUS[0])}


def test_an_address_that_somebody_else_put_into_our_list_is_told_and_stays_theirs() -> None:
    console = furnished()
    console.hand(f"{LIST_MENUS[0]}/add", list="edged-garden", address="203.0.113.20", comment="theirs")

    assert "203.0.113.20 is not added to edged-garden" in prepared(API, console)
    assert written(console, filled(preparing(API))) == []
    assert [item["comment"] for item in console.items(LIST_MENUS[0]) if item["list"] == "edged-garden"] == ["theirs"]


def test_a_network_within_another_is_no_entry_as_it_is_none_for_the_target() -> None:
    networks = ("203.0.113.20", "203.0.113.0/24", "2001:db8::20", "2001:db8::/64")
    console = furnished()

    prepared(replace(API, rules=replace(RULES, garden_networks=tuple(map(parse_prefix, networks)))), console)

    listed = [item["address"] for m in LIST_MENUS for item in console.items(m) if item["list"] == "edged-garden"]
    assert listed == ["203.0.113.0/24", "2001:db8::/64"]


def test_garden_names_are_left_to_the_router_where_no_api_learns_them() -> None:
    console = made(COA)

    listed = [item for m in LIST_MENUS for item in console.items(m) if item["list"] == "edged-garden"]
    assert [item["address"] for item in listed] == [
        "203.0.113.20", "customer.example.net", "2001:db8::20/128", "customer.example.net"
    ]  # fmt: skip
    assert {item["comment"] for item in listed} == {"edged-script"}


# --- access ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [API, COA], ids=["api", "coa"])
def test_nothing_is_changed_while_the_secret_is_not_filled_in(wanted: Preparation) -> None:
    console = furnished()

    with pytest.raises(TrapError, match="nothing was changed"):
        console.script(preparing(wanted))
    assert written(console, ":put 1") == []
    assert state(console) == state(furnished())


def test_the_user_has_the_password_the_least_rights_and_one_address() -> None:
    console = made(API)

    account = console.account("edged")
    assert account is not None
    assert account.password == PASSWORD
    assert account.policy == ",".join(RIGHTS) == "read,write,api"
    assert next(u for u in console.items("/user") if u["name"] == "edged")["address"] == "192.0.2.10/32"


def test_a_user_and_a_group_of_ours_that_a_hand_widened_are_narrowed_and_keep_the_password() -> None:
    console = made(API)
    user = next(item[".id"] for item in console.items("/user") if item["name"] == "edged")
    group = next(item[".id"] for item in console.items("/user/group") if item["name"] == "edged")
    console.hand("/user/set", id=user, address="", group="full", password="changed")
    console.hand("/user/group/set", id=group, policy="read,write,api,policy")

    console.script(preparing(API))

    account = console.account("edged")
    assert account is not None
    assert (account.policy, account.password) == ("read,write,api", "changed")


def test_a_user_that_was_made_by_hand_as_the_manual_says_needs_nothing() -> None:
    console = furnished()
    console.hand("/user/group/add", name="edged", policy="read,write,api")
    console.hand("/user/add", name="edged", group="edged", address="192.0.2.10/32", password="theirs")
    console.hand("/user/add", name="monitor", group="read", comment="edged", password="theirs")
    before = items_of(console, "/user", "/user/group")

    assert "by hand" not in console.script(preparing(API))
    assert items_of(console, "/user", "/user/group") == before


def test_a_user_and_a_group_of_somebody_else_stay_as_they_are_and_are_told() -> None:
    console = furnished()
    console.hand("/user/group/add", name="edged", policy="read,api")
    console.hand("/user/add", name="edged", group="edged", password="theirs")

    said = console.script(preparing(API))

    assert "that user is not this script's" in said
    assert "the group edged is not this script's" in said
    account = console.account("edged")
    assert account is not None
    assert (account.policy, account.password) == ("read,api", "theirs")


def service(console: Console) -> dict[str, str]:
    return next(item for item in console.items("/ip/service") if item["name"] == "api-ssl")


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ({"disabled": "yes"}, "", {"disabled": "false", "address": "192.0.2.10/32"}),
        ({"disabled": "yes", "address": "192.0.2.10"}, "", {"disabled": "false", "address": "192.0.2.10"}),
        ({"disabled": "yes", "address": "10.0.0.0/8"}, "open to 192.0.2.10/32",
         {"disabled": "true", "address": "10.0.0.0/8"}),
        ({"address": "10.0.0.0/8"}, "open to 192.0.2.10/32", {"disabled": "false", "address": "10.0.0.0/8"}),
        ({"address": "10.0.0.0/8,192.0.2.10/32"}, "", {"address": "10.0.0.0/8,192.0.2.10/32"}),
        ({}, "open to every address", {"disabled": "false"}),
        ({"disabled": "yes", "port": "9999"}, "on port 9999", {"port": "9999", "address": "192.0.2.10/32"}),
    ],
)  # fmt: skip
def test_the_service_is_switched_on_for_edged_and_never_taken_from_those_who_use_it(
    before: dict[str, str], said: str, after: dict[str, str]
) -> None:
    console = furnished()
    console.hand("/ip/service/set", id="api-ssl", **before)

    told = prepared(API, console)

    assert said in told
    assert said or "by hand" not in told
    assert service(console) | after == service(console)
    assert ("address" in service(console)) is ("address" in after)
    assert written(console, filled(preparing(API))) == []


def test_a_certificate_is_made_where_there_is_none_and_its_fingerprint_told() -> None:
    console = furnished()
    said = prepared(API, console)

    (made,) = console.items("/certificate")
    assert (made["name"], made["common-name"], service(console)["certificate"]) == (
        "edged-api",
        "192.0.2.1",
        "edged-api",
    )
    assert made["fingerprint"] in said


def test_a_certificate_that_is_there_is_left() -> None:
    console = furnished()
    console.hand("/certificate/add", name="noc", common_name="router.example")
    console.hand("/certificate/sign", number="noc")
    console.hand("/ip/service/set", id="api-ssl", certificate="noc")

    said = prepared(API, console)

    assert [item["name"] for item in console.items("/certificate")] == ["noc"]
    assert console.items("/certificate")[0]["fingerprint"] in said


def test_coa_is_accepted_from_edged_which_is_asked_nothing() -> None:
    console = made(COA)

    (incoming,) = console.items("/radius/incoming")
    assert incoming == {"accept": "true", "port": "3799"}
    entry = next(item for item in console.items("/radius") if item["address"] == "192.0.2.10")
    assert "service" not in entry
    assert [row.values.get("secret") for row in console.tables["/radius"].rows.values()] == ["billing", PASSWORD]
    assert "edged" not in {user["name"] for user in console.items("/user")}


def test_a_radius_entry_and_a_port_of_somebody_else_are_told_and_left() -> None:
    console = furnished()
    console.hand("/radius/add", address="192.0.2.10", service="wireless", secret="theirs")
    console.hand("/radius/incoming/set", accept="yes", port="1700")

    said = console.script(preparing(COA))

    assert "the secret of the entry for 192.0.2.10" in said
    assert "listens on port 1700" in said
    assert console.items("/radius/incoming") == [{"accept": "true", "port": "1700"}]
    assert len(console.items("/radius")) == 2


# --- DHCP ------------------------------------------------------------------------------------------


def options(console: Console) -> dict[str, str]:
    return {item["address"]: item.get("dhcp-option", "") for item in console.items("/ip/dhcp-server/network")}


def test_option_114_is_given_to_networks_of_subscribers_beside_the_options_that_are_there() -> None:
    console = made(API)

    assert options(console) == {"100.64.0.0/22": "ntp,edged-captive-portal", "192.168.88.0/24": ""}
    option = next(item for item in console.items("/ip/dhcp-server/option") if item["code"] == "114")
    assert bytes.fromhex(option["value"].removeprefix("0x")) == API.uri


def test_another_uri_replaces_ours_and_none_takes_it_away_everywhere() -> None:
    console = made(API)
    prepared(replace(API, uri=b"https://other.example.net/x"), console)
    option = next(item for item in console.items("/ip/dhcp-server/option") if item["code"] == "114")
    assert bytes.fromhex(option["value"].removeprefix("0x")) == b"https://other.example.net/x"

    prepared(replace(API, uri=b""), console)

    assert options(console) == options(furnished())
    assert [item["name"] for item in console.items("/ip/dhcp-server/option")] == ["ntp"]


def test_an_option_114_of_somebody_else_is_told_and_left() -> None:
    console = furnished()
    console.hand("/ip/dhcp-server/option/add", name="theirs", code="114", value="0x00")

    assert "an option 114 that is not this script's" in prepared(API, console)
    assert options(console) == options(furnished())


# --- hostile values, parts -------------------------------------------------------------------------

HOSTILE = (
    '"',
    "$x",
    "[/system reboot]",
    "\\",
    "a\nb",
    "a;b",
    "#",
    "}",
    "?",
    "\t",
    "\r",
    "\x00",
    "é\udcff",
    "$(1)",
    '\\"',
    "{",
)


def test_a_text_in_quotes_is_that_text_and_nothing_that_it_says() -> None:
    for text in (*HOSTILE, "".join(HOSTILE), "".join(reversed(HOSTILE))):
        once = literal(text)

        assert once.isascii()
        assert Console().script(f":put {once}") == text
        assert Console().script(f":local part [:parse {literal(f':put {once}')}]; $part") == text, "also in a text"


@pytest.mark.parametrize("text", ['"; /system reboot; "', "".join(HOSTILE)], ids=["an end", "everything"])
def test_whatever_the_configuration_says_the_script_does_the_same(text: str) -> None:
    hostile = replace(
        API, router=text, notes=(text,), access=ApiAccess(text, text, tls=True, port=8729),
        layout=replace(API.layout, blocked=f"b{text}"),
    )  # fmt: skip
    console = furnished()
    script = filled(preparing(hostile))
    assert script.isascii()

    console.script(script)

    assert console.account(text) is not None
    assert console.items("/certificate")[0]["common-name"] == text
    jump = next(item for item in console.items("/ip/firewall/filter") if item.get("comment") == "edged: from blocked")
    assert jump["src-address-list"] == f"b{text}"
    assert written(console, script) == []


def test_a_part_alone_leaves_the_others_out() -> None:
    console, only = furnished(), replace(API, sources=(), parts=(Part.RULES,))
    assert ":local password" not in preparing(only)
    console.script(preparing(only))
    assert items_of(console, "/user", "/ip/dhcp-server/option") == items_of(
        furnished(), "/user", "/ip/dhcp-server/option"
    )
    assert rules_of(console) != rules_of(furnished())

    console = furnished()
    console.script(filled(preparing(replace(API, parts=(Part.ACCESS, Part.DHCP)))))
    assert rules_of(console) == rules_of(furnished())
    assert console.account("edged") is not None


def test_a_portal_of_one_family_steers_that_family_alone() -> None:
    console = furnished()
    one = replace(
        RULES, portal6=None, portals=(ip_address("203.0.113.10"),), portal4=Portal(ip_address("203.0.113.10"))
    )

    prepared(replace(API, rules=one), console)

    assert console.items("/ipv6/firewall/nat") == []
    assert "edged: from blocked" in comments(console, "/ipv6/firewall/filter", "forward")


def test_a_router_that_was_told_over_radius_may_come_under_the_api_and_back() -> None:
    console = furnished()
    for wanted in (COA, API, LEAVE, COA):
        prepared(wanted, console)

        assert state(console) == state(made(wanted))
