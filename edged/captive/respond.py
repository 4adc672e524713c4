# SPDX-License-Identifier: Apache-2.0
"""One request and the decision on its sender in, an answer out: response, button or closed door. Pure.

RFC 9110, RFC 6585 section 6 (511), RFC 8908 (captive portal API). The clock is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from edged.captive.answers import (
    BACK_ONLINE,
    NO_DEBT,
    Answer,
    Aside,
    Button,
    Click,
    Close,
    Kind,
    Page,
    Press,
    Response,
    Topic,
    foreign,
    moved,
    plain,
    proof,
    sign_in_body,
)
from edged.captive.capport import API_PATHS, MEDIA_TYPE, api_body
from edged.captive.destination import PAY_PATH, destination, leads_on
from edged.captive.names import is_public_name, safe_target
from edged.captive.probes import is_probe
from edged.captive.reminder import online, sent_on
from edged.captive.settings import BrandSettings
from edged.captive.statement import Purpose, verify_token
from edged.model import Access
from edged.policy.access import Decision, Rule
from edged.values import IpAddress

_BUTTONS = {"/pass": Button.PASS, "/check": Button.CHECK, "/seen": Button.SEEN, "/later": Button.LATER}
_PUTS_AWAY = frozenset({Button.SEEN, Button.LATER})
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
"""A tag as the settings take one (BCP 47); nothing else of a form comes back in a URL."""
RETURN_WAIT = 3.5
"""Seconds before a freed browser is sent back: twenty redirects, its limit, outlast a DNS cache of 60 s."""
_SUBRESOURCES = re.compile(
    r"\.(css|m?js|map|json|xml|ico|png|jpe?g|gif|webp|avif|svg|woff2?|ttf|mp[34]|m3u8|ts|rss|ics"
    r"|zip|gz|xz|bz2|zst|deb|rpm|apk|exe|msi|cab|dmg|iso|bin|pkg|jar|crl|crt)$",
    re.IGNORECASE,
)
"""Never a page load: HTML in their place gets cached or breaks a program (RFC 6585 appendix B).
``.txt`` and ``.html`` are not here, since unknown connectivity checks end so."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the shell read of one request; ``host`` is canonical (see ``names``)."""

    https: bool
    method: str
    host: str
    target: str
    """Path and query, as sent."""
    accept: str = ""
    accept_language: str = ""
    requested_with: str = ""
    """X-Requested-With: scripts set it."""
    upgrade: str = ""
    purpose: str = ""
    """Sec-Purpose or Purpose: a browser fetches ahead of a click that may never come."""
    fetch_dest: str = ""
    fetch_site: str = ""
    """Sec-Fetch-Dest and Sec-Fetch-Site (W3C Fetch Metadata)."""
    form: dict[str, str] = field(default_factory=dict)
    """Fields of a small urlencoded body; only ever read on the portal's own host."""
    destination: IpAddress | None = None
    """Where the packet filter took the connection from; None: its client meant us, or it is not known."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def reads(self) -> bool:
        """True for the methods that change nothing."""
        return self.method in {"GET", "HEAD"}

    def query(self) -> dict[str, str]:
        """The first value of each query field."""
        text = self.target.partition("?")[2][:1024]
        try:
            return {name: values[0] for name, values in parse_qs(text, max_num_fields=8).items()}
        except ValueError:
            return {}


_NO_BRAND = BrandSettings()


@dataclass(frozen=True, slots=True)
class Portal:
    """Our own host, as the answers need it."""

    url: str
    """Without a slash at its end."""
    host: str
    link_key: bytes = field(repr=False)
    addresses: frozenset[str] = frozenset()
    """Textual IP addresses of the page: a visitor may type one."""
    brands: Mapping[str, BrandSettings] = field(default_factory=dict, repr=False)
    """Where their buttons lead."""
    sign_in: bool = False
    """True: devices behind a line whose reminder is due are to open their sign-in sheet."""
    proofs: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What a certificate authority is answered on our host, by path; it changes while an order runs."""

    def brand_of(self, decision: Decision) -> BrandSettings:
        """The brand of whom ``decision`` is about."""
        name = decision.subscriber.brand if decision.subscriber else ""
        return self.brands.get(name) or self.brands.get("default") or _NO_BRAND

    @property
    def is_secure(self) -> bool:
        """False while there is no certificate yet: the page comes over HTTP rather than not at all."""
        return self.url.startswith("https:")


def respond(
    request: Request, portal: Portal, decision: Decision, now: float, decide_id: Callable[[str], Decision]
) -> Answer:
    """The answer to ``request`` from an address with ``decision``; ``decide_id`` looks up a signed link."""
    if request.host == portal.host:
        if request.path in portal.proofs and request.reads:
            return proof(portal.proofs[request.path])
        if not request.https and portal.is_secure:
            return moved(portal.url + _kept_path(request.path), Kind.TO_HTTPS)
        return _own(request, portal, decision, now, decide_id)
    if request.host in portal.addresses:
        return moved(portal.url + "/", Kind.TO_HTTPS)
    if request.https:
        return plain(421, Kind.REFUSED)
    return _foreign(request, portal, decision)


def _kept_path(path: str) -> str:
    """The path survives the step to https only where it is one of ours."""
    return safe_target(path) if path in API_PATHS or path.startswith("/s/") else "/"


def _foreign(request: Request, portal: Portal, decision: Decision) -> Answer:
    """Somebody else's name, over HTTP: nothing of the request comes back to a blocked client."""
    match decision.access:
        case Access.STRANGER:
            return Close("stranger")
        case Access.BLOCKED if is_probe(request.host, request.path):
            return foreign(302, Kind.PROBE, sign_in_body(portal.url + "/"), location=portal.url + "/")
        case Access.BLOCKED if wants_html(request):
            return foreign(302, Kind.REDIRECT, sign_in_body(portal.url + "/"), location=portal.url + "/")
        case Access.BLOCKED:
            # the body is for the person whose form was not taken; nothing else would show it (RFC 6585 appendix B)
            shown = not request.reads and _accepts_html(request)
            return foreign(511, Kind.NOT_HTML, sign_in_body(portal.url + "/") if shown else b"")
        case Access.NOTICE:
            return _reminded(request, portal, decision)
        case Access.OPEN | Access.PASS | Access.DRAIN | Access.EXEMPT:
            # closed in its place, Firefox would believe in the portal for another fifty seconds (docs/decisions/0007)
            return online(request.host, request.path) or _send_back(request)


def _reminded(request: Request, portal: Portal, decision: Decision) -> Answer:
    """An open line with a reminder: a page load meets it while it is due, all else is none the worse for it."""
    success = online(request.host, request.path)
    if success is not None and not (decision.reminds and portal.sign_in):
        return success
    if decision.reminds:
        if success is not None:
            return foreign(302, Kind.PROBE, sign_in_body(portal.url + "/"), location=portal.url + "/")
        # nothing but a browser that opens a page for a person names HTML among what it accepts
        if request.method == "GET" and _accepts_html(request) and not request.upgrade:
            return foreign(302, Kind.REDIRECT, sign_in_body(portal.url + "/"), location=portal.url + "/")
    return let_through(request)


def let_through(request: Request) -> Response | Aside:
    """What sends a request of an open line to where it was going; it is asked for once more."""
    if request.destination is not None:
        return Aside(request.destination, sent_on(request.host, request.target))
    return _send_back(request)


def _send_back(request: Request) -> Response:
    """An open line whose device still holds our address for somebody's name."""
    if not request.reads:
        return foreign(503, Kind.SENT_BACK, b"", retry_after=60)
    if is_public_name(request.host):
        where = f"http://{request.host}{safe_target(request.target)}"
        return foreign(302, Kind.SENT_BACK, BACK_ONLINE, location=where, wait=RETURN_WAIT)
    return foreign(200, Kind.SENT_BACK, BACK_ONLINE)


def wants_html(request: Request) -> bool:
    """False for what is evidently no page load: another method, a script, a picture, a package."""
    if not request.reads or request.requested_with or request.upgrade:
        return False
    if _accepts_html(request):
        return True
    accepted = _accepted(request)
    if accepted - {"*/*"}:
        return False  # an img element asks for image/* with */* as a last resort
    return _SUBRESOURCES.search(request.path) is None


def _accepted(request: Request) -> set[str]:
    return {part.partition(";")[0].strip().lower() for part in request.accept.split(",")} - {""}


def _accepts_html(request: Request) -> bool:
    return not _accepted(request).isdisjoint({"text/html", "application/xhtml+xml"}) and not request.requested_with


def _own(
    request: Request, portal: Portal, decision: Decision, now: float, decide_id: Callable[[str], Decision]
) -> Answer:
    """Our own host over HTTPS, or over HTTP while there is no certificate."""
    button = _BUTTONS.get(request.path)
    if button is not None:
        return _press(request, button, portal, now, decide_id)
    if not request.reads:
        return plain(405, Kind.REFUSED, ("Allow", "GET, HEAD"))
    match request.path:
        case "/":
            return _page(request, Page(topic_of(decision), decision))
        case "/pay":
            return _pay(request, portal, decision, "")
        case path if path in API_PATHS:
            return _api(portal, decision, now)
    return _linked(request, portal, decision, now, decide_id)


def _linked(
    request: Request, portal: Portal, decision: Decision, now: float, decide_id: Callable[[str], Decision]
) -> Answer:
    """The page of a signed link, or none."""
    link = request.path.removeprefix("/s/").removesuffix(PAY_PATH) if request.path.startswith("/s/") else ""
    subscriber_id = verify_token(portal.link_key, Purpose.LINK, link, now)
    if subscriber_id is None or not portal.is_secure:  # a name and a sum never travel in clear
        return _page(request, Page(Topic.MISSING, decision), status=404)
    own = decide_id(subscriber_id)
    if request.path.endswith(PAY_PATH):
        return _pay(request, portal, own, link)
    return _page(request, Page(topic_of(own), own, link=link))


def _pay(request: Request, portal: Portal, decision: Decision, link: str) -> Answer:
    """The pay button: on to where billing or the brand says, never to where the request says."""
    if "prefetch" in request.purpose.lower():
        return plain(503, Kind.REFUSED)  # a browser that is refused asks again when the button is really pressed
    where = destination(portal.brand_of(decision), decision)
    if not leads_on(where, portal.host):
        return _led(portal.url + (f"/s/{link}" if link else "/"))
    if not _is_click(request) or decision.subscriber is None:
        return _led(where)
    return Click(_led(where), decision.subscriber.id)


def _led(where: str) -> Response:
    headers = (("Location", where), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))
    return Response(303, headers, b"", Kind.PAY)


def _is_click(request: Request) -> bool:
    """True for a person's own click, as far as a browser says; other sites cannot make anybody's count."""
    return (
        request.method == "GET"
        and not request.purpose
        and request.fetch_dest in {"", "document", "empty"}
        and request.fetch_site != "cross-site"
    )


def topic_of(decision: Decision) -> Topic:
    """Which page stands for a decision."""
    match decision.access:
        case Access.OPEN | Access.EXEMPT:
            return Topic.OPEN
        case Access.NOTICE:
            return Topic.NOTICE
        case Access.BLOCKED:
            return Topic.BLOCKED
        case Access.PASS:
            return Topic.PASS
        case Access.DRAIN:
            return Topic.DRAIN
        case Access.STRANGER:
            return Topic.STRANGER


def _page(request: Request, page: Page, status: int = 200) -> Response:
    query = request.query()
    spoken = Page(
        page.topic,
        page.decision,
        link=page.link,
        language=query.get("lang", "")[:16],
        accept_language=request.accept_language,
        outcome=query.get("done", "")[:16],
    )
    return Response(status, (("Cache-Control", "private, no-store"), ("Vary", "Accept-Language")), spoken, Kind.PAGE)


def _press(
    request: Request, button: Button, portal: Portal, now: float, decide_id: Callable[[str], Decision]
) -> Answer:
    """A button of the page: the token in its form says whose line it is, so another site cannot press it."""
    if request.method != "POST":
        return plain(405, Kind.REFUSED, ("Allow", "POST"))
    language = request.form.get("lang", "")
    language = language if _LANGUAGE.fullmatch(language) else ""
    subscriber_id = verify_token(portal.link_key, Purpose.BUTTON, request.form.get("token", ""), now)
    found = decide_id(subscriber_id) if subscriber_id is not None else None
    if subscriber_id is None or found is None:
        return _see_other(portal, request.form.get("link", ""), "", language, now)
    if not _concerns(button, found):
        return _see_other(portal, request.form.get("link", ""), button.value, language, now)
    return Press(button, subscriber_id, request.form.get("link", ""), language)


def _concerns(button: Button, found: Decision) -> bool:
    """True where ``button`` does something for the line that ``found`` is about."""
    if button in _PUTS_AWAY:
        return found.reminds
    if found.reason in NO_DEBT:
        return False
    if button is Button.PASS:
        # an operator's block is not opened by a pass, so none is spent on it
        return found.access is Access.BLOCKED and found.rule is not Rule.OVERRIDE
    # a line that runs on a pass may have been paid for meanwhile
    return found.access in {Access.BLOCKED, Access.PASS}


def pressed(portal: Portal, press: Press, outcome: str, now: float) -> Response:
    """The answer after a button did its work: back to the page it stood on, which says ``outcome``."""
    return _see_other(portal, press.link, outcome, press.language, now)


def _see_other(portal: Portal, link: str, outcome: str, language: str, now: float) -> Response:
    known = verify_token(portal.link_key, Purpose.LINK, link, now) is not None
    query = "&".join(f"{name}={value}" for name, value in (("done", outcome), ("lang", language)) if value)
    where = (f"/s/{link}" if known else "/") + (f"?{query}" if query else "")
    return Response(303, (("Location", portal.url + where), ("Cache-Control", "no-store")), b"", Kind.BUTTON)


def _api(portal: Portal, decision: Decision, now: float) -> Response:
    """The same for every Accept, so nothing varies; RFC 8908 section 4."""
    headers = (
        ("Content-Type", MEDIA_TYPE),
        ("Cache-Control", "private, no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Response(200, headers, api_body(portal.url, decision, now, sign_in=portal.sign_in), Kind.API)
