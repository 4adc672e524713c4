# SPDX-License-Identifier: Apache-2.0
"""Sessions of a BNG in the words that an operator reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edged.enforce.bng.entry import Entry


def sessions(entries: Sequence[Entry]) -> str:
    """How many they are, as the beginning of a sentence."""
    return "1 session is" if len(entries) == 1 else f"{len(entries):,} sessions are"


def whose(entries: Sequence[Entry]) -> str:
    """Up to three of them by name."""
    names = [shown(entry.session.login or entry.session.mac or entry.session.session) for entry in entries[:3]]
    return ", ".join(names) + (", …" if len(entries) > len(names) else "")


def shown(name: str) -> str:
    """What a subscriber's device has chosen itself moves no operator's cursor and fills no screen."""
    return "".join(c if c.isprintable() else "?" for c in name[:64])
