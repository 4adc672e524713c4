# SPDX-License-Identifier: Apache-2.0
"""A menu's printed rows and the rows that should be there in, the next commands out; none: it is as it should be.

Asked again after each round, since only the router knows how it spells and where it puts things. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.enforce.routeros import commands
from edged.enforce.routeros.commands import Command
from edged.enforce.routeros.layout import is_ours
from edged.enforce.routeros.rows import Row

HOOKS = frozenset({"forward", "dstnat", "srcnat"})
"""Chains in which others have rules too: ours come before theirs, or a fasttrack of theirs would pass blocked lines."""

_VOLATILE = frozenset({".id", ".nextid", "bytes", "packets", "invalid", "dynamic", "creation-time"})
_DEFAULTS = {"disabled": "false", "log": "false", "log-prefix": "", "comment": None}

Printed = Mapping[str, str]
Accepted = dict[tuple[str, str], frozenset[tuple[str, str]]]
"""How a router spells what a row says (its menu and its ``text``), seen right after it was written there."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be done to one menu next; with ``moves`` nothing else."""

    adds: tuple[Row, ...] = ()
    removes: tuple[Command, ...] = ()
    """After the adds: no moment is without a rule."""
    moves: tuple[Command, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when the menu is as it should be."""
        return not (self.adds or self.removes or self.moves)


def next_round(menu: str, there: Sequence[Printed], wanted: Sequence[Row], accepted: Accepted) -> Round:
    """What brings ``there`` nearer to ``wanted``."""
    rows = {row.comment: row for row in wanted}
    kept: dict[str, Printed] = {}
    removes: list[Command] = []
    for printed in there:
        comment = printed.get("comment", "")
        if not is_ours(comment) or _is_dynamic(printed):
            continue
        row = rows.get(comment)
        if row is None or comment in kept or not is_as_written(menu, row, printed, accepted):
            removes.append(commands.remove(menu, printed[".id"]))
        else:
            kept[comment] = printed
    adds = tuple(row for row in wanted if row.comment not in kept)
    if adds or removes:
        return Round(adds, tuple(removes))
    return Round(moves=_moves(menu, there, wanted, kept))


def accept(menu: str, there: Sequence[Printed], written: Mapping[str, Row], accepted: Accepted) -> None:
    """Take how the router prints the rows that were just written, by their id; a field that it dropped is not taken."""
    for printed in there:
        row = written.get(printed.get(".id", ""))
        if row is not None and all(name in printed for name in row.fields):
            accepted[menu, row.text] = _lasting(printed)


def is_as_written(menu: str, row: Row, printed: Printed, accepted: Accepted) -> bool:
    """True when ``printed`` is the rule that ``row`` says, enabled and with nothing more to it."""
    spelled = accepted.get((menu, row.text))
    if spelled is not None:
        return _lasting(printed) == spelled
    more = printed.keys() - row.fields.keys() - _VOLATILE
    return all(printed.get(name) == value for name, value in row.fields.items()) and all(
        name in _DEFAULTS and _DEFAULTS[name] in {None, printed[name]} for name in more
    )


def _moves(
    menu: str, there: Sequence[Printed], wanted: Sequence[Row], kept: Mapping[str, Printed]
) -> tuple[Command, ...]:
    """All of ours before everybody else's, when their order or their place is not right."""
    foreign = next((p[".id"] for p in there if not is_ours(p.get("comment", "")) and not _is_dynamic(p)), "")
    places = {printed.get(".id", ""): place for place, printed in enumerate(there)}
    ids = [kept[row.comment][".id"] for row in wanted]
    if _is_ordered(there, wanted, [places[item] for item in ids]):
        return ()
    # one block, in order: before the first rule of anybody else, or at the end where there is none
    where = {"destination": foreign} if foreign else {}
    return (Command(menu, "move", {"numbers": ",".join(ids), **where}),)


def _is_ordered(there: Sequence[Printed], wanted: Sequence[Row], places: Sequence[int]) -> bool:
    for chain in {row.fields["chain"] for row in wanted}:
        ours = [place for row, place in zip(wanted, places, strict=True) if row.fields["chain"] == chain]
        if ours != sorted(ours):
            return False
        theirs = (
            place
            for place, printed in enumerate(there)
            if printed.get("chain") == chain and not is_ours(printed.get("comment", "")) and not _is_dynamic(printed)
        )
        if chain in HOOKS and ours and next(theirs, len(there)) < ours[-1]:
            return False
    return True


def _lasting(printed: Printed) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in printed.items() if name not in _VOLATILE)


def _is_dynamic(printed: Printed) -> bool:
    return printed.get("dynamic") in {"true", "yes"}
