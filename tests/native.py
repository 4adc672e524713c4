"""Which of the twins of edged/native a test runs on."""

from __future__ import annotations

import os

import pytest

from edged.native.datagrams import COMPILED, Datagrams, Portable


def twin(name: str) -> type[Datagrams]:
    """The twin called ``compiled`` or ``portable``; the test is skipped where no compiler was found, but not in CI."""
    if name == "portable":
        return Portable
    if COMPILED is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("the compiled part was not built: no C compiler, or no headers of Python")
    return COMPILED


BOTH = ["compiled", "portable"]
