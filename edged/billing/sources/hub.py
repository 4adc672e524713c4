# SPDX-License-Identifier: Apache-2.0
"""A hub of ours: the open feed whose answers are signed (RFC 9421), and wait for a change (RFC 7240). Dials out.

Nothing unsigned is believed, nothing older than what was heard before, and no 404 that does not say so itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from edged.billing.client import Reply, StatusError
from edged.billing.lists import merged
from edged.billing.mapping import Lines, lines_listing
from edged.billing.reading import Progress, Reading, silent
from edged.billing.settings import BillingSettings
from edged.billing.signing import verify
from edged.billing.sources.rest import BOUNDS, NO_SINCE, Bounds, RestSource
from edged.errors import UpstreamError
from edged.model import OnlineSession
from edged.values import Secret

_WAIT_S = 25
"""Seconds that the hub may keep a question for changes; most proxies give up after thirty or more."""
_BACK_S = 120
"""Seconds by which an answer may be older than one before: caches, and a second hub that reads at its own times."""
_AHEAD_S = 300
"""Seconds by which the hub's clock may be ahead of ours."""
_ONLINE_S = 300
"""Seconds after which nobody is online on the hub's word: its billing was asked every minute."""
_KINDS = ("subscribers", "keys")


@dataclass(frozen=True, slots=True)
class Online:
    """Who is online, and what asks for what has changed since."""

    lines: tuple[Lines, ...]
    revision: str
    etag: str


class HubSource(RestSource):
    """``source: hub``."""

    _counts_again = False  # pages bear one revision, signed, and add up to its total

    def __init__(
        self,
        url: str,
        key: Secret | None,
        *,
        publics: tuple[bytes, ...],
        bounds: Bounds = BOUNDS,
        authority: Path | None = None,
        clock: Callable[[], float] = time.time,
        wait: int = _WAIT_S,
    ) -> None:
        super().__init__(url, key, bounds=bounds, authority=authority, clock=clock)
        self.waits = True  # until an answer shows that it does not
        self._root = urlsplit(self._base).path
        self._publics = publics
        self._wait = wait
        self._newest = {"lists": 0, "sessions": 0, "one": 0}
        """When billing confirmed the newest answer so far to the hub, epoch seconds. A word on one subscriber is of the
        moment, and makes no list older."""
        self._online: Online | None = None
        """Who was online at the latest look."""
        self._answered = True
        """The latest question had an answer: one that comes after silence is wanted at once, changed or not."""
        self._asking: asyncio.Task[Reply] | None = None
        """The question that waits for a change."""
        self._whole: Reading | None = None
        """Both lists exactly as the hub has them: without the answers about single subscribers."""

    @classmethod
    def of(cls, settings: BillingSettings) -> HubSource:
        """The source of ``billing.url``, believed where a key of ``billing.signed_by`` has signed."""
        key = settings.secret or settings.key
        return cls(settings.url or "", key, publics=settings.signed_by, authority=settings.ca)

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        """Both lists, or what changed since ``previous``, perhaps after a wait for it. UpstreamError.

        Without ``previous`` the hub is asked by the revision that it gave last, and a 304 stands for that list.
        """
        whole = self._whole
        if previous is None:
            lists = await self._lists(_tags(whole), told)
            read = await self._merged(whole, *lists)
            if read is None and whole is not None:
                read_at = whole.snapshot.read_at if self.confirmed_at is None else self.confirmed_at
                read = replace(whole, snapshot=replace(whole.snapshot, read_at=read_at))
            self._whole = read
            return read
        lists = await self._lists(dict(previous.marks), told)
        read = await self._merged(previous, *lists)
        if whole is None or _revisions(whole) != _revisions(previous):
            self._whole = None  # read whole the next time
        elif whole.snapshot is previous.snapshot:
            self._whole = read or whole
        else:
            self._whole = await self._merged(whole, *lists) or whole
        return read

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """Who of the hub's subscribers is online, and where; None: the hub's billing does not say. UpstreamError."""
        before = self._online
        marks = {"sessions.revision": before.revision, "sessions.etag": before.etag} if before is not None else {}
        try:
            async with asyncio.timeout(self._bounds.reading):
                read = await self._changes("sessions", lines_listing, marks, silent)
        except TimeoutError:
            raise UpstreamError(f"{self.name}: no whole list within {self._bounds.reading:.0f} s") from None
        except StatusError as error:
            if error.status != 404:
                raise
            self._online = None
            return None
        age = self._clock() - self._newest["sessions"]
        if age > _ONLINE_S:
            raise UpstreamError(f"{self.name} has not heard who is online for {age:,.0f} s")
        lines = merged(before.lines if before is not None else (), read, _offline)
        if read is not None:
            self._online = Online(lines, read.revision, read.etag)
        return tuple(OnlineSession("", each.addresses, each.since, each.id) for each in lines)

    def remember(self, read_at: float) -> None:
        """Believe nothing that is older than the list from before the start; a clock that was ahead then is not."""
        self._newest["lists"] = int(min(read_at, self._clock()))

    def hurry(self) -> None:
        """Ask again at once in place of the question that waits."""
        if self._asking is not None:
            self._asking.cancel()

    async def _request(self, method: str, address: str, *, etag: str = "", prefer: str = "") -> Reply:
        waits = not prefer and method == "GET" and _may_wait(address) and self._wait > 0 and self._answered
        try:
            reply = await self._believed(method, address, etag=etag, prefer=prefer, waits=waits)
        except UpstreamError:
            self._answered = False
            raise
        self._answered = reply.status < 500
        return reply

    async def _believed(self, method: str, address: str, *, etag: str, prefer: str, waits: bool) -> Reply:
        if waits:
            reply = await self._waited(method, address, etag)
        else:
            reply = await super()._request(method, address, etag=etag, prefer=prefer)
        of_one = reply.path.startswith(f"{self._root}/subscribers/")
        of_sessions = reply.path == f"{self._root}/sessions"
        changes = "since=" in reply.query
        if reply.status == 404 and not of_one and not of_sessions and not changes:
            raise UpstreamError(f"{self.name} has no such list (404); billing.url is the hub's base")
        if changes and reply.status in NO_SINCE and not (of_sessions and reply.status == 404):
            # every hub knows changes: what stands before it, or poses as it, must not end the waiting for them
            raise UpstreamError(f"{self.name} answered {reply.status} to a question for changes")
        if reply.status == 404 and of_sessions and _said(reply) != {"list": "sessions", "state": "unknown"}:
            raise UpstreamError(f"{self.name}: a 404 whose body does not say that nobody knows who is online")
        if reply.status in {200, 304} or (reply.status == 404 and (of_one or of_sessions)):
            self._believe(reply, None if method == "HEAD" or reply.status == 304 else reply.octets, of_one=of_one)
        if reply.status == 304 and reply.header("ETag") != etag:
            raise UpstreamError(f"{self.name}: a 304 is of another list than the one that was asked for")
        return reply

    def _since(self, kind: str, marks: dict[str, str]) -> dict[str, str]:
        """The question that may wait says which keys are here: others are as good a reason to answer."""
        asked = super()._since(kind, marks)
        keys = marks.get("keys.revision", "") if kind == "subscribers" else ""
        return asked | ({"keys": keys} if keys else {})

    async def _waited(self, method: str, address: str, etag: str) -> Reply:
        """The answer to a question that may wait for a change, cut short by ``hurry``."""
        asking = self._asking = asyncio.create_task(
            super()._request(method, address, etag=etag, prefer=f"wait={self._wait}")
        )
        try:
            reply = await asking
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            return await super()._request(method, address, etag=etag)
        finally:
            self._asking = None
        if reply.status == 200:
            self.waits = reply.header("Preference-Applied").startswith("wait")
        return reply

    def _believe(self, reply: Reply, body: bytes | None, *, of_one: bool) -> None:
        """Take the time of a signed answer. UpstreamError unless it is signed, and neither old nor ahead."""
        try:
            read_at = verify(self._publics, reply.path, reply.query, reply.headers, body)
        except UpstreamError as error:
            raise UpstreamError(f"{self.name}: {error}") from None
        kind = "one" if of_one else "sessions" if reply.path == f"{self._root}/sessions" else "lists"
        old = max(self._newest[kind], self._newest["lists"] if of_one else 0) - read_at
        if old > _BACK_S:
            raise UpstreamError(f"{self.name}: the answer is {old:,} s older than one before: a cache, or a replay")
        ahead = read_at - self._clock()
        if ahead > _AHEAD_S:
            raise UpstreamError(f"{self.name}: the answer is {ahead:,.0f} s in the future: set both clocks by NTP")
        self._newest[kind] = max(self._newest[kind], read_at)
        if not of_one and reply.path == f"{self._root}/subscribers":
            self.confirmed_at = float(read_at)

    def _knows_none(self, reply: Reply, subscriber: str) -> bool:
        """The status is not signed: the body says so itself."""
        if _said(reply) != {"id": subscriber, "state": "unknown"}:
            raise UpstreamError(f"{self.name}: a 404 whose body does not say that this subscriber is unknown")
        return True


def _said(reply: Reply) -> object:
    """The JSON of a body; None: it is none."""
    try:
        return json.loads(reply.octets)
    except (ValueError, RecursionError):
        return None


def _offline(_subscriber: str) -> None:
    """What ``removed`` says of a session: it is no more."""


def _may_wait(address: str) -> bool:
    """Changes of subscribers are waited for; those of keys, asked for next, end the same wait."""
    parts = urlsplit(address)
    return parts.path.endswith("/subscribers") and parts.query.startswith("since=") and "page=" not in parts.query


def _revisions(reading: Reading) -> list[str]:
    return [reading.marks.get(f"{kind}.revision", "") for kind in _KINDS]


def _tags(whole: Reading | None) -> dict[str, str]:
    """What asks for both lists unless they are still those of ``whole``, which may be made of changes."""
    if whole is None:
        return {}
    revisions = zip(_KINDS, _revisions(whole), strict=True)
    return {f"{kind}.etag": f'W/"{revision}"' for kind, revision in revisions if revision}
