from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from edged.billing.reading import Reading
from edged.billing.settings import SplynxSettings
from edged.billing.sources.splynx import SplynxSource
from edged.billing.splynx.client import Bounds
from edged.billing.status import Outcome
from edged.errors import UpstreamError
from edged.model import State, Subscriber
from edged.values import Secret, parse_prefix
from tests.loopback.billing_edge import edge
from tests.loopback.splynx_server import Books, SplynxServer, serve

KEY, SECRET = "canary-key-81f", "canary-secret-3c9"
BOUNDS = Bounds(request=0.5, reading=10.0, page=10, page_octets=1_000_000, pages=60, parting=0.3, logins=30)
NOW = 1_795_000_000.0
"""The edge's clock: 2026-11-18."""


def customer(name: int, status: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "login": f"c{name}", "status": status, "partner_id": 1, "location_id": 1,
            "name": f"Customer {name}", "customer_labels": []} | more  # fmt: skip


def service(name: int, owner: int, **more: Any) -> dict[str, Any]:
    return {"id": name, "customer_id": owner, "status": "active", "login": f"s{name}", "taking_ipv4": 1,
            "ipv4": f"100.64.{owner // 256}.{owner % 256}", "ipv4_route": "", "ipv6": "", "ipv6_delegated": "",
            "taking_ipv6": 0, "mac": ""} | more  # fmt: skip


def invoice(name: int, owner: int, due: Any, till: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "customer_id": owner, "number": f"2026{name:06}", "status": "not_paid", "total": due,
            "due": due, "date_till": till} | more  # fmt: skip


def books() -> Books:
    """25 active customers, 1 to 25; 31 to 34 blocked, 41 new, 51 disabled."""
    states = {**dict.fromkeys(range(1, 26), "active"), **dict.fromkeys(range(31, 35), "blocked"), 41: "new"}
    states[51] = "disabled"
    return Books(
        customers=[customer(n, status) for n, status in states.items()],
        services=[service(100 + n, n) for n in states],
        partners=[{"id": 1, "name": "Main"}, {"id": 2, "name": "North  Fibre"}],
    )


@pytest.fixture
async def server() -> AsyncIterator[SplynxServer]:
    async with serve(SplynxServer(books(), key=KEY, secret=SECRET)) as running:
        yield running


def opened(server: SplynxServer, bounds: Bounds = BOUNDS, **settings: Any) -> SplynxSource:
    return SplynxSource(
        server.url, Secret(KEY), Secret(SECRET), settings=SplynxSettings(**settings), bounds=bounds, clock=lambda: NOW
    )


@pytest.fixture
async def source(server: SplynxServer) -> AsyncIterator[SplynxSource]:
    one = opened(server)
    yield one
    await one.close()


async def read(source: SplynxSource, previous: Reading | None = None) -> Reading:
    reading = await source.read(previous)
    assert reading is not None
    return reading


def by_id(reading: Reading) -> dict[str, Subscriber]:
    return {s.id: s for s in reading.snapshot.subscribers}


def ids(reading: Reading, state: State = State.BLOCKED) -> set[str]:
    return {s.id for s in reading.snapshot.subscribers if s.state is state}


RESTRICTED = {"31", "32", "33", "34", "41", "51"}


async def refused(source: SplynxSource) -> str:
    with pytest.raises(UpstreamError) as caught:
        await source.read(None)
    sentence = str(caught.value)
    assert KEY not in sentence
    assert SECRET not in sentence
    assert "tokens/" not in sentence
    return sentence


# --- the whole list ------------------------------------------------------------------------------


async def test_blocked_new_and_disabled_customers_make_one_reading_with_everybody_counted(
    server: SplynxServer, source: SplynxSource
) -> None:
    reading = await read(source)

    assert {s.id: s.reason for s in reading.snapshot.subscribers} == {
        "31": "unpaid", "32": "unpaid", "33": "unpaid", "34": "unpaid", "41": "new", "51": "disabled",
    }  # fmt: skip
    assert by_id(reading)["31"].addresses == (parse_prefix("100.64.0.31"),)
    assert by_id(reading)["31"].logins == ("s131",)
    assert by_id(reading)["31"].brand == "main"
    assert by_id(reading)["31"].account.name == "Customer 31"
    assert reading.snapshot.known == 31
    assert reading.snapshot.keys is None
    asked = "admin/customers/customer/0/internet-services?main_attributes[status]=active"
    assert server.requests.count(f"HEAD {asked}") >= 2, "counted before and after"
    assert [r for r in server.requests if r.startswith(f"GET {asked}&")][-4:] == [
        f"GET {asked}&order[id]=ASC&limit=10&offset={offset}" for offset in (0, 10, 20, 30)
    ]


@pytest.mark.parametrize("fault", ["numbers-as-text", "partial-pages", "no-limit", "no-order", "short-life"])
async def test_what_a_server_may_do_changes_nothing(server: SplynxServer, source: SplynxSource, fault: str) -> None:
    right = await read(source)
    server.faults = {fault}

    assert by_id(await read(source)) == by_id(right)


async def test_an_account_has_the_sum_the_first_day_and_the_oldest_invoice(server: SplynxServer) -> None:
    server.books.invoices = [
        invoice(7, 31, "19.9500", "2026-11-01"),
        invoice(8, 31, 30.1, "2026-10-01"),
        invoice(9, 31, 0, "2026-01-01"),
        invoice(10, 31, "5", "2026-01-01", status="pending"),
        invoice(11, 1, "99", "2026-01-01"),
        invoice(12, 32, "not a sum", "0000-00-00"),
        invoice(13, 41, "12", "2026-01-01"),
    ]
    source = opened(server, direct_pay="payfast")

    got = by_id(await read(source))

    assert (got["31"].account.amount_due, got["31"].account.due) == ("50.05", "2026-10-01")
    assert got["31"].account.pay_url == f"{server.url}/payfast/direct-pay-invoice-by-id?item_id=8"
    assert (got["32"].account.amount_due, got["32"].account.due) == ("", ""), "no sum is better than a wrong one"
    assert got["41"].account.amount_due == ""
    await source.close()


async def test_the_invoices_of_many_are_read_at_once_and_those_of_few_one_by_one(
    server: SplynxServer, source: SplynxSource
) -> None:
    server.books.invoices = [invoice(n, n, "1", "2026-11-01") for n in range(1, 26)]
    for n in range(1, 26):
        server.books.customers[n - 1]["status"] = "blocked"

    few_and_many = len(by_id(await read(source)))

    assert few_and_many == 31
    assert len([r for r in server.requests if r.startswith("GET admin/finance/invoices")]) == 3, "three pages"


async def test_a_customer_with_an_exempting_label_is_given_as_active(server: SplynxServer) -> None:
    server.books.customers[25]["customer_labels"] = [{"id": 4, "label": "Staff ", "color": "#357bf2"}]
    server.books.customers[26]["customer_labels"] = [{"id": 9, "label": "Debtor"}]
    source = opened(server, exempt_labels=["staff"])

    reading = await read(source)

    assert ids(reading, State.ACTIVE) == {"31"}
    assert ids(reading) == RESTRICTED - {"31"}
    one = await source.read_one("31")
    assert one is not None
    assert one.state is State.ACTIVE
    await source.close()


async def test_rows_without_labels_are_refused_where_labels_exempt(server: SplynxServer) -> None:
    for row in server.books.customers:
        del row["customer_labels"]
    source = opened(server, exempt_labels=["staff"])

    assert "exempt_labels is set" in await refused(source)
    await source.close()


async def test_what_an_active_customer_has_is_never_given_to_a_restricted_one(
    server: SplynxServer, source: SplynxSource
) -> None:
    services = server.books.services
    services += [
        service(201, 31, ipv4="100.64.0.1"),
        service(202, 31, ipv4_route="100.64.0.0/29, 198.51.100.0/29"),
        service(203, 32, ipv6_delegated="2001:db8:7::/48"),
        service(204, 5, ipv4="", ipv6_delegated="2001:db8:7:1::/64", mac="02005E100001", login="shared"),
        service(205, 33, ipv4="", mac="02:00:5e:10:00:01,02-00-5e-10-00-02", login="shared"),
        service(206, 6, ipv4="198.51.100.77", status="stopped"),
        service(207, 34, ipv4="198.51.100.77", status="stopped"),
        service(208, 7, ipv4="198.51.100.88", status="disabled"),
        service(209, 34, ipv4="198.51.100.88"),
        service(210, 8, ipv4="198.51.100.99", taking_ipv4=2),
        service(211, 34, ipv4="198.51.100.99"),
    ]

    with structlog.testing.capture_logs() as logs:
        got = by_id(await read(source))

    assert set(map(str, got["31"].addresses)) == {"100.64.0.31", "198.51.100.0/29"}
    assert set(map(str, got["32"].addresses)) == {"100.64.0.32"}
    assert got["33"].devices == ("02:00:5e:10:00:02",)
    assert got["33"].logins == ("s133",)
    assert set(map(str, got["34"].addresses)) == {"100.64.0.34", "198.51.100.88", "198.51.100.99"}
    assert {"event": "splynx-active-customers-overlap", "count": 6, "log_level": "warning"} in logs


async def test_an_address_with_which_an_active_customer_is_online_is_given_to_nobody_else(
    server: SplynxServer, source: SplynxSource
) -> None:
    server.books.online = [online(1, 5, ipv4="100.64.0.51"), online(2, 31, ipv4="100.64.0.32"), online(3, 0)]

    got = by_id(await read(source))

    assert got["51"].addresses == (), "somebody active has it now"
    assert got["32"].addresses, "the other one is blocked too"


async def test_the_duplicate_of_a_closed_service_holds_the_address(server: SplynxServer, source: SplynxSource) -> None:
    server.books.services = [
        service(301, 51, status="disabled", ipv4="198.51.100.1"),
        service(302, 51, status="stopped", ipv4="198.51.100.2"),
        service(303, 41, status="pending", ipv4="198.51.100.3"),
        service(304, 31, status="hidden", ipv4="198.51.100.4"),
    ]

    got = by_id(await read(source))

    assert list(map(str, got["51"].addresses)) == ["198.51.100.2"]
    assert list(map(str, got["41"].addresses)) == ["198.51.100.3"]
    assert got["31"].addresses == ()


async def test_an_odd_value_costs_its_own_line_and_is_counted(server: SplynxServer, source: SplynxSource) -> None:
    server.books.services[25] |= {"ipv4": "100.64.0.300", "ipv4_route": "10.1.2.3/24", "mac": "nonsense"}
    server.books.services[26] |= {"ipv4": "0.0.0.0", "ipv6": "::", "ipv6_delegated": None}

    with structlog.testing.capture_logs() as logs:
        got = by_id(await read(source))

    assert [*got["31"].addresses, *got["31"].devices, *got["32"].addresses] == []
    assert got["33"].addresses
    assert {"event": "splynx-values-unreadable", "count": 3, "log_level": "warning"} in logs
    assert "300" not in str(logs)


async def test_a_list_that_changes_once_is_read_again(server: SplynxServer, source: SplynxSource) -> None:
    right = await read(source)
    left = [1]

    def pay(table: str) -> None:
        if table == "customers" and left and left.pop():
            server.books.customers.append(customer(60, "blocked"))

    server.at_page = pay

    assert ids(await read(source)) == RESTRICTED | {"60"}
    assert ids(right) == RESTRICTED


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("growing", "changed during each of 3 attempts"),
        ("wrong-count", "changed during each of 3 attempts"),
        ("no-filter", "changed during each of 3 attempts"),
        ("no-count", "X-total-count"),
        ("truncated", "not JSON"),
        ("not-json", "not JSON"),
        ("html", "a web page came, not the API"),
        ("cut-off", "while reading"),
        ("error", "answered 500"),
        ("redirect", "redirects are not followed"),
        ("slow", "no answer within"),
        ("huge", "larger than"),
        ("never-lives", "compare the clocks"),
        ("banned-for-ever", "banned"),
        ("ip-changes", "bound to one source address"),
    ],
)
async def test_a_faulty_reply_refuses_the_reading(
    server: SplynxServer, source: SplynxSource, fault: str, sentence: str
) -> None:
    server.faults = {fault}

    assert sentence in await refused(source)
    assert server.logins <= 4
    server.faults, server.books = set(), books()
    assert ids(await read(source)) == RESTRICTED


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"status": "blocked"}], "customers[0]: expected an object with an id"),
        (["31"], "customers[0]: expected an object, found text"),
    ],
)
async def test_a_row_that_cannot_be_counted_refuses_the_reading(
    server: SplynxServer, source: SplynxSource, rows: list[Any], sentence: str
) -> None:
    reply = server._json
    server._json = lambda document: reply(  # type: ignore[method-assign]
        rows if "admin/customers/customer?main" in server.requests[-1] else document
    )

    assert sentence in await refused(source)


async def test_a_log_of_changes_that_may_not_be_read_any_more_keeps_no_payer_waiting(
    server: SplynxServer, source: SplynxSource
) -> None:
    first = await read(source)
    server.books.move(31, "active")
    server.denied = {"changes": "FORBIDDEN"}

    again = await source.read(first)

    assert again is not None
    assert "31" not in {s.id for s in again.snapshot.subscribers if s.state is State.BLOCKED}


# --- permissions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["FORBIDDEN", "METHOD_NOT_ALLOWED", "NOT_ALLOWED_BY_PARTNER_RESTRICTION"])
async def test_every_missing_permission_is_named_at_once(server: SplynxServer, source: SplynxSource, code: str) -> None:
    server.denied = {"customers": code, "services": code}

    sentence = await refused(source)

    assert 'Customers, "Customer"' in sentence
    assert 'Customers, "Customer Internet services"' in sentence
    server.denied = {"services": code}
    assert 'Customers, "Customer"' not in await refused(source)
    server.denied = {}
    assert ids(await read(source)) == RESTRICTED


async def test_what_is_optional_is_said_once_and_done_without(server: SplynxServer, source: SplynxSource) -> None:
    server.books.invoices = [invoice(7, 31, "19.95", "2026-11-01")]
    server.denied = dict.fromkeys(("invoices", "partners", "changes", "online"), "FORBIDDEN")

    with structlog.testing.capture_logs() as logs:
        first = await read(source)
        assert await source.sessions() is None
        again = await read(source)

    assert ids(first) == ids(again) == RESTRICTED
    assert by_id(first)["31"].brand == by_id(first)["31"].account.amount_due == ""
    said = [entry["error"] for entry in logs if entry["event"] == "splynx-permission-missing"]
    assert len(said) == 4
    assert any('Customers, "Customers Online"' in sentence and "dynamic address" in sentence for sentence in said)
    assert await source.read(again) is None, "without the log, customers are counted"
    server.books.move(31, "active")
    assert ids(await read(source, again)) == RESTRICTED - {"31"}


async def test_the_one_warning_that_matters_most_stands_until_it_is_over(
    server: SplynxServer, source: SplynxSource
) -> None:
    assert source.trouble == ""
    server.denied = dict.fromkeys(("invoices", "partners", "changes", "online"), "FORBIDDEN")
    server.books.services[25] |= {"ipv4": "100.64.0.300", "ipv4_route": "10.1.2.3/24", "mac": "nonsense"}
    server.books.services += [service(201, 32, ipv4="100.64.0.1")]
    begins = [
        ("online", "lines with a dynamic address are not found through Splynx: the API key may not view who is online"),
        ("invoices", "pages show no amount and link to no invoice: the API key may not view invoices"),
        ("changes", "a change is seen by counting customers, and costs a full reading each time: the API key may not"),
    ]
    for table, sentence in begins:
        await read(source)
        assert source.trouble.startswith(sentence)
        del server.denied[table]

    await read(source)
    assert source.trouble == "3 values of billing's lists cannot be read"
    server.books.services[25] |= {"ipv4": "", "ipv4_route": "", "mac": ""}
    await read(source)
    assert source.trouble == (
        "1 address, device or login of restricted customers belongs to an active one and is left out"
    )
    server.books.services.pop()
    await read(source)
    assert source.trouble == "every page has the brand `default`: the API key may not view partners"
    server.denied, server.broken = {}, {"partners"}
    await read(source)
    assert source.trouble.startswith("brands are those of the reading before: 127.0.0.1: ")
    assert source.trouble.endswith("answered 500")
    server.broken = set()
    await read(source)
    assert source.trouble == ""


async def test_who_may_not_see_who_is_online_is_in_trouble_and_nobody_blocked_lacks_no_amount(
    server: SplynxServer, source: SplynxSource
) -> None:
    server.denied = {"online": "METHOD_NOT_ALLOWED", "invoices": "FORBIDDEN"}

    assert await source.sessions() is None
    assert "who is online" in source.trouble
    server.denied.pop("online")
    assert await source.sessions() == ()
    assert source.trouble == ""
    await read(source)
    assert "no amount" in source.trouble
    for row in server.books.customers:
        row["status"] = "active"
    await read(source)
    assert source.trouble == ""


async def test_what_is_optional_and_broken_stops_nothing(server: SplynxServer, source: SplynxSource) -> None:
    right = await read(source)
    server.broken = {"invoices", "partners", "changes", "online"}

    with structlog.testing.capture_logs() as logs:
        broken = await read(source)
        assert await source.read(broken) is None
        with pytest.raises(UpstreamError, match="answered 500"):
            await source.sessions()

    assert by_id(broken) == by_id(right), "brands are those of before"
    assert sorted(entry["event"] for entry in logs) == [
        f"splynx-{what}-unreadable" for what in ("amounts", "changes", "online", "partners")
    ]
    server.broken = {"services"}
    assert "Internet services" in await refused(source)


# --- tokens --------------------------------------------------------------------------------------


async def test_a_token_is_renewed_a_little_before_it_ends(server: SplynxServer, source: SplynxSource) -> None:
    server.faults = {"short-life"}
    assert await source.read_one("1")
    for _ in range(24):
        await asyncio.sleep(0.1)
        assert await source.read_one("1")

    assert (server.logins, server.renewals >= 1) == (1, True)
    assert server.refusals == [], "never after its end"


async def test_a_token_that_has_expired_all_the_same_is_renewed_and_the_question_asked_again(
    server: SplynxServer, source: SplynxSource
) -> None:
    await read(source)
    for token in server._tokens.values():
        token.until = 0

    assert ids(await read(source)) == RESTRICTED
    assert (server.logins, server.renewals) == (1, 1)


@pytest.mark.parametrize("fault", ["banned", "ip-changed", "user-agent-changed"])
async def test_a_token_that_is_bound_to_something_else_is_replaced_by_a_new_log_in(
    server: SplynxServer, source: SplynxSource, fault: str
) -> None:
    assert await source.read_one("1")
    server.faults = {fault}

    assert await source.read_one("1")
    assert await source.read_one("1")
    assert server.renewals == 0
    assert server.logins <= 3


async def test_a_refresh_token_that_has_expired_is_a_new_log_in(server: SplynxServer, source: SplynxSource) -> None:
    await read(source)
    server.faults = {"no-refresh"}
    for token in server._tokens.values():
        token.until = 0

    assert ids(await read(source)) == RESTRICTED
    assert (server.logins, server.renewals) == (2, 0)


async def test_a_token_that_never_lasts_ends_in_a_sentence_and_not_in_a_storm(server: SplynxServer) -> None:
    source = opened(server, replace(BOUNDS, logins=6))
    server.faults = {"banned"}

    said = await refused(source)
    assert "6 log-ins within a minute" in said
    assert said[-1].isalpha(), "whoever shows it adds the full stop"
    before = server.logins
    await refused(source)
    assert server.logins == before == 6
    await source.close()


async def test_log_ins_that_nobody_answered_are_not_counted_and_the_real_fault_is_said(server: SplynxServer) -> None:
    source = opened(server, replace(BOUNDS, logins=2))
    url, source._splynx._base = source._splynx._base, "http://127.0.0.1:1/api/2.0"

    for _ in range(4):
        assert "cannot connect: connection refused" in await refused(source)

    source._splynx._base = url
    assert ids(await read(source)) == RESTRICTED
    await source.close()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (404, "<html>nothing here</html>", "no Splynx API answers at billing.url (404)"),
        (405, "", "no Splynx API answers at billing.url (405)"),
        (401, '{"error": {"internal_code": "UNAUTHORIZED"}}', "billing.key and billing.secret do not fit"),
        (200, "\r\n <!doctype html><title>Hello</title>", "a web page came, not the API"),
        (502, "<html>", "answered 502"),
    ],
)
async def test_what_answers_a_log_in_and_is_no_splynx_is_not_blamed_on_the_key(
    status: int, body: str, sentence: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="text/html")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as other:
        source = SplynxSource(str(other.make_url("")), Secret(KEY), Secret(SECRET), settings=SplynxSettings())
        for _ in range(8):  # more than log-ins are allowed
            said = await refused(source)
            assert sentence in said
            assert ("do not fit" in said) == (status == 401)
        await source.close()


async def test_the_nonce_grows_also_when_the_clock_goes_back(server: SplynxServer) -> None:
    for now in (NOW, NOW - 7200, 0.0):
        source = opened(server)
        source._splynx._clock = partial(float, now)
        assert await source.read_one("1")
        await source.close()

    assert server.nonces == sorted(set(server.nonces))
    assert len(server.nonces) == 3


async def test_a_wrong_secret_is_named_as_such(server: SplynxServer) -> None:
    source = SplynxSource(server.url, Secret(KEY), Secret("another"), settings=SplynxSettings(), bounds=BOUNDS)

    assert "billing.key and billing.secret do not fit" in await refused(source)
    assert server.logins == 0
    await source.close()


async def test_closing_logs_out_and_never_waits_long(server: SplynxServer) -> None:
    source = opened(server)
    await source.read_one("1")
    await source.close()
    assert server.logouts == 1

    source = opened(server, replace(BOUNDS, request=20.0))
    await source.read_one("1")
    server.faults = {"no-log-out"}
    began = time.monotonic()
    await source.close()
    assert time.monotonic() - began < 1


async def test_many_questions_at_once_log_in_once(server: SplynxServer, source: SplynxSource) -> None:
    await asyncio.gather(*(source.read_one(str(n)) for n in range(1, 20)))

    assert server.logins == 1
    for token in server._tokens.values():
        token.until = 0
    await asyncio.gather(*(source.read_one(str(n)) for n in range(1, 20)))
    assert (server.logins, server.renewals) == (1, 1)


# --- changes -------------------------------------------------------------------------------------


async def test_nothing_new_in_the_log_is_no_reading_and_one_question(
    server: SplynxServer, source: SplynxSource
) -> None:
    server.books.move(1, "active")
    reading = await read(source)
    server.requests.clear()
    since = "main_attributes[date][0]=>=&main_attributes[date][1]=2026-11-19"

    assert await source.read(reading) is None
    assert [r.partition("?") for r in server.requests] == [
        ("GET admin/logs/changes", "?", f"{since}&order[id]=DESC&limit=10&offset=0")
    ]


async def test_what_the_log_said_long_ago_is_no_news(server: SplynxServer) -> None:
    source = opened(server, replace(BOUNDS, changed=2))
    for n in range(1, 26):
        server.books.move(n, "active", day="2026-10-01")
    reading = await read(source)
    server.requests.clear()

    assert await source.read(reading) is None
    assert len(server.requests) == 1
    server.books.move(31, "active")
    assert ids(await read(source, reading)) == RESTRICTED - {"31"}
    assert not [r for r in server.requests if "main_attributes[status]" in r], "not everything"
    await source.close()


@pytest.mark.parametrize("fault", [None, "partial-pages", "no-order", "numbers-as-text", "no-filter"])
async def test_who_is_named_in_the_log_is_read_alone(
    server: SplynxServer, source: SplynxSource, fault: str | None
) -> None:
    for n in range(2, 14):
        server.books.move(n, "active")
    reading = await read(source)
    if fault:
        server.faults = {fault}
    server.books.move(31, "active")
    server.books.move(1, "blocked", day="2026-11-21")
    server.books.invoices = [invoice(7, 1, "19.95", "2026-11-01")]
    server.requests.clear()

    second = await read(source, reading)

    assert ids(second) == (RESTRICTED - {"31"}) | {"1"}
    assert ids(second, State.ACTIVE) == {"31"}
    assert list(map(str, by_id(second)["1"].addresses)) == ["100.64.0.1"], "their own claim does not stand in the way"
    assert by_id(second)["1"].account.amount_due == "19.95"
    assert not [r for r in server.requests if "main_attributes[status]=blocked" in r], "not everything"
    assert second.snapshot.known == reading.snapshot.known
    assert await source.read(second) is None
    server.faults = set()
    assert ids(await read(source)) == ids(second)


async def test_a_line_that_an_active_customer_has_got_meanwhile_is_given_to_nobody_else(
    server: SplynxServer, source: SplynxSource
) -> None:
    server.books.services.append(service(301, 32, ipv4="100.64.0.31"))
    reading = await read(source)
    assert parse_prefix("100.64.0.31") in by_id(reading)["32"].addresses, "both are blocked"
    server.books.move(31, "active")
    server.books.customers.append(customer(70, "new"))
    server.books.services.append(service(302, 70, ipv4="100.64.0.33"))
    server.books.move(70, "active")

    second = by_id(await read(source, reading))

    assert list(map(str, second["32"].addresses)) == ["100.64.0.32"]
    assert second["33"].addresses == (), "the new customer has it now"


async def test_too_many_changes_are_a_full_reading(server: SplynxServer) -> None:
    source = opened(server, replace(BOUNDS, changed=2))
    reading = await read(source)
    for n in (31, 32, 33):
        server.books.move(n, "active")
    server.requests.clear()

    second = await read(source, reading)

    assert ids(second) == {"34", "41", "51"}
    assert [r for r in server.requests if "main_attributes[status]=blocked" in r]
    await source.close()


async def test_who_pays_while_everything_is_read_does_not_wait(server: SplynxServer, source: SplynxSource) -> None:
    paid: list[int] = []

    def pay(table: str) -> None:
        if table == "services" and not paid and len(server.requests) > 20:
            paid.append(31)
            server.books.move(31, "active")

    server.at_page = pay

    reading = await read(source)

    assert paid
    assert ids(reading, State.ACTIVE) == {"31"}


async def test_a_customer_who_is_gone_leaves_the_list_without_a_word(
    server: SplynxServer, source: SplynxSource
) -> None:
    reading = await read(source)
    server.books.move(31, "blocked")
    server.books.customers = [c for c in server.books.customers if c["id"] != 31]

    second = await read(source, reading)

    assert "31" not in by_id(second)


# --- one customer --------------------------------------------------------------------------------


async def test_one_customer_is_answered_alone(server: SplynxServer, source: SplynxSource) -> None:
    assert await source.read_one("31") is None, "whose addresses they are is not known before the first list"
    await read(source)
    server.requests.clear()
    blocked, active, unknown = [await source.read_one(n) for n in ("31", "1", "8888")]
    foreign = [await source.read_one(n) for n in ("../../x", "031", " 31", "", "31?x")]

    assert blocked is not None
    assert (blocked.state, list(map(str, blocked.addresses))) == (State.BLOCKED, ["100.64.0.31"])
    assert active is not None
    assert active.state is State.ACTIVE
    assert unknown is None
    assert foreign == [None] * 5
    assert not [r for r in server.requests if ".." in r]


async def test_an_answer_about_somebody_else_is_refused(server: SplynxServer, source: SplynxSource) -> None:
    server._dressed = lambda row: dict(row, id=1)  # type: ignore[method-assign]

    with pytest.raises(UpstreamError, match="answered with something else"):
        await source.read_one("31")


# --- who is online -------------------------------------------------------------------------------


def online(name: int, owner: int, **more: Any) -> dict[str, Any]:
    return {"id": name, "customer_id": owner, "service_id": 100 + owner, "login": f"s{100 + owner}",
            "ipv4": f"100.65.0.{name}", "ipv6": "", "mac": "02:00:5e:10:00:01",
            "start_session": "2026-11-18 10:00:00", "last_change": "2026-11-18 11:04:50"} | more  # fmt: skip


@pytest.mark.parametrize("fault", [None, "numbers-as-text", "partial-pages", "short-life"])
async def test_everybody_who_is_online_is_read_with_addresses_and_the_right_time(
    server: SplynxServer, source: SplynxSource, fault: str | None
) -> None:
    # NOW is 11:06:40 UTC; Splynx's clock is an hour behind
    day = "2026-11-18"
    server.books.online = [online(n, n % 40, start_session=f"{day} 09:06:40", last_change=f"{day} 10:05:00")
                           for n in range(1, 26)]  # fmt: skip
    server.books.online[4] |= {"ipv6": "2001:db8:1::/64", "ipv6_delegated": "2001:db8:2::/56"}
    server.books.online[5] |= {"ipv4": "0.0.0.0", "ipv6": ""}
    server.books.online[6]["start_session"] = f"{day} 10:07:20"
    server.books.online[7] |= {"start_session": "0000-00-00 00:00:00", "last_change": None}
    if fault:
        server.faults = {fault}

    sessions = await source.sessions()

    assert sessions is not None
    assert len(sessions) == 24
    assert sessions[0].since == NOW - 3600
    assert [s.since for s in sessions if s.login in {"s107", "s108"}] == [NOW, 0.0], "never later than now; not said"
    assert (sessions[0].subscriber, sessions[0].login) == ("1", "s101")
    assert list(map(str, sessions[4].prefixes)) == ["100.65.0.5", "2001:db8:1::/64", "2001:db8:2::/56"]


async def test_who_goes_while_the_list_is_read_hides_nobody(server: SplynxServer, source: SplynxSource) -> None:
    server.books.online = [online(n, 1) for n in range(1, 201)]

    def leave(_table: str) -> None:
        if len(server.books.online) > 198:
            del server.books.online[0]

    server.at_page = leave

    sessions = await source.sessions()

    assert sessions is not None
    seen = {str(p) for s in sessions for p in s.prefixes}
    assert {f"100.65.0.{n}" for n in range(3, 201)} <= seen


@pytest.mark.parametrize("fault", ["no-filter", "no-count", "wrong-count", "truncated"])
async def test_a_list_of_sessions_that_does_not_add_up_is_refused(
    server: SplynxServer, source: SplynxSource, fault: str
) -> None:
    server.books.online = [online(n, 1) for n in range(1, 26)]
    server.faults = {fault}

    with pytest.raises(UpstreamError):
        await source.sessions()


# --- in the billing room ---------------------------------------------------------------------------


async def test_a_payment_opens_the_line_at_the_next_look_and_by_the_button_at_once(
    tmp_path: Path, server: SplynxServer, source: SplynxSource
) -> None:
    async with edge(tmp_path, source) as running:
        service = running.service
        assert (await service.sync()).outcome is Outcome.ACCEPTED
        assert running.blocked == RESTRICTED

        server.books.move(31, "active")
        server.requests.clear()
        assert (await service._look(full=False)).outcome is Outcome.ACCEPTED
        assert running.blocked == RESTRICTED - {"31"}
        assert len(server.requests) == 3, "the log, its end, and her row"

        server.books.move(32, "active")
        assert await service.recheck("32") is State.ACTIVE
        assert running.blocked == RESTRICTED - {"31", "32"}


async def test_when_splynx_is_down_the_last_good_list_stays(
    tmp_path: Path, server: SplynxServer, source: SplynxSource
) -> None:
    async with edge(tmp_path, source) as running:
        await running.service.sync()
        server.faults = {"error"}

        assert (await running.service.sync()).outcome is Outcome.FAILED
        assert running.blocked == RESTRICTED


# --- size ----------------------------------------------------------------------------------------


async def test_progress_is_told(source: SplynxSource) -> None:
    heard: list[tuple[str, int, int | None]] = []
    tell: Callable[[str, int, int | None], None] = lambda *said: heard.append(said)  # noqa: E731 named for its type

    await source.read(None, tell)

    assert ("customers", 6, 6) in heard
    assert ("internet services", 31, 31) in heard
