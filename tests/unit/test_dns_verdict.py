from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
import yaml

from edged.dns import message, names
from edged.dns.sinkhole import Pending
from edged.dns.verdict import RULES, Kind, decide
from edged.dns.zone import compile_zone
from edged.model import Access
from edged.policy.presets import PRESETS
from edged.policy.probes import PROBE_HOSTS
from edged.policy.settings import GardenSettings
from tests.dns_lab import CLIENT, GARDEN, NOW, PORTAL_ADDRESSES, PORTAL_HOST, SETTINGS, lab_sinkhole, lab_zone

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "vectors" / "dns_verdicts.yaml").read_text("utf-8")
)


def identify(vector: dict[str, Any]) -> str:
    return f"{vector['ask']} {vector.get('access', 'blocked')}"


@pytest.mark.parametrize("vector", VECTORS, ids=identify)
def test_a_question_gets_the_answer_of_its_row(vector: dict[str, Any]) -> None:
    name, rtype = vector["ask"].split()
    sinkhole = lab_sinkhole(Access(vector.get("access", "blocked")))
    query = dns.message.make_query(name, rtype, use_edns=0)

    got = sinkhole.answer(query.to_wire(), CLIENT, NOW)

    assert sinkhole.counters.answers[vector["kind"]] == 1
    if vector.get("forward"):
        assert isinstance(got, Pending)
        assert got.verdict.kind == vector["kind"]
        return
    assert isinstance(got, bytes)
    reply = dns.message.from_wire(got)
    assert dns.rcode.to_text(reply.rcode()) == vector["rcode"]
    records = [f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}" for rrset in reply.answer for rdata in rrset]
    assert records == vector.get("answer", [])
    assert all(rrset.name == query.question[0].name for rrset in reply.answer)
    assert [r.name.to_text() for r in reply.authority] == ([vector["soa"]] if "soa" in vector else [])
    if "soa" in vector:
        assert reply.authority[0].ttl == reply.authority[0][0].minimum
    if "ttl" in vector:
        assert reply.answer[0].ttl == vector["ttl"]
    codes = [o.code for o in reply.options if isinstance(o, dns.edns.EDEOption)]
    if "ede" in vector:
        assert codes == [vector["ede"]]


@pytest.mark.parametrize("vector", VECTORS, ids=identify)
def test_extended_errors_go_only_to_those_who_speak_edns(vector: dict[str, Any]) -> None:
    name, rtype = vector["ask"].split()
    query = dns.message.make_query(name, rtype)

    got = lab_sinkhole(Access(vector.get("access", "blocked"))).answer(query.to_wire(), CLIENT, NOW)

    if isinstance(got, bytes):
        assert dns.message.from_wire(got).edns == -1


@pytest.mark.parametrize("host", PROBE_HOSTS)
@pytest.mark.parametrize("qtype", [1, 28, 65, 255])
def test_no_probe_host_is_ever_resolved_for_a_blocked_subscriber(host: str, qtype: int) -> None:
    everything = GardenSettings.model_validate(
        {"names": [f".{h.split('.', 1)[1]}" for h in PROBE_HOSTS if h.count(".") > 1]}
    )
    zone = compile_zone(SETTINGS, everything, PORTAL_HOST, PORTAL_ADDRESSES)

    assert decide(Access.BLOCKED, message.ask(host, qtype), zone).kind is Kind.PROBE


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_preset_holds_a_probe_host(preset: str) -> None:
    garden = names.SuffixSet(PRESETS[preset])

    assert not [h for h in PROBE_HOSTS if names.to_wire(h) in garden]


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
