# SPDX-License-Identifier: Apache-2.0
"""An example of every page that there can be, to try templates and texts with before a subscriber sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edged.captive.answers import Page, Topic
from edged.captive.page.content import Desk
from edged.model import Access, Account, State, Subscriber
from edged.policy.access import Decision, Rule

NOW = 1_795_000_000.0
"""The moment of every example: Wednesday, 18 November 2026, 11:06:40 UTC."""
DESK = Desk(passes_left=2, can_check=True, can_put_away=True, seen_for=86400.0, later_for=4 * 3600.0)
REASONS = ("unpaid", "new", "quota", "abuse", "disabled", "")
_ACCOUNT = Account(
    "Ana Maria Example", "49.90", "EUR", "2026-11-01", "https://customer.example.net/pay/7f3a", invoice="2026-1187"
)
_ACCESS = {
    Topic.NOTICE: (Access.NOTICE, State.NOTICE),
    Topic.PASS: (Access.PASS, State.BLOCKED),
    Topic.OPEN: (Access.OPEN, None),
    Topic.DRAIN: (Access.DRAIN, None),
    Topic.STRANGER: (Access.STRANGER, None),
    Topic.RESTORED: (Access.DRAIN, None),
}
"""What edged does with a line that sees the page, and billing's word; a page not here is about a blocked line."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One page, about one brand's subscriber."""

    brand: str
    topic: Topic
    reason: str = ""
    signed: bool = False
    """Opened by a signed link: with name and sum."""

    @property
    def name(self) -> str:
        """For a file or a list: ``blocked-unpaid-signed``."""
        own = [self.reason.replace("/", "_") or "no-reason"] if self.topic is Topic.BLOCKED else []
        return "-".join([self.topic.value, *own, *(["signed"] if self.signed else [])])

    def page(self, language: str) -> Page:
        """The page, asked for in ``language``."""
        access, state = _ACCESS.get(self.topic, (Access.BLOCKED, State.BLOCKED))
        subscriber = None
        if state is not None:
            subscriber = Subscriber("20417", state, self.reason, NOW - 9 * 86400, brand=self.brand, account=_ACCOUNT)
        elif self.brand != "default":
            subscriber = Subscriber("20417", State.ACTIVE, brand=self.brand)
        decision = Decision(
            access, Rule.BILLING, subscriber, reason=self.reason, since=NOW - 9 * 86400,
            until=NOW + 707 if self.topic is Topic.PASS else 0.0,
        )  # fmt: skip
        signed = {"link": "example"} if self.signed else {}
        return Page(self.topic, decision, language=language, reference="T12-7K4M", at=NOW - 220, **signed)


_SIGNED = (Topic.NOTICE, Topic.PASS, Topic.LOOKING, Topic.UNSEEN, Topic.AWAY, Topic.USED_UP)


def proofs(brand: str, reasons: Iterable[str] = ()) -> Iterator[Proof]:
    """Every page of ``brand``; ``reasons`` are those that the operator has texts for."""
    own = (reason for reason in reasons if reason not in {topic.value for topic in Topic})
    for reason in dict.fromkeys((*REASONS, *own)):
        yield Proof(brand, Topic.BLOCKED, reason)
        yield Proof(brand, Topic.BLOCKED, reason, signed=True)
    for topic in Topic:
        if topic is not Topic.BLOCKED:
            yield Proof(brand, topic, "unpaid" if topic in _SIGNED else "")
        if topic in _SIGNED:
            yield Proof(brand, topic, "unpaid", signed=True)
