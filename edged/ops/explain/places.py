# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of what is no single line: a network, a RADIUS client, a name that a blocked line may ask for."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edged.dns.codes import Type
from edged.dns.message import ask
from edged.dns.verdict import Kind, Verdict
from edged.model import Access
from edged.ops.control import Refused
from edged.ops.explain.line import LineExplainer
from edged.ops.nases import client_rows
from edged.ops.text import counted, span
from edged.policy.access import Decision, Rule, View
from edged.policy.presets import PRESETS
from edged.values import IpAddress, Prefix

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]

NAMED = 20
"""Subscribers of a network that are named; the headline counts them all."""
_HOST_NAME = re.compile(r"(?=.{3,253}$)[\w-]+(\.[\w-]+)+\.?", re.ASCII)


class PlaceExplainer:
    """Answers for a network with several lines in it, a RADIUS client's name, a host name."""

    def __init__(self, house: House, line: LineExplainer) -> None:
        self._house = house
        self._line = line

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

    async def destination_for(self, address: IpAddress, name: str) -> Facts:
        """What one line gets that asks for ``name``. ``Refused`` when it is none."""
        decision = self._house.acting.view.decide(address, time.time())
        # a pasted URL is as good as its host
        name = (urlsplit(name).hostname or name) if "//" in name else name.partition("/")[0]
        try:
            verdict = self._house.dns.explain(name, decision)
        except ValueError as error:
            raise Refused(str(error), 2) from None
        gets = self._resolved(name, verdict)
        if not _is_reachable(verdict) and self._house.loaded.config.portal.url:
            gets += self._line.web(decision, time.time())
        return {
            "subject": str(address),
            "name": name,
            "headline": f"{name} is {'REACHABLE' if _is_reachable(verdict) else 'NOT reachable'} for {address}",
            "verdict": verdict.kind.value,
            "gets": gets,
            "in_place": await self._line.in_place(address, self._house.current.view.decide(address, time.time())),
        }

    def destination(self, name: str) -> Facts | None:
        """What a blocked line gets that asks for ``name``; None: it is no host name."""
        if not self._house.loaded.config.dns.listen or not _HOST_NAME.fullmatch(name):
            return None
        try:
            verdict = self._house.dns.explain(name, Decision(Access.BLOCKED, Rule.BILLING))
        except ValueError:
            return None
        return {
            "subject": name,
            "headline": f"{name} is {'REACHABLE' if _is_reachable(verdict) else 'NOT reachable'} for a blocked line",
            "verdict": verdict.kind.value,
            "gets": self._resolved(name, verdict),
            # a login may have dots too, and of who is plainly active nobody lists one
            "who": [
                "taken for a host name: billing and the key store know nothing of that name",
                f"for one line:  edged explain ADDRESS {name}",
            ],
        }

    def _resolved(self, name: str, verdict: Verdict) -> list[Facts]:
        """What DNS says of ``name``; of a garden's name which entry lets it through, and for whom it is open now."""
        answer = ", ".join(map(str, verdict.addresses))
        said = f"{verdict.kind.value}: {verdict.why}" + (f"; {answer}" if answer else "")
        if verdict.kind is not Kind.GARDEN:
            return [{"protocol": "DNS", "answer": said}]
        garden = self._house.loaded.config.garden
        entry = verdict.why.rpartition(" ")[2]
        preset = next((one for one in garden.presets if entry in PRESETS[one] and entry not in garden.names), "")
        said += f" (preset {preset})" if preset else ""
        ports = ", ".join(map(str, garden.ports))
        return [
            {"protocol": "DNS", "answer": f"{said}; {self._last_answer(name)}"},
            {"protocol": "web", "answer": f"its own way, on port {ports} alone; opened before the answer"},
        ]

    def _last_answer(self, name: str) -> str:
        """What the resolver has at hand for ``name``, and for how much of it the targets are open."""
        house = self._house
        if not house.dns.resolver.upstreams:
            return "no answer: dns.upstreams is empty"
        kept = [found for qtype in (Type.A, Type.AAAA) if (found := house.dns.resolver.at_hand(ask(name, qtype)))]
        if not kept:
            return "nobody has asked of late"
        held = {address for found in kept for address in found.held}
        said = f"last answer {counted(len(held), 'address', 'addresses')}, {span(min(f.found.age for f in kept))} ago"
        if not house.enforce.status():
            return said
        return f"{said}; in the firewall: {house.enforce.opened(held)} of {len(held)}"


def _is_reachable(verdict: Verdict) -> bool:
    return verdict.kind in {Kind.GARDEN, Kind.FORWARD, Kind.STATIC}


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
