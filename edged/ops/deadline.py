# SPDX-License-Identifier: Apache-2.0
"""``--for`` and ``--until`` in, seconds or a moment out, or the one sentence that says what was expected. Pure.

ISO 8601. A day is one of the host's own time zone and ends at its midnight; a time must bear its zone.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from edged.fields import parse_duration
from edged.ops.control import Refused

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def end_of(length: str | None, until: str | None) -> dict[str, float]:
    """``{"seconds": …}`` or ``{"until": …}`` (epoch seconds) as the daemon takes it; empty: it has its own default.

    ``Refused`` with status 2.
    """
    if length is not None and until is not None:
        raise Refused("--for and --until say the same thing: give one of them", 2)
    if until is not None:
        return {"until": parse_until(until)}
    if length is None:
        return {}
    try:
        return {"seconds": parse_duration(length)}
    except ValueError:
        raise Refused(f'--for "{length}" is not a duration; 30m, 2h and 7d work', 2) from None


def parse_until(text: str) -> float:
    """Epoch seconds of ``2026-11-27`` (the end of that day here) or ``2026-11-27T18:00+01:00``. ``Refused``."""
    # midnight of the next day rather than 24 hours more: clocks change
    found = _moment(text, timedelta(days=1))
    if found is not None:
        return found
    raise Refused(
        f'--until "{text[:40]}" is no end; 2026-11-27 (that day, here) and 2026-11-27T18:00+01:00 work', 2
    ) from None


def parse_from(text: str) -> float:
    """Epoch seconds of ``2026-11-27`` (the beginning of that day here) or ``2026-11-27T18:00+01:00``. ``Refused``."""
    found = _moment(text, timedelta())
    if found is not None:
        return found
    raise Refused(f'"{text[:40]}" is no beginning; 2026-11-27 (that day, here) and 2026-11-27T18:00+01:00 work', 2)


def parse_since(text: str, now: float) -> float:
    """Epoch seconds of ``7d`` (so long before ``now``), or as ``parse_from``. ``Refused``."""
    try:
        return now - parse_duration(text)
    except ValueError:
        found = _moment(text, timedelta())
    if found is not None:
        return found
    raise Refused(
        f'--since "{text[:40]}" is no beginning; 7d, 2026-11-27 (that day, here) and 2026-11-27T18:00+01:00 work', 2
    )


def _moment(text: str, after: timedelta) -> float | None:
    """The moment of ``text``; of a day, midnight here so long ``after`` it. None for what is neither."""
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text) + after, time.min).astimezone().timestamp()
        moment = datetime.fromisoformat(text) if len(text) <= 40 else None
        return moment.timestamp() if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError, OSError):
        return None
