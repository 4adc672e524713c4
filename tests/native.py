"""Which of the twins of edged/native a test runs on."""

from __future__ import annotations

import os

import pytest

from edged.native import keysearch, radius
from edged.native.datagrams import COMPILED, Datagrams, Portable

KERNELS = [*(keysearch.kernels() or ("plain",)), ""]
"""Of the key search, those that run on this machine; the last is their twin."""


def kernel(name: str) -> str:
    """That kernel; the test is skipped where no compiler was found, but not in CI."""
    if name and name not in keysearch.kernels():
        _say_so()
    return name


def twin(name: str) -> type[Datagrams]:
    """The twin called ``compiled`` or ``portable``; the test is skipped where no compiler was found, but not in CI."""
    if name == "portable":
        return Portable
    if COMPILED is None:
        _say_so()
    return COMPILED or Portable


def shared_twin(name: str) -> type[radius.Shared]:
    """As ``twin``, of what is made of a shared secret."""
    if name == "portable":
        return radius.Portable
    if radius.COMPILED is None:
        _say_so()
    return radius.COMPILED or radius.Portable


def _say_so() -> None:
    say = pytest.fail if os.environ.get("CI") else pytest.skip
    say("the compiled part was not built: no C compiler, or no headers of Python")


BOTH = ["compiled", "portable"]
