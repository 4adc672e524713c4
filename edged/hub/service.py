# SPDX-License-Identifier: Apache-2.0
"""The hub's shell: billing's list in force here, signed, to edges that ask; their reports, to the operator. Listens.

Decision 0050, docs/hub.md. What is signed and how edges ask is in docs/fleet.md, "What is signed".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from edged.billing import signing
from edged.billing.reading import sums_of
from edged.errors import UpstreamError
from edged.fdstore import FdStore
from edged.hub import feed, fleet, told
from edged.hub.answer import Answer, Asked, Body, Question, plain
from edged.hub.asking.service import Asking
from edged.hub.http.service import Counters, HubFront
from edged.hub.served import History, Listed, revision, touched
from edged.hub.settings import HubSettings
from edged.model import Key, Snapshot, State, Subscriber
from edged.state.files import secret_file, write_atomically
from edged.state.outbox import Stored
from edged.values import Endpoint

log = structlog.get_logger(__name__)

_GATHER_S = 0.05
"""Seconds that the first change of many waits for the others."""
_KEPT_OCTETS = 64 * 1024 * 1024
"""Of bodies that were made already."""
_EARLIER_LISTS = 4
"""Lists before the one of now whose later pages may still be asked for."""
_SAVE_EVERY_S = 60.0
_LATER_S = 5
"""Seconds after which who cannot be answered now may ask again."""

Relay = Callable[[Sequence[Stored]], Awaitable[None]]


class Listing(Protocol):
    """What the hub needs of billing; ``BillingService`` is it."""

    @property
    def in_force(self) -> Snapshot | None:
        """The last list that the guard let through; None: there was none yet."""

    @property
    def current_at(self) -> float:
        """When billing last confirmed it, epoch seconds."""

    @property
    def has_read(self) -> bool:
        """True once billing was read since the start: what it then does not offer, it does not have."""

    async def recheck(self, subscriber: str) -> State | None:
        """What billing says of one subscriber now, in force as far as the guard lets it. UpstreamError."""


class HubService:
    """One list in force, served to many."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        billing: Listing,
        kept_keys: Callable[[], Awaitable[Sequence[Key]]],
        relay: Relay | None,
        directory: Path,
        fds: FdStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``kept_keys``: billing's as the database has them, for the time after a start. ConfigError.

        ``relay``: takes events for billing; None: billing takes none.
        """
        self.settings = settings
        self._private = secret_file(directory / "hub.key")
        self.public_key = base64.b64encode(signing.public_key(self._private)).decode()
        """As ``billing.signed_by`` of the edges has it."""
        self._billing, self._kept_keys, self._relay, self._clock = billing, kept_keys, relay, clock
        self.front = HubFront(settings, self._answer)
        self._fds = fds or FdStore()
        self._asking = Asking(billing.recheck)
        self._file = directory / "fleet.json"
        self.fleet = fleet.Fleet()
        self.endpoint: Endpoint | None = None
        """Where it listens; with port 0, the port that was given."""
        self.waiting = 0
        """Edges whose question waits for a change."""
        self._seen: tuple[Snapshot | None, bool] | None = None
        """What the lists were made of last."""
        self._subscribers: History[Subscriber] = History()
        self._keys: History[Key] = History()
        self._earlier: dict[str, OrderedDict[str, Listed[Any]]] = {kind: OrderedDict() for kind in feed.KINDS}
        self._bodies: OrderedDict[tuple[str, ...], Body] = OrderedDict()
        self._bodies_octets = 0
        self._making: dict[tuple[str, ...], asyncio.Task[Body]] = {}
        self._stirred = asyncio.Event()
        self._changed = asyncio.Event()
        """Set, and replaced, when a list has become another."""

    @property
    def counters(self) -> Counters:
        """What was asked and answered."""
        return self.front.counters

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self.front.under_way

    @property
    def under_way(self) -> int:
        """Nobody's answer is worth waiting for at the end: edges ask again, and the list stands."""
        return 0

    async def start(self) -> None:
        """Remember the fleet, then listen. ConfigError when the address cannot be had."""
        self.fleet = fleet.Fleet(await asyncio.to_thread(self._load), self._clock())
        await self._look()
        self.endpoint = await self.front.open(self.settings.listen, self._fds)
        log.info("hub-listening", endpoint=str(self.endpoint), public_key=self.public_key)

    async def run(self) -> None:
        """Follow the list in force until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="hub-follow")
            group.create_task(self._save_always(), name="hub-save")

    def stir(self) -> None:
        """The list in force may have become another."""
        self._stirred.set()

    def refrain(self) -> None:
        """Hear nobody else."""
        self.front.refrain()

    async def stop(self) -> None:
        """Close the socket, and write down who was heard of."""
        self._asking.stop()
        await self.front.close()
        self.endpoint = None
        await self.save()

    def reconfigure(self, settings: HubSettings) -> None:
        """Take what a reload may change. ConfigError: the certificate does not work, and everything stays."""
        self.front.reconfigure(settings)
        self.settings = settings

    def standings(self) -> tuple[fleet.Standing, ...]:
        """How every edge is."""
        return self.fleet.standings(self._clock(), self.settings.silent)

    @property
    def revisions(self) -> Mapping[str, str]:
        """Of the lists of now, by kind; empty: there is none yet."""
        return {kind: self._history(kind).now.revision for kind in feed.KINDS}

    # --- the lists --------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await self._stirred.wait()
            await asyncio.sleep(_GATHER_S)
            self._stirred.clear()
            try:
                await self._look()
            except UpstreamError as error:
                log.warning("hub-keys-unread", error=str(error))
                await asyncio.sleep(_LATER_S)
                self._stirred.set()

    async def _look(self) -> None:
        """Take the list in force as it is now. UpstreamError: the keys of before cannot be read."""
        good, read = self._billing.in_force, self._billing.has_read
        if good is None or (self._seen is not None and self._seen[0] is good and self._seen[1] == read):
            return
        keys: Sequence[Key] | None = good.keys
        if keys is None and not self._keys.now.revision:
            keys = await self._kept_keys()
            if not keys and not read:
                keys = None  # not known yet: an empty list would take every key from every edge
        sums = await asyncio.to_thread(sums_of, good, keys)
        name = revision(self._private, "subscribers", sums[0], good.known)
        changed = await self._take("subscribers", Listed(name, good.subscribers, good.known))
        if keys is not None:
            changed |= await self._take("keys", Listed(revision(self._private, "keys", sums[1], None), tuple(keys)))
        self._seen = good, read
        if changed:
            done, self._changed = self._changed, asyncio.Event()
            done.set()

    async def _take(self, kind: str, listed: Listed[Any]) -> bool:
        """Make ``listed`` the list of now; True: it is another than before."""
        history, earlier = self._history(kind), self._earlier[kind]
        was = history.now
        if listed.revision == was.revision:
            return False
        ids = await asyncio.to_thread(touched, listed.entries, was.entries)
        if was.revision:
            earlier[was.revision] = was
            while len(earlier) > _EARLIER_LISTS:
                earlier.popitem(last=False)
        history.step(listed, ids, self._clock())
        return True

    def _history(self, kind: str) -> History[Any]:
        return self._subscribers if kind == "subscribers" else self._keys

    # --- answers ----------------------------------------------------------------------------------

    async def _answer(self, question: Question) -> Answer:
        match question.method, question.below(self.settings.path):
            case (("GET" | "HEAD"), (("subscribers" | "keys") as kind,)):
                return await self._list(question, kind)
            case (("GET" | "HEAD"), ("subscribers", subscriber)) if 0 < len(subscriber) <= 128:
                return await self._one(question, subscriber)
            case "POST", ("report",):
                return self._heard(question)
            case "POST", ("events",):
                return await self._pass_on(question)
            case _, (("subscribers" | "keys" | "report" | "events"), *_):
                return plain(405, Asked.REFUSED)
        return plain(404, Asked.REFUSED)

    async def _list(self, question: Question, kind: str) -> Answer:
        earlier = question.asked("since")
        asked = Asked.CHANGES if earlier else Asked.LIST
        headers: dict[str, str] = {}
        if kind == "subscribers" and question.wait and earlier and earlier == self._subscribers.now.revision:
            await self._wait(question.wait)
            headers["Preference-Applied"] = f"wait={question.wait}"
        listed = self._history(kind).now
        if not listed.revision:
            return plain(503, asked, retry_after=_LATER_S)
        headers |= {"ETag": f'W/"{listed.revision}"', "X-Total-Count": str(len(listed.entries))}
        headers["Cache-Control"] = self._cached(kind) if not question.wait else "no-store"
        if not earlier:
            return await self._pages(question, kind, headers)
        ids = self._history(kind).since(earlier)
        if ids is None:
            return plain(410, asked)
        body = await self._body((kind, "since", earlier, listed.revision), self._difference, kind, listed, ids)
        return self._signed(question, asked, body, headers)

    async def _pages(self, question: Question, kind: str, headers: dict[str, str]) -> Answer:
        """A page of the list of now, or of the earlier one that the asker has begun to read."""
        listed = self._history(kind).now
        listed = self._earlier[kind].get(question.asked("revision"), listed)
        number = question.asked("page") or "1"
        if not number.isascii() or not number.isdigit() or not 0 < int(number[:9]) <= 10**6:
            return plain(400, Asked.LIST)
        headers["ETag"] = f'W/"{listed.revision}"'
        body = await self._body((kind, number, listed.revision), listed.page, kind, int(number[:9]))
        return self._signed(question, Asked.LIST, body, headers)

    def _difference(self, kind: str, listed: Listed[Any], ids: frozenset[str]) -> bytes:
        there = [entry for entry in listed.entries if entry.id in ids] if ids else []
        return feed.difference(kind, there, ids - {entry.id for entry in there}, listed.revision, listed.known)

    async def _one(self, question: Question, subscriber: str) -> Answer:
        try:
            state = await self._asking.state(subscriber)
        except UpstreamError:
            return plain(503, Asked.ONE, retry_after=_LATER_S)
        good = self._billing.in_force
        listed = next((s for s in good.subscribers if s.id == subscriber), None) if good is not None else None
        headers = {"Cache-Control": "no-store", "ETag": f'W/"{self._subscribers.now.revision}"'}
        if listed is not None and state is not None:
            return self._signed(question, Asked.ONE, Body.of(feed.one(listed)), headers, now=True)
        if state is None:
            return self._signed(question, Asked.ONE, Body.of(feed.unknown(subscriber)), headers, status=404, now=True)
        # a word that blocks and that the guard has not let through is not in force here either
        return self._signed(question, Asked.ONE, Body.of(feed.active(subscriber)), headers, now=True)

    def _signed(
        self, question: Question, asked: Asked, body: Body, headers: dict[str, str], *,
        status: int = 200, now: bool = False,
    ) -> Answer:  # fmt: skip
        """``now``: billing has confirmed it in this moment."""
        created = int(self._clock())
        read_at = created if now else int(self._billing.current_at)
        tag = headers.get("ETag", "")
        stated, signature = signing.sign(
            self._private, question.path, question.query, tag, body.digest, read_at=read_at, created=created
        )
        headers |= {
            signing.DIGEST: body.digest,
            signing.READ_AT: str(read_at),
            "Signature-Input": stated,
            "Signature": signature,
        }
        if asked is Asked.LIST and question.has(tag):
            return Answer(304, asked, None, headers)
        return Answer(status, asked, body, headers)

    def _cached(self, kind: str) -> str:
        seconds = int(self.settings.cache)
        return f"public, max-age={seconds}" if seconds and kind == "subscribers" else "private, no-cache"

    async def _wait(self, seconds: int) -> None:
        """Until a list has become another, or so long."""
        self.waiting += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        finally:
            self.waiting -= 1

    async def _body(self, name: tuple[str, ...], make: Callable[..., bytes], *arguments: Any) -> Body:
        """The body of that name, made once however many ask for it."""
        kept = self._bodies.get(name)
        if kept is not None:
            self._bodies.move_to_end(name)
            return kept
        task = self._making.get(name)
        if task is None:
            task = self._making[name] = asyncio.create_task(
                asyncio.to_thread(lambda: Body.of(make(*arguments))), name="hub-body"
            )
            task.add_done_callback(lambda _: self._made(name))
        return await asyncio.shield(task)

    def _made(self, name: tuple[str, ...]) -> None:
        task = self._making.pop(name)
        if task.cancelled() or task.exception() is not None:
            return
        self._bodies[name] = body = task.result()
        self._bodies_octets += len(body.octets)
        while self._bodies_octets > _KEPT_OCTETS and len(self._bodies) > 1:
            _, gone = self._bodies.popitem(last=False)
            self._bodies_octets -= len(gone.octets)

    # --- what edges tell --------------------------------------------------------------------------

    def _heard(self, question: Question) -> Answer:
        try:
            document = json.loads(question.body)
        except (ValueError, RecursionError):
            document = None
        report = fleet.read(document, self._clock())
        if report is None:
            return plain(400, Asked.REPORT)
        superseded = [self._history(kind).superseded_at(getattr(report, kind)) for kind in feed.KINDS]
        return plain(204 if self.fleet.hear(report, superseded) else 507, Asked.REPORT)

    async def _pass_on(self, question: Question) -> Answer:
        if self._relay is None:
            return plain(404, Asked.EVENTS)
        events = told.read(question.body)
        if events is None:
            return plain(400, Asked.EVENTS)
        try:
            await self._relay(events)
        except UpstreamError:
            return plain(503, Asked.EVENTS, retry_after=_LATER_S)
        return plain(204, Asked.EVENTS)

    # --- the fleet over a restart -----------------------------------------------------------------

    def _load(self) -> list[fleet.Report]:
        """Who was heard of before; damage costs no more than their names until they report again."""
        try:
            kept = json.loads(self._file.read_bytes())
            found = [fleet.read(each, float(each["heard_at"])) for each in kept]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            log.warning("hub-fleet-unread", path=str(self._file))
            return []
        return [report for report in found if report is not None]

    async def _save_always(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write down who was heard of."""
        kept = json.dumps([report.facts() for report in self.fleet.reports()]).encode()
        try:
            await asyncio.to_thread(write_atomically, self._file, [kept])
        except OSError as error:
            log.warning("hub-fleet-not-kept", error=error.strerror)
