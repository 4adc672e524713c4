# SPDX-License-Identifier: Apache-2.0
"""Calls of the Splynx API 2.0, logged in, counted and read whole. Dials out; bounded in time, size and attempts.

The address of a renewal holds the refresh token: no address is ever part of a log line or an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from edged.billing.client import BillingClient, Reply
from edged.billing.paging import parse_json
from edged.billing.reading import Progress, silent
from edged.billing.splynx.login import (
    TOKENS,
    Nonce,
    Remedy,
    Token,
    error_code,
    is_refusal,
    login_body,
    read_token,
    remedy,
    why,
)
from edged.billing.splynx.needs import Need, missing, need_of
from edged.billing.splynx.query import Asked
from edged.billing.splynx.rows import ListChangedError, Rows
from edged.errors import UpstreamError
from edged.values import Secret

R = TypeVar("R", bound=Rows)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one reading may cost."""

    request: float = 60.0
    """Seconds for one page."""
    reading: float = 600.0
    """Seconds for one full reading."""
    page: int = 2000
    """Rows asked for at once; a server that gives fewer is asked again."""
    page_octets: int = 64 * 1024 * 1024
    pages: int = 10_000
    """Of one collection."""
    restarts: int = 3
    """How often a list that changes while it is read is begun again."""
    logins: int = 6
    """Tokens given within a minute: one that never lasts is a fault somewhere, not a reason to hammer."""
    changed: int = 100
    """Customers that are read one by one; when more have changed, everything is read."""
    parting: float = 3.0
    """Seconds for the log-out."""


BOUNDS = Bounds()

_NONCE = Nonce()
"""One for the process: the nonces of a key never go backwards."""
_MINUTE = 60.0


class RefusedError(UpstreamError):
    """The key may not ask this."""

    def __init__(self, name: str, need: Need, reason: str) -> None:
        self.need = need
        super().__init__(f"{name}: {missing([need])} ({reason})")


class SplynxClient:
    """One Splynx, one API key."""

    def __init__(
        self,
        url: str,
        key: Secret,
        secret: Secret,
        *,
        bounds: Bounds,
        authority: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self.name = urlsplit(url).hostname or url
        self._base = f"{url.rstrip('/').removesuffix('/api/2.0')}/api/2.0"
        self._key = key
        self._secret = secret
        self._bounds = bounds
        self._clock = clock
        self._client = BillingClient(self.name, seconds=bounds.request, octets=bounds.page_octets, authority=authority)
        self._lock = asyncio.Lock()
        """Guards what follows: many ask, one logs in."""
        self._token: Token | None = None
        self._renew_at = 0.0
        self._logins: deque[float] = deque()

    async def get(self, path: str, query: str = "") -> Reply:
        """The reply to a GET: 200, or 404 where the last part of ``path`` is unknown. UpstreamError, RefusedError."""
        return await self._call("GET", path, query)

    async def count(self, asked: Asked) -> int:
        """How many rows there are now, by HEAD. UpstreamError, RefusedError."""
        reply = await self._call("HEAD", asked.path, asked.count())
        said = reply.header("X-total-count")
        if reply.status == 404 or not (said.isascii() and said.isdigit() and len(said) <= 12):
            raise UpstreamError(f"{self.name}: no count of {need_of(asked.path).tick} came (header X-total-count)")
        return int(said)

    async def page(self, asked: Asked, query: str, rows: Rows) -> int:
        """One page into ``rows``; how many rows it had. UpstreamError, RefusedError, ListChangedError."""
        reply = await self.get(asked.path, query)
        if reply.status != 200:
            raise UpstreamError(f"{self.name}: {rows.what}: answered {reply.status}")
        try:
            return await asyncio.to_thread(_take, reply.octets, asked, rows)
        except ListChangedError:
            raise
        except UpstreamError as error:
            raise UpstreamError(f"{self.name}: {error}") from None

    async def whole(self, parts: Sequence[Asked], begin: Callable[[], R], told: Progress = silent) -> R:
        """All rows of ``parts``, which together are one list: counted before and after, each id once.

        UpstreamError, RefusedError; also when the list changes during every attempt.
        """
        what = begin().what
        for _ in range(self._bounds.restarts):
            rows = begin()
            with contextlib.suppress(ListChangedError):
                before = [await self.count(asked) for asked in parts]
                for asked, count in zip(parts, before, strict=True):
                    await self._pages(asked, count, rows, sum(before), told)
                if [await self.count(asked) for asked in parts] == before:
                    return rows
        raise UpstreamError(f"{self.name}: {what} changed during each of {self._bounds.restarts} attempts to read them")

    async def close(self) -> None:
        """Log out, as far as that goes quickly, and close the connections."""
        token, self._token = self._token, None
        try:
            if token is not None:
                with contextlib.suppress(UpstreamError, TimeoutError):
                    async with asyncio.timeout(self._bounds.parting):
                        await self._client.request("DELETE", self._of(token), headers={"Authorization": token.header})
        finally:
            await self._client.close()

    async def _pages(self, asked: Asked, count: int, rows: Rows, total: int, told: Progress) -> None:
        offset = 0
        for _ in range(self._bounds.pages):
            if offset >= count:
                break
            came = await self.page(asked, asked.page(limit=self._bounds.page, offset=offset), rows)
            if not came:
                break
            offset += came
            told(rows.what, rows.count, total)
        if offset != count:
            raise ListChangedError(f"{rows.what}: {count} were counted, {offset} came")

    async def _call(self, method: str, path: str, query: str) -> Reply:
        address = f"{self._base}/{path}{f'?{query}' if query else ''}"
        tried: set[Remedy] = set()
        while True:
            token = await self._valid()
            headers = {"Accept": "application/json", "Authorization": token.header}
            reply = await self._client.request(method, address, headers=headers)
            if method == "HEAD" and 400 <= reply.status < 500:
                # no body, no code: the same asked by GET says why
                same = f"{address}{'&' if query else '?'}limit=1"
                said = await self._client.request("GET", same, headers=headers)
                reply = said if said.status >= 400 else reply
            if reply.status in {200, 204, 404}:
                return reply
            code = error_code(reply.octets)
            cure = remedy(reply.status, code)
            if cure is Remedy.RENEW and cure in tried:
                cure = Remedy.ANEW
            if cure is Remedy.NONE or cure in tried:
                reason = why(reply.status, code)
                if is_refusal(reply.status, code):
                    raise RefusedError(self.name, need_of(path), reason)
                raise UpstreamError(f"{self.name}: {need_of(path).tick}: {reason}")
            tried.add(cure)
            await self._replace(token, anew=cure is Remedy.ANEW)

    async def _valid(self) -> Token:
        """A token that is good for a while yet."""
        async with self._lock:
            if self._token is None:
                await self._login()
            elif time.monotonic() >= self._renew_at:
                await self._renew(self._token)
            if self._token is None:
                raise UpstreamError(f"{self.name}: not logged in")
            return self._token

    async def _replace(self, token: Token, *, anew: bool) -> None:
        """Another token instead of ``token``, unless somebody has got one meanwhile."""
        async with self._lock:
            if self._token is token:
                await (self._login() if anew else self._renew(token))

    async def _renew(self, token: Token) -> None:
        reply = await self._client.request("GET", self._of(token), headers={"Accept": "application/json"})
        if reply.status == 200:
            self._hold(reply)
        elif reply.status >= 500:
            raise UpstreamError(f"{self.name}: renewing the token was answered {reply.status}")
        else:
            # expired, banned, unknown, bound to another address: whatever it is, the key opens anew
            await self._login()

    async def _login(self) -> None:
        self._token = None
        now = time.monotonic()
        while self._logins and self._logins[0] <= now - _MINUTE:
            self._logins.popleft()
        if len(self._logins) >= self._bounds.logins:
            raise UpstreamError(
                f"{self.name}: {len(self._logins)} log-ins within a minute, and no token lasts: every request of this"
                " edge must leave from one address"
            )
        body = login_body(self._key, self._secret, _NONCE.next(self._clock()))
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        reply = await self._client.request("POST", f"{self._base}/{TOKENS}", headers=headers, body=body)
        if reply.status not in {200, 201}:
            raise UpstreamError(f"{self.name}: {why(reply.status, error_code(reply.octets), login=True)}")
        self._hold(reply)
        # only a token that was given can have failed to last: what keeps it from coming is said as it is
        self._logins.append(now)

    def _hold(self, reply: Reply) -> None:
        try:
            token = read_token(reply.octets, now=self._clock(), date=reply.header("Date"))
        except UpstreamError as error:
            raise UpstreamError(f"{self.name}: {error}") from None
        self._token, self._renew_at = token, time.monotonic() + token.rest

    def _of(self, token: Token) -> str:
        return f"{self._base}/{TOKENS}/{quote(token.refresh.reveal_text(), safe='')}"


def _take(octets: bytes, asked: Asked, rows: Rows) -> int:
    return rows.add(parse_json(octets), asked)
