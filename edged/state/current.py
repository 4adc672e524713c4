# SPDX-License-Identifier: Apache-2.0
"""The one current ``View`` and its one writer; rooms read ``view`` and wait for a change of ``version``. No I/O."""

from __future__ import annotations

import asyncio

from edged.policy.access import View


class Current:
    """A reference that is swapped, never edited. Only ``daemon`` calls ``publish``."""

    __slots__ = ("_changed", "version", "view")

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View()
        self.version = 0
        """Counts every swap."""
        self._changed = asyncio.Event()

    def publish(self, view: View) -> None:
        """Make ``view`` what every room reads from now on."""
        self.view = view
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, version: int) -> int:
        """The newest version, as soon as it is another than ``version``."""
        while self.version == version:
            await self._changed.wait()
        return self.version
