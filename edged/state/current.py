# SPDX-License-Identifier: Apache-2.0
"""The one current ``View`` and its one writer; rooms read ``view`` and wait for a change of ``version``. No I/O."""

from __future__ import annotations

import asyncio

from edged.policy.access import Learned, View
from edged.policy.table import PolicyTable


class Current:
    """A reference that is swapped, never edited. Only ``daemon`` calls ``publish`` and ``learn``."""

    __slots__ = ("_changed", "version", "view")

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View()
        self.version = 0
        """Counts every swap."""
        self._changed = asyncio.Event()

    def publish(self, table: PolicyTable) -> None:
        """Make ``table`` the policy in force."""
        self._swap(View(table, self.view.learned))

    def learn(self, learned: Learned) -> None:
        """Make ``learned`` what edged itself knows."""
        self._swap(View(self.view.table, learned))

    def _swap(self, view: View) -> None:
        self.view = view
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, version: int) -> int:
        """The newest version, as soon as it is another than ``version``."""
        while self.version == version:
            await self._changed.wait()
        return self.version
