# SPDX-License-Identifier: Apache-2.0
"""A sheet and a language in, the sentences on it out. Pure; the time zone is passed in.

A sentence stands there only where it is true of this key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo

from markupsafe import Markup

from edged.captive.page.locales import LOCALES, Locale
from edged.captive.page.locales.sheets import SHEETS
from edged.captive.page.sheets.sheet import Sheet
from edged.captive.page.spelling import day_of, form_for
from edged.captive.page.texts import fill

Said = str | Markup
_DEVICES = ("phone", "computer", "screen", "thing")
_NAMES_THE_NETWORK = frozenset({"computer"})
"""Once is enough: an SSID may be 32 characters long."""
_LONG = 24
"""Characters that stand in one line of a sheet at 20 pt."""
_MISREAD = frozenset("0o1li")


@dataclass(frozen=True, slots=True)
class Sayings:
    """What a sheet says in one language."""

    language: str
    zone: tzinfo | None = None

    @property
    def locale(self) -> Locale:
        """The texts."""
        return SHEETS[self.language]

    def say(self, key: str, **values: str) -> Said:
        """A text, its ``{placeholders}`` filled and set apart."""
        return fill(self.locale.texts[key], values)

    def counted(self, key: str, number: int) -> str:
        """A text in the form that ``number`` asks for."""
        forms = self.locale.counted[key]
        return forms[form_for(number, len(forms), self.locale)].replace("{count}", str(number))

    def day(self, moment: float) -> str:
        """The day of ``moment`` (epoch seconds), written out."""
        return day_of(moment, LOCALES[self.language], self.zone)

    def spelt(self, key: str) -> Iterator[Said]:
        """How the key is typed, as far as a reader could wonder."""
        small, capital = (any(test(c) for c in key) for test in (str.islower, str.isupper))
        if small or capital:
            yield self.say("mixed" if small and capital else "small" if small else "capitals")
        marks = set(re.findall(r"[^A-Za-z0-9 ]", key))
        if marks:
            yield self.say("dashes" if marks == {"-"} else "signs")
        if " " in key:
            yield self.say("space")
        elif len(key) > _LONG:
            yield self.say("long")

    def unmistakable(self, key: str) -> bool:
        """True when no sign of the key is taken for another."""
        return not _MISREAD & set(key.lower())

    def good(self, sheet: Sheet) -> Iterator[Said]:
        """For whom the key is good, for how long and for how many devices."""
        yield self.say("own")
        if sheet.begins:
            yield self.say("from", date=self.day(sheet.begins))
        if sheet.ends:
            yield self.say("until", date=self.day(sheet.ends))
        if sheet.old_until:
            yield self.say("old", date=self.day(sheet.old_until))

    def devices(self, sheet: Sheet) -> Iterator[Said]:
        """What the network wants of the devices."""
        yield self.counted("limit", sheet.limit) if sheet.limit else self.say("registered")
        if sheet.own_address:
            yield self.say("address")
        if sheet.hidden:
            yield self.say("hidden")

    def how(self, sheet: Sheet) -> list[tuple[Said, Said]]:
        """How each kind of device joins."""
        values = {"ssid": sheet.ssid}
        texts = self.locale.texts
        return [
            (texts[kind], fill(texts[f"{kind}.how"], values if kind in _NAMES_THE_NETWORK else {})) for kind in _DEVICES
        ]
