# SPDX-License-Identifier: Apache-2.0
"""What an edge asks of the hub, and what it is answered: values. Pure. RFC 9110, RFC 7240 (wait)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, unquote

from edged.billing.signing import digest

LONGEST_WAIT = 55
"""Seconds that a question may be kept: most proxies give up after a minute."""
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*([0-9]{1,4})\s*(?:,|;|$)")
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))", re.IGNORECASE)
_QUERY = 512
_DIGITS = 6
"""Of the number of a page."""
_SMALL = 512
"""Octets that are not worth compressing."""


class Asked(StrEnum):
    """What a request is about: the labels of a metric."""

    LIST = "list"
    CHANGES = "changes"
    ONE = "one"
    REPORT = "report"
    EVENTS = "events"
    REFUSED = "refused"
    """Without a key, of no known path or method, or malformed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request."""

    method: str
    raw_path: str
    """As it stands in the request line, percent-encoded, with its query."""
    fields: Mapping[str, str]
    """Header fields by lower-case name."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """Without the query, percent-encoded."""
        return self.raw_path.partition("?")[0]

    @property
    def query(self) -> str:
        """Without its ``?``, percent-encoded."""
        return self.raw_path.partition("?")[2]

    def below(self, base: str) -> tuple[str, ...] | None:
        """The parts of the path below ``base``, decoded; None: it is not below it, or not UTF-8."""
        if not self.path.startswith(f"{base}/"):
            return None
        parts = self.path.removeprefix(f"{base}/").split("/")
        try:
            return tuple(unquote(part, errors="strict") for part in parts)
        except UnicodeDecodeError:
            return None

    def asked(self, name: str) -> str:
        """The value of ``name`` in the query where it stands there once; else empty."""
        if len(self.query) > _QUERY:
            return ""
        values = parse_qs(self.query, errors="replace").get(name, [])
        return values[0] if len(values) == 1 else ""

    @property
    def page(self) -> int:
        """The number of the page that is asked for, from 1; 0: none that there can be."""
        said = self.asked("page") or "1"
        return int(said) if said.isascii() and said.isdigit() and len(said) <= _DIGITS else 0

    @property
    def wait(self) -> int:
        """Seconds that the asker would wait for a change (RFC 7240 section 4.3); 0: none."""
        found = _WAIT.search(self.fields.get("prefer", ""))
        return min(int(found[1]), LONGEST_WAIT) if found else 0

    def has(self, tag: str) -> bool:
        """True when the asker has what ``tag`` names, by the weak comparison (RFC 9110 section 13.1.2)."""
        return bool(tag) and any(f'W/"{each}"' == tag for each in _TAG.findall(self.fields.get("if-none-match", "")))

    @property
    def takes_gzip(self) -> bool:
        """True when the answer may come with gzip."""
        return _GZIP.search(self.fields.get("accept-encoding", "")) is not None


@dataclass(frozen=True, slots=True)
class Body:
    """A body, kept compressed where that is worth it, and the digest of what it says."""

    octets: bytes
    coded: bool
    digest: str

    @classmethod
    def of(cls, octets: bytes) -> Body:
        """``octets`` as they are kept."""
        coded = len(octets) > _SMALL
        return cls(gzip.compress(octets, 1, mtime=0) if coded else octets, coded, digest(octets))

    def plain(self) -> bytes:
        """Before any coding."""
        return gzip.decompress(self.octets) if self.coded else self.octets


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    asked: Asked
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def plain(status: int, asked: Asked, *, retry_after: int = 0) -> Answer:
    """An answer that says nothing but its status, and is not signed."""
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry_after)} if retry_after else {})
    return Answer(status, asked, None, headers)


def not_taken(*methods: str) -> Answer:
    """What answers a method that is none of those that a resource takes (RFC 9110 section 15.5.6)."""
    return Answer(405, Asked.REFUSED, None, {"Cache-Control": "no-store", "Allow": ", ".join(methods)})
