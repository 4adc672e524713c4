# SPDX-License-Identifier: Apache-2.0
"""Ids, addresses and names in, stand-ins for a picture that others may see out. Pure.

The same id has the same stand-in as long as the daemon runs; what it stands for cannot be had from it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![:-])"
    r"|(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]+(?:\.\d+)*)(?:/\d{1,3})?(?!\w)"
)
"""An IPv4 or IPv6 address or prefix, or a MAC address."""
_WORD = re.compile(r"[^\s,;()\"“”]+")
HIDDEN = "•••"


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides who is who."""

    key: bytes
    """Drawn at each start."""
    is_id: Callable[[str], bool] = lambda _: False
    """Whether a word is an id, a login or a key's name."""

    def one(self, name: str) -> str:
        """The stand-in of an id."""
        return f"#{hmac.new(self.key, name.encode(), hashlib.sha256).hexdigest()[:4]}" if name else ""

    def text(self, sentence: str) -> str:
        """``sentence`` without addresses and ids."""
        return _WORD.sub(self._word, _ADDRESS.sub(HIDDEN, sentence))

    def _word(self, match: re.Match[str]) -> str:
        word = match[0]
        bare = word.strip(".:?!'")
        return word.replace(bare, self.one(bare)) if bare and self.is_id(bare) else word


class Bare(Mask):
    """Hides nothing."""

    __slots__ = ()

    def one(self, name: str) -> str:
        """``name`` itself."""
        return name

    def text(self, sentence: str) -> str:
        """``sentence`` itself."""
        return sentence


BARE = Bare(b"")
