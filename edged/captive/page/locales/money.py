# SPDX-License-Identifier: Apache-2.0
"""How a language writes a sum, as data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Money:
    """How a language writes a sum."""

    decimal: str
    group: str
    """Between thousands."""
    grouped_from: int
    """Digits before the decimal separator from which thousands are set apart."""
    pattern: str
    """Of ``{amount}`` and ``{currency}``."""
    symbols: Mapping[str, str]
    """ISO 4217 code to the sign that every reader of this language takes for it."""
