# SPDX-License-Identifier: Apache-2.0
"""Who is on, who is to leave, and what of both outlives a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.model import Rate
from edged.mpsk import moves
from edged.mpsk.desk import Desk, Search
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.grants import REWRITE_AFTER, Grants
from edged.mpsk.keylist import revisions
from edged.mpsk.keylist.revisions import Rotation
from edged.mpsk.memory import Grant
from edged.mpsk.moves import STEP
from edged.mpsk.outcome import Reason
from edged.mpsk.question import Question
from edged.mpsk.wpa import pmk_of
from edged.policy.access import View
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attribute, attribute, text, values
from edged.radius.authenticator import sign_request
from edged.radius.clients import Source
from edged.radius.hiding import hide_password
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.state.keys import LOCAL, KeyId, StoredKey
from edged.values import MacAddress, Secret, parse_address
from tests.mpsk_world import (
    BLOCKED,
    DAY,
    HOME,
    MAC,
    NOW,
    OPEN,
    OTHER_MAC,
    SECRET,
    SSID,
    answered,
    client,
    handshake_request,
    mpsk_settings,
    rechecked,
    request,
    ring_of,
    stored,
)  # fmt: skip

AUDIT = attribute("Cisco-AVPair", b"audit-session-id=0A07000100000013")


def building(*keys: StoredKey, **settings: Any) -> Desk:
    desk = Desk(mpsk_settings(**({"blocked": {"vlan": 666}} | settings)))
    desk.ring = ring_of(*keys)
    return desk


def let_on(desk: Desk, packet: Packet, dialect: str = "auto", now: float = NOW) -> None:
    answer = answered(desk, packet, client(dialect=dialect), now=now)
    assert answer is not None
    assert answer.code is Code.ACCESS_ACCEPT


def registered(**fields: Any) -> StoredKey:
    return stored(devices=(MAC,), vlan=112, subscriber="1001", **fields)


NAMES = (attribute("NAS-Identifier", "ap-7"), attribute("NAS-IP-Address", HOME), AUDIT)


@pytest.mark.parametrize(
    ("dialect", "session"),
    [
        ("hostapd", [(31, b"02-00-5E-10-00-01"), (32, b"ap-7")]),
        ("ruckus", [(31, b"02-00-5E-10-00-01"), (4, b"\x7f\0\0\1")]),
        ("mikrotik", [(1, b"02005e100001")]),
        ("cisco-ipsk", [(31, b"02-00-5E-10-00-01"), tuple(AUDIT)]),
        ("aruba", [(31, b"02-00-5E-10-00-01"), (32, b"ap-7")]),
    ],
)
def test_a_session_is_named_as_its_access_point_names_it(dialect: str, session: list[tuple[int, bytes]]) -> None:
    desk = building(registered())
    let_on(desk, request(MAC, *NAMES), dialect)

    (stale,) = rechecked(desk.recheck(BLOCKED, NOW))

    assert [tuple(a) for a in stale.session] == session


def test_cisco_is_asked_to_let_it_ask_again_where_it_named_the_session_and_the_key_stays() -> None:
    for names, view, gently in ((NAMES, BLOCKED, True), (NAMES[:2], BLOCKED, False), (NAMES, OPEN, False)):
        desk = building(registered())
        let_on(desk, request(MAC, *names), "cisco-ipsk")
        if view is OPEN:
            desk.ring = ring_of(registered(revoked=NOW - 1))

        (stale,) = rechecked(desk.recheck(view, NOW))

        pairs = values(stale.reauthenticates, "Cisco-AVPair")
        assert pairs == ((b"subscriber:command=reauthenticate",) if gently else ())


def test_hostapd_remembers_an_answer_by_mac_address_and_no_handshake() -> None:
    key = stored(vlan=112, subscriber="1001")
    assert key.pmk is not None
    bound, unbound = building(registered()), building(key)
    let_on(bound, request())
    let_on(unbound, handshake_request(key.pmk.reveal()))

    assert [stale.cached_until for stale in rechecked(bound.recheck(BLOCKED, NOW + 5))] == [NOW + 30]
    assert [stale.cached_until for stale in rechecked(unbound.recheck(BLOCKED, NOW + 5))] == [0.0]


def test_a_device_that_asks_again_is_left_alone_and_one_that_does_not_is_settled() -> None:
    desk = building(registered())
    let_on(desk, request())
    (stale,) = rechecked(desk.recheck(BLOCKED, NOW))
    assert not desk.grants.is_gone(stale)

    desk.ask(request(), client(), HOME, BLOCKED, NOW + 1)
    assert desk.grants.is_gone(stale)
    assert rechecked(desk.recheck(BLOCKED, NOW + 2)) == []

    (again,) = rechecked(desk.recheck(OPEN, NOW + 3))
    desk.grants.settle(again)
    assert desk.grants.is_gone(again)
    assert desk.grants.unwritten() == ([], [(SSID, MAC)])


def test_a_device_that_is_refused_when_it_asks_again_is_through_as_well() -> None:
    desk = building(registered(), blocked="reject")
    let_on(desk, request())
    (stale,) = rechecked(desk.recheck(BLOCKED, NOW))
    assert stale.reason == "blocked"

    desk.ask(request(), client(), HOME, BLOCKED, NOW + 1)

    assert desk.grants.is_gone(stale)


ELSEWHERE = parse_address("10.8.0.9")


def test_a_handshake_that_fails_under_a_devices_mac_address_keeps_it_on_no_air() -> None:
    key = stored(vlan=112, subscriber="1001")
    assert key.pmk is not None
    for at_once in (True, False):
        desk = building(key)
        let_on(desk, handshake_request(key.pmk.reveal()))
        named = [] if at_once else rechecked(desk.recheck(BLOCKED, NOW))

        # a second radio of the same resident, at another access point of the same controller
        wrong = desk.ask(handshake_request(bytes(32)), client(), HOME, OPEN, NOW)
        assert isinstance(wrong, Search)
        assert desk.found(wrong, None, OPEN, NOW) is not None
        assert desk.ask(handshake_request(bytes(32), suite="sae"), client(), HOME, OPEN, NOW) is not None

        assert not any(desk.grants.is_gone(stale) for stale in named)
        assert [stale.mac for stale in named or rechecked(desk.recheck(BLOCKED, NOW))] == [MAC]


def test_what_another_sites_access_point_asks_neither_forgets_a_device_nor_settles_its_disconnect() -> None:
    desk = building(registered(site="building-7"), blocked="reject")
    let_on(desk, request())

    def asked_elsewhere() -> Answer | Search | None:
        return desk.ask(request(), client("building-8"), ELSEWHERE, OPEN, NOW)

    assert isinstance(asked_elsewhere(), Answer)
    (stale,) = rechecked(desk.recheck(BLOCKED, NOW))
    assert isinstance(asked_elsewhere(), Answer)

    assert (stale.nas, stale.reason) == (HOME, "blocked")
    assert not desk.grants.is_gone(stale)
    rows, dropped = desk.grants.unwritten()
    assert ([row.wanted for row in rows], dropped) == (["blocked"], [])


def test_an_accept_at_another_access_point_settles_no_disconnect_and_outlives_it() -> None:
    desk = building(registered())
    let_on(desk, request())
    (stale,) = rechecked(desk.recheck(BLOCKED, NOW))

    assert isinstance(desk.ask(request(), client("building-8"), ELSEWHERE, BLOCKED, NOW), Answer)

    assert not desk.grants.is_gone(stale)
    desk.grants.unwritten()
    desk.grants.settle(stale)
    rows, dropped = desk.grants.unwritten()
    assert ([(row.nas, row.vlan) for row in rows], dropped) == ([(str(ELSEWHERE), 666)], [])


def test_another_rate_sends_away_where_the_access_point_was_told_one() -> None:
    slow, fast = (registered(rate=Rate(n, n)) for n in (10**6, 10**8))
    for dialect, reasons in (("mikrotik", ["rate"]), ("hostapd", [])):
        desk = building(slow)
        let_on(desk, request(), dialect)

        desk.ring = ring_of(fast)

        assert [stale.reason for stale in rechecked(desk.recheck(OPEN, NOW))] == reasons


def test_a_key_that_ends_sends_its_devices_away_when_it_does() -> None:
    desk = building(registered(expires=NOW + 60))
    let_on(desk, request())

    assert rechecked(desk.recheck(OPEN, NOW + 59)) == []
    assert [stale.reason for stale in rechecked(desk.recheck(OPEN, NOW + 60))] == ["expired"]


def restarted(desk: Desk, *keys: StoredKey) -> Desk:
    rows, dropped = desk.grants.unwritten()
    assert dropped == []
    again = building(*keys)
    again.grants.restore(rows, again.ring, NOW + 100, again.settings)
    return again


def test_what_was_granted_before_a_restart_is_still_sent_away() -> None:
    key = registered()
    desk = building(key)
    let_on(desk, request(MAC, *NAMES))

    same = restarted(desk, key)
    assert rechecked(same.recheck(OPEN, NOW + 101)) == []
    (stale,) = rechecked(same.recheck(BLOCKED, NOW + 102))

    assert (stale.nas, stale.client, stale.mac, stale.ssid, stale.reason) == (HOME, "building-7", MAC, SSID, "vlan")
    assert text(stale.session, "NAS-Identifier") == "ap-7"
    assert stale.cached_until == NOW + 130, "when it last asked is known to the hour: it may have been just now"


def test_a_key_revoked_while_edged_was_down_sends_its_devices_away() -> None:
    for after in ((), (registered(revoked=NOW),)):
        desk = building(registered())
        let_on(desk, request())

        assert [stale.reason for stale in rechecked(restarted(desk, *after).recheck(OPEN, NOW + 101))] == ["revoked"]


def rotated(key: StoredKey, at: float, ends: float) -> tuple[StoredKey, StoredKey]:
    aside = replace(key, key=replace(key.key, id=key.key.id + "~old"), revoked=ends)
    return replace(stored(passphrase=Secret(f"made at {at:.0f}"), vlan=112), created=at), aside


def test_after_a_restart_it_is_the_passphrase_of_then_that_keeps_a_device_on() -> None:
    key = stored(vlan=112)
    assert key.pmk is not None
    desk = building(key)
    let_on(desk, handshake_request(key.pmk.reveal()))
    rows, _ = desk.grants.unwritten()
    newer, aside = rotated(key, NOW + 10, ends=NOW + 500)
    newest, second = rotated(newer, NOW + 20, ends=NOW + 900)

    for keys, now, reasons in (
        ((newer, aside), NOW + 499, []),
        ((newer, aside), NOW + 500, ["revoked"]),
        ((newer, replace(aside, revoked=NOW + 11)), NOW + 100, ["revoked"]),
        ((newest, second), NOW + 100, ["revoked"]),
    ):
        again = building(*keys)
        again.grants.restore(rows, again.ring, NOW + 50, again.settings)
        assert [stale.reason for stale in rechecked(again.recheck(OPEN, now))] == reasons


def test_after_a_restart_who_has_the_new_passphrase_stays_and_an_undone_rotation_is_seen_through() -> None:
    key = stored(vlan=112)
    newer, aside = rotated(key, NOW + 10, ends=NOW + 500)
    newer = replace(newer, pmk=pmk_of(newer.key.passphrase, SSID))
    assert key.pmk is not None
    assert newer.pmk is not None
    desk = building(key)
    let_on(desk, handshake_request(key.pmk.reveal()))
    desk.grants.unwritten()
    desk.ring = ring_of(newer, aside)
    let_on(desk, handshake_request(newer.pmk.reveal()), now=NOW + 20)
    rows, _ = desk.grants.unwritten()
    undone = (
        replace(key, created=NOW + 40),
        replace(newer, key=replace(newer.key, id="k-1~old"), revoked=NOW + 500),
    )

    for keys, reasons in (((newer, aside), []), (undone, ["revoked"])):
        again = building(*keys)
        again.grants.restore(rows, again.ring, NOW + 50, again.settings)
        assert rechecked(again.recheck(OPEN, NOW + 499)) == []
        assert [stale.reason for stale in rechecked(again.recheck(OPEN, NOW + 500))] == reasons


def test_after_an_undone_rotation_and_a_restart_each_device_has_the_passphrase_that_it_proved_since() -> None:
    key = stored(vlan=112, origin=LOCAL)
    turn = Rotation(now=NOW + 10, overlap={SSID: 500.0})
    newer, aside = revisions.rotated([key], ["k-1"], turn, lambda: Secret("of-the-rotation"))[0]
    newer = replace(newer, pmk=pmk_of(newer.key.passphrase, SSID))
    undone = tuple(revisions.rotations_undone([newer, aside], ["k-1"], NOW + 20)[0])
    assert key.pmk is not None
    assert newer.pmk is not None
    desk = building(*undone)
    let_on(desk, handshake_request(key.pmk.reveal()), now=NOW + 30)
    let_on(desk, handshake_request(newer.pmk.reveal(), OTHER_MAC), now=NOW + 30)

    again = restarted(desk, *undone)

    assert rechecked(again.recheck(OPEN, NOW + 509)) == []
    assert [stale.mac for stale in rechecked(again.recheck(OPEN, NOW + 510))] == [OTHER_MAC]


def test_after_a_rotation_that_was_taken_back_before_it_began_and_a_restart_nobody_leaves() -> None:
    key = stored(vlan=112, origin=LOCAL)
    turn = Rotation(now=NOW + 10, overlap={SSID: 500.0}, at=NOW + DAY)
    prepared = revisions.rotated([key], ["k-1"], turn, lambda: Secret("of-the-rotation"))[0]
    undone = tuple(revisions.rotations_undone(list(prepared), ["k-1"], NOW + 20)[0])
    assert key.pmk is not None
    for before, at in (((key,), NOW), (undone, NOW + 30)):
        desk = building(*before)
        let_on(desk, handshake_request(key.pmk.reveal()), now=at)

        assert rechecked(restarted(desk, *undone).recheck(OPEN, NOW + 100)) == []


def test_who_asked_by_mac_address_while_both_passphrases_were_good_asks_again_when_the_old_one_ends() -> None:
    key = registered()
    newer, aside = rotated(key, NOW - 10, ends=NOW + 500)
    newer = replace(newer, key=replace(newer.key, devices=(MAC,), subscriber="1001"))
    for dialect, reasons in (("hostapd", ["revoked"]), ("aruba", [])):
        desk = building(newer, aside)
        let_on(desk, request(), dialect)

        # its holder suspended and back: no reason of its own to leave for the other passphrase
        assert [stale.reason for stale in rechecked(desk.recheck(BLOCKED, NOW))] == ["vlan"]
        let_on(desk, request(), dialect)
        assert rechecked(desk.recheck(OPEN, NOW + 499)) == []
        assert [stale.reason for stale in rechecked(desk.recheck(OPEN, NOW + 500))] == reasons


def test_who_was_to_leave_before_a_restart_is_to_leave_after_it() -> None:
    key = registered()
    desk = building(key)
    let_on(desk, request())
    desk.grants.unwritten()
    rechecked(desk.recheck(BLOCKED, NOW))

    assert [stale.reason for stale in rechecked(restarted(desk, key).recheck(OPEN, NOW + 101))] == ["vlan"]


def test_what_was_granted_since_the_restart_is_the_better_word() -> None:
    key = registered()
    desk = building(key)
    let_on(desk, request())
    rows, _ = desk.grants.unwritten()
    again = building(key)
    let_on(again, request(), now=NOW + 50)

    again.grants.restore([row._replace(vlan=9) for row in rows], again.ring, NOW + 100, again.settings)

    assert rechecked(again.recheck(OPEN, NOW + 101)) == []


def test_a_row_holds_no_secret_and_is_written_again_after_an_hour_only() -> None:
    key = registered()
    desk = building(key)
    let_on(desk, request())
    (row,), _ = desk.grants.unwritten()
    assert key.pmk is not None
    assert key.key.passphrase.reveal_text() not in repr(row)
    assert key.pmk.reveal() not in repr(row).encode()

    for later, written in ((60.0, 0), (REWRITE_AFTER, 0), (REWRITE_AFTER + 1, 1), (REWRITE_AFTER + 60, 0)):
        let_on(desk, request(), now=NOW + later)
        assert len(desk.grants.unwritten()[0]) == written


def test_what_the_database_did_not_take_waits_behind_newer_news() -> None:
    desk = building(registered(), stored("k-2", devices=(OTHER_MAC,)))
    let_on(desk, request())
    let_on(desk, request(OTHER_MAC))
    failed = desk.grants.unwritten()
    desk.grants.refused((SSID, OTHER_MAC), Reason.UNKNOWN_DEVICE, HOME)

    desk.grants.unkept(*failed, desk.ring)

    rows, dropped = desk.grants.unwritten()
    assert [row.mac for row in rows] == [MAC]
    assert dropped == [(SSID, OTHER_MAC)]


def test_of_more_on_the_blocked_vlan_than_are_remembered_the_first_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "MOST", 3)
    there = moves.Moves()
    desk = building(stored(vlan=112, subscriber="1001"))
    key = desk.ring.keys[KeyId(LOCAL, "k-1")]
    macs = [MacAddress(f"02:00:5e:10:02:{n:02x}") for n in range(4)]
    for mac in macs:
        question = Question(mac, SSID, "building-7", DIALECTS["hostapd"])
        there.granted((SSID, mac), Grant(question, HOME, key, 666, key.name, blocked=True))

    assert [mac for mac, holder in there.taken().items() if holder] == macs[1:]
    assert not there.has((SSID, macs[0]))


def over_the_wire(identifier: int, *more: Attribute) -> Packet:
    """As the server hands it on: with the octets by which a request that was asked before is known again."""
    packet = request(MAC, *more)
    hidden = Attribute(2, hide_password(Secret("02005e100001"), SECRET, bytes(16)))
    given = tuple(hidden if a.type == 2 else a for a in packet.attributes)
    octets = sign_request(Packet(Code.ACCESS_REQUEST, identifier, bytes(16), given), SECRET)
    admitted = admit(octets, SOURCE, AUTHENTICATION, SignedSources())
    assert isinstance(admitted, Packet)
    return admitted


SOURCE = Source(HOME, client(), str(HOME))


def test_a_request_that_is_known_again_counts_as_asked_and_may_come_from_another_access_point() -> None:
    desk = building(registered())
    for number, (name, now) in enumerate((("ap-7", NOW), ("ap-7", NOW + 10), ("ap-8", NOW + 20), ("ap-8", NOW + 25))):
        packet = over_the_wire(number, attribute("NAS-Identifier", name))
        answer = desk.ask(packet, SOURCE.client, HOME, OPEN, now)
        assert isinstance(answer, Answer)
        assert answer.code is Code.ACCESS_ACCEPT

    (stale,) = rechecked(desk.recheck(BLOCKED, NOW + 26))

    assert stale.cached_until == NOW + 55
    assert text(stale.session, "NAS-Identifier") == "ap-8"


def test_a_row_of_a_dialect_of_another_version_is_passed_over() -> None:
    desk = building(registered())
    let_on(desk, request())
    rows, _ = desk.grants.unwritten()
    grants = Grants()

    grants.restore([row._replace(dialect="of-the-future") for row in rows], desk.ring, NOW, desk.settings)

    assert len(grants) == 0


def test_invented_devices_push_out_nobody_with_a_key_and_leave_no_more_rows_than_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.mpsk.grants.MAX_GRANTS", 2)
    monkeypatch.setattr("edged.mpsk.grants.MAX_STRANGERS", 3)
    desk = building(registered(), unknown={"vlan": 999})
    let_on(desk, request())
    kept: set[tuple[str, MacAddress]] = set()

    for n in range(20):
        let_on(desk, request(MacAddress(f"02:00:5e:30:00:{n:02x}")))
        rows, dropped = desk.grants.unwritten()
        kept = (kept | {(row.ssid, row.mac) for row in rows}) - set(dropped)

    assert len(kept) == len(desk.grants) == 4
    assert (SSID, MAC) in kept
    assert [stale.mac for stale in rechecked(desk.recheck(BLOCKED, NOW))] == [MAC]


# --- keys for unknown devices ----------------------------------------------------------------------


def passwords(desk: Desk, dialect: str = "auto", view: View = OPEN) -> list[str]:
    answer = desk.ask(request(), client(dialect=dialect), HOME, view, NOW)
    assert isinstance(answer, Answer)
    return [a.secret.reveal_text() for a in answer.attributes if isinstance(a, Hidden)]


OFFERING: dict[str, Any] = {"unknown": {"vlan": 999, "keys": 3}}


def test_an_unknown_device_is_offered_the_networks_newest_keys_and_its_vlan() -> None:
    keys = [replace(stored(f"n-{n}", vlan=100 + n), created=NOW - n) for n in range(5)]
    desk = building(*keys, **OFFERING)

    answer = desk.ask(request(), client(), HOME, OPEN, NOW)

    assert isinstance(answer, Answer)
    assert passwords(desk) == [f"passphrase-of-n-{n}" for n in range(3)]
    plain = tuple(a for a in answer.attributes if isinstance(a, Attribute))
    assert text(plain, "Tunnel-Private-Group-Id") == "999"
    assert not values(plain, "User-Name"), "nobody knows which key it is"
    assert not desk.sightings, "nothing is learned from it"


def test_only_good_keys_of_the_ssid_and_site_for_any_device_are_offered() -> None:
    desk = building(
        stored("mine"),
        stored("here", site="building-7"),
        stored("there", site="building-8"),
        stored("elsewhere", ssid="Other"),
        stored("registered", devices=(OTHER_MAC,)),
        stored("revoked", revoked=NOW - 1),
        stored("expired", expires=NOW - DAY),
        stored("later", not_before=NOW + DAY),
        stored("suspended", subscriber="1001"),
        unknown={"vlan": 999, "keys": 100},
    )

    assert sorted(passwords(desk)) == [f"passphrase-of-{n}" for n in ("here", "mine", "suspended")]
    assert sorted(passwords(desk, view=BLOCKED)) == [f"passphrase-of-{n}" for n in ("here", "mine")]


def test_an_access_point_that_takes_one_key_is_offered_none() -> None:
    desk = building(stored("mine"), **OFFERING)

    for dialect in ("cisco-ipsk", "mikrotik", "meraki-ipsk", "fortinet", "zyxel", "omada", "aruba", "ruckus"):
        assert passwords(desk, dialect) == []


def test_a_device_with_a_key_of_its_own_is_offered_no_other() -> None:
    desk = building(registered(), stored("n-1"), **OFFERING)

    assert passwords(desk) == ["passphrase-of-k-1"]


def test_as_many_as_fit_into_one_packet_are_offered() -> None:
    keys = [stored(f"{n:03}", derived=False) for n in range(300)]
    desk = building(*keys, unknown={"vlan": 999, "keys": 170})

    offered = passwords(desk)

    # 17 characters take 32 octets and five of header each
    assert len(offered) == 3584 // 37


def test_a_device_on_an_offered_key_is_sent_away_when_that_is_no_longer_good() -> None:
    keys = [stored("n-1"), stored("n-2")]
    desk = building(*keys, **OFFERING)
    let_on(desk, request())
    assert rechecked(desk.recheck(OPEN, NOW)) == []

    desk.ring = ring_of(keys[0], replace(keys[1], revoked=NOW - 1))

    assert [stale.reason for stale in rechecked(desk.recheck(OPEN, NOW))] == ["revoked"]


def test_a_device_on_an_offered_key_is_sent_away_when_one_of_their_holders_is_suspended() -> None:
    desk = building(stored("n-1"), stored("n-2", subscriber="1001"), **OFFERING)
    let_on(desk, request())

    assert [stale.reason for stale in rechecked(desk.recheck(BLOCKED, NOW))] == ["revoked"]
    assert passwords(desk, view=BLOCKED) == ["passphrase-of-n-1"]


def test_a_new_key_among_the_offered_sends_nobody_away() -> None:
    keys = [stored(f"n-{n}") for n in range(3)]
    desk = building(*keys, **OFFERING)
    let_on(desk, request())

    desk.ring = ring_of(replace(stored("n-9"), created=NOW), *keys)

    assert rechecked(desk.recheck(OPEN, NOW)) == []
    assert passwords(desk)[0] == "passphrase-of-n-9"


def test_an_offer_ends_with_the_first_of_its_keys() -> None:
    desk = building(stored("n-1"), stored("n-2", expires=NOW + 600), **OFFERING)

    answer = desk.ask(request(), client(), HOME, OPEN, NOW)

    assert isinstance(answer, Answer)
    assert attribute("Session-Timeout", 600) in answer.attributes


def test_a_look_over_many_devices_pauses_and_leaves_alone_whoever_asked_again_meanwhile() -> None:
    key, grants = stored("k-1"), Grants()
    ring, settings = ring_of(key), mpsk_settings()
    macs = [MacAddress(f"02:00:5e:20:{n // 256:02x}:{n % 256:02x}") for n in range(STEP + 2)]
    wrong = [Grant(Question(mac, SSID, "building-7", DIALECTS["hostapd"]), HOME, key, 7, key.name) for mac in macs]
    for grant in wrong:
        grants.granted(grant, NOW)

    look = grants.recheck(OPEN, ring, settings, NOW)
    first = [next(look), next(look)]
    grants.granted(replace(wrong[-1], vlan=None), NOW)
    rest = list(look)

    assert [len(step) for step in (*first, *rest)] == [0, STEP, 1]
    assert rechecked(rest)[0].mac == macs[-2]
    assert grants.get((SSID, macs[-1])) is not None
