# SPDX-License-Identifier: Apache-2.0
"""A small building for the tests of the key room: vectors, stations that make real MICs, requests, keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from edged.model import Key, Snapshot, State, Subscriber
from edged.mpsk.desk import Desk, Search
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.keyring import Keyring, compile_keyring
from edged.mpsk.memory import Stale
from edged.mpsk.search import search_all
from edged.mpsk.settings import MpskSettings, NetworkSettings
from edged.mpsk.wpa import Handshake, challenge_of, mic_of, name_of, pmk_of
from edged.native.keysearch import Challenge
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.attributes import Attribute, attribute, long_extended
from edged.radius.packet import Answer, Code, Packet
from edged.radius.settings import ClientSettings
from edged.state.keys import LOCAL, Sighting, StoredKey
from edged.values import MacAddress, Secret, mac_octets, parse_address

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = yaml.safe_load((FOLDER / "mpsk.yaml").read_text("utf-8"))
HOSTAPD: list[dict[str, Any]] = json.loads((FOLDER / "mpsk_hostapd.json").read_text("utf-8"))["vectors"]

NOW = 1_800_000_000.0
DAY = 86400.0
SSID = "Residence"
MAC = MacAddress("02:00:5e:10:00:01")
OTHER_MAC = MacAddress("02:00:5e:10:00:02")
BSSID = MacAddress("34:ef:b6:af:48:9e")
HOME = parse_address("127.0.0.1")
SECRET = Secret("edged-test-secret-0001")
OPEN = View()
BLOCKED = View(compile_table(Snapshot("s", "1", NOW, (Subscriber("1001", State.BLOCKED),)), SubscribersSettings()))
"""Billing says that 1001 has not paid."""
PASSPHRASE = "copper-otter-violin-42"

NO_NAME = b"\x5a" * 16
"""Where a station of FT puts its PMKR1Name."""
RSNE = {
    "psk-md5": bytes.fromhex("30140100000fac020100000fac020100000fac020000"),
    "psk-sha1": bytes.fromhex("30140100000fac040100000fac040100000fac020000"),
    "psk-sha256": bytes.fromhex("30140100000fac040100000fac040100000fac06c000"),
    "sae": bytes.fromhex("30140100000fac040100000fac040100000fac08c000"),
    # with a PMKR1Name, the mobility domain, and the holders of the keys in the FTE
    "ft-psk": bytes.fromhex("30260100000fac040100000fac040100000fac0400000100" + NO_NAME.hex())
    + bytes.fromhex("3603a1b200" + "3760" + "00" * 82 + "010602005e0000f1" + "0304")
    + b"ap-7",
}
_INFORMATION = {"psk-md5": 0x0109, "psk-sha1": 0x010A, "psk-sha256": 0x010B, "ft-psk": 0x010B, "sae": 0x0108}


def network(**settings: Any) -> NetworkSettings:
    return NetworkSettings.model_validate(settings)


def mpsk_settings(ssid: str = SSID, **settings: Any) -> MpskSettings:
    return MpskSettings(networks={ssid: network(**settings)})


def client(name: str = "building-7", dialect: str = "auto") -> ClientSettings:
    return ClientSettings.model_validate(
        {"name": name, "networks": ["127.0.0.0/8"], "secret": SECRET, "dialect": dialect}
    )


def fake_pmk(seed: object) -> Secret:
    """A PMK that cost nothing to derive."""
    return Secret(sha256(repr(seed).encode()).digest())


def stored(
    key_id: str = "k-1", *, derived: bool = True, revoked: float = 0.0, origin: str = LOCAL, **fields: Any
) -> StoredKey:
    """A key whose PMK belongs to its passphrase."""
    key = replace(Key(key_id, SSID, Secret(f"passphrase-of-{key_id}")), **fields)
    return StoredKey(origin, key, _pmk_of(key.passphrase, key.ssid) if derived else None, NOW - DAY, revoked)


_pmk_of = cache(pmk_of)  # to derive one costs 3 ms


def many(count: int, **fields: Any) -> list[StoredKey]:
    """Keys with PMKs that nothing was derived for: only one that a station uses must be real."""
    return [
        StoredKey(LOCAL, replace(Key(f"n-{i}", SSID, Secret(f"number-{i:08}")), **fields), fake_pmk(i), NOW)
        for i in range(count)
    ]


def ring_of(*keys: StoredKey, sightings: tuple[Sighting, ...] = (), now: float = NOW) -> Keyring:
    return compile_keyring(keys, sightings, (SSID,), now)


def rechecked(steps: Iterable[list[Stale]]) -> list[Stale]:
    """What a whole look found."""
    return [stale for step in steps for stale in step]


def nonce(seed: str) -> bytes:
    return sha256(seed.encode()).digest()


def message_2(
    pmk: bytes, mac: MacAddress = MAC, *, bssid: MacAddress = BSSID, suite: str = "psk-sha1",
    attempt: str = "1", data: bytes | None = None,
) -> tuple[bytes, bytes]:  # fmt: skip
    """ANonce and message 2 as a station with ``pmk`` would send it."""
    data = RSNE[suite] if data is None else data
    anonce, snonce = nonce(f"anonce {attempt}"), nonce(f"snonce {mac} {attempt}")
    body = (
        b"\x02" + _INFORMATION[suite].to_bytes(2, "big") + b"\0\0" + bytes(7) + b"\x01" + snonce + bytes(32)
        + bytes(16) + len(data).to_bytes(2, "big") + data
    )  # fmt: skip
    frame = b"\x01\x03" + len(body).to_bytes(2, "big") + body

    def shaken() -> Handshake:
        return Handshake(mac_octets(bssid), mac_octets(mac), anonce, parse_message_2(frame), SSID.encode())

    name = name_of(shaken())
    if name is not None:
        frame = frame.replace(NO_NAME, mic_of(name, pmk))
    challenge = challenge_of(shaken())
    if challenge is None:
        return anonce, frame
    return anonce, frame[:81] + mic_of(challenge, pmk) + frame[97:]


def challenge(pmk: bytes, *, suite: str = "psk-sha1") -> Challenge:
    """What a station with ``pmk`` puts every candidate to."""
    anonce, frame = message_2(pmk, suite=suite)
    made = challenge_of(Handshake(mac_octets(BSSID), mac_octets(MAC), anonce, parse_message_2(frame), SSID.encode()))
    assert made is not None
    return made


def request(
    mac: MacAddress = MAC,
    *more: Attribute,
    ssid: str = SSID,
    password: bool = True,
    bssid: MacAddress = BSSID,
) -> Packet:
    """MAC authentication as hostapd spells it, the password already in clear."""
    name = mac.replace(":", "")
    called = bssid.upper().replace(":", "-").encode() + b":" + ssid.encode()
    given = (
        attribute("User-Name", name),
        *((Attribute(2, name.encode()),) if password else ()),
        attribute("Called-Station-Id", called),
        attribute("Calling-Station-Id", mac.upper().replace(":", "-")),
        *more,
    )
    return Packet(Code.ACCESS_REQUEST, 1, bytes(16), given)


def with_attributes(packet: Packet, attributes: tuple[Attribute, ...]) -> Packet:
    return Packet(packet.code, packet.identifier, packet.authenticator, attributes)


def handshake_request(
    pmk: bytes, mac: MacAddress = MAC, *, suite: str = "psk-sha1", attempt: str = "1", akm: int | None = None
) -> Packet:
    """As hostapd's mode 3 asks for a station with ``pmk``."""
    anonce, frame = message_2(pmk, mac, suite=suite, attempt=attempt)
    akms = () if akm is None else (attribute("WLAN-AKM-Suite", akm),)
    return request(
        mac,
        *akms,
        *long_extended("FreeRADIUS-802.1X-Anonce", anonce),
        *long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", frame),
    )


def answered(desk: Desk, packet: Packet, asking: ClientSettings, view: View = OPEN, now: float = NOW) -> Answer | None:
    """What the desk says in the end, once the search that it may want has been run."""
    asked = desk.ask(packet, asking, HOME, view, now)
    if not isinstance(asked, Search):
        return asked
    return desk.found(asked, asked.at(search_all(asked.challenge, asked.pmks)), view, now)
