# SPDX-License-Identifier: Apache-2.0
"""How often garden names are resolved ahead, and how long addresses stay open. Numbers in, seconds out. Pure."""

from __future__ import annotations

NAMES_A_SECOND = 10.0
"""Two questions each, so 20 a second: nothing to an upstream, and most of them are answered from the cache."""
SHORTEST_ROUND = 60.0
"""Seconds: addresses of the large networks change about once a minute."""
GRACE = 180.0
"""Seconds that an address outlives its round, as it outlives the TTL of an answer."""


def round_seconds(names: int) -> float:
    """From the beginning of one round to that of the next: a thousand names take 100 s, 100,000 nearly three hours."""
    return max(SHORTEST_ROUND, names / NAMES_A_SECOND)


def life_seconds(names: int, took: float) -> float:
    """How long an address is to live: past the next round, also when that is half as slow again as this one."""
    return 1.5 * max(round_seconds(names), took) + GRACE
