# SPDX-License-Identifier: Apache-2.0
"""The webhook's shell: posts in, hints out to whoever reads billing. Listens, reads clocks, writes ids down.

Order of an accepted post: the hint is on its way, the id is on disk (or the disk had its chance), then the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from edged.billing.hook.counters import Budget, Counters
from edged.billing.hook.http.service import Answer, Deadlines, HookFront
from edged.billing.hook.pending import Pending
from edged.billing.hook.seen import Seen
from edged.billing.settings import WebhookSettings
from edged.billing.webhook import HOOKS, Fault, Hint, Ping, Post, Refused
from edged.errors import UpstreamError
from edged.fdstore import FdStore
from edged.state.hooks import HookStore
from edged.values import Endpoint

log = structlog.get_logger(__name__)

_LANES = 4
"""Readings of named subscribers at once: one that billing is slow about holds up few others."""
_RATE, _BURST = 50.0, 500.0
"""Posts a second that are proven to be billing's: a run of invoices is a burst, a webhook is no probe."""
_RUMOURS, _RUMOURS_BURST = 1.0, 30.0
"""The same for posts that nothing proves: anybody who reaches the address can send them."""
_KEEP_WAIT = 1.0
"""Seconds that an answer waits for the disk; the hint is on its way already."""
_KEEP_AGAIN = 5.0
"""Seconds until ids are tried again that could not be written."""
_PRUNE_EVERY = 60.0


class HookService:
    """One address, one secret, and what was heard there."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        source: str,
        store: HookStore,
        tell: Callable[[Hint], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        deadlines: Deadlines | None = None,
        fds: FdStore | None = None,
    ) -> None:
        """``fds``: sockets that outlive us."""
        self.counters = Counters()
        self.endpoint: Endpoint | None = None
        """Where it listens; with port 0, the port that was given."""
        self._settings, self._hook, self._store, self._tell, self._clock = settings, HOOKS[source], store, tell, clock
        self._front = HookFront(settings.path, self._answer, self.counters, deadlines or Deadlines())
        self._fds = fds or FdStore()
        self._seen = Seen()
        self._pending = Pending()
        now = time.monotonic()
        self._budget = Budget(_RATE, _BURST, now)
        self._rumours = Budget(_RUMOURS, _RUMOURS_BURST, now)
        self._unkept: dict[str, float] = {}
        """Accepted ids that are not on disk yet."""
        self._kept: asyncio.Future[None] | None = None
        """Done when those that wait now had their chance."""
        self._keeping = asyncio.Event()
        self._stirred = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many names wait to be read."""
        return len(self._pending)

    async def start(self) -> None:
        """Remember which posts were accepted, then listen. ConfigError when the address cannot be had."""
        try:
            self._seen = Seen(*await self._store.load())
        except UpstreamError as error:
            # a replay would cost one reading; not to listen would cost every payment its second
            log.warning("hook-ids-unread", error=str(error))
        self.endpoint = await self._front.open(self._settings.listen, "billing.webhook.listen", self._fds)
        log.info("hook-listening", endpoint=str(self.endpoint))

    async def run(self) -> None:
        """Hand on what was heard until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(_LANES):
                group.create_task(self._read(everything=False), name=f"hook-read-{number}")
            group.create_task(self._read(everything=True), name="hook-read-all")
            group.create_task(self._keep(), name="hook-keep")
            group.create_task(self._prune(), name="hook-prune")

    @property
    def under_way(self) -> int:
        """Posts that are being taken in."""
        return self._front.under_way

    def refrain(self) -> None:
        """Hear nobody else; who is inside gets an answer."""
        self._front.refrain()

    async def stop(self) -> None:
        """Close the socket and write down what was accepted."""
        await self._front.close()
        self.endpoint = None
        await self._write()

    def reconfigure(self, settings: WebhookSettings) -> None:
        """Take a new secret and path; another address needs a restart."""
        self._settings = settings
        self._front.path = settings.path

    # --- posts ------------------------------------------------------------------------------------

    async def _answer(self, post: Post) -> Answer:
        verdict = self._hook.read(post, self._settings.secret, self._clock(), self._seen.has)
        match verdict:
            case Ping():
                self.counters.pings += 1
                return Answer(200, "ok")
            case Refused():
                return self._refuse(verdict)
            case Hint():
                budget = self._budget if verdict.proven else self._rumours
                if not budget.take(time.monotonic()):
                    return self._refuse(Refused(429, "too many posts: edged looks by itself meanwhile", Fault.RATE))
                return await self._accept(verdict)

    def _refuse(self, refused: Refused) -> Answer:
        self.counters.refused[refused.fault] += 1
        count = self.counters.refused[refused.fault]
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood is not a log
            log.warning("hook-refused", reason=refused.fault.value, count=count)
        return Answer(refused.status, refused.sentence, retry_after=1 if refused.status == 429 else 0)

    async def _accept(self, hint: Hint) -> Answer:
        self.counters.accepted += 1
        if not hint.is_empty:
            self._pending.add(hint, time.monotonic())
            self._stir()
        if hint.id:
            self._seen.add(hint.id, hint.at)
            self._unkept[hint.id] = hint.at
            await self._chance_to_keep()
        return Answer(self._hook.accepted, "ok: edged reads it now")

    # --- ids --------------------------------------------------------------------------------------

    async def _chance_to_keep(self) -> None:
        """Wait for the write that takes our id along, but not for long: a disk is no reason to be told twice."""
        if self._kept is None:
            self._kept = asyncio.get_running_loop().create_future()
            self._keeping.set()
        await asyncio.wait({self._kept}, timeout=_KEEP_WAIT)

    async def _keep(self) -> None:
        while True:
            if self._unkept and self._kept is None:
                # the disk failed a moment ago; a new post brings another chance at once
                await _at_most(self._keeping, _KEEP_AGAIN)
            else:
                await self._keeping.wait()
            self._keeping.clear()
            await self._write()

    async def _write(self) -> None:
        """All ids that wait, in one transaction: posts that come meanwhile go into the next."""
        batch, chance, self._kept = dict(self._unkept), self._kept, None
        try:
            if batch:
                await self._store.save(batch.items())
            for post_id in batch:
                self._unkept.pop(post_id, None)
        except UpstreamError as error:
            self.counters.unkept += 1
            if self.counters.unkept & (self.counters.unkept - 1) == 0:
                log.warning("hook-ids-not-kept", error=str(error), count=self.counters.unkept)
        finally:
            if chance is not None and not chance.done():
                chance.set_result(None)

    async def _prune(self) -> None:
        while True:
            if self._seen.prune(self._clock()):
                floor = self._seen.floor
                self._unkept = {post_id: at for post_id, at in self._unkept.items() if at > floor}
                try:
                    await self._store.prune(floor)
                except UpstreamError as error:
                    log.warning("hook-ids-not-kept", error=str(error))
            await asyncio.sleep(_PRUNE_EVERY)

    # --- readings ---------------------------------------------------------------------------------

    def _stir(self) -> None:
        """Wake every lane: each waits for the event that it found."""
        stirred, self._stirred = self._stirred, asyncio.Event()
        stirred.set()

    async def _read(self, *, everything: bool) -> None:
        while True:
            stirred = self._stirred
            hint = self._pending.take(time.monotonic(), everything=everything)
            if hint is None:
                await _at_most(stirred, self._pending.wait(time.monotonic(), everything=everything))
                continue
            self.counters.readings += 1
            try:
                await self._tell(hint)
            except UpstreamError as error:
                self.counters.failed += 1
                self._pending.failed(hint, time.monotonic())
                if self.counters.failed & (self.counters.failed - 1) == 0:
                    log.warning("hook-unread", error=str(error), count=self.counters.failed)
            else:
                self._pending.done(hint)
            self._stir()


async def _at_most(event: asyncio.Event, seconds: float | None) -> None:
    """Until ``event`` is set, or that long; None: for ever."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
