# SPDX-License-Identifier: Apache-2.0
"""The answers of the redirector and the page, as values, and the few that never vary. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from html import escape

from edged.policy.access import Decision
from edged.values import IpAddress


class Kind(StrEnum):
    """What an answer was, for the counters: a closed set."""

    PAGE = "page"
    API = "api"
    BUTTON = "button"
    REDIRECT = "redirect"
    PROBE = "probe"
    NOT_HTML = "not-html"
    SENT_BACK = "sent-back"
    SENT_ON = "sent-on"
    TO_HTTPS = "to-https"
    PAY = "pay"
    REFUSED = "refused"
    CHALLENGE = "challenge"
    """A certificate authority asked whether the host is ours (RFC 8555)."""


class Topic(StrEnum):
    """The pages there are."""

    BLOCKED = "blocked"
    NOTICE = "notice"
    PASS = "pass"  # noqa: S105  # a word of the glossary, not a password
    DRAIN = "drain"
    OPEN = "open"
    STRANGER = "stranger"
    MISSING = "missing"
    LOOKING = "looking"
    """Billing was asked just now and knows of no payment yet."""
    UNSEEN = "unseen"
    """The same, minutes after the first time."""
    AWAY = "away"
    """Billing could not be asked."""
    USED_UP = "used-up"
    """Today's passes are gone."""
    OPENING = "opening"
    """Paid, or opened for a while, and not every target has lifted the line yet."""
    RESTORED = "restored"
    """Paid, and every target has lifted the line: it works."""
    FAULT = "fault"
    """A bug of ours, met while answering."""


class Button(StrEnum):
    """What a button of the page asks of the rest of edged."""

    PASS = "pass"  # noqa: S105  # a word of the glossary, not a password
    CHECK = "check"
    SEEN = "seen"
    """The reminder was read: it returns after ``subscribers.notice.every``."""
    LATER = "later"
    """Remind me later: it returns after ``subscribers.notice.snooze``."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page still to be rendered: what it is about and for whom."""

    topic: Topic
    decision: Decision
    link: str = ""
    """The verified token of the signed link it was opened with: name, sum and due date show only then."""
    language: str = ""
    """Asked for in the URL; wins when there is such a language."""
    accept_language: str = ""
    outcome: str = ""
    """What a button just did: one of ``pages.OUTCOMES``; anything else says nothing."""
    reference: str = ""
    """What the reader tells the help desk (``edged explain`` knows it): no secret, and nothing by itself."""
    at: float = 0.0
    """When billing was last read about this subscriber, epoch seconds; 0: not known."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; the shell renders a Page and adds Content-Length and Date."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | Page
    kind: Kind
    wait: float = 0.0
    """Seconds before it is sent."""


@dataclass(frozen=True, slots=True)
class Close:
    """No answer: the connection is closed."""

    reason: str
    """One of a closed set, for the counter."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed by whom it belongs to."""

    button: Button
    subscriber_id: str
    link: str
    """The signed link it stood on; empty: the plain page."""
    language: str = ""
    """The one that the page was asked for in; empty: the browser's."""


@dataclass(frozen=True, slots=True)
class Click:
    """The pay button was followed by a person."""

    response: Response
    subscriber_id: str
    """Billing's id; empty: not known."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A line with a reminder is on its way to what is no page: the way is to pass us by, then ``then`` is sent."""

    destination: IpAddress
    then: Response


Answer = Response | Close | Press | Click | Aside

NO_DEBT = frozenset({"new", "abuse", "disabled"})
"""Reasons that a payment does not end: a pay link would mislead, a pass would let an infected line out."""

_HTML = ("Content-Type", "text/html; charset=utf-8")


def sign_in_body(location: str) -> bytes:
    """The small page beside a redirect to ``location``: Android and Chromium want a body of some octets."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Open the page of your provider</title>'
        f'<p><a href="{escape(location)}">Open the page of your Internet provider</a></p></html>\n'
    ).encode()


BACK_ONLINE = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>You are back online</title>'
    b"<p>You are back online. Please load the page again in a minute.</p></html>\n"
)


def foreign(
    status: int, kind: Kind, body: bytes, *, location: str = "", wait: float = 0.0, retry_after: int = 0
) -> Response:
    """An answer under a name that is not ours: never kept, closed at once, leaves no trace."""
    headers = [("Cache-Control", "no-store"), ("Connection", "close")]
    if body:
        headers.append(_HTML)
    if location:
        headers.append(("Location", location))
    if retry_after:
        headers.append(("Retry-After", str(retry_after)))
    return Response(status, tuple(headers), body, kind, wait)


def moved(location: str, kind: Kind) -> Response:
    """From our own name over HTTP to HTTPS."""
    return foreign(302, kind, sign_in_body(location), location=location)


def proof(key_authorization: bytes) -> Response:
    """To a certificate authority that asks whether the host is ours (RFC 8555 section 8.3)."""
    headers = (("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store"), ("Connection", "close"))
    return Response(200, headers, key_authorization, Kind.CHALLENGE)


def plain(status: int, kind: Kind, *headers: tuple[str, str]) -> Response:
    """A refusal without a body."""
    return Response(status, (("Cache-Control", "no-store"), ("Connection", "close"), *headers), b"", kind)
