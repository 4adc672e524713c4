from __future__ import annotations

from typing import Any

import dns.message
import pytest

from edged.dns import message, names
from edged.dns.codes import Rcode
from edged.dns.special import NAMES
from edged.dns.verdict import Kind, decide
from edged.dns.zone import compile_zone
from edged.model import Access
from edged.policy.settings import GardenSettings
from tests.dns_lab import CLIENT, NOW, PORTAL_ADDRESSES, PORTAL_HOST, SETTINGS, lab_sinkhole, lab_zone
from tests.dns_rows import judge, rows

TABLE = rows("dns_special")


@pytest.mark.parametrize("edns", [None, 0])
@pytest.mark.parametrize("row", TABLE, ids=lambda r: r["name"])
def test_a_special_name_gets_the_answer_of_its_row(row: dict[str, Any], edns: int | None) -> None:
    for rtype in filter(str.isupper, row):
        query = dns.message.make_query(row["name"], rtype, use_edns=edns)
        sinkhole = lab_sinkhole()

        judge(query, sinkhole.answer(query.to_wire(), CLIENT, NOW), row[rtype])

        # the types of a delegation pass the rule of single labels
        kind = "nodata" if rtype in {"NS", "DS"} and "." not in row["name"] else row.get("kind", "special")
        assert sinkhole.counters.answers[kind] == 1, rtype


def test_every_row_of_the_table_has_a_source_and_the_four_types_that_clients_ask() -> None:
    assert all(row["source"] and {"A", "AAAA", "HTTPS", "ANY"} <= row.keys() for row in TABLE)
    assert len({row["name"] for row in TABLE}) == len(TABLE)


def test_every_special_name_of_the_code_is_covered_by_a_row_of_the_table() -> None:
    """Or is one of many of its sort: a reverse zone."""
    listed = [names.lower(names.to_wire(row["name"])) for row in TABLE]

    bare = [row for row in NAMES if not any(name in names.SuffixSet([row.name]) for name in listed)]
    assert not [row.name for row in bare if not row.base.endswith(".arpa")]


@pytest.mark.parametrize("qtype", [1, 28, 65, 255])
def test_no_special_name_gets_the_portal(qtype: int) -> None:
    zone = lab_zone()
    below = [(row, f"x.y.{row.base}") for row in NAMES if row.name.startswith(".")]
    for row, name in (*((row, row.base) for row in NAMES), *below):
        verdict = decide(Access.BLOCKED, message.ask(name, qtype), zone)

        assert verdict.kind is Kind.SPECIAL, name
        assert verdict.why == row.why, name
        assert not set(verdict.addresses) & set(zone.sinkhole.by_type[1][1] + zone.sinkhole.by_type[28][1])
        assert verdict.body is not None
        exists = row.own_zone and name == row.base
        assert verdict.body.rcode == (Rcode.NOERROR if exists else row.rcode)


def test_no_name_is_denied_while_another_exists_below_it() -> None:
    zone, own = lab_zone(), [row for row in NAMES if row.own_zone]
    assert own
    for row in own:
        name = names.to_wire(row.base)
        while name != names.ROOT:
            verdict = decide(Access.BLOCKED, message.ask(names.to_text(name)), zone)

            assert verdict.body is not None
            assert verdict.body.rcode == Rcode.NOERROR, names.to_text(name)
            name = names.parent(name)


def test_a_top_level_domain_of_a_garden_name_is_not_denied() -> None:
    garden = GardenSettings.model_validate(
        {"names": ["*.bank.coop", ".pay.Museum."], "records": {"a.zoo": ["198.51.100.1"]}}
    )
    zone = compile_zone(SETTINGS, garden, PORTAL_HOST, PORTAL_ADDRESSES)

    def rcode(name: str) -> Rcode:
        body = decide(Access.BLOCKED, message.ask(name), zone).body
        assert body is not None
        return body.rcode

    assert {rcode(top) for top in ("coop", "MUSEUM", "zoo", "net", "arpa")} == {Rcode.NOERROR}
    assert rcode("cooperative") == Rcode.NXDOMAIN


def test_every_row_says_why_and_stands_once() -> None:
    assert all(row.why for row in NAMES)
    assert len({row.base for row in NAMES}) == len(NAMES)
    assert {row.rcode for row in NAMES} == {Rcode.NOERROR, Rcode.NXDOMAIN}


def test_only_names_that_mean_this_resolver_are_kept_from_paying_subscribers() -> None:
    assert [row.name for row in NAMES if row.everyone] == [".resolver.arpa"]
