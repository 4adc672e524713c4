# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives: only WireError from frames, no key without its MIC, no passphrase in a sealed row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.errors import WireError
from edged.mpsk.csvfile import read_keys
from edged.mpsk.desk import Desk, Search
from edged.mpsk.eapol import parse_message_2
from edged.mpsk.search import search_all
from edged.mpsk.wpa import Handshake, challenge_of, verifies
from edged.native.keysearch import prepared
from edged.policy.access import View
from edged.radius.attributes import Attribute, long_extended
from edged.radius.packet import Answer, Code, Packet
from edged.state.sealing import Seal
from edged.values import Secret
from tests.mpsk_world import (
    HOME,
    NOW,
    VECTORS,
    client,
    fake_pmk,
    handshake_request,
    mpsk_settings,
    ring_of,
    stored,
)

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

    asked = desk.ask(packet, client(dialect=dialect), HOME, View(), NOW)
    if isinstance(asked, Search):
        asked = desk.found(asked, asked.at(search_all(asked.challenge, asked.pmks)), View(), NOW)

    assert asked == Answer(Code.ACCESS_REJECT)


@given(st.integers(0, 1), st.integers(0, 1000))
def test_a_station_gets_its_own_key_and_nobody_elses(which: int, attempt: int) -> None:
    desk = Desk(mpsk_settings())
    desk.ring = ring_of(*KEYS)
    pmk = KEYS[which].pmk
    assert pmk is not None

    asked = desk.ask(handshake_request(pmk.reveal(), attempt=str(attempt)), client(), HOME, View(), NOW)

    assert isinstance(asked, Search)
    assert asked.at(search_all(asked.challenge, asked.pmks)) == KEYS[which]


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
