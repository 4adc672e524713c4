# SPDX-License-Identifier: Apache-2.0
"""What a request asks, and which requests are no question of ours."""

from __future__ import annotations

import pytest

from edged.mpsk.outcome import Reason, Reject
from edged.mpsk.question import Question, read_question, split_called_station
from edged.radius.attributes import Attribute, attribute, long_extended
from edged.radius.packet import Code, Packet
from edged.values import mac_octets
from tests.mpsk_world import BSSID, MAC, SSID, client, handshake_request, message_2, request, with_attributes

NETWORKS = (SSID, "Staff")


def read(*attributes: Attribute, networks: tuple[str, ...] = NETWORKS) -> Question | Reject:
    return read_question(Packet(Code.ACCESS_REQUEST, 1, bytes(16), attributes), client(), networks)


DEVICE = attribute("User-Name", "02005e100001")
CALLED = attribute("Called-Station-Id", f"34-EF-B6-AF-48-9E:{SSID}")


def test_mac_authentication_is_read() -> None:
    question = read_question(request(), client(), NETWORKS)

    assert isinstance(question, Question)
    assert (question.mac, question.ssid, question.site) == (MAC, SSID, "building-7")
    assert question.handshake is None
    assert question.dialect.name == "hostapd"


def test_a_handshake_is_read() -> None:
    question = read_question(handshake_request(bytes(32)), client(), NETWORKS)

    assert isinstance(question, Question)
    assert question.handshake is not None
    assert question.handshake.aa == mac_octets(BSSID)
    assert question.handshake.spa == mac_octets(MAC)


@pytest.mark.parametrize(
    "spelling", ["02005e100001", "02005E100001", "02:00:5e:10:00:01", "02-00-5E-10-00-01", "0200.5e10.0001"]
)
@pytest.mark.parametrize("password", [None, b"", "same"])
def test_every_spelling_of_a_mac_and_the_usual_passwords_are_taken(spelling: str, password: str | bytes | None) -> None:
    given = [attribute("User-Name", spelling), CALLED]
    if password is not None:
        given.append(Attribute(2, spelling.encode() if password == "same" else b""))

    question = read(*given)

    assert isinstance(question, Question)
    assert question.mac == MAC


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ((CALLED,), Reason.NO_DEVICE),
        ((attribute("User-Name", "ana@fibre"), CALLED), Reason.NO_DEVICE),
        ((DEVICE,), Reason.NO_SSID),
        (
            (DEVICE, attribute("Calling-Station-Id", "02-00-5E-10-00-02"), CALLED),
            Reason.DEVICE_MISMATCH,
        ),
        ((DEVICE, Attribute(2, b"letmein"), CALLED), Reason.BAD_PASSWORD),
        # the same address in another spelling is not what the NAS was told to send
        ((DEVICE, Attribute(2, b"02:00:5e:10:00:01"), CALLED), Reason.BAD_PASSWORD),
        ((DEVICE, Attribute(79, b"\x02\0\0\x05\x01"), CALLED), Reason.NOT_MAC_AUTHENTICATION),
        ((DEVICE, Attribute(3, bytes(17)), CALLED), Reason.NOT_MAC_AUTHENTICATION),
        (
            (DEVICE, Attribute(26, (311).to_bytes(4, "big") + b"\x0b\x03x"), CALLED),
            Reason.NOT_MAC_AUTHENTICATION,
        ),
        (
            (DEVICE, attribute("Called-Station-Id", "34-EF-B6-AF-48-9E:Elsewhere")),
            Reason.UNKNOWN_SSID,
        ),
        (
            (DEVICE, attribute("Called-Station-Id", b"34-EF-B6-AF-48-9E:\xff\xfe")),
            Reason.UNKNOWN_SSID,
        ),
    ],
)  # fmt: skip
def test_what_is_no_question_is_rejected_with_its_reason(attributes: tuple[Attribute, ...], reason: Reason) -> None:
    assert read(*attributes) == Reject(reason)


def test_the_calling_station_stands_in_for_a_user_name_that_is_no_mac() -> None:
    question = read(attribute("User-Name", "ap-user"), attribute("Calling-Station-Id", "02-00-5E-10-00-01"), CALLED)

    assert isinstance(question, Question)
    assert question.mac == MAC


@pytest.mark.parametrize(
    ("called", "ssid"),
    [
        (b"34-EF-B6-AF-48-9E:Cafe: Nord", b"Cafe: Nord"),
        (b"34:EF:B6:AF:48:9E:Residence", b"Residence"),
        (b"34EFB6AF489E:Residence", b"Residence"),
        (b"34ef.b6af.489e:Residence", b"Residence"),
        (b"34-EF-B6-AF-48-9E:\x00\xff", b"\x00\xff"),
        (b"34-EF-B6-AF-48-9E", b""),
    ],
)
def test_the_ssid_is_all_octets_after_the_first_colon_behind_the_bssid(called: bytes, ssid: bytes) -> None:
    assert split_called_station(called) == (BSSID, ssid)


def test_a_bssid_alone_means_the_only_network() -> None:
    given = (DEVICE, attribute("Called-Station-Id", "34-EF-B6-AF-48-9E"))

    only = read(*given, networks=(SSID,))

    assert isinstance(only, Question)
    assert only.ssid == SSID
    assert read(*given) == Reject(Reason.UNKNOWN_SSID)


def test_an_ssid_alone_is_taken_for_mac_authentication_but_not_for_a_handshake() -> None:
    alone = attribute("Called-Station-Id", SSID)
    anonce, frame = message_2(bytes(32))
    handshake = (
        *long_extended("FreeRADIUS-802.1X-Anonce", anonce),
        *long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", frame),
    )

    assert isinstance(read(DEVICE, alone), Question)
    refused = read(DEVICE, alone, *handshake)
    assert isinstance(refused, Reject)
    assert (refused.reason, refused.detail) == (Reason.BAD_HANDSHAKE, "no-bssid")


def test_a_malformed_frame_is_named_and_rejected() -> None:
    packet = handshake_request(bytes(32))
    short = long_extended("FreeRADIUS-802.1X-EAPoL-Key-Msg", bytes(50))

    refused = read_question(with_attributes(packet, (*packet.attributes[:-1], *short)), client(), NETWORKS)

    assert isinstance(refused, Reject)
    assert (refused.reason, refused.detail) == (Reason.BAD_HANDSHAKE, "eapol-short")
