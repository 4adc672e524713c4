# SPDX-License-Identifier: Apache-2.0
"""Web requests in, redirects and pages out: the shell of the room. Touches sockets and the clock."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import structlog

from edged.captive.admission import Deadlines
from edged.captive.answers import Answer, Aside, Button, Click, Close, Kind, Page, Press, Response, Topic, plain
from edged.captive.counters import Counters
from edged.captive.doors.service import Doors
from edged.captive.files.service import TlsFiles, read_logos, read_templates
from edged.captive.http.service import Finished, HttpFront, report_fault
from edged.captive.page.content import Desk
from edged.captive.page.pages import Pages
from edged.captive.reception.service import Clerk, Reception, Visit
from edged.captive.reference import find_referenced, is_of_site, make_reference, parse_reference
from edged.captive.reminder import Unopened, later
from edged.captive.respond import Portal, Request, let_through, pressed, respond
from edged.captive.settings import CertificateFiles, PortalSettings
from edged.captive.statement import Purpose, make_link, verify_token
from edged.captive.steered.service import Ways, nobody_to_tell
from edged.errors import ConfigError, UpstreamError
from edged.fdstore import FdStore
from edged.model import Access, Event, EventType, Tell, untold
from edged.policy.access import Decision, Rule, View
from edged.policy.settings import NoticeSettings
from edged.state.current import Current
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

_LINK_LIFE = 30 * 86400.0
"""Seconds a signed link works: from an invoice to the end of its dunning."""
_CERTIFICATE_LOOK = 60.0
"""Seconds between two looks at the certificate's files: ACME clients renew weeks ahead."""
_FORGET_EVERY = 1.0
"""Seconds between two looks at who was freed, at the least: a busy policy changes several times a second."""
_TOLD = frozenset({Access.BLOCKED, Access.NOTICE})
"""The lines whose page billing may be told was opened: those about a debt."""
_OWING = frozenset({Access.BLOCKED, Access.PASS})
"""The lines whose page has buttons: a payment would change something there."""
_UNTOLD = frozenset({Topic.MISSING, Topic.FAULT})
_AT_FAULT = Page(Topic.FAULT, Decision(Access.OPEN, Rule.DEFAULT))


class Endpoints(NamedTuple):
    """Where the room listens."""

    http: tuple[Endpoint, ...] = ()
    https: tuple[Endpoint, ...] = ()


class CaptiveService:
    """The redirector and the portal. Stays closed where the settings name no URL."""

    def __init__(
        self,
        settings: PortalSettings,
        *,
        current: Current,
        link_key: bytes,
        clock: Callable[[], float] = time.time,
        clerk: Clerk | None = None,
        deadlines: Deadlines | None = None,
        tell: Tell = untold,
        site: str = "",
        proofs: Mapping[str, bytes] | None = None,
        fds: FdStore | None = None,
    ) -> None:
        """``proofs`` is what certificate authorities are answered, by path; read at every request.

        ``fds``: sockets that outlive us.
        """
        self.counters = Counters()
        self.endpoints = Endpoints()
        self._current, self._key, self._clock, self._clerk = current, link_key, clock, clerk
        self._tell, self._proofs = tell, {} if proofs is None else proofs
        self.site = site
        """In every reference; a reload may change it."""
        self._reception: Reception | None = None
        if clerk is not None:
            self._reception = Reception(clerk, self._decide, partial(report_fault, self.counters))
        self._deadlines = deadlines or Deadlines()
        self._doors: Doors | None = None
        self._fds = fds
        self._notice = NoticeSettings()
        self._ways, self._unopened = Ways(clerk.set_aside if clerk is not None else nobody_to_tell), Unopened()
        self._settings, self._portal, self._pages, self._tls = self._prepared(settings)

    def _prepared(self, settings: PortalSettings) -> tuple[PortalSettings, Portal, Pages, TlsFiles | None]:
        """All that follows from ``settings``; reads files. ConfigError: nothing has changed."""
        files = settings.certificate
        portal = Portal(
            settings.url or "",
            settings.host,
            self._key,
            frozenset(str(address) for address in settings.addresses),
            settings.brands,
            proofs=self._proofs,
        )
        pages = Pages(settings, read_templates(settings.templates), read_logos(settings), self._key)
        tls = TlsFiles(files, settings.host) if isinstance(files, CertificateFiles) and settings.url else None
        return settings, portal, pages, tls

    async def start(self) -> None:
        """Open the listening sockets. ConfigError: a port, the certificate."""
        if self._settings.url is None:
            log.info("captive-closed", reason="portal.url is not set")
            return
        context = self._tls.load(self._clock(), whenever=True) if self._tls and self._tls.exists() else None
        doors = Doors(self.counters, self._settings.host, self._settings.foreign_tls, self._deadlines, self._fds)
        front = HttpFront(self.counters, doors.crowd, lambda: self._settings.host, self._answer, self._ready)
        front.strange = self._meet_stranger
        doors.protocol, doors.at_once = front.protocol, front.at_once
        doors.faulty = partial(report_fault, self.counters)
        self._doors = doors
        self._serve(context)
        listen = self._settings.listen
        try:
            http = tuple(doors.open(e, f"portal.listen.http[{i}]", tls=False) for i, e in enumerate(listen.http))
            tls = enumerate(listen.https if self._tls else ())
            https = tuple(doors.open(e, f"portal.listen.https[{i}]", tls=True) for i, e in tls)
        except ConfigError:
            await self.stop()
            raise
        if listen.https and context is None:
            log.warning("captive-no-https", reason="there is no certificate")
        self.endpoints = Endpoints(http, https)
        for endpoint in (*http, *https):
            log.info("captive-listening", endpoint=str(endpoint))

    async def run(self) -> None:
        """Work until cancelled."""
        if self._doors is None:
            await asyncio.get_running_loop().create_future()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_certificate(), name="captive-certificate")
            group.create_task(self._forget_freed(), name="captive-forget")

    @property
    def under_way(self) -> int:
        """Visitors who are still to have their answer."""
        return self._doors.under_way if self._doors is not None else 0

    def refrain(self) -> None:
        """Let nobody else in; those inside are served."""
        if self._doors is not None:
            self._doors.refrain()

    async def stop(self) -> None:
        """Close the sockets and every connection; at once."""
        doors, self._doors = self._doors, None
        if doors is not None:
            await doors.close()
        if self._reception is not None:
            self._reception.stop()
        self.endpoints = Endpoints()

    def reconfigure(self, settings: PortalSettings) -> None:
        """Swap texts, looks, certificate and limits; sockets stay. ConfigError: everything stays."""
        prepared = self._prepared(settings)
        tls, running = prepared[3], self._tls
        # one that has ended is refused only where another one runs for the same host
        whenever = not (tls and running) or tls.paths == running.paths or settings.host != self._settings.host
        context = tls.load(self._clock(), whenever=whenever) if tls and tls.exists() else None
        if context is None and tls and running and self._doors and settings.host == self._settings.host:
            # what served this host goes on until the new certificate is there
            context, tls.life = self._doors.context, running.life
        self._settings, self._portal, self._pages, self._tls = prepared
        if self._doors is not None:
            self._doors.host, self._doors.foreign = settings.host, settings.foreign_tls
            self._serve(context)

    def _serve(self, context: ssl.SSLContext | None) -> None:
        """Serve the portal with ``context``; while a certificate is still to come, over HTTP."""
        if self._doors is not None:
            self._doors.context = context
        url = self._settings.url or ""
        waiting = context is None and self._tls is not None
        self._portal = replace(self._portal, url=f"http://{self._settings.host}" if waiting else url)

    def remind(self, settings: NoticeSettings) -> None:
        """Take how a reminder meets devices into force; after each ``reconfigure``."""
        self._notice, self._portal = settings, replace(self._portal, sign_in=settings.sign_in)

    def link(self, subscriber_id: str) -> str:
        """A fresh signed URL of the subscriber's own page, with name, sum and due date."""
        return make_link(self._key, self._settings.url or "", subscriber_id, self._clock() + _LINK_LIFE)

    def reference(self, subscriber_id: str) -> str:
        """What their page tells the subscriber to say on the telephone."""
        return make_reference(self._key, self.site, subscriber_id)

    def referenced(self, reference: str, view: View) -> tuple[str, ...]:
        """The listed subscribers who have ``reference``. Blocks for some microseconds each: give it a thread."""
        spelled = parse_reference(reference)
        if not spelled or not is_of_site(spelled, self.site):
            return ()
        known = dict.fromkeys((*view.table.subscribers, *view.learned.overrides))
        return find_referenced(self._key, self.site, spelled, known)

    async def _forget_freed(self) -> None:
        """Who has paid is forgotten; their next block is a new one."""
        while True:
            await self._current.wait(self._current.version)
            await asyncio.sleep(_FORGET_EVERY)
            if self._reception is not None:
                self._reception.forget(self._clock())

    def _decide(self, subscriber_id: str) -> Decision:
        return self._current.view.decide_id(subscriber_id, self._clock())

    async def _watch_certificate(self) -> None:
        while True:
            await asyncio.sleep(_CERTIFICATE_LOOK)
            self.look_at_certificate()

    def look_at_certificate(self) -> None:
        """Take up the certificate's files if they changed; one that does not work is left alone."""
        context = self._tls.looked(self._clock()) if self._tls is not None and self._doors is not None else None
        if context is not None:
            self._serve(context)

    @property
    def certificate(self) -> TlsFiles | None:
        """The certificate's files, as they were last looked at; None: the page has none."""
        return self._tls if self._doors is not None else None

    def _ready(self, request: Request, address: IpAddress) -> Response | Close | None:
        """As ``_answer``, where nothing has to be rendered, asked or waited for; None: that must answer."""
        now, view = self._clock(), self._current.view
        decision = view.decide(address, now)
        if decision.access is Access.NOTICE:
            return None  # a reminder counts its page loads and has to know where they were going
        answer = respond(request, self._portal, decision, now, partial(view.decide_id, now=now))
        if isinstance(answer, Close):
            return answer
        if not isinstance(answer, Response) or answer.wait or not isinstance(answer.body, bytes):
            return None
        return answer

    async def _answer(self, request: Request, address: IpAddress) -> Finished:
        try:
            return await self._answered(request, address)
        except Exception as error:  # noqa: BLE001  # counted; whoever asked gets an answer, and the others go on
            report_fault(self.counters, error)
            polite = request.https and request.host == self._portal.host
            return self._faulty(500) if polite else (plain(500, Kind.REFUSED), b"")

    def _faulty(self, status: int) -> Finished:
        """The page that says so; without it where that, too, cannot be made."""
        answer = Response(status, (("Cache-Control", "private, no-store"),), _AT_FAULT, Kind.PAGE)
        try:
            return self._with_page(answer, _AT_FAULT, self._clock())
        except Exception:  # noqa: BLE001  # counted already, and whoever asked gets an answer
            return plain(status, Kind.REFUSED), b""

    async def _answered(self, request: Request, address: IpAddress) -> Finished:
        now, view = self._clock(), self._current.view
        known = partial(view.decide_id, now=now)
        decision = view.decide(address, now)
        answer = respond(request, self._portal, decision, now, known)
        if decision.reminds and not self._leads(answer, decision, now):
            answer = let_through(request)
        if isinstance(answer, Press):
            response = await self._pressed(answer, view, now)
            if response is None:
                return self._faulty(503)
            answer = response
        elif isinstance(answer, Click):
            self.counters.clicks += 1
            self._tell(Event(EventType.PAY_CLICKED, now, answer.subscriber_id))
            answer = answer.response
        elif isinstance(answer, Aside):
            answer = answer.then if await self._ways.free(address, answer.destination, now) else later()
        if isinstance(answer, Close):
            return answer
        if isinstance(answer.body, bytes):
            self.counters.answers[answer.kind] += 1
            return answer, answer.body
        return await self._shown(
            answer, answer.body, request, Visit(view, address, self._reader(answer.body, now), now)
        )

    async def _shown(self, answer: Response, page: Page, request: Request, visit: Visit) -> Finished:
        """``page`` as it is true of the line now, which may take a wait."""
        if self._reception is not None:
            page = await self._reception.true_page(page, visit)
        if visit.subscriber:
            page = replace(page, reference=self.reference(visit.subscriber))
        if request.method == "GET" and not request.purpose:
            self._tell_opened(page, visit.now)
        return self._with_page(answer, page, visit.now)

    def _leads(self, answer: Answer, decision: Decision, now: float) -> bool:
        """False where ``answer`` would lead one page load too many to a reminder that nobody can or will open."""
        if not isinstance(answer, Response) or answer.kind is not Kind.REDIRECT or decision.subscriber is None:
            return True
        return self._unopened.leads(decision.subscriber.id, now)

    async def _pressed(self, press: Press, view: View, now: float) -> Response | None:
        """The way back to the page; None: a pass could not be kept, so it was not given."""
        outcome = press.button.value
        try:
            if self._reception is not None:
                await self._reception.press(press, view, now)
        except UpstreamError:
            if press.button is Button.PASS:
                return None
            outcome = ""  # a reminder that could not be put away: nothing is claimed
        return pressed(self._portal, press, outcome, now)

    def _reader(self, page: Page, now: float) -> str:
        """Billing's id of whom the page is about; empty: not known."""
        if page.decision.subscriber is not None:
            return page.decision.subscriber.id
        return verify_token(self._key, Purpose.LINK, page.link, now) or ""

    def _tell_opened(self, page: Page, now: float) -> None:
        subscriber = page.decision.subscriber
        if subscriber is not None and page.decision.access in _TOLD and page.topic not in _UNTOLD:
            self._tell(Event(EventType.PAGE_OPENED, now, subscriber.id))

    def _meet_stranger(self, source: IpAddress, destination: IpAddress) -> None:
        """What is no HTTP uses port 80 too: its next try passes us by."""
        now = self._clock()
        if self._current.view.decide(source, now).reminds:
            self._ways.open(source, destination, now)

    def rehearse(self, request: Request, decision: Decision) -> Finished:
        """What ``request`` from a line with ``decision`` would be answered; nothing is counted, told or remembered."""
        now = self._clock()
        answer = respond(request, self._portal, decision, now, lambda _: decision)
        if not isinstance(answer, Response):
            return Close("no page")
        if isinstance(answer.body, bytes):
            return answer, answer.body
        return self._rendered(answer, answer.body, now)

    def _with_page(self, answer: Response, page: Page, now: float) -> Finished:
        self.counters.answers[answer.kind] += 1
        self.counters.pages[page.topic] += 1
        subscriber = page.decision.subscriber
        if subscriber is not None and page.topic is Topic.NOTICE:
            self._unopened.opened(subscriber.id)
        return self._rendered(answer, page, now)

    def _rendered(self, answer: Response, page: Page, now: float) -> Finished:
        rendered = self._pages.render(page, now, self._desk(page.decision))
        headers = [h for h in rendered.headers if self._portal.is_secure or h[0] != "Strict-Transport-Security"]
        return Response(answer.status, (*answer.headers, *headers), b"", answer.kind), rendered.body

    def _desk(self, decision: Decision) -> Desk:
        """Which buttons the page has for this subscriber."""
        if self._clerk is None or decision.subscriber is None:
            return Desk()
        if decision.reminds:
            return Desk(can_put_away=True, seen_for=self._notice.every, later_for=self._notice.snooze)
        if decision.access not in _OWING:
            return Desk()
        passes = None if decision.rule is Rule.OVERRIDE else self._clerk.passes_left(decision.subscriber.id)
        return Desk(passes, can_check=self._clerk.can_check)
