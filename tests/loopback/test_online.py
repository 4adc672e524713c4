# SPDX-License-Identifier: Apache-2.0
"""Billing's live sessions: asked again and again, handed on whole, and not believed at once when most are missing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edged.billing.online.service import Online
from edged.billing.sources.file import FileSource
from edged.errors import UpstreamError
from edged.model import OnlineSession

Sessions = tuple[OnlineSession, ...]


def people(number: int) -> Sessions:
    return tuple(OnlineSession(f"login-{n}", (), 0.0) for n in range(number))


class Billing(FileSource):
    """A source whose sessions are what the test says."""

    def __init__(self, answer: Sessions | UpstreamError | None = ()) -> None:
        super().__init__(Path("a-file-that-nobody-reads"))
        self.answer = answer
        self.asked = 0

    async def sessions(self) -> Sessions | None:
        self.asked += 1
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer


class Ears:
    """Keeps what was handed on."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bool]] = []

    def __call__(self, sessions: Sessions, doubtful: bool) -> None:
        self.heard.append((len(sessions), doubtful))


def online(billing: Billing, ears: Ears, every: Callable[[], float] = lambda: 60.0) -> Online:
    return Online(billing, ears, every=every, chance=random.Random(7))


async def heard_of(*counts: int) -> list[tuple[int, bool]]:
    """What is handed on of lists so long, one after the other."""
    billing, ears = Billing(), Ears()
    follower = online(billing, ears)
    for count in counts:
        billing.answer = people(count)
        assert await follower.look()
    return ears.heard


async def test_every_list_is_handed_on_whole() -> None:
    assert await heard_of(100, 101, 99, 60) == [(100, False), (101, False), (99, False), (60, False)]


async def test_a_list_that_shrank_below_half_is_doubted_twice_and_believed_the_third_time() -> None:
    assert await heard_of(100, 49, 49, 49, 49) == [(100, False), (49, True), (49, True), (49, False), (49, False)]


async def test_a_list_of_half_is_believed() -> None:
    assert await heard_of(100, 50) == [(100, False), (50, False)]


async def test_a_list_that_comes_back_ends_the_doubt_and_the_next_gap_is_doubted_anew() -> None:
    heard = await heard_of(100, 0, 0, 98, 0, 0, 0)

    assert [doubtful for _, doubtful in heard] == [False, True, True, False, True, True, False]


async def test_what_was_believed_in_the_end_is_what_the_next_gap_is_measured_by() -> None:
    assert await heard_of(100, 40, 40, 40, 10) == [(100, False), (40, True), (40, True), (40, False), (10, True)]


async def test_doubted_lists_do_not_lower_what_the_next_one_is_measured_by() -> None:
    billing, ears = Billing(), Ears()
    follower = online(billing, ears)
    for count in (100, 40, 30):
        billing.answer = people(count)
        await follower.look()

    assert ears.heard[-1] == (30, True)
    assert follower.count == 100


@pytest.mark.parametrize(("before", "doubtful"), [(20, False), (21, True)])
async def test_twenty_may_all_go_offline_at_once(before: int, doubtful: bool) -> None:
    assert await heard_of(before, 0) == [(before, False), (0, doubtful)]


async def test_while_billing_does_not_answer_nothing_is_handed_on_and_the_fault_is_logged_once() -> None:
    billing, ears = Billing(people(3)), Ears()
    follower = online(billing, ears)
    await follower.look()
    billing.answer = UpstreamError("billing: no answer within 10 s")

    with capture_logs() as lines:
        assert await follower.look(), "it is asked again"
        assert await follower.look()

    assert [line["event"] for line in lines] == ["billing-sessions-failed"]
    assert follower.error == "billing: no answer within 10 s"
    assert (ears.heard, follower.count) == ([(3, False)], 3)

    billing.answer = people(4)
    await follower.look()
    assert (follower.error, ears.heard[-1]) == ("", (4, False))


async def test_it_asks_again_at_the_pace_that_is_set_now() -> None:
    billing, ears = Billing(people(3)), Ears()
    pace = [0.0]
    running = asyncio.create_task(online(billing, ears, every=lambda: pace[0]).run())
    try:
        async with asyncio.timeout(5.0):
            while billing.asked < 3:
                await asyncio.sleep(0)
        pace[0] = 3600.0
        await asyncio.sleep(0.01)
        asked = billing.asked
        await asyncio.sleep(0.05)
        assert billing.asked == asked
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_source_without_sessions_is_asked_once_and_the_room_stays_open() -> None:
    billing, ears = Billing(None), Ears()
    running = asyncio.create_task(online(billing, ears, every=lambda: 0.0).run())
    try:
        await asyncio.sleep(0.05)
        assert (billing.asked, ears.heard, running.done()) == (1, [], False)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
