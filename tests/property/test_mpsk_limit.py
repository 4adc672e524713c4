# SPDX-License-Identifier: Apache-2.0
"""A resident who tries everything to have more devices on a key than it allows: none of it helps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edged.mpsk.desk import REST, Desk, Search
from edged.mpsk.keyring import DEVICE_AGE
from edged.mpsk.search import search_all
from edged.policy.access import View
from edged.radius.packet import Answer, Code
from edged.state.keys import LOCAL, KeyId
from edged.values import MacAddress
from tests.mpsk_world import DAY, HOME, NOW, client, handshake_request, mpsk_settings, request, ring_of, stored

OPEN = View()
NEW = stored("k-1")
OLD = replace(stored("k-1~old", derived=True), revoked=NOW + 1000 * DAY)
MACS = [MacAddress(f"02:00:5e:40:00:0{n}") for n in range(8)]
STEPS = st.tuples(
    st.sampled_from(MACS),
    st.sampled_from(["new", "old", "bound"]),
    st.sampled_from([1.0, 3601.0, REST, DAY, DEVICE_AGE - 1, DEVICE_AGE + 1]),
)


def asks(desk: Desk, mac: MacAddress, how: str, now: float, attempt: int) -> bool:
    """Whether the device gets on: with either passphrase of a rotation, or by its address alone."""
    key = OLD if how == "old" else NEW
    assert key.pmk is not None
    packet = request(mac) if how == "bound" else handshake_request(key.pmk.reveal(), mac, attempt=str(attempt))
    answer = desk.ask(packet, client(), HOME, OPEN, now)
    if isinstance(answer, Search):
        answer = desk.found(answer, answer.at(search_all(answer.challenge, answer.pmks)), OPEN, now)
    return isinstance(answer, Answer) and answer.code is Code.ACCESS_ACCEPT


@given(st.sampled_from(["reject", "replace-oldest"]), st.integers(1, 3), st.lists(STEPS, max_size=40))
def test_a_key_has_never_more_devices_than_its_limit(
    full: str, limit: int, steps: list[tuple[MacAddress, str, float]]
) -> None:
    desk = Desk(mpsk_settings(devices_full=full, devices_per_key=limit))
    desk.ring = ring_of(NEW, OLD)
    now = NOW
    for attempt, (mac, how, wait) in enumerate(steps):
        now += wait
        known = (NEW.key.ssid, mac) in desk.ring.learned
        got_on = asks(desk, mac, how, now, attempt)

        assert desk.ring.device_count(KeyId(LOCAL, "k-1"), MacAddress(""), now) <= limit
        assert how != "bound" or known or not got_on, "an address alone never takes a place"
        assert not got_on or desk.ring.learned[NEW.key.ssid, mac].at > now - DEVICE_AGE, "who is on counts"
