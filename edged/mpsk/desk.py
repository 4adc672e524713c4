# SPDX-License-Identifier: Apache-2.0
"""Where requests for keys are dealt with: Access-Request -> Answer, or the Search that comes first. No I/O.

The keyring, the policy and the clock are given; what it remembers of devices is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edged.model import Event, EventType, Tell, untold
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.grants import Grants
from edged.mpsk.keyring import Keyring, Pool, same_key
from edged.mpsk.memory import Counters, Grant, Last, Recent, Stale
from edged.mpsk.offers import Offers
from edged.mpsk.outcome import Accept, Discard, Outcome, Reason, Reject
from edged.mpsk.patience import Patience
from edged.mpsk.question import Question, read_question
from edged.mpsk.reply import written
from edged.mpsk.search import MISS, search
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import Challenge, challenge_of
from edged.policy.access import View
from edged.radius.packet import Answer, Code, Packet
from edged.radius.settings import ClientSettings
from edged.state.keys import BILLING, Sighting, StoredKey
from edged.values import IpAddress, MacAddress

SEEN_AGAIN = 3600.0
"""Seconds; a known device's last sight is written so often: it is wanted to the day."""
MAX_REMEMBERED = 4096
"""Devices whose last outcome the help desk may ask for."""
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
        self._last: Recent[MacAddress, Last] = Recent(MAX_REMEMBERED)
        self.grants = Grants()
        self._offers = Offers()
        self._unspoken: Recent[tuple[str, str], float] = Recent(MAX_UNSPOKEN)
        self._untold: list[tuple[str, str]] = []

    def ask(
        self, request: Packet, client: ClientSettings, source: IpAddress, view: View, now: float
    ) -> Answer | Search | None:
        """The answer to an Access-Request whose User-Password is in clear; None: silence."""
        question = read_question(request, client, self.settings.networks)
        if isinstance(question, Reject):
            return self._refuse(question, client, now)
        if question.handshake is None:
            return self._answer_device(question, source, view, now)
        challenge = challenge_of(question.handshake)
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

    def unspoken(self) -> Iterator[tuple[str, str]]:
        """Client and dialect that we do not speak, each once an hour, for the log."""
        while self._untold:
            yield self._untold.pop()

    def recheck(self, view: View, now: float) -> list[Stale]:
        """Devices whose last answer is not what they would get now; each is named once."""
        return self.grants.recheck(view, self.ring, self.settings, now)

    def _answer_device(self, question: Question, source: IpAddress, view: View, now: float) -> Answer | None:
        if question.is_announcement:
            # no key and no VLAN: nothing is given away, and the request that decides is to come
            self.counters.count(Accept())
            return Answer(Code.ACCESS_ACCEPT)
        return self._conclude(question, self._by_device(question, view, now), source, now)

    def _by_device(self, question: Question, view: View, now: float) -> Accept | Reject:
        """What a device gets before the handshake."""
        network, ring = self.settings.networks[question.ssid], self.ring
        outcome = authorize_device(question, ring, network, view=view, now=now)
        if isinstance(outcome, Reject):
            return outcome
        stored = outcome.key
        if stored is not None and question.dialect.needs_pmk and stored.pmk is None:
            return Reject(Reason.NOT_READY, stored.name)
        if stored is None and not outcome.blocked and question.dialect.several and network.unknown is not None:
            return self._offers.widened(outcome, question, network, ring, view=view, now=now)
        return outcome

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
        site, ssid = question.site, question.ssid
        match outcome:
            case Accept(vlan=vlan, blocked=blocked):
                reason = Reason.BLOCKED.value if blocked else ""
                stored, offered = (None, outcome.keys) if outcome.offered else (outcome.key, ())
                name = stored.name if stored else None
                last = Last(now, site, ssid, accepted=True, reason=reason, key=name, vlan=vlan)
                kept = question if question.handshake is None else replace(question, handshake=None)
                self.grants.granted(Grant(kept, source, stored, vlan, name, outcome.rate, offered, now))
            case Reject(reason=refused, key=name):
                last = Last(now, site, ssid, reason=refused.value, key=name)
                self.grants.refused(question)
            case _:
                last = Last(now, site, ssid, reason=outcome.reason.value)
        self._last.put(question.mac, last)
        return written(question, outcome)
