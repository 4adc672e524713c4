# SPDX-License-Identifier: Apache-2.0
"""A Page and its words in, what the template shows out, block by block. Pure; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edged.captive.answers import NO_DEBT, Page, Topic
from edged.captive.locales import LOCALES
from edged.captive.settings import BrandSettings, PortalSettings
from edged.captive.statement import MAX_ID_OCTETS, Purpose, make_token
from edged.captive.texts import Phrase, Words, direction, long_date, spoken
from edged.model import NO_ACCOUNT, Account

BUTTON_LIFE = 3600.0
"""Seconds a button works: as long as a person may leave the page open before reading it afresh."""
OUTCOMES = {"check": Topic.BLOCKED, "pass-used": Topic.BLOCKED, "seen": Topic.NOTICE, "later": Topic.NOTICE}
"""What a pressed button may report back, and on which page; the texts are ``outcome.*``."""
_OWING = frozenset({Topic.BLOCKED, Topic.NOTICE, Topic.PASS})
"""The pages on which there is something to pay or to ask about."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Which buttons have somebody behind them now."""

    passes_left: int | None = None
    """None: no passes here."""
    can_check: bool = False
    can_put_away: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """All that one page is made of."""

    page: Page
    said: Words
    brand: BrandSettings
    settings: PortalSettings
    link_key: bytes
    desk: Desk
    now: float

    @property
    def account(self) -> Account:
        """What billing gave of the debt."""
        subscriber = self.page.decision.subscriber
        return subscriber.account if subscriber else NO_ACCOUNT

    @property
    def owing(self) -> bool:
        """True where a payment would help."""
        return self.page.topic in _OWING and self.page.decision.reason not in NO_DEBT

    def facts(self) -> dict[str, Any]:
        """The names that the template uses."""
        said = self.said
        return {
            "lang": said.language,
            "dir": direction(said.language),
            "topic": self.page.topic.value,
            "name": self.brand.name,
            "chip": said.say(f"chip.{self.page.topic}"),
            "title": said.operators("title") or said.built_in(f"{said.prefix}.title"),
            "text": said.operators("text") or self._text(),
            "note": said.operators_in_any("additional"),
            "outcome": self._outcome(),
            "facts": self._statement(),
            "button": self._button(),
            **self._second_choices(),
            **self._foot(),
        }

    def _text(self) -> Phrase:
        """The built-in sentence, with the sum and the date in it where they may be shown."""
        said, key = self.said, f"{self.said.prefix}.text"
        if self.page.topic is Topic.STRANGER:
            return said.built_in(key, name=self.brand.name)
        amount, due = _amount(self.account), self.account.due
        if self.page.link and amount and due and f"{key}.known" in LOCALES["en"].texts:
            return said.built_in(f"{key}.known", amount=amount, date=long_date(due, said.locale))
        return said.built_in(key)

    def _outcome(self) -> object:
        shown = OUTCOMES.get(self.page.outcome) is self.page.topic
        if self.page.topic is Topic.NOTICE and self.page.decision.reminds:
            shown = False  # it is due again, or was not put away
        return self.said.say(f"outcome.{self.page.outcome}") if shown else ""

    def _statement(self) -> list[dict[str, Any]]:
        """What only the holder of a signed link sees, and the minutes of a pass."""
        account, subscriber, rows = self.account, self.page.decision.subscriber, []
        if self.page.topic is Topic.PASS and self.page.decision.until > self.now:
            minutes = str(max(1, round((self.page.decision.until - self.now) / 60)))
            rows.append(("fact.minutes", minutes, "ltr"))
        if self.page.link and self.page.topic in _OWING:
            due = long_date(account.due, self.said.locale) if account.due else ""
            rows += [("fact.amount", _amount(account), "ltr"), ("fact.due", due, "")]
        if self.page.link and subscriber:
            rows += [("fact.name", masked(account.name), ""), ("fact.customer", subscriber.id[-4:], "ltr")]
        return [
            {"label": self.said.say(key), "value": value, "sum": key == "fact.amount", "ltr": bool(ltr)}
            for key, value, ltr in rows
            if value
        ]

    def _button(self) -> dict[str, Any] | None:
        said = self.said
        if self.page.topic is Topic.MISSING:
            return {"href": "/", "label": said.built_in("missing.button"), "opens": ""}
        href = self._destination()
        if not href:
            return None
        label = said.operators("button")
        if label is None and self.page.link and self.owing and _amount(self.account):
            label = said.built_in("pay.amount", amount=_amount(self.account))
        host = urlsplit(href).hostname
        return {
            "href": href,
            "label": label or said.built_in(f"{said.prefix}.button"),
            "opens": said.say("opens", host=host) if host else "",
        }

    def _destination(self) -> str:
        """The subscriber's own pay link wins, save where paying is not what helps; empty: no button."""
        if self.page.topic not in _OWING:
            return ""
        particular = next((texts.link for texts in self.said.own if texts.link and texts is not self.brand), "")
        pay_url = self.account.pay_url if _is_web(self.account.pay_url) else ""
        order = (pay_url, particular) if self.owing else (particular, pay_url)
        return next(filter(None, (*order, self.brand.link)), "")

    def _second_choices(self) -> dict[str, Any]:
        """Forms with a signed token, and a plain link where there is nobody to ask."""
        page, said, subscriber, forms = self.page, self.said, self.page.decision.subscriber, []
        if (
            page.topic in {Topic.BLOCKED, Topic.NOTICE}
            and subscriber
            and 0 < len(subscriber.id.encode()) <= MAX_ID_OCTETS
        ):
            expires = self.now + BUTTON_LIFE
            fields = {
                "token": make_token(self.link_key, Purpose.BUTTON, subscriber.id, expires),
                "link": page.link,
            }
            blocked = page.topic is Topic.BLOCKED
            if self.desk.can_put_away and not blocked:
                forms += [
                    {"action": f"/{name}", "label": said.say(f"notice.{name}"), "more": "", **fields}
                    for name in ("seen", "later")
                ]
            if self.desk.can_check and self.owing and blocked:
                forms.append({"action": "/check", "label": said.say("check"), "more": "", **fields})
            if self.desk.passes_left and self.owing and blocked and self.settings.pass_ is not None:
                minutes = str(max(1, round(self.settings.pass_.length / 60)))
                label, more = said.say("pass.start", minutes=minutes), str(self.desk.passes_left)
                more = said.say("pass.left", count=more)
                forms.append({"action": "/pass", "label": label, "more": more, **fields})
        asks = page.topic is Topic.MISSING or any(form["action"] in {"/check", "/seen"} for form in forms)
        here = f"/s/{page.link}" if page.link else "/"
        return {"forms": forms, "again": None if asks else {"href": here, "label": said.say("again")}}

    def _foot(self) -> dict[str, Any]:
        said, host, concerns = self.said, self.settings.host, self.page.topic in _OWING
        help_key = "help.text" if self.owing else "help.disabled"
        return {
            "help": {"title": said.say("help.title"), "text": said.say(help_key)} if concerns else None,
            "real": {
                "title": said.say("real.title"),
                "text": said.say("real.text", host=host),
                "browser": said.say("browser", host=host) if concerns else "",
            },
            "languages": {
                "label": said.say("languages"),
                "choices": [
                    {"tag": tag, "name": LOCALES[tag].name if tag in LOCALES else tag, "dir": direction(tag)}
                    for tag in spoken(self.brand)
                ],
            },
        }


def masked(name: str) -> str:
    """A name as a flatmate may see it: all but the last word cut to its first letter."""
    parts = name.split()
    if len(parts) < 2:
        return f"{name.strip()[:1]}…" if parts else ""
    return " ".join((*(f"{part[0]}…" for part in parts[:-1]), parts[-1]))


def _amount(account: Account) -> str:
    return f"{account.amount_due} {account.currency}".strip() if account.amount_due else ""


def _is_web(url: str) -> bool:
    """True for a link that may stand behind a button; billing's text is not the operator's configuration."""
    try:
        return urlsplit(url).scheme in {"https", "http"} and bool(urlsplit(url).hostname)
    except ValueError:
        return False
