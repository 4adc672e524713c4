# SPDX-License-Identifier: Apache-2.0
"""A Page and its words in, what the template shows out, block by block. Pure; the clock is passed in.

What can be pressed is in ``actions``, what stands below it on every page in ``foot``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from math import ceil
from typing import Any

from markupsafe import Markup

from edged.captive.answers import NO_DEBT, Page, Topic
from edged.captive.page.actions import actions
from edged.captive.page.foot import foot
from edged.captive.page.locales import LOCALES
from edged.captive.page.spelling import day_of, is_past, long_date, sum_of, time_of
from edged.captive.page.texts import Phrase, Words, direction
from edged.captive.settings import BrandSettings, PortalSettings
from edged.model import NO_ACCOUNT, Access, Account

OUTCOMES = frozenset({"seen", "later"})
"""What a pressed button may report back on the page of a reminder; the texts are ``outcome.*``."""
CONCERNED = frozenset({Topic.BLOCKED, Topic.NOTICE, Topic.PASS, Topic.LOOKING, Topic.UNSEEN, Topic.AWAY, Topic.USED_UP})
"""The pages on which there is something to pay or to ask about."""
_COUNTED_MINUTES = 60
"""A longer pass shows its end alone: each minute is a line of the page."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Which buttons have somebody behind them now."""

    passes_left: int | None = None
    """None: no passes here. Read on every page about a blocked line, and on that of a running pass."""
    can_check: bool = False
    can_put_away: bool = False
    """Of a reminder."""
    seen_for: float = 0.0
    """Seconds until a reminder that was read returns; 0: the button does not say."""
    later_for: float = 0.0
    """Seconds until a reminder that was put off returns; 0: the button does not say."""


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
    zone: tzinfo | None = None
    """Of the times on the page; None: that of this host."""

    @property
    def account(self) -> Account:
        """What billing gave of the debt."""
        subscriber = self.page.decision.subscriber
        return subscriber.account if subscriber else NO_ACCOUNT

    @property
    def concerned(self) -> bool:
        """True where there is something to pay or to ask about."""
        return self.page.topic in CONCERNED

    @property
    def owing(self) -> bool:
        """True where a payment would help."""
        return self.concerned and self.page.decision.reason not in NO_DEBT

    @property
    def amount(self) -> str:
        """What is due, as the reader's language writes it; empty: not known, or not for this reader."""
        return sum_of(self.account, self.said.locale) if self.page.link and self.owing else ""

    @property
    def until(self) -> str:
        """When a running pass ends; empty: none runs. Also on a page that looks for a payment meanwhile."""
        decision = self.page.decision
        runs = self.concerned and decision.access is Access.PASS and decision.until > self.now
        return time_of(decision.until, self.zone) if runs else ""

    def facts(self) -> dict[str, Any]:
        """The names that the templates use."""
        said = self.said
        return {
            "lang": said.language,
            "dir": direction(said.language),
            "topic": self.page.topic.value,
            "reason": self.page.decision.reason,
            "name": self.brand.name,
            "chip": said.say(f"chip.{Topic.PASS if self._open_meanwhile else self.page.topic}"),
            "title": said.operators("title") or self._title(),
            "text": said.operators("text") or self._text(),
            "note": said.operators_in_any("additional"),
            "outcome": self._outcome(),
            "count": self._count(),
            "facts": self._statement(),
            **actions(self),
            **foot(self),
        }

    @property
    def _open_meanwhile(self) -> bool:
        """True where the heading has to say that a pass runs, and not that the line is paused."""
        return bool(self.until) and self.page.topic in {Topic.PASS, Topic.AWAY}

    def _title(self) -> Phrase:
        if self._open_meanwhile:
            return self.said.built_in("pass.title.until", time=self.until)
        return self.said.built_in(f"{self.said.prefix}.title")

    def _text(self) -> Phrase:
        """The built-in sentence, with what is due in it where that may be shown."""
        said, key = self.said, f"{self.said.prefix}.text"
        if self.page.topic is Topic.STRANGER:
            return said.built_in(key, name=self.brand.name)
        if self.page.topic is Topic.OPENING and self.page.decision.access is Access.PASS:
            return said.built_in(f"{key}.pass")
        due = self.account.due
        if self.page.topic is Topic.NOTICE and is_past(due, self.now, self.zone):
            key = "notice.text.overdue"
        if not (self.amount and due and f"{key}.known" in LOCALES["en"].texts):
            return said.built_in(f"{said.prefix}.text")
        values = {"amount": self.amount, "date": long_date(due, said.locale)}
        if self.account.invoice:
            return said.built_in(f"{key}.invoice", invoice=self.account.invoice, **values)
        return said.built_in(f"{key}.known", **values)

    def _outcome(self) -> object:
        # a reminder that is due again, or was not put away, claims nothing
        shown = self.page.outcome in OUTCOMES and self.page.topic is Topic.NOTICE and not self.page.decision.reminds
        return self.said.say(f"outcome.{self.page.outcome}") if shown else ""

    def _count(self) -> dict[str, Any] | None:
        """What a running pass has left; on its own page a line for each minute, shown by the style sheet in turn."""
        left = self.page.decision.until - self.now
        if not self.until:
            return None
        minutes = ceil(left / 60)
        said, first = self.said, left - (minutes - 1) * 60
        lines = [said.counted("minutes.left", number) for number in range(minutes, 0, -1)]
        counts = minutes <= _COUNTED_MINUTES and self.page.topic is Topic.PASS
        rules = (
            f".left li:nth-child({line + 2}){{animation-delay:{first + 60 * line:.0f}s}}" for line in range(minutes)
        )
        return {
            "title": said.say("count.title"),
            "now": lines[0] if counts else "",
            "lines": [*lines, said.say("count.over")] if counts else [],
            "then": said.say("pass.then", time=self.until),
            "uses": said.counted("pass.left", self.desk.passes_left) if self.desk.passes_left else "",
            "style": Markup("".join(rules)) if counts else "",  # noqa: S704  # numbers alone
        }

    def _statement(self) -> list[dict[str, Any]]:
        """What only the holder of a signed link sees."""
        account, subscriber, said = self.account, self.page.decision.subscriber, self.said
        if not (self.page.link and subscriber and self.concerned):
            return []
        invoice, due = (account.invoice, account.due) if self.owing else ("", "")
        # where there is a due day, one day more would only confuse
        since = 0.0 if due or self.page.topic is Topic.NOTICE else self.page.decision.since
        rows = (
            ("amount", self.amount, True),
            ("invoice", invoice, True),
            ("due", long_date(due, said.locale) if due else "", False),
            ("since", day_of(since, said.locale, self.zone) if since else "", False),
            ("customer", shortened(subscriber.id), True),
            ("name", masked(account.name), False),
        )
        return [
            {"label": said.say(f"fact.{key}"), "value": value, "sum": key == "amount", "ltr": ltr}
            for key, value, ltr in rows
            if value
        ]


def shortened(number: str) -> str:
    """The last four of a customer number, and a sign that more stand before them: it is to be compared."""
    return number if len(number) <= 4 else f"…{number[-4:]}"


def masked(name: str) -> str:
    """A name as a flatmate may see it: all but the last word cut to its first letter."""
    parts = name.split()
    if len(parts) < 2:
        return f"{name.strip()[:1]}…" if parts else ""
    return " ".join((*(f"{part[0]}…" for part in parts[:-1]), parts[-1]))
