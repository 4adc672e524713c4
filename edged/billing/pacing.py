# SPDX-License-Identifier: Apache-2.0
"""How long one edge of many waits between two questions to billing. Numbers and chance in, seconds out. Pure."""

from __future__ import annotations

import random

LONGEST = 300.0
"""Seconds: a billing system that is down for long is found again within five minutes."""
LONGEST_CHEAP = 5.0
"""Seconds, where a look is cheap: whoever mends the file is waiting for it."""
SPREAD = 0.2
"""Each pause is longer or shorter by up to this share: a fleet of edges must not ask in step."""
FOLLOWING = (0.5, 1.5)
"""Seconds after an answer that came because something had changed; the change came to all edges at once."""

BROKEN_OFF, QUICK = (1.0, 10.0), 3
"""Seconds after a kept question broke off, by a restart most often, which all edges notice in the same moment; and how
often in a row."""


def pause(every: float, failures: int, chance: random.Random, *, cheap: bool = False) -> float:
    """Seconds until the next question: ``every``, twice as long for each failure in a row, within bounds."""
    seconds = every
    if failures:
        seconds = min(max(every, 1.0) * 2.0 ** min(failures, 16), max(LONGEST_CHEAP if cheap else LONGEST, every))
    return seconds * chance.uniform(1 - SPREAD, 1 + SPREAD)


def following(every: float, failures: int, chance: random.Random) -> float:
    """Seconds until the next question where the answer to it waits for a change.

    The first failures in a row cost seconds, the next ones the pauses of others.
    """
    if failures > QUICK:
        return pause(every, failures - QUICK, chance)
    return chance.uniform(*(BROKEN_OFF if failures else FOLLOWING))
