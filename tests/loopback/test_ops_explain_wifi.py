# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of a Wi-Fi device whatever became of its last request: billing's devices, unknown SSIDs, EAP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.daemon import House
from edged.model import Key
from edged.mpsk.facts import KeyFacts
from edged.ops import text
from edged.ops.explain.wifi import _before
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import sign_request
from edged.radius.packet import Code, Packet
from edged.values import Secret, parse_mac
from tests.loopback.house import ask, at_work, written

SECRET = Secret("a-secret-of-building-7")
CONFIGURATION = """\
site: tower-12
mode: watch
state: {{directory: {directory}/state}}
subscribers: {{networks: ["100.64.0.0/10"]}}
billing: {{source: file, path: {directory}/billing.json}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["127.0.0.1/32"], secret: a-secret-of-building-7}}]
mpsk: {{networks: {{Residence: {{}}}}}}
ops: {{socket: {directory}/control.sock}}
"""
LISTED, OTHER = "02:00:5e:10:00:0a", "02:00:5e:10:00:0b"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    listed = {"id": "2001", "state": "notice", "reason": "unpaid", "addresses": ["100.64.7.9"], "devices": [LISTED]}
    blocked = {"id": "2002", "state": "blocked", "reason": "unpaid", "addresses": ["100.64.7.10"]}
    (tmp_path / "billing.json").write_text(json.dumps({"subscribers": [listed, blocked]}))
    with capture_logs():
        async with at_work(written(tmp_path, CONFIGURATION)) as house:
            async with asyncio.timeout(10.0):
                answer = await ask(house, "sync", who="desk")
                if answer["outcome"] == "held":
                    await ask(house, "sync", accept=answer["snapshot"], who="desk")
            yield house


async def asks(house: House, mac: str, *more: Attribute, ssid: str = "Residence") -> None:
    """One request of an access point, answered."""
    assert house.radius is not None
    given = (
        attribute("User-Name", mac.replace(":", "")), attribute("Calling-Station-Id", mac.upper().replace(":", "-")),
        attribute("Called-Station-Id", b"02-00-5E-00-00-01:" + ssid.encode()), *more,
    )  # fmt: skip
    octets = sign_request(Packet(Code.ACCESS_REQUEST, 7, bytes(16), given), SECRET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.settimeout(5.0)
        nas.bind(("127.0.0.1", 0))
        nas.sendto(octets, ("127.0.0.1", dict(house.radius.endpoints)["auth"].port))
        await asyncio.to_thread(nas.recv, 4096)


async def explained(house: House, subject: str) -> tuple[dict[str, Any], str]:
    facts = await ask(house, "explain", subject=subject)
    return facts, " ".join(text.explain(facts).split())


@pytest.mark.parametrize(
    ("ssid", "more", "where", "reason"),
    [
        ("Residense", (), "REJECTED on Residense", "unknown-ssid: this SSID is not under mpsk.networks"),
        ("Resi\x1bdence", (), r"REJECTED on 'Resi\x1bdence'", "unknown-ssid: "),
        ("Residence", (attribute("EAP-Message", b"\x02\x00\x00\x05\x01"),), "REJECTED", "not-mac-authentication: EAP"),
        ("Residence", (), "REJECTED on Residence", "unknown-device: asked by MAC address"),
    ],
)
async def test_a_device_that_was_rejected_is_told_apart_from_one_that_never_asked(
    ssid: str, more: tuple[Attribute, ...], where: str, reason: str, house: House
) -> None:
    assert "has not asked for the Wi-Fi since the start" in (await explained(house, OTHER))[0]["headline"]

    await asks(house, OTHER, *more, ssid=ssid)

    facts, shown = await explained(house, OTHER)
    assert facts["headline"].startswith(f"{OTHER} was {where}")
    assert facts["headline"].endswith("ago, asked by building-7")
    assert f"reason {reason}" in shown


async def test_a_device_that_is_refused_again_and_again_is_counted_and_one_reason_at_a_time(house: House) -> None:
    for _ in range(3):
        await asks(house, OTHER)
    assert " ago (3 times in " in (await explained(house, OTHER))[0]["headline"]

    await asks(house, OTHER, ssid="Residense")
    assert "times" not in (await explained(house, OTHER))[0]["headline"]


def test_of_the_key_that_a_refused_device_had_its_end_and_the_residents_present_one_are_told() -> None:
    def key(name: str, standing: str, expires: float = 0.0, revoked: float = 0.0) -> KeyFacts:
        return KeyFacts(name, "local", "Residence", "", "2001", "", None, standing, 0.0, expires, revoked, (), ())

    gone, now = key("k-5a1", "revoked", revoked=1_795_672_800.0), key("k-812", "good")

    assert list(_before(gone, [gone, now])) == [
        "it has used key k-5a1, which was revoked 2026-11-26 06:00 UTC",
        "the resident's key now:  edged keys sheet k-812",
    ]
    assert list(_before(key("k-1", "expired", expires=1_795_672_800.0), [gone])) == [
        "it has used key k-1, which expired 2026-11-26 06:00 UTC"
    ]
    assert list(_before(now, [now])) == ["it has used key k-812"]


async def test_of_a_device_that_billing_lists_the_last_request_is_told_too(house: House) -> None:
    before, _ = await explained(house, LISTED)
    assert before["access"] == "notice"
    assert "Wi-Fi: " not in " ".join(before["who"])

    await asks(house, LISTED)
    _, shown = await explained(house, LISTED)
    assert "Wi-Fi: REJECTED on Residence" in shown
    assert "reason unknown-device" in shown

    key = Key("k-1", "Residence", Secret("copper-otter-violin-42"), vlan=112, devices=(parse_mac(LISTED),))
    await house.mpsk.replace_billing([key])
    await asks(house, LISTED)
    facts, shown = await explained(house, LISTED)
    assert facts["access"] == "notice"
    assert "Wi-Fi: let on to Residence" in shown
    assert "key k-1, VLAN 112" in shown
    assert "good for these alone: 02:00:5e:10:00:0a" in (await explained(house, "k-1"))[1]


async def test_in_watch_mode_a_key_is_not_said_to_get_what_it_would_get(house: House) -> None:
    await house.mpsk.replace_billing([Key("k-2", "Residence", Secret("copper-otter-violin-43"), subscriber="2002")])

    facts, shown = await explained(house, "k-2")

    assert "subscriber 2002 is blocked; edged is watching, so nothing is done about it" in shown
    assert "gets" not in facts
