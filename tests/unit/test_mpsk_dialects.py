# SPDX-License-Identifier: Apache-2.0
"""Each dialect end to end without a socket: golden request in, golden reply out, octet for octet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.model import Rate
from edged.mpsk.desk import Desk, Search
from edged.mpsk.dialects import DIALECTS, dialect_of
from edged.mpsk.keyring import compile_keyring
from edged.mpsk.outcome import Accept, Reason
from edged.mpsk.search import search_all
from edged.policy.access import View
from edged.radius.attributes import Attribute, attribute, first, integer, text, values
from edged.radius.packet import Answer, Code, Hidden, Packet, decode
from edged.radius.reply import encode_answer, with_clear_password
from edged.values import MacAddress, Secret, parse_mac
from tests.mpsk_world import (
    HOME,
    HOSTAPD,
    NOW,
    VECTORS,
    client,
    handshake_request,
    mpsk_settings,
    request,
    ring_of,
    stored,
    with_attributes,
)  # fmt: skip

GOLDEN = VECTORS["golden"]
GOLDEN_SECRET = Secret(GOLDEN["secret"])
GOLDEN_MAC = parse_mac(GOLDEN["mac"])
BY_DIALECT = {row["dialect"]: row for row in GOLDEN["packets"]}


def desk(*, passphrase: str = GOLDEN["passphrase"], registered: bool = True) -> Desk:
    made = Desk(mpsk_settings(GOLDEN["ssid"]))
    key = stored(
        "k-1", ssid=GOLDEN["ssid"], passphrase=Secret(passphrase), vlan=GOLDEN["vlan"],
        devices=(GOLDEN_MAC,) if registered else (),
    )  # fmt: skip
    made.ring = compile_keyring([key], (), (GOLDEN["ssid"],), NOW)
    return made


def ask(at: Desk, octets: str, secret: Secret = GOLDEN_SECRET, dialect: str = "auto") -> tuple[Packet, Answer]:
    packet = with_clear_password(decode(bytes.fromhex(octets)), secret)
    asked = at.ask(packet, client(dialect=dialect), HOME, View(), NOW)
    if isinstance(asked, Search):
        asked = at.found(asked, asked.at(search_all(asked.challenge, asked.pmks)), View(), NOW)
    assert asked is not None
    return packet, asked


@pytest.mark.parametrize("row", GOLDEN["packets"], ids=lambda row: str(row["name"]))
def test_the_golden_request_gets_the_golden_accept(row: dict[str, Any]) -> None:
    packet, answer = ask(desk(registered=row["dialect"] != "hostapd-psk"), row["request"], dialect=row["dialect"])

    assert encode_answer(answer, packet, GOLDEN_SECRET, iter([bytes.fromhex(row["salt"])])).hex() == row["accept"]


def test_the_handshake_of_another_passphrase_gets_the_golden_reject() -> None:
    row = BY_DIALECT["hostapd-psk"]
    packet, answer = ask(desk(passphrase="copper-otter-violin-42", registered=False), row["request"])

    assert encode_answer(answer, packet, GOLDEN_SECRET, iter([b"\x80\x00"])).hex() == row["reject"]


def test_cisco_ipsk_answers_with_the_pairs_of_its_guide() -> None:
    _, answer = ask(desk(), BY_DIALECT["hostapd"]["request"], dialect="cisco-ipsk")

    assert answer.attributes == decode(bytes.fromhex(GOLDEN["cisco_accept"])).attributes[1:]


@pytest.mark.parametrize("name", GOLDEN["not_spoken"])
def test_a_handshake_in_a_dialect_we_do_not_speak_is_rejected_and_said_once(name: str) -> None:
    at = desk()

    for _ in range(3):
        _, answer = ask(at, GOLDEN["not_spoken"][name])
        assert answer == Answer(Code.ACCESS_REJECT)
    assert list(at.unspoken()) == [("building-7", name)]
    assert at.counters.rejects[Reason.NOT_SPOKEN] == 3


@pytest.mark.parametrize("row", [v for v in HOSTAPD if v["id"] != "h211-m3-ft-long"], ids=lambda v: str(v["id"]))
def test_requests_of_real_hostapd_get_their_key_or_a_reject(row: dict[str, Any]) -> None:
    ssid = bytes.fromhex(row["ssid_hex"]).decode()
    mac = MacAddress(row["sta_mac"])
    at = Desk(mpsk_settings(ssid))
    known = row["expected"]["code"] == 2
    key = stored("k-1", ssid=ssid, passphrase=Secret(row["passphrase"] or "x" * 20), vlan=row["expected"].get("vlan"))
    if row["mode"] == 2 and known:
        key = replace(key, key=replace(key.key, devices=(mac,)))
    at.ring = compile_keyring([key] if known else [], (), (ssid,), NOW)

    _, answer = ask(at, row["request_hex"], Secret(row["secret"]))

    assert answer.code == row["expected"]["code"]
    if known:
        assert answer.attributes[0] == Hidden("Tunnel-Password", Secret(row["passphrase"]))
    if "vlan" in row["expected"]:
        plain = tuple(a for a in answer.attributes if isinstance(a, Attribute))
        assert text(plain, "Tunnel-Private-Group-Id") == str(row["expected"]["vlan"])
        assert (integer(plain, "Tunnel-Type"), integer(plain, "Tunnel-Medium-Type")) == (13, 6)


def test_a_broken_handshake_never_passes_for_mac_authentication() -> None:
    at = desk()
    whole = decode(bytes.fromhex(BY_DIALECT["hostapd-psk"]["request"]))
    for dropped in (-1, -2):
        part = list(whole.attributes)
        del part[dropped]
        packet = with_clear_password(with_attributes(whole, tuple(part)), GOLDEN_SECRET)

        assert at.ask(packet, client(), HOME, View(), NOW) == Answer(Code.ACCESS_REJECT)
    assert at.counters.rejects[Reason.BAD_HANDSHAKE] == 2


def test_a_fragment_without_its_rest_never_passes_for_mac_authentication() -> None:
    fragment = Attribute(245, b"\x1a\x80" + (11344).to_bytes(4, "big") + b"\x02" + bytes(40))
    at = desk()

    packet = request(GOLDEN_MAC, fragment, ssid=GOLDEN["ssid"])

    assert at.ask(packet, client(), HOME, View(), NOW) == Answer(Code.ACCESS_REJECT)


def test_a_client_that_must_send_handshakes_gets_no_key_without_one() -> None:
    packet = request(GOLDEN_MAC, ssid=GOLDEN["ssid"])

    assert desk().ask(packet, client(dialect="hostapd-psk"), HOME, View(), NOW) == Answer(Code.ACCESS_REJECT)


VENDOR_BLOCK = {name: Attribute(26, vendor.to_bytes(4, "big") + b"\x01\x03x") for name, vendor in
                {"ruckus": 25053, "aruba": 14823, "huawei": 2011, "mikrotik": 14988}.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "configured", "expected"),
    [
        ((), "auto", "hostapd"),
        ((), "hostapd", "hostapd"),
        ((), "mikrotik", "mikrotik"),
        ((), "cisco-ipsk", "cisco-ipsk"),
        ((VENDOR_BLOCK["mikrotik"],), "auto", "mikrotik"),
        ((VENDOR_BLOCK["mikrotik"],), "hostapd", "hostapd"),
        ((VENDOR_BLOCK["aruba"],), "hostapd", "hostapd"),
    ],
)
def test_the_operators_word_goes_before_a_guess(
    attributes: tuple[Attribute, ...], configured: str, expected: str
) -> None:
    assert dialect_of(attributes, configured) is DIALECTS[expected]


@pytest.mark.parametrize(
    ("attributes", "configured", "expected"),
    [
        ((VENDOR_BLOCK["ruckus"],), "auto", "ruckus"),
        ((VENDOR_BLOCK["aruba"],), "auto", "aruba"),
        ((VENDOR_BLOCK["huawei"],), "auto", "huawei"),
        ((attribute("NAS-Identifier", "TP-Link:EAP670"),), "auto", "omada"),
        ((), "fortinet", "fortinet"),
    ],
)
def test_dialects_that_we_do_not_speak_are_named(
    attributes: tuple[Attribute, ...], configured: str, expected: str
) -> None:
    assert dialect_of(attributes, configured) == expected


def accept(**fields: Any) -> Accept:
    key = stored("k-1", derived=False, **fields)
    return Accept((key,), key.key.vlan, rate=key.key.rate)


def test_rates_are_written_in_each_vendors_unit_and_direction() -> None:
    fast = accept(rate=Rate(100_000_000, 20_000_000))

    tip = tuple(a for a in DIALECTS["hostapd-psk"].write(fast) if isinstance(a, Attribute))
    mikrotik = tuple(a for a in DIALECTS["mikrotik"].write(fast) if isinstance(a, Attribute))

    assert integer(tip, "WISPr-Bandwidth-Max-Down") == 100_000_000
    assert integer(tip, "WISPr-Bandwidth-Max-Up") == 20_000_000
    assert text(mikrotik, "Mikrotik-Rate-Limit") == "20000000/100000000"
    assert len(DIALECTS["hostapd"].write(fast)) == 1


def test_a_rate_beyond_32_bits_is_clipped() -> None:
    written = DIALECTS["hostapd-psk"].write(accept(rate=Rate(10**10, 10**10)))

    assert integer(tuple(a for a in written if isinstance(a, Attribute)), "WISPr-Bandwidth-Max-Up") == 0xFFFFFFFF


def test_a_pmk_is_announced_to_cisco_as_hexadecimal() -> None:
    written = DIALECTS["cisco-ipsk"].write(accept(passphrase=Secret("ab" * 32)))

    assert values(tuple(a for a in written if isinstance(a, Attribute)), "Cisco-AVPair") == (
        b"psk-mode=hex",
        b"psk=" + b"ab" * 32,
    )


def test_during_a_rotation_hostapd_gets_both_passphrases_the_new_one_first() -> None:
    old, new = stored("k-1", derived=False), stored("k-2", derived=False)

    written = DIALECTS["hostapd"].write(Accept((new, old)))

    assert written == (
        Hidden("Tunnel-Password", new.key.passphrase),
        Hidden("Tunnel-Password", old.key.passphrase),
    )


def test_a_vlan_without_a_key_is_the_trio_alone() -> None:
    for name in ("hostapd", "hostapd-psk", "cisco-ipsk"):
        assert len(DIALECTS[name].write(Accept(vlan=999))) == 3
    assert len(DIALECTS["mikrotik"].write(Accept(vlan=999))) == 2


def test_the_key_is_named_to_a_nas_that_asks_for_an_identity() -> None:
    at = Desk(mpsk_settings())
    key = stored("k-77")
    at.ring = ring_of(key)
    assert key.pmk is not None
    packet = handshake_request(key.pmk.reveal())
    asking = with_attributes(packet, (*packet.attributes, attribute("Chargeable-User-Identity", b"\0")))

    for wanted, given in ((b"k-77", asking), (None, packet)):
        found = at.ask(given, client(), HOME, View(), NOW)
        if isinstance(found, Search):
            found = at.found(found, key, View(), NOW)
        assert found is not None
        plain = tuple(a for a in found.attributes if isinstance(a, Attribute))
        assert first(plain, "Chargeable-User-Identity") == wanted
