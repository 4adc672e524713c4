# SPDX-License-Identifier: Apache-2.0
"""Devices that were let on, kept to see who would not be any more. Bounded; no I/O, the clock is passed in.

What is to be remembered across a restart leaves as ``GrantRow``: names and numbers, never a key.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import chain, islice

from edged.model import Access, Rate
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.dialects import DIALECTS, session_of
from edged.mpsk.disconnect import MARGIN, Disconnections
from edged.mpsk.keyring import Keyring, fault_of, same_key
from edged.mpsk.memory import Grant, Recent, Stale
from edged.mpsk.moves import STEP, Moves, Place
from edged.mpsk.outcome import UNPROVEN, Reason, Reject
from edged.mpsk.places import held_at, holding
from edged.mpsk.question import Question
from edged.mpsk.settings import MpskSettings
from edged.policy.access import View
from edged.radius.attributes import Attribute, Attributes, tlvs
from edged.state.grants import GrantRow
from edged.state.keys import KeyId, StoredKey
from edged.values import IpAddress

MAX_GRANTS = 65536
"""Devices let on that a change of policy is checked against: three large buildings."""
MAX_STRANGERS = 8192
"""Of those without a key, apart from the others: whoever invents MAC addresses is one of them each time."""
MOST_BEEN = 8
"""Access points at which a device was before, and is looked for when it is to leave."""
REWRITE_AFTER = 3600.0
"""Seconds; the grant of a device that comes again as it was is written so often."""

VLAN, RATE = "vlan", "rate"
"""Reasons with which a device stays: all it needs is to ask again."""


class Grants:
    """Who is on, who is to leave, and what of both is not written yet."""

    def __init__(self) -> None:
        self._granted: Recent[Place, Grant] = Recent(MAX_GRANTS)
        self._strangers: Recent[Place, Grant] = Recent(MAX_STRANGERS)
        self._leaving: dict[Place, Stale] = {}
        self._unwritten: dict[Place, Grant | None] = {}
        self._written: dict[Place, float] = {}
        """The time in the row of each; a row is not written again for every visit."""
        self._asked: dict[Place, float] = {}
        """When its access point last asked, epoch seconds."""
        self._been: Recent[Place, tuple[IpAddress, ...]] = Recent(MAX_GRANTS)
        """Where else each was let on, the latest first: two radios can have one MAC address."""
        self._sent: list[tuple[Place, Grant]] = []
        """To leave for a reason of their own, or since before a restart."""
        self._back: list[Stale] = []
        """Sent away already, and on again elsewhere."""
        self._checked: tuple[object, ...] = ()
        """What the grants were last checked against: while it is the same, they are right."""
        self._right_until = 0.0
        self.moves = Moves()
        """Who of them is on the VLAN of the blocked."""
        self.disconnections = Disconnections()
        """Counted by those who send them away."""

    def __len__(self) -> int:
        return len(self._granted) + len(self._strangers)

    # ------------------------------------------------------------------------------------------- answers

    def items(self) -> Iterator[tuple[Place, Grant]]:
        """Who is on, those without a key first, of each kind the oldest answer first."""
        return chain(self._strangers.items(), self._granted.items())

    def get(self, place: Place) -> Grant | None:
        """The grant of a device; None when it is not on."""
        return self._granted.get(place) or self._strangers.get(place)

    def _keep(self, place: Place, grant: Grant) -> None:
        kept, other = self._granted, self._strangers
        if grant.name is None:
            kept, other = other, kept
        other.remove(place)
        gone = kept.put(place, grant)
        if gone is not None:
            # or invented devices would fill the disk
            self._unwritten[gone] = None
            self._written.pop(gone, None)
            self.moves.left(gone)

    def _forget(self, place: Place) -> None:
        self._granted.remove(place)
        self._strangers.remove(place)

    def granted(self, grant: Grant, now: float) -> None:
        """A device got on: whatever it was to leave that access point for is settled."""
        place = (grant.question.ssid, grant.question.mac)
        before = self.get(place)
        if before is not None and before.nas is not grant.nas:
            self._has_gone_over(place, before, grant)
        self._keep(place, grant)
        self._asked[place] = now
        stale = self._leaving.get(place)
        left = stale is not None and stale.nas == grant.nas
        if left:
            del self._leaving[place]
        # of a device's rows the latest is to be the one that says where it is
        moved = self.moves.granted(place, grant)
        due = moved or now > self._written.get(place, 0.0) + REWRITE_AFTER
        if due or left or before is None or not _same(before, grant):
            self._unwritten[place] = grant
            self._written[place] = now
        if len(self._asked) > 2 * MAX_GRANTS:
            # those of devices long gone; it costs the others one write each
            self._asked.clear()
            self._written.clear()

    def _has_gone_over(self, place: Place, before: Grant, grant: Grant) -> None:
        if before.nas != grant.nas and before.question.site == grant.question.site:
            others = (nas for nas in self._been.get(place) or () if nas not in {before.nas, grant.nas})
            self._been.put(place, (before.nas, *others)[:MOST_BEEN])

    def began(self, place: Place, site: str, nas: IpAddress, given: Attributes, at: float) -> None:
        """A session of the device began there ``at`` that time, unasked: the access point let it on from memory.

        That is where it is sent away from. ``given``: what the access point says of the session.
        """
        if at <= self._asked.get(place, 0.0):
            return
        grant, stale = self.get(place), self._leaving.get(place)
        if grant is not None and grant.nas != nas and grant.question.site == site:
            session = session_of(grant.question.dialect.session, given, grant.question.mac)
            moved = replace(grant, nas=nas, question=replace(grant.question, session=session))
            # a Start that was late, or a lie, hides nobody
            self._has_gone_over(place, grant, moved)
            self._keep(place, moved)
            self._unwritten[place] = moved
        elif grant is None and stale is not None and stale.nas != nas and stale.client == site:
            # sent away from one, it came back at another
            self._leaving[place] = again = replace(stale, nas=nas, session=(), reauthenticates=())
            self._back.append(again)

    def send_away(self, place: Place, reason: str) -> None:
        """A device that is on is to leave, whatever it would get now; ``recheck`` names it."""
        grant = self.get(place)
        if grant is not None:
            self._sent.append((place, replace(grant, wanted=reason)))
            self._forget(place)

    def refused(self, place: Place, reason: Reason, nas: IpAddress) -> None:
        """A device was turned away when the access point that has it asked: no more to do.

        What another access point is told, or whoever spells its MAC address, takes it off no air.
        """
        grant, stale = self.get(place), self._leaving.get(place)
        if reason in UNPROVEN or nas not in {grant and grant.nas, stale and stale.nas}:
            return
        if grant is not None and grant.nas == nas:
            self._forget(place)
            self.moves.left(place)
        if stale is not None and stale.nas == nas:
            del self._leaving[place]
        if self.get(place) is None and place not in self._leaving:
            self._unwritten[place] = None
            self.moves.left(place)

    # ----------------------------------------------------------------------------------------- disconnections

    def recheck(self, view: View, ring: Keyring, settings: MpskSettings, now: float) -> Iterator[list[Stale]]:
        """Devices whose last answer is not what they would get now, step by step; each is named once.

        Looked at when the policy, the keys or the settings are others, or one of their ends has come. With 10,000
        devices the look takes some 90 ms, a step 2: whoever has other work does it in between.
        """
        sent, self._sent = self._sent, []
        yield [*self._due_again(now), *(self._leave(place, grant, grant.wanted, now) for place, grant in sent)]
        grounds = (view.table, view.learned.overrides, view.learned.passes, ring.keys, settings)
        same = len(self._checked) == len(grounds) and all(a is b for a, b in zip(grounds, self._checked, strict=True))
        if same and now < self._right_until:
            return
        self._checked, self._right_until = grounds, min(view.next_end(now), ring.next_change)
        yield from ([] for _ in self.moves.follow(ring))
        granted = self.items()
        while step := tuple(islice(granted, STEP)):
            stale = []
            for place, grant in step:
                # it may have asked again since the look began: that answer is the newer one
                reason = _change(grant, view, ring, settings, now) if self.get(place) is grant else ""
                if reason:
                    stale.append(self._leave(place, grant, reason, now))
                    self._forget(place)
            yield stale

    def _due_again(self, now: float) -> list[Stale]:
        """Those that came back from memory and can do so no more: before, they would only be sent back and forth."""
        back = [stale for stale in self._back if not self.is_gone(stale)]
        self._back = [stale for stale in back if now < stale.cached_until + MARGIN]
        return [stale for stale in back if now >= stale.cached_until + MARGIN]

    def _leave(self, place: Place, grant: Grant, reason: str, now: float) -> Stale:
        question, dialect = grant.question, grant.question.dialect
        # without its own name of the session Cisco takes no CoA-Request
        stays = reason in {VLAN, RATE} and any(number == 26 for number, _ in question.session)
        stale = Stale(
            grant.nas, question.site, question.mac, question.ssid, reason, question.session,
            dialect.reauthenticates if stays else (),
            self._asked.get(place, now) + dialect.caches if dialect.caches else 0.0,
            question.roams, self._been.get(place) or (),
        )  # fmt: skip
        self._been.remove(place)
        self._leaving[place] = stale
        self._unwritten[place] = replace(grant, wanted=reason)
        return stale

    def is_gone(self, stale: Stale) -> bool:
        """True once the device has asked again, or was named anew: no more to do for this one."""
        return self._leaving.get((stale.ssid, stale.mac)) is not stale

    def is_on(self, stale: Stale, nas: IpAddress) -> bool:
        """True once the device has asked again at ``nas``, and was let on."""
        grant = self.get((stale.ssid, stale.mac))
        return grant is not None and grant.nas == nas

    def settle(self, stale: Stale) -> None:
        """The device left: it is remembered no longer."""
        if not self.is_gone(stale):
            place = (stale.ssid, stale.mac)
            del self._leaving[place]
            # on at another access point meanwhile: that is what a restart must know of
            grant = self._unwritten[place] = self.get(place)
            if grant is None:
                self.moves.left(place)

    def give_up(self, stale: Stale) -> None:
        """Nobody can be told. It is remembered no longer, unless it is on the VLAN of the blocked: there it still is.

        Its row stays as well, and with it a restart's attempt.
        """
        place = (stale.ssid, stale.mac)
        if self.is_gone(stale) or self.get(place) is not None or not self.moves.has(place):
            self.settle(stale)
        else:
            del self._leaving[place]

    # -------------------------------------------------------------------------------------------- restarts

    def unwritten(self) -> tuple[list[GrantRow], list[Place]]:
        """Rows to keep and rows to drop since the last time; ``unkept`` gives them back."""
        batch, self._unwritten = self._unwritten, {}
        # not when it was asked for last: a row that is written because the device is to leave is no later a grant
        at = ChainMap(self._written, self._asked)
        rows = [_row(g, at.get(place, 0.0)) for place, g in batch.items() if g is not None]
        return rows, [place for place, grant in batch.items() if grant is None]

    def unkept(self, rows: Iterable[GrantRow], dropped: Iterable[Place], ring: Keyring) -> None:
        """What could not be written waits for the next time; newer news go first."""
        for row in rows:
            grant = _grant(row, ring)
            if grant is not None:
                self._unwritten.setdefault((row.ssid, row.mac), grant)
        for place in dropped:
            self._unwritten.setdefault(place, None)

    def restore(self, rows: Iterable[GrantRow], ring: Keyring, now: float, settings: MpskSettings) -> None:
        """Take what was granted before a restart, the oldest first; what was granted since is the better word."""
        since = {mac for (_, mac), _ in self.items()}
        for row in rows:
            place = (row.ssid, row.mac)
            # when the access point last asked is known to the hour: its memory may be as young as now
            grant = _grant(row, ring)
            if grant is None or self.get(place) is not None or place in self._unwritten:
                continue
            self._asked[place], self._written[place] = now, row.at
            grant = replace(grant, blocked=settings.is_blocked_vlan(row.ssid, row.vlan))
            if grant.wanted:
                self._sent.append((place, grant))
            else:
                self._keep(place, grant)
            if row.mac not in since:
                self.moves.granted(place, grant)
        self._checked = ()


def _same(before: Grant, grant: Grant) -> bool:
    """True when the same row tells of both."""
    return before is grant or (
        (before.nas is grant.nas or before.nas == grant.nas)
        and before.name == grant.name
        and (
            before.key is grant.key
            or (before.key is not None and grant.key is not None and same_key(before.key, grant.key))
        )
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
    stored = holding(ring, grant.key) if grant.key else ring.keys.get(grant.name) if grant.name else None
    if grant.name and stored is None:
        return Reason.REVOKED.value
    if stored is None:
        outcome = authorize_device(question, ring, network, view=view, now=now)
    else:
        outcome = authorize_key(question, stored, ring, network, view=view, now=now)
    if isinstance(outcome, Reject):
        return outcome.reason.value
    if any(_is_withdrawn(offered, grant, view, ring, now) for offered in grant.offered):
        return Reason.REVOKED.value
    if outcome.vlan != grant.vlan:
        return VLAN
    return RATE if question.dialect.has_rates and outcome.rate != grant.rate else ""


def _is_withdrawn(offered: StoredKey, grant: Grant, view: View, ring: Keyring, now: float) -> bool:
    """True for a key that is not to be offered any more, whoever has it."""
    known = holding(ring, offered)
    if known is None or fault_of(known, now) is not None:
        return True
    if grant.name is not None:
        return False  # the holder's own other passphrase: what the holder gets is known
    subscriber = known.key.subscriber
    return bool(subscriber) and view.decide_id(subscriber, now).access is Access.BLOCKED


def _row(grant: Grant, at: float) -> GrantRow:
    question, name, rate = grant.question, grant.name, grant.rate
    session = b"".join(bytes((number, len(value) + 2)) + value for number, value in question.session)
    return GrantRow(
        question.ssid, question.mac, question.site, question.dialect.name, str(grant.nas), session,
        name.origin if name else "", name.id if name else "", grant.vlan,
        rate.down if rate else None, rate.up if rate else None, at, grant.wanted,
    )  # fmt: skip


def _grant(row: GrantRow, ring: Keyring) -> Grant | None:
    """None for a dialect of another version."""
    dialect = DIALECTS.get(row.dialect)
    if dialect is None:
        return None
    session = tuple(Attribute(number, value) for number, value in tlvs(row.session))
    # whether its handshake was one of fast transition is not kept: rather a few requests too many
    question = Question(row.mac, row.ssid, row.client, dialect, session=session, roams=dialect.read is not None)
    name = KeyId(row.origin, row.key) if row.origin else None
    key = held_at(ring, name, row.at) if name else None
    # its passphrase is gone, and with it whatever would have named the device when it ends
    wanted = row.wanted or (Reason.REVOKED.value if name and key is None else "")
    rate = None if row.rate_down is None or row.rate_up is None else Rate(row.rate_down, row.rate_up)
    return Grant(
        question, ip_address(row.nas), key, row.vlan, name=name, rate=rate, wanted=wanted,
    )  # fmt: skip
