from __future__ import annotations

from typing import Any

import dns.message
import pytest

from edged.dns import message, names
from edged.dns.codes import Rcode
from edged.dns.special import NAMES, Special
from edged.dns.verdict import Kind, decide
from edged.dns.zone import compile_zone
from edged.model import Access
from edged.policy.settings import GardenSettings
from tests.dns_lab import CLIENT, NOW, PORTAL_ADDRESSES, PORTAL_HOST, SETTINGS, lab_sinkhole, lab_zone
from tests.dns_rows import judge, rows

TABLE = rows("dns_special")
CELLS = [(row, rtype) for row in TABLE for rtype in row if rtype.isupper()]


@pytest.mark.parametrize("edns", [None, 0])
@pytest.mark.parametrize(("row", "rtype"), CELLS, ids=lambda v: v if isinstance(v, str) else v["name"])
def test_a_special_name_gets_the_answer_of_its_row(row: dict[str, Any], rtype: str, edns: int | None) -> None:
    query = dns.message.make_query(row["name"], rtype, use_edns=edns)
    sinkhole = lab_sinkhole()

    judge(query, sinkhole.answer(query.to_wire(), CLIENT, NOW), row[rtype])

    # the types of a delegation pass the rule of single labels
    kind = "nodata" if rtype in {"NS", "DS"} and "." not in row["name"] else row.get("kind", "special")
    assert sinkhole.counters.answers[kind] == 1


def test_every_row_of_the_table_has_a_source_and_the_four_types_that_clients_ask() -> None:
    assert all(row["source"] and {"A", "AAAA", "HTTPS", "ANY"} <= row.keys() for row in TABLE)
    assert len({row["name"] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", NAMES, ids=lambda r: r.name)
def test_every_special_name_of_the_code_is_covered_by_a_row_of_the_table(row: Special) -> None:
    """Or is one of many of its sort: a reverse zone."""
    cover = names.SuffixSet([row.name])

    assert row.base.endswith(".arpa") or any(names.lower(names.to_wire(r["name"])) in cover for r in TABLE)


@pytest.mark.parametrize("row", NAMES, ids=lambda r: r.name)
@pytest.mark.parametrize("qtype", [1, 28, 65, 255])
def test_no_special_name_gets_the_portal(row: Special, qtype: int) -> None:
    zone = lab_zone()
    for name in (row.base, f"x.y.{row.base}") if row.name.startswith(".") else (row.base,):
        verdict = decide(Access.BLOCKED, message.ask(name, qtype), zone)

        assert verdict.kind is Kind.SPECIAL
        assert verdict.why == row.why
        assert not set(verdict.addresses) & set(zone.sinkhole.by_type[1][1] + zone.sinkhole.by_type[28][1])
        assert verdict.body is not None
        exists = row.own_zone and name == row.base
        assert verdict.body.rcode == (Rcode.NOERROR if exists else row.rcode)


@pytest.mark.parametrize("row", [r for r in NAMES if r.own_zone], ids=lambda r: r.name)
def test_no_name_is_denied_while_another_exists_below_it(row: Special) -> None:
    zone = lab_zone()
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
