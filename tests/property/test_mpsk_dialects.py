# SPDX-License-Identifier: Apache-2.0
"""Whatever is cut from a golden request or changed in it: never a key without its proof, never an exception."""

from __future__ import annotations

import hmac
from functools import cache
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import WireError
from edged.mpsk.desk import Desk
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.keyring import compile_keyring
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attribute
from edged.radius.clients import Source
from edged.radius.mending import mended
from edged.radius.packet import Answer, Code, Packet, decode, encode
from edged.values import Secret
from tests.mpsk_world import HOME, HOSTAPD, NOW, VECTORS, answered, client, mpsk_settings, stored, with_attributes

GOLDEN = VECTORS["golden"]
SECRET = Secret(GOLDEN["secret"])
ROWS: list[dict[str, Any]] = GOLDEN["packets"]
UNBOUND = [row for row in ROWS if DIALECTS[row["dialect"]].read]
BROKEN = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")


@cache
def desk() -> Desk:
    """One key for any device, none by MAC address: whatever is accepted was proved."""
    made = Desk(mpsk_settings(GOLDEN["ssid"], learn=False))
    key = stored("k-1", ssid=GOLDEN["ssid"], passphrase=Secret(GOLDEN["passphrase"]), vlan=GOLDEN["vlan"])
    made.ring = compile_keyring([key], (), (GOLDEN["ssid"],), NOW)
    return made


def asked(packet: Packet, word: str) -> Answer | None:
    at = desk()
    at.patience.forgive()
    return answered(at, packet, client(dialect=word))


def gives_a_key(answer: Answer | None) -> bool:
    return answer is not None and (answer.code is not Code.ACCESS_REJECT and bool(answer.attributes))


def resigned(octets: bytes) -> bytes:
    """``octets`` with its length and Message-Authenticator made right, so that nothing is refused for those."""
    whole = octets[:2] + len(octets).to_bytes(2, "big") + octets[4:]
    at = whole.find(b"\x50\x12", 20)
    if at < 0 or at + 18 > len(whole):
        return whole
    signed = whole[: at + 2] + bytes(16) + whole[at + 18 :]
    return whole[: at + 2] + hmac.digest(SECRET.reveal(), signed, "md5") + whole[at + 18 :]


def admitted(octets: bytes) -> Packet | None:
    source = Source(HOME, client(), str(HOME))
    try:
        request = admit(octets, source, AUTHENTICATION, SignedSources())
    except WireError:
        return None
    return request if isinstance(request, Packet) else None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["dialect"]))
def test_no_truncation_of_a_request_gets_a_key_unless_its_handshake_is_whole(row: dict[str, Any]) -> None:
    whole = bytes.fromhex(row["request"])
    frame = whole.find(bytes.fromhex("0203007502010a00"))
    for end in range(20, len(whole)):
        packet = admitted(resigned(whole[:end]))
        if packet is None:
            continue
        for word in ("auto", row["dialect"]):
            if gives_a_key(asked(packet, word)):
                # only what stands behind the handshake is missing
                assert frame > 0
                assert end >= frame + 121


@pytest.mark.parametrize("row", UNBOUND, ids=lambda row: str(row["dialect"]))
def test_no_changed_octet_of_the_handshake_gets_a_key(row: dict[str, Any]) -> None:
    packet = decode(bytes.fromhex(row["request"]))
    anonce = bytes.fromhex("4df70a42")
    carriers = [n for n, a in enumerate(packet.attributes) if anonce in a.value or b"\x02\x03\x00\x75" in a.value]
    clear = admitted(bytes.fromhex(row["request"]))
    assert clear is not None
    accepted = set()
    for number, place in chain.from_iterable(
        ((n, p) for p in range(len(clear.attributes[n].value))) for n in carriers
    ):  # fmt: skip
        kind, value = clear.attributes[number]
        changed = Attribute(kind, value[:place] + bytes((value[place] ^ 0x01,)) + value[place + 1 :])
        given = (*clear.attributes[:number], changed, *clear.attributes[number + 1 :])
        if gives_a_key(asked(with_attributes(clear, given), "auto")):
            accepted.add((number, place))
    # outside the nonce and the frame stand only reserved flags and fields that say a second time what is said elsewhere
    for number, place in accepted:
        value = clear.attributes[number].value
        for secret in (bytes.fromhex("4df70a4285c5c61f"), b"\x02\x03\x00\x75"):
            start = value.find(secret)
            size = 32 if secret[0] == 0x4D else 121
            assert start < 0 or not start <= place < start + size


MUTATIONS = st.lists(st.tuples(st.integers(20, 4000), st.integers(0, 255)), min_size=1, max_size=6)


@given(st.sampled_from(ROWS), MUTATIONS, st.sampled_from(["auto", *DIALECTS]))
def test_no_mutation_of_a_request_raises_or_gets_a_key_without_its_handshake(
    row: dict[str, Any], mutations: list[tuple[int, int]], word: str
) -> None:
    octets = bytearray.fromhex(row["request"])
    for place, value in mutations:
        octets[20 + place % (len(octets) - 20)] = value
    packet = admitted(resigned(bytes(octets)))

    if packet is not None and gives_a_key(asked(packet, word)):
        # the whole message 2 is still there, and only a proof gives a key
        assert bytes.fromhex("0203007502010a00") in b"".join(a.value for a in packet.attributes)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=60)), max_size=12), st.sampled_from(["auto", *DIALECTS])
)
def test_no_block_of_any_vendor_raises_or_gets_a_key(blocks: list[tuple[int, bytes]], word: str) -> None:
    vendors = (9, 25053, 29671, 11863, 52970, 26928, 14823, 14988, 17713, 2011)
    whole = decode(bytes.fromhex(ROWS[0]["request"]))
    given_ = [
        Attribute(26, vendors[(kind * 3 + len(octets)) % len(vendors)].to_bytes(4, "big") + octets)
        for kind, octets in blocks
    ]
    named = tuple(a for a in whole.attributes if a.type != 2)

    assert not gives_a_key(asked(with_attributes(whole, (*named, *given_)), word))


@given(MUTATIONS)
def test_a_mended_packet_decodes_whatever_was_changed_in_the_broken_one(mutations: list[tuple[int, int]]) -> None:
    secret = Secret(BROKEN["secret"])
    octets = bytearray.fromhex(BROKEN["request_hex"])
    for place, value in mutations:
        octets[38 + place % (len(octets) - 38)] = value
    signed = bytes(octets[:22]) + bytes(16) + bytes(octets[38:])
    octets[22:38] = hmac.digest(secret.reveal(), signed, "md5")

    whole = mended(bytes(octets), secret)

    assert whole is None or len(encode(decode(whole))) == len(whole)
