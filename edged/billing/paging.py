# SPDX-License-Identifier: Apache-2.0
"""One page of the open feed in, its parts and the address of the next one out. Pure. RFC 3986, section 5."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit

from edged.billing.feed_fields import Wrong, found, items, text
from edged.billing.reading import check_revision
from edged.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class Page:
    """The envelope of one list, or of one file."""

    objects: object
    """The list as it came; the mapping judges it."""
    revision: str = ""
    total: int | None = None
    known: int | None = None
    next: str = ""
    removed: tuple[str, ...] | None = None
    """Ids that are active again (or revoked); None: this is a full list."""


_HEAD = 4096
"""Octets in which a page of HTML begins, whatever blanks stand before it."""


def parse_json(octets: bytes) -> Any:
    """The JSON value in ``octets``. UpstreamError for anything else, whatever it is."""
    if octets[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise UpstreamError("the reading is refused: a web page came, not the API")
    try:
        return json.loads(octets, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        # the decoder's message may quote the text around the fault: not repeated
        raise UpstreamError(f"the reading is refused: not JSON{place}") from None


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def parse_page(document: object, kind: str) -> Page:
    """The page of ``kind`` (``subscribers`` or ``keys``) in ``document``. UpstreamError."""
    if not isinstance(document, dict):
        raise UpstreamError(f"the reading is refused: expected an object, found {found(document)}")
    if kind not in document:
        raise UpstreamError(f"the reading is refused: {kind} is missing")
    following = document.get("next", "")
    if not isinstance(following, str):
        raise UpstreamError(f"the reading is refused: next: expected text, found {found(following)}")
    return Page(
        objects=document[kind],
        revision=check_revision(document.get("revision")),
        total=_count(document, "total"),
        known=_count(document, "known"),
        next=following,
        removed=_ids(document["removed"]) if "removed" in document else None,
    )


_REMOVED = items(10**6, text(128, required=True))  # more than any provider has


def _count(document: dict[str, object], name: str) -> int | None:
    value = document.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**12:
        raise UpstreamError(f"the reading is refused: {name}: expected a count, found {found(value)}")
    return value if name in document else None


def _ids(value: object) -> tuple[str, ...]:
    try:
        return tuple(_REMOVED(value))
    except Wrong as error:
        raise UpstreamError(f"the reading is refused: removed: {error}") from None


def next_address(base: str, current: str, following: str) -> str:
    """The absolute address that ``following`` means on page ``current``. UpstreamError off ``base``'s origin.

    A path is counted from ``base``, as the feed writes it, also where ``base`` itself has a path.
    """
    root = urlsplit(base)
    prefix = root.path.rstrip("/")
    if following.startswith("/") and not following.startswith(("//", f"{prefix}/")):
        following = prefix + following
    try:
        address = urljoin(current, following)
        there = urlsplit(address)[:2]
    except ValueError:
        raise UpstreamError("the reading is refused: next is no address") from None
    # the bearer key goes with every request: it must not leave for another host, nor in clear
    if there != root[:2]:
        raise UpstreamError("the reading is refused: next leads to another server")
    return address
