# SPDX-License-Identifier: Apache-2.0
"""An HTTP response as it came over the wire, and which device takes it for a portal. Octets in, values out. Pure.

RFC 9112; the rules are those of the clients themselves, as far as they are public (``edged.captive.probes``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from edged.captive.probes import Probe

_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: |$)")
_TAG = re.compile(r"<[^>]*>")
_REDIRECTS = range(300, 400)


class Judged(StrEnum):
    """What a client makes of the answer to its check."""

    ONLINE = "online"
    PORTAL = "portal"
    UNDECIDED = "undecided"
    """It asks again later, and shows nothing to sign in at."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response, its body still as it was sent."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case; of several of one name the last."""
    body: str
    """One character an octet."""

    @property
    def location(self) -> str:
        """Where a redirect leads; empty: nowhere."""
        return self.headers.get("location", "") if self.status in _REDIRECTS else ""

    @property
    def leads_to(self) -> str:
        """The host of that place."""
        try:
            return urlsplit(self.location).hostname or ""
        except ValueError:
            return ""


def parse(octets: str) -> HttpAnswer | None:
    """The response at the front of ``octets`` (one character each); None: it is none."""
    head, _, body = octets.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    found = _STATUS.match(first)
    if found is None:
        return None
    fields = (line.partition(":") for line in lines)
    return HttpAnswer(int(found[1]), {name.strip().lower(): value.strip() for name, _, value in fields}, body)


def _exact(probe: Probe, answer: HttpAnswer) -> bool:
    return answer.status == probe.success.status and answer.body.strip() == probe.success.body.decode().strip()


def _apple(_probe: Probe, answer: HttpAnswer) -> Judged:
    words = _TAG.sub(" ", answer.body).split()
    return Judged.ONLINE if answer.status == 200 and words == ["Success", "Success"] else Judged.PORTAL


def _android(_probe: Probe, answer: HttpAnswer) -> Judged:
    if answer.status == 204:
        return Judged.ONLINE
    leads = bool(answer.location) if answer.status in _REDIRECTS else answer.status == 200 and len(answer.body) > 4
    return Judged.PORTAL if leads else Judged.UNDECIDED


def _chrome(_probe: Probe, answer: HttpAnswer) -> Judged:
    if answer.status == 204 or (answer.status == 200 and len(answer.body) <= 1):
        return Judged.ONLINE
    return Judged.PORTAL if 200 <= answer.status < 400 or answer.status == 511 else Judged.UNDECIDED


def _firefox(probe: Probe, answer: HttpAnswer) -> Judged:
    if answer.status == 200:
        return Judged.ONLINE if answer.body == probe.success.body.decode() else Judged.PORTAL
    return Judged.PORTAL if answer.status in _REDIRECTS else Judged.UNDECIDED


def _networkmanager(probe: Probe, answer: HttpAnswer) -> Judged:
    text = probe.success.body.decode()
    is_online = answer.headers.get("x-networkmanager-status") == "online" or (text and answer.body.startswith(text))
    return Judged.ONLINE if is_online else Judged.PORTAL


def _other(probe: Probe, answer: HttpAnswer) -> Judged:
    return Judged.ONLINE if _exact(probe, answer) else Judged.PORTAL


_RULES: dict[str, Callable[[Probe, HttpAnswer], Judged]] = {
    "apple": _apple, "android": _android, "chrome": _chrome, "firefox": _firefox, "networkmanager": _networkmanager,
}  # fmt: skip


def judged(probe: Probe, answer: HttpAnswer | None) -> Judged:
    """What the client of ``probe`` makes of ``answer`` (None: there was none)."""
    return Judged.UNDECIDED if answer is None else _RULES.get(probe.client, _other)(probe, answer)


_POISON = (
    "strict-transport-security", "set-cookie", "alt-svc", "public-key-pins", "clear-site-data",
    "service-worker-allowed",
)  # fmt: skip


def poison(answer: HttpAnswer) -> str:
    """What of an answer for a foreign name would stay after the block; empty: nothing."""
    if answer.status in {301, 308}:
        return f"status {answer.status}, which browsers remember for good"
    found = next((name for name in _POISON if name in answer.headers), "")
    if found:
        return f"{found} for a name that is not yours"
    return "" if "no-store" in answer.headers.get("cache-control", "") else "an answer that may be kept"
