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


@pytest.mark.parametrize("probe", PROBES, ids=name)
def test_the_answer_that_each_row_calls_success_is_success_to_its_client(probe: Probe) -> None:
    success = probe.success
    headers = {field.lower(): value for field, value in success.headers}

    assert RULES[probe.client](probe, Answer(success.status, headers, success.body)) is Verdict.ONLINE


def test_one_check_has_one_success_whoever_asks() -> None:
    assert {(p.host, p.path): p.success for p in PROBES} == {(p.host, p.path): p.success for p in reversed(PROBES)}


def test_a_query_does_not_hide_a_probe() -> None:
    assert is_probe("detectportal.firefox.com", "/success.txt?ipv4")
    assert not is_probe("www.google.com", "/search?q=/generate_204")
