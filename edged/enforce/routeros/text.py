# SPDX-License-Identifier: Apache-2.0
"""``Desired`` and ``Plan`` in, the console commands of ``edged plan`` out: what is sent, without ids. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edged.enforce.desired import Desired
from edged.enforce.diff import Plan
from edged.enforce.routeros.commands import quoted
from edged.enforce.routeros.entries import entry_command, prefix_of, spelled
from edged.enforce.routeros.layout import ADDRESS_LISTS, CARRIED, TAG, Layout
from edged.enforce.routeros.rows import menus
from edged.enforce.sets import SETS, SetName


def change_text(layout: Layout, desired: Desired, plan: Plan) -> str:
    """The commands that carry ``plan`` out, in the order of ``apply``; empty for an empty plan."""
    return "".join(f"{line}\n" for line in _lines(layout, desired, plan))


def _lines(layout: Layout, desired: Desired, plan: Plan) -> Iterator[str]:
    blocked = [name for name in SetName if name in CARRIED and SETS[name].blocked]
    others = [name for name in SetName if name in CARRIED and not SETS[name].blocked]
    yield from _removed(layout, plan, blocked)
    yield from _added(layout, plan, others)
    if plan.base:
        for menu, rows in menus(desired.rules, layout).items():
            yield from (str(row.command(menu)) for row in rows)
    yield from _added(layout, plan, blocked)
    yield from _removed(layout, plan, others)


def _added(layout: Layout, plan: Plan, names: list[SetName]) -> Iterator[str]:
    for name in names:
        yield from (str(entry_command(layout, name, element)) for element in sorted(plan.add.get(name, ())))


def _removed(layout: Layout, plan: Plan, names: list[SetName]) -> Iterator[str]:
    for name in names:
        menu, listed = ADDRESS_LISTS[SETS[name].version], quoted(layout.list_of(name))
        for element in sorted(plan.remove.get(name, ())):
            address = quoted(spelled(prefix_of(SETS[name].version, element)))
            yield f"{menu}/remove [find list={listed} address={address} comment={quoted(TAG)}]"
