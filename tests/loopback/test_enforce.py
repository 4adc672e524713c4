# SPDX-License-Identifier: Apache-2.0
"""The service with targets in memory: it follows, retries, reports; one bad target stands in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_address

import pytest

from edged.enforce.desired import Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.rules import Rules
from edged.enforce.service import COMPARE_EVERY, FEW, LARGE, VOUCH, EnforceService
from edged.enforce.sets import ALL_SETS, SetName
from edged.enforce.targets.memory import MemoryTarget
from edged.errors import ConfigError, UpstreamError
from edged.model import State
from edged.policy.access import Learned, Line, View
from edged.state.current import Current
from edged.values import IpAddress, MacAddress, parse_address, parse_mac, parse_prefix
from tests.e2e.enforce_contract import NOW, RULES, subscriber, view_of

LINE = subscriber("1", "100.64.1.7")
ADDRESS = parse_address("100.64.1.7")


@contextlib.asynccontextmanager
async def running(
    *targets: MemoryTarget,
    view: View,
    watch: bool = False,
    clock: Callable[[], float] = lambda: NOW,
    every: float = 60.0,
) -> AsyncIterator[tuple[EnforceService, Current]]:
    current = Current(view)
    names = {f"memory-{n}": target for n, target in enumerate(targets)}
    service = EnforceService(names, RULES, current=current, watch=watch, clock=clock, every=every)
    await service.start()
    task = asyncio.create_task(service.run())
    try:
        yield service, current
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await service.stop()
        await service.stop()


async def settles(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not check():
            await asyncio.sleep(0.005)


async def test_every_new_version_is_enforced_at_once() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of()) as (service, current):
        await settles(lambda: service.status()["memory-0"].ok)
        current.publish(view_of(LINE))
        await settles(lambda: service.status()["memory-0"].actual == 1)
        assert await service.in_place(ADDRESS) == {"memory-0": True}
        assert await service.plan() == {"memory-0": Plan()}
        current.publish(view_of())
        await settles(lambda: service.status()["memory-0"].actual == 0)
    assert target.forgotten == ["100.64.1.7", "100.64.1.7"]


async def test_the_end_of_a_pass_is_enforced_when_it_comes() -> None:
    now = [NOW]
    target = MemoryTarget()
    view = view_of(LINE, learned=Learned(passes={"1": NOW + 0.05}))
    async with running(target, view=view, clock=lambda: now[0]) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        assert not await target.contains(ADDRESS)
        now[0] = NOW + 0.06
        await settles(lambda: service.status()["memory-0"].actual == 1)


async def test_a_target_that_fails_neither_delays_another_nor_stays_failed() -> None:
    bad, good = MemoryTarget(), MemoryTarget()
    bad.broken = True
    async with running(bad, good, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.status()["memory-1"].ok and service.counters.failed > 0)
        health = service.status()["memory-0"]
        assert (health.ok, health.error) == (False, "memory: broken on request")
        assert service.garden_sets() == 0, "the garden goes on being told to the other"
        assert await service.in_place(ADDRESS) == {"memory-1": True}
        bad.broken = False
        await settles(lambda: service.status()["memory-0"].ok)
        assert service.status()["memory-0"].actual == 1


async def test_what_somebody_else_removed_is_back_and_counted_as_drift() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE), every=0.02) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        assert service.counters.drifted == 0
        target.vanish()
        await settles(lambda: service.counters.drifted == 1)
        await settles(lambda: service.counters.applied == 2)
        assert await target.contains(ADDRESS)
        assert service.status()["memory-0"].drift > 0


async def test_watching_changes_nothing_and_still_says_what_it_would_change() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE), watch=True) as (service, _):
        await settles(lambda: service.status()["memory-0"].compared > 0)
        health = service.status()["memory-0"]
        assert (health.wanted, health.actual) == (1, 0)
        plans = await service.plan()
        assert plans["memory-0"].base
        assert "add element inet edged blocked4h { 100.64.1.7 }" in (await service.render(plans))["memory-0"]
        await service.admit([(ip_address("203.0.113.20"), 30.0)])
        assert await target.read() is None
        assert not target.garden
        service.reconfigure(RULES, watch=False)
        await settles(lambda: service.status()["memory-0"].actual == 1)


async def test_what_an_earlier_run_enforced_stays_until_there_is_a_list() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)

    async with running(target, view=View()) as (service, current):
        await settles(lambda: service.counters.failed > 0)
        health = service.status()["memory-0"]
        assert (health.ok, health.error) == (False, "there is no list yet, so the 1 entries of an earlier run stay")
        assert await target.contains(ADDRESS)

        current.publish(view_of())
        await settles(lambda: service.status()["memory-0"].ok)
        assert not await target.contains(ADDRESS)


async def test_without_a_list_the_rules_are_there_all_the_same_where_nothing_was_enforced() -> None:
    target = MemoryTarget()
    async with running(target, view=View()) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        assert await target.read() is not None


async def test_a_pass_that_had_ended_runs_again_when_the_clock_is_set_back() -> None:
    now = [NOW + 20]
    target = MemoryTarget()
    view = view_of(LINE, learned=Learned(passes={"1": NOW + 10}))
    async with running(target, view=view, clock=lambda: now[0], every=0.02) as (service, _):
        await settles(lambda: service.status()["memory-0"].actual == 1)

        now[0] = NOW
        await settles(lambda: service.status()["memory-0"].actual == 0)

        assert not await target.contains(ADDRESS)


async def test_a_word_that_comes_while_a_large_list_is_computed_is_in_the_next_sets() -> None:
    many = [subscriber(f"n{n}", f"100.65.{n // 250}.{n % 250}") for n in range(LARGE)]
    current = Current(view_of(*many))
    service = EnforceService({"memory": MemoryTarget()}, RULES, current=current, clock=lambda: NOW)
    computing = asyncio.create_task(service.plan())
    await asyncio.sleep(0)
    assert not computing.done()

    current.publish(view_of(*many, LINE), frozenset({"1"}))

    assert len((await computing)["memory"].add[SetName.BLOCKED_HOSTS_4]) == LARGE
    assert len((await service.plan())["memory"].add[SetName.BLOCKED_HOSTS_4]) == LARGE + 1


async def test_many_changes_at_once_and_few_come_to_the_same_sets() -> None:
    people = [subscriber(str(n), f"100.65.0.{n}") for n in range(1, 200)]
    current = Current(view_of())
    service = EnforceService({"memory": MemoryTarget()}, RULES, current=current, clock=lambda: NOW)
    for number in (1, FEW, FEW + 1, 199, 3):
        current.publish(view_of(*people[:number]), frozenset(one.id for one in people))
        current.publish(current.view, frozenset())

        (plan,) = (await service.plan()).values()

        assert plan.add[SetName.BLOCKED_HOSTS_4] == {p.network for one in people[:number] for p in one.addresses}


async def test_new_rules_are_taken_into_force_without_a_restart() -> None:
    target = MemoryTarget()
    rules: Rules = dataclasses.replace(RULES, forward="drop")
    async with running(target, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        service.reconfigure(rules)
        await settles(lambda: service.counters.applied == 2)
        actual = await target.read()
        assert actual is not None
        assert actual.rules == rules


async def test_admitting_reaches_every_target_and_never_raises() -> None:
    bad, good = MemoryTarget(), MemoryTarget()
    address = ip_address("203.0.113.20")
    async with running(bad, good, view=view_of()) as (service, _):
        await settles(lambda: all(h.ok for h in service.status().values()))
        bad.broken = True
        await service.admit([(address, 30.0)])
        assert good.admits(address)
        assert service.counters.admit_failed == 1
        await service.admit([])


async def test_stopping_leaves_everything_in_force() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
    assert await target.contains(ADDRESS)


# --- whether a line really works again --------------------------------------------------------------


class Gated(MemoryTarget):
    """A target that changes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.may.set()
        self.waiting = asyncio.Event()

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        self.waiting.set()
        await self.may.wait()
        return await super().apply(desired, plan)


HERE = View().line_at(ADDRESS)


async def test_a_line_is_lifted_when_the_slowest_target_has_lifted_it() -> None:
    quick, slow = MemoryTarget(), Gated()
    async with running(quick, slow, view=view_of(LINE)) as (service, current):
        assert not service.lifted(HERE), "nothing is known yet"
        assert not service.holds(HERE)
        await settles(lambda: all(health.ok for health in service.status().values()))
        assert service.holds(HERE)
        slow.may.clear()
        slow.waiting.clear()
        current.publish(view_of())
        await slow.waiting.wait()
        await settles(lambda: service.status()["memory-0"].actual == 0)
        assert not service.lifted(HERE)
        assert service.holds(HERE)
        slow.may.set()
        async with asyncio.timeout(5.0):
            while not service.lifted(HERE):
                await service.news()
        assert await service.in_place(ADDRESS) == {"memory-0": False, "memory-1": False}
        assert not service.holds(HERE)


async def test_a_target_that_fails_has_lifted_nothing() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE)) as (service, current):
        await settles(lambda: service.status()["memory-0"].ok)
        target.broken = True
        current.publish(view_of())
        await settles(lambda: service.counters.failed > 0)
        assert not service.lifted(HERE)
        assert service.holds(HERE)


async def test_a_target_that_never_answered_is_no_proof_either_way() -> None:
    target = MemoryTarget()
    target.broken = True
    async with running(target, view=view_of()) as (service, _):
        await settles(lambda: service.counters.failed > 0)
        assert (service.lifted(HERE), service.holds(HERE)) == (False, False)


async def test_a_line_whose_old_connections_are_still_tracked_is_not_lifted() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of()) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        target.lingering = (parse_prefix("100.64.1.0/24"),)
        assert (service.lifted(HERE), service.holds(HERE)) == (False, False)
        target.lingering = (parse_prefix("100.64.2.0/24"),)
        assert service.lifted(HERE)


async def test_a_prefix_and_a_device_are_lines_too() -> None:
    house, mac = subscriber("2", "2001:db8:100:700::/56"), "02:00:5e:10:00:01"
    target = MemoryTarget()
    async with running(target, view=view_of(house, subscriber("3", devices=(mac,)))) as (service, current):
        await settles(lambda: service.status()["memory-0"].ok)
        inside = View().line_at(parse_address("2001:db8:100:7ab::1"))
        assert service.holds(inside)
        assert service.holds(Line(house.addresses))
        assert service.holds(Line(devices=(parse_mac(mac),)))
        assert not service.holds(View().line_at(parse_address("2001:db8:100:800::1")))
        current.publish(view_of())
        await settles(lambda: service.lifted(inside) and service.lifted(Line(devices=(parse_mac(mac),))))


async def test_where_nothing_is_enforced_nothing_is_in_the_way() -> None:
    async with running(MemoryTarget(), view=view_of(LINE), watch=True) as (service, _):
        assert (service.lifted(HERE), service.holds(HERE)) == (True, False)


# --- reminders -------------------------------------------------------------------------------------

REMINDED = subscriber("2", "100.64.1.9", state=State.NOTICE)
REMINDED_AT = parse_address("100.64.1.9")
WEB = parse_address("203.0.113.80")


async def test_a_due_reminder_leads_to_the_page_as_long_as_the_service_lives_and_no_longer() -> None:
    now = [100.0]
    target = MemoryTarget(clock=lambda: now[0])
    async with running(target, view=view_of(REMINDED, LINE), every=0.02) as (service, _):
        await settles(lambda: target.reminds(REMINDED_AT, WEB))
        now[0] += 1000.0
        await settles(lambda: target.reminds(REMINDED_AT, WEB))
        assert await target.contains(ADDRESS)
        assert service.counters.drifted == 0

    assert not target.reminds(REMINDED_AT, WEB), "an orderly end"
    assert await target.contains(ADDRESS), "who is blocked stays blocked"


async def test_a_service_that_is_killed_vouches_for_three_comparisons_at_most() -> None:
    now = [100.0]
    target = MemoryTarget(clock=lambda: now[0])
    service = EnforceService({"memory": target}, RULES, current=Current(view_of(REMINDED)), clock=lambda: NOW)
    killed = asyncio.create_task(service.run())
    await settles(lambda: target.reminds(REMINDED_AT, WEB))
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)

    now[0] += VOUCH * COMPARE_EVERY - 0.1
    assert target.reminds(REMINDED_AT, WEB)
    now[0] += 0.1
    assert not target.reminds(REMINDED_AT, WEB)


async def test_nobody_vouches_where_nobody_is_reminded() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(LINE), every=0.02) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
    assert target.alive_until == 0.0


async def test_watching_reminds_nobody() -> None:
    target = MemoryTarget()
    async with running(target, view=view_of(REMINDED), watch=True) as (service, _):
        await settles(lambda: service.status()["memory-0"].compared > 0)
        assert not await service.set_aside(REMINDED_AT, WEB)
        assert await target.read() is None


async def test_a_reminder_comes_back_by_itself_when_the_snooze_ends_without_a_look_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [NOW]
    target = MemoryTarget()
    view = view_of(REMINDED, LINE, learned=Learned(snoozes={"2": NOW + 0.05}))
    async with running(target, view=view, clock=lambda: now[0]) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        assert not target.reminds(REMINDED_AT, WEB)
        monkeypatch.setattr("edged.enforce.service.desired", None)  # all of them would be looked at with it

        now[0] = NOW + 0.06

        await settles(lambda: target.reminds(REMINDED_AT, WEB))
        assert await target.contains(ADDRESS)


async def test_whoever_waits_for_a_change_to_be_in_force_hears_when_it_is_and_never_waits_for_ever() -> None:
    bad, good = MemoryTarget(), MemoryTarget()
    async with running(bad, good, view=view_of(REMINDED)) as (service, current):
        assert await service.caught_up(5.0)

        current.publish(view_of(REMINDED, learned=Learned(snoozes={"2": NOW + 60})), frozenset({"2"}))
        assert await service.caught_up(5.0)
        assert not good.reminds(REMINDED_AT, WEB)

        bad.broken = True
        current.publish(view_of(REMINDED), frozenset({"2"}))
        assert not await service.caught_up(0.05)


async def test_a_way_is_set_aside_on_every_target_or_it_is_not() -> None:
    bad, good = MemoryTarget(), MemoryTarget()
    async with running(bad, good, view=view_of(REMINDED)) as (service, _):
        assert await service.caught_up(5.0)
        assert await service.set_aside(REMINDED_AT, WEB)
        assert not good.reminds(REMINDED_AT, WEB)
        assert good.reminds(REMINDED_AT, parse_address("203.0.113.81"))

        bad.broken = True
        assert not await service.set_aside(REMINDED_AT, WEB)


class Unfit(MemoryTarget):
    """A target that cannot work here."""

    async def start(self, rules: Rules) -> None:  # noqa: ARG002  # the Protocol's
        raise ConfigError.of("enforce.unfit", "nothing", "something")


async def test_every_target_that_cannot_work_is_named_at_once() -> None:
    service = EnforceService({"a": Unfit(), "b": Unfit()}, RULES, current=Current(view_of()))
    with pytest.raises(ConfigError) as caught:
        await service.start()
    assert len(caught.value.problems) == 2
    await EnforceService({"a": Unfit()}, RULES, current=Current(view_of()), watch=True).start()


async def test_no_way_is_set_aside_where_there_is_no_target() -> None:
    async with running(view=view_of(REMINDED)) as (service, _):
        assert not await service.set_aside(REMINDED_AT, WEB), "the sender would be sent round in circles"
        assert await service.caught_up(1.0)


# --- one that hangs, is down or does things bit by bit ----------------------------------------------


class Hung(MemoryTarget):
    """A target that never answers, once it is ``hung``."""

    def __init__(self) -> None:
        super().__init__()
        self.hung = False
        self.asked = 0

    async def _answer(self) -> None:
        self.asked += 1
        if self.hung:
            await asyncio.Event().wait()

    async def read(self) -> Actual | None:
        await self._answer()
        return await super().read()

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        await self._answer()
        await super().admit(entries)

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        await self._answer()
        return await super().contains(address, *devices)

    async def counters(self) -> dict[str, int]:
        await self._answer()
        return await super().counters()


async def test_a_target_that_hangs_delays_one_answer_of_the_garden_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.enforce.admission.service.ADMIT_TIMEOUT", 0.05)
    bad, good = Hung(), MemoryTarget()
    async with running(bad, good, view=view_of()) as (service, _):
        await settles(lambda: all(h.ok for h in service.status().values()))
        bad.hung = True
        await service.admit([(WEB, 30.0)])
        asked = bad.asked
        for number in range(50):
            await asyncio.wait_for(service.admit([(parse_address(f"203.0.113.{number}"), 30.0)]), 0.02)
        assert bad.asked <= asked + 1, "the one comparison that found it hung"
        assert service.counters.admit_failed == 51
        assert good.admits(WEB)


async def test_a_target_that_was_away_is_told_of_the_garden_that_it_missed() -> None:
    bad, good = MemoryTarget(), MemoryTarget()
    other = parse_address("203.0.113.81")
    async with running(bad, good, view=view_of()) as (service, _):
        await settles(lambda: all(h.ok for h in service.status().values()))
        bad.broken = True
        for address in (WEB, other):
            await service.admit([(address, 30.0)])
        assert not bad.admits(WEB)
        bad.broken = False
        await settles(lambda: bad.admits(WEB) and bad.admits(other))
        await service.admit([(parse_address("203.0.113.82"), 30.0)])
        assert bad.admits(parse_address("203.0.113.82")), "it is asked again"


class SlowGarden(MemoryTarget):
    """A target that opens its garden when it ``may``."""

    def __init__(self) -> None:
        super().__init__()
        self.may, self.waiting = asyncio.Event(), asyncio.Event()
        self.most = 1_000_000
        """Up to so many it opens at once."""

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        self.waiting.set()
        if len(self.garden) >= self.most:
            await self.may.wait()
        await super().admit(entries)


async def test_a_long_garden_is_told_beside_a_word_that_somebody_paid_and_with_what_is_learned_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.enforce.admission.service.ADMIT_TIMEOUT", 0.05)
    target = SlowGarden()
    late = parse_address("203.0.113.80")
    async with running(target, view=view_of(LINE)) as (service, current):
        await settles(lambda: service.status()["memory-0"].ok)
        target.broken = True
        many = [(parse_address(f"198.51.100.{n}"), 30.0) for n in range(250)]
        many += [(parse_address(f"192.0.2.{n}"), 30.0) for n in range(250)]
        await service.admit(many)
        target.most = 0
        target.waiting.clear()
        target.broken = False
        await target.waiting.wait()
        current.publish(view_of())
        await settles(lambda: service.lifted(HERE))
        assert not target.garden
        await service.admit([(late, 30.0)])
        target.may.set()
        await settles(lambda: target.admits(late) and all(target.admits(address) for address, _ in many))
        await settles(lambda: service.status()["memory-0"].ok)
        await service.admit([(WEB, 30.0)])
        assert target.admits(WEB), "it is waited for again"


async def test_a_target_that_is_away_again_is_told_of_everything_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.enforce.admission.service.ADMIT_TIMEOUT", 0.05)
    monkeypatch.setattr("edged.enforce.admission.service.TOLD_AT_ONCE", 2)
    target = SlowGarden()
    addresses = [parse_address(f"198.51.100.{n}") for n in range(6)]
    async with running(target, view=view_of()) as (service, current):
        await settles(lambda: service.status()["memory-0"].ok)
        await service.admit([(address, 30.0) for address in addresses])
        target.most = 2
        for line in (LINE, subscriber("2", "100.64.1.8")):
            target.broken = True
            current.publish(view_of(line))
            await settles(lambda: not service.status()["memory-0"].ok)
            target.vanish()
            target.broken = False
            await settles(lambda: len(target.garden) == 2 and service.status()["memory-0"].ok)
        target.most = 6
        target.may.set()
        await settles(lambda: all(map(target.admits, addresses)))


async def test_questions_about_a_line_do_not_wait_for_a_target_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.enforce.admission.service.ASK_TIMEOUT", 0.05)
    hung, good = Hung(), MemoryTarget()
    hung.hung = True
    async with running(hung, good, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.status()["memory-1"].ok)
        assert set(await service.plan()) == {"memory-1"}
        assert await service.in_place(ADDRESS) == {"memory-1": True}
        assert await service.packets() == {"memory-1": {}}


async def test_a_line_is_lifted_and_a_change_in_force_whoever_is_down() -> None:
    down, good = MemoryTarget(), MemoryTarget()
    async with running(down, good, view=view_of(LINE)) as (service, current):
        await settles(lambda: all(h.ok for h in service.status().values()))
        down.broken = True
        current.publish(view_of())
        assert not await service.caught_up(5.0), "it says so as soon as it is known"
        await settles(lambda: service.lifted(HERE))
        assert service.holds(HERE), "the one that is down held it"
        good.broken = True
        current.publish(view_of(LINE))
        await settles(lambda: service.counters.failed > 1 and not service.status()["memory-1"].ok)
        assert not service.lifted(HERE), "with all of them down nothing is proven"
        assert service.garden_sets() is None


class Slicing(MemoryTarget):
    """A target that carries prefixes of nobody and adds one host at a time."""

    def __init__(self) -> None:
        super().__init__(carries=ALL_SETS - {SetName.BLOCKED_PREFIXES_6})
        self.slices = 0
        self.between: Callable[[], None] = lambda: None

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        self.slices += 1
        if self.slices == 3:
            self.between()
        hosts = sorted(plan.add.get(SetName.BLOCKED_HOSTS_4, frozenset()))[:1]
        some = dict(plan.add) | {SetName.BLOCKED_HOSTS_4: frozenset(hosts)}
        await super().apply(desired, Plan(plan.base, some, plan.remove))
        return len(plan.add.get(SetName.BLOCKED_HOSTS_4, ())) < 2


async def test_a_change_that_is_made_bit_by_bit_is_one_change_and_a_word_between_goes_first() -> None:
    target = Slicing()
    lines = [subscriber(str(n), f"100.64.1.{n}", f"2001:db8:100:{n}00::/56") for n in range(1, 9)]
    async with running(target, view=view_of(*lines)) as (service, current):
        assert target.slices == 0
        target.between = lambda: current.publish(view_of(*lines[1:]))
        await settles(lambda: service.status()["memory-0"].ok)
        assert not await target.contains(parse_address("100.64.1.1"))
        health, counters = service.status()["memory-0"], service.counters
        assert (health.wanted, health.actual) == (7, 7), "what is not carried there is not counted there"
        assert (counters.applied, counters.drifted) == (1, 0)
        assert counters.added >= 8, "all of it, not its last bit"
        assert await service.plan() == {"memory-0": Plan()}
        assert not await target.contains(parse_address("2001:db8:100:200::1"))


async def test_what_somebody_else_flushed_is_one_drift_however_many_bits_it_takes_to_mend() -> None:
    target = Slicing()
    lines = [subscriber(str(n), f"100.64.1.{n}") for n in range(1, 9)]
    async with running(target, view=view_of(*lines), every=0.05) as (service, _):
        await settles(lambda: service.status()["memory-0"].ok)
        slices = target.slices
        target.vanish()
        await settles(lambda: target.slices == 2 * slices and service.counters.applied == 2)
        assert service.counters.drifted == 1


class Unreadable(MemoryTarget):
    """A target that says about one line, and not about all of them."""

    async def read(self) -> Actual | None:
        raise UpstreamError("too long a list")


async def test_the_only_target_is_asked_although_it_is_down() -> None:
    target = Unreadable()
    async with running(target, view=view_of(LINE)) as (service, _):
        await settles(lambda: service.counters.failed > 0)
        assert await service.in_place(ADDRESS) == {"memory-0": False}
        with pytest.raises(UpstreamError, match="too long a list"):
            await service.plan()
