# SPDX-License-Identifier: Apache-2.0
"""What Splynx does not tell at present, in; whether that is news, and the sentence that matters most, out. Pure."""

from __future__ import annotations

from edged.billing.splynx.needs import CHANGES, INVOICES, NEEDS, ONLINE, PARTNERS

UNREAD = "splynx-values-unreadable"
OVERLAP = "splynx-active-customers-overlap"
_ORDER = (ONLINE, INVOICES, CHANGES, UNREAD, OVERLAP, PARTNERS)
"""Who stays open by mistake first, then what a page lacks, then what costs time; a brand last."""


class Standing:
    """Warnings that stand, by what they are about: a path, or an event of the log."""

    __slots__ = ("_sentences",)

    def __init__(self) -> None:
        self._sentences: dict[str, str] = {}

    def refused(self, path: str) -> bool:
        """The key may not view ``path``. True: that is news."""
        need = NEEDS[path]
        return self._put(path, f"{need.without}: the API key may not view {need.what}")

    def failed(self, path: str, error: str) -> bool:
        """``path`` cannot be read. True: that is news."""
        need = NEEDS[path]
        return self._put(path, f"{need.unread or need.without}: {error}")

    def counted(self, event: str, count: int) -> bool:
        """So many values concern ``event``. True: there are some, and not as many as before."""
        if not count:
            self.over(event)
            return False
        one = count == 1
        if event == UNREAD:
            return self._put(event, f"{count} {'value' if one else 'values'} of billing's lists cannot be read")
        lines = "address, device or login" if one else "addresses, devices or logins"
        verb = "belongs to an active one and is" if one else "belong to active ones and are"
        return self._put(event, f"{count} {lines} of restricted customers {verb} left out")

    def over(self, subject: str) -> None:
        """Nothing is wrong with ``subject`` any more."""
        self._sentences.pop(subject, None)

    @property
    def trouble(self) -> str:
        """The sentence that matters most, without a full stop; empty: nothing stands."""
        return next((self._sentences[subject] for subject in _ORDER if subject in self._sentences), "")

    def _put(self, subject: str, sentence: str) -> bool:
        before, self._sentences[subject] = self._sentences.get(subject), sentence
        return before != sentence
