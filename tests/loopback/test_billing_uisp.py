"""``source: uisp`` against a stand-in console, built from the vendor's API descriptions; not the real product."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from pydantic import ValidationError

from edged.billing.reading import Reading
from edged.billing.settings import BillingSettings
from edged.billing.sources import open_source
from edged.billing.sources.remembered import Pace
from edged.billing.sources.uisp import UispSource
from edged.billing.sources.uisp_calls import Bounds
from edged.errors import UpstreamError
from edged.model import Account, State, Subscriber
from edged.values import Secret
from edged.yamltext import load_text
from tests.loopback.uisp_server import APP_KEY, NETWORK_TOKEN, Console, UispServer, serve

PATIENT = Pace(age=3600.0, look=5, at_once=4, failures=4, patience=0.5)
EAGER = Pace(age=0.0, look=100, at_once=4, failures=4, patience=0.5)
BOUNDS = Bounds(request=1.0, reading=5.0, page_octets=1_000_000, page=4, whole=100, pages=50, pace=PATIENT)

VECTORS = load_text((Path(__file__).parent.parent / "vectors" / "billing_uisp.yaml").read_text("utf-8"))


def opened(server: UispServer, *, key: str = APP_KEY, token: str = NETWORK_TOKEN, pace: Pace = PATIENT) -> UispSource:
    bounds = Bounds(**{name: getattr(BOUNDS, name) for name in BOUNDS.__slots__} | {"pace": pace})
    return UispSource(server.url, Secret(key), Secret(token), bounds=bounds)


@pytest.fixture
async def server() -> AsyncIterator[UispServer]:
    console = Console(organizations={1: "North Net", 2: "South  Bay"}, reasons={1: "Payments overdue", 2: "Abuse"})
    for number in range(1, 11):
        console.add(number, 100 + number, f"100.64.0.{number}")
    for number in range(11, 41):
        console.add(number, 100 + number, f"100.64.0.{number}", status=1)
    async with serve(UispServer(console)) as running:
        yield running


@pytest.fixture
async def source(server: UispServer) -> AsyncIterator[UispSource]:
    source = opened(server)
    yield source
    await source.close()


@pytest.fixture
async def eager(server: UispServer) -> AsyncIterator[UispSource]:
    source = opened(server, pace=EAGER)
    yield source
    await source.close()


async def read(source: UispSource, previous: Reading | None = None) -> Reading:
    reading = await source.read(previous)
    assert reading is not None
    return reading


def lines(reading: Reading | None) -> dict[str, list[str]]:
    """Blocked subscribers and their addresses."""
    assert reading is not None
    return {s.id: [str(p) for p in s.addresses] for s in reading.snapshot.subscribers if s.state is State.BLOCKED}


def words(reading: Reading) -> set[str]:
    return {s.id for s in reading.snapshot.subscribers if s.state is State.ACTIVE}


TEN = {str(n): [f"100.64.0.{n}"] for n in range(1, 11)}


# --- a whole reading -----------------------------------------------------------------------------------------------


async def test_every_client_with_a_suspended_service_is_blocked_on_the_addresses_of_its_site(
    source: UispSource,
) -> None:
    reading = await read(source)

    assert lines(reading) == TEN
    assert reading.snapshot.known == 40
    assert reading.snapshot.keys is None
    first = reading.snapshot.subscribers[0]
    assert first == Subscriber(
        "1", State.BLOCKED, "unpaid", addresses=first.addresses, brand="north-net",
        account=Account(name="Ana N. 1", amount_due="49.90", currency="EUR"),
    )  # fmt: skip


async def test_each_api_is_asked_with_its_own_key_which_stands_in_no_address(
    server: UispServer, source: UispSource
) -> None:
    await read(source)

    assert not [asked for asked in server.requests if APP_KEY in asked or NETWORK_TOKEN in asked]
    assert any(asked.startswith("/nms/api/v2.1/devices/ips?siteId=") for asked in server.requests)


@pytest.mark.parametrize(
    ("key", "token", "sentence"),
    [
        ("wrong", NETWORK_TOKEN, "the CRM app key (billing.key) is not accepted"),
        (APP_KEY, "wrong", "the Network token (billing.secret) is not accepted"),
    ],
)
async def test_a_key_that_is_not_accepted_is_named(server: UispServer, key: str, token: str, sentence: str) -> None:
    source = opened(server, key=key, token=token)

    with pytest.raises(UpstreamError) as caught:
        await source.read(None)

    assert sentence in str(caught.value)
    assert len([asked for asked in server.requests if asked.startswith("/nms")]) <= PATIENT.at_once
    await source.close()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (("key",), "secret: (the Network's API token) beside source: uisp"),
        (("secret",), "key: (the CRM's app key) beside source: uisp"),
        ((), "key: (the CRM's app key) and secret: (the Network's API token) beside source: uisp"),
    ],
)
def test_both_keys_are_wanted_and_it_is_said_which_is_which(given: tuple[str, ...], missing: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BillingSettings.model_validate(
            {"source": "uisp", "url": "https://uisp.example.net"} | dict.fromkeys(given, "canary")
        )

    assert caught.value.errors()[0]["msg"].startswith(missing)
    assert "canary" not in str(caught.value)


def test_the_settings_open_the_source() -> None:
    settings = BillingSettings.model_validate(
        {"source": "uisp", "url": "https://uisp.example.net", "key": "a", "secret": "b"}
    )

    assert open_source(settings).name == "uisp.example.net"


@pytest.mark.parametrize(
    "fault", [set(), {"capped"}, {"strings"}, {"ignores-filter"}, {"shifting"}, {"no-names"}, {"no-clients"}]
)
async def test_what_a_console_may_do_differently_changes_nobody(
    server: UispServer, source: UispSource, fault: set[str]
) -> None:
    server.faults = fault

    assert lines(await read(source)) == TEN


async def test_pages_that_come_in_no_order_are_read_as_one(server: UispServer, source: UispSource) -> None:
    server.faults = {"unordered"}

    assert lines(await read(source)) == TEN
    assert any("limit=100" in asked for asked in server.requests)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("ignores-offset", "changed during each attempt"),
        ("twice", "changed during each attempt"),
        ("html", "a web page came, not the API"),
        ("object", "expected a list, found an object"),
        ("truncated", "not JSON"),
        ("slow", "no answer within"),
        ("huge", "larger than"),
        ("crm-500", "answered 500"),
        ("network-500", "answered 500"),
        ("network-slow", "no answer within"),
        ("redirect", "redirects are not followed"),
    ],
)
async def test_a_faulty_console_refuses_the_reading(
    server: UispServer, source: UispSource, fault: str, sentence: str
) -> None:
    server.faults = {fault}

    with pytest.raises(UpstreamError) as caught:
        await source.read(None)

    assert sentence in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert APP_KEY not in str(caught.value)
    assert NETWORK_TOKEN not in str(caught.value)
    server.faults = set()
    assert lines(await read(source)) == TEN


async def test_an_address_that_is_not_the_consoles_alone_is_asked_about(server: UispServer) -> None:
    source = UispSource(f"{server.url}/crm", Secret(APP_KEY), Secret(NETWORK_TOKEN), bounds=BOUNDS)

    with pytest.raises(UpstreamError) as caught:
        await source.read(None)

    assert str(caught.value) == (
        "127.0.0.1 answered 404 (is billing.url the console's address, with nothing behind it?)"
    )
    await source.close()


async def test_no_suspended_service_is_an_empty_list_for_the_guard_to_judge(
    server: UispServer, source: UispSource
) -> None:
    server.console.services = [s for s in server.console.services if s["status"] == 1]

    assert (await read(source)).snapshot.subscribers == ()


async def test_calls_for_single_sites_are_few_at_once(server: UispServer, source: UispSource) -> None:
    await read(source)

    assert server.most_at_once <= PATIENT.at_once


# --- whose line is it ----------------------------------------------------------------------------------------------


async def test_of_a_client_with_one_suspended_and_one_active_service_only_the_suspended_line_is_blocked(
    server: UispServer, source: UispSource
) -> None:
    server.console.add(1, 500, "100.64.5.1", "100.64.0.1", status=1)

    # 100.64.0.1 stands at the active site as well
    assert lines(await read(source))["1"] == []


async def test_a_site_that_an_active_service_of_another_client_has_too_is_not_blocked(
    server: UispServer, source: UispSource
) -> None:
    shared = server.console.services[0]["unmsClientSiteId"]
    server.console.add(77, 577, status=1, unmsClientSiteId=shared)

    assert lines(await read(source))["1"] == []


async def test_a_service_without_a_site_has_no_address_and_one_whose_site_is_gone_neither(
    server: UispServer, source: UispSource
) -> None:
    server.console.add(60, 560, unmsClientSiteId=None)
    server.console.add(61, 561)
    del server.console.sites["00000000-0000-4000-8000-000000000561"]

    found = lines(await read(source))

    assert found["60"] == found["61"] == []


async def test_a_length_behind_an_address_never_blocks_the_network(server: UispServer, source: UispSource) -> None:
    site = server.console.services[0]["unmsClientSiteId"]
    server.console.sites[site] = ["100.64.0.1/24", "2001:db8::7/64", "0.0.0.0", "dhcp", None, "100.64.0.1"]

    assert lines(await read(source))["1"] == ["100.64.0.1", "2001:db8::7"]


async def test_reasons_and_brands_come_from_their_names(server: UispServer, source: UispSource) -> None:
    server.console.services[0]["suspensionReasonId"] = 1
    server.console.services[1]["suspensionReasonId"] = 2
    server.console.services[2]["suspensionReasonId"] = 99
    server.console.clients[2]["organizationId"] = 2

    one, two, three = (await read(source)).snapshot.subscribers[:3]

    assert [one.reason, two.reason, three.reason] == ["unpaid", "abuse", "suspended"]
    assert [one.brand, two.brand] == ["north-net", "south-bay"]


# --- changes -------------------------------------------------------------------------------------------------------


async def test_nothing_changed_is_no_reading_and_costs_no_call_for_a_site(
    server: UispServer, source: UispSource
) -> None:
    first = await read(source)
    server.requests.clear()

    assert await source.read(first) is None
    assert {unquote(asked).split("&")[0] for asked in server.requests} == {
        "/crm/api/v1.0/clients/services?statuses[]=3"
    }


async def test_who_left_the_list_is_asked_about_and_is_a_word(server: UispServer, source: UispSource) -> None:
    first = await read(source)
    server.console.services[2]["status"] = 1
    server.requests.clear()

    second = await read(source, first)

    assert words(second) == {"3"}
    assert lines(second) == {name: has for name, has in TEN.items() if name != "3"}
    assert second.snapshot.known == 40
    assert not [asked for asked in server.requests if asked.startswith("/nms")]
    assert await source.read(second) is None
    assert words(await read(source)) == set()


async def test_a_list_that_leaves_out_a_suspended_service_opens_nobody(server: UispServer, source: UispSource) -> None:
    first = await read(source)
    server.faults = {"loses-one"}

    with pytest.raises(UpstreamError, match="service 101 is suspended and was not in the list"):
        await source.read(first)

    server.faults = set()
    assert await source.read(first) is None


async def test_too_many_who_left_are_for_the_guard(server: UispServer, source: UispSource) -> None:
    for number in range(200, 240):
        server.console.add(number, number, f"100.64.1.{number - 100}")
    first = await read(source)
    for service in server.console.services:
        service["status"] = 1 if service["clientId"] >= 200 else service["status"]

    second = await read(source, first)

    assert lines(second) == TEN
    assert words(second) == set()


async def test_a_new_suspension_is_asked_about_at_once(server: UispServer, source: UispSource) -> None:
    first = await read(source)
    server.console.services[20]["status"] = 3

    assert lines(await read(source, first)) == TEN | {"21": ["100.64.0.21"]}


async def test_a_line_that_became_active_is_not_blocked_for_another_service_of_the_client(
    server: UispServer, source: UispSource
) -> None:
    server.console.add(1, 500, "100.64.0.1", "100.64.5.1")
    first = await read(source)
    assert lines(first)["1"] == ["100.64.0.1", "100.64.5.1"]
    server.console.services[0]["status"] = 1

    assert lines(await read(source, first))["1"] == ["100.64.5.1"]


async def test_addresses_of_who_left_are_forgotten_once_they_are_old(server: UispServer, eager: UispSource) -> None:
    first = await read(eager)
    server.console.services[2]["status"] = 1
    second = await read(eager, first)
    server.console.services[2]["status"] = 3
    server.faults = {"network-500"}

    third = await read(eager, second)

    assert "3" not in lines(third)


async def test_addresses_are_asked_for_again_once_they_are_old(server: UispServer, eager: UispSource) -> None:
    first = await read(eager)
    server.console.sites[server.console.services[0]["unmsClientSiteId"]] = ["100.64.9.9"]

    assert lines(await read(eager, first))["1"] == ["100.64.9.9"]


async def test_only_some_of_what_is_old_is_asked_for_at_one_look(server: UispServer) -> None:
    source = opened(server, pace=Pace(age=0.0, look=3, at_once=2, failures=4, patience=1.0))
    first = await read(source)
    server.requests.clear()

    assert await source.read(first) is None

    assert len([asked for asked in server.requests if asked.startswith("/nms")]) == 3
    await source.close()


# --- the Network fails, the CRM does not ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["network-500", "network-401", "network-slow"])
async def test_who_paid_is_opened_while_the_network_fails_and_nobody_else_is(
    server: UispServer, eager: UispSource, fault: str
) -> None:
    first = await read(eager)
    server.faults = {fault}
    server.console.services[2]["status"] = 1

    second = await read(eager, first)

    assert words(second) == {"3"}
    assert lines(second) == {name: has for name, has in TEN.items() if name != "3"}
    assert eager.trouble
    server.faults = set()
    assert await eager.read(second) is None
    assert eager.trouble == ""


async def test_a_network_that_hangs_delays_a_look_by_its_patience_alone(server: UispServer) -> None:
    bounds = Bounds(request=20.0, reading=30.0, pace=EAGER)
    source = UispSource(server.url, Secret(APP_KEY), Secret(NETWORK_TOKEN), bounds=bounds)
    first = await read(source)
    server.faults = {"network-slow"}
    server.console.services[2]["status"] = 1

    async with asyncio.timeout(5):
        assert words(await read(source, first)) == {"3"}
    assert "not all addresses within" in source.trouble
    await source.close()


async def test_a_network_that_is_down_is_not_asked_about_every_site(server: UispServer, source: UispSource) -> None:
    for number in range(200, 250):
        server.console.add(number, number, f"100.64.1.{number - 100}")
    server.faults = {"network-500"}

    with pytest.raises(UpstreamError):
        await source.read(None)

    assert len([asked for asked in server.requests if asked.startswith("/nms")]) < PATIENT.failures + PATIENT.at_once


async def test_who_is_suspended_while_the_network_fails_is_listed_when_their_addresses_are_known(
    server: UispServer, source: UispSource
) -> None:
    first = await read(source)
    server.console.services[20]["status"] = 3
    server.faults = {"network-500"}

    assert await source.read(first) is None

    server.faults = set()
    assert lines(await read(source, first))["21"] == ["100.64.0.21"]


async def test_sites_that_lose_all_their_addresses_at_once_keep_them(server: UispServer, eager: UispSource) -> None:
    first = await read(eager)
    held = server.console.sites
    server.console.sites = {site: [] for site in held}

    assert await eager.read(first) is None
    assert "10 of 10 lost all their addresses at once" in eager.trouble

    server.console.sites = held | {server.console.services[0]["unmsClientSiteId"]: []}
    assert lines(await read(eager, first))["1"] == []


async def test_one_site_of_many_that_cannot_be_read_leaves_out_its_own_client_alone(
    server: UispServer, source: UispSource
) -> None:
    for number in range(50, 55):
        server.console.add(number, 100 + number, f"100.64.0.{number}")
    server.broken_sites = {server.console.services[0]["unmsClientSiteId"]}

    found = lines(await read(source))

    assert "1" not in found
    assert len(found) == 14


# --- one subscriber ------------------------------------------------------------------------------------------------


async def test_one_client_is_answered_as_it_is_now(source: UispSource) -> None:
    assert await source.read_one("7") is None, "whose addresses they are is not known before the first list"
    await source.read(None)
    blocked, active, unknown = [await source.read_one(name) for name in ("7", "17", "8888")]

    assert blocked is not None
    assert (blocked.id, blocked.state, [str(p) for p in blocked.addresses]) == ("7", State.BLOCKED, ["100.64.0.7"])
    assert active == Subscriber("17", State.ACTIVE)
    assert unknown is None


@pytest.mark.parametrize("name", ["", "ana", "-1", "7/services", "007", "9" * 40, "\u0667"])
async def test_what_is_no_id_of_a_client_is_not_asked_about(server: UispServer, source: UispSource, name: str) -> None:
    assert await source.read_one(name) is None
    assert server.requests == []


async def test_one_client_is_active_although_the_network_fails(server: UispServer, source: UispSource) -> None:
    server.faults = {"network-500"}

    assert await source.read_one("17") == Subscriber("17", State.ACTIVE)


async def test_who_is_online_is_not_for_this_source_to_say(source: UispSource) -> None:
    assert await source.sessions() is None


# --- recorded exchanges --------------------------------------------------------------------------------------------


class Transcript:
    """Answers exactly the recorded requests, each with its recorded header and reply."""

    def __init__(self, exchanges: list[dict[str, Any]]) -> None:
        self.waiting = {exchange["request"]: exchange for exchange in exchanges}
        self.strange: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        exchange = self.waiting.get(unquote(request.path_qs))
        if exchange is None or any(request.headers.get(k) != v for k, v in exchange["headers"].items()):
            self.strange.append(request.path_qs)
            return web.Response(status=418)
        exchange["asked"] = True
        return web.Response(
            status=exchange.get("status", 200), text=json.dumps(exchange["reply"]), content_type="application/json"
        )


@pytest.mark.parametrize("vector", VECTORS["exchanges"], ids=lambda v: v["name"])
async def test_recorded_requests_and_replies_make_the_recorded_subscribers(vector: dict[str, Any]) -> None:
    transcript = Transcript(vector["exchanges"])
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", transcript.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = UispSource(f"http://127.0.0.1:{runner.addresses[0][1]}", Secret("app-key"), Secret("network-token"))
    try:
        reading = await source.read(None)
    finally:
        await source.close()
        await runner.cleanup()

    assert transcript.strange == []
    assert [e["request"] for e in vector["exchanges"] if "asked" not in e] == []
    assert reading is not None
    assert reading.snapshot.known == vector["known"]
    assert [shown(s) for s in reading.snapshot.subscribers] == vector["subscribers"]


def shown(subscriber: Subscriber) -> dict[str, Any]:
    account = subscriber.account
    fields = {
        "id": subscriber.id, "state": subscriber.state.value, "reason": subscriber.reason, "brand": subscriber.brand,
        "addresses": [str(p) for p in subscriber.addresses], "name": account.name, "amount_due": account.amount_due,
        "currency": account.currency,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value}
