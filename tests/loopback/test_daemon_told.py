# SPDX-License-Identifier: Apache-2.0
"""The whole house and its billing: a payment that billing tells of opens the line at once; a pass is told of."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from edged.daemon import House
from edged.model import Access
from tests.loopback.feed_server import Feed, ToldFeedServer, serve
from tests.loopback.house import at_work, written

SECRET = "a-secret-of-a-test"
CONFIGURATION = """\
site: tower-12
mode: enforce
state: {{directory: {directory}/state}}
billing:
  source: rest
  url: {url}
  key: a-key-of-a-test
  poll: {{changes: 1h, full: 1h}}
  guard: {{first: accept}}
  webhook: {{listen: "127.0.0.1:0", path: /hooks/billing, secret: {secret}}}
subscribers: {{networks: ["127.0.0.0/8"]}}
portal: {{pass: {{per_day: 1}}}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""


class Billing(ToldFeedServer):
    """The feed, and what it was told."""

    def __init__(self) -> None:
        blocked = {"id": "1001", "state": "blocked", "reason": "unpaid", "addresses": ["127.0.0.2"]}
        super().__init__(Feed([blocked], known=100), token="a-key-of-a-test")


@asynccontextmanager
async def house_in(directory: Path, url: str) -> AsyncIterator[House]:
    async with at_work(written(directory, CONFIGURATION, url=url, secret=SECRET)) as house:
        yield house


def access(house: House) -> Access:
    return house.current.view.decide_id("1001", time.time()).access


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def post(house: House, octets: bytes) -> int:
    assert house.office.hooks is not None
    headers = {"X-Edged-Signature": "sha256=" + hmac.new(SECRET.encode(), octets, hashlib.sha256).hexdigest()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{house.office.hooks.endpoint}/hooks/billing", data=octets, headers=headers) as reply,
    ):
        return reply.status


def hint(post_id: str) -> bytes:
    return json.dumps({"id": post_id, "at": datetime.now(UTC).isoformat(), "subscribers": ["1001"]}).encode()


async def test_a_payment_that_billing_tells_of_opens_the_line_at_once_and_a_replay_after_a_restart_is_refused(
    tmp_path: Path,
) -> None:
    billing = Billing()
    octets = hint("e-1")
    async with serve(billing), house_in(tmp_path, billing.url) as house:
        await until(lambda: access(house) is Access.BLOCKED)
        billing.feed = Feed([], known=100, active={"1001"})

        began = time.monotonic()
        assert await post(house, octets) == 202
        await until(lambda: access(house) is Access.OPEN)
        assert time.monotonic() - began < 1.0, "the next poll is an hour away"
    async with serve(billing), house_in(tmp_path, billing.url) as house:
        assert await post(house, octets) == 409


async def test_a_pass_is_told_to_billing(tmp_path: Path) -> None:
    billing = Billing()
    async with serve(billing), house_in(tmp_path, billing.url) as house:
        await until(lambda: access(house) is Access.BLOCKED)

        assert await house.clerk.start_pass("1001")

        await until(lambda: billing.told)
        (event,) = billing.told
        assert (event["type"], event["subscriber"], event["edge"]) == ("pass.started", "1001", "tower-12")
