# SPDX-License-Identifier: Apache-2.0
"""Which language a page speaks: Accept-Language and what there is in, a tag out. Pure. RFC 4647."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,3})\s*(?:;\s*q=([01](?:\.\d{0,3})?))?")
_MAX_RANGES = 16
"""A browser sends fewer than ten; the rest is somebody playing."""


def wanted_languages(accept_language: str) -> tuple[str, ...]:
    """The language ranges of the header, most wanted first, ``*`` and refused ones left out."""
    found: list[tuple[float, str]] = []
    for part in accept_language[:1024].split(",")[:_MAX_RANGES]:
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            continue
        quality = float(match[2] or 1)
        if quality > 0:
            found.append((quality, match[1].lower()))
    return tuple(tag for _, tag in sorted(found, key=lambda pair: -pair[0]))


def choose_language(wanted: Iterable[str], available: Iterable[str], default: str = "en") -> str:
    """The first wanted language there is (RFC 4647 3.4); ``pt-BR`` falls back to ``pt`` and back."""
    known = {tag.lower(): tag for tag in available}
    for tag in wanted:
        range_ = tag.lower()
        while range_:
            if range_ in known:
                return known[range_]
            range_ = range_.rpartition("-")[0]
        primary = tag.lower().partition("-")[0]
        for candidate, spelled in known.items():
            if candidate.partition("-")[0] == primary:
                return spelled
    return default
