# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of what is no single line: a network, a RADIUS client, a name that a blocked line may ask for."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

from edged.model import Access
from edged.ops.nases import client_rows
from edged.ops.text import counted
from edged.policy.access import Decision, Rule, View
from edged.values import Prefix

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]

NAMED = 20
"""Subscribers of a network that are named; the headline counts them all."""
_HOST_NAME = re.compile(r"(?=.{3,253}$)[\w-]+(\.[\w-]+)+\.?", re.ASCII)


class PlaceExplainer:
    """Answers for a network with several lines in it, a RADIUS client's name, a host name."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def network(self, network: Prefix) -> Facts | None:
        """Who is in ``network``; None: no listed line is smaller than it, so its first address says all."""
        view, now = self._house.current.view, time.time()
        # in a thread: with 100,000 subscribers it takes some 100 ms
        inside = await asyncio.to_thread(_inside, view, network)
        if not inside:
            return None
        decided = [(view.decide_id(name, now), name, lines) for name, lines in inside]
        blocked = sum(decision.access is Access.BLOCKED for decision, *_ in decided)
        decided.sort(key=lambda row: (row[0].access is not Access.BLOCKED, row[1]))
        more = len(decided) - NAMED
        return {
            "subject": str(network),
            "headline": f"{network} holds {counted(len(inside), 'listed subscriber')}, {blocked:,} of them BLOCKED",
            "listed": len(inside),
            "blocked": blocked,
            "who": [_row(*row) for row in decided[:NAMED]] + ([f"and {more:,} more"] if more > 0 else []),
        }

    def client(self, name: str) -> Facts | None:
        """The RADIUS client of that name, and its access points; None: there is none."""
        rows = client_rows(self._house, name, time.time())
        if rows is None:
            return None
        headline = f"{name} is a RADIUS client (radius.clients); {rows[0]}"
        return {"subject": name, "headline": headline, "who": rows[1:]}

    def destination(self, name: str) -> Facts | None:
        """What a blocked line gets that asks for ``name``; None: it is no host name."""
        if not self._house.loaded.config.dns.listen or not _HOST_NAME.fullmatch(name):
            return None
        try:
            verdict = self._house.dns.explain(name, Decision(Access.BLOCKED, Rule.BILLING))
        except ValueError:
            return None
        reachable = verdict.kind.value in {"garden", "static"}
        answer = ", ".join(map(str, verdict.addresses))
        said = f"{verdict.kind.value}: {verdict.why}" + (f"; {answer}" if answer else "")
        return {
            "subject": name,
            "headline": f"{name} is {'REACHABLE' if reachable else 'NOT reachable'} for a blocked line",
            "verdict": verdict.kind.value,
            "gets": [{"protocol": "DNS", "answer": said}],
            # a login may have dots too, and of who is plainly active nobody lists one
            "who": [
                "taken for a host name: billing and the key store know nothing of that name",
                f"for one line:  edged explain ADDRESS {name}",
            ],
        }


def _inside(view: View, network: Prefix) -> list[tuple[str, list[Prefix]]]:
    found = []
    for subscriber in view.table.subscribers.values():
        lines = [line for line in view.lines_of(subscriber) if line != network and network.contains(line)]
        if lines:
            found.append((subscriber.id, lines))
    return found


def _row(decision: Decision, name: str, lines: list[Prefix]) -> str:
    word = "BLOCKED" if decision.access is Access.BLOCKED else decision.access.value
    reason = f" for {decision.reason}" if decision.reason else ""
    return f"{name} is {word}{reason}: {', '.join(map(str, lines[:4]))}" + (" …" if len(lines) > 4 else "")
