# SPDX-License-Identifier: Apache-2.0
"""What nft printed, read back: elements in every spelling, a digest of the rules, warnings about others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.enforce.nft_json import counters, digest, elements, foreign_warnings, garden, rows
from edged.enforce.sets import SetName
from edged.errors import UpstreamError
from edged.ops.alarms import in_the_way
from edged.values import parse_address, parse_mac, parse_prefix


def listing(*objects: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *objects]})


def listed_set(name: str, *elem: Any) -> dict[str, Any]:
    return {"set": {"family": "inet", "table": "edged", "name": name, "handle": 3, "elem": list(elem)}}


def chain(**fields: Any) -> dict[str, Any]:
    return {"chain": {"family": "inet", "table": "filter", "name": "c", "type": "filter", "prio": 0} | fields}


def rule(**fields: Any) -> dict[str, Any]:
    return {"rule": {"chain": "gate", "handle": 7, "expr": [{"accept": None}]} | fields}


def test_elements_are_read_in_every_spelling() -> None:
    sets = elements(
        rows(
            listing(
                listed_set("blocked4h", "100.64.1.7", {"elem": {"val": "100.64.1.8", "counter": {"packets": 1}}}),
                listed_set("blocked4n", {"prefix": {"addr": "100.64.2.0", "len": 24}}, "100.64.3.1"),
                listed_set("blocked6n", {"range": ["2001:db8::2", "2001:db8::5"]}),
                listed_set("blockedm", "02:00:5e:10:00:01"),
                listed_set("somebody-elses", "x"),
            )
        )
    )
    assert sets[SetName.BLOCKED_HOSTS_4] == {
        int(parse_address("100.64.1.7")),
        int(parse_address("100.64.1.8")),
    }
    assert sets[SetName.BLOCKED_PREFIXES_4] == {parse_prefix("100.64.2.0/24"), parse_prefix("100.64.3.1")}
    assert sets[SetName.BLOCKED_PREFIXES_6] == {
        parse_prefix("2001:db8::2/127"),
        parse_prefix("2001:db8::4/127"),
    }
    assert sets[SetName.BLOCKED_MACS] == {parse_mac("02:00:5e:10:00:01")}
    assert not sets[SetName.EXEMPT_4]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": 7}', '{"nftables": ["x"]}', "nft: no"])
def test_what_is_no_listing_is_the_programs_fault(text: str) -> None:
    with pytest.raises(UpstreamError):
        rows(text)


@pytest.mark.parametrize("element", ["x", {"map": 1}, 7, {"prefix": {"addr": "100.64.0.0"}}, {"range": ["1.2.3.4"]}])
def test_an_element_that_cannot_be_read_is_the_programs_fault(element: Any) -> None:
    with pytest.raises(UpstreamError, match="blocked4n"):
        elements(rows(listing(listed_set("blocked4n", element))))


def test_the_digest_sees_rules_and_their_order_and_neither_elements_nor_handles() -> None:
    accept, drop = rule(), rule(expr=[{"drop": None}])
    base = digest(rows(listing(listed_set("blocked4h"), accept, drop)))
    assert base == digest(rows(listing(listed_set("blocked4h", "100.64.1.7"), rule(handle=99), drop)))
    assert base != digest(rows(listing(listed_set("blocked4h"), drop, accept)))
    assert base != digest(rows(listing(listed_set("blocked4h"), accept)))
    assert base != digest(rows(listing(accept, drop)))


def test_counters_and_the_learned_garden_are_read() -> None:
    listed = rows(
        listing(
            {"counter": {"name": "dns", "packets": 3, "bytes": 9}},
            listed_set("garden6", {"elem": {"val": "2001:db8::20", "timeout": 60, "expires": 31}}),
        )
    )
    assert counters(listed) == {"dns": 3}
    assert garden(listed) == {parse_address("2001:db8::20")}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hook": "prerouting", "type": "nat", "prio": -150, "policy": "accept"}, "translates before edged"),
        ({"hook": "input", "policy": "drop"}, "ct status dnat accept"),
        ({"hook": "forward", "policy": "drop"}, "accept traffic to the garden"),
    ],
)
def test_a_foreign_chain_that_stands_in_our_way_is_a_warning(fields: dict[str, Any], says: str) -> None:
    (warning,) = foreign_warnings(rows(listing(chain(**fields))))
    assert says in warning
    assert warning.startswith("chain inet filter c ")


def test_the_alarm_of_an_input_chain_says_the_command_that_mends_it() -> None:
    (warning,) = foreign_warnings(rows(listing(chain(hook="input", policy="drop"))))

    alarm = in_the_way("nftables", warning)

    assert alarm.sentence == "nftables: chain inet filter c drops by default: blocked lines see no page."
    assert alarm.command.startswith("nft insert rule inet filter c ct status dnat accept; then ")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"hook": "prerouting", "type": "nat", "prio": -100, "policy": "accept"},
        {"hook": "prerouting", "type": "nat", "prio": -150, "table": "edged"},
        {"hook": "input", "policy": "accept"},
        {"hook": "output", "policy": "drop"},
    ],
)
def test_a_foreign_chain_that_does_no_harm_is_none(fields: dict[str, Any]) -> None:
    assert not foreign_warnings(rows(listing(chain(**fields))))


def test_an_input_chain_that_accepts_what_was_steered_is_no_longer_in_the_way() -> None:
    dropping = chain(hook="input", type="filter", policy="drop", prio=0)
    rule = {
        "family": dropping["chain"]["family"], "table": dropping["chain"]["table"], "chain": dropping["chain"]["name"],
        "expr": [{"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}, {"accept": None}],
    }  # fmt: skip

    assert not foreign_warnings(rows(listing(dropping, {"rule": rule})))
