# SPDX-License-Identifier: Apache-2.0
"""The target in memory keeps every promise of the contract that the kernel's target is held to."""

from __future__ import annotations

import pytest

from edged.enforce.targets.memory import MemoryTarget
from edged.errors import UpstreamError
from edged.model import State
from edged.values import parse_address
from tests.e2e.enforce_contract import bring, fulfils, subscriber, wanted


async def test_the_target_in_memory_fulfils_the_contract() -> None:
    await fulfils(MemoryTarget())


async def test_a_garden_address_lives_for_its_seconds() -> None:
    now = [100.0]
    target = MemoryTarget(clock=lambda: now[0])
    address = parse_address("203.0.113.99")
    with pytest.raises(UpstreamError):
        await target.admit([(address, 30.0)])
    await bring(target, wanted())
    await target.admit([(address, 30.0)])
    assert target.admits(address)
    now[0] = 131.0
    assert not target.admits(address)


async def test_the_connections_of_changed_lines_are_let_go_on_block_and_on_unblock() -> None:
    target = MemoryTarget()
    await bring(target, wanted(subscriber("1", "100.64.1.7")))
    await bring(target, wanted())
    assert target.forgotten == ["100.64.1.7", "100.64.1.7"]


async def test_a_reminder_leads_to_the_page_while_somebody_vouches_and_not_on_a_way_that_was_set_aside() -> None:
    now = [100.0]
    target = MemoryTarget(clock=lambda: now[0])
    line, server, other = map(parse_address, ("100.64.1.7", "203.0.113.99", "203.0.113.98"))
    for early in (target.vouch(15.0), target.set_aside(line, server, 600.0)):
        with pytest.raises(UpstreamError):
            await early
    await bring(target, wanted(subscriber("1", "100.64.1.7", state=State.NOTICE)))
    assert not target.reminds(line, server)

    await target.vouch(15.0)
    assert target.reminds(line, server)
    await target.set_aside(line, server, 600.0)
    assert (target.reminds(line, server), target.reminds(line, other)) == (False, True)

    now[0] = 115.0
    assert not target.reminds(line, other)
    await target.vouch(15.0)
    assert target.reminds(line, other)
    await target.vouch(0.0)
    assert not target.reminds(line, other)
