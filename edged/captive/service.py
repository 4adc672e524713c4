# SPDX-License-Identifier: Apache-2.0
"""Web requests in, redirects and pages out: the shell of the room. Touches sockets and the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog

from edged.captive.admission import Deadlines
from edged.captive.answers import Answer, Button, Close, Page, Press, Response, Topic
from edged.captive.content import Desk
from edged.captive.counters import Counters
from edged.captive.doors.service import Doors
from edged.captive.files.service import TlsFiles, read_logos, read_templates
from edged.captive.http.service import Finished, HttpFront, report_fault
from edged.captive.pages import Pages
from edged.captive.respond import Portal, Request, pressed, respond, topic_of
from edged.captive.settings import CertificateAcme, PortalSettings
from edged.captive.statement import make_link
from edged.errors import ConfigError, UpstreamError
from edged.model import Event, EventType, Tell, untold
from edged.policy.access import Decision
from edged.state.current import Current
from edged.values import Endpoint, IpAddress

log = structlog.get_logger(__name__)

_LINK_LIFE = 30 * 86400.0
"""Seconds a signed link works: from an invoice to the end of its dunning."""
_CERTIFICATE_LOOK = 60.0
"""Seconds between two looks at the certificate's files: ACME clients renew weeks ahead."""
_PRESS_AGAIN = 5.0
"""Seconds in which a second press of a button by the same subscriber asks nobody again."""
_CHECK_WAIT = 4.0
"""Seconds the reader waits for billing's answer before the page says that it is being looked for."""
_MAX_PRESSES = 4096
"""Presses remembered; above it the oldest are forgotten."""

_TOLD = frozenset({Topic.BLOCKED, Topic.NOTICE})
"""The pages that billing may be told were opened: those about a debt."""


class Clerk(Protocol):
    """What the page's buttons ask of the rest of edged; ``daemon`` brings one."""

    def passes_left(self, subscriber_id: str) -> int | None:
        """How often the line may still be opened today; None: there are no passes."""

    async def start_pass(self, subscriber_id: str) -> bool:
        """Open the line for a while; False: the passes of today are used."""

    async def check(self, subscriber_id: str) -> None:
        """Ask billing about this subscriber. UpstreamError: it could not be asked."""


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
    ) -> None:
        self.counters = Counters()
        self.endpoints = Endpoints()
        self._current, self._key, self._clock, self._clerk = current, link_key, clock, clerk
        self._tell = tell
        self._deadlines = deadlines or Deadlines()
        self._doors: Doors | None = None
        self._presses: dict[tuple[Button, str], float] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._settings, self._portal, self._pages, self._tls = self._prepared(settings)

    def _prepared(self, settings: PortalSettings) -> tuple[PortalSettings, Portal, Pages, TlsFiles | None]:
        """All that follows from ``settings``; reads files. ConfigError: nothing has changed."""
        files = settings.certificate
        if isinstance(files, CertificateAcme):
            raise ConfigError.of("portal.certificate", "acme", "chain and key: edged does not fetch certificates yet")
        portal = Portal(
            settings.url or "",
            settings.host,
            self._key,
            frozenset(str(address) for address in settings.addresses),
        )
        pages = Pages(settings, read_templates(settings.templates), read_logos(settings), self._key)
        return settings, portal, pages, TlsFiles(files, settings.host) if files and settings.url else None

    async def start(self) -> None:
        """Open the listening sockets. ConfigError: a port, the certificate."""
        if self._settings.url is None:
            log.info("captive-closed", reason="portal.url is not set")
            return
        context = self._tls.load(self._clock()) if self._tls else None
        doors = Doors(self.counters, self._settings.host, self._settings.foreign_tls, self._deadlines)
        front = HttpFront(self.counters, doors.crowd, lambda: self._settings.host, self._answer, self._ready)
        doors.protocol, doors.at_once, doors.context = front.protocol, front.at_once, context
        doors.faulty = partial(report_fault, self.counters)
        self._doors = doors
        listen = self._settings.listen
        try:
            http = tuple(doors.open(e, f"portal.listen.http[{i}]", tls=False) for i, e in enumerate(listen.http))
            tls = enumerate(listen.https if context else ())
            https = tuple(doors.open(e, f"portal.listen.https[{i}]", tls=True) for i, e in tls)
        except ConfigError:
            await self.stop()
            raise
        if listen.https and context is None:
            log.warning("captive-no-https", reason="portal.certificate is not set")
        self.endpoints = Endpoints(http, https)
        for endpoint in (*http, *https):
            log.info("captive-listening", endpoint=str(endpoint))

    async def run(self) -> None:
        """Work until cancelled."""
        if self._doors is None:
            await asyncio.get_running_loop().create_future()
            return
        await self._watch_certificate()

    async def stop(self) -> None:
        """Close the sockets and every connection; at once."""
        doors, self._doors = self._doors, None
        if doors is not None:
            await doors.close()
        for asking in tuple(self._asking):
            asking.cancel()
        self.endpoints = Endpoints()

    def reconfigure(self, settings: PortalSettings) -> None:
        """Swap texts, looks, certificate and limits; sockets stay. ConfigError: everything stays."""
        prepared = self._prepared(settings)
        tls = prepared[3]
        context = tls.load(self._clock()) if tls else None
        self._settings, self._portal, self._pages, self._tls = prepared
        if self._doors is not None:
            self._doors.host, self._doors.foreign = settings.host, settings.foreign_tls
            self._doors.context = context

    def link(self, subscriber_id: str) -> str:
        """A fresh signed URL of the subscriber's own page, with name, sum and due date."""
        return make_link(self._key, self._portal.url, subscriber_id, self._clock() + _LINK_LIFE)

    async def _watch_certificate(self) -> None:
        while True:
            await asyncio.sleep(_CERTIFICATE_LOOK)
            self.look_at_certificate()

    def look_at_certificate(self) -> None:
        """Take up the certificate's files if they changed; one that does not work is left alone."""
        if self._tls is None or self._doors is None or not self._tls.changed():
            return
        try:
            self._doors.context = self._tls.load(self._clock())
        except ConfigError as error:
            for problem in error.problems:
                log.warning("captive-certificate", found=problem.found, expected=problem.expected)
        else:
            log.info("captive-certificate-renewed")

    def _ready(self, request: Request, address: IpAddress) -> Response | Close | None:
        """As ``_answer``, where nothing has to be rendered, asked or waited for; None: that must answer."""
        now, view = self._clock(), self._current.view
        answer = respond(request, self._portal, view.decide(address, now), now, partial(view.decide_id, now=now))
        if isinstance(answer, Close):
            return answer
        if not isinstance(answer, Response) or answer.wait or not isinstance(answer.body, bytes):
            return None
        self.counters.answers[answer.kind] += 1
        return answer

    async def _answer(self, request: Request, address: IpAddress) -> Finished:
        now, view = self._clock(), self._current.view
        known = partial(view.decide_id, now=now)
        answer: Answer = respond(request, self._portal, view.decide(address, now), now, known)
        if isinstance(answer, Press):
            answer = await self._press(answer, now)
        if isinstance(answer, Close):
            return answer
        self.counters.answers[answer.kind] += 1
        if isinstance(answer.body, bytes):
            return answer, answer.body
        return self._with_page(answer, answer.body, now)

    def _with_page(self, answer: Response, page: Page, now: float) -> Finished:
        self.counters.pages[page.topic] += 1
        subscriber = page.decision.subscriber
        if subscriber is not None and page.topic in _TOLD:
            self._tell(Event(EventType.PAGE_OPENED, now, subscriber.id))
        rendered = self._pages.render(page, now, self._desk(page.decision))
        return Response(answer.status, (*answer.headers, *rendered.headers), b"", answer.kind), rendered.body

    def _desk(self, decision: Decision) -> Desk:
        """Which buttons the page has for this subscriber."""
        if self._clerk is None or decision.subscriber is None or topic_of(decision) is not Topic.BLOCKED:
            return Desk()
        return Desk(self._clerk.passes_left(decision.subscriber.id), can_check=True)

    async def _press(self, press: Press, now: float) -> Response:
        key, outcome = (press.button, press.subscriber_id), ""
        if self._clerk is None:
            return pressed(self._portal, press, outcome, now)
        fresh = now - self._presses.get(key, 0.0) >= _PRESS_AGAIN
        if fresh:
            self._presses.pop(key, None)
            self._presses[key] = now
        while len(self._presses) > _MAX_PRESSES:
            del self._presses[next(iter(self._presses))]
        match press.button:
            case Button.CHECK:
                outcome = "check"
                if fresh:
                    await self._check(self._clerk, press.subscriber_id)
            case Button.PASS:
                try:
                    if fresh and not await self._clerk.start_pass(press.subscriber_id):
                        outcome = "pass-used"
                except UpstreamError:
                    self._presses.pop(key, None)  # not given; another press may have more luck
        return pressed(self._portal, press, outcome, now)

    async def _check(self, clerk: Clerk, subscriber_id: str) -> None:
        """Billing is asked; a quick answer shows on the next page, a slow one goes on without the reader."""
        asking = asyncio.create_task(clerk.check(subscriber_id), name="captive-check")
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        await asyncio.wait({asking}, timeout=_CHECK_WAIT)

    def _asked(self, asking: asyncio.Task[None]) -> None:
        self._asking.discard(asking)
        error = None if asking.cancelled() else asking.exception()
        if error is not None and not isinstance(error, UpstreamError):  # billing may be away; that is its own alarm
            report_fault(self.counters, error)
