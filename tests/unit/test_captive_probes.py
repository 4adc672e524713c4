"""The connectivity checks of clients, each judged by its own rule."""

from __future__ import annotations

import pytest

from edged.captive.answers import Close, Response
from edged.captive.probes import PROBES, Probe, is_probe
from edged.captive.respond import respond
from edged.model import Access
from edged.policy.probes import PROBE_HOSTS
from tests.captive_oracle import RULES, Answer, Verdict
from tests.captive_scene import NOW, PORTAL, decision, get

DNS_ONLY = {"dns.msftncsi.com"}


def answered(probe: Probe, access: Access) -> Answer | None:
    request = get(probe.host, probe.path, accept="*/*")
    found = respond(request, PORTAL, decision(access), NOW, lambda _: decision(Access.OPEN))
    if isinstance(found, Close):
        return None
    assert isinstance(found, Response)
    assert isinstance(found.body, bytes)
    return Answer(found.status, {name.lower(): value for name, value in found.headers}, found.body)


def name(probe: Probe) -> str:
    return f"{probe.client}-{probe.host}{probe.path}"


def test_the_table_and_the_list_of_the_sinkhole_name_the_same_hosts() -> None:
    assert {probe.host for probe in PROBES} == set(PROBE_HOSTS) - DNS_ONLY


def test_every_client_of_the_table_has_a_rule() -> None:
    assert {probe.client for probe in PROBES} == set(RULES)


@pytest.mark.parametrize("probe", PROBES, ids=name)
def test_every_client_finds_the_portal_while_blocked(probe: Probe) -> None:
    assert RULES[probe.client](probe, answered(probe, Access.BLOCKED)) is Verdict.CAPTIVE


@pytest.mark.parametrize("access", [Access.OPEN, Access.DRAIN, Access.PASS, Access.NOTICE, Access.EXEMPT])
@pytest.mark.parametrize("probe", PROBES, ids=name)
def test_no_client_finds_a_portal_on_an_open_line(probe: Probe, access: Access) -> None:
    assert RULES[probe.client](probe, answered(probe, access)) is not Verdict.CAPTIVE


@pytest.mark.parametrize("probe", [p for p in PROBES if p.path != "/redirect"], ids=name)
def test_the_rules_call_the_true_answer_online(probe: Probe) -> None:
    body = f"<html><body>{probe.body}</body></html>" if probe.client == "apple" else probe.body
    headers = {"x-organization": "Nintendo"} if probe.client == "nintendo" else {}

    assert RULES[probe.client](probe, Answer(probe.status, headers, body.encode())) is Verdict.ONLINE


def test_a_query_does_not_hide_a_probe() -> None:
    assert is_probe("detectportal.firefox.com", "/success.txt?ipv4")
    assert not is_probe("www.google.com", "/search?q=/generate_204")
