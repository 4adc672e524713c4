from __future__ import annotations

from itertools import product
from typing import Any

import dns.flags
import dns.message
import pytest

from edged.dns import message, names
from edged.dns.codes import Type
from edged.dns.sinkhole import Pending
from edged.dns.verdict import RULES, Kind, decide
from edged.dns.zone import compile_zone
from edged.model import Access
from edged.policy.presets import PRESETS
from edged.policy.probes import PROBE_HOSTS
from edged.policy.settings import GardenSettings
from tests.dns_lab import CLIENT, GARDEN, NOW, PORTAL_ADDRESSES, PORTAL_HOST, SETTINGS, lab_sinkhole, lab_zone
from tests.dns_rows import judge, rows

ROWS = rows("dns_verdicts")
ACCESS = rows("dns_access")
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "EDNS": {"use_edns": 0},
    "EDNS with DO over TCP": {"use_edns": 0, "want_dnssec": True},
}


def answered(access: Access, query: dns.message.Message, form: str, cell: str) -> str:
    """Ask, judge, and say which counter went up."""
    sinkhole = lab_sinkhole(access)
    got = sinkhole.answer(query.to_wire(), CLIENT, NOW, stream=form.endswith("TCP"))
    if cell in {"garden", "forward"}:
        assert isinstance(got, Pending)
        assert got.verdict.kind == cell
    else:
        judge(query, got, cell)
    (kind,) = (kind for kind, count in sinkhole.counters.answers.items() if count)
    return kind


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["ask"])
def test_a_question_gets_the_answer_of_its_row(row: dict[str, Any]) -> None:
    name, rtype = row["ask"].split()
    for form, options in FORMS.items():
        query = dns.message.make_query(name, rtype, **options)

        assert answered(Access.BLOCKED, query, form, row["reply"]) == row["kind"], form


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("form", FORMS)
def test_who_asks_decides_first(access: Access, form: str) -> None:
    for row in ACCESS:
        name, rtype = row["ask"].split()
        query = dns.message.make_query(name, rtype, row.get("class", "IN"), **FORMS[form])
        query.flags = dns.flags.from_text(row.get("flags", "RD"))

        answered(access, query, form, row.get(access.value, row["others"]))


def test_every_row_says_where_its_answer_is_written() -> None:
    assert all(row["source"] for row in (*ROWS, *ACCESS))
    assert len({row["ask"] for row in ROWS}) == len(ROWS)


def test_no_probe_host_is_ever_resolved_for_a_blocked_subscriber() -> None:
    everything = GardenSettings.model_validate(
        {"names": [f".{h.split('.', 1)[1]}" for h in PROBE_HOSTS if h.count(".") > 1]}
    )
    zone = compile_zone(SETTINGS, everything, PORTAL_HOST, PORTAL_ADDRESSES)

    for host, qtype in product(PROBE_HOSTS, (1, 28, 65, 255)):
        assert decide(Access.BLOCKED, message.ask(host, qtype), zone).kind is Kind.PROBE, (host, qtype)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_preset_holds_a_probe_host(preset: str) -> None:
    garden = names.SuffixSet(PRESETS[preset])

    assert not [h for h in PROBE_HOSTS if names.to_wire(h) in garden]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (PORTAL_HOST, Kind.PORTAL),
        ("mask.icloud.com", Kind.SPECIAL),
        ("wpad.corp.example", Kind.SPECIAL),
        ("captive.apple.com", Kind.PROBE),
        ("pay.example.org", Kind.STATIC),
    ],
)
def test_what_the_operator_lists_changes_no_name_that_comes_before(name: str, kind: Kind) -> None:
    everything = GardenSettings.model_validate({"names": [name], "records": {name: ["198.51.100.7"]}})
    zone = compile_zone(SETTINGS, everything, PORTAL_HOST, PORTAL_ADDRESSES)

    assert decide(Access.BLOCKED, message.ask(name), zone).kind is kind


@pytest.mark.parametrize("qtype", [Type.CNAME, Type.DNAME, Type.SVCB, Type.HTTPS, Type.ANY])
def test_what_leads_past_the_garden_sets_is_not_asked_of_an_upstream(qtype: Type) -> None:
    assert decide(Access.BLOCKED, message.ask("pay.example.net", qtype), lab_zone()).kind is Kind.NODATA


@pytest.mark.parametrize("qtype", [Type.NS, Type.SOA, Type.DS, Type.DNSKEY])
def test_a_top_level_domain_is_not_denied_to_who_follows_delegations(qtype: Type) -> None:
    assert decide(Access.BLOCKED, message.ask("com", qtype), lab_zone()).kind is Kind.NODATA


@pytest.mark.parametrize("access", [Access.OPEN, Access.BLOCKED])
def test_the_portals_own_name_is_refused_in_another_class(access: Access) -> None:
    chaos = message.ask(PORTAL_HOST)._replace(qclass=3)

    assert decide(access, chaos, lab_zone()).kind is Kind.REFUSED


def test_a_life_of_less_than_a_second_is_one_second() -> None:
    settings = SETTINGS.model_copy(update={"ttl": 0.5})

    assert compile_zone(settings, GARDEN, PORTAL_HOST, PORTAL_ADDRESSES).ttl == 1


def test_a_host_below_localhost_is_this_host_whatever_its_first_label() -> None:
    verdict = decide(Access.BLOCKED, message.ask("wpad.localhost"), lab_zone())

    assert [str(address) for address in verdict.addresses] == ["127.0.0.1"]


def test_a_portal_without_ipv6_makes_every_aaaa_nodata() -> None:
    zone = compile_zone(SETTINGS, GARDEN, PORTAL_HOST, PORTAL_ADDRESSES[:1])

    verdict = decide(Access.BLOCKED, message.ask("www.example.com", 28), zone)

    assert verdict.kind is Kind.NODATA
    assert verdict.body is not None
    assert verdict.body.rcode == 0
    assert verdict.body.nscount == 1


def test_without_a_page_nothing_is_mistaken_for_its_name() -> None:
    zone = compile_zone(SETTINGS, GARDEN, "", ())

    assert decide(Access.BLOCKED, message.ask("."), zone).kind is Kind.NODATA
    assert decide(Access.OPEN, message.ask("a.example"), zone).kind is Kind.FORWARD


def test_every_rule_says_why_it_stands_where_it_stands() -> None:
    assert all(rule.__doc__ for rule in RULES)


@pytest.mark.parametrize("access", Access)
def test_some_rule_always_decides(access: Access) -> None:
    zone = lab_zone()
    for name in (".", "com", "a.example", "localhost", "captive.apple.com", "pay.example.net"):
        for qtype in range(256):
            assert decide(access, message.ask(name, qtype), zone).why
