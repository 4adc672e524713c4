# SPDX-License-Identifier: Apache-2.0
"""The nat and filter rules of a RouterOS router, of ours alone: looked at, written, put in their place. I/O.

Written in rounds, each from what the router shows then: only it knows how it spells and where it puts a rule.
"""

from __future__ import annotations

from edged.enforce.routeros.commands import ABSENT, NO_MENU, Command
from edged.enforce.routeros.layout import FILTER, NAT, Layout, is_ours
from edged.enforce.routeros.order import Accepted, Printed, Round, accept, next_round
from edged.enforce.routeros.rows import Row, menus
from edged.enforce.rules import Rules
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import UpstreamError

MOST_ROUNDS = 6
"""Adds, moves, and what a hand does meanwhile; after so many somebody undoes what we do."""


class RouterRules:
    """The four menus of one router."""

    def __init__(self, thread: RouterThread, layout: Layout) -> None:
        self._thread = thread
        self._layout = layout
        self._accepted: Accepted = {}
        self._absent: set[str] = set()
        """Menus that the router has not: IPv6 NAT before RouterOS 7."""
        self._refused: dict[str, str] = {}
        """Optional rows that the router does not take, each with its reason."""
        self._unkept: dict[str, str] = {}
        """Rows that it does not keep as they are written: once is enough, since each writing wears its flash."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the router has not or will not."""
        # without its filter too the router has not that family at all
        steerless = [NAT[v] for v in sorted(NAT) if NAT[v] in self._absent and FILTER[v] not in self._absent]
        absent = [f"the router has no {menu}: that family is rejected, never steered" for menu in steerless]
        return (*absent, *(f"the router does not take a rule ({why})" for why in self._refused.values()))

    def reconnected(self) -> None:
        """Try again what it did not take or keep: it may be another version now, or have room again."""
        self._refused.clear()
        self._unkept.clear()

    async def look(self, rules: Rules) -> tuple[bool, bool]:
        """Whether all is as ``rules`` say, and whether anything of ours is there."""
        is_right, are_there = True, False
        for menu, rows in menus(rules, self._layout).items():
            there = await self._print(menu)
            is_right &= self._next(menu, there, rows).is_empty
            are_there |= any(is_ours(printed.get("comment", "")) for printed in there)
        return is_right, are_there

    async def write(self, rules: Rules) -> None:
        """Bring every menu to what ``rules`` say, in as few commands. UpstreamError when it does not stay so."""
        for menu, rows in menus(rules, self._layout).items():
            if unkept := next((self._unkept[row.text] for row in rows if row.text in self._unkept), ""):
                raise UpstreamError(unkept)
            for _ in range(MOST_ROUNDS):
                there = await self._print(menu)
                round_ = self._next(menu, there, rows)
                if round_.is_empty:
                    break
                await self._change(menu, round_)
            else:
                raise UpstreamError(f"the rules of {menu} do not stay as they are written")

    def _next(self, menu: str, there: list[Printed], rows: tuple[Row, ...]) -> Round:
        wanted = () if menu in self._absent else [row for row in rows if row.text not in self._refused]
        return next_round(menu, there, wanted, self._accepted)

    async def _change(self, menu: str, round_: Round) -> None:
        written: dict[str, Row] = {}
        for row in round_.adds:
            (answer,) = await self._thread.many([row.command(menu)])
            if answer.trap and not row.is_optional:
                raise UpstreamError(f"a rule of {menu} is refused: {answer.trap}")
            if answer.trap:
                self._refused[row.text] = f"{row.key}: {answer.trap}"
            else:
                written[answer.ret] = row
        for answer in await self._thread.many([*round_.removes, *round_.moves]):
            # what somebody else took meanwhile shows in the next round
            if answer.trap and not answer.trap.startswith(ABSENT):
                raise UpstreamError(f"a rule of {menu} cannot be put right: {answer.trap}")
        if written:
            there = await self._print(menu)
            accept(menu, there, written, self._accepted)
            self._note_unkept(menu, there, written)

    def _note_unkept(self, menu: str, there: list[Printed], written: dict[str, Row]) -> None:
        for printed in there:
            row = written.get(printed[".id"])
            lacking = [name for name in row.fields if name not in printed] if row is not None else []
            if row is not None and lacking:
                found = f"the rule {row.key} of {menu} is kept without {', '.join(lacking)}"
                if not row.is_optional:
                    self._unkept[row.text] = found
                    raise UpstreamError(found)
                self._refused[row.text] = found

    async def _print(self, menu: str) -> list[Printed]:
        answer = await self._thread.ask(Command(menu, "print"))
        if answer.trap.startswith(NO_MENU):
            self._absent.add(menu)
            return []
        if answer.trap:
            raise UpstreamError(f"{menu} cannot be read: {answer.trap}")
        self._absent.discard(menu)
        # what has no id can be neither changed nor put before
        return [row for row in answer.rows if row.get(".id")]
