# SPDX-License-Identifier: Apache-2.0
"""The texts of the resident's key sheet, by BCP 47 tag. Pure data; none of them is on the page of the portal."""

from __future__ import annotations

from dataclasses import replace

from edged.captive.page.locales import LOCALES, Locale, typeset
from edged.captive.page.locales.sheets import ar, de, en, es, fr, pt

SHEETS: dict[str, Locale] = {
    tag: replace(
        LOCALES[tag],
        texts={key: typeset(text, tag) for key, text in module.TEXTS.items()},
        counted={key: tuple(typeset(form, tag) for form in forms) for key, forms in module.COUNTED.items()},
    )
    for tag, module in (("en", en), ("es", es), ("pt", pt), ("fr", fr), ("de", de), ("ar", ar))
}
"""``name``, ``months`` and all else as on the page. The date's pattern is there too: ``LOCALES[tag].texts["date"]``."""
