# SPDX-License-Identifier: Apache-2.0
"""The key server: keys loaded, PMKs derived, searches run, devices learned. I/O; the rules are in ``desk``.

Wire it as ``RadiusService(authorize=service.authorize)``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from edged.errors import UpstreamError
from edged.model import Key, Tell, untold
from edged.mpsk.client import Searcher, give_way, seconds_each
from edged.mpsk.desk import Desk, Search
from edged.mpsk.facts import KeyFacts
from edged.mpsk.grants import Grants
from edged.mpsk.keylist.service import KeyList
from edged.mpsk.keyring import Assembly, Keyring, assemble
from edged.mpsk.memory import Counters, Last, Stale
from edged.mpsk.places import set_aside
from edged.mpsk.search import search_all
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import pmks_of
from edged.native import keysearch
from edged.native.keysearch import Candidates
from edged.radius.packet import Answer, Packet
from edged.radius.settings import ClientSettings
from edged.state.current import Current
from edged.state.grants import GrantRow
from edged.state.keys import BillingChange, KeyStore, Sighting, StoredKey
from edged.values import IpAddress, MacAddress, Secret

log = structlog.get_logger(__name__)

INLINE = 0.0003
"""Seconds of search in the event loop itself: to ask a thread costs nearly as much."""
TEND_EVERY = 1.0
"""Seconds between two writes of learned devices: what a power cut may lose is found again by one search."""
DERIVE_FOR = 1.0
"""Seconds of derivation between two new keyrings, so that a key is good a second after its PMK is ready."""
BATCH = {True: 256, False: 16}
"""PMKs that a thread derives at a time, by whether it does so compiled: some 50 ms, soon enough done to stop."""


class MpskService:
    """The keys of every resident, and who asks for them."""

    def __init__(
        self,
        settings: MpskSettings,
        *,
        store: KeyStore,
        current: Current,
        clock: Callable[[], float] = time.time,
        tell: Tell = untold,
    ) -> None:
        self._store = store
        self._current = current
        self._clock = clock
        self._desk = Desk(settings, tell)
        self._searcher = Searcher()
        self._cores = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="edged-pmk", initializer=give_way)
        self._serving = False
        self._keeping = True
        self._renamed = False
        """True when the networks are others than those of the keyring."""
        self.loaded = False
        """Whether the keys were read since the start: until then nobody can be said to have lost theirs."""
        self._wake = asyncio.Event()
        # one hand at a time on the keyring: what the store says must not overwrite what was just learned
        self._turn = asyncio.Lock()
        self.key_list = KeyList(store, self._desk, turn=self._turn, reload=self.reload_keys, clock=clock)
        """The key list: what billing and the operator make of it."""

    # ------------------------------------------------------------------------------------------------ life

    async def start(self) -> None:
        """Load the keys and make ready to search them. UpstreamError when the store does not open."""
        self._serving = True
        self._desk.seconds_each = seconds_each()
        await self.load()

    async def run(self) -> None:
        """Derive PMKs and keep learned devices until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._derive_always(), name="mpsk-derive")
            tasks.create_task(self._tend(), name="mpsk-tend")

    async def stop(self) -> None:
        """Write what was learned and end the workers."""
        self._serving = False
        await self._flush_or_say()
        await self._searcher.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def reconfigure(self, settings: MpskSettings) -> None:
        """Take the networks of ``settings``; keys of a new one are derived from the next moment on."""
        self._desk.settings = settings
        self._desk.patience.forgive()
        self._renamed = True
        self._wake.set()

    @property
    def counters(self) -> Counters:
        """Read at scrape time."""
        return self._desk.counters

    # ------------------------------------------------------------------------------------------- requests

    def authorize(
        self, request: Packet, client: ClientSettings, source: IpAddress
    ) -> Answer | Awaitable[Answer | None] | None:
        """The answer to an Access-Request with a clear User-Password; None: silence. Awaited for a search."""
        asked = self._desk.ask(request, client, source, self._current.view, self._clock())
        for name, dialect in self._desk.unspoken():
            log.warning("dialect-not-spoken", client=name, dialect=dialect, reason="its format is not public")
        if not isinstance(asked, Search):
            return asked
        if self._desk.seconds(asked) > INLINE:
            return self._search(asked)
        self._desk.begun(asked)
        begun = time.perf_counter()
        stored = asked.at(search_all(asked.challenge, asked.pmks))
        self.counters.search_seconds += time.perf_counter() - begun
        return self._desk.found(asked, stored, self._current.view, self._clock())

    async def _search(self, wanted: Search) -> Answer | None:
        """The answer after a search off the loop, or after the one that runs for the same handshake."""
        running = self._searcher.running(wanted)
        if running is None and self._searcher.is_full(wanted.question.site):
            return self._desk.overloaded(wanted, self._clock())
        begun = None
        if running is None:
            self._desk.begun(wanted)
            begun = time.perf_counter()
            running = self._searcher.begin(wanted)
        elif self._searcher.join(wanted):
            self.counters.joined += 1
        else:
            return self._desk.overloaded(wanted, self._clock())
        try:
            # shielded: the deadline of one request must not end the search for another that joined it
            stored = await asyncio.shield(running)
        except TimeoutError:
            return self._desk.overloaded(wanted, self._clock())
        if begun is not None:
            self.counters.search_seconds += time.perf_counter() - begun
        return self._desk.found(wanted, stored, self._current.view, self._clock(), joined=begun is None)

    def explain_device(self, mac: MacAddress) -> Last | None:
        """How the latest request of ``mac`` ended; None when it made none of late."""
        return self._desk.explain_device(mac)

    def rejected(self) -> list[tuple[MacAddress, Last]]:
        """The devices whose latest request was not accepted, the latest first; of the 4,096 that asked last."""
        return self._desk.rejected()

    def recheck(self) -> Iterator[list[Stale]]:
        """Devices to disconnect, since policy or keys have changed under them, step by step; each is named once."""
        return self._desk.recheck(self._current.view, self._clock())

    @property
    def grants(self) -> Grants:
        """Who is on, and who is to leave."""
        return self._desk.grants

    def restore_grants(self, rows: Iterable[GrantRow]) -> None:
        """Take what was granted before a restart."""
        self.grants.restore(rows, self.ring, self._clock(), self._desk.settings)

    # -------------------------------------------------------------------------------------------- keyring

    @property
    def ring(self) -> Keyring:
        """The keyring in force."""
        return self._desk.ring

    async def load(self) -> None:
        """Build the keyring from the store; ``derive`` or ``run`` then derives what is missing."""
        async with self._turn:
            keys = await self._store.all()
            sightings = await self._store.devices(self._clock())
            await self._compile(keys, [*sightings, *self._desk.sightings.values()])
            self.loaded = True
        if self._store.damaged:
            log.error("keys-damaged", count=len(self._store.damaged), key=self._store.damaged[0].id)
        log.info("keys-loaded", count=len(self.ring.keys), pending=len(self.ring.pending))

    async def reload_keys(self) -> None:
        """As ``load``, after billing's or the operator's list has changed; earlier misses are forgiven."""
        await self.load()
        self._desk.patience.forgive()
        self._wake.set()

    async def follow(self, sightings: Sequence[Sighting], gone: Sequence[tuple[str, MacAddress]]) -> None:
        """Take the devices that other edges saw or forgot; what was seen here since is the later word."""
        async with self._turn:
            own = self._desk.sightings
            later = [s for s in sightings if (s.ssid, s.mac) not in own or own[s.ssid, s.mac].at < s.at]
            self._desk.ring = self.ring.with_sightings(later).without(place for place in gone if place not in own)
            self.counters.devices = len(self.ring.learned)

    async def _compile(self, keys: Iterable[StoredKey], sightings: Iterable[Sighting]) -> None:
        """A new keyring of everything."""
        self._renamed = False
        now = self._clock()
        rows = await asyncio.to_thread(set_aside, tuple(keys), now)
        await self._assemble(assemble(rows, sightings, tuple(self._desk.settings.networks), now))

    async def _assemble(self, assembly: Assembly) -> None:
        """Put the keyring that comes of ``assembly`` into force.

        A quarter of a millisecond at a time, and the compiled part of it in a thread: a million keys take seconds,
        in which a thread of Python would make everybody else wait for the interpreter lock again and again.
        """
        before = dict(self._desk.sightings)
        candidates: Candidates | None = None
        while True:
            try:
                pmks = assembly.send(candidates)
            except StopIteration as ended:
                self._install(ended.value, before)
                return
            candidates = await asyncio.to_thread(keysearch.prepared, pmks) if pmks else None
            await asyncio.sleep(0)

    def _install(self, ring: Keyring, before: dict[tuple[str, MacAddress], Sighting]) -> None:
        """Put ``ring`` into force, with the devices learned since ``before``."""
        learned = [s for place, s in self._desk.sightings.items() if before.get(place) != s]
        self._desk.ring = (ring.with_sightings(learned) if learned else ring).without(self._desk.gone)
        counters = self.counters
        counters.keys, counters.pmks_pending = len(ring.keys), len(ring.pending)
        counters.devices = len(self.ring.learned)
        if self._serving and len(ring.keys) * max(self._desk.seconds_each.values()) > INLINE:
            self._searcher.start()

    async def _recompile(self) -> None:
        async with self._turn:
            await self._compile(self.ring.keys.values(), self.ring.learned.values())

    async def derive(self) -> None:
        """Derive every PMK that is missing, the newest key first, and keep them: a restart costs nothing."""
        while pending := self.ring.pending:
            begun = time.monotonic()
            done: list[tuple[StoredKey, Secret]] = []
            while len(done) < len(pending) and time.monotonic() < begun + DERIVE_FOR:
                done += await self._derived(pending, len(done))
            try:
                await self._store.save_pmks(done)
            except UpstreamError as error:
                log.warning("pmks-not-kept", error=str(error))
            async with self._turn:
                await self._assemble(self.ring.with_pmks(done, self._clock()))
            left = len(self.ring.pending)
            self.counters.pmks_seconds = left * (time.monotonic() - begun) / len(done)
            log.info("pmks-derived", count=len(done), pending=left, seconds_left=round(self.counters.pmks_seconds, 1))

    async def _derived(self, pending: Sequence[StoredKey], start: int) -> list[tuple[StoredKey, Secret]]:
        """Some of ``pending`` from ``start`` on with their PMKs: a batch for each core."""
        loop, size = asyncio.get_running_loop(), BATCH[bool(keysearch.KERNEL)]
        batches = [pending[at : at + size] for at in range(start, start + self._cores * size, size)]
        work = [[(stored.key.passphrase, stored.key.ssid) for stored in batch] for batch in batches]
        pmks = await asyncio.gather(*(loop.run_in_executor(self._threads, pmks_of, each) for each in work))
        return [pair for batch, made in zip(batches, pmks, strict=True) for pair in zip(batch, made, strict=True)]

    async def _derive_always(self) -> None:
        while True:
            self._wake.clear()
            if self._renamed:
                await self._recompile()
            await self.derive()
            await self._wake.wait()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_EVERY)
            if self._clock() >= self.ring.next_change:
                await self._recompile()
                self._wake.set()  # a key that was set aside until now has no PMK yet
            await self._flush_or_say()

    async def flush(self) -> None:
        """Write the devices learned since the last time. UpstreamError: they wait for the next."""
        learned = self._desk.sightings
        async with self._turn:
            batch, gone = dict(learned), set(self._desk.gone)
            if not batch and not gone:
                return
            await self._store.learn(batch.values(), gone)
            for place, sighting in batch.items():
                if learned.get(place) == sighting:
                    del learned[place]
            self._desk.gone -= gone

    async def _flush_or_say(self) -> None:
        try:
            await self.flush()
        except UpstreamError as error:
            if self._keeping:  # said once, not every second of an outage
                log.warning("devices-not-kept", error=str(error))
            self._keeping = False
        else:
            self._keeping = True

    # ----------------------------------------------------------------------------------------- the key list

    async def replace_billing(self, keys: Sequence[Key]) -> BillingChange:
        """Make ``keys`` billing's whole list, and the keyring follow."""
        return await self.key_list.replace_billing(keys)

    def key_facts(self) -> list[KeyFacts]:
        """Every key without its secrets."""
        return self.key_list.key_facts()
