# SPDX-License-Identifier: Apache-2.0
"""What every target promises, as scenarios that run against any: the one in memory and the kernel's."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_address

import pytest

from edged.enforce.desired import Desired, desired
from edged.enforce.diff import Actual, Plan, diff
from edged.enforce.rules import Portal, Rules, rules_of
from edged.enforce.sets import SetName
from edged.enforce.targets import Target
from edged.errors import UpstreamError
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import Learned, View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Endpoint, parse_address, parse_mac, parse_prefix

SETTINGS = SubscribersSettings.model_validate(
    {
        "networks": ["100.64.0.0/10", "2001:db8:100::/40"],
        "exempt": ["100.64.0.53", "2001:db8:100::53"],
    }
)
RULES = rules_of(
    portals=[ip_address("203.0.113.10"), ip_address("2001:db8::10")],
    dns=[Endpoint(ip_address("0.0.0.0"), 5300), Endpoint(ip_address("::"), 5300)],
    http=[Endpoint(ip_address("0.0.0.0"), 8080), Endpoint(ip_address("::"), 8080)],
    https=[Endpoint(ip_address("0.0.0.0"), 8443), Endpoint(ip_address("::"), 8443)],
    garden_networks=(parse_prefix("203.0.113.20"), parse_prefix("2001:db8::20")),
    reminds=True,
)
NOW = 1_700_000_000.0


def subscriber(name: str, *addresses: str, state: State = State.BLOCKED, devices: tuple[str, ...] = ()) -> Subscriber:
    return Subscriber(
        name,
        state,
        reason="unpaid",
        addresses=tuple(map(parse_prefix, addresses)),
        devices=tuple(map(parse_mac, devices)),
    )


def view_of(*subscribers: Subscriber, learned: Learned | None = None) -> View:
    return View(compile_table(Snapshot("s", "1", NOW, subscribers), SETTINGS), learned or Learned())


def wanted(*subscribers: Subscriber, rules: Rules = RULES) -> Desired:
    return desired(view_of(*subscribers), rules, NOW)


async def bring(target: Target, value: Desired) -> Plan:
    """Make ``target`` what ``value`` says; the plan that it took."""
    plan = diff(value, await target.read())
    if not plan.empty:
        await target.apply(value, plan)
    return plan


async def fulfils(target: Target) -> None:
    """The whole contract, on a target that holds nothing yet."""
    await target.start(RULES)
    assert await target.read() is None
    await _reaches_every_state(target)
    await _answers_for_single_addresses(target)
    await _takes_new_rules(target)
    await _refuses_a_stale_plan_as_a_whole(target)
    await target.admit([(parse_address("203.0.113.99"), 30.0), (parse_address("2001:db8::99"), 30.0)])
    for seconds in (5.0, 5.0, 0.0, 5.0):
        await target.vouch(seconds)
    for line, server in (("100.64.1.7", "203.0.113.99"), ("2001:db8:100:700::7", "2001:db8::99")) * 2:
        await target.set_aside(parse_address(line), parse_address(server), 30.0)
    await target.close()
    assert await target.read() is not None


STATES = [
    [],
    [subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", devices=("02:00:5e:10:00:01",))],
    # side by side, and a hole in the middle of each
    [
        subscriber("1", "100.64.2.0/24", "2001:db8:100:700::/56"),
        subscriber("2", "100.64.3.0/24", "2001:db8:100:800::/56"),
        subscriber("3", "100.64.2.9", "2001:db8:100:7ff::/64", state=State.NOTICE),
    ],
    [subscriber("2", "100.64.3.0/25", "2001:db8:100:800::/57"), subscriber("4", "100.64.3.128/26")],
    [subscriber("5", "100.64.0.0/10", "2001:db8:100::/40")],
    [
        subscriber("1", "100.64.2.0/24", "2001:db8:100:700::/56", state=State.NOTICE, devices=("02:00:5e:10:00:01",)),
        subscriber("2", "100.64.2.9", "2001:db8:100:7ff::/64"),
        subscriber("3", "100.64.1.7", state=State.NOTICE),
    ],
    [subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(1000)],
    [subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(500, 1500)],
    [],
]


async def _reaches_every_state(target: Target) -> None:
    for subscribers in STATES:
        value = wanted(*subscribers)
        await bring(target, value)
        actual = await target.read()
        assert actual is not None
        assert actual.sets == value.sets
        assert diff(value, actual).empty


async def _answers_for_single_addresses(target: Target) -> None:
    await bring(target, wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", "100.64.9.0/24")))
    for text, blocked in [
        ("100.64.1.7", True),
        ("100.64.1.8", False),
        ("100.64.9.200", True),
        ("2001:db8:100:7ab::1", True),
        ("2001:db8:100:800::1", False),
    ]:
        assert await target.contains(parse_address(text)) is blocked, text


async def _takes_new_rules(target: Target) -> None:
    held = wanted(subscriber("1", "100.64.1.7"))
    await bring(target, held)
    rules = dataclasses.replace(RULES, portal4=Portal(ip_address("203.0.113.11")), forward="drop")
    plan = await bring(target, wanted(subscriber("1", "100.64.1.7"), rules=rules))
    assert plan == Plan(base=True)
    actual = await target.read()
    assert actual == Actual(rules, held.sets)


async def _refuses_a_stale_plan_as_a_whole(target: Target) -> None:
    value = wanted(subscriber("1", "100.64.1.7"))
    await bring(target, value)
    stale = Plan(
        add={SetName.BLOCKED_MACS: frozenset({parse_mac("02:00:5e:10:00:09")})},
        remove={SetName.BLOCKED_HOSTS_4: frozenset({int(ip_address("100.64.1.8"))})},
    )
    with pytest.raises(UpstreamError):
        await target.apply(value, stale)
    actual = await target.read()
    assert actual is not None
    assert actual.sets == value.sets
