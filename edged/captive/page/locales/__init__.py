# SPDX-License-Identifier: Apache-2.0
"""The languages that ship with the page, by BCP 47 tag. Pure data; a missing text falls back to English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.captive.page.locales import ar, de, en, es, fr, pt
from edged.captive.page.locales.money import Money


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
    counted: Mapping[str, Sequence[str]]
    """Texts with a number in them, in as many forms as the language has."""
    plural: str
    """Which of the forms a number ``n`` takes, as gettext writes it."""
    money: Money | None
    """None: sums are shown as billing spells them."""


RTL = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"})
"""Primary subtags whose usual script runs from right to left: the operator's texts may speak any of them."""

_TYPESET = (("'", "\u2019"),)
"""The sources are written as a keyboard writes; the page is set as a printer would."""
_TYPESET_FRENCH = (*_TYPESET, (" :", "\u00a0:"), (" ?", "\u202f?"))


def typeset(text: str, tag: str) -> str:
    """``text`` as a printer sets it."""
    for typed, printed in _TYPESET_FRENCH if tag == "fr" else _TYPESET:
        text = text.replace(typed, printed)
    return text


LOCALES: dict[str, Locale] = {
    tag: Locale(
        tag,
        module.NAME,
        module.DIRECTION,
        module.MONTHS,
        module.WEEKDAYS,
        {key: typeset(text, tag) for key, text in module.TEXTS.items()},
        {key: tuple(typeset(form, tag) for form in forms) for key, forms in module.COUNTED.items()},
        module.PLURAL,
        module.MONEY,
    )
    for tag, module in (("en", en), ("es", es), ("pt", pt), ("fr", fr), ("de", de), ("ar", ar))
}
