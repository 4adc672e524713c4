# SPDX-License-Identifier: Apache-2.0
"""What a check finds, with its place in the file. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edged.config.document import Document, Location, dotted
from edged.errors import Problem

Found = Iterator[tuple[Location, Problem]]


def error(location: Location, found: str, expected: str, hint: str = "") -> tuple[Location, Problem]:
    """What keeps the file from being used."""
    return location, Problem(dotted(location), found, expected, hint)


def warning(location: Location, found: str, consequence: str, hint: str = "") -> tuple[Location, Problem]:
    """What can be used as it is, and has a consequence."""
    return location, Problem(dotted(location), found, consequence, hint, warning=True)


def placed(problem: Problem, location: Location, document: Document) -> Problem:
    """``problem`` with the line of ``location``, or of the nearest key above it that is in the file."""
    while location and location not in document.marks:
        location = location[:-1]
    mark = document.marks.get(location)
    if mark is None:
        return problem
    return Problem(
        problem.key, problem.found, problem.expected, problem.hint,
        line=mark.line, column=mark.column, width=mark.width, warning=problem.warning,
    )  # fmt: skip
