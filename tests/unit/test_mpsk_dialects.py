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
from edged.policy.access import View
from edged.radius.attributes import Attribute, attribute, first, integer, text, values
from edged.radius.packet import Answer, Code, Hidden, Packet, decode
from edged.radius.reply import encode_answer, with_clear_password
from edged.radius.settings import DIALECT_NAMES
from edged.state.keys import KeyId
from edged.values import MacAddress, Secret, parse_mac
from tests.mpsk_world import (
    BLOCKED,
    HOME,
    HOSTAPD,
    NOW,
    OPEN,
    VECTORS,
    answered,
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
UNBOUND = [row["dialect"] for row in GOLDEN["packets"] if DIALECTS[row["dialect"]].read]


def desk(*, passphrase: str = GOLDEN["passphrase"], registered: bool = True, **more: Any) -> Desk:
    """One key; ``more`` is what else it has."""
    made = Desk(mpsk_settings(GOLDEN["ssid"], blocked={"vlan": 666}))
    fields = {"vlan": GOLDEN["vlan"], "devices": (GOLDEN_MAC,) if registered else ()} | more
    key = stored("k-1", ssid=GOLDEN["ssid"], passphrase=Secret(passphrase), **fields)
    made.ring = compile_keyring([key], (), (GOLDEN["ssid"],), NOW)
    return made


def asked_of(at: Desk, packet: Packet, dialect: str = "auto", view: View = OPEN) -> Answer:
    answer = answered(at, packet, client(dialect=dialect), view)
    assert answer is not None
    return answer


def ask(
    at: Desk, octets: str, secret: Secret = GOLDEN_SECRET, dialect: str = "auto", view: View = OPEN
) -> tuple[Packet, Answer]:
    packet = with_clear_password(decode(bytes.fromhex(octets)), secret)
    return packet, asked_of(at, packet, dialect, view)


def plain(answer: Answer) -> tuple[Attribute, ...]:
    return tuple(a for a in answer.attributes if isinstance(a, Attribute))


@pytest.mark.parametrize("row", GOLDEN["packets"], ids=lambda row: str(row["name"]))
@pytest.mark.parametrize("told", [True, False], ids=["configured", "recognised"])
def test_the_golden_request_gets_the_golden_accept(row: dict[str, Any], told: bool) -> None:
    """Octet for octet; what names the key for the accounting comes last and stands in no packet of others."""
    if row.get("configured") and not told:
        return  # nothing in its request tells it apart: the next test but one
    at = desk(registered=row["dialect"] not in UNBOUND)
    packet, answer = ask(at, row["request"], dialect=row["dialect"] if told else "auto")

    names = [a for a in plain(answer) if a.type == 1]
    assert names == ([] if row["dialect"] == "mikrotik" else [attribute("User-Name", "key:local:k-1")])
    answer = Answer(answer.code, tuple(a for a in answer.attributes if a not in names))
    assert encode_answer(answer, packet, GOLDEN_SECRET, iter([bytes.fromhex(row["salt"])])).hex() == row["accept"]


@pytest.mark.parametrize("row", GOLDEN["packets"], ids=lambda row: str(row["name"]))
def test_a_suspended_resident_gets_the_blocked_vlan_in_the_dialects_own_attributes(row: dict[str, Any]) -> None:
    """As if it were the key's own, which goes out with it; an access point knows no other sign of it."""
    registered = row["dialect"] not in UNBOUND
    at = desk(registered=registered, subscriber="1001")

    _, blocked = ask(at, row["request"], dialect=row["dialect"], view=BLOCKED)
    _, moved = ask(desk(registered=registered, vlan=666), row["request"], dialect=row["dialect"])
    _, paid = ask(at, row["request"], dialect=row["dialect"])

    assert blocked == moved
    assert any(value in {b"666", b"\0\0\x02\x9a"} for value in _inner_values(blocked))
    assert (paid.code, paid == blocked) == (Code.ACCESS_ACCEPT, False)


def _inner_values(answer: Answer) -> set[bytes]:
    """What its attributes hold, those of a vendor without their six octets before it."""
    return {a.value[6:] if a.type == 26 else a.value for a in plain(answer)}


@pytest.mark.parametrize("row", GOLDEN["packets"], ids=lambda row: str(row["name"]))
def test_where_a_network_rejects_the_suspended_every_dialect_does(row: dict[str, Any]) -> None:
    at = desk(registered=row["dialect"] not in UNBOUND, subscriber="1001")
    at.settings = mpsk_settings(GOLDEN["ssid"], blocked="reject")

    _, answer = ask(at, row["request"], dialect=row["dialect"], view=BLOCKED)

    assert answer.code is Code.ACCESS_REJECT
    assert not [a for a in answer.attributes if isinstance(a, Hidden)]
    assert at.counters.rejects[Reason.BLOCKED] == 1


@pytest.mark.parametrize("row", GOLDEN["packets"], ids=lambda row: str(row["name"]))
def test_a_key_that_ends_says_how_long_it_is_good_in_every_dialect(row: dict[str, Any]) -> None:
    at = desk(registered=row["dialect"] not in UNBOUND, expires=NOW + 900)

    _, answer = ask(at, row["request"], dialect=row["dialect"])

    assert integer(plain(answer), "Session-Timeout") == 900


def test_the_golden_packets_cover_every_dialect() -> None:
    assert set(BY_DIALECT) == set(DIALECTS)


@pytest.mark.parametrize("name", [row["dialect"] for row in GOLDEN["packets"] if row.get("configured")])
def test_what_nothing_tells_apart_is_never_guessed(name: str) -> None:
    packet = with_clear_password(decode(bytes.fromhex(BY_DIALECT[name]["request"])), GOLDEN_SECRET)

    guessed = dialect_of(packet.attributes, "auto")
    assert guessed is DIALECTS["hostapd"] or guessed == "huawei"


def test_the_handshake_of_another_passphrase_gets_the_golden_reject() -> None:
    row = BY_DIALECT["hostapd-psk"]
    packet, answer = ask(desk(passphrase="copper-otter-violin-42", registered=False), row["request"])

    assert encode_answer(answer, packet, GOLDEN_SECRET, iter([b"\x80\x00"])).hex() == row["reject"]


@pytest.mark.parametrize("name", UNBOUND)
def test_another_passphrase_is_rejected_in_every_dialect(name: str) -> None:
    at = desk(passphrase="copper-otter-violin-42", registered=False)

    _, answer = ask(at, BY_DIALECT[name]["request"])

    assert answer.code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.NO_MATCH] == 1


@pytest.mark.parametrize("name", GOLDEN["not_public"])
def test_a_format_that_is_not_public_is_rejected_and_said_once(name: str) -> None:
    at = desk()

    for _ in range(3):
        _, answer = ask(at, GOLDEN["not_public"][name])
        assert answer == Answer(Code.ACCESS_REJECT)
    assert list(at.unspoken()) == [("building-7", name)]
    assert at.counters.rejects[Reason.NOT_SPOKEN] == 3


@pytest.mark.parametrize("name", ["extreme", "mist", "cambium", "grandstream"])
def test_a_client_whose_format_is_not_public_is_rejected_whatever_it_asks(name: str) -> None:
    at = desk()

    assert ask(at, BY_DIALECT["hostapd"]["request"], dialect=name)[1] == Answer(Code.ACCESS_REJECT)
    assert list(at.unspoken()) == [("building-7", name)]


def test_every_word_of_the_configuration_is_spoken_or_said_not_to_be() -> None:
    assert set(DIALECT_NAMES) == {"auto", *DIALECTS, "extreme", "mist", "cambium", "grandstream"}


def test_a_message_in_two_pairs_is_joined_and_its_last_octet_may_be_zero() -> None:
    """A reader of C strings would lose that zero, and with it the length that the frame has."""
    packet = decode(bytes.fromhex(GOLDEN["easy_psk_in_two"]))
    pairs = values(packet.attributes, "Cisco-AVPair")
    assert [p[:18] for p in pairs].count(b"cisco-8021x-data=\x02") == 1
    assert pairs[-1].startswith(b"cisco-8021x-data=")
    assert pairs[-1].endswith(b"\0")

    assert ask(desk(registered=False), GOLDEN["easy_psk_in_two"])[1].code is Code.ACCESS_ACCEPT


@pytest.mark.parametrize(
    ("dropped", "cause"),
    [
        (b"cisco-anonce=", b"6"),
        (b"cisco-8021x-data=", b"6"),
        (b"cisco-bssid=", b"6"),
        (b"another key", b"2"),
        (b"a bent frame", b"5"),
        (b"another network", b"1"),
    ],
)
def test_cisco_is_told_in_its_own_words_why(dropped: bytes, cause: bytes) -> None:
    row = BY_DIALECT["cisco-easy-psk"]
    whole = with_clear_password(decode(bytes.fromhex(row["request"])), GOLDEN_SECRET)
    given = [a for a in whole.attributes if dropped not in a.value]
    if dropped == b"a bent frame":
        given = [a._replace(value=a.value[:-1]) if b"8021x" in a.value else a for a in given]
        given = [attribute("Cisco-AVPair", a.value[6:]) if b"8021x" in a.value else a for a in given]
    if dropped == b"another network":
        given = [attribute("Cisco-AVPair", b"cisco-wlan-ssid=x") if b"wlan-ssid" in a.value else a for a in given]
    at = desk(passphrase="x" * 12 if dropped == b"another key" else GOLDEN["passphrase"], registered=False)

    answer = asked_of(at, with_attributes(whole, tuple(given)))

    assert answer.code is Code.ACCESS_REJECT
    assert values(plain(answer), "Cisco-AVPair") == (b"cisco-easy-psk-error-cause=" + cause,)


@pytest.mark.parametrize("vendors", [("Ruckus-SSID",), ("Ruckus-BSSID",), ("Ruckus-SSID", "Ruckus-BSSID")])
def test_ruckus_own_attributes_go_before_the_called_station_and_it_stands_in_for_them(vendors: tuple[str, ...]) -> None:
    whole = with_clear_password(decode(bytes.fromhex(BY_DIALECT["ruckus-unbound"]["request"])), GOLDEN_SECRET)
    own = [a for a in whole.attributes if any(values((a,), name) for name in vendors)]
    astray = attribute("Called-Station-Id", b"00-00-00-00-00-01:Elsewhere")

    without = tuple(a for a in whole.attributes if a not in own)
    misled = tuple(astray if a.type == 30 else a for a in whole.attributes)

    assert len(own) == len(vendors)
    assert asked_of(desk(registered=False), with_attributes(whole, without)).code is Code.ACCESS_ACCEPT
    assert asked_of(desk(registered=False), with_attributes(whole, misled)).code is Code.ACCESS_ACCEPT


@pytest.mark.parametrize("name", [n for n in UNBOUND if n not in {"hostapd-psk", "cisco-easy-psk"}])
@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_block_that_is_cut_short_is_no_mac_authentication(name: str, cut: int) -> None:
    whole = with_clear_password(decode(bytes.fromhex(BY_DIALECT[name]["request"])), GOLDEN_SECRET)
    given = tuple(
        a._replace(value=a.value[:-cut]) if a.type == 26 and len(a.value) > 100 else a for a in whole.attributes
    )
    at = desk()

    assert asked_of(at, with_attributes(whole, given)).code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.BAD_HANDSHAKE] == 1


@pytest.mark.parametrize("name", [n for n in UNBOUND if n not in {"hostapd-psk", "cisco-easy-psk"}])
def test_a_block_that_comes_twice_is_rejected(name: str) -> None:
    whole = with_clear_password(decode(bytes.fromhex(BY_DIALECT[name]["request"])), GOLDEN_SECRET)
    block = next(a for a in whole.attributes if a.type == 26 and len(a.value) > 100)
    at = desk()

    assert asked_of(at, with_attributes(whole, (*whole.attributes, block))).code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.BAD_HANDSHAKE] == 1


@pytest.mark.parametrize("vendor", [25053, 29671, 11863, 52970])
def test_a_malformed_block_of_a_maker_of_handshakes_is_no_mac_authentication(vendor: int) -> None:
    """What stands behind the fault may be a handshake: this device's key by MAC address is not given."""
    hidden = Attribute(26, vendor.to_bytes(4, "big") + b"\x01\x00" + bytes((153, 40)) + bytes(38))
    at = desk()

    assert asked_of(at, request(GOLDEN_MAC, hidden, ssid=GOLDEN["ssid"])).code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.BAD_HANDSHAKE] == 1


@pytest.mark.parametrize("name", ["omada-unbound", "eleven"])
def test_the_station_of_the_block_must_be_the_device_that_asks(name: str) -> None:
    row = BY_DIALECT[name]
    other = row["request"].replace("05088ab3a0ebd5e5", "05088ab3a0ebd5e6")
    assert other != row["request"]
    at = desk(registered=False)

    assert ask(at, other)[1].code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.DEVICE_MISMATCH] == 1


def test_an_unbound_omada_network_is_let_through_to_its_handshake_only_on_the_operators_word() -> None:
    announcement = GOLDEN["omada_announcement"]
    at = desk(registered=False)

    assert ask(at, announcement, dialect="omada-unbound")[1] == Answer(Code.ACCESS_ACCEPT)
    assert ask(at, announcement)[1] == Answer(Code.ACCESS_REJECT)
    assert ask(at, announcement, dialect="omada")[1] == Answer(Code.ACCESS_REJECT)


def test_the_announcement_gives_nothing_away_and_binds_nothing() -> None:
    at = desk()  # this device has a key by its MAC address

    assert ask(at, GOLDEN["omada_announcement"], dialect="omada-unbound")[1].attributes == ()
    assert len(at.grants) == 0
    assert at.explain_device(GOLDEN_MAC) is None


def test_an_announcement_is_for_a_network_of_ours_and_from_an_access_point_of_tp_link() -> None:
    for packet in (
        request(GOLDEN_MAC, attribute("NAS-Identifier", "TP-Link:EAP670"), ssid="Elsewhere"),
        request(GOLDEN_MAC, attribute("NAS-Identifier", "ap-7"), ssid=GOLDEN["ssid"]),
    ):
        assert asked_of(desk(), packet, "omada-unbound").code is Code.ACCESS_REJECT


@pytest.mark.parametrize("name", [row["dialect"] for row in GOLDEN["packets"] if DIALECTS[row["dialect"]].needs_pmk])
def test_a_key_whose_pmk_is_not_derived_yet_opens_nothing_that_wants_the_pmk(name: str) -> None:
    at = desk(registered=name not in UNBOUND)
    key = at.ring.keys[KeyId("local", "k-1")]
    at.ring = compile_keyring([replace(key, pmk=None)], (), (GOLDEN["ssid"],), NOW)

    assert ask(at, BY_DIALECT[name]["request"])[1].code is Code.ACCESS_REJECT
    assert at.counters.rejects[Reason.NOT_READY] == 1


def test_a_fixed_password_is_taken_from_the_client_it_is_configured_for_alone() -> None:
    packet = request(GOLDEN_MAC, Attribute(2, b"the-same-for-all"), ssid=GOLDEN["ssid"], password=False)
    known = client().model_copy(update={"password": Secret("the-same-for-all")})
    wrong = client().model_copy(update={"password": Secret("another")})

    codes = []
    for at in (client(), wrong, known):
        answer = desk().ask(packet, at, HOME, View(), NOW)
        assert isinstance(answer, Answer)
        codes.append(answer.code)
    assert codes == [Code.ACCESS_REJECT, Code.ACCESS_REJECT, Code.ACCESS_ACCEPT]


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
        said = plain(answer)
        assert text(said, "Tunnel-Private-Group-Id") == str(row["expected"]["vlan"])
        assert (integer(said, "Tunnel-Type"), integer(said, "Tunnel-Medium-Type")) == (13, 6)


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


VENDORS = {"ruckus": 25053, "aruba": 14823, "huawei": 2011, "mikrotik": 14988, "cambium": 17713}
VENDOR_BLOCK = {name: Attribute(26, number.to_bytes(4, "big") + b"\x01\x03x") for name, number in VENDORS.items()}


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
        ((VENDOR_BLOCK["aruba"],), "auto", "aruba"),
        ((VENDOR_BLOCK["ruckus"],), "auto", "ruckus"),
        ((VENDOR_BLOCK["huawei"],), "huawei", "huawei"),
        ((attribute("NAS-Identifier", "TP-Link:EAP670"),), "auto", "omada"),
        ((), "fortinet", "fortinet"),
    ],
)
def test_the_operators_word_goes_before_a_guess(
    attributes: tuple[Attribute, ...], configured: str, expected: str
) -> None:
    assert dialect_of(attributes, configured) is DIALECTS[expected]


@pytest.mark.parametrize(
    ("attributes", "configured", "expected"),
    [
        ((VENDOR_BLOCK["huawei"],), "auto", "huawei"),
        ((VENDOR_BLOCK["cambium"],), "auto", "cambium"),
        ((), "mist", "mist"),
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
    for name, dialect in DIALECTS.items():
        assert len(dialect.write(Accept(vlan=999))) == {"mikrotik": 2, "aruba": 1}.get(name, 3)
        assert dialect.write(Accept()) == ()


def test_the_key_is_named_to_a_nas_that_asks_for_an_identity() -> None:
    at = Desk(mpsk_settings())
    key = stored("k-77")
    at.ring = ring_of(key)
    assert key.pmk is not None
    packet = handshake_request(key.pmk.reveal())
    asking = with_attributes(packet, (*packet.attributes, attribute("Chargeable-User-Identity", b"\0")))

    for wanted, given in ((b"key:local:k-77", asking), (None, packet)):
        found = at.ask(given, client(), HOME, View(), NOW)
        if isinstance(found, Search):
            found = at.found(found, key, View(), NOW)
        assert found is not None
        assert first(plain(found), "Chargeable-User-Identity") == wanted
        assert text(plain(found), "User-Name") == "key:local:k-77"
