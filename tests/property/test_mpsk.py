# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives: only WireError from frames, no key without its MIC, no passphrase in a sealed row."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.errors import WireError
from edged.mpsk.csvfile import read_keys
from edged.mpsk.desk import Desk, Search
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.search import search_all
from edged.mpsk.wpa import SUITES, Handshake, challenge_of, verifies
from edged.native import keysearch
from edged.native.keysearch import MISS, prepared
from edged.policy.access import View
from edged.radius.attributes import Attribute, long_extended
from edged.radius.packet import Answer, Code, Packet
from edged.state.keys import Sighting, StoredKey
from edged.state.sealing import Seal
from edged.values import Secret, mac_octets
from tests.mpsk_world import (
    BSSID,
    HOME,
    MAC,
    NOW,
    OTHER_MAC,
    SSID,
    VECTORS,
    answered,
    client,
    fake_pmk,
    handshake_request,
    message_2,
    mpsk_settings,
    ring_of,
    stored,
)
from tests.native import KERNELS, kernel

FRAMES = [bytes.fromhex(row["frame"]) for row in VECTORS["handshakes"]]
KEYS = [stored("k-1"), stored("k-2", vlan=7)]


@st.composite
def bent_frames(draw: st.DrawFn) -> bytes:
    """A real message 2 with some octets changed, cut or doubled."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 6))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))]) + draw(st.binary(max_size=40))


@given(st.one_of(st.binary(max_size=400), bent_frames()))
def test_any_octets_make_a_message_or_a_wire_error(octets: bytes) -> None:
    try:
        message = parse_message_2(octets)
    except WireError:
        return
    assert len(message.unsigned) <= len(octets)
    challenge_of(Handshake(b"a" * 6, b"s" * 6, bytes(32), message, b"x" * 32))


@given(bent_frames(), st.binary(min_size=32, max_size=32))
def test_a_key_is_found_only_if_its_mic_verifies(frame: bytes, pmk: bytes) -> None:
    try:
        message = parse_message_2(frame)
    except WireError:
        return
    row = VECTORS["handshakes"][0]
    aa, spa, anonce = (bytes.fromhex(row[name]) for name in ("aa", "spa", "anonce"))
    challenge = challenge_of(Handshake(aa, spa, anonce, message, row["ssid"].encode()))
    if challenge is None:
        return
    real = bytes.fromhex(row["pmk"])

    found = search_all(challenge, (prepared(pmk), prepared(real)))

    assert (found == (1, 0)) is (verifies(challenge, real) and not verifies(challenge, pmk))
    # every octet of the frame is under the MIC: only the untouched one verifies, whatever padding follows it
    assert (found is not None) is (message == parse_message_2(FRAMES[0]))


ATTRIBUTES = st.one_of(
    st.builds(Attribute, st.integers(1, 255), st.binary(max_size=253)),
    st.builds(Attribute, st.sampled_from([1, 2, 26, 30, 31, 79, 188, 245]), st.binary(max_size=60)),
    st.builds(Attribute, st.just(1), st.just(b"02005e100001")),
    st.builds(Attribute, st.just(30), st.just(b"34-EF-B6-AF-48-9E:Residence")),
    bent_frames().map(lambda f: long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", f)[0]),
    st.just(long_extended("FreeRADIUS-802.1X-Anonce", bytes(32))[0]),
)


@given(
    st.lists(ATTRIBUTES, max_size=20),
    st.sampled_from(["auto", "hostapd", "hostapd-psk", "mikrotik", "cisco-ipsk"]),
)
def test_no_request_without_proof_is_accepted_and_none_raises(attributes: list[Attribute], dialect: str) -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(*KEYS)
    packet = Packet(Code.ACCESS_REQUEST, 1, bytes(16), tuple(attributes))

    assert answered(desk, packet, client(dialect=dialect)) == Answer(Code.ACCESS_REJECT)


@given(st.integers(0, 1), st.integers(0, 1000))
def test_a_station_gets_its_own_key_and_nobody_elses(which: int, attempt: int) -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(*KEYS)
    pmk = KEYS[which].pmk
    assert pmk is not None

    asked = desk.ask(handshake_request(pmk.reveal(), attempt=str(attempt)), client(), HOME, View(), NOW)

    assert isinstance(asked, Search)
    assert asked.at(search_all(asked.challenge, asked.pmks)) == KEYS[which]


TIMES = st.sampled_from([0.0, NOW - 60, NOW - 1, NOW, NOW + 1, NOW + 60])


@st.composite
def keys_of_a_building(draw: st.DrawFn) -> StoredKey:
    """One of a few passphrases, its beginning, its end, its site and its devices as they may come."""
    key_id = draw(st.sampled_from(["a", "b", "c", "d"]))
    return stored(
        key_id, revoked=draw(TIMES), not_before=draw(TIMES), expires=draw(TIMES),
        site=draw(st.sampled_from(["", "building-7", "building-8"])),
        devices=draw(st.sampled_from([(), (), (MAC,), (OTHER_MAC,)])),
    )  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", KERNELS, ids=lambda name: name or "twin")
@given(
    keys=st.lists(keys_of_a_building(), max_size=4, unique_by=lambda s: s.name),
    holds=st.sampled_from(["a", "b", "c", "d", "nobody's"]),
    suite=st.sampled_from(list(SUITES)),
    last=st.sampled_from([None, "a", "b"]),
)
def test_a_key_is_never_given_to_a_handshake_that_it_did_not_make_nor_after_it_ended(
    monkeypatch: pytest.MonkeyPatch, name: str, *, keys: list[StoredKey], holds: str, suite: str, last: str | None
) -> None:
    monkeypatch.setattr(keysearch, "KERNEL", kernel(name))
    desk = Desk(mpsk_settings())
    used = [k for k in keys if k.key.id == last]
    desk.ring = ring_of(*keys, sightings=tuple(Sighting(SSID, MAC, k.name, NOW - 9) for k in used))
    pmk = stored(holds).pmk
    assert pmk is not None

    answer = answered(desk, handshake_request(pmk.reveal(), suite=suite), client("building-7"))

    good = [
        k for k in keys
        if k.key.id == holds and k.key.site in {"", "building-7"} and (not k.key.devices or MAC in k.key.devices)
        and (not k.revoked or k.revoked > NOW) and k.key.not_before <= NOW
        and (not k.key.expires or k.key.expires > NOW)
    ]  # fmt: skip
    assert answer is not None
    assert answer.code is (Code.ACCESS_ACCEPT if good else Code.ACCESS_REJECT)
    told = desk.explain_device(MAC)
    assert told is not None
    if good:
        assert told.key == good[0].name


def mended(frame: bytes) -> bytes:
    """Its lengths as long as it is."""
    if len(frame) < 99:
        return frame
    return (
        frame[:2]
        + (len(frame) - 4).to_bytes(2, "big")
        + frame[4:97]
        + (len(frame) - 99).to_bytes(2, "big")
        + frame[99:]
    )


@pytest.mark.parametrize("name", KERNELS, ids=lambda name: name or "twin")
@pytest.mark.parametrize("suite", list(SUITES))
def test_no_truncated_frame_finds_a_key(monkeypatch: pytest.MonkeyPatch, name: str, suite: str) -> None:
    monkeypatch.setattr(keysearch, "KERNEL", kernel(name))
    pmk = fake_pmk("station").reveal()
    searched = prepared(fake_pmk("other").reveal() + pmk)
    anonce, frame = message_2(pmk, suite=suite)
    aa, spa = mac_octets(BSSID), mac_octets(MAC)
    found = {}
    for length in range(len(frame) + 1):
        for octets in {frame[:length], mended(frame[:length])}:
            try:
                message = parse_message_2(octets)
            except WireError:
                continue
            made = challenge_of(Handshake(aa, spa, anonce, message, SSID.encode(), None))
            if made is not None:
                found[octets] = searched.search(made)

    assert found.pop(frame) == 1
    assert set(found.values()) <= {MISS}
    assert len(found) > 0


@pytest.mark.parametrize("name", KERNELS, ids=lambda name: name or "twin")
@pytest.mark.parametrize("row", VECTORS["handshakes"], ids=lambda row: str(row["name"]))
def test_every_octet_of_a_public_capture_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, row: dict[str, Any]
) -> None:
    monkeypatch.setattr(keysearch, "KERNEL", kernel(name))
    aa, spa, anonce, frame, pmk = (bytes.fromhex(row[part]) for part in ("aa", "spa", "anonce", "frame", "pmk"))
    searched = prepared(bytes(32) + pmk)

    def place(octets: bytes) -> int:
        made = challenge_of(Handshake(aa, spa, anonce, parse_message_2(octets), row["ssid"].encode()))
        return MISS if made is None else searched.search(made)

    assert place(frame) == 1
    for at in range(len(frame)):
        bent = frame[:at] + bytes((frame[at] ^ 0x40,)) + frame[at + 1 :]
        with suppress(WireError):
            assert place(bent) == MISS
        with suppress(WireError):
            assert place(mended(frame[:at])) == MISS


@given(st.binary(min_size=8, max_size=64), st.text(max_size=40))
def test_a_sealed_value_never_shows_its_secret_and_opens_in_its_place(octets: bytes, place: str) -> None:
    seal = Seal(fake_pmk("seal"))

    sealed = seal.close(Secret(octets), place)

    assert octets not in sealed
    assert seal.open(sealed, place) == Secret(octets)


@given(
    st.one_of(st.text(max_size=300), st.text('ssid,vlan\n"Residence 12;\t', max_size=200).map("ssid,vlan\n".__add__))
)
def test_any_text_is_keys_or_problems(text: str) -> None:
    keys, problems = read_keys(text, ("Residence",), lambda: "id", lambda: Secret("made-passphrase-42"))

    assert problems or all(key.ssid == "Residence" for key in keys)
