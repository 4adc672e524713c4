# SPDX-License-Identifier: Apache-2.0
"""The one current view: every swap wakes who waits, and it is known who changed since any version remembered."""

from __future__ import annotations

import asyncio
from collections import Counter

from edged.policy.access import View
from edged.state.current import Current


def names(*ids: str) -> frozenset[str]:
    return frozenset(ids)


def test_who_changed_since_a_version_is_everybody_named_after_it_and_nobody_before() -> None:
    current = Current()
    for who in ("ana", "luis", "mia"):
        current.publish(View(), names(who))

    assert [current.changed_since(version) for version in range(4)] == [
        names("ana", "luis", "mia"),
        names("luis", "mia"),
        names("mia"),
        names(),
    ]


def test_a_swap_that_names_nobody_in_particular_may_have_changed_anybody() -> None:
    current = Current()
    current.publish(View(), names("ana"))
    current.publish(View())
    current.publish(View(), names("mia"))

    assert current.changed_since(0) is None
    assert current.changed_since(1) is None
    assert current.changed_since(2) == names("mia")


def test_what_is_too_long_ago_to_be_remembered_may_have_changed_anybody() -> None:
    current = Current()
    for number in range(300):
        current.publish(View(), names(str(number)))

    since = {version: current.changed_since(version) for version in range(301)}

    assert since[0] is None
    assert Counter(changed is None for changed in since.values()) == {True: 300 - 256, False: 256 + 1}
    assert all(changed == names(*map(str, range(version, 300))) for version, changed in since.items() if changed)


def test_a_version_that_is_still_to_come_is_of_another_current_and_says_nothing() -> None:
    current = Current()
    current.publish(View(), names("ana"))

    assert current.changed_since(2) is None


async def test_everybody_who_waits_is_woken_by_a_swap_and_sees_the_new_view() -> None:
    current, view = Current(), View()
    waiting = [asyncio.create_task(current.wait(0)) for _ in range(3)]
    await asyncio.sleep(0)

    current.publish(view)

    async with asyncio.timeout(1.0):
        assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert current.view is view


async def test_who_has_missed_a_swap_does_not_wait_for_the_next_one() -> None:
    current = Current()
    current.publish(View())
    current.publish(View())

    async with asyncio.timeout(1.0):
        assert await current.wait(1) == 2
