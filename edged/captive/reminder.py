# SPDX-License-Identifier: Apache-2.0
"""How a reminder keeps out of the way of what is no page, and what it remembers for that. Pure; the clock is passed in.

A line in ``notice`` is open. Its reminder is for a person who loads a page; a device, a program or a script must never
be worse off for it.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from edged.captive.admission import Source, source_of
from edged.captive.answers import Kind, Response, foreign
from edged.captive.names import safe_target
from edged.captive.probes import find_probe
from edged.values import IpAddress

LED_MOST = 5
"""Page loads in a row that are led to a page which nobody opens: from then on the reminder lets them through."""
LED_WINDOW = 3600.0
"""Seconds after which it tries again."""
AGAIN_MOST = 8
"""Answers "ask again" for one way within ``MOMENT``: programs follow more redirects than these before they give up."""
MOMENT = 1.0
"""Seconds in which requests that set out before the way was free still arrive."""
WAYS_MOST = 512
"""Ways that one subscriber's address (or /64) may have put aside within ``WAYS_WINDOW``."""
WAYS_WINDOW = 600.0
"""Seconds; as long as a way stays aside."""
_REMEMBERED = 4096
"""Entries of each memory; above it the oldest is forgotten."""

K = TypeVar("K")
V = TypeVar("V")


def same_url(host: str, target: str) -> str:
    """The URL that was asked for over HTTP, for a Location; empty: it cannot be said again without harm."""
    if safe_target(target) != target:
        return ""
    if not host:
        return target
    return f"http://[{host}]{target}" if ":" in host else f"http://{host}{target}"


def sent_on(host: str, target: str) -> Response:
    """Ask the same again, by the same method (RFC 9110 15.4.8): the way is free now."""
    where = same_url(host, target)
    return foreign(307, Kind.SENT_ON, b"", location=where) if where else later()


def later() -> Response:
    """No way past us was found: the program asks again by itself, later, and nothing goes round in circles."""
    return foreign(503, Kind.SENT_ON, b"", retry_after=30)


def online(host: str, path: str) -> Response | None:
    """The vendor's own word for "online" to a connectivity check; None: it is no check."""
    probe = find_probe(host, path)
    if probe is None:
        return None
    success = probe.success
    headers = [("Cache-Control", "no-store"), ("Connection", "close"), *success.headers]
    if success.body:
        headers.append(("Content-Type", success.content_type))
    return Response(success.status, tuple(headers), success.body, Kind.PROBE)


class Way(Enum):
    """How it stands with a way from a line to a destination."""

    TO_FREE = "the packet filter is to be told"
    FREED = "it was told a moment ago"
    REFUSED = "the sender has come back too often, or its line has too many ways"


class Asides:
    """The ways that were put aside lately, so that nobody is sent round in circles and nobody fills the kernel."""

    def __init__(self) -> None:
        self._lately: dict[tuple[IpAddress, IpAddress], tuple[float, int]] = {}
        self._ways: dict[Source, tuple[float, int]] = {}

    def meet(self, source: IpAddress, destination: IpAddress, now: float) -> Way:
        """What is to be done about a request that came from ``source`` on its way to ``destination``."""
        begun, times = self._lately.get((source, destination), (now, 0))
        if not 0 <= now - begun < MOMENT:  # also a clock that was set back
            begun, times = now, 0
        if times:
            _remember(self._lately, (source, destination), (begun, times + 1))
            return Way.FREED if times < AGAIN_MOST else Way.REFUSED
        line = source_of(source)
        since, ways = self._ways.get(line, (now, 0))
        if not 0 <= now - since < WAYS_WINDOW:
            since, ways = now, 0
        _remember(self._ways, line, (since, ways + 1))
        if ways >= WAYS_MOST:
            return Way.REFUSED
        _remember(self._lately, (source, destination), (begun, 1))
        return Way.TO_FREE

    def forget(self, source: IpAddress, destination: IpAddress) -> None:
        """Forget who went where: the moment is over."""
        self._lately.pop((source, destination), None)


class Unopened:
    """Page loads that were led to the page while nobody opened it, by subscriber."""

    def __init__(self) -> None:
        self._led: dict[str, tuple[float, int]] = {}

    def leads(self, subscriber_id: str, now: float) -> bool:
        """True when one more page load is led to the page; False when enough were for nothing."""
        since, times = self._led.get(subscriber_id, (now, 0))
        if not 0 <= now - since < LED_WINDOW:
            since, times = now, 0
        _remember(self._led, subscriber_id, (since, times + 1))
        return times < LED_MOST

    def opened(self, subscriber_id: str) -> None:
        """The page was opened."""
        self._led.pop(subscriber_id, None)


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    memory.pop(key, None)
    memory[key] = value
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
