# SPDX-License-Identifier: Apache-2.0
"""What is remembered of who pressed "I have paid"."""

from __future__ import annotations

import pytest

from edged.captive.answers import Topic
from edged.captive.inquiry import AGAIN, PATIENCE, SILENCE, Heard, Inquiries, topic_after_check
from edged.model import Access
from edged.policy.access import DRAIN_S, Decision, Line
from tests.captive_scene import NOW, decision

BLOCKED = decision(Access.BLOCKED)


def pressed(*at: float, heard: Heard = Heard.ANSWERED) -> tuple[Inquiries, list[bool]]:
    inquiries = Inquiries()
    fresh = [inquiries.press("1001", Line(), NOW + moment) for moment in at]
    inquiries.hear("1001", heard, NOW + at[-1])
    return inquiries, fresh


def said(inquiries: Inquiries, after: float, found: Decision = BLOCKED) -> Topic | None:
    return topic_after_check(found, inquiries.get("1001"), NOW + after)


def test_a_press_asks_and_those_right_after_it_do_not() -> None:
    assert pressed(0, 1, AGAIN - 0.1, AGAIN, AGAIN + 1)[1] == [True, False, False, True, False]


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    assert pressed(0, -100)[1] == [True, True]


def test_two_minutes_after_the_first_press_the_payment_is_not_to_be_seen_yet() -> None:
    inquiries, _ = pressed(0, 60, 110)

    assert said(inquiries, PATIENCE - 1) is Topic.LOOKING
    assert said(inquiries, PATIENCE) is Topic.UNSEEN


def test_after_an_hour_of_silence_a_press_is_a_first_one() -> None:
    inquiries, _ = pressed(0, SILENCE)

    assert said(inquiries, SILENCE + 60) is Topic.LOOKING


def test_billing_that_cannot_be_asked_is_away_however_long_it_has_been() -> None:
    inquiries, _ = pressed(0, heard=Heard.AWAY)

    assert said(inquiries, 1) is said(inquiries, 1000) is Topic.AWAY
    inquiry = inquiries.get("1001")
    assert inquiry is not None
    assert inquiry.at == 0.0


def test_while_billing_is_asked_again_nobody_is_told_that_it_cannot_be() -> None:
    inquiries, _ = pressed(0, heard=Heard.AWAY)
    inquiries.press("1001", Line(), NOW + AGAIN - 1)
    assert said(inquiries, AGAIN - 1) is Topic.AWAY, "an echo asks nobody"

    inquiries.press("1001", Line(), NOW + AGAIN)

    assert said(inquiries, AGAIN) is Topic.LOOKING


def test_a_payment_is_not_said_to_be_unseen_before_billing_has_answered_at_all() -> None:
    inquiries = Inquiries()
    inquiries.press("1001", Line(), NOW)
    assert said(inquiries, PATIENCE) is Topic.LOOKING

    inquiries.hear("1001", Heard.ANSWERED, NOW + PATIENCE)

    assert said(inquiries, PATIENCE) is Topic.UNSEEN


@pytest.mark.parametrize("access", [a for a in Access if a not in {Access.BLOCKED, Access.PASS}])
def test_nobody_whose_line_works_is_told_that_their_payment_is_looked_for(access: Access) -> None:
    assert said(pressed(0)[0], 1, decision(access)) is None


@pytest.mark.parametrize("reason", ["new", "abuse", "disabled"])
def test_nobody_is_told_so_whom_a_payment_would_not_open(reason: str) -> None:
    assert said(pressed(0)[0], 1, decision(Access.BLOCKED, reason)) is None


def test_nobody_is_told_so_who_did_not_press() -> None:
    assert topic_after_check(BLOCKED, None, NOW) is None


def test_who_is_freed_is_forgotten_for_the_next_block_at_once_and_wholly_after_the_drain() -> None:
    inquiries, _ = pressed(0, 60)
    inquiries.forget(lambda _: BLOCKED, NOW + 61)
    assert said(inquiries, 61) is Topic.LOOKING
    inquiries.forget(lambda _: decision(Access.OPEN), NOW + 62)

    assert said(inquiries, 63) is None, "blocked again, and nobody pressed since"
    inquiries.forget(lambda _: BLOCKED, NOW + 62 + DRAIN_S)
    assert len(inquiries) == 0


def test_a_press_in_a_new_block_is_a_first_one() -> None:
    inquiries, _ = pressed(0)
    inquiries.forget(lambda _: decision(Access.OPEN), NOW + 100)

    assert inquiries.press("1001", Line(), NOW + 130)
    assert said(inquiries, 200) is Topic.LOOKING


def test_the_memory_is_bounded_and_forgets_who_pressed_longest_ago() -> None:
    inquiries = Inquiries(limit=3)
    for name in ("1", "2", "3", "1", "4"):
        inquiries.press(name, Line(), NOW)

    assert [inquiries.get(name) is not None for name in ("1", "2", "3", "4")] == [True, False, True, True]
