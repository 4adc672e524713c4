# SPDX-License-Identifier: Apache-2.0
"""Billing's live sessions: believed, doubted, missed, forgotten. Time is the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.billing.online.service import Online
from edged.billing.reading import Direct, Progress, Reading, silent
from edged.errors import UpstreamError
from edged.model import OnlineSession, Subscriber
from edged.values import Prefix
from tests.simulation.clockwork import Clockwork

Answer = tuple[OnlineSession, ...] | UpstreamError | None


def people(count: int) -> tuple[OnlineSession, ...]:
    return tuple(OnlineSession(f"u{n}", (Prefix(4, (100 << 24) + n, 32),), 1.0) for n in range(count))


class Source(Direct):
    """Says ``answer`` whenever it is asked who is online."""

    name = "billing"
    every: float | None = None
    trouble = ""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        self.asked += 1
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer

    async def read(self, previous: Reading | None, told: Progress = silent, /) -> Reading | None:
        raise NotImplementedError

    async def read_one(self, subscriber: str) -> Subscriber | None:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


class Scene:
    def __init__(self, answer: Answer) -> None:
        self.source = Source(answer)
        self.heard: list[tuple[int, bool]] = []
        self.online = Online(self.source, self.hear, every=60.0)

    async def hear(self, sessions: tuple[OnlineSession, ...], doubtful: bool) -> None:
        self.heard.append((len(sessions), doubtful))


@pytest.fixture
def play() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on virtual time."""

    def run(scene: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: Clockwork(Random(7), 1_800_000_000.0)) as runner:
            runner.run(scene)

    return run


Play = Callable[[Coroutine[Any, Any, None]], None]


async def test_everybody_who_is_online_is_handed_on_whole() -> None:
    scene = Scene(people(3))

    await scene.online.look()

    assert scene.heard == [(3, False)]
    assert scene.online.count == 3


async def test_a_list_that_has_shrunk_to_less_than_half_is_doubted_twice_and_then_believed() -> None:
    scene = Scene(people(100))
    await scene.online.look()
    scene.source.answer = people(49)

    for _ in range(3):
        await scene.online.look()

    assert scene.heard[1:] == [(49, True), (49, True), (49, False)]


async def test_half_of_a_list_and_a_few_who_leave_are_believed_at_once() -> None:
    scene = Scene(people(100))
    await scene.online.look()
    for count in (50, 26, 20, 0):
        scene.source.answer = people(count)
        await scene.online.look()

    assert [doubted for _, doubted in scene.heard] == [False] * 5


@pytest.mark.parametrize(("before", "doubtful"), [(20, False), (21, True)])
async def test_twenty_may_all_go_offline_at_once(before: int, doubtful: bool) -> None:
    scene = Scene(people(before))
    await scene.online.look()
    scene.source.answer = ()

    await scene.online.look()

    assert scene.heard[-1] == (0, doubtful)


async def test_a_doubted_list_does_not_lower_what_the_next_one_is_measured_by() -> None:
    scene = Scene(people(100))
    for count in (100, 40, 30):
        scene.source.answer = people(count)
        await scene.online.look()

    assert scene.heard[-1] == (30, True)
    assert scene.online.count == 100


async def test_doubts_are_forgotten_when_the_list_is_whole_again() -> None:
    scene = Scene(people(100))
    for count in (100, 10, 10, 100, 10, 10):
        scene.source.answer = people(count)
        await scene.online.look()

    assert [doubted for _, doubted in scene.heard] == [False, True, True, False, True, True]


async def test_an_answer_that_cannot_be_had_changes_nothing_and_is_told() -> None:
    scene = Scene(people(3))
    await scene.online.look()
    scene.source.answer = UpstreamError("billing: no answer within 60 s")

    with capture_logs() as lines:
        await scene.online.look()
        await scene.online.look()

    assert [line["event"] for line in lines] == ["billing-sessions-failed"], "once is enough"
    assert scene.heard == [(3, False)]
    assert scene.online.error == "billing: no answer within 60 s"
    scene.source.answer = people(3)
    await scene.online.look()
    assert scene.online.error == ""


@pytest.mark.parametrize("answer", [UpstreamError("away"), None], ids=["no answer", "no right to ask any more"])
def test_what_nobody_has_confirmed_for_ten_looks_is_let_go_and_comes_back(play: Play, answer: Answer) -> None:
    async def scene() -> None:
        stage = Scene(people(3))
        running = asyncio.create_task(stage.online.run())
        await asyncio.sleep(30)
        stage.source.answer = answer
        await asyncio.sleep(9 * 60)
        assert stage.heard == [(3, False)], "too early"
        await asyncio.sleep(4 * 60)
        assert stage.heard == [(3, False), (0, False)]

        stage.source.answer = people(3)
        await asyncio.sleep(90)
        assert stage.heard[-1] == (3, False)
        running.cancel()

    play(scene())


def test_a_source_without_sessions_is_asked_and_nothing_comes_of_it(play: Play) -> None:
    async def scene() -> None:
        stage = Scene(None)
        running = asyncio.create_task(stage.online.run())
        await asyncio.sleep(3600)
        assert stage.heard == []
        assert stage.source.asked > 40
        running.cancel()

    play(scene())
