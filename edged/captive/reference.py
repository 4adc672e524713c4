# SPDX-License-Identifier: Apache-2.0
"""A subscriber's page reference, for the telephone: site and id in, ``T12-7K4M`` out, and back by trying. Pure.

No secret and no proof: it names a line to the help desk. Keyed, so it tells nothing about the id (RFC 2104).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which are misheard or misread."""
_DIGITS = 4
"""A million codes: of a thousand listed subscribers one in a thousand shares theirs, and both are named."""
_MASK = (1 << 5 * _DIGITS) - 1
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})
_FORM = re.compile(r"([A-Z0-9]{1,6})[-\s]?([0-9A-Z]{4})")
_PURPOSE = b"edged page reference\x00"


def site_letters(site: str) -> str:
    """The short form of a site: the first letter of each word and its numbers, ``tower-12`` as ``T12``."""
    parts = re.findall(r"[A-Za-z]+|[0-9]+", site)
    return "".join(part if part.isdigit() else part[0] for part in parts).upper()[:6] or "E"


def make_reference(key: bytes, site: str, subscriber_id: str) -> str:
    """The reference of one subscriber; the same for as long as key, site and id are."""
    number = _number(key, _PURPOSE + site.encode() + b"\x00", subscriber_id)
    code = "".join(ALPHABET[number >> 5 * place & 31] for place in range(_DIGITS))
    return f"{site_letters(site)}-{code}"


def _number(key: bytes, purpose: bytes, subscriber_id: str) -> int:
    digest: bytes = hmac.digest(key, purpose + subscriber_id.encode(), "sha256")
    return int.from_bytes(digest[:4]) & _MASK


def parse_reference(text: str) -> str:
    """``text`` as ``make_reference`` spells it, in whatever case and with the usual slips; empty: it is none."""
    match = _FORM.fullmatch(text.strip().upper())
    code = match[2].translate(_MISREAD) if match else ""
    return f"{match[1]}-{code}" if match and set(code) <= set(ALPHABET) else ""


def is_of_site(reference: str, site: str) -> bool:
    """True when ``reference`` (as parsed) may be one of this site's."""
    return reference.rpartition("-")[0] == site_letters(site)


def find_referenced(key: bytes, site: str, reference: str, ids: Iterable[str]) -> tuple[str, ...]:
    """Every one of ``ids`` whose reference this (as parsed) is: usually one. Some microseconds each."""
    letters, _, code = reference.rpartition("-")
    if letters != site_letters(site):
        return ()
    wanted = sum(ALPHABET.index(digit) << 5 * place for place, digit in enumerate(code))
    purpose = _PURPOSE + site.encode() + b"\x00"
    return tuple(one for one in ids if _number(key, purpose, one) == wanted)
