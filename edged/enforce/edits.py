# SPDX-License-Identifier: Apache-2.0
"""What changes in the sets of our table: a ``Plan``, or addresses with a life, in; a list of edits out. Pure.

Both ways into the kernel are made from it: nft's text (nft_text) and netlink messages of our own (nft_elements).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from edged.enforce.sets import ALIVE_SET, ASIDE_SET, GARDEN_SET, SETS, Elements, Kind, SetName
from edged.values import IpAddress

if TYPE_CHECKING:  # the process that holds the capability never loads the policy
    from edged.enforce.desired import Desired
    from edged.enforce.diff import Plan

TCP = bytes([6])
"""The one element of the set of who is alive, as IP numbers it."""


class Verb(IntEnum):
    """What is done with a set."""

    ADD = 0
    DELETE = 1
    FLUSH = 2
    """All of its elements go."""


class Statement(NamedTuple):
    """Elements of one set of the policy that come or go."""

    verb: Verb
    name: SetName
    elements: Elements = frozenset()


class Timed(NamedTuple):
    """Elements of one set whose elements end by themselves, each with its life from now on."""

    name: str
    entries: tuple[tuple[bytes, int], ...]
    """Keys as in ``KEY_OCTETS``, with milliseconds."""
    replace: bool = False
    """Adding what is there does not renew its life here, so each is added (that it exists), deleted and added."""
    over: bool = False
    """They go, and need not be there."""


Edit = Statement | Timed

KEY_OCTETS = {GARDEN_SET[4]: 4, GARDEN_SET[6]: 16, ASIDE_SET[4]: 8, ASIDE_SET[6]: 32, ALIVE_SET: 1}
"""The octets of a key of each such set: an address, a source and a destination, an IP protocol."""


def whole(desired: Desired, plan: Plan) -> list[Statement]:
    """The elements of ``plan`` as nft changes them.

    Hash sets get exactly what changes. An interval set that loses something is emptied and filled instead:
    nft reads and the kernel rebuilds the whole of it for one element anyway, and no packet sees it empty.
    """
    edits: list[Statement] = []
    for name in SetName:
        if SETS[name].kind is Kind.PREFIX and name in plan.remove:
            edits += [Statement(Verb.FLUSH, name), Statement(Verb.ADD, name, desired.sets[name])]
            continue
        edits.append(Statement(Verb.DELETE, name, plan.remove.get(name, frozenset())))
        edits.append(Statement(Verb.ADD, name, plan.add.get(name, frozenset())))
    return [edit for edit in edits if edit.elements or edit.verb is Verb.FLUSH]


def singly(plan: Plan) -> list[Statement]:
    """The elements of ``plan``, a set and direction each. Removals come first."""
    return [
        *(Statement(Verb.DELETE, name, elements) for name, elements in plan.remove.items()),
        *(Statement(Verb.ADD, name, elements) for name, elements in plan.add.items()),
    ]


def admissions(entries: Iterable[tuple[IpAddress, int]], *, replace: bool) -> list[Timed]:
    """What puts addresses, each with its milliseconds to live, into the learned garden."""
    by_version: dict[int, list[tuple[bytes, int]]] = {4: [], 6: []}
    for address, life in entries:
        by_version[address.version].append((address.packed, life))
    return [Timed(GARDEN_SET[v], tuple(group), replace) for v, group in by_version.items() if group]


def aside(source: IpAddress, destination: IpAddress, life: int, *, replace: bool) -> list[Timed]:
    """What leaves the way from ``source`` to ``destination`` alone for ``life`` milliseconds."""
    return [Timed(ASIDE_SET[source.version], ((source.packed + destination.packed, life),), replace)]


def alive(life: int, *, replace: bool) -> list[Timed]:
    """What lets reminders lead to the page for ``life`` milliseconds more; 0: not any longer."""
    return [Timed(ALIVE_SET, ((TCP, life or 1000),), replace, over=not life)]
