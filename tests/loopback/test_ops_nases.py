# SPDX-License-Identifier: Apache-2.0
"""Access points in ``edged status`` and ``edged explain``: unknown ones, unsigned ones, and which secret they have."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edged.config.loading import load
from edged.daemon import House
from edged.ops import text
from edged.ops.answers import Answers
from edged.ops.figures import figures
from edged.ops.nases import nases
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import sign_request
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet, encode
from edged.values import Secret

NEW, OLD = Secret("the-new-secret-0002"), Secret("the-old-secret-0001")
CONFIGURATION = """\
site: north
mode: watch
state: {{directory: {directory}/state}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
subscribers: {{networks: ["127.0.0.64/26"]}}
radius:
  auth: ["127.0.0.1:0"]
  clients:
    - {{name: building-7, networks: ["127.0.0.7/32", "127.0.0.70/32"], secret: the-new-secret-0002{more}}}
"""


@asynccontextmanager
async def _house(directory: Path, more: str = "") -> AsyncIterator[House]:
    path = directory / "edged.yaml"
    path.write_text(CONFIGURATION.format(directory=directory, more=more))
    (directory / "state").mkdir()
    house = House(load(str(path)))
    await house.open()
    assert house.radius is not None
    running = asyncio.create_task(house.radius.run())
    await asyncio.sleep(0)
    try:
        yield house
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await house.close()


async def _send(house: House, source: str, octets: bytes) -> None:
    assert house.radius is not None
    counters = house.radius.counters
    before = sum(counters.requests.values()) + sum(counters.discards.values())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.bind((source, 0))
        nas.sendto(octets, ("127.0.0.1", dict(house.radius.endpoints)["auth"].port))
        async with asyncio.timeout(5.0):
            while sum(counters.requests.values()) + sum(counters.discards.values()) == before:
                await asyncio.sleep(0.005)


def _access(secret: Secret, *, signed: bool = True, identifier: int = 1) -> bytes:
    name = "02005e100009"
    password = Attribute(2, hide_password(Secret(name), secret, bytes(16)))
    packet = Packet(Code.ACCESS_REQUEST, identifier, bytes(16), (attribute("User-Name", name), password))
    return sign_request(packet, secret) if signed else encode(packet)


async def _explained(house: House, subject: str) -> dict[str, Any]:
    def told(_what: str, _done: int, _of: int | None) -> None:
        raise AssertionError("explain tells nothing on its way")

    return dict(await Answers(house).commands()["explain"]({"subject": subject}, told))


async def test_an_unknown_access_point_is_listed_with_what_to_type(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        for _ in range(3):
            await _send(house, "127.0.0.9", _access(NEW))

        (row,) = nases(house, time.time())["strangers"]
        assert (row["address"], row["count"]) == ("127.0.0.9", 3)
        assert row["since"] <= row["last"] <= time.time()
        shown = text.status(await house.answers.status_facts())
        assert "unknown NAS   127.0.0.9, 3 requests since" in shown
        assert 'networks: ["127.0.0.9"]' in shown
        facts = await _explained(house, "127.0.0.9")
        assert facts["headline"] == "127.0.0.9 asks over RADIUS and is an UNKNOWN NAS"
        assert any(sample.name == "edged_radius_strangers" and sample.value == 1 for sample in figures(house))


async def test_an_access_point_that_does_not_sign_is_listed_until_it_does(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        await _send(house, "127.0.0.7", _access(NEW, signed=False))
        unsigned = nases(house, time.time())["unsigned"]
        assert (unsigned["count"], unsigned["list"][0]["address"]) == (1, "127.0.0.7")
        assert "unsigned      1 access point without Message-Authenticator: 127.0.0.7" in text.status(
            await house.answers.status_facts()
        )
        assert "does NOT sign" in text.explain(await _explained(house, "127.0.0.7"))

        await _send(house, "127.0.0.7", _access(NEW, identifier=2))
        assert nases(house, time.time())["unsigned"]["count"] == 0
        assert "signs (Message-Authenticator)" in text.explain(await _explained(house, "127.0.0.7"))


async def test_an_access_point_that_is_dropped_for_not_signing_is_listed_as_such(tmp_path: Path) -> None:
    async with _house(tmp_path, ", message_authenticator: require") as house:
        await _send(house, "127.0.0.7", _access(NEW, signed=False))
        (row,) = nases(house, time.time())["unsigned"]["list"]
        assert (row["address"], row["client"], row["dropped"]) == ("127.0.0.7", "building-7", True)
        assert "DROPPED" in text.status(await house.answers.status_facts())
        assert "a request without Message-Authenticator" in text.explain(await _explained(house, "127.0.0.7"))


async def test_status_says_who_still_has_the_old_secret_and_when_it_may_go(tmp_path: Path) -> None:
    async with _house(tmp_path, ", secret_before: the-old-secret-0001") as house:
        (row,) = nases(house, time.time())["secrets"]
        assert row["sentence"] == "nobody was heard since the start"
        await _send(house, "127.0.0.7", _access(OLD))
        await _send(house, "127.0.0.70", _access(NEW))
        (row,) = nases(house, time.time())["secrets"]
        assert (row["old"], row["new"], row["list"]) == (1, 1, ["127.0.0.7"])
        assert "1 of 2 still use secret_before" in text.status(await house.answers.status_facts())
        assert "secret: secret_before, the old one" in text.explain(await _explained(house, "127.0.0.7"))

        await _send(house, "127.0.0.7", _access(NEW, identifier=2))
        (row,) = nases(house, time.time())["secrets"]
        assert (row["old"], row["new"]) == (0, 2)
        assert "all 2 heard since the start use secret" in row["sentence"]
        assert "secret: secret, the new one" in text.explain(await _explained(house, "127.0.0.7"))
        (sample,) = (it for it in figures(house) if it.name == "edged_radius_old_secret")
        assert (sample.value, sample.labels) == (0, (("client", "building-7"),))


async def test_explain_tells_a_known_access_point_that_was_never_heard(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        facts = await _explained(house, "127.0.0.7")
        assert facts["headline"] == "127.0.0.7 is an access point (NAS) of building-7"
        assert "not heard since the start of edged" in facts["who"]
        await _send(house, "127.0.0.7", _access(Secret("quite-another-secret")))
        facts = await _explained(house, "127.0.0.7")
        assert "dropped from this client: bad-message-authenticator" in facts["who"]


async def test_an_access_point_on_a_subscribers_line_is_explained_as_both(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        await _send(house, "127.0.0.70", _access(NEW))
        facts = await _explained(house, "127.0.0.70")
        assert facts["access"] == "open"
        assert "RADIUS client building-7" in facts["who"]


@pytest.mark.parametrize("subject", ["127.0.0.8", "127.0.0.80"])
async def test_an_address_that_radius_knows_nothing_of_is_explained_as_before(tmp_path: Path, subject: str) -> None:
    async with _house(tmp_path) as house:
        facts = await _explained(house, subject)
        assert "RADIUS" not in str(facts)
