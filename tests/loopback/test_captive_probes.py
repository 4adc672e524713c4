"""Every row of the table, asked over real sockets as its client asks, in every state of a line, judged by its rule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import dns.message
import pytest

from edged.captive.probes import PROBES, Probe
from edged.model import Access
from edged.policy.access import View
from edged.policy.probes import PROBE_HOSTS
from edged.values import parse_address
from tests.captive_oracle import (
    CLIENTS,
    NCSI_NAME,
    PAGE,
    SAFARI,
    Answer,
    Verdict,
    android_network,
    api_client,
    faults,
    firefox_detects,
    windows_wired,
)
from tests.dns_lab import PORTAL_ADDRESSES, view_of
from tests.loopback.test_captive import House, dial, running, said
from tests.loopback.test_dns import Lab
from tests.loopback.test_dns import running as sinkhole

WHO = "127.0.0.0/8"
OPEN = [Access.OPEN, Access.EXEMPT, Access.PASS, Access.NOTICE, Access.DRAIN]
API = "https://portal.example.net/.well-known/captive-portal"


def line(access: Access) -> View:
    return view_of(access, WHO, until=time.time() + 600)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as found:
        found.current.publish(line(Access.BLOCKED))
        yield found


async def ask(house: House, probe: Probe, method: str = "GET", **more: str) -> Answer | None:
    """The answer to a probe with its client's own words, ``more`` in their place."""
    headers = {"Host": probe.host, **CLIENTS[probe.client].headers, **more}
    lines = [f"{method} {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    octets = await said(house.http, "\r\n".join(lines).encode())
    if not octets:
        return None
    head, _, body = octets.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    named = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    if method == "GET" and named.get("content-length", "0") != str(len(body)):
        raise AssertionError(f"{len(body)} octets, announced {named.get('content-length')}")
    return Answer(int(status.split()[1]), named, body)


def row(host: str) -> Probe:
    return next(probe for probe in PROBES if probe.host == host)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_client_finds_the_portal_while_blocked(house: House, method: str) -> None:
    for probe in PROBES:
        answer = await ask(house, probe, method)

        assert CLIENTS[probe.client].rule(probe, answer) is Verdict.CAPTIVE, probe
        assert faults(answer, blocked=True) == [], probe
        assert answer is not None
        assert (answer.status, answer.headers["location"]) == (302, "https://portal.example.net/"), probe
        assert b"portal.example.net" in answer.body or method == "HEAD"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("access", OPEN)
async def test_an_open_line_gets_no_answer_or_the_vendors_own_success(
    house: House, access: Access, method: str
) -> None:
    house.current.publish(line(access))
    for probe in PROBES:
        answer = await ask(house, probe, method)

        assert faults(answer, blocked=False) == [], probe
        if answer is not None:
            body = b"" if method == "HEAD" else probe.success.body
            assert (answer.status, answer.body) == (probe.success.status, body), probe
            assert answer.headers.get("content-type", "") == probe.success.content_type, probe
            assert {(k.lower(), v) for k, v in probe.success.headers} <= set(answer.headers.items()), probe


async def test_a_stranger_gets_no_answer_to_any_check(house: House) -> None:
    house.current.publish(line(Access.STRANGER))

    assert [probe for probe in PROBES if await ask(house, probe) is not None] == []


@pytest.mark.parametrize(
    "accept",
    ["*/*", PAGE, "image/avif,image/webp,*/*;q=0.5", "application/json", "text/plain", "application/captive+json"],
)
async def test_no_accept_field_hides_a_check(house: House, accept: str) -> None:
    for probe in PROBES:
        more = {"Accept": accept, "X-Requested-With": "XMLHttpRequest"}

        assert faults(answer := await ask(house, probe, **more), blocked=True) == [], probe
        assert CLIENTS[probe.client].rule(probe, answer) is Verdict.CAPTIVE, probe


@pytest.mark.parametrize("target", ["/generate_204", "/gen_204", "/hotspot-detect.html", "/check.txt", "/", "/ok?id=1"])
async def test_a_check_that_nobody_has_listed_is_led_to_the_page(house: House, target: str) -> None:
    unknown = Probe("steam", "connectivity.television.example", target, PROBES[0].success, "", PROBES[0].source)
    answer = await ask(house, unknown, Accept="*/*")

    assert faults(answer, blocked=True) == []
    assert answer is not None
    assert answer.status == 302
    assert len(answer.body) > 4


async def test_windows_opens_its_own_address_in_the_browser_and_comes_to_the_page(house: House) -> None:
    page = Probe("steam", "www.msftconnecttest.com", "/redirect", PROBES[0].success, "", PROBES[0].source)
    answer = await ask(house, page, Accept=PAGE)

    assert answer is not None
    assert (answer.status, answer.headers["location"]) == (302, "https://portal.example.net/")


async def test_apples_sheet_asks_again_as_safari_and_gets_a_page(house: House) -> None:
    probe = row("captive.apple.com")
    answer = await ask(house, probe, **{"User-Agent": SAFARI, "Accept": PAGE, "Accept-Language": "de"})
    assert answer is not None
    assert CLIENTS["apple"].rule(probe, answer) is Verdict.CAPTIVE

    page = await house.curl(answer.headers["location"], "-A", SAFARI, "-H", f"Accept: {PAGE}")
    assert page is not None
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert b"<h1" in page.body


async def test_firefox_gets_the_same_answer_however_often_it_asks(house: House) -> None:
    probe = row("detectportal.firefox.com")
    answers = [await ask(house, probe) for _ in range(6)]

    assert firefox_detects(probe, answers) is Verdict.CAPTIVE
    assert len({(a.status, a.body) for a in answers if a is not None}) == 1
    assert None not in answers


async def test_a_household_that_asks_all_at_once_gets_answers_of_one_kind(house: House) -> None:
    """A device that is turned away under load may be closed on; it never learns that it is online."""
    answers = await asyncio.gather(*(ask(house, probe) for probe in PROBES * 8))

    assert {answer.status for answer in answers if answer is not None} == {302}
    assert sum(answer is not None for answer in answers) >= len(PROBES)


# --- with the sinkhole's answers -----------------------------------------------------------------------


def addresses(lab: Lab, reply: dns.message.Message) -> list[str]:
    assert all(rrset.ttl <= 5 for rrset in reply.answer)
    return lab.addresses(reply)


async def test_android_sees_a_portal_with_both_probes_and_our_addresses(house: House) -> None:
    probe, by_https = row("connectivitycheck.gstatic.com"), row("www.google.com")
    async with sinkhole(Access.BLOCKED) as lab:
        found = [
            parse_address(text)
            for host in (probe.host, by_https.host)
            for kind in ("A", "AAAA")
            for text in addresses(lab, await lab.ask(host, kind))
        ]

    assert set(found) == set(PORTAL_ADDRESSES)
    # the garden of this sinkhole holds .google.com: the probe's host is led to us in spite of it
    assert await asyncio.to_thread(dial, house, by_https.host) == "TLSV1_ALERT_INTERNAL_ERROR"
    assert android_network(probe, await ask(house, probe), None, found) is Verdict.CAPTIVE


async def test_an_old_wired_windows_sees_a_portal_when_blocked_and_the_internet_when_not(house: House) -> None:
    probe = row("www.msftncsi.com")
    async with sinkhole(Access.BLOCKED, f"{NCSI_NAME}. 60 A 131.107.255.255") as lab:
        for kind in ("A", "AAAA"):
            found = addresses(lab, await lab.ask(NCSI_NAME, kind))
            assert windows_wired(found, probe, await ask(house, probe)) is Verdict.CAPTIVE

        lab.current.publish(view_of(Access.OPEN, WHO))
        assert windows_wired(lab.addresses(await lab.ask(NCSI_NAME)), probe, None) is Verdict.ONLINE


async def test_every_host_of_the_table_leads_a_blocked_line_to_the_portal_and_for_seconds_only() -> None:
    async with sinkhole(Access.BLOCKED) as lab:
        for host in PROBE_HOSTS:
            found = {a for kind in ("A", "AAAA") for a in addresses(lab, await lab.ask(host, kind))}
            assert found == set(map(str, PORTAL_ADDRESSES)), host
            assert not (await lab.ask(host, "HTTPS")).answer, host


# --- clients of the API --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "expected"),
    [(Access.BLOCKED, Verdict.CAPTIVE), *((access, Verdict.ONLINE) for access in OPEN)],
)
async def test_clients_of_the_api_are_told_the_state_of_the_line(
    house: House, access: Access, expected: Verdict
) -> None:
    house.current.publish(line(access))

    assert api_client(API, await house.curl(API, "-H", "Accept: application/captive+json")) is expected
