# SPDX-License-Identifier: Apache-2.0
"""Which words a page says: the operator's in the reader's language, else the built-in ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from edged.captive.answers import Topic
from edged.captive.page.languages import choose_language
from edged.captive.page.locales import LOCALES, RTL, Locale
from edged.captive.page.spelling import form_for
from edged.captive.settings import BrandSettings, TextSettings

TRANSLATED = ("title", "text", "button", "additional", "hours", "help")
"""The texts of an operator that are there by language."""
_ENGLISH = LOCALES["en"]
_FALLBACK = TextSettings()


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text and, where it is not the page's own, its language and direction (WCAG 3.1.2)."""

    text: str | Markup
    lang: str = ""
    dir: str = ""

    @property
    def plain(self) -> str:
        """The text without marks, for the title of the window."""
        return self.text.striptags() if isinstance(self.text, Markup) else self.text

    def __html__(self) -> str:
        """The text in a document; in another language it says so."""
        if not self.lang:
            return str(escape(self.text))
        return str(Markup('<span lang="{}" dir="{}">{}</span>').format(self.lang, self.dir, self.text))


def direction(tag: str) -> str:
    """``rtl`` or ``ltr``."""
    return "rtl" if tag.partition("-")[0].lower() in RTL else "ltr"


def _translations(texts: TextSettings) -> Iterator[Mapping[str, str]]:
    for field in TRANSLATED:
        translated = getattr(texts, field)
        if translated:
            yield translated


def spoken(brand: BrandSettings) -> tuple[str, ...]:
    """Every language of a page of ``brand``: the built-in ones, then those of the operator's texts."""
    own = [tag for texts in (brand, *brand.reasons.values()) for t in _translations(texts) for tag in t]
    # pt-BR of the operator joins the built-in pt: one link, and the choice of text finds either
    extra = (tag for tag in own if tag.partition("-")[0] not in LOCALES)
    return tuple(dict.fromkeys((*LOCALES, *extra)))


def default_language(brand: BrandSettings) -> str:
    """English, unless the operator wrote texts and none of them in English."""
    own = [tag for t in _translations(brand) for tag in t]
    return "en" if not own or any(tag.partition("-")[0] == "en" for tag in own) else own[0]


def in_language(translated: Mapping[str, str] | None, language: str) -> str | None:
    """The text in ``language`` or its closest kin; None when there is none."""
    if not translated:
        return None
    tag = choose_language((language,), translated, default="")
    return translated[tag] if tag else None


@dataclass(frozen=True, slots=True)
class Words:
    """The words for one page: ``own`` most particular first."""

    language: str
    prefix: str
    """Of the built-in texts, for example ``blocked.unpaid``."""
    own: tuple[TextSettings, ...]
    desk: tuple[TextSettings, ...] = ()
    """Who gives help, most particular first: true on every page, as the other texts are not."""

    @property
    def locale(self) -> Locale:
        """The built-in language closest to the page's."""
        return LOCALES[choose_language((self.language,), LOCALES)]

    def built_in(self, key: str, **values: str) -> Phrase:
        """A built-in text with its ``{placeholders}`` filled; each value stands in its own <bdi>."""
        locale = self.locale if key in self.locale.texts else _ENGLISH
        return self._phrase(fill(locale.texts[key], values), locale.tag)

    def say(self, key: str, **values: str) -> str | Markup:
        """As ``built_in``, the text alone."""
        return self.built_in(key, **values).text

    def counted(self, key: str, number: int) -> str:
        """A built-in text in the form that ``number`` asks for."""
        locale = self.locale if key in self.locale.counted else _ENGLISH
        forms = locale.counted[key]
        # bare figures keep their order among words of either direction
        return forms[form_for(number, len(forms), locale)].replace("{count}", str(number))

    def operators(self, field: str) -> Phrase | None:
        """The operator's text for ``field`` in the reader's language; None when there is none."""
        return self._in_language(self.own, field)

    def _in_language(self, own: tuple[TextSettings, ...], field: str) -> Phrase | None:
        for texts in own:
            text = in_language(getattr(texts, field), self.language)
            if text:
                return Phrase(text)
        return None

    def operators_in_any(self, field: str) -> Phrase | None:
        """As ``operators``, else in English, else in whatever language there is: better than silence."""
        return self._in_any(self.own, field)

    def help_in_any(self, field: str) -> Phrase | None:
        """As ``operators_in_any``, of the texts that help on every page: ``hours`` and ``help``."""
        return self._in_any(self.desk, field)

    @property
    def phone(self) -> str:
        """The number to call; empty: the operator named none."""
        return next((texts.phone for texts in self.desk if texts.phone), "")

    def _in_any(self, own: tuple[TextSettings, ...], field: str) -> Phrase | None:
        found = self._in_language(own, field)
        if found is not None:
            return found
        for texts in own:
            translated: Mapping[str, str] = getattr(texts, field) or {}
            for tag in ("en", *translated):
                if translated.get(tag):
                    return self._phrase(translated[tag], tag)
        return None

    def _phrase(self, text: str | Markup, tag: str) -> Phrase:
        same = tag.partition("-")[0] == self.language.partition("-")[0]
        return Phrase(text) if same else Phrase(text, tag, direction(tag))


_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_LEFT_TO_RIGHT = frozenset({"host", "amount", "time", "phone", "invoice", "reference", "link"})
"""Never reordered among right-to-left words, or "+965 2221" reads backwards."""

_MARKED = {False: Markup("<bdi>{}</bdi>"), True: Markup('<bdi dir="ltr">{}</bdi>')}


def fill(pattern: str, values: Mapping[str, str]) -> str | Markup:
    """``pattern`` with its placeholders replaced and all escaped; without values it is left alone."""
    if not values:
        return pattern

    def value(match: re.Match[str]) -> str:
        return _MARKED[match[1] in _LEFT_TO_RIGHT].format(values[match[1]])

    return Markup(_PLACEHOLDER.sub(value, str(escape(pattern))))  # noqa: S704  # every part was escaped just above


def words(brand: BrandSettings, topic: Topic, reason: str, language: str) -> Words:
    """The words of a ``topic`` (and, while blocked, ``reason``) of ``brand`` in ``language``.

    The brand's own texts are about a blocked line; they would be untrue on any other page.
    """
    of_topic, of_reason = (brand.reasons.get(name, _FALLBACK) for name in (topic.value, reason))
    desk = (of_topic, of_reason, brand)
    if topic is not Topic.BLOCKED:
        return Words(language, topic.value, (of_topic,), desk)
    prefix = f"blocked.{reason}" if f"blocked.{reason}.title" in _ENGLISH.texts else "blocked"
    return Words(language, prefix, (of_reason, brand), desk)
