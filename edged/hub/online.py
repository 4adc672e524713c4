# SPDX-License-Identifier: Apache-2.0
"""A subscriber's sessions as the hub knows them in, one line of the list of who is online out. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from edged.billing.mapping import Lines
from edged.model import OnlineSession


def lines_of(subscriber: str, sessions: Sequence[OnlineSession]) -> tuple[Lines, ...]:
    """Where a subscriber is; nothing when nowhere. Of several sessions the latest says since when."""
    addresses = tuple(sorted({prefix for session in sessions for prefix in session.prefixes}))
    return (Lines(subscriber, addresses, max(session.since for session in sessions)),) if addresses else ()


def lines_sum(lines: Iterable[Lines]) -> int:
    """What names a list of lines, whatever their order."""
    texts = (f"{one.id}\n{one.since!r}\n{' '.join(map(str, one.addresses))}" for one in lines)
    return sum(int.from_bytes(hashlib.sha256(text.encode()).digest()) for text in texts) % (1 << 256)
