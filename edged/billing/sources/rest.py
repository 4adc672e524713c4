# SPDX-License-Identifier: Apache-2.0
"""The open feed over HTTPS (docs/feed.md) in, a Reading out. Dials out; replies are bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from edged.billing.client import BillingClient, Reply, StatusError
from edged.billing.lists import FeedList, active_again, adds_up, merged, merged_keys
from edged.billing.mapping import Lines, Listing, key_listing, map_subscribers, subscriber_listing
from edged.billing.paging import Page, next_address, parse_json, parse_page
from edged.billing.reading import Direct, Progress, Reading, make_snapshot, silent
from edged.billing.settings import BillingSettings
from edged.errors import UpstreamError
from edged.model import Key, OnlineSession, Subscriber
from edged.values import Secret

T = TypeVar("T", bound=Subscriber | Key | Lines)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one reading may cost."""

    request: float = 60.0
    """Seconds for one page; a report over a whole customer base is slow."""
    reading: float = 600.0
    """Seconds for all pages of one list."""
    page_octets: int = 64 * 1024 * 1024
    octets: int = 256 * 1024 * 1024
    """Half a million subscribers with every field."""
    pages: int = 10_000
    restarts: int = 3
    """How often a list that changes while it is read is begun again."""


BOUNDS = Bounds()

NO_SINCE = frozenset({400, 404, 405, 422, 501})
"""Answers of servers that do not know ``since``."""


class _ListChangedError(UpstreamError):
    """The list changed while it was read; begin again."""


class RestSource(Direct):
    """``source: rest``."""

    every: float | None = None
    _counts_again = True
    """A server is asked once more how many there are: its pages may be of a list that changed between them."""
    trouble = ""
    """Always: what it cannot say fails the reading itself."""

    def __init__(
        self,
        url: str,
        key: Secret | None,
        *,
        bounds: Bounds = BOUNDS,
        authority: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = urlsplit(url).hostname or url
        self._base = url.rstrip("/")
        self._key = key
        self._bounds = bounds
        self._clock = clock
        self._client = BillingClient(self.name, seconds=bounds.request, octets=bounds.page_octets, authority=authority)
        self._last: tuple[Subscriber, ...] = ()
        """Of the latest reading."""
        self._no_since: set[str] = set()
        """Lists whose server has shown that it does not know ``since``."""

    @classmethod
    def of(cls, settings: BillingSettings) -> RestSource:
        """The source of ``billing.url``; the bearer token stands in ``secret`` or in ``key``."""
        return cls(settings.url or "", settings.secret or settings.key, authority=settings.ca)

    async def read(self, previous: Reading | None, told: Progress = silent) -> Reading | None:
        """Both lists; with ``previous``, what changed since, or all where it cannot say. UpstreamError."""
        marks = dict(previous.marks) if previous else {}
        return await self._merged(previous, *await self._lists(marks, told))

    async def _lists(
        self, marks: dict[str, str], told: Progress
    ) -> tuple[FeedList[Subscriber] | None, FeedList[Key] | None]:
        """What changed of both lists since ``marks``; without marks all."""
        try:
            async with asyncio.timeout(self._bounds.reading):
                subscribers = await self._changes("subscribers", lambda: subscriber_listing(self._last), marks, told)
                keys = await self._changes("keys", key_listing, marks, told)
        except TimeoutError:
            raise UpstreamError(f"{self.name}: no whole list within {self._bounds.reading:.0f} s") from None
        return subscribers, keys

    async def _merged(
        self, previous: Reading | None, subscribers: FeedList[Subscriber] | None, keys: FeedList[Key] | None
    ) -> Reading | None:
        """``previous`` with what was read; None: nothing has changed."""
        before = previous.snapshot if previous else None
        marks = dict(previous.marks) if previous else {}
        if keys is not None and not keys.offered and before is not None and before.keys is None:
            keys = None
        if before is not None and subscribers is None and keys is None:
            return None
        now = self._clock()
        known = before.known if before else None
        if subscribers is not None:
            known = subscribers.known if subscribers.removed is None or subscribers.known is not None else known
            marks |= {"subscribers.etag": subscribers.etag, "subscribers.revision": subscribers.revision}
        if keys is not None:
            marks |= {"keys.etag": keys.etag, "keys.revision": keys.revision}
        snapshot = await asyncio.to_thread(
            make_snapshot,
            merged(before.subscribers if before else (), subscribers, active_again),
            merged_keys(before.keys if before else None, keys, now),
            revision=marks.get("subscribers.revision", ""),
            known=known,
            read_at=now if self.confirmed_at is None else self.confirmed_at,
            before=before,
        )
        self._last = snapshot.subscribers
        return Reading(snapshot, marks)

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What billing says of one subscriber now; None: it knows none of that id. UpstreamError."""
        if subscriber in {".", ".."}:  # RFC 3986 section 5.2.4: another resource, however it is escaped
            raise UpstreamError(f"{self.name}: no address can name this subscriber")
        reply = await self._request("GET", f"{self._base}/subscribers/{quote(subscriber, safe='')}")
        if reply.status == 404 and self._knows_none(reply, subscriber):
            return None
        if reply.status != 200:
            raise StatusError(self.name, reply.status)
        one = map_subscribers([parse_json(reply.octets)])[0]
        if one.id != subscriber:
            raise UpstreamError(f"{self.name} was asked for one subscriber and answered with another")
        return one

    def _knows_none(self, _reply: Reply, _subscriber: str) -> bool:
        """True when a 404 says that billing has no such subscriber."""
        return True

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """None: the feed names ``logins``; who is online is for RADIUS accounting to say."""
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _changes(
        self, kind: str, new: Callable[[], Listing[T]], marks: dict[str, str], told: Progress
    ) -> FeedList[T] | None:
        """The changes of one list since ``marks``, or all of it; None: there are none."""
        revision, etag = marks.get(f"{kind}.revision", ""), marks.get(f"{kind}.etag", "")
        if revision and kind not in self._no_since:
            try:
                changes = await self._stable(kind, new, told, query=f"?{urlencode(self._since(kind, marks))}")
            except StatusError as error:
                if error.status not in NO_SINCE | {410}:
                    raise
                if error.status != 410:  # 410: the revision is too old, as the feed says
                    self._no_since.add(kind)
                changes = None
            if changes is not None and changes.removed is None:
                # a full list: the server has ignored the question, and a full list is not a list of changes
                self._no_since.add(kind)
            elif changes is not None and adds_up(changes) and changes.revision:
                unchanged = not changes.entries and not changes.removed
                return None if unchanged and changes.revision == revision else changes
        try:
            return await self._stable(kind, new, told, etag=etag)
        except StatusError as error:
            if kind == "keys" and error.status == 404:
                return FeedList(offered=False)
            raise

    def _since(self, kind: str, marks: dict[str, str]) -> dict[str, str]:
        """What asks for the changes of one list."""
        return {"since": marks[f"{kind}.revision"]}

    async def _stable(
        self, kind: str, new: Callable[[], Listing[T]], told: Progress, *, query: str = "", etag: str = ""
    ) -> FeedList[T] | None:
        """All pages of one revision; None: 304. Begins again when the list changes on the way."""
        for _ in range(self._bounds.restarts):
            try:
                return await self._pages(f"{self._base}/{kind}{query}", kind, new(), told, etag=etag)
            except _ListChangedError:
                continue
        raise UpstreamError(f"{self.name}: {kind} changed during each of {self._bounds.restarts} attempts to read them")

    async def _pages(
        self, address: str, kind: str, listing: Listing[T], told: Progress, *, etag: str
    ) -> FeedList[T] | None:
        first: Page | None = None
        first_etag = ""
        removed: list[str] = []
        visited: set[str] = set()
        octets = 0
        following = address
        while following:
            if following in visited or len(visited) >= self._bounds.pages:
                raise UpstreamError(f"{self.name}: the pages of {kind} do not end")
            visited.add(following)
            reply = await self._request("GET", following, etag=etag if first is None else "")
            if reply.status == 304 and etag and first is None:
                return None
            if reply.status != 200:
                raise StatusError(self.name, reply.status)
            octets += len(reply.octets)
            if octets > self._bounds.octets:
                raise UpstreamError(f"{self.name}: {kind} are larger than {self._bounds.octets >> 20} MiB")
            page = await asyncio.to_thread(_map_page, reply.octets, kind, listing)
            if first is None:
                first, first_etag = page, reply.header("ETag")
            elif (page.revision, page.total) != (first.revision, first.total):
                raise _ListChangedError
            told(kind, listing.count, first.total)
            removed += page.removed or ()
            following = next_address(self._base, following, page.next) if page.next else ""
        if first is None:
            raise UpstreamError(f"{self.name}: {kind} have no page")
        # the tag of the first page speaks for the others only where that page bears the revision of all
        speaks_for_all = first.removed is None and bool(first.revision or len(visited) == 1)
        result = FeedList(
            entries=listing.done(),
            revision=first.revision,
            known=first.known,
            etag=first_etag if speaks_for_all else "",
            removed=None if first.removed is None else tuple(removed),
            total=first.total,
        )
        if result.removed is None:
            await self._check_count(address, kind, result)
        return result

    async def _check_count(self, address: str, kind: str, result: FeedList[T]) -> None:
        """UpstreamError when the objects do not add up to ``total``, or to what HEAD answers afterwards."""
        count = len(result.entries)
        if result.total is not None and result.total != count:
            raise UpstreamError(f"{self.name}: the reading is refused: {kind}: total is {result.total}, {count} came")
        if kind != "subscribers" or "?" in address or not self._counts_again:
            return
        reply = await self._request("HEAD", address)
        said = reply.header("X-Total-Count")
        offered = reply.status == 200 and said.isascii() and said.isdigit()
        # 12 digits: more people than there are
        if offered and int(said[:12]) != count:
            raise _ListChangedError

    async def _request(self, method: str, address: str, *, etag: str = "", prefer: str = "") -> Reply:
        headers = {"Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key.reveal_text()}"
        if etag:
            headers["If-None-Match"] = etag
        if prefer:
            headers["Prefer"] = prefer
        return await self._client.request(method, address, headers=headers)


def _map_page(octets: bytes, kind: str, listing: Listing[T]) -> Page:
    page = parse_page(parse_json(octets), kind)
    listing.add(page.objects)
    # the mapped entries are in the listing; the raw ones need not live as long as the reading
    return replace(page, objects=None)
