# SPDX-License-Identifier: Apache-2.0
"""Which keys an operator means, by site, network, state, subscriber and origin. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edged.mpsk.facts import KeyFacts
from edged.state.keys import RETIRED


@dataclass(frozen=True, slots=True)
class Choice:
    """Empty fields choose nothing away."""

    ids: tuple[str, ...] = ()
    site: str = ""
    ssid: str = ""
    subscriber: str = ""
    origin: str = ""
    """``billing`` or ``local``."""
    state: str = ""
    """As ``KeyFacts.standing``; ``weak`` for weak passphrases."""

    @property
    def is_empty(self) -> bool:
        """True when it means every key."""
        return not any((self.ids, self.site, self.ssid, self.subscriber, self.origin, self.state))

    def of(self, facts: Iterable[KeyFacts]) -> list[KeyFacts]:
        """Those meant, in the order given."""
        wanted = frozenset(self.ids)
        return [fact for fact in facts if self._means(fact, wanted)]

    def _means(self, fact: KeyFacts, wanted: frozenset[str]) -> bool:
        return (
            (not wanted or fact.id in wanted)
            and self.site in {"", fact.site}
            and self.ssid in {"", fact.ssid}
            and self.subscriber in {"", fact.subscriber}
            and self.origin in {"", fact.origin}
            and (self.state in {"", fact.standing} or (self.state == "weak" and fact.weak))
        )


def own_live(facts: Iterable[KeyFacts]) -> list[KeyFacts]:
    """The local ones that have not ended, without their passphrases of before."""
    ended = {"revoked", "expired"}
    return [f for f in facts if f.origin == "local" and f.standing not in ended and not f.id.endswith(RETIRED)]
