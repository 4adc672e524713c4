# SPDX-License-Identifier: Apache-2.0
"""What a check says: sentences with gaps, and what stands in them. Pure.

The sentences are ours alone. What a host, a peer or a file said stands in a gap, so that a report for others can be
told from one for its owner without looking at a word of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

Value = str | int | float


class Plain(str):
    """A word that says nothing of anybody: a key of the configuration, a switch of the kernel, a protocol."""

    __slots__ = ()


class Grade(StrEnum):
    """How one check went."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of a finding; all but the first may be empty."""

    says: str
    seen: str = ""
    means: str = ""
    why: str = ""
    fix: str = ""


def _as_it_is(value: Value) -> Value:
    return value


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; the rest where it is not well."""

    check: str
    grade: Grade
    templates: Words
    """With gaps, as ``str.format`` has them."""
    values: Mapping[str, Value] = field(default_factory=dict)

    def worded(self, shown: Callable[[Value], Value] = _as_it_is) -> Words:
        """Its sentences, each value as ``shown`` has it."""
        values = {name: shown(value) for name, value in self.values.items()}
        t = self.templates
        return Words(*(each.format_map(values) for each in (t.says, t.seen, t.means, t.why, t.fix)))

    def noting(self, seen: str = "", why: str = "") -> Finding:
        """With what was seen, and why it is so."""
        return replace(self, templates=replace(self.templates, seen=seen, why=why))


def ok(check: str, says: str, /, **values: Value) -> Finding:
    """All is well."""
    return Finding(check, Grade.OK, Words(says), values)


def skip(check: str, says: str, /, **values: Value) -> Finding:
    """It does not concern this edge, or could not be found out."""
    return Finding(check, Grade.SKIP, Words(says), values)


def warn(check: str, says: str, means: str, fix: str, /, **values: Value) -> Finding:
    """Somebody should look at it by day."""
    return Finding(check, Grade.WARN, Words(says, means=means, fix=fix), values)


def fail(check: str, says: str, means: str, fix: str, /, **values: Value) -> Finding:
    """Somebody is without what they should have."""
    return Finding(check, Grade.FAIL, Words(says, means=means, fix=fix), values)
