# SPDX-License-Identifier: Apache-2.0
"""The whole house and a BNG: accounting in, CoA out, a payment, a restart, a refusal that an operator sees."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edged.daemon import House
from edged.enforce.bng import ledger
from edged.ops.alarms import alarms
from edged.ops.figures import figures
from edged.ops.parts import parts
from edged.radius.attributes import attribute
from edged.radius.authenticator import sign_request
from edged.radius.packet import Code, Packet
from edged.radius.settings import ClientSettings
from edged.state.sessions import Status
from edged.values import parse_address
from tests.bng_world import SECRET, Bng, Line
from tests.loopback.feed_server import Feed, ToldFeedServer, serve
from tests.loopback.house import at_work, written

HOOK = "a-secret-of-a-test"
ADDRESS = "100.64.1.7"
CONFIGURATION = """\
site: tower-12
mode: {mode}
state: {{directory: {directory}/state}}
billing:
  source: rest
  url: {url}
  key: a-key-of-a-test
  poll: {{changes: 1h, full: 1h}}
  guard: {{first: accept}}
  webhook: {{listen: "127.0.0.1:0", path: /hooks/billing, secret: {hook}}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8::/32"]}}
radius:
  acct: ["127.0.0.1:0"]
  clients: [{{name: bng, networks: ["127.0.0.1/32"], secret: {secret}}}]
enforce:
  - radius: {{nas: 127.0.0.1, port: {port}, secret: {secret}, attribute: {attribute}}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""


class Billing(ToldFeedServer):
    """One subscriber, known by login alone, who owes."""

    def __init__(self) -> None:
        blocked = {"id": "1001", "state": "blocked", "reason": "unpaid", "logins": ["anna"]}
        super().__init__(Feed([blocked], known=100), token="a-key-of-a-test")

    def is_paid(self) -> None:
        self.feed = Feed([], known=100, active={"1001"})


@asynccontextmanager
async def house_in(
    directory: Path, url: str, port: int, mode: str = "enforce", attribute: str = "Mikrotik-Address-List"
) -> AsyncIterator[House]:
    values = {"hook": HOOK, "secret": SECRET.reveal_text(), "port": str(port), "mode": mode, "attribute": attribute}
    async with at_work(written(directory, CONFIGURATION, url=url, **values)) as house:
        yield house


def shown(house: House) -> str:
    """What ``edged status`` says of the BNG."""
    return next(f"{part.state} {part.fact}" for part in parts(house, time.time()) if part.name == "127.0.0.1")


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def reports(
    house: House, status: Status, name: str = "s-1", address: str = ADDRESS, login: str = "anna", *, filter_id: str = ""
) -> None:
    """One Accounting-Request of the BNG, and its answer."""
    assert house.radius is not None
    given = (
        attribute("Acct-Status-Type", int(status)), attribute("Acct-Session-Id", name),
        attribute("User-Name", login), attribute("Framed-IP-Address", IPv4Address(address)),
        *[attribute("Filter-Id", filter_id)] * bool(filter_id),
    )  # fmt: skip
    octets = sign_request(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given), SECRET)
    endpoint = dict(house.radius.endpoints)["acct"]
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((str(endpoint.address), endpoint.port))
        await loop.sock_sendall(sock, octets)
        async with asyncio.timeout(5.0):
            await loop.sock_recv(sock, 4096)


async def billing_tells(house: House, post_id: str) -> None:
    assert house.office.hooks is not None
    octets = json.dumps({"id": post_id, "at": datetime.now(UTC).isoformat(), "subscribers": ["1001"]}).encode()
    headers = {"X-Edged-Signature": "sha256=" + hmac.new(HOOK.encode(), octets, hashlib.sha256).hexdigest()}
    url = f"http://{house.office.hooks.endpoint}/hooks/billing"
    async with aiohttp.ClientSession() as session, session.post(url, data=octets, headers=headers) as reply:
        assert reply.status == 202


async def test_from_accounting_to_the_list_and_back_over_a_restart(tmp_path: Path) -> None:
    billing = Billing()
    async with Bng() as bng, serve(billing):
        bng.sessions["s-1"] = Line("anna", ADDRESS)
        async with house_in(tmp_path, billing.url, bng.port) as house:
            assert any("no session is known there" in alarm.sentence for alarm in alarms(house, time.time()))
            await until(lambda: shown(house) == "WARN no session is known there, so nobody is blocked")
            began = time.monotonic()
            await reports(house, Status.START)
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            assert time.monotonic() - began < 3.0, "at once, and not at the next comparison"
            await until(lambda: shown(house).startswith("OK 1 of 1 sessions blocked, compared "))
            values = {(s.name, *dict(s.labels).values()): s.value for s in figures(house)}
            assert values["edged_bng_requests", "127.0.0.1", "block", "ack"] == 1
            assert values["edged_bng_sessions", "127.0.0.1", "blocked"] == 1
        bng.acted.clear()
        async with house_in(tmp_path, billing.url, bng.port) as house:
            await until(lambda: house.enforce.status()["127.0.0.1"].ok)
            await reports(house, Status.INTERIM)
            assert bng.acted == [], "it was acknowledged before the restart"
            billing.is_paid()
            began = time.monotonic()
            await billing_tells(house, "e-1")
            await until(lambda: bng.lists() == {"s-1": "edged-open"})
            assert time.monotonic() - began < 3.0, "at once, and not at the next comparison"


async def test_a_filter_that_accounting_shows_goes_before_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MARGIN", 0.0)
    billing = Billing()
    async with (
        Bng(attribute="Filter-Id") as bng, serve(billing),
        house_in(tmp_path, billing.url, bng.port, attribute="Filter-Id") as house,
    ):  # fmt: skip
        bng.sessions["s-1"] = Line("anna", ADDRESS)
        await reports(house, Status.START)
        await until(lambda: house.bngs[0].requests.requests["block", "ack"])
        bng.sessions["s-1"].list = "plain"
        await reports(house, Status.INTERIM, filter_id="plain")
        await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
        assert house.bngs[0].requests.reverted == 1


async def test_a_refusal_is_an_alarm_with_the_name_until_the_session_ends(tmp_path: Path) -> None:
    billing = Billing()
    async with Bng(refuses={"s-1": 401}) as bng, serve(billing), house_in(tmp_path, billing.url, bng.port) as house:
        await reports(house, Status.START)
        await until(lambda: not house.enforce.status()["127.0.0.1"].ok)
        await until(lambda: any(a.code == "target-failing" for a in alarms(house, time.time())))
        said = next(a.sentence for a in alarms(house, time.time()) if a.code == "target-failing")
        assert "1 session is not as it should be there: NAK 401 Unsupported-Attribute (anna)" in said

        await reports(house, Status.STOP)
        await until(lambda: house.enforce.status()["127.0.0.1"].ok)


async def test_watching_tells_nobody_and_opens_what_an_earlier_run_blocked(tmp_path: Path) -> None:
    billing = Billing()
    async with Bng() as bng, serve(billing):
        bng.sessions["s-1"] = Line("anna", ADDRESS)
        async with house_in(tmp_path, billing.url, bng.port) as house:
            await reports(house, Status.START)
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
        async with house_in(tmp_path, billing.url, bng.port, "watch") as house:
            await until(lambda: bng.lists() == {"s-1": "edged-open"})
            bng.acted.clear()
            bng.sessions["s-2"] = Line("anna", "100.64.1.8")
            await reports(house, Status.START, "s-2", "100.64.1.8")
            await until(lambda: house.enforce.status()["127.0.0.1"].compared)
            await asyncio.sleep(0.3)
            assert bng.acted == []


async def test_who_pays_is_opened_though_the_bng_has_sent_no_accounting_for_a_day(tmp_path: Path) -> None:
    billing = Billing()
    async with Bng() as bng, serve(billing):
        bng.sessions["s-1"] = Line("anna", ADDRESS)
        async with house_in(tmp_path, billing.url, bng.port) as house:
            await reports(house, Status.START)
            await until(lambda: bng.lists() == {"s-1": "edged-blocked"})
            await house.database.write(("UPDATE sessions SET started = 1.0, updated = 3.0", ()))
            await house.accounting.end_silent()
        bng.acted.clear()
        async with house_in(tmp_path, billing.url, bng.port) as house:
            assert [s.silent for s in await house.sessions.silent_on_record()] == [1]
            await until(lambda: house.enforce.status()["127.0.0.1"].ok)
            assert bng.acted == [], "who has not paid stays as they are"
            billing.is_paid()
            await billing_tells(house, "e-1")
            await until(lambda: bng.lists() == {"s-1": "edged-open"})
            await until(lambda: house.bngs[0].sessions["blocked"] == 0)


async def test_what_another_client_says_of_somebodys_address_blocks_nobody_at_the_bng(tmp_path: Path) -> None:
    billing, ap = Billing(), ClientSettings(name="ap", networks=("192.0.2.9/32",), secret=SECRET)

    def says(login: str, address: str, nas: str = "") -> Packet:
        given = (
            attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", f"x-{login}"),
            attribute("User-Name", login), attribute("Framed-IP-Address", IPv4Address(address)),
            attribute("NAS-Identifier", nas),
        )  # fmt: skip
        return Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given)

    async with Bng() as bng, serve(billing), house_in(tmp_path, billing.url, bng.port) as house:
        bng.sessions["s-1"], bng.sessions["s-2"] = Line("anna", ADDRESS), Line("bert", "100.64.1.9")
        await reports(house, Status.START)
        await reports(house, Status.START, "s-2", "100.64.1.9", login="bert")
        await until(lambda: bng.lists()["s-1"] == "edged-blocked")
        for nas in ("", "127.0.0.1", "a@127.0.0.1"):
            assert await house.accounting.account(says("anna", "100.64.1.9", nas), ap, parse_address("192.0.2.9"))
        for _ in range(2):
            await reports(house, Status.INTERIM, "s-2", "100.64.1.9", login="bert")
            await house.bngs[0].read()  # and judges all of them again
        await asyncio.sleep(0.1)

        assert bng.lists() == {"s-1": "edged-blocked", "s-2": ""}
        assert house.bngs[0].sessions["known"] == 2
