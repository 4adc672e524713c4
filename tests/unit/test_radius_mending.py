# SPDX-License-Identifier: Apache-2.0
"""The packet that hostapd 2.11 breaks: a long message 2 of fast transition, recorded from a real access point."""

from __future__ import annotations

import hmac

import pytest

from edged.errors import WireError
from edged.mpsk.desk import Desk, Search
from edged.mpsk.keyring import compile_keyring
from edged.mpsk.search import search_all
from edged.policy.access import View
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import first
from edged.radius.authenticator import Signature, request_signature
from edged.radius.clients import Source
from edged.radius.mending import mended
from edged.radius.packet import Answer, Code, Packet, decode
from edged.values import Secret
from tests.mpsk_world import HOME, HOSTAPD, NOW, client, mpsk_settings, stored

ROW = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")
BROKEN = bytes.fromhex(ROW["request_hex"])
FRAME = bytes.fromhex(ROW["expected"]["eapol_key_msg"])
SECRET = Secret(ROW["secret"])
SSID = bytes.fromhex(ROW["ssid_hex"]).decode()
SOURCE = Source(HOME, client().model_copy(update={"secret": SECRET}), str(HOME))


def admitted(octets: bytes) -> Packet:
    request = admit(octets, SOURCE, AUTHENTICATION, SignedSources())
    assert isinstance(request, Packet)
    return request


def test_the_whole_message_is_read_and_its_packet_is_signed() -> None:
    whole = mended(BROKEN, SECRET)

    assert whole is not None
    assert request_signature(whole, SECRET) is Signature.VALID
    assert first(decode(whole).attributes, "FreeRADIUS-802.1X-EAPoL-Key-Msg") == FRAME
    with pytest.raises(WireError):
        decode(BROKEN)


def test_a_station_of_fast_transition_behind_it_gets_its_key() -> None:
    key = stored("k-1", ssid=SSID, passphrase=Secret(ROW["passphrase"]), vlan=10)
    at = Desk(mpsk_settings(SSID))
    at.ring = compile_keyring([key], (), (SSID,), NOW)

    asked = at.ask(admitted(BROKEN), SOURCE.client, HOME, View(), NOW)

    assert isinstance(asked, Search)
    answer = at.found(asked, asked.at(search_all(asked.challenge, asked.pmks)), View(), NOW)
    assert isinstance(answer, Answer)
    assert answer.code is Code.ACCESS_ACCEPT


def test_what_its_sender_did_not_sign_is_never_mended() -> None:
    assert mended(BROKEN, Secret("another-secret")) is None
    with pytest.raises(WireError):
        admit(BROKEN, Source(HOME, client(), str(HOME)), AUTHENTICATION, SignedSources())


def test_every_truncation_and_every_changed_octet_is_refused() -> None:
    for end in range(len(BROKEN)):
        assert mended(BROKEN[:end], SECRET) is None
        shortened = BROKEN[:2] + end.to_bytes(2, "big") + BROKEN[4:end]
        assert mended(shortened, SECRET) is None
    for place in range(len(BROKEN)):
        assert mended(BROKEN[:place] + bytes((BROKEN[place] ^ 0x01,)) + BROKEN[place + 1 :], SECRET) is None


def signed(octets: bytes) -> bytes:
    """As its sender would have signed it: the signature stands first."""
    whole = octets[:2] + len(octets).to_bytes(2, "big") + octets[4:22] + bytes(16) + octets[38:]
    return whole[:22] + hmac.digest(SECRET.reveal(), whole, "md5") + whole[38:]


def test_what_stands_there_twice_must_be_the_same_and_all_of_it() -> None:
    assert mended(signed(BROKEN), SECRET) is not None
    for bent in (
        BROKEN[:-1] + bytes((BROKEN[-1] ^ 1,)),
        BROKEN[:-1],
        BROKEN + b"\0",
        BROKEN + bytes.fromhex("0603414243"),
    ):
        assert mended(signed(bent), SECRET) is None


@pytest.mark.parametrize("row", [v for v in HOSTAPD if v is not ROW], ids=lambda v: str(v["id"]))
def test_a_sound_packet_is_left_alone(row: dict[str, str]) -> None:
    assert mended(bytes.fromhex(row["request_hex"]), Secret(row["secret"])) is None
