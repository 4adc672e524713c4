# SPDX-License-Identifier: Apache-2.0
"""Who is on the VLAN of the blocked, through any course of things: the wrong line is never cut.

Requests are real: handshakes of stations, and look-ups by MAC address at another network. The model knows each
device's grants by what the access points were told, and nothing of how they are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edged.model import Access, Snapshot, State, Subscriber
from edged.mpsk.desk import Desk, Search
from edged.mpsk.memory import Stale
from edged.mpsk.outcome import UNPROVEN, Reason
from edged.mpsk.search import search_all
from edged.mpsk.settings import MpskSettings
from edged.policy.access import Learned, View
from edged.policy.moved import Holder, Moved
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.radius.packet import Packet
from edged.state.grants import GrantRow
from edged.state.keys import KeyId, StoredKey
from edged.values import IpAddress, MacAddress, parse_address
from tests.mpsk_world import MAC, NOW, OTHER_MAC, SSID, client, handshake_request, request, ring_of, stored

GUESTS = "Guests"
BLOCKED_VLAN = 666
NETWORKS = MpskSettings.model_validate(
    {
        "networks": {
            SSID: {"blocked": {"vlan": BLOCKED_VLAN}},
            GUESTS: {"blocked": {"vlan": BLOCKED_VLAN}, "unknown": {"vlan": 999}},
        }
    }
)
KEYS = (
    stored("k-ana", subscriber="ana", vlan=101),
    stored("k-bob", subscriber="bob", vlan=102),
    stored("k-nobody", vlan=103),
    # a network that asks by MAC address, where the device is Bob's
    stored("k-guest", ssid=GUESTS, subscriber="bob", vlan=104, devices=(MAC,)),
)
PEOPLE = ("ana", "bob")
NASES = (parse_address("127.0.0.1"), parse_address("127.0.0.2"))
macs, nases, people = st.sampled_from((MAC, OTHER_MAC)), st.sampled_from(NASES), st.sampled_from(PEOPLE)


@dataclass
class Told:
    """The latest Accept of one device on one network."""

    at: float
    nas: IpAddress
    key: KeyId | None
    vlan: int | None


@dataclass
class Model:
    """By device and network, from the answers alone."""

    told: dict[tuple[MacAddress, str], Told] = field(default_factory=dict)
    latest: dict[MacAddress, str] = field(default_factory=dict)
    """The network of each device's latest grant, while that holds."""

    def accepted(self, mac: MacAddress, ssid: str, told: Told) -> None:
        self.told[mac, ssid] = told
        if told.key is not None or self.latest.get(mac) == ssid:
            self.latest[mac] = ssid

    def ended(self, mac: MacAddress, ssid: str) -> None:
        if self.latest.get(mac) == ssid:
            del self.latest[mac]

    def restarted(self) -> None:
        """Of what is still known the latest with a key counts."""
        known = sorted(
            ((told.at, mac, ssid) for (mac, ssid), told in self.told.items() if told.key), key=lambda k: k[0]
        )
        self.latest = {mac: ssid for _, mac, ssid in known}


class Course(RuleBasedStateMachine):
    """A building, its billing and its database."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.keys: dict[str, StoredKey] = {key.key.id: key for key in KEYS}
        self.owing: set[str] = set()
        self.model, self.moved = Model(), Moved()
        self.disk: dict[tuple[str, MacAddress], GrantRow] = {}
        self.leaving: list[Stale] = []
        self.desk = self.built()

    def built(self) -> Desk:
        desk = Desk(NETWORKS)
        desk.ring = ring_of(*self.keys.values(), now=self.now)
        return desk

    @property
    def view(self) -> View:
        listed = tuple(Subscriber(n, State.BLOCKED if n in self.owing else State.ACTIVE) for n in PEOPLE)
        table = compile_table(Snapshot("s", "1", NOW, listed), SubscribersSettings())
        # what edged learned is in the view that the key server reads, as in the house
        return View(table, Learned(moved=self.moved))

    def asked(self, packet: Packet, mac: MacAddress, nas: IpAddress) -> None:
        self.now += 1
        wanted = self.desk.ask(packet, client(), nas, self.view, self.now)
        if isinstance(wanted, Search):
            found = wanted.at(search_all(wanted.challenge, wanted.pmks))
            self.desk.found(wanted, found, self.view, self.now)
        last = self.desk.explain_device(mac)
        assert last is not None
        if last.accepted and last.key is not None:
            owes = self.keys[last.key.id].key.subscriber in self.owing
            assert (last.vlan == BLOCKED_VLAN) is owes, "where it was put before is no reason"
        before = self.model.told.get((mac, last.ssid))
        if last.accepted:
            self.model.accepted(mac, last.ssid, Told(self.now, nas, last.key, last.vlan))
        elif Reason(last.reason) not in UNPROVEN and before is not None and before.nas == nas:
            del self.model.told[mac, last.ssid]
            self.model.ended(mac, last.ssid)

    @rule(mac=macs, key=st.sampled_from(("k-ana", "k-bob", "k-nobody")), nas=nases)
    def proves_a_key(self, mac: MacAddress, key: str, nas: IpAddress) -> None:
        pmk = next(k.pmk for k in KEYS if k.key.id == key)
        assert pmk is not None
        self.asked(handshake_request(pmk.reveal(), mac, attempt=str(self.now)), mac, nas)

    @rule(mac=macs, nas=nases)
    def mistypes(self, mac: MacAddress, nas: IpAddress) -> None:
        self.asked(handshake_request(bytes(32), mac, attempt=str(self.now)), mac, nas)

    @rule(mac=macs, nas=nases)
    def asks_by_mac_elsewhere(self, mac: MacAddress, nas: IpAddress) -> None:
        self.asked(request(mac, ssid=GUESTS), mac, nas)

    @rule(who=people)
    def is_suspended(self, who: str) -> None:
        self.owing.add(who)

    @rule(who=people)
    def pays(self, who: str) -> None:
        self.owing.discard(who)

    @rule(key=st.sampled_from(("k-ana", "k-bob", "k-nobody")), to=st.sampled_from((*PEOPLE, "")))
    def a_key_is_handed_over(self, key: str, to: str) -> None:
        self.keys[key] = replace(self.keys[key], key=replace(self.keys[key].key, subscriber=to))
        self.desk.ring = ring_of(*self.keys.values(), now=self.now)
        self.looks()

    @rule(key=st.sampled_from(("k-ana", "k-bob")), end=st.booleans())
    def a_key_is_revoked_or_not(self, key: str, end: bool) -> None:
        self.keys[key] = replace(self.keys[key], revoked=self.now if end else 0.0)
        self.desk.ring = ring_of(*self.keys.values(), now=self.now)
        self.looks()

    @rule()
    def looks(self) -> None:
        """As every second in the house."""
        for step in self.desk.recheck(self.view, self.now):
            self.leaving += step

    @rule(number=st.integers(0, 7))
    def a_disconnect_is_acknowledged(self, number: int) -> None:
        if not self.leaving:
            return
        stale = self.leaving.pop(number % len(self.leaving))
        through = self.desk.grants.is_gone(stale)
        self.desk.grants.settle(stale)
        if not through and self.desk.grants.get((stale.ssid, stale.mac)) is None:
            self.model.told.pop((stale.mac, stale.ssid), None)
            self.model.ended(stale.mac, stale.ssid)

    @rule()
    def restarts(self) -> None:
        rows = sorted(self.disk.values(), key=lambda row: row.at)
        self.desk, self.moved, self.leaving = self.built(), Moved(), []
        self.desk.grants.restore(rows, self.desk.ring, self.now, NETWORKS)
        self.model.restarted()
        self.looks()

    @invariant()
    def a_device_is_there_exactly_while_its_latest_grant_is_a_blocked_one(self) -> None:
        rows, dropped = self.desk.grants.unwritten()
        self.disk |= {(row.ssid, row.mac): row for row in rows}
        for place in dropped:
            self.disk.pop(place, None)
        self.moved = self.moved.changed(self.desk.grants.moves.taken())
        for mac in (MAC, OTHER_MAC):
            assert self.moved.holders.get(mac) == self.expected(mac), mac

    def expected(self, mac: MacAddress) -> Holder | None:
        ssid = self.model.latest.get(mac)
        told = self.model.told.get((mac, ssid)) if ssid is not None else None
        if told is None or told.key is None or told.vlan != BLOCKED_VLAN:
            return None
        subscriber = self.keys[told.key.id].key.subscriber
        return Holder(subscriber, told.key.id) if subscriber else None

    @invariant()
    def nobody_is_blocked_for_a_debt_that_is_not_theirs_or_is_none(self) -> None:
        view = self.view
        for mac in (MAC, OTHER_MAC):
            decision = view.decide_device(mac, self.now)
            if decision.access is Access.BLOCKED:
                assert decision.subscriber is not None
                assert decision.subscriber.id in self.owing
                told = self.model.told[mac, self.model.latest[mac]]
                assert told.key is not None
                assert (told.vlan, self.keys[told.key.id].key.subscriber) == (BLOCKED_VLAN, decision.subscriber.id)


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=settings().max_examples, stateful_step_count=30, deadline=None)
