# SPDX-License-Identifier: Apache-2.0
"""Where requests for keys are dealt with: Access-Request -> Answer, or the Search that comes first. No I/O.

The keyring, the policy and the clock are given; what it remembers of devices is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edged.model import Event, EventType, Tell, untold
from edged.mpsk.authorize import authorize_device, authorize_key
from edged.mpsk.grants import Grants
from edged.mpsk.keyring import Keyring, Pool
from edged.mpsk.memory import Counters, Grant, Last, Recent, Stale
from edged.mpsk.offers import Offers
from edged.mpsk.outcome import Accept, Discard, Outcome, Reason, Reject
from edged.mpsk.patience import Patience
from edged.mpsk.places import both_sides, holding
from edged.mpsk.question import Question, read_question
from edged.mpsk.ready import NEVER, Readiness, Ready, keeps
from edged.mpsk.reply import written
from edged.mpsk.settings import MpskSettings
from edged.mpsk.wpa import Handshake, challenge_of, name_of, verifies
from edged.native.keysearch import CHECKS, Candidates, Challenge
from edged.policy.access import View
from edged.radius.packet import Answer, Code, Packet
from edged.radius.settings import ClientSettings
from edged.state.keys import BILLING, Sighting, StoredKey
from edged.values import IpAddress, MacAddress

SEEN_AGAIN = 3600.0
"""Seconds; a known device's last sight is written so often: it is wanted to the day."""
SEEN_BY_ADDRESS = 86400.0
"""The same where it asks by MAC address, seldom enough for the answers that are kept at hand."""
MAX_REMEMBERED = 4096
"""Devices whose last outcome the help desk may ask for."""
UNMEASURED = 3e-6
"""Seconds for one candidate, before anybody has measured."""
FRAME = 121
"""Octets of the message 2 that is measured; a longer one costs each candidate more, at most in proportion."""
_new = tuple.__new__
REST = 600.0
"""Seconds before a device that lost its place may take another's: eleven on ten places must not chase each other."""
MAX_RESTING = 4096
MAX_UNSPOKEN = 64
"""Clients with a dialect that we do not speak, each told once an hour."""


Same = tuple[Challenge, str, str, MacAddress]
"""Challenge, SSID, site and device: what one search answers."""


@dataclass(frozen=True, slots=True)
class Search:
    """A handshake that no key of the device itself explains."""

    question: Question
    proof: Challenge
    """The MIC, which the key that is found must have made."""
    challenge: Challenge
    """What the keys are put to: the same, or the PMKR1Name of an FT handshake."""
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
    def pmks(self) -> tuple[Candidates, ...]:
        """The PMKs of each pool, as a search takes them."""
        return tuple(pool.candidates for pool in self.pools)

    @property
    def same(self) -> Same:
        """Equal for requests that one search answers: retransmissions under another identifier."""
        return self.proof, self.question.ssid, self.question.site, self.question.mac


class Desk:
    """Everything between a request and its answer that needs no waiting."""

    def __init__(self, settings: MpskSettings, tell: Tell = untold) -> None:
        self.settings = settings
        self._tell = tell
        self.ring = Keyring()
        """Swapped by the service."""
        self.counters = Counters()
        self.patience = Patience()
        self.seconds_each = dict.fromkeys(CHECKS, UNMEASURED)
        """Of one candidate, by suite; the service measures it."""
        self.sightings: dict[tuple[str, MacAddress], Sighting] = {}
        """Learned and not yet written, by SSID and MAC."""
        self._ready = Readiness()
        self.gone: set[tuple[str, MacAddress]] = set()
        """Sent away and not yet struck from the database, by SSID and MAC."""
        self._rests: Recent[tuple[str, MacAddress], float] = Recent(MAX_RESTING)
        """Until when one that lost its place may not take another's."""
        self._last: Recent[MacAddress, Last] = Recent(MAX_REMEMBERED)
        self.grants = Grants()
        self._offers = Offers()
        self._unspoken: Recent[tuple[str, str], float] = Recent(MAX_UNSPOKEN)
        self._untold: list[tuple[str, str]] = []

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
        if question.is_announcement:
            # no key and no VLAN: nothing is given away, and the request that decides is to come
            self.counters.count(Accept())
            return Answer(Code.ACCESS_ACCEPT)
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
        outcome = self._by_device(question, view, now)
        if isinstance(outcome, Accept):
            self._seen(question, outcome, now)
        answer = self._conclude(question, outcome, source, now)
        self._ready.put(request.constant, self._prepared(ready, edition, outcome, answer))
        return answer

    def _seen(self, question: Question, accept: Accept, now: float) -> None:
        """A known device that only ever asks by its address is in use: it counts, and nobody forgets it."""
        before = self.ring.learned.get((question.ssid, question.mac))
        if before is None or accept.key is None or before.at > now - SEEN_BY_ADDRESS:
            return
        if accept.key.name in both_sides(before.key):
            self._learn(before._replace(at=now), "")

    def _by_device(self, question: Question, view: View, now: float) -> Accept | Reject:
        """What a device gets before the handshake."""
        network, ring = self.settings.networks[question.ssid], self.ring
        outcome = authorize_device(question, ring, network, view=view, now=now)
        if isinstance(outcome, Reject):
            return outcome
        stored = outcome.key
        if outcome.displaced and stored is not None:
            return Reject(Reason.DEVICE_LIMIT, stored.name)  # nobody's place goes for a MAC address alone
        if stored is not None and question.dialect.needs_pmk and stored.pmk is None:
            return Reject(Reason.NOT_READY, stored.name)
        if stored is None and not outcome.blocked and question.dialect.several and network.unknown is not None:
            return self._offers.widened(outcome, question, network, ring, view=view, now=now)
        return outcome

    def _challenge(
        self, question: Question, handshake: Handshake, source: IpAddress, view: View, now: float
    ) -> Answer | Search | None:
        """The answer to a handshake that a key of the device itself made; otherwise the search."""
        challenge = challenge_of(handshake)
        if challenge is None:
            return self._conclude(question, Reject(Reason.UNSUPPORTED_AKM), source, now)
        own = self.ring.own(question.ssid, question.site, question.mac, now)
        self.counters.candidates += len(own)
        for stored in own:
            if _made(challenge, stored):
                return self._match(question, stored, source, view, now)
        pools = self.ring.wide(question.ssid, question.site)
        wanted = Search(question, challenge, name_of(handshake) or challenge, pools, source)
        if self.patience.is_exhausted((question.site, question.mac), now) or self.patience.is_spent(source, now):
            return self._conclude(question, Reject(Reason.COOL_DOWN), source, now)
        return wanted

    def _prepared(self, ready: Ready, edition: int, outcome: Outcome, answer: Answer | None) -> Ready:
        """``ready`` with its answer, where that can be given again without a look at the clock."""
        last, place = self._last.get(ready.question.mac), (ready.question.ssid, ready.question.mac)
        if not keeps(outcome) or last is None:
            return ready._replace(edition=NEVER)
        reason = outcome.reason if isinstance(outcome, Reject) else None
        grant = None if reason else self.grants.get(place)
        return ready._replace(edition=edition, answer=answer, place=place, last=last[1:7], grant=grant, reason=reason)

    def _repeat(self, ready: Ready, now: float) -> Answer | None:
        """The answer of before, counted and remembered as ``_conclude`` does."""
        _, source, _, _, _, answer, place, last, grant, reason = ready
        if reason is not None:
            self.counters.rejects[reason] += 1
            self.grants.refused(place, reason, source)
        else:
            self.counters.accepts += 1
            if grant is not None:
                self.grants.granted(grant, now)
        again = _new(Last, (now, *last, 1, now))
        self._last.put(place[1], again if reason is None else again.after(self._last.get(place[1])))
        return answer

    def begun(self, wanted: Search) -> None:
        """``wanted`` is on its way."""
        self.counters.searches += 1
        self.counters.candidates += wanted.candidates

    def overloaded(self, wanted: Search, now: float) -> Answer | None:
        """What a request gets whose search takes, or would have to wait, longer than anybody waits for an answer.

        Silence: the access point asks again. After a reject, a telephone tells its owner that the key is wrong.
        """
        return self._conclude(wanted.question, Discard(Reason.OVERLOADED), wanted.source, now)

    def found(
        self, wanted: Search, stored: StoredKey | None, view: View, now: float, *, joined: bool = False
    ) -> Answer | None:
        """The answer once the search has ended, with the key whose PMK made the MIC or with none.

        ``joined``: it was begun for another request, which is the one that it counts against.
        """
        question = wanted.question
        # whatever found it, the arithmetic of the standard library has the last word
        if stored is not None and _made(wanted.proof, stored):
            answer = self._match(question, stored, wanted.source, view, now)
        elif question.ssid in self.ring.unready:
            # the key may be among those: no fault of the device
            answer = self._conclude(question, Reject(Reason.NOT_READY), wanted.source, now)
        else:
            if not joined:
                self.patience.miss((question.site, question.mac), now)
            answer = self._conclude(question, Reject(Reason.NO_MATCH), wanted.source, now)
        if not joined and (answer is None or answer.code is not Code.ACCESS_ACCEPT):
            self.patience.spend(wanted.source, self.seconds(wanted), now)
        return answer

    def seconds(self, wanted: Search) -> float:
        """How long the whole of a search takes one core."""
        longer = max(1.0, len(wanted.challenge.frame) / FRAME)
        return wanted.candidates * self.seconds_each[wanted.challenge.suite] * longer

    def explain_device(self, mac: MacAddress) -> Last | None:
        """How the latest request of ``mac`` ended; None when it made none of late."""
        return self._last.get(mac)

    def rejected(self) -> list[tuple[MacAddress, Last]]:
        """The devices whose latest request was not accepted, the latest first."""
        return [(mac, last) for mac, last in self._last.items() if not last.accepted][::-1]

    def unspoken(self) -> Sequence[tuple[str, str]]:
        """Client and dialect that we do not speak, each once an hour, for the log."""
        if not self._untold:
            return ()
        untold, self._untold = self._untold, []
        return untold

    def recheck(self, view: View, now: float) -> Iterator[list[Stale]]:
        """Devices whose last answer is not what they would get now, step by step; each is named once."""
        return self.grants.recheck(view, self.ring, self.settings, now)

    def send_away(self, ssid: str, mac: MacAddress, reason: Reason) -> None:
        """Forget that ``mac`` ever used a key on ``ssid``, and disconnect it if it was let on."""
        place = (ssid, mac)
        self.sightings.pop(place, None)
        self.gone.add(place)
        self.ring = self.ring.without((place,))
        self.counters.devices = len(self.ring.learned)
        self.grants.send_away(place, reason.value)

    def _match(self, question: Question, stored: StoredKey, source: IpAddress, view: View, now: float) -> Answer | None:
        """The MIC proved ``stored``: what its holder gets by now, since the search may have taken a while."""
        known = holding(self.ring, stored)
        network = self.settings.networks.get(question.ssid)
        if known is None or network is None:
            return self._conclude(question, Reject(Reason.REVOKED, stored.name), source, now)
        outcome = authorize_key(question, known, self.ring, network, view=view, now=now)
        if isinstance(outcome, Accept) and outcome.displaced:
            outcome = self._replace(question, outcome, outcome.displaced, now)
        if isinstance(outcome, Accept):
            self.patience.forgive((question.site, question.mac))
            if network.learn:
                self._learn(Sighting(question.ssid, question.mac, known.name, now), known.key.subscriber)
        return self._conclude(question, outcome, source, now)

    def _replace(self, question: Question, accept: Accept, displaced: MacAddress, now: float) -> Accept | Reject:
        """``accept`` once ``displaced`` has left; a reject where the device itself had to leave a moment ago."""
        name = accept.keys[0].name
        if now < (self._rests.get((question.ssid, question.mac)) or 0.0):
            return Reject(Reason.DEVICE_LIMIT, name)
        self._rests.put((question.ssid, displaced), now + REST)
        self.send_away(question.ssid, displaced, Reason.DEVICE_LIMIT)
        return accept

    def _learn(self, sighting: Sighting, subscriber: str) -> None:
        place = (sighting.ssid, sighting.mac)
        before, stored = self.ring.learned.get(place), self.ring.keys.get(sighting.key)
        known = before is not None and before.key == sighting.key and sighting.at < before.at + SEEN_AGAIN
        # after a rotation the same name means another passphrase
        rotated = before is not None and stored is not None and stored.created > before.at
        if known and not rotated:
            return
        self.sightings[place] = sighting
        self.gone.discard(place)
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
        if outcome.mac is not None:
            last = Last(now, client.name, outcome.ssid, reason=outcome.reason.value)
            self._last.put(outcome.mac, last.after(self._last.get(outcome.mac)))
        self.counters.count(outcome)
        return written(None, outcome)

    def _conclude(self, question: Question, outcome: Outcome, source: IpAddress, now: float) -> Answer | None:
        """Count and remember ``outcome``, and write it."""
        self.counters.count(outcome)
        place, site, ssid = (question.ssid, question.mac), question.site, question.ssid
        match outcome:
            case Accept(vlan=vlan, blocked=blocked):
                reason = Reason.BLOCKED.value if blocked else ""
                stored, offered = (None, outcome.keys) if outcome.offered else (outcome.key, outcome.keys[1:])
                name = stored.name if stored else None
                last = Last(now, site, ssid, accepted=True, reason=reason, key=name, vlan=vlan)
                shaken = question.handshake
                # the frame is of no more use
                kept = replace(question, handshake=None, roams=shaken.message.ft is not None) if shaken else question
                handed_out = offered if question.dialect.several else ()
                grant = Grant(
                    kept, source, stored, vlan, name, outcome.rate, handed_out,
                    blocked=self.settings.is_blocked_vlan(ssid, vlan),
                )  # fmt: skip
                self.grants.granted(grant, now)
            case Reject(reason=refused, key=name):
                last = Last(now, site, ssid, reason=refused.value, key=name)
                self.grants.refused(place, refused, source)
            case _:
                last = Last(now, site, ssid, reason=outcome.reason.value)
        self._last.put(question.mac, last.after(self._last.get(question.mac)))
        return written(question, outcome)


def _made(challenge: Challenge, stored: StoredKey) -> bool:
    return stored.pmk is not None and verifies(challenge, stored.pmk.reveal())
