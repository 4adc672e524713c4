# SPDX-License-Identifier: Apache-2.0
"""RFC 5080 section 2.2.2, row by row."""

from __future__ import annotations

import pytest

from edged.radius.duplicates import TTL, Duplicates, RequestKey, Standing

PEER = ("192.0.2.1", 1645)
KEY: RequestKey = (0, PEER, 7)
ONE, TWO = b"1" * 16, b"2" * 16


def arrive(memory: Duplicates, key: RequestKey, authenticator: bytes, now: float) -> Standing | bytes:
    """As the exchange does when an answer takes time."""
    standing = memory.standing(key, authenticator, now)
    if standing is Standing.NEW:
        memory.begin(key, authenticator, now)
    return standing


def test_a_duplicate_in_progress_is_dropped_and_an_answered_one_gets_the_same_octets() -> None:
    memory = Duplicates()
    assert arrive(memory, KEY, ONE, 0.0) is Standing.NEW
    assert arrive(memory, KEY, ONE, 1.0) is Standing.IN_PROGRESS
    assert memory.answered(KEY, ONE, b"reply", 2.0)
    assert arrive(memory, KEY, ONE, 3.0) == b"reply"


@pytest.mark.parametrize(
    "other",
    [
        (0, ("192.0.2.2", 1645), 7),
        (0, ("192.0.2.1", 1646), 7),
        (0, PEER, 8),
        (1, PEER, 7),
    ],
)
def test_another_source_port_identifier_or_listener_is_another_request(other: RequestKey) -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    assert arrive(memory, other, ONE, 0.0) is Standing.NEW


def test_another_authenticator_takes_the_place_of_the_old_request() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    memory.answered(KEY, ONE, b"old", 0.1)
    assert arrive(memory, KEY, TWO, 0.2) is Standing.NEW
    assert memory.answered(KEY, TWO, b"new", 0.3)
    assert arrive(memory, KEY, TWO, 0.4) == b"new"
    assert arrive(memory, KEY, ONE, 0.5) is Standing.NEW


def test_a_late_answer_to_a_replaced_request_reaches_nobody() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    arrive(memory, KEY, TWO, 0.1)
    assert not memory.answered(KEY, ONE, b"late", 0.2)
    memory.forget(KEY, ONE)
    assert arrive(memory, KEY, TWO, 0.3) is Standing.IN_PROGRESS


def test_an_answer_at_hand_is_kept_in_one_step_and_makes_a_slow_one_void() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    assert memory.standing(KEY, TWO, 0.1) is Standing.NEW
    memory.keep(KEY, TWO, b"reply", 0.1)
    assert not memory.answered(KEY, ONE, b"late", 0.2)
    assert memory.standing(KEY, TWO, 0.3) == b"reply"


def test_a_new_request_that_gets_silence_makes_a_slow_answer_void_all_the_same() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    assert memory.standing(KEY, TWO, 0.1) is Standing.NEW
    assert not memory.answered(KEY, ONE, b"late", 0.2)


def test_a_request_without_a_reply_may_be_tried_again() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    memory.forget(KEY, ONE)
    assert arrive(memory, KEY, ONE, 0.1) is Standing.NEW


def test_a_reply_is_kept_for_its_time_from_the_answer_on() -> None:
    memory = Duplicates()
    arrive(memory, KEY, ONE, 0.0)
    memory.answered(KEY, ONE, b"reply", 2.0)
    assert arrive(memory, KEY, ONE, 2.0 + TTL - 0.1) == b"reply"
    assert arrive(memory, KEY, ONE, 2.0 + TTL) is Standing.NEW


def test_expired_replies_leave_as_others_arrive() -> None:
    memory = Duplicates()
    for identifier in range(100):
        arrive(memory, (0, PEER, identifier), ONE, 0.0)
    for identifier in range(100, 150):
        arrive(memory, (0, PEER, identifier), ONE, 2 * TTL)
    assert len(memory) == 50


def test_the_memory_is_bounded_and_the_oldest_goes_first() -> None:
    memory = Duplicates(capacity=3)
    keys = [(0, ("192.0.2.1", port), 7) for port in range(5)]
    for key in keys:
        arrive(memory, key, ONE, 0.0)
    assert len(memory) == 3
    assert arrive(memory, keys[4], ONE, 0.0) is Standing.IN_PROGRESS
    assert arrive(memory, keys[0], ONE, 0.0) is Standing.NEW


@pytest.mark.parametrize("ttl", [4.9, 30.1])
def test_a_time_outside_the_standard_is_refused(ttl: float) -> None:
    with pytest.raises(ValueError, match="5080"):
        Duplicates(ttl)
