# SPDX-License-Identifier: Apache-2.0
"""Where somebody is, as a hub tells edges of it."""

from __future__ import annotations

from edged.hub.online import lines_of
from edged.model import OnlineSession
from edged.policy.sessions import Roster
from edged.values import parse_prefix

OLD, NEW, ELSEWHERE = map(parse_prefix, ("100.64.0.1", "100.64.0.2", "100.64.0.3"))


def test_of_several_sessions_the_earliest_says_since_when_and_another_address_counts_for_nothing() -> None:
    sessions = [
        OnlineSession("ana", (OLD,), 100.0),
        OnlineSession("ana", (NEW,), 300.0),
        OnlineSession("ana", (ELSEWHERE,), 50.0),
    ]
    assert lines_of("1", (OLD, NEW), sessions).since == 100.0


def test_whoever_has_an_address_since_the_session_that_billing_has_not_seen_end_keeps_it_at_the_edge() -> None:
    sessions = [OnlineSession("ana", (OLD,), 100.0), OnlineSession("ana", (NEW,), 300.0)]
    told = lines_of("1", (OLD, NEW), sessions)
    edge = Roster()
    edge.report(("nas", "payer"), OnlineSession("payer", (OLD,), 200.0))
    edge.report(("billing", "1"), OnlineSession("", told.addresses, told.since, told.id))
    assert edge.lines_of("", ["payer"]) == (OLD,)
    assert edge.lines_of("1", []) == (NEW,)
