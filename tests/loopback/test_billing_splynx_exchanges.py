"""The request and reply pairs of tests/vectors/billing_splynx.yaml, replayed: edged asks exactly these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
import yaml
from aiohttp import web

from edged.billing.settings import SplynxSettings
from edged.billing.sources.splynx import SplynxSource
from edged.model import Account, OnlineSession, State, Subscriber
from edged.values import MacAddress, Secret, parse_prefix

NOW = 1_795_000_000.0
EXCHANGES = yaml.safe_load((Path(__file__).parents[1] / "vectors" / "billing_splynx.yaml").read_text("utf-8"))[
    "exchanges"
]


class Tape:
    """Answers what is on it; notes what was asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.unknown: list[str] = []
        self.tokens: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/2.0/")
        query = unquote_plus(request.raw_path.partition("?")[2])
        for pair in EXCHANGES:
            if (pair["method"], pair["path"], pair.get("query", "")) == (request.method, path, query):
                break
        else:
            self.unknown.append(f"{request.method} {path}?{query}")
            return web.Response(status=400)
        self.asked.add(pair["call"])
        if "asks" in pair:
            given = await request.json()
            assert given.items() >= pair["asks"].items()
        else:
            self.tokens.append(request.headers.get("Authorization", ""))
        if "body" in pair:
            return web.json_response(pair["body"], status=pair["status"])
        return web.Response(status=pair["status"], headers=pair.get("headers"))


@pytest.fixture
async def tape() -> AsyncIterator[Tape]:
    tape = Tape()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", tape.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tape.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield tape
    await runner.cleanup()


async def test_every_call_is_the_documented_one_and_its_reply_is_read(tape: Tape) -> None:
    settings = SplynxSettings(exempt_labels=("staff",), direct_pay="payfast")
    source = SplynxSource(tape.url, Secret("API_KEY"), Secret("API_SECRET"), settings=settings, clock=lambda: NOW)

    reading = await source.read(None)
    sessions = await source.sessions()
    active, unknown = await source.read_one("1"), await source.read_one("8888")
    await source.close()

    assert tape.unknown == []
    assert tape.asked == {pair["call"] for pair in EXCHANGES}
    assert set(tape.tokens) == {"Splynx-EA (access_token=2dbf3280cf9sb3b8a7c15201c76b9s1)"}
    assert reading is not None
    assert reading.snapshot.known == 12
    assert reading.marks == {"log.id": "9002", "log.day": "2026-11-17"}
    assert {s.id: s for s in reading.snapshot.subscribers} == expected(tape.url)
    assert active == Subscriber("1", State.ACTIVE)
    assert unknown is None
    # last_change is 12:05 on Splynx's clock and it is 11:06:40 UTC: an hour ahead
    assert sessions == (OnlineSession("staff_main", (parse_prefix("100.65.0.1"),), NOW - 4000.0, "41"),)


def expected(url: str) -> dict[str, Any]:
    networks = ("100.64.1.7", "198.51.100.0/29", "198.51.100.8/29", "2001:db8:100:700::/64", "2001:db8:7::/56")
    pay = f"{url}/payfast/direct-pay-invoice-by-id?item_id=201"
    return {
        "40": Subscriber(
            "40",
            State.BLOCKED,
            "unpaid",
            addresses=tuple(map(parse_prefix, networks)),
            devices=(MacAddress("08:00:27:2c:3d:65"), MacAddress("02:00:5e:10:00:01")),
            logins=("marla_main",),
            brand="north-fibre",
            account=Account("Marla Singer", "49.90", due="2026-10-15", pay_url=pay, invoice="202610010003"),
        ),
        "41": Subscriber("41", State.ACTIVE),
        "55": Subscriber(
            "55",
            State.BLOCKED,
            "disabled",
            addresses=(parse_prefix("100.64.1.9"),),
            logins=("bob_main",),
            brand="main",
            account=Account("Robert Paulson"),
        ),
    }
