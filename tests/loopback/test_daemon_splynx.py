# SPDX-License-Identifier: Apache-2.0
"""The whole house on a stand-in for Splynx: its lists, its webhook, its live sessions. No real product is behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edged.daemon import House
from edged.model import Access
from tests.loopback.house import at_work, written
from tests.loopback.splynx_server import Books, SplynxServer, serve

SECRET = "hook-secret-of-a-test"
CONFIGURATION = """\
site: tower-12
mode: enforce
state: {{directory: {directory}/state}}
billing:
  source: splynx
  url: {url}
  key: a-key
  secret: a-secret
  poll: {{changes: 1h, sessions: {sessions}, full: 1h}}
  guard: {{first: accept}}
  webhook: {{listen: "127.0.0.1:0", path: /hooks/splynx, secret: {secret}}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8:100::/40"]}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""
STATIC, DYNAMIC, DELEGATED = "100.64.0.7", "100.64.9.9", "2001:db8:100:700::1"


def books() -> Books:
    """Customer 7 with a static address, 8 with a dynamic one; 9 pays in time."""
    customers = [
        {"id": name, "login": f"c{name}", "status": "active", "partner_id": 1, "name": f"Customer {name}"}
        for name in (7, 8, 9)
    ]
    services = [
        {"id": 100 + name, "customer_id": name, "status": "active", "login": f"s{name}@fibre", "taking_ipv4": taking,
         "ipv4": STATIC if taking == 1 else "", "ipv4_route": "", "ipv6": "", "ipv6_delegated": "", "mac": ""}
        for name, taking in ((7, 1), (8, 2))
    ]  # fmt: skip
    return Books(customers=customers, services=services)


def online(name: int, address: str, **more: Any) -> dict[str, Any]:
    times = {"start_session": "2026-11-18 10:00:00", "last_change": "2026-11-18 11:04:50"}
    who = {"id": name, "customer_id": name, "service_id": 100 + name, "login": f"s{name}@fibre"}
    return who | times | {"ipv4": address, "ipv6": "", "mac": ""} | more


@pytest.fixture
async def splynx() -> AsyncIterator[SplynxServer]:
    async with serve(SplynxServer(books(), key="a-key", secret="a-secret")) as server:
        yield server


@asynccontextmanager
async def house_in(directory: Path, server: SplynxServer, sessions: str = "1h") -> AsyncIterator[House]:
    values = {"url": server.url, "secret": SECRET, "sessions": sessions}
    async with at_work(written(directory, CONFIGURATION, **values)) as house:
        await until(lambda: bool(house.current.view.table.snapshot_id))
        yield house


def access(house: House, address: str) -> Access:
    return house.current.view.decide(ip_address(address), time.time()).access


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def hook(house: House, customer: int, secret: str = SECRET) -> int:
    """The status of a post as Splynx sends it when a customer has changed."""
    assert house.office.hooks is not None
    event = {"type": "event", "call": "customer/update", "data": {"model": "customer", "customer_id": customer}}
    octets = json.dumps(event).encode()
    headers = {"X-Splynx-Signature": hmac.new(secret.encode(), octets, hashlib.sha1).hexdigest()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{house.office.hooks.endpoint}/hooks/splynx", data=octets, headers=headers) as reply,
    ):
        return reply.status


async def test_a_block_and_a_payment_are_in_force_within_a_second_of_the_webhook(
    tmp_path: Path, splynx: SplynxServer
) -> None:
    async with house_in(tmp_path, splynx) as house:
        assert access(house, STATIC) is Access.OPEN
        splynx.books.move(7, "blocked")
        began = time.monotonic()
        assert await hook(house, 7) == 200
        await until(lambda: access(house, STATIC) is Access.BLOCKED)
        assert time.monotonic() - began < 1.0, "the next poll is an hour away"

        splynx.books.move(7, "active")
        await asyncio.sleep(1.0)  # one customer is asked about once a second
        began = time.monotonic()
        assert await hook(house, 7) == 200
        await until(lambda: access(house, STATIC) is Access.DRAIN)
        assert time.monotonic() - began < 1.0


async def test_a_webhook_that_lies_changes_nothing(tmp_path: Path, splynx: SplynxServer) -> None:
    async with house_in(tmp_path, splynx) as house:
        assert await hook(house, 7) == 200  # signed, but customer 7 is as active as before
        assert await hook(house, 7, "a guess") == 401
        await asyncio.sleep(0.3)

        assert access(house, STATIC) is Access.OPEN


async def test_a_blocked_customer_with_a_changing_address_is_blocked_where_they_are_online(
    tmp_path: Path, splynx: SplynxServer
) -> None:
    splynx.books.move(8, "blocked")
    splynx.books.online = [online(8, DYNAMIC, ipv6_delegated="2001:db8:100:700::/56"), online(9, "100.64.9.10")]
    async with house_in(tmp_path, splynx, sessions="300ms") as house:
        await until(lambda: access(house, DYNAMIC) is Access.BLOCKED)
        await until(lambda: access(house, DELEGATED) is Access.BLOCKED)
        assert access(house, "100.64.9.10") is Access.OPEN

        splynx.books.online = [online(8, "100.64.9.11"), online(9, DYNAMIC)]  # the address is another's now

        await until(lambda: access(house, "100.64.9.11") is Access.BLOCKED)
        assert access(house, DYNAMIC) in {Access.OPEN, Access.DRAIN}
