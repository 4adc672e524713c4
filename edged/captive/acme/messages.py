# SPDX-License-Identifier: Apache-2.0
"""What the daemon and the child that speaks ACME tell each other: values in, lines of JSON out, and back. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

_LONGEST_REASON = 400
"""Characters: an authority's own words go into a sentence for people."""
MAX_LINE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """The one thing a child is started for."""

    step: Literal["ask", "order"]
    directory: str
    contact: str
    host: str
    folder: str
    """Where accounts, orders and certificates lie."""
    hook: str = ""
    """A program for DNS-01; empty: HTTP-01."""
    ca: str = ""
    """Whom to trust, PEM file; empty: whom the system trusts."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Please answer this HTTP-01 challenge; the child waits for a line that says it is done."""

    token: str
    key_authorization: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """The authority's renewal information. Epoch seconds."""

    at: float
    """0: it has none."""
    again: float


@dataclass(frozen=True, slots=True)
class Done:
    """The certificate is in its file."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It is not."""

    reason: str
    not_before: float = 0.0
    """The authority's Retry-After, epoch seconds; 0: none."""


Event = Serve | Renewal | Done | Failed
_EVENTS: dict[str, type[Serve | Renewal | Done | Failed]] = {
    "serve": Serve,
    "renewal": Renewal,
    "done": Done,
    "failed": Failed,
}


def line_of_job(job: Job) -> bytes:
    """The first line that a child reads."""
    return json.dumps(asdict(job)).encode() + b"\n"


def job_of(line: bytes) -> Job:
    """The job in ``line``. ValueError, TypeError: it is none."""
    return Job(**json.loads(line))


def line_of(event: Event) -> bytes:
    """One line that a child writes."""
    return json.dumps({"event": type(event).__name__.lower(), **asdict(event)}).encode() + b"\n"


def event_of(line: bytes) -> Event:
    """The event in ``line``. ValueError: it is none."""
    try:
        found = json.loads(line)
        event = _EVENTS[found.pop("event")](**found)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("a line that is no event") from None
    return event


def reason(text: str) -> str:
    """An authority's words, on one line and not too long."""
    return " ".join(text.split())[:_LONGEST_REASON]
