"""The table of connectivity checks and the oracle that judges answers to them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from edged.captive.answers import Close, Response
from edged.captive.probes import PROBES, Probe, Source, find_probe, is_probe
from edged.captive.respond import respond
from edged.model import Access
from edged.policy.probes import PROBE_HOSTS
from tests.captive_oracle import (
    API_OCTETS,
    CLIENTS,
    Answer,
    Verdict,
    android_network,
    api_client,
    chrome_patience,
    faults,
    firefox_detects,
    windows_wired,
)
from tests.captive_scene import NOW, PORTAL, decision, get

DNS_ONLY = {"dns.msftncsi.com"}
PORTAL_ADDRESS = (ip_address("203.0.113.10"), ip_address("2001:db8::10"))
TO_PAGE = Answer(302, {"location": "https://portal.example.net/"}, b"<p>Open the page</p>")
CAPTIVE, ONLINE, UNDECIDED = Verdict.CAPTIVE, Verdict.ONLINE, Verdict.UNDECIDED


def answered(probe: Probe, access: Access, method: str = "GET") -> Answer | None:
    request = get(probe.host, probe.path, accept="*/*", method=method)
    found = respond(request, PORTAL, decision(access), NOW, lambda _: decision(Access.OPEN))
    if isinstance(found, Close):
        return None
    assert isinstance(found, Response)
    assert isinstance(found.body, bytes)
    return Answer(found.status, {name.lower(): value for name, value in found.headers}, found.body)


def judged(probe: Probe, answer: Answer | None) -> Verdict:
    return CLIENTS[probe.client].rule(probe, answer)


def name(probe: Probe) -> str:
    return f"{probe.client}-{probe.host}{probe.path}"


def row(host: str) -> Probe:
    return next(probe for probe in PROBES if probe.host == host)


def success(probe: Probe) -> Answer:
    return Answer(probe.success.status, {k.lower(): v for k, v in probe.success.headers}, probe.success.body)


def test_the_table_and_the_list_of_the_sinkhole_name_the_same_hosts() -> None:
    assert {probe.host for probe in PROBES} == set(PROBE_HOSTS) - DNS_ONLY


def test_every_client_of_the_table_has_a_rule_and_every_row_a_source() -> None:
    assert {probe.client for probe in PROBES} == set(CLIENTS)
    assert {probe.source for probe in PROBES} == set(Source)


@pytest.mark.parametrize("probe", PROBES, ids=name)
def test_every_client_finds_the_portal_while_blocked(probe: Probe) -> None:
    for method in ("GET", "HEAD"):
        answer = answered(probe, Access.BLOCKED, method)

        assert judged(probe, answer) is CAPTIVE
        assert faults(answer, blocked=True) == []


@pytest.mark.parametrize("access", [Access.OPEN, Access.DRAIN, Access.PASS, Access.NOTICE, Access.EXEMPT])
def test_no_client_finds_a_portal_on_an_open_line(access: Access) -> None:
    assert not [name(probe) for probe in PROBES if judged(probe, answered(probe, access)) is CAPTIVE]


@pytest.mark.parametrize("probe", PROBES, ids=name)
def test_the_answer_that_each_row_calls_success_is_success_to_its_client(probe: Probe) -> None:
    assert judged(probe, success(probe)) is ONLINE
    assert bool(probe.success.body) == bool(probe.success.content_type)


def test_one_check_has_one_success_whoever_asks() -> None:
    assert {(p.host, p.path): p.success for p in PROBES} == {(p.host, p.path): p.success for p in reversed(PROBES)}


def test_a_query_does_not_hide_a_probe() -> None:
    assert is_probe("detectportal.firefox.com", "/success.txt?ipv4")
    assert not is_probe("www.google.com", "/search?q=/generate_204")


def test_a_check_of_two_clients_is_found_as_the_first_of_its_rows() -> None:
    found = find_probe("connectivitycheck.gstatic.com", "/generate_204?x")

    assert found is not None
    assert found.client == "android"
    assert found.success.status == 204


@pytest.mark.parametrize("probe", [p for p in PROBES if p.client == "apple"], ids=name)
def test_apples_pages_are_as_long_as_its_servers_make_them(probe: Probe) -> None:
    assert len(probe.success.body) == (68 if probe.host == "www.apple.com" else 69)


# --- the oracle: each line is one fact of the clients' rules -------------------------------------------


@pytest.mark.parametrize(
    ("host", "status", "body", "expected"),
    [
        ("captive.apple.com", 511, b"<p>portal</p>", CAPTIVE),
        ("captive.apple.com", 200, b"<html><title>Success</title><body>Success, or not</body></html>", CAPTIVE),
        ("connectivitycheck.gstatic.cn", 200, b"1234", UNDECIDED),
        ("connectivitycheck.gstatic.cn", 200, b"12345", CAPTIVE),
        ("connectivitycheck.gstatic.cn", 302, b"<p>no Location</p>", UNDECIDED),
        ("connectivitycheck.gstatic.cn", 511, b"<p>portal</p>", UNDECIDED),
        ("www.gstatic.com", 200, b"1", ONLINE),
        ("www.gstatic.com", 200, b"12", CAPTIVE),
        ("www.gstatic.com", 511, b"<p>portal</p>", CAPTIVE),
        ("www.gstatic.com", 403, b"<p>portal</p>", UNDECIDED),
        ("www.gstatic.com", 503, b"", UNDECIDED),
        ("www.msftconnecttest.com", 200, b"Microsoft Connect Test ", CAPTIVE),
        ("www.msftconnecttest.com", 503, b"", CAPTIVE),
        ("detectportal.firefox.com", 200, b"<p>portal</p>", CAPTIVE),
        ("detectportal.firefox.com", 403, b"<p>portal</p>", UNDECIDED),
        ("network-test.debian.org", 503, b"", CAPTIVE),
        ("network-test.debian.org", 200, b"NetworkManager is online, and more", CAPTIVE),
        ("nmcheck.gnome.org", 200, b"NetworkManager is online, and more", ONLINE),
        ("connectivity-check.ubuntu.com", 204, b"", CAPTIVE),
        ("spectrum.s3.amazonaws.com", 200, b"<p>portal</p>", CAPTIVE),
        ("ctest.cdn.nintendo.net", 200, b"ok", CAPTIVE),
        ("captive.roku.com", 200, b"ok\n", ONLINE),
    ],
)
def test_the_rules_of_the_clients(host: str, status: int, body: bytes, expected: Verdict) -> None:
    assert judged(row(host), Answer(status, {}, body)) is expected


@pytest.mark.parametrize(
    ("http", "https", "addresses", "expected"),
    [
        (TO_PAGE, None, PORTAL_ADDRESS, CAPTIVE),
        (TO_PAGE, Answer(204, {}, b""), PORTAL_ADDRESS, ONLINE),
        (TO_PAGE, None, (ip_address("192.168.1.1"),), UNDECIDED),
        (TO_PAGE, None, (ip_address("fd00::1"),), UNDECIDED),
        (TO_PAGE, None, (ip_address("100.64.0.1"),), CAPTIVE),
        (None, Answer(204, {}, b""), PORTAL_ADDRESS, ONLINE),
        (Answer(204, {}, b""), None, PORTAL_ADDRESS, UNDECIDED),
    ],
    ids=["portal", "garden over https", "RFC 1918", "ULA", "shared", "https alone", "http alone"],
)
def test_android_takes_both_probes_and_the_address_together(
    http: Answer | None, https: Answer | None, addresses: tuple[object, ...], expected: Verdict
) -> None:
    assert android_network(row("connectivitycheck.gstatic.com"), http, https, addresses) is expected  # type: ignore[arg-type]


def test_chromium_waits_as_long_as_a_503_says() -> None:
    assert chrome_patience(Answer(503, {"retry-after": "60"}, b"")) == 60
    assert chrome_patience(TO_PAGE) == 0


def test_an_old_wired_windows_believes_the_name_before_the_page() -> None:
    probe = row("www.msftncsi.com")

    assert windows_wired(["131.107.255.255"], probe, TO_PAGE) is ONLINE
    assert windows_wired(["203.0.113.10"], probe, TO_PAGE) is CAPTIVE
    assert windows_wired([], probe, TO_PAGE) is CAPTIVE


def test_firefox_asks_six_times_until_an_answer_decides() -> None:
    probe = row("detectportal.firefox.com")

    assert firefox_detects(probe, [None] * 5 + [TO_PAGE]) is CAPTIVE
    assert firefox_detects(probe, [None] * 6 + [TO_PAGE]) is UNDECIDED


@pytest.mark.parametrize(
    ("url", "status", "kind", "body", "expected"),
    [
        ("https://p.example/", 200, "application/captive+json", b'{"captive": false}', ONLINE),
        ("https://p.example/", 200, "application/captive+json", b'{"captive": true}', UNDECIDED),
        (
            "https://p.example/",
            200,
            "application/captive+json; charset=utf-8",
            b'{"captive": true, "user-portal-url": "https://p.example/"}',
            CAPTIVE,
        ),
        ("http://p.example/", 200, "application/captive+json", b'{"captive": false}', UNDECIDED),
        ("https://p.example/", 302, "application/captive+json", b'{"captive": false}', UNDECIDED),
        ("https://p.example/", 200, "application/captive+json; charset=latin-1", b'{"captive": false}', UNDECIDED),
        ("https://p.example/", 200, "application/json", b'{"captive": false}', UNDECIDED),
        ("https://p.example/", 200, "application/captive+json", b'{"captive": "false"}', UNDECIDED),
        ("https://p.example/", 200, "application/captive+json", b'\xff{"captive": false}', UNDECIDED),
        (
            "https://p.example/",
            200,
            "application/captive+json",
            b'{"captive": false, "x": "' + b"x" * API_OCTETS + b'"}',
            UNDECIDED,
        ),
    ],
    ids=["open", "no page", "portal", "http", "redirect", "charset", "type", "word", "octets", "long"],
)
def test_what_a_client_of_the_api_takes(url: str, status: int, kind: str, body: bytes, expected: Verdict) -> None:
    assert api_client(url, Answer(status, {"content-type": kind}, body)) is expected


@pytest.mark.parametrize("status", [301, 403, 404, 429, 500, 503])
def test_some_statuses_are_faults_whoever_asks(status: int) -> None:
    kept = {"cache-control": "no-store", "connection": "close"}

    assert faults(Answer(status, kept, b""), blocked=False) == [f"status {status}"]


def test_success_and_its_marks_are_faults_while_blocked() -> None:
    kept = {"cache-control": "no-store", "connection": "close", "x-organization": "Nintendo"}

    assert faults(Answer(204, kept, b""), blocked=True) == ["x-organization while blocked", "success while blocked"]
    assert faults(None, blocked=True) == ["no answer while blocked"]
    assert "set-cookie on a foreign name" in faults(Answer(302, {**kept, "set-cookie": "a=b"}, b""), blocked=True)
