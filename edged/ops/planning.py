# SPDX-License-Identifier: Apache-2.0
"""``edged plan``: what would change on each target, and for whom: now, with a held reading, for nobody. Asks rooms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edged.enforce.diff import Plan, subscribers_of
from edged.errors import UpstreamError
from edged.model import Access
from edged.ops.control import SCHEMA, Refused
from edged.ops.record.changes import standing
from edged.ops.text import counted
from edged.policy.access import View
from edged.policy.table import compile_table

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]


class PlanCommands:
    """The answers of ``plan``."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def plan(self, request: Facts) -> Facts:
        """What would change; ``empty``: were nobody blocked, ``snapshot``: were that held reading accepted."""
        house, wanted = self._house, request.get("snapshot")
        if wanted and request.get("empty"):
            raise Refused("--empty and --snapshot are two questions: one at a time", 2)
        view = None
        if request.get("empty"):
            view = View(compile_table(None, house.loaded.config.subscribers))
        elif wanted:
            view = await self._held_view(str(wanted))
        enforce = house.enforce
        try:
            plans = await enforce.plan(view)
            texts = await enforce.render(plans, view)
        except UpstreamError as error:
            raise Refused(f"a target cannot be read: {error}") from None
        unread = {n: h.error or "no answer in time" for n, h in enforce.status().items() if n not in plans}
        watching = house.loaded.config.mode == "watch"
        facts = plan_facts(house.current.view, plans, texts, watching=watching, unread=unread)
        if view is not None:
            facts["who"] = await asyncio.to_thread(_who, house.current.view, view, time.time())
            facts["verdict"] = _supposed(facts["who"], str(wanted) if wanted else "")
        return {"schema": SCHEMA, "site": house.loaded.config.site, **facts}

    async def _held_view(self, wanted: str) -> View:
        """The view of now with the held reading in place of the list in force."""
        house = self._house
        held = house.billing.held if house.billing is not None else None
        if held is None:
            raise Refused("no reading is held: edged plan says what is in force")
        if held.id != wanted:
            raise Refused(f"another reading is held:  edged plan --snapshot {held.id}")
        # in a thread: with 100,000 subscribers it takes a second
        table = await asyncio.to_thread(compile_table, held, house.loaded.config.subscribers)
        return replace(house.current.view, table=table)


def _who(now: View, then: View, at: float) -> list[Facts]:
    """Whom ``then`` blocks who is not blocked now, and the other way round; in order of id. Some 0.5 s for 100,000."""
    listed = {**now.table.subscribers, **now.learned.overrides, **then.table.subscribers}
    rows = []
    for name in sorted(listed):
        before, after = standing(now, name, at), standing(then, name, at)
        if (before.access is Access.BLOCKED) is (after.access is Access.BLOCKED):
            continue
        blocks = after.access is Access.BLOCKED
        why = after.reason or "blocked" if blocks else "open again"
        rows.append({"sign": "+" if blocks else "-", "subscriber": name, "why": why})
    return rows


def _supposed(who: list[Facts], snapshot: str) -> str:
    blocks = sum(row["sign"] == "+" for row in who)
    opens = len(who) - blocks
    if not snapshot:
        return f"were nobody blocked, {counted(opens, 'subscriber')} would be opened; stopping edged opens nobody"
    return f"reading {snapshot} waits; in force it would block {counted(blocks, 'subscriber')} and open {opens:,}"


def plan_facts(
    view: View,
    plans: dict[str, Plan],
    texts: dict[str, str],
    *,
    watching: bool,
    unread: Mapping[str, str],
) -> dict[str, Any]:
    """The plan of every target, who it concerns, and why a target is ``unread``."""
    blocked: set[str] = set()
    unblocked: set[str] = set()
    for plan in plans.values():
        to_block, to_lift = subscribers_of(view, plan)
        blocked.update(to_block)
        unblocked.update(to_lift)
    who = [
        {"sign": "+", "subscriber": s, "why": (view.table.subscribers[s].reason or "blocked")} for s in sorted(blocked)
    ] + [{"sign": "-", "subscriber": s, "why": "open again"} for s in sorted(unblocked)]
    changes, count = sum(not plan.empty for plan in plans.values()), len(plans) + len(unread)
    would = f"watch: {len(blocked):,} subscribers would be cut off"
    if not watching:
        would = _changes(changes, count, len(unread))
    return {
        "verdict": would,
        "settled": not changes and not unread,
        "targets": [
            {
                "name": name, "summary": f"+{plan.added:,} -{plan.removed:,}" + (", rules" if plan.base else ""),
                "add": plan.added, "remove": plan.removed, "text": texts[name] if not plan.empty else "",
            }
            for name, plan in plans.items()
        ] + [
            {"name": name, "summary": f"not read: {error}", "add": 0, "remove": 0, "text": ""}
            for name, error in unread.items()
        ],
        "who": who,
    }  # fmt: skip


def _changes(changed: int, targets: int, unread: int) -> str:
    if not targets:
        return "no target is configured; nothing is enforced"
    said = f"{changed} of {targets} targets would change" if changed else ""
    if unread:
        return f"{said or 'those that were read are as they should be'}; {unread} of {targets} could not be read"
    return said or "every target is as it should be"
