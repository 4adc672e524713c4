# SPDX-License-Identifier: Apache-2.0
"""The languages that ship with the page, by BCP 47 tag. Pure data; a missing text falls back to English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.captive.locales import ar, de, en, es, fr, pt


@dataclass(frozen=True, slots=True)
class Locale:
    """One language: its own name, its direction and its texts."""

    tag: str
    name: str
    direction: str
    """``ltr`` or ``rtl``."""
    months: Sequence[str]
    weekdays: Sequence[str]
    """Monday first."""
    texts: Mapping[str, str]


LOCALES: dict[str, Locale] = {
    tag: Locale(tag, module.NAME, module.DIRECTION, module.MONTHS, module.WEEKDAYS, module.TEXTS)
    for tag, module in (("en", en), ("es", es), ("pt", pt), ("fr", fr), ("de", de), ("ar", ar))
}

RTL = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"})
"""Primary subtags whose usual script runs from right to left: the operator's texts may speak any of them."""
