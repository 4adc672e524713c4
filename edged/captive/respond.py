# SPDX-License-Identifier: Apache-2.0
"""One request and the decision on its sender in, an answer out: response, button or closed door. Pure.

RFC 9110, RFC 6585 section 6 (511), RFC 8908 (captive portal API). The clock is passed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from edged.captive.answers import (
    BACK_ONLINE,
    NO_DEBT,
    Answer,
    Button,
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
from edged.captive.names import is_public_name, safe_target
from edged.captive.probes import is_probe
from edged.captive.statement import Purpose, verify_token
from edged.model import Access
from edged.policy.access import Decision

API_PATHS = frozenset({"/.well-known/captive-portal", "/api/captive-portal"})
_BUTTONS = {"/pass": Button.PASS, "/check": Button.CHECK}
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
    form: dict[str, str] = field(default_factory=dict)
    """Fields of a small urlencoded body; only ever read on the portal's own host."""

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


@dataclass(frozen=True, slots=True)
class Portal:
    """Our own host, as the answers need it."""

    url: str
    """Without a slash at its end."""
    host: str
    link_key: bytes = field(repr=False)
    addresses: frozenset[str] = frozenset()
    """Textual IP addresses of the page: a visitor may type one."""
    proofs: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What a certificate authority is answered on our host, by path; it changes while an order runs."""

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
    probe = is_probe(request.host, request.path)
    match decision.access:
        case Access.STRANGER:
            return Close("stranger")
        case Access.BLOCKED if probe:
            return foreign(302, Kind.PROBE, sign_in_body(portal.url + "/"), location=portal.url + "/")
        case Access.BLOCKED if wants_html(request):
            return foreign(302, Kind.REDIRECT, sign_in_body(portal.url + "/"), location=portal.url + "/")
        case Access.BLOCKED:
            return foreign(511, Kind.NOT_HTML, sign_in_body(portal.url + "/"))
        case Access.OPEN | Access.NOTICE | Access.PASS | Access.DRAIN | Access.EXEMPT:
            return _send_back(request, probe=probe)


def _send_back(request: Request, *, probe: bool) -> Answer:
    """An open line whose device still holds our address for somebody's name."""
    if probe:
        # any status but the vendor's own success reads as a portal; closed, each client asks anew
        return Close("probe-of-open-line")
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
    accepted = {part.partition(";")[0].strip().lower() for part in request.accept.split(",")} - {""}
    if accepted & {"text/html", "application/xhtml+xml"}:
        return True
    if accepted - {"*/*"}:
        return False  # an img element asks for image/* with */* as a last resort
    return _SUBRESOURCES.search(request.path) is None


def _own(
    request: Request, portal: Portal, decision: Decision, now: float, decide_id: Callable[[str], Decision]
) -> Answer:
    """Our own host over HTTPS, or over HTTP while there is no certificate."""
    button = _BUTTONS.get(request.path)
    if button is not None:
        return _press(request, button, portal, now, decide_id)
    if not request.reads:
        return plain(405, Kind.REFUSED, ("Allow", "GET, HEAD"))
    if request.path in API_PATHS:
        return _api(portal, decision, now)
    if request.path == "/":
        return _page(request, Page(topic_of(decision), decision))
    if request.path.startswith("/s/") and portal.is_secure:  # a name and a sum never travel in clear
        link = request.path.removeprefix("/s/")
        subscriber_id = verify_token(portal.link_key, Purpose.LINK, link, now)
        if subscriber_id is not None:
            own = decide_id(subscriber_id)
            return _page(request, Page(topic_of(own), own, link=link))
    return _page(request, Page(Topic.MISSING, decision), status=404)


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
    subscriber_id = verify_token(portal.link_key, Purpose.BUTTON, request.form.get("token", ""), now)
    blocked = decide_id(subscriber_id) if subscriber_id is not None else None
    if subscriber_id is None or blocked is None or blocked.access is not Access.BLOCKED:
        return _see_other(portal, request.form.get("link", ""), "", now)
    if button is Button.PASS and blocked.reason in NO_DEBT:
        return _see_other(portal, request.form.get("link", ""), "", now)
    return Press(button, subscriber_id, request.form.get("link", ""))


def pressed(portal: Portal, press: Press, outcome: str, now: float) -> Response:
    """The answer after a button did its work: back to the page it stood on, which says ``outcome``."""
    return _see_other(portal, press.link, outcome, now)


def _see_other(portal: Portal, link: str, outcome: str, now: float) -> Response:
    known = verify_token(portal.link_key, Purpose.LINK, link, now) is not None
    where = (f"/s/{link}" if known else "/") + (f"?done={outcome}" if outcome else "")
    return Response(303, (("Location", portal.url + where), ("Cache-Control", "no-store")), b"", Kind.BUTTON)


def _api(portal: Portal, decision: Decision, now: float) -> Response:
    """RFC 8908 section 5; the two ``remaining`` keys are left out while captive."""
    facts: dict[str, bool | str | int] = {
        "captive": decision.access is Access.BLOCKED,
        "user-portal-url": portal.url + "/",
    }
    if decision.access is Access.PASS and decision.until > now:
        facts["seconds-remaining"] = int(decision.until - now)
    headers = (("Content-Type", "application/captive+json"), ("Cache-Control", "private, no-store"))
    return Response(200, headers, json.dumps(facts).encode(), Kind.API)
