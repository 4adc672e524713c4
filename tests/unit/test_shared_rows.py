# SPDX-License-Identifier: Apache-2.0
"""Rows of the shared store as values: what is taken of a stranger, and what is never sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.errors import UpstreamError
from edged.state.shared.merging import bounded, merge_stored
from edged.state.shared.rows import KINDS, MOST_OCTETS, Row, fits, named, received, shape, spelt

WORD: dict[str, Any] = {
    "blocked": 1, "until": 2000.0, "reason": "abuse", "why": "spam", "who": "ada", "at": 1000.0, "kind": "block",
}  # fmt: skip
SESSION: dict[str, Any] = {
    **dict.fromkeys(("login", "ipv6", "delegated", "client", "ssid", "origin", "key", "bssid"), ""),
    "mac": "02:00:00:00:00:01", "ipv4": "100.64.0.1", "started": 1.0, "updated": 5.0, "stopped": None,
    "octets_in": 0, "octets_out": 0, "bound_ipv4": 1.0, "bound_ipv6": 1.0, "bound_delegated": 1.0, "silent": 0,
}  # fmt: skip


def word(**changed: Any) -> Row:
    body = {**WORD, **changed}
    return Row("override", named("8812"), body["at"], body)


def session(name: str = "s", **changed: Any) -> Row:
    return Row("session", named("n", name), 5.0, {**SESSION, **changed})


def test_when_a_word_was_said_stands_in_it_and_not_beside_it() -> None:
    name, text = spelt(word())

    assert received("override", name, text, 9e10, gone=False).changed == 1000.0
    assert received("session", *spelt(session(stopped=7.0)), 1.0, gone=False).changed == 7.0
    assert received("override", name, "{}", 9e10, gone=True).changed == 9e10


def test_what_others_would_refuse_is_not_sent() -> None:
    assert fits(word())
    assert fits(session())
    for row in (
        word(until=float("inf")), word(at=-1e11), word(until=1e12), word(why="x" * 9000), word(why="\ud800"),
        word(kind="promise"), word(blocked=True), session(octets_in=-1), session(ipv4="not an address"),
        session("x" * 5000), word(until=1000.0 + 33 * 86400.0),
        word(until=1000.0 + 368 * 86400.0, kind="exemption", blocked=0),
    ):  # fmt: skip
        assert not fits(row), row
        with pytest.raises((UpstreamError, ValueError)):
            received(row.kind, *spelt(row), row.changed, gone=False)


def test_a_session_is_shared_whatever_its_nas_calls_it() -> None:
    assert fits(session(mac="port 7 of somebody's switch")), "a Calling-Station-Id need not be a MAC address"
    for name in ("s\0", "\x1b[2J", "ж" * 200, "'; DROP TABLE sessions; --", ""):
        row = session(name, login=name)
        assert received("session", *spelt(row), 5.0, gone=False).name == named("n", name)


@pytest.mark.parametrize(
    "row",
    [
        session(ipv4="100.64.0.0/10"), session(ipv4="2001:db8::1"), session(ipv4="100.64.0.1 100.64.0.2"),
        Row("device", named("Residence", ""), 1.0,
            {"origin": "billing", "key": "k", "first_seen": 1.0, "last_seen": 1.0}),
        Row("device", named("Residence", "02-00-00-00-00-01"), 1.0,
            {"origin": "billing", "key": "k", "first_seen": 1.0, "last_seen": 1.0}),
    ],
)  # fmt: skip
def test_an_address_stands_there_as_edged_writes_it_or_not_at_all(row: Row) -> None:
    with pytest.raises(UpstreamError):
        received(row.kind, *spelt(row), row.changed, gone=False)


def test_what_was_added_to_a_row_is_kept_unless_nobody_could_read_the_whole_any_more() -> None:
    ours = word(why="x" * 5000, at=2000.0)
    small, large = word(ticket="T-7"), word(padding="y" * 12_000)

    assert merge_stored(ours, small).body["ticket"] == "T-7"
    assert len(spelt(large)[1]) < MOST_OCTETS
    whole = merge_stored(ours, large)
    assert "padding" not in whole.body
    assert fits(whole)


def test_another_set_of_columns_is_another_shape() -> None:
    assert shape(("override", "session")) == shape(("session", "override"))
    assert len({shape(tuple(KINDS)), shape(("override",)), shape(())}) == 3
    assert json.loads(named("a")) == ["a"]


def test_a_word_from_ahead_of_the_clock_lasts_as_long_as_it_was_meant_to() -> None:
    at = 1e9 + 400 * 86400.0

    said = bounded(word(at=at, until=at + 3600.0), 1e9)

    assert (said.changed, said.body["at"], said.body["until"]) == (1e9, 1e9, 1e9 + 3600.0)
    assert fits(said)
