"""Two edges behind one address, with real keepalived: each way to fail over, under load (pairs.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED
from tests.e2e.lab import until
from tests.e2e.pairs import FOR_GOOD, Pair, every_failure, table

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

MOST = {
    "nothing": 0.5, "backup restarted": 0.5, "both master": 1.5, "handed over": 2.0, "keepalived killed": 3.0,
    "links down": 3.0, "one master again": 6.0, "edged killed": 6.0, "edged hangs": 8.0,
    "both edged killed": 20.0,
}  # fmt: skip
"""The longest time without an answer, in seconds: what a machine that is busy with other tests keeps to."""
PASSING = ("nothing", "edged killed", "edged hangs", "backup restarted", "both edged killed")
"""While these happen, the router goes on: open lines notice nothing."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Pair() as built:
        yield built


def test_both_edges_build_the_same_ruleset_and_the_backup_needs_nobody(pair: Pair) -> None:
    first, second = pair.members.values()
    assert first.holds()
    assert second.holds_none()

    assert first.ruleset() == second.ruleset()
    assert places.BAD4 in first.ruleset()
    assert "ct state invalid" not in first.ruleset()
    for member in (first, second):
        assert "target-in-the-way" not in member.alarms(), member.name
        loose = pair.lab.run(member.name, "cat", "/proc/sys/net/netfilter/nf_conntrack_tcp_loose").stdout
        assert loose.strip() == "1", "connections that this host has not seen begin pass here"


def test_neither_edge_takes_a_list_that_names_what_the_two_share(pair: Pair) -> None:
    shared = ("100.64.0.1", "2001:db8:100::1")
    pair.tell(BLOCKED, *({**BLOCKED, "id": address, "addresses": [address]} for address in shared))

    for member in pair.members.values():
        until("it is held", lambda m=member: "billing-held" in m.alarms(), timeout=10.0)
        for address in shared:
            assert member.facts("explain", subject=address, name=None)["access"] != "blocked", member.name
    pair.tell(BLOCKED)
    for member in pair.members.values():
        until("the list is taken again", lambda m=member: "billing-held" not in m.alarms(), timeout=10.0)


def test_every_fail_over_gives_no_wrong_access_cuts_no_connection_and_is_over_in_time(pair: Pair) -> None:
    every_failure(pair)

    figures = pair.figures()
    print(table(figures))
    assert set(figures) == set(MOST)
    assert pair.load.cut == []
    for name, kinds in figures.items():
        assert len(kinds) == 10
        for kind, found in kinds.items():
            assert found["asked"] > 3, (name, kind)
            assert found["wrong"] == 0, (name, kind)
            assert found["gap_s"] <= (0.5 if name in PASSING and "connection" in kind else MOST[name]), (name, kind)
            if "RADIUS" in kind and name != FOR_GOOD:
                assert found["lost"] == 0, (name, kind)  # its NAS asks again
    for kind, found in figures["nothing"].items():
        assert found["lost"] == 0, kind
    assert sum(found["lost"] for found in figures["edged killed"].values()) > 0, "nobody asked while it was away"
