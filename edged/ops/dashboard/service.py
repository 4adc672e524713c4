# SPDX-License-Identifier: Apache-2.0
"""The dashboard over HTTP: who may read, what is gathered, which document goes out. It changes nothing. I/O.

RFC 9110 sections 15.5.2 and 15.5.20 (401, 421), RFC 6750 section 3 (WWW-Authenticate).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edged.errors import ConfigError, UpstreamError
from edged.ops.answers import Answers
from edged.ops.control import Refused
from edged.ops.dashboard.facts import Known, WiFi, answer_facts, page_facts
from edged.ops.dashboard.gate import COOKIE, COOKIE_S, Asked, Verdict, cookie_of, fits, judge
from edged.ops.dashboard.lists import LISTS, Kind, Listing, Material, as_csv, cell, selected
from edged.ops.dashboard.mask import BARE, Mask
from edged.ops.dashboard.pages import PRIVATE, TEMPLATE_NAMES, Documents, Query
from edged.ops.record.recorder import Recorder
from edged.ops.text import moment
from edged.values import Endpoint, Secret
from edged.webserver import unversioned

if TYPE_CHECKING:
    from edged.ops.rooms import House

FRESH_S = 2.0
"""What was gathered serves everybody for so long: ten screens cost as much as one."""
ROWS = 100
"""Of one page of a list."""
_BUILT_AT_ONCE = 2
"""Lists; more wait."""
_ASKED_AT_ONCE = 4
"""Look-ups: each may ask every target."""
_SENT_AT_ONCE = 4
"""Whole lists: some 10 MB each until the reader has taken it."""
_PIECE = 64 * 1024
"""Octets that are handed on before the reader must have taken some."""
_PARTS = 40
"""Of 500 devices each."""
_PLAIN = frozenset({"/metrics", "/status"})
"""They name no subscriber in a place of their own, and were there before the dashboard."""
_FILTERS = frozenset({
    "reason", "by", "from", "to", "state", "network", "site", "client", "kind", "decided by", "target", "version",
    "source",
})  # fmt: skip
FOREIGN = "Ask for this by its IP address or as localhost, or set ops.token: docs/dashboard.md, behind a proxy.\n"
CLOSED = "The dashboard names subscribers, and others reach ops.listen: set ops.token. docs/dashboard.md\n"
UNKNOWN = "Authorization: Bearer TOKEN, with the token of ops.token\n"


class Dashboard:
    """Everything on the ops address but figures for machines, and the one gate before all of it."""

    def __init__(self, house: House, recorder: Recorder, answers: Answers) -> None:
        self._house = house
        self._recorder = recorder
        self._answers = answers
        templates = files("edged.ops.dashboard") / "templates"
        self._documents = Documents({name: (templates / name).read_text("utf-8") for name in TEMPLATE_NAMES})
        self._mask_key = secrets.token_bytes(16)
        self._gathering = asyncio.Lock()
        self._building = asyncio.Semaphore(_BUILT_AT_ONCE)
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._sending = 0
        self._known: Known | None = None

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [
            web.get("/", self._serve_page),
            web.get("/list/{name:[a-z]+}", self._serve_list),
            web.get("/list/{name:[a-z]+}.csv", self._serve_csv),
            web.post("/login", self._log_in),
            web.post("/logout", self._log_out),
        ]

    # --- the gate --------------------------------------------------------------------------------

    @property
    def _token(self) -> Secret | None:
        return self._house.loaded.config.ops.token

    def gate(self, listen: Endpoint) -> Middleware:
        """The middleware before everything at ``listen``; ``/healthz`` and the log-in form are open."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path in {"/healthz", "/login"}:
                return await handler(request)
            asked = Asked(
                request.headers.get("Host", ""),
                request.headers.get("Authorization", ""),
                request.cookies.get(COOKIE, ""),
            )
            match judge(asked, listen, self._token, time.time(), names=request.path not in _PLAIN):
                case Verdict.ADMITTED:
                    return await handler(request)
                case Verdict.UNKNOWN:
                    return self._unknown(request)
                case Verdict.FOREIGN:
                    return _said(421, FOREIGN)
                case Verdict.CLOSED:
                    return _said(403, CLOSED)

        return gate

    def _unknown(self, request: web.Request) -> web.Response:
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return self._document("login.html", {"wrong": False}, status=401)
        refusal = _said(401, UNKNOWN)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal

    async def _log_in(self, request: web.Request) -> web.Response:
        token, form = self._token, await request.post()
        if token is None:
            raise web.HTTPNotFound
        if not fits(str(form.get("token", "")), token):
            return self._document("login.html", {"wrong": True}, status=401)
        answer = _elsewhere("/")
        answer.set_cookie(COOKIE, cookie_of(token, time.time()), max_age=COOKIE_S, httponly=True, samesite="Strict")
        return answer

    async def _log_out(self, _request: web.Request) -> web.Response:
        answer = _elsewhere("/")
        answer.del_cookie(COOKIE, httponly=True, samesite="Strict")
        return answer

    # --- the page --------------------------------------------------------------------------------

    async def _serve_page(self, request: web.Request) -> web.Response:
        query, subject = _query(request), request.query.get("ask", "").strip()[:256]
        mask = self._mask(masked=query.masked)
        known = await self._gathered()
        answer = await self._explained(subject, mask, masked=query.masked) if subject else None
        shown = "" if query.masked else subject

        def document() -> web.Response:
            facts = page_facts(known, mask, masked=query.masked)
            more = {"asked": shown, "answer": answer, "guarded": self._token is not None}
            return self._document("main.html", facts | more, query)

        return await asyncio.to_thread(document)

    async def _explained(self, subject: str, mask: Mask, *, masked: bool) -> dict[str, Any]:
        """By the code of ``edged explain``; what it refuses is its sentence."""
        first, _, name = subject.partition(" ")
        request = {"subject": first, "name": name.strip()} if _is_pair(name) else {"subject": subject}
        try:
            async with self._asking:
                facts = await self._answers.explain(request)
        except Refused as refusal:
            facts = {"headline": str(refusal)}
        except (ConfigError, UpstreamError, ValueError) as error:
            facts = {"headline": f"this cannot be answered: {error}"}
        return answer_facts(facts, mask, masked=masked)

    async def _gathered(self) -> Known:
        async with self._gathering:
            known = self._known
            if known is None or not 0 <= time.time() - known.now < FRESH_S:
                status = await self._answers.status_facts()
                wifi = await self._wifi()
                known = self._known = Known(
                    status,
                    self._recorder.snapshot(),
                    tuple(self._recorder.changes),
                    wifi,
                    time.time(),
                    {name: len(self._recorder.held_back(name)) for name in self._house.enforce.status()},
                    self._recorder.stopped,
                )
        return known

    async def _wifi(self) -> WiFi | None:
        house, settings = self._house, self._house.loaded.config.radius
        if house.radius is None or not (settings.auth or settings.tls):
            return None
        counters, refused, strangers = house.mpsk.counters, house.mpsk.rejected(), house.radius.arrivals()
        try:
            devices = await house.sessions.count_wireless() if settings.acct else None
        except UpstreamError:
            devices = None
        rejects = sorted(((str(r), n) for r, n in counters.rejects.items() if n), key=lambda pair: -pair[1])
        return WiFi(
            devices=devices,
            keys=counters.keys,
            keys_used=sum(map(bool, house.mpsk.ring.devices.values())),
            accepts=counters.accepts,
            rejects=tuple(rejects),
            refused=(refused[0][0], refused[0][1].at) if refused else None,
            refused_count=len(refused),
            strangers=len(strangers),
            stranger=(str(strangers[0].address), strangers[0].last_seen) if strangers else None,
            clients=tuple(client.name for client in settings.clients),
        )

    # --- the lists -------------------------------------------------------------------------------

    async def _serve_list(self, request: web.Request) -> web.Response:
        listing, query = _listing(request), _query(request)
        mask, wanted = self._mask(masked=query.masked), _filters(request, listing)
        rows = await self._rows(request, listing, wanted)
        # who asks for a page behind the last gets the last
        query = replace(query, page=max(1, min(query.page, -(-len(rows) // ROWS))))
        first = (query.page - 1) * ROWS

        def document() -> web.Response:
            shown = [
                [
                    (_head(column, masked=query.masked), cell(value, column.kind, mask, masked=query.masked))
                    for column, value in zip(listing.columns, row, strict=True)
                ]
                for row in rows[first : first + ROWS]
            ]
            facts = {
                "name": request.match_info["name"], "title": listing.title,
                "nothing": "Nothing fits that filter." if wanted else listing.nothing,
                "note": listing.note, "site": self._house.loaded.config.site, "at": moment(time.time()),
                "columns": listing.columns, "rows": shown, "wanted": wanted, "total": f"{len(rows):,}",
                "first": f"{first + 1:,}", "last": f"{first + len(shown):,}", "more": len(rows) > first + ROWS,
            }  # fmt: skip
            return self._document("list.html", facts, query)

        return await asyncio.to_thread(document)

    async def _serve_csv(self, request: web.Request) -> web.StreamResponse:
        listing, query = _listing(request), _query(request)
        mask = self._mask(masked=query.masked)
        if self._sending >= _SENT_AT_ONCE:
            return _said(503, "Others are taking whole lists: ask again in a moment.\n")
        self._sending += 1
        try:
            octets = await self._csv(request, listing, mask, masked=query.masked)
            name = f"{self._house.loaded.config.site}-{request.match_info['name']}.csv"
            fields = {"Content-Disposition": f'attachment; filename="{name}"', **PRIVATE}
            answer = web.StreamResponse(
                headers={**fields, "Content-Type": "text/csv; charset=utf-8", "Server": "edged"}
            )
            answer.content_length = len(octets)
            await answer.prepare(request)
            for at in range(0, len(octets) if request.method == "GET" else 0, _PIECE):
                await answer.write(octets[at : at + _PIECE])
            return answer
        finally:
            self._sending -= 1

    async def _csv(self, request: web.Request, listing: Listing, mask: Mask, *, masked: bool) -> bytes:
        """The rows go as soon as they are written: a slow reader holds the octets alone."""
        rows = await self._rows(request, listing, _filters(request, listing))
        return await asyncio.to_thread(lambda: as_csv(listing, rows, mask, masked=masked).encode())

    async def _rows(self, request: web.Request, listing: Listing, wanted: dict[str, str]) -> list[tuple[Any, ...]]:
        async with self._building:
            devices = await self._devices() if request.match_info["name"] == "devices" else ()
            material = Material(
                self._house, time.time(), self._recorder.snapshot(), tuple(self._recorder.changes), tuple(devices)
            )
            # in a thread: to decide of 100,000 subscribers takes a third of a second
            return await asyncio.to_thread(lambda: selected(listing, listing.rows(material), wanted))

    async def _devices(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        for _ in range(_PARTS):
            part = await self._answers.devices({"online": True, "after": after})
            found += part["devices"]
            after = part["next"]
            if after is None:
                break
        return found

    # --- what all of it needs --------------------------------------------------------------------

    def _mask(self, *, masked: bool) -> Mask:
        if not masked:
            return BARE
        view, ring = self._house.current.view, self._house.mpsk.ring
        keys = frozenset(name.id for name in ring.keys)
        known = (view.table.subscribers, view.table.logins, view.learned.overrides, keys)
        return Mask(self._mask_key, lambda word: any(word in names for names in known))

    def _document(
        self, name: str, facts: dict[str, Any], query: Query | None = None, *, status: int = 200
    ) -> web.Response:
        body = self._documents.render(name, facts, query)
        return unversioned(web.Response(body=body, status=status, headers=self._documents.headers))


def _is_pair(name: str) -> bool:
    """True when what follows the first word is a host name, as ``edged explain`` takes one."""
    return "." in name and " " not in name.strip()


def _query(request: web.Request) -> Query:
    page = request.query.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    return Query(masked="mask" in request.query, wall="wall" in request.query, page=max(1, number))


def _listing(request: web.Request) -> Listing:
    listing = LISTS.get(request.match_info["name"])
    if listing is None:
        raise web.HTTPNotFound
    return listing


def _filters(request: web.Request, listing: Listing) -> dict[str, str]:
    names = _FILTERS & {column.name for column in listing.columns}
    return {name: request.query[name] for name in sorted(names) if name in request.query}


def _head(column: Any, *, masked: bool) -> dict[str, Any]:
    filters = column.name in _FILTERS and not (masked and column.kind is Kind.SECRET)
    return {"name": column.name, "kind": column.kind, "filter": filters}


def _said(status: int, sentence: str) -> web.Response:
    return unversioned(web.Response(text=sentence, status=status, headers=PRIVATE))


def _elsewhere(path: str) -> web.Response:
    return unversioned(web.Response(status=303, headers={"Location": path, **PRIVATE}))
