# SPDX-License-Identifier: Apache-2.0
"""What is to be kept of sessions that may be blocked, and what an earlier run has kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edged.enforce.bng.entry import LATE, Entry, Held, is_another
from edged.enforce.bng.places import Key
from edged.state.told import Told


class Record:
    """By session. ``value``: the attribute and its value that who is blocked is told now."""

    __slots__ = ("_changed", "_remembered", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._remembered: dict[Key, Told] = {}
        """Of sessions on record that nobody has reported on since the start."""
        self._changed: set[Key] = set()

    def change(self, key: Key) -> None:
        """What is kept of it is not so any more."""
        self._changed.add(key)

    def remember(self, row: Told) -> None:
        """Keep it until somebody reports on its session."""
        self._remembered[row.nas, row.session] = row

    def forget(self, key: Key) -> bool:
        """The session is over; True when something was remembered of it."""
        return self._remembered.pop(key, None) is not None

    def recall(self, key: Key, entry: Entry, row: Told | None = None) -> None:
        """Take what is on record of a session of this name; what cannot have been said to this one is forgotten."""
        row = row or self._remembered.pop(key, None)
        if row is None:
            return
        if not is_another(entry.session, row.started):
            acknowledged = row.acknowledged and row.value == self._value
            entry.formers = tuple(v for v in row.value.split() if _attribute(v) != _attribute(self._value))
            entry.held, entry.sent = Held.BLOCKED if acknowledged else Held.MAYBE, row.at
            if acknowledged is row.acknowledged:
                return
        elif entry.session.started <= row.at + LATE:
            entry.held, entry.sent = Held.MAYBE, row.at
        self._changed.add(key)

    def unwritten(self, entries: Mapping[Key, Entry], target: str, now: float) -> tuple[list[Told], list[Key]]:
        """What is to be kept, and what is to be forgotten, since it was last asked."""
        keys, self._changed = self._changed, set()
        rows, gone = [], []
        for key in keys:
            entry = entries.get(key)
            if entry is not None and entry.on_record:
                value = " ".join((self._value, *entry.formers))
                rows.append(Told(target, *key, entry.session.started, entry.held is Held.BLOCKED, value, now))
            elif key not in self._remembered:
                gone.append(key)
        return rows, gone


def _attribute(value: str) -> str:
    return value.partition("=")[0]
