# SPDX-License-Identifier: Apache-2.0
"""Which line has to be open before a subscriber is told that it is."""

from __future__ import annotations

import pytest

from edged.captive.reception.service import line_of
from edged.enforce.desired import desired
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import parse_prefix
from tests.e2e.enforce_contract import NOW, RULES

NETWORKS = SubscribersSettings.model_validate(
    {"networks": ["100.64.0.0/10", "2001:db8::/32"], "exempt": ["100.64.8.0/31"]}
)


def person(id_: str, state: State, *lines: str) -> Subscriber:
    return Subscriber(id_, state, addresses=tuple(map(parse_prefix, lines)))


def seen(*others: Subscriber, lines: tuple[str, ...]) -> tuple[View, list[str]]:
    people = (person("1", State.BLOCKED, *lines), *others)
    view = View(compile_table(Snapshot("s", "1", NOW, people), NETWORKS))
    return view, [str(prefix) for prefix in line_of(view, "1").prefixes]


@pytest.mark.parametrize(
    ("lines", "other", "own"),
    [
        (("100.64.1.7", "2001:db8:1::/56"), (), ["100.64.1.7", "2001:db8:1::/56"]),
        (("100.64.1.0/29",), ("100.64.1.4",), ["100.64.1.0/29"]),
        (("100.64.1.0/29",), ("100.64.1.0",), ["100.64.1.1"]),
        (("100.64.1.0/29",), ("100.64.1.0", "100.64.1.1", "100.64.1.2/31"), ["100.64.1.4"]),
        (("2001:db8:1::/56",), ("2001:db8:1::/64",), ["2001:db8:1:1::"]),
        (("100.64.8.0/29",), ("100.64.8.2",), ["100.64.8.3"]),
        (("100.64.1.0/31",), ("100.64.1.0", "100.64.1.1"), []),
    ],
)
def test_a_line_is_told_by_an_address_of_it_that_is_its_own(
    lines: tuple[str, ...], other: tuple[str, ...], own: list[str]
) -> None:
    view, found = seen(person("2", State.ACTIVE, *other), lines=lines)

    assert found == own
    assert desired(view, RULES, NOW).holds(line_of(view, "1")) == bool(own), "while it is blocked, that is seen"
