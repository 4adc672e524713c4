# SPDX-License-Identifier: Apache-2.0
"""What should be and what is in; the smallest change between them, a printable ``Plan``, out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from edged.enforce.desired import Desired, blocked_count
from edged.enforce.rules import Rules
from edged.enforce.sets import ALL_SETS, SETS, Elements, Kind, SetName, Sets, element_texts
from edged.policy.access import View
from edged.values import BITS, Prefix


@dataclass(frozen=True, slots=True)
class Actual:
    """What a target holds now."""

    rules: Rules | None
    """The rules in force; None: not known to be ours, so they are written again (same rules, no gap)."""
    sets: Sets
    """Every ``SetName``."""

    @property
    def count(self) -> int:
        """How many hosts, prefixes and devices are blocked there."""
        return blocked_count(self.sets)


@dataclass(frozen=True, slots=True)
class Plan:
    """The change that makes a target what it should be."""

    base: bool = False
    """True: the table, its sets and its rules are written (again)."""
    add: Sets = field(default_factory=dict)
    remove: Sets = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """True when there is nothing to do."""
        return not (self.base or self.add or self.remove)

    @property
    def added(self) -> int:
        """How many elements are added, all sets together."""
        return sum(map(len, self.add.values()))

    @property
    def removed(self) -> int:
        """How many elements are removed, all sets together."""
        return sum(map(len, self.remove.values()))

    @property
    def changed(self) -> frozenset[SetName]:
        """The sets that change."""
        return frozenset((*self.add, *self.remove))

    def blocked(self) -> Iterator[Prefix]:
        """The addresses that become blocked."""
        return _addresses(self.add)

    def unblocked(self) -> Iterator[Prefix]:
        """The addresses that become open."""
        return _addresses(self.remove)

    def __str__(self) -> str:
        """One line per change: what an operator reads in ``edged plan``."""
        lines = ["~ rules"] if self.base else []
        for name in SetName:
            lines += [f"- {name} {text}" for text in element_texts(name, self.remove.get(name, frozenset()))]
            lines += [f"+ {name} {text}" for text in element_texts(name, self.add.get(name, frozenset()))]
        return "\n".join(lines) or "nothing to change"


def diff(desired: Desired, actual: Actual | None, carried: Collection[SetName] = ALL_SETS) -> Plan:
    """The change from ``actual`` (None: our table is absent) to ``desired``, in the sets that are ``carried`` there."""
    step = desired.step
    if actual is not None and step is not None and actual.sets is step.before:
        return Plan(actual.rules != desired.rules, _only(step.add, carried), _only(step.remove, carried))
    add: dict[SetName, Elements] = {}
    remove: dict[SetName, Elements] = {}
    nothing: Elements = frozenset()
    for name, wanted in desired.sets.items():
        there = nothing if actual is None else actual.sets.get(name, nothing)
        if wanted is there or name not in carried:
            continue
        if missing := wanted - there:
            add[name] = missing
        if surplus := there - wanted:
            remove[name] = surplus
    return Plan(actual is None or actual.rules != desired.rules, add, remove)


def subscribers_of(view: View, plan: Plan) -> tuple[list[str], list[str]]:
    """The billing ids of whom ``plan`` blocks and unblocks, in order, as far as the table knows them."""

    def ids(prefixes: Iterator[Prefix]) -> list[str]:
        found = map(view.covering, prefixes)
        return sorted({match[1].id for match in found if match is not None})

    return ids(plan.blocked()), ids(plan.unblocked())


def _only(sets: Sets, carried: Collection[SetName]) -> Sets:
    return {name: elements for name, elements in sets.items() if name in carried}


def _addresses(sets: Sets) -> Iterator[Prefix]:
    for name, elements in sets.items():
        spec = SETS[name]
        if not spec.blocked or spec.kind is Kind.MAC:
            continue
        for element in elements:
            if isinstance(element, Prefix):
                yield element
            elif isinstance(element, int):
                yield Prefix(spec.version, element, BITS[spec.version])
