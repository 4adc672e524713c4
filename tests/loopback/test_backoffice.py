# SPDX-License-Identifier: Apache-2.0
"""Everything between edged and billing, as it is built from a configuration, reloaded and stopped."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edged.backoffice import BackOffice
from edged.billing.settings import BillingSettings
from edged.config.schema import Config
from edged.model import Event, EventType, OnlineSession, Snapshot, Subscriber, untold
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import KeyStore
from edged.state.outbox import OutboxStore
from edged.state.sealing import Seal
from edged.values import Secret
from tests.loopback.feed_server import Feed, FeedServer, serve

WEBHOOK = {"listen": "127.0.0.1:0", "path": "/hooks/billing", "secret": "a-secret-of-a-test"}
FILE = {"source": "file", "path": "/nowhere/billing.yaml"}
REST = {"source": "rest", "url": "https://billing.example.net", "poll": {"changes": "1h", "full": "1h"}}


async def _publish(snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
    assert words is None, snapshot.id


async def _hear(_sessions: tuple[OnlineSession, ...], doubtful: bool) -> None:
    assert not doubtful


@asynccontextmanager
async def office(directory: Path, billing: dict[str, Any] | None) -> AsyncIterator[BackOffice]:
    config = Config.model_validate({"state": {"directory": directory}, "billing": billing})
    database = Database(directory / "edged.sqlite")
    await database.open()
    built = BackOffice(
        config,
        database,
        own=(),
        publish=_publish,
        hear=_hear,
        keys=KeyStore(database, Seal(Secret(bytes(32)))),
        current=Current(),
        sessions_of=lambda _subscriber, _logins: [],
        facts=dict,
    )
    try:
        yield built
    finally:
        await built.stop()
        await built.close()
        await database.close()


@pytest.mark.parametrize(
    ("billing", "rooms"),
    [
        (None, set()),
        (FILE, {"billing", "sessions"}),
        (FILE | {"webhook": WEBHOOK}, {"billing", "sessions", "hooks"}),
        (REST, {"billing", "sessions", "events"}),
        (REST | {"webhook": WEBHOOK}, {"billing", "sessions", "hooks", "events"}),
    ],
)
async def test_what_runs_is_what_the_configuration_has_and_the_source_can(
    tmp_path: Path, billing: dict[str, Any] | None, rooms: set[str]
) -> None:
    async with office(tmp_path, billing) as built:
        assert set(built.rooms()) == rooms
        assert (built.tell is untold) == ("events" not in rooms)
        built.tell(Event(EventType.PAGE_OPENED, 0.0, "1001"))


async def test_events_stop_last_since_rooms_may_tell_until_they_stop(tmp_path: Path) -> None:
    async with office(tmp_path, REST | {"webhook": WEBHOOK}) as built:
        await built.stop()
        built.tell(Event(EventType.PAGE_OPENED, 0.0, "1001"))
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    assert await OutboxStore(database).count() == 1
    await database.close()


async def test_a_reload_changes_how_often_sessions_are_asked_for(tmp_path: Path) -> None:
    async with office(tmp_path, FILE | {"poll": {"sessions": "5m", "changes": "7m"}}) as built:
        assert built.online is not None
        assert built.online.every == 300.0

        built.reconfigure(BillingSettings.model_validate(FILE | {"poll": {"sessions": "20s"}}), ())

        assert built.online.every == 20.0


async def post(built: BackOffice, document: dict[str, Any], *, secret: str = WEBHOOK["secret"]) -> int:
    assert built.hooks is not None
    octets = json.dumps({"at": datetime.now(UTC).isoformat()} | document).encode()
    headers = {"X-Edged-Signature": "sha256=" + hmac.new(secret.encode(), octets, hashlib.sha256).hexdigest()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{built.hooks.endpoint}/hooks/billing", data=octets, headers=headers) as reply,
    ):
        return reply.status


@asynccontextmanager
async def at_work(built: BackOffice) -> AsyncIterator[None]:
    await built.start()
    running = [asyncio.create_task(run()) for name, run in built.rooms().items() if name in {"billing", "hooks"}]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize(
    ("hint", "polls"), [({"keys": ["k-1"]}, 2), ({}, 2), ({"subscribers": ["1001"]}, 1)], ids=["keys", "all", "one"]
)
async def test_a_hint_of_keys_or_of_nobody_in_particular_polls_now_and_one_of_a_subscriber_asks_for_them_alone(
    tmp_path: Path, hint: dict[str, Any], polls: int
) -> None:
    server = FeedServer(Feed([], known=100, active={"1001"}))
    async with (
        serve(server),
        office(tmp_path, REST | {"url": server.url, "webhook": WEBHOOK}) as built,
        at_work(built),
        asyncio.timeout(10),
    ):
        assert built.billing is not None
        while not built.billing.status().snapshot:
            await asyncio.sleep(0.01)
        server.requests.clear()

        assert await post(built, {"id": "e-1"} | hint) == 202
        while not server.requests:
            await asyncio.sleep(0.01)

        assert built.billing.counters.polls == polls
        assert ("GET /subscribers/1001" in server.requests) == (polls == 1)


async def test_a_reload_brings_the_webhook_another_secret(tmp_path: Path) -> None:
    async with office(tmp_path, REST | {"webhook": WEBHOOK}) as built, at_work(built):
        fresh = "another-secret-of-a-test"
        assert await post(built, {"id": "e-1"}, secret=fresh) == 401

        built.reconfigure(BillingSettings.model_validate(REST | {"webhook": WEBHOOK | {"secret": fresh}}), ())

        assert await post(built, {"id": "e-2"}, secret=fresh) == 202
        assert await post(built, {"id": "e-3"}) == 401
