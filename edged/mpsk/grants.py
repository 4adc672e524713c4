# SPDX-License-Identifier: Apache-2.0
"""Devices that were let on, kept to see who would not be any more. Bounded; no I/O, the clock is passed in.

What is to be remembered across a restart leaves as ``GrantRow``: names and numbers, never a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from edged.model import Access, Rate
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.farewell import Departures
from edged.mpsk.keyring import Keyring, fault_of, same_key
from edged.mpsk.memory import Grant, Recent, Stale
from edged.mpsk.outcome import Reason, Reject
from edged.mpsk.places import holding
from edged.mpsk.question import Question
from edged.mpsk.settings import MpskSettings
from edged.policy.access import View
from edged.radius.attributes import Attribute, tlvs
from edged.state.grants import GrantRow
from edged.state.keys import KeyId, StoredKey
from edged.values import MacAddress

MAX_GRANTS = 65536
"""Devices let on that a change of policy is checked against: three large buildings."""
REWRITE_AFTER = 3600.0
"""Seconds; the grant of a device that comes again as it was is written so often."""

Place = tuple[str, MacAddress]
"""SSID and device."""
VLAN, RATE = "vlan", "rate"
"""Reasons with which a device stays: all it needs is to ask again."""


class Grants:
    """Who is on, who is to leave, and what of both is not written yet."""

    def __init__(self) -> None:
        self._granted: Recent[Place, Grant] = Recent(MAX_GRANTS)
        self._leaving: dict[Place, Stale] = {}
        self._unwritten: dict[Place, Grant | None] = {}
        self._written: dict[Place, float] = {}
        """The time in the row of each; a row is not written again for every visit."""
        self._named: list[tuple[Place, Grant]] = []
        """To leave whatever the policy says: since before a restart, or because they lost their place."""
        self._checked: tuple[object, ...] = ()
        """What the grants were last checked against: while it is the same, they are right."""
        self._right_until = 0.0
        self.departures = Departures()
        """Counted by those who send them away."""

    def __len__(self) -> int:
        return len(self._granted)

    def items(self) -> Iterator[tuple[Place, Grant]]:
        """Every device that is on, the one that came longest ago first."""
        return self._granted.items()

    def get(self, place: Place) -> Grant | None:
        """What was granted to that device; None: it is not on."""
        return self._granted.get(place)

    # ------------------------------------------------------------------------------------------- answers

    def granted(self, grant: Grant) -> None:
        """A device got on: whatever it was to leave for is settled."""
        place = _place(grant.question)
        before = self._granted.get(place)
        self._granted.put(place, grant)
        left = self._leaving and self._leaving.pop(place, None) is not None
        if left or before is None or not _same(before, grant) or grant.at > self._written.get(place, 0) + REWRITE_AFTER:
            self._unwritten[place] = grant
            if len(self._written) > 2 * MAX_GRANTS:
                self._written.clear()  # those of devices long gone; it costs the others one write each
            self._written[place] = grant.at

    def refused(self, question: Question) -> None:
        """A device was turned away by its access point's own question: no more to do."""
        place = _place(question)
        known = self._leaving.pop(place, None) is not None or self._granted.get(place) is not None
        self._granted.remove(place)
        if known:
            self._unwritten[place] = None

    # ----------------------------------------------------------------------------------------- departures

    def recheck(self, view: View, ring: Keyring, settings: MpskSettings, now: float) -> list[Stale]:
        """Devices whose last answer is not what they would get now; each is named once.

        Looked at when the policy, the keys or the settings are others, or one of their ends has come: with 10,000
        devices a look takes some 40 ms.
        """
        stale = [self._leave(place, grant, grant.wanted) for place, grant in self._named]
        self._named = []
        grounds = (view.table, view.learned.overrides, view.learned.passes, ring.keys, settings)
        same = len(self._checked) == len(grounds) and all(a is b for a, b in zip(grounds, self._checked, strict=True))
        if same and now < self._right_until:
            return stale
        self._checked, self._right_until = grounds, min(view.next_end(now), ring.next_change)
        for place, grant in self._granted.items():
            reason = _change(grant, view, ring, settings, now)
            if reason:
                stale.append(self._leave(place, grant, reason))
                self._granted.remove(place)
        return stale

    def send_away(self, place: Place, reason: str) -> None:
        """Let the device of ``place`` leave at the next ``recheck``, if it is on."""
        grant = self._granted.get(place)
        if grant is not None:
            self._granted.remove(place)
            self._named.append((place, grant._replace(wanted=reason)))

    def _leave(self, place: Place, grant: Grant, reason: str) -> Stale:
        question, dialect = grant.question, grant.question.dialect
        # without its own name of the session Cisco takes no CoA-Request
        stays = reason in {VLAN, RATE} and any(number == 26 for number, _ in question.session)
        stale = Stale(
            grant.nas, question.site, question.mac, question.ssid, reason, question.session,
            dialect.reauthenticates if stays else (), grant.at + dialect.caches if dialect.caches else 0.0,
        )  # fmt: skip
        self._leaving[place] = stale
        self._unwritten[place] = grant._replace(wanted=reason)
        return stale

    def is_gone(self, stale: Stale) -> bool:
        """True once the device has asked again, or was named anew: no more to do for this one."""
        return self._leaving.get((stale.ssid, stale.mac)) is not stale

    def settle(self, stale: Stale) -> None:
        """The device left, or nobody can be told: it is remembered no longer."""
        if not self.is_gone(stale):
            place = (stale.ssid, stale.mac)
            del self._leaving[place]
            self._unwritten[place] = None

    # -------------------------------------------------------------------------------------------- restarts

    def unwritten(self) -> tuple[list[GrantRow], list[Place]]:
        """Rows to keep and rows to drop since the last time; ``unkept`` gives them back."""
        batch, self._unwritten = self._unwritten, {}
        rows = [_row(grant) for grant in batch.values() if grant is not None]
        return rows, [place for place, grant in batch.items() if grant is None]

    def unkept(self, rows: Iterable[GrantRow], dropped: Iterable[Place], ring: Keyring) -> None:
        """What could not be written waits for the next time; newer news go first."""
        for row in rows:
            grant = _grant(row, ring, row.at)
            if grant is not None:
                self._unwritten.setdefault((row.ssid, row.mac), grant)
        for place in dropped:
            self._unwritten.setdefault(place, None)

    def restore(self, rows: Iterable[GrantRow], ring: Keyring, now: float) -> None:
        """Take what was granted before a restart; what was granted since is the better word."""
        for row in rows:
            place = (row.ssid, row.mac)
            # when the access point last asked is known to the hour: its memory may be as young as now
            grant = _grant(row, ring, now)
            if grant is None or self._granted.get(place) is not None or place in self._unwritten:
                continue
            if grant.wanted:
                self._named.append((place, grant))
            else:
                self._granted.put(place, grant)
        self._checked = ()


def _place(question: Question) -> Place:
    return question.ssid, question.mac


def _same(before: Grant, grant: Grant) -> bool:
    """True when the same row tells of both."""
    return (
        (before.nas is grant.nas or before.nas == grant.nas)
        and before.name == grant.name
        and before.vlan == grant.vlan
        and before.rate == grant.rate
        and before.question.session == grant.question.session
        and before.question.dialect is grant.question.dialect
    )


def _change(grant: Grant, view: View, ring: Keyring, settings: MpskSettings, now: float) -> str:
    """Why ``grant`` is no longer right; empty when it is."""
    question = grant.question
    network = settings.networks.get(question.ssid)
    if network is None:
        return Reason.UNKNOWN_SSID.value
    stored = _held(grant, ring)
    if grant.name and stored is None:
        return Reason.REVOKED.value
    if any(_is_withdrawn(offered, view, ring, now) for offered in grant.offered):
        return Reason.REVOKED.value
    if stored is None:
        outcome = authorize_device(question, ring, network, view=view, now=now)
    else:
        outcome = authorize_key(question, stored, ring, network, view=view, now=now)
    if isinstance(outcome, Reject):
        return outcome.reason.value
    if outcome.vlan != grant.vlan:
        return VLAN
    return RATE if question.dialect.has_rates and outcome.rate != grant.rate else ""


def _held(grant: Grant, ring: Keyring) -> StoredKey | None:
    """The key of ``grant`` as it is now; None: it has none any more."""
    if grant.key is not None:
        return holding(ring, grant.key)
    return ring.keys.get(grant.name) if grant.name else None


def _is_withdrawn(offered: StoredKey, view: View, ring: Keyring, now: float) -> bool:
    """True for a key that is not to be offered any more, whoever has it."""
    known = ring.keys.get(offered.name)
    if known is None or not same_key(known, offered) or fault_of(known, now) is not None:
        return True
    subscriber = known.key.subscriber
    return bool(subscriber) and view.decide_id(subscriber, now).access is Access.BLOCKED


def _row(grant: Grant) -> GrantRow:
    question, name, rate = grant.question, grant.name, grant.rate
    session = b"".join(bytes((number, len(value) + 2)) + value for number, value in question.session)
    return GrantRow(
        question.ssid, question.mac, question.site, question.dialect.name, str(grant.nas), session,
        name.origin if name else "", name.id if name else "", grant.vlan,
        rate.down if rate else None, rate.up if rate else None, grant.at, grant.wanted,
    )  # fmt: skip


def _grant(row: GrantRow, ring: Keyring, at: float) -> Grant | None:
    """None for a dialect of another version."""
    dialect = DIALECTS.get(row.dialect)
    if dialect is None:
        return None
    session = tuple(Attribute(number, value) for number, value in tlvs(row.session))
    question = Question(row.mac, row.ssid, row.client, dialect, session=session)
    name = KeyId(row.origin, row.key) if row.origin else None
    rate = None if row.rate_down is None or row.rate_up is None else Rate(row.rate_down, row.rate_up)
    return Grant(
        question, ip_address(row.nas), ring.keys.get(name) if name else None, row.vlan,
        name=name, rate=rate, at=at, wanted=row.wanted,
    )  # fmt: skip
