# SPDX-License-Identifier: Apache-2.0
"""The hub's shell: billing's list in force here, signed, to edges that ask; their reports, to the operator. Listens.

Decision 0050, docs/hub.md. What is signed and how edges ask is in docs/fleet.md, "What is signed".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from edged.billing import signing
from edged.billing.reading import sums_of
from edged.errors import UpstreamError
from edged.fdstore import FdStore
from edged.hub import feed, told
from edged.hub.answer import Answer, Asked, Body, Question, not_taken, plain
from edged.hub.asking.service import Asking
from edged.hub.billing import Listing, WhoIsOnline
from edged.hub.fleet import Fleet, Standing
from edged.hub.http.service import Counters, HubFront
from edged.hub.online import OnlineList, SessionsOf
from edged.hub.reports.service import Reports
from edged.hub.served import Begun, History, Listed, difference, revision, touched
from edged.hub.settings import HubSettings
from edged.hub.shelf.service import Shelf
from edged.model import Key, Snapshot, Subscriber
from edged.state.current import Current
from edged.state.files import secret_file
from edged.state.outbox import Stored
from edged.values import Endpoint

log = structlog.get_logger(__name__)

_GATHER_S = 0.05
"""Seconds that the first change of many waits for the others."""
_FEW = 64
"""Entries of a difference that is written at once, without a thread."""
_LATER_S = 5
"""Seconds after which who cannot be answered now may ask again."""
_LISTS = (*feed.KINDS, "sessions")
_NO_LIST = 'W/"unknown"'
_PIECE = 256
"""Subscribers who are looked up before others have their turn."""

Relay = Callable[[Sequence[Stored]], Awaitable[None]]


class HubService:
    """One list in force, served to many."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        billing: Listing,
        online: WhoIsOnline,
        current: Current,
        sessions_of: SessionsOf,
        kept_keys: Callable[[], Awaitable[Sequence[Key]]],
        relay: Relay | None,
        directory: Path,
        fds: FdStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``kept_keys``: billing's as the database has them, for the time after a start. ConfigError.

        ``current``: what is in force here; ``sessions_of``: the sessions of a subscriber of some logins, with the
        addresses that nobody else has had since. ``relay``: takes events for billing; None: billing takes none.
        """
        self.settings = settings
        self._private = secret_file(directory / "hub.key")
        self._signer = signing.Signer(self._private)
        self.public_key = base64.b64encode(self._signer.public).decode()
        """As ``billing.signed_by`` of the edges has it."""
        self._billing, self._kept_keys, self._relay, self._clock = billing, kept_keys, relay, clock
        self._online, self._current, self._sessions_of = online, current, sessions_of
        self.front = HubFront(settings, self._answer)
        self._fds = fds or FdStore()
        self._asking = Asking(billing.recheck)
        self.reports = Reports(directory, clock)
        self.endpoint: Endpoint | None = None
        """Where it listens; with port 0, the port that was given."""
        self.waiting = 0
        """Edges whose question waits for a change."""
        self._seen: tuple[Snapshot, bool] | None = None
        """What the lists were made of last."""
        self._seen_at = 0.0
        """When billing last confirmed that, epoch seconds."""
        self._lines, self._lines_version = OnlineList(), -1
        """Who is online, and the version of ``current`` that it is of."""
        self._lines_at = 0.0
        """When billing last said so, epoch seconds."""
        self._histories: dict[str, History[Any]] = {kind: History() for kind in _LISTS}
        self._reported = {kind: self._histories[kind] for kind in feed.KINDS}
        """Those whose revisions edges report."""
        self._begun: dict[str, Begun[Any]] = {kind: Begun() for kind in _LISTS}
        self._shelf = Shelf()
        self._stirred, self._moved = asyncio.Event(), asyncio.Event()
        self._changed = asyncio.Event()
        """Set, and replaced, when a list has become another."""

    @property
    def counters(self) -> Counters:
        """What was asked and answered."""
        return self.front.counters

    @property
    def under_way(self) -> int:
        """Nobody's answer is worth waiting for at the end: edges ask again, and the list stands."""
        return 0

    async def start(self) -> None:
        """Remember the fleet, then listen. ConfigError when the address cannot be had."""
        await self.reports.load()
        with contextlib.suppress(UpstreamError):  # the follower says it, and tries again
            await self._look()
        self.stir()
        self.endpoint = await self.front.open(self.settings.listen, self._fds)
        log.info("hub-listening", endpoint=str(self.endpoint), public_key=self.public_key)

    async def run(self) -> None:
        """Follow the list in force until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.front.run(), name="hub-front")
            group.create_task(self._follow(), name="hub-follow")
            group.create_task(self._follow_online(), name="hub-follow-online")
            group.create_task(self.reports.run(), name="hub-save")

    def stir(self) -> None:
        """The list in force may have become another, or who of it is online."""
        self._stirred.set()
        self._moved.set()

    def refrain(self) -> None:
        """Hear nobody else."""
        self.front.refrain()

    async def stop(self) -> None:
        """Close the socket, and write down who was heard of."""
        self._asking.stop()
        await self.front.close()
        self.endpoint = None
        await self.reports.save()

    def reconfigure(self, settings: HubSettings) -> None:
        """Take what a reload may change. ConfigError: the certificate does not work, and everything stays."""
        self.front.reconfigure(settings)
        self.settings = settings

    @property
    def fleet(self) -> Fleet:
        """Who was heard of."""
        return self.reports.fleet

    def standings(self) -> tuple[Standing, ...]:
        """How every edge is."""
        return self.fleet.standings(self._clock(), self.settings.silent)

    @property
    def revisions(self) -> Mapping[str, str]:
        """Of the lists of now, by kind; empty: there is none yet."""
        return {kind: self._histories[kind].now.revision for kind in feed.KINDS}

    # --- the lists --------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                # what is not known yet may become so by a reading that changes nothing, of which nobody is told
                async with asyncio.timeout(None if all(self.revisions.values()) else _LATER_S):
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
        good, read, at = self._billing.in_force, self._billing.has_read, self._billing.current_at
        if good is None or (self._seen is not None and self._seen[0] is good and self._seen[1] == read):
            return
        keys: Sequence[Key] | None = good.keys
        if keys is None and not self._histories["keys"].now.revision:
            # not known yet is no empty list: that would take every key from every edge
            keys = await self._kept_keys() or (() if read else None)
        sums = await asyncio.to_thread(sums_of, good, keys)
        name = revision(self._private, "subscribers", sums[0], good.known)
        changed = await self._take("subscribers", Listed(name, good.subscribers, good.known))
        if keys is not None:
            changed |= await self._take("keys", Listed(revision(self._private, "keys", sums[1], None), tuple(keys)))
        self._seen, self._seen_at = (good, read), at
        if changed:
            done, self._changed = self._changed, asyncio.Event()
            done.set()

    async def _follow_online(self) -> None:
        """By itself: no payment waits for it. Nobody is told at once: edges ask once a minute, as the hub does."""
        while True:
            await self._moved.wait()
            await asyncio.sleep(_GATHER_S)
            self._moved.clear()
            await self._look_online()

    async def _look_online(self) -> None:
        """Who of the list is online now."""
        at, view, version = self._online.confirmed_at, self._current.view, self._current.version
        if not at:
            return
        ids = self._current.changed_since(self._lines_version)
        names = self._lines.everybody(view) if ids is None else list(ids)
        changes: dict[str, Any] = {}
        for start in range(0, len(names), _PIECE):
            changes |= self._lines.take(view, names[start : start + _PIECE], self._sessions_of)
            await asyncio.sleep(0)
        history = self._histories["sessions"]
        if changes or not history.now.revision:
            name = revision(self._private, "sessions", self._lines.content, None)
            history.step(Listed(name, self._lines.entries), changes, self._clock())
        self._lines_version, self._lines_at = version, at

    async def _take(self, kind: str, listed: Listed[Any]) -> bool:
        """Make ``listed`` the list of now; True: it is another than before."""
        history, was = self._histories[kind], self._histories[kind].now
        if listed.revision == was.revision:
            return False
        changes = await asyncio.to_thread(touched, listed.entries, was.entries)
        history.step(listed, changes, self._clock())
        return True

    # --- answers ----------------------------------------------------------------------------------

    async def _answer(self, question: Question) -> Answer:
        answer: Callable[[], Awaitable[Answer]]
        takes: tuple[str, ...] = ("GET", "HEAD")
        match question.below(self.settings.path):
            case (kind,) if kind in _LISTS:
                answer = partial(self._list, question, kind)
            case ("subscribers", subscriber) if 0 < len(subscriber) <= 128:
                answer = partial(self._one, question, subscriber)
            case ("report",):
                answer, takes = partial(self._heard, question), ("POST",)
            case ("events",):
                answer, takes = partial(self._pass_on, question), ("POST",)
            case _:
                return plain(404, Asked.REFUSED)
        return await answer() if question.method in takes else not_taken(*takes)

    async def _list(self, question: Question, kind: str) -> Answer:
        earlier = question.asked("since")
        asked = Asked.CHANGES if earlier else Asked.LIST
        headers: dict[str, str] = {}
        if kind == "sessions" and self._online.offered is False:
            body = Body.of(feed.unlisted(kind))
            return self._signed(question, asked, body, {"Cache-Control": "no-store", "ETag": _NO_LIST}, status=404)
        if kind == "subscribers" and question.wait and earlier:
            # said of an answer that came at once too: without it an edge takes us for one that never waits
            headers["Preference-Applied"] = f"wait={question.wait}"
            has = {"subscribers": earlier, "keys": question.asked("keys")}
            if all(has[each] in {"", self._histories[each].now.revision} for each in has):
                await self._wait(question.wait)
        listed = self._histories[kind].now
        if not listed.revision:
            return plain(503, asked, retry_after=_LATER_S)
        headers["Cache-Control"] = self._cached(kind) if not question.wait else "no-store"
        if not earlier:
            return await self._pages(question, kind, headers)
        headers |= listed.fields
        read_at = self._read_at(kind)  # before any wait: the list may be another after it
        difference = await self._difference(kind, earlier)
        if difference is None:
            return plain(410, asked)
        return self._signed(question, asked, difference, headers, read_at=read_at)

    async def _pages(self, question: Question, kind: str, headers: dict[str, str]) -> Answer:
        """A page of the list of now, or of the earlier one that the asker has begun to read."""
        listed, begun = self._histories[kind].now, self._begun[kind]
        name, number = question.asked("revision"), question.page
        if not number:
            return plain(400, Asked.LIST)
        if question.method == "GET" and number == 1 and not name:
            at = asyncio.get_running_loop().time()
            listed = begun.begin(listed, at, fresh="if-none-match" in question.fields)
        listed = begun.get(name) or listed
        headers |= listed.fields
        read_at = min(self._read_at(kind), self._histories[kind].superseded_at(listed.revision) or math.inf)
        # beyond the last every page is the same, and made once
        number = min(number, len(listed.entries) // feed.PAGE + 2)
        body = await self._shelf.body((kind, str(number), listed.revision), listed.page, kind, number)
        return self._signed(question, Asked.LIST, body, headers, read_at=read_at)

    def _read_at(self, kind: str) -> float:
        """When billing last confirmed the list of now, which may have been overtaken already, epoch seconds."""
        if self._seen is not None and self._seen[0] is self._billing.in_force:
            self._seen_at = self._billing.current_at
        return self._lines_at if kind == "sessions" else self._seen_at

    async def _difference(self, kind: str, earlier: str) -> Body | None:
        """What those who were touched since revision ``earlier`` are now; None: not known, or nearly all were."""
        history, now = self._histories[kind], self._histories[kind].now
        name = (kind, "since", earlier, now.revision)
        # after a large change every edge asks the same at once: those who come second look nothing up
        if (there := await self._shelf.there(name)) is not None:
            return there
        ids = history.since(earlier)
        if ids is None:
            return None
        if len(ids) > _FEW:
            return await self._shelf.body(name, difference, kind, ids, history.copied().get, now)
        return self._shelf.keep(name, Body.of(difference(kind, ids, history.get, now)))

    async def _one(self, question: Question, subscriber: str) -> Answer:
        try:
            state = await self._asking.state(subscriber)
        except UpstreamError:
            return plain(503, Asked.ONE, retry_after=_LATER_S)
        listed = self._listed(subscriber)
        headers = {"Cache-Control": "no-store", "ETag": f'W/"{self._histories["subscribers"].now.revision}"'}
        if listed is not None and state is not None:
            return self._signed(question, Asked.ONE, Body.of(feed.one(listed)), headers)
        if state is None:
            return self._signed(question, Asked.ONE, Body.of(feed.unknown(subscriber)), headers, status=404)
        # a word that blocks and that the guard has not let through is not in force here either
        return self._signed(question, Asked.ONE, Body.of(feed.active(subscriber)), headers)

    def _listed(self, subscriber: str) -> Subscriber | None:
        """Whom the list in force names; it may be newer than the one that is served."""
        good, history = self._billing.in_force, self._histories["subscribers"]
        if good is None or (self._seen is not None and self._seen[0] is good):
            return history.get(subscriber)
        return next((one for one in good.subscribers if one.id == subscriber), None)

    def _signed(
        self, question: Question, asked: Asked, body: Body, headers: dict[str, str], *,
        status: int = 200, read_at: float | None = None,
    ) -> Answer:  # fmt: skip
        """``read_at``: when billing has confirmed it, epoch seconds; None: in this moment."""
        created = int(self._clock())
        confirmed = created if read_at is None else int(read_at)
        tag = headers.get("ETag", "")
        stated, signature = self._signer.sign(
            question.path, question.query, tag, body.digest, read_at=confirmed, created=created
        )
        headers |= {
            signing.DIGEST: body.digest,
            signing.READ_AT: str(confirmed),
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

    # --- what edges tell --------------------------------------------------------------------------

    async def _heard(self, question: Question) -> Answer:
        return plain(self.reports.hear(question.body, self._reported), Asked.REPORT)

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
