# SPDX-License-Identifier: Apache-2.0
"""The stored keys: read at the start, sealed afresh where that was cut off; billing's list handed on. Between rooms.

Whatever fails here is said and tried again; DNS and the page serve without the keys.
"""

from __future__ import annotations

import structlog

from edged.errors import Problem, UpstreamError
from edged.model import Key
from edged.mpsk.service import MpskService
from edged.state.keys import KeyStore
from edged.state.sealing_key import SealingKey

log = structlog.get_logger(__name__)

UNREAD, DAMAGED = "state.keys", "state.sealing"
"""Where the warning stands that the stored keys could not be read, or some of them."""
_HINT = "restore sealing.key and edged.sqlite from backup"


class KeySafe:
    """Between the store of keys and the key server; ``warnings``: what is wrong with it now."""

    def __init__(self, keys: KeyStore, sealing: SealingKey, mpsk: MpskService) -> None:
        self.warnings: tuple[Problem, ...] = ()
        self._keys, self._sealing, self._mpsk = keys, sealing, mpsk
        self._unread = False
        self._waiting: tuple[Key, ...] | None = None
        """Billing's keys that the database did not take yet."""

    async def open(self) -> None:
        """Read every stored key."""
        self.warnings = ()
        try:
            await self._mpsk.start()
        except UpstreamError as error:
            log.warning("keys-unreadable", error=str(error))
            self._unread, self.warnings = True, (Problem(UNREAD, str(error), _HINT, warning=True),)
            return
        self._unread = False
        if self._keys.damaged:
            count = "1 key does" if len(self._keys.damaged) == 1 else f"{len(self._keys.damaged):,} keys do"
            found = f"{count} not open: sealed with another sealing key, or damaged"
            self.warnings = (Problem(DAMAGED, found, _HINT, warning=True),)
        if self._sealing.is_changing:
            await self._finish_resealing()

    async def _finish_resealing(self) -> None:
        """A change of the sealing key that a crash cut off goes on; both keys hold until it is done."""
        try:
            await self._mpsk.key_list.reseal(self._sealing)
        except UpstreamError as error:
            log.warning("reseal-unfinished", error=str(error))

    async def take(self, keys: tuple[Key, ...]) -> None:
        """Billing's whole list of keys: it never waits for the database; the keys do."""
        self._waiting = keys
        await self._hand_over()

    async def try_again(self) -> None:
        """Whatever did not succeed yet."""
        if self._unread:
            await self.open()
        await self._hand_over()

    async def _hand_over(self) -> None:
        if self._waiting is None:
            return
        keys = self._waiting
        try:
            await self._mpsk.replace_billing(keys)
        except UpstreamError as error:
            log.warning("keys-not-kept", error=str(error))
            return
        if self._waiting is keys:
            self._waiting = None
