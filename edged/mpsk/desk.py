# SPDX-License-Identifier: Apache-2.0
"""Where requests for keys are dealt with: Access-Request -> Answer, or the Search that comes first. No I/O.

The keyring, the policy and the clock are given; what it remembers of devices is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edged.model import Event, EventType, Tell, untold
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.keyring import Keyring, Pool, same_key
from edged.mpsk.memory import Counters, Grant, Last, Recent, Stale
from edged.mpsk.outcome import Accept, Discard, Outcome, Reason, Reject
from edged.mpsk.patience import Patience
from edged.mpsk.question import Question, read_question
from edged.mpsk.ready import NEVER, Readiness, Ready, keeps
from edged.mpsk.reply import written
from edged.mpsk.search import MISS, search
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import Challenge, Handshake, challenge_of
from edged.policy.access import View
from edged.radius.packet import Answer, Packet
from edged.radius.settings import ClientSettings
from edged.state.keys import BILLING, Sighting, StoredKey
from edged.values import IpAddress, MacAddress

SEEN_AGAIN = 3600.0
"""Seconds; a known device's last sight is written so often: it is wanted to the day."""
MAX_REMEMBERED = 4096
"""Devices whose last outcome the help desk may ask for."""
MAX_GRANTS = 65536
"""Devices let on that a change of policy is checked against: three large buildings."""
_new = tuple.__new__
MAX_UNSPOKEN = 64
"""Clients with a dialect that we do not speak, each told once an hour."""


@dataclass(frozen=True, slots=True)
class Search:
    """A handshake that no key of the device itself explains."""

    question: Question
    challenge: Challenge
    pools: tuple[Pool, ...]
    """What to try, in turn."""
    source: IpAddress

    @property
    def candidates(self) -> int:
        """How many keys."""
        return sum(len(pool.keys) for pool in self.pools)

    def at(self, found: tuple[int, int] | None) -> StoredKey | None:
        """The key at that pool and index; None when nothing was found."""
        return None if found is None else self.pools[found[0]].keys[found[1]]

    @property
    def pmks(self) -> tuple[bytes, ...]:
        """The PMKs of each pool, as a search takes them."""
        return tuple(pool.pmks for pool in self.pools)

    @property
    def same(self) -> tuple[Challenge, str, str, MacAddress]:
        """Equal for requests that one search answers: retransmissions under another identifier."""
        return self.challenge, self.question.ssid, self.question.site, self.question.mac


class Desk:
    """Everything between a request and its answer that needs no waiting."""

    def __init__(self, settings: MpskSettings, tell: Tell = untold) -> None:
        self.settings = settings
        self._tell = tell
        self.ring = Keyring()
        """Swapped by the service."""
        self.counters = Counters()
        self.patience = Patience()
        self.sightings: dict[tuple[str, MacAddress], Sighting] = {}
        """Learned and not yet written, by SSID and MAC."""
        self._ready = Readiness()
        self._last: Recent[MacAddress, Last] = Recent(MAX_REMEMBERED)
        self._grants: Recent[tuple[str, MacAddress], Grant] = Recent(MAX_GRANTS)
        self._unspoken: Recent[tuple[str, str], float] = Recent(MAX_UNSPOKEN)
        self._untold: list[tuple[str, str]] = []
        self._checked: tuple[object, ...] = ()
        """What the grants were last checked against: while it is the same, they are right."""
        self._right_until = 0.0

    def ask(
        self, request: Packet, client: ClientSettings, source: IpAddress, view: View, now: float
    ) -> Answer | Search | None:
        """The answer to an Access-Request whose User-Password is in clear; None: silence."""
        ready = self._ready.find(request.constant, client, source, self.settings)
        edition = self._ready.editions.at(view, self.ring, self.settings, now)
        if ready is not None and ready.edition == edition:
            return self._repeat(ready, now)
        question = ready.question if ready else read_question(request, client, self.settings.networks)
        if isinstance(question, Reject):
            return self._refuse(question, client, now)
        if question.handshake is None:
            ready = ready or self._ready.find_question(question, client, source, self.settings)
            if ready is not None and ready.edition == edition:
                self._ready.put(request.constant, ready)
                return self._repeat(ready, now)
            return self._look_up(request, ready or Ready(client, source, self.settings, question), edition, view, now)
        return self._challenge(question, question.handshake, source, view, now)

    def _look_up(self, request: Packet, ready: Ready, edition: int, view: View, now: float) -> Answer | None:
        """The answer to a device that asks by its MAC address, kept for the next time."""
        question, source = ready.question, ready.source
        outcome = authorize_device(question, self.ring, self.settings.networks[question.ssid], view=view, now=now)
        answer = self._conclude(question, outcome, source, now)
        self._ready.put(request.constant, self._prepared(ready, edition, outcome, answer))
        return answer

    def _challenge(
        self, question: Question, handshake: Handshake, source: IpAddress, view: View, now: float
    ) -> Answer | Search | None:
        """The answer to a handshake that a key of the device itself made; otherwise the search."""
        challenge = challenge_of(handshake)
        if challenge is None:
            return self._conclude(question, Reject(Reason.UNSUPPORTED_AKM), source, now)
        own, *wide = self.ring.candidates(question.ssid, question.site, question.mac, now)
        index = search(challenge, own.pmks)
        self.counters.candidates += len(own.keys)
        if index != MISS:
            return self._match(question, own.keys[index], source, view, now)
        if self.patience.is_exhausted(question.mac, now):
            return self._conclude(question, Reject(Reason.COOL_DOWN), source, now)
        return Search(question, challenge, tuple(wide), source)

    def _prepared(self, ready: Ready, edition: int, outcome: Outcome, answer: Answer | None) -> Ready:
        """``ready`` with its answer, where that can be given again without a look at the clock."""
        last, place = self._last.get(ready.question.mac), (ready.question.ssid, ready.question.mac)
        if not keeps(outcome) or last is None:
            return ready._replace(edition=NEVER)
        reason = outcome.reason if isinstance(outcome, Reject) else None
        grant = None if reason else self._grants.get(place)
        return ready._replace(edition=edition, answer=answer, place=place, last=last[1:], grant=grant, reason=reason)

    def _repeat(self, ready: Ready, now: float) -> Answer | None:
        """The answer of before, counted and remembered as ``_conclude`` does."""
        _, _, _, _, _, answer, place, last, grant, reason = ready
        if reason is not None:
            self.counters.rejects[reason] += 1
            self._grants.remove(place)
        else:
            self.counters.accepts += 1
            if grant is not None:
                self._grants.put(place, grant)
        self._last.put(place[1], _new(Last, (now, *last)))
        return answer

    def begun(self, wanted: Search) -> None:
        """``wanted`` is on its way."""
        self.counters.searches += 1
        self.counters.candidates += wanted.candidates

    def overloaded(self, wanted: Search, now: float) -> Answer | None:
        """What a request gets whose search would have to wait too long."""
        return self._conclude(wanted.question, Discard(Reason.OVERLOADED), wanted.source, now)

    def found(self, wanted: Search, stored: StoredKey | None, view: View, now: float) -> Answer | None:
        """The answer once the search has ended, with the key whose PMK made the MIC or with none."""
        question = wanted.question
        if stored is not None:
            return self._match(question, stored, wanted.source, view, now)
        if any(pending.key.ssid == question.ssid for pending in self.ring.pending):
            # the key may be among those: no fault of the device
            return self._conclude(question, Reject(Reason.NOT_READY), wanted.source, now)
        self.patience.miss(question.mac, now)
        return self._conclude(question, Reject(Reason.NO_MATCH), wanted.source, now)

    def explain_device(self, mac: MacAddress) -> Last | None:
        """How the latest request of ``mac`` ended; None when it made none of late."""
        return self._last.get(mac)

    def unspoken(self) -> Sequence[tuple[str, str]]:
        """Client and dialect that we do not speak, each once an hour, for the log."""
        if not self._untold:
            return ()
        untold, self._untold = self._untold, []
        return untold

    def recheck(self, view: View, now: float) -> list[Stale]:
        """Devices whose last answer is not what they would get now; each is named once.

        Looked at when the policy, the keys or the settings are others, or one of their ends has come: with 10,000
        devices a look takes some 40 ms.
        """
        grounds = (view.table, view.learned.overrides, view.learned.passes, self.ring.keys, self.settings)
        same = len(self._checked) == len(grounds) and all(a is b for a, b in zip(grounds, self._checked, strict=True))
        if same and now < self._right_until:
            return []
        self._checked, self._right_until = grounds, min(view.next_end(now), self.ring.next_change)
        stale = []
        for place, grant in self._grants.items():
            reason = self._change(grant, view, now)
            if reason:
                question = grant.question
                stale.append(Stale(grant.nas, question.site, question.mac, question.ssid, reason))
                self._grants.remove(place)
        return stale

    def _change(self, grant: Grant, view: View, now: float) -> str:
        """Why ``grant`` is no longer right; empty when it is."""
        question = grant.question
        network = self.settings.networks.get(question.ssid)
        if network is None:
            return Reason.UNKNOWN_SSID.value
        stored = self.ring.keys.get(grant.key.name) if grant.key else None
        if grant.key and (stored is None or not same_key(stored, grant.key)):
            return Reason.REVOKED.value
        if stored is None:
            outcome = authorize_device(question, self.ring, network, view=view, now=now)
        else:
            outcome = authorize_key(question, stored, self.ring, network, view=view, now=now)
        if isinstance(outcome, Reject):
            return outcome.reason.value
        return "vlan" if outcome.vlan != grant.vlan else ""

    def _match(self, question: Question, stored: StoredKey, source: IpAddress, view: View, now: float) -> Answer | None:
        """The MIC proved ``stored``: what its holder gets by now, since the search may have taken a while."""
        known = self.ring.keys.get(stored.name)
        network = self.settings.networks.get(question.ssid)
        if known is None or network is None or not same_key(known, stored):
            return self._conclude(question, Reject(Reason.REVOKED, stored.name), source, now)
        outcome = authorize_key(question, known, self.ring, network, view=view, now=now)
        if isinstance(outcome, Accept):
            self.patience.forgive(question.mac)
            if network.learn:
                self._learn(Sighting(question.ssid, question.mac, known.name, now), known.key.subscriber)
        return self._conclude(question, outcome, source, now)

    def _learn(self, sighting: Sighting, subscriber: str) -> None:
        place = (sighting.ssid, sighting.mac)
        before = self.ring.learned.get(place)
        if before is not None and before.key == sighting.key and sighting.at < before.at + SEEN_AGAIN:
            return
        self.sightings[place] = sighting
        self.ring = self.ring.with_sightings((sighting,))
        self.counters.devices = len(self.ring.learned)
        news = before is None or before.key != sighting.key
        if news and sighting.key.origin == BILLING:  # of a key made here billing knows nothing
            event = Event(EventType.DEVICE_LEARNED, sighting.at, subscriber, sighting.key.id, sighting.mac)
            self._tell(event)

    def _refuse(self, outcome: Reject, client: ClientSettings, now: float) -> Answer | None:
        """A request that is no question of ours."""
        told = self._unspoken.get((client.name, outcome.detail))
        if outcome.reason is Reason.NOT_SPOKEN and (told is None or told < now - SEEN_AGAIN):
            self._unspoken.put((client.name, outcome.detail), now)
            self._untold.append((client.name, outcome.detail))
        self.counters.count(outcome)
        return written(None, outcome)

    def _conclude(self, question: Question, outcome: Outcome, source: IpAddress, now: float) -> Answer | None:
        """Count and remember ``outcome``, and write it."""
        self.counters.count(outcome)
        place, site, ssid = (question.ssid, question.mac), question.site, question.ssid
        match outcome:
            case Accept(key=stored, vlan=vlan, blocked=blocked):
                reason = Reason.BLOCKED.value if blocked else ""
                name = stored.name if stored else None
                last = Last(now, site, ssid, accepted=True, reason=reason, key=name, vlan=vlan)
                kept = question if question.handshake is None else replace(question, handshake=None)
                self._grants.put(place, Grant(kept, source, stored, vlan))
            case Reject(reason=refused, key=name):
                last = Last(now, site, ssid, reason=refused.value, key=name)
                self._grants.remove(place)
            case _:
                last = Last(now, site, ssid, reason=outcome.reason.value)
        self._last.put(question.mac, last)
        return written(question, outcome)
