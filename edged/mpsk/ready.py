# SPDX-License-Identifier: Apache-2.0
"""Answers at hand: the same device at the same access point asks the same again. Octets in, ``Ready`` out. Pure.

An answer is good while it would come out the same: as long as keys, policy and settings are those it was made from, and
no end of any of them has come. What changes with the clock alone is never kept.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple, TypeVar

from edged.mpsk.keyring import Keyring
from edged.mpsk.memory import Grant
from edged.mpsk.outcome import Accept, Outcome, Reason, Reject
from edged.mpsk.question import Question
from edged.mpsk.settings import MpskSettings
from edged.policy.access import View
from edged.radius.packet import Answer
from edged.radius.settings import ClientSettings
from edged.state.keys import KeyId
from edged.values import IpAddress, MacAddress

MOST = 16_384
"""Answers kept, some 1.5 KB each: the devices of three large buildings; the oldest goes first. As many requests."""
LONGEST = 512
"""Octets of a request that is kept: a MAC look-up has some two hundred."""

LIFE = 86400.0
"""Seconds after which an answer is made anew although nothing has changed: devices are seen by the day."""
NEVER = -1
"""No edition: only the question is kept."""

_Asked = tuple[MacAddress, str, str, str, bool]
_K = TypeVar("_K")


class Ready(NamedTuple):
    """A question that was asked before, and its answer."""

    client: ClientSettings
    source: IpAddress
    settings: MpskSettings
    """What the question was read with; compared by identity, as client and source are."""
    question: Question
    edition: int = NEVER
    """Of which of the ``Editions`` the answer is."""
    answer: Answer | None = None
    place: tuple[str, MacAddress] = ("", MacAddress(""))
    last: tuple[str, str, bool, str, KeyId | None, int | None] = ("", "", False, "", None, None)
    """A ``Last`` but for its time and how often."""
    grant: Grant | None = None
    reason: Reason | None = None
    """Why it is a reject; None: it is an accept."""


class Editions:
    """The number of the edition of everything that answers are made from."""

    __slots__ = ("_grounds", "_number", "_ring", "_settings", "_since", "_until", "_view")

    def __init__(self) -> None:
        self._view: View | None = None
        self._ring: Keyring | None = None
        self._settings: MpskSettings | None = None
        self._grounds: tuple[object, ...] = ()
        self._since = self._until = 0.0
        self._number = 0

    def at(self, view: View, ring: Keyring, settings: MpskSettings, now: float) -> int:
        """Another number whenever an answer might be another: these three have changed, or an end has come."""
        within = self._since <= now < self._until
        if within and view is self._view and ring is self._ring and settings is self._settings:
            return self._number
        # a view is replaced for every session, too: what a key's holder gets hangs on these parts of it alone
        grounds = (view.table, view.learned.overrides, view.learned.passes, ring, settings)
        same = len(self._grounds) == len(grounds) and all(a is b for a, b in zip(grounds, self._grounds, strict=True))
        if not (within and same):
            self._number += 1
            self._since, self._until = now, min(view.next_end(now), ring.next_change, now + LIFE)
        self._grounds = grounds
        self._view, self._ring, self._settings = view, ring, settings
        return self._number


class Readiness:
    """The newest answers, by the octets that asked for them, and by the question that these were.

    Some access points put something new into every request: then the question is read again, and that is all.
    """

    __slots__ = ("_by_octets", "_by_question", "editions")

    def __init__(self) -> None:
        self.editions = Editions()
        self._by_octets: OrderedDict[bytes, Ready] = OrderedDict()
        self._by_question: OrderedDict[_Asked, Ready] = OrderedDict()

    def __len__(self) -> int:
        return max(len(self._by_octets), len(self._by_question))

    def find(self, constant: bytes, client: ClientSettings, source: IpAddress, settings: MpskSettings) -> Ready | None:
        """What is known of such a request of that client; None: nothing, or nothing that still holds."""
        return _of(self._by_octets.get(constant), client, source, settings)

    def find_question(
        self, question: Question, client: ClientSettings, source: IpAddress, settings: MpskSettings
    ) -> Ready | None:
        """As ``find``, of a request whose question was read; what is granted is granted to its session."""
        found = _of(self._by_question.get(_asked(question)), client, source, settings)
        if found is None or found.question.session == question.session:
            return found
        grant = found.grant and replace(found.grant, question=question)
        return found._replace(question=question, grant=grant)

    def put(self, constant: bytes, ready: Ready) -> None:
        """Keep ``ready``, the newest."""
        if constant and len(constant) <= LONGEST:
            _put(self._by_octets, constant, ready)
            _put(self._by_question, _asked(ready.question), ready)


def _of(found: Ready | None, client: ClientSettings, source: IpAddress, settings: MpskSettings) -> Ready | None:
    if found is None or found[0] is not client or found[1] is not source or found[2] is not settings:
        return None
    return found


def _asked(question: Question) -> _Asked:
    """All of a question without a handshake that decides its answer: a tuple is hashed faster."""
    return question.mac, question.ssid, question.site, question.dialect.name, question.wants_identity


def _put(entries: OrderedDict[_K, Ready], key: _K, ready: Ready) -> None:
    if key in entries:
        entries.move_to_end(key)
    elif len(entries) >= MOST:
        entries.popitem(last=False)
    entries[key] = ready


def keeps(outcome: Outcome) -> bool:
    """True when only what ``Editions`` counts can change ``outcome``.

    A Session-Timeout is another one every second, and a key's devices are fewer when one of them ages.
    """
    match outcome:
        case Accept(session_timeout=timeout):
            return timeout is None
        case Reject(reason=reason):
            return reason is not Reason.DEVICE_LIMIT
        case _:
            return False
