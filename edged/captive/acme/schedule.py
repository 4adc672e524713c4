# SPDX-License-Identifier: Apache-2.0
"""A certificate's life and what was tried in, the next step and its time out. Pure; the clock is passed in.

RFC 9773 (renewal information), RFC 9110 section 10.2.3 (Retry-After). All times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

from edged.captive.certificate import Life

_DAY = 86400.0
_FIRST_PAUSE = 900.0
"""Seconds after the first failure."""
_LONGEST_PAUSE = 12 * 3600.0
_MOST_OBEYED = 7 * _DAY
"""A longer wait than this is a clock that was wrong, or an authority that is."""
_ASK_AGAIN = (60.0, _DAY)
"""Bounds on the pause between two questions for renewal information: RFC 9773 section 4.3.3 leaves them to us."""


class Step(Enum):
    """What is to be done next."""

    WAIT = "wait"
    """The clock is before the certificate's beginning: it is the clock that is wrong."""
    ASK = "ask"
    """When does the authority want this certificate renewed?"""
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Memory:
    """What outlives a restart, so that restarts in a row never hammer an authority."""

    directory: str = ""
    """Of the authority that the certificate in use came from; empty: there is none yet."""
    tried: str = ""
    """Of the authority that was asked last; the failures are with that one."""
    failures: int = 0
    """In a row."""
    retry_at: float = 0.0
    error: str = ""
    suggested: float = 0.0
    """When the authority wants the certificate renewed; 0: it does not say."""
    ask_at: float = 0.0
    """When to ask it again."""


def renew_at(life: Life, suggested: float = 0.0) -> float:
    """When to renew: as the authority suggests, or with a third of the life left.

    Up to a thirtieth of the life earlier, by the certificate's own octets: a thousand edges that were installed in one
    afternoon do not come back in one. A suggestion never delays a renewal beyond the last sixth, where it is an alarm,
    and never asks for more than one a day.
    """
    length = life.ends - life.begins
    if suggested:
        return max(min(suggested, life.ends - length / 6), life.begins + min(_DAY, length / 6))
    return life.ends - length / 3 - life.share * length / 30


def next_step(directory: str, life: Life | None, memory: Memory, now: float) -> tuple[Step, float]:
    """What to do next about the certificate of ``directory``, and when; ``life`` is None where none can be used."""
    retry_at = _believed(memory.retry_at, now) if memory.tried == directory else 0.0
    if life is None or memory.directory != directory:
        return Step.ORDER, retry_at
    if now < life.begins - _DAY:
        return Step.WAIT, now + 600.0
    order_at = max(renew_at(life, memory.suggested), retry_at)
    ask_at = _believed(memory.ask_at, now)
    return (Step.ORDER, order_at) if order_at <= max(now, ask_at) else (Step.ASK, ask_at)


def _believed(at: float, now: float) -> float:
    """``at``, unless it is so far away that a clock was wrong when it was written."""
    return at if at <= now + _MOST_OBEYED else 0.0


def failed(memory: Memory, directory: str, error: str, *, now: float, chance: float, not_before: float = 0.0) -> Memory:
    """The memory after an order failed; ``not_before`` is the authority's Retry-After, ``chance`` in [0, 1)."""
    failures = memory.failures + 1 if memory.tried == directory else 1
    pause = min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE) * (0.8 + 0.4 * chance)
    return Memory(
        directory=memory.directory,
        tried=directory,
        failures=failures,
        retry_at=max(now + pause, min(not_before, now + _MOST_OBEYED)),
        error=error,
        suggested=memory.suggested,
        ask_at=memory.ask_at,
    )


def issued(directory: str, now: float) -> Memory:
    """The memory after a certificate came; whatever it says about its own life, the next one waits a while."""
    return Memory(directory=directory, tried=directory, retry_at=now + _FIRST_PAUSE)


def retry_after(value: str, now: float) -> float:
    """The time that a Retry-After field means; 0 when it means none."""
    if value.strip().isdecimal():
        return now + min(int(value.strip()[:12]), 10 * _MOST_OBEYED)
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def ask_again(at: float, now: float) -> float:
    """When to ask for renewal information again, of the time the authority named."""
    shortest, longest = _ASK_AGAIN
    return now + min(max(at - now, shortest), longest)
