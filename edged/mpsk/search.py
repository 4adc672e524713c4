# SPDX-License-Identifier: Apache-2.0
"""A challenge and many PMKs -> the place of the one that made its MIC. Pure; bounded by what the caller says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edged.native.keysearch import MISS, Candidates, Challenge


def _never() -> bool:
    return False


def search_all(
    challenge: Challenge, pools: Sequence[Candidates], is_late: Callable[[], bool] = _never
) -> tuple[int, int] | None:
    """Pool and index of the first PMK that verifies, the pools in turn; None when none does.

    TimeoutError when ``is_late`` says so; it is asked before each pool, so that a pool should not be large.
    """
    for number, candidates in enumerate(pools):
        if is_late():
            raise TimeoutError
        index = candidates.search(challenge)
        if index != MISS:
            return number, index
    return None
