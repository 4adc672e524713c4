# SPDX-License-Identifier: Apache-2.0
"""The key list in the store, and the keyring after it: every change from billing and from the operator. I/O.

What a change is to be is decided in ``making`` and ``revisions``; the database applies it on its own thread.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from edged.errors import Problem
from edged.model import Key
from edged.mpsk.csvfile import no_such_network, read_keys, write_keys
from edged.mpsk.desk import Desk
from edged.mpsk.facts import KeyFacts, facts_of
from edged.mpsk.keylist import revisions
from edged.mpsk.keylist.choice import Choice, own_live
from edged.mpsk.keylist.making import Order, Style, made
from edged.mpsk.keylist.revisions import Revised, Rotation, Rows
from edged.mpsk.outcome import Reason
from edged.mpsk.passphrase import readable, weakness
from edged.mpsk.places import both_sides
from edged.state.keys import BILLING, LOCAL, RETIRED, BillingChange, KeyId, KeyStore, Resealed, Sighting, StoredKey
from edged.state.sealing_key import SealingKey
from edged.values import MacAddress, Secret

log = structlog.get_logger(__name__)

_TOLD = 10
"""A broken export repeats one mistake for every key: so many are named in the log."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A passphrase for the operator who asks for exactly that."""

    passphrase: Secret
    begins: float
    """Epoch seconds; 0 or past: it is good."""
    ends: float
    """Epoch seconds; 0: no end of its own."""


class KeyList:
    """Billing's keys and those made here, side by side."""

    def __init__(
        self,
        store: KeyStore,
        desk: Desk,
        *,
        turn: asyncio.Lock,
        reload: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._desk = desk
        self._turn = turn
        self._reload = reload
        self._clock = clock
        self._resealing = asyncio.Lock()
        self.left_out: tuple[tuple[str, str], ...] = ()
        """Of billing's latest list: ids that are not in force, and of the key whose passphrase each has."""
        self.weak: frozenset[str] = frozenset()
        """Ids of billing's keys whose passphrases a neighbour could guess."""

    # --------------------------------------------------------------------------------------------- billing

    async def replace_billing(self, keys: Sequence[Key]) -> BillingChange:
        """Make ``keys`` billing's whole list, and the keyring follow."""
        overlap = {ssid: network.rotate_overlap for ssid, network in self._desk.settings.networks.items()}
        weak = await asyncio.to_thread(_weak, keys)
        change = await self._store.replace_billing(keys, self._clock(), overlap)
        for left_out, holder in change.conflicts[:_TOLD]:
            log.warning("key-not-unique", key=left_out, same_as=holder)
        if weak - self.weak:
            log.warning("keys-weak", count=len(weak), key=min(weak))
        self.left_out, self.weak = change.conflicts, weak
        before = self._set_aside()
        await self._reload()
        for key_id, holder in sorted(self._set_aside() - before)[:_TOLD]:
            log.warning("key-set-aside", key=key_id, same_as=holder)
        return change

    def _set_aside(self) -> set[tuple[str, str]]:
        """Local keys whose passphrase is billing's now, and whose."""
        return {(s.key.id, s.shadowed_by) for s in self._desk.ring.keys.values() if s.shadowed_by}

    # --------------------------------------------------------------------------------------------- looking

    def key_facts(self) -> list[KeyFacts]:
        """Every key without its secrets."""
        return facts_of(self._desk.ring, self._clock(), self.weak)

    async def export_csv(self, choice: Choice, *, passphrases: bool) -> tuple[str, int]:
        """The chosen keys that have not ended, as ``import_csv`` takes them, and how many."""
        ring, facts = self._desk.ring, await asyncio.to_thread(self.key_facts)
        chosen = [
            ring.keys[KeyId(f.origin, f.id)].key
            for f in choice.of(facts)
            if f.standing not in {"revoked", "expired"} and not f.id.endswith(RETIRED)
        ]
        return await asyncio.to_thread(write_keys, chosen, passphrases=passphrases), len(chosen)

    def reveal(self, key_id: str) -> list[Shown]:
        """The passphrases of a key: the one of before a rotation too, while it is good. Empty: no such key."""
        now = self._clock()
        for origin in (LOCAL, BILLING):
            stored = self._desk.ring.keys.get(KeyId(origin, key_id))
            old = self._desk.ring.keys.get(KeyId(origin, key_id + RETIRED))
            if stored is not None:
                rows = [stored] if old is None or not old.is_live(now) else [stored, old]
                return [Shown(r.key.passphrase, r.key.not_before, r.revoked or r.key.expires) for r in rows]
        return []

    def old_until(self, ids: Collection[str]) -> float:
        """Until when the last of these local keys' passphrases of before is good; 0: none is."""
        now = self._clock()
        rows = (self._desk.ring.keys.get(KeyId(LOCAL, key_id + RETIRED)) for key_id in ids)
        return max((row.revoked for row in rows if row is not None and row.is_live(now)), default=0.0)

    def find(self, key_id: str) -> StoredKey | None:
        """The key of that id, of one's own making first."""
        keys = self._desk.ring.keys
        return keys.get(KeyId(LOCAL, key_id)) or keys.get(KeyId(BILLING, key_id))

    # ---------------------------------------------------------------------------------------------- making

    async def add(self, key: Key) -> str | Problem:
        """The id of the local key added, an empty id or passphrase made up. A Problem: nothing was added."""
        networks = self._desk.settings.networks
        if key.ssid not in networks:
            return no_such_network(key.ssid, networks)
        if key.id.endswith(RETIRED):
            return Problem("id", repr(key.id[:40]), f"an id without {RETIRED} at its end")
        fault = weakness(key.passphrase) if key.passphrase else None
        if fault is not None:
            return Problem("passphrase", fault.value, "a passphrase that resists guessing, or none: one is made")
        whole = replace(key, id=key.id or _new_id(), passphrase=key.passphrase or _new_passphrase())
        problems = await self._add([whole])
        return problems[0] if problems else whole.id

    async def generate(self, order: Order) -> tuple[list[Key], list[Problem]]:
        """The local keys of ``order``: all, or none with everything that is wrong with it."""
        keys, problems = await asyncio.to_thread(made, order, self._desk.settings.networks, _new_id, secrets.choice)
        problems = problems or await self._add(keys)
        return ([] if problems else keys), problems

    async def import_csv(self, text: str) -> tuple[int, list[Problem]]:
        """How many local keys of ``text`` were added: all, or none with everything that is wrong with it."""
        networks = tuple(self._desk.settings.networks)
        keys, problems = await asyncio.to_thread(read_keys, text, networks, _new_id, _new_passphrase)
        problems = problems or await self._add(keys)
        return (0 if problems else len(keys)), problems

    async def _add(self, keys: Sequence[Key]) -> list[Problem]:
        conflicts = await self._store.add_local(keys, self._clock())
        if conflicts:
            return [
                Problem("id", f"the id {key_id} exists already", "another id, or none: one is made")
                if key_id == other
                else Problem("passphrase", f"{key_id} would have that of {other}", "another passphrase")
                for key_id, other in conflicts.items()
            ]
        await self._reload()
        return []

    # -------------------------------------------------------------------------------------------- changing

    async def rotatable(self, choice: Choice) -> list[str]:
        """Ids that a rotation of ``choice`` concerns: local ones that have not ended."""
        facts = await asyncio.to_thread(self.key_facts)
        return [fact.id for fact in own_live(choice.of(facts))]

    async def rotate(
        self,
        ids: Collection[str],
        *,
        at: float = 0.0,
        overlap: float | None = None,
        leaked: bool = False,
        passphrase: Secret | None = None,
        style: Style | None = None,
    ) -> Revised:
        """Another passphrase for each, given or drawn; the old one stays good for ``overlap``, unless it ``leaked``.

        ``overlap`` in seconds, None: the network's ``rotate_overlap``. ``at`` in epoch seconds, 0: now.
        """
        given = (style or Style()).problems()
        fault = weakness(passphrase) if passphrase is not None else None
        if fault is not None:
            given.append(Problem("passphrase", fault.value, "one that resists guessing, or none: one is made"))
        if passphrase is not None and len(ids) != 1:
            given.append(Problem("passphrase", f"one for {len(ids)} keys", "one key to give it to"))
        if given:
            return Revised(problems=tuple(given))
        spans = {s: n.rotate_overlap if overlap is None else overlap for s, n in self._desk.settings.networks.items()}
        terms = Rotation(self._clock(), at, None if leaked else spans)
        chosen = style or Style()

        def draw() -> Secret:
            return passphrase or chosen.draw(secrets.choice)

        return await self._revise(lambda keys: revisions.rotated(keys, ids, terms, draw))

    async def undoable(self, choice: Choice) -> list[str]:
        """Ids of the local keys of ``choice`` whose passphrase of before is good still."""
        facts = await asyncio.to_thread(self.key_facts)
        return [fact.id for fact in own_live(choice.of(facts)) if fact.previous_until]

    async def undo_rotation(self, ids: Collection[str]) -> Revised:
        """The passphrases of before are the keys' again; the newer ones stay good beside them for a while."""
        now = self._clock()
        return await self._revise(lambda keys: revisions.rotations_undone(keys, ids, now))

    async def expire(self, ids: Collection[str], at: float) -> Revised:
        """Local keys end ``at``, epoch seconds; 0: never."""
        now = self._clock()
        return await self._revise(lambda keys: revisions.ended_at(keys, ids, at, now))

    async def revoke(self, ids: Collection[str]) -> Revised:
        """End local keys now. Billing's keys end in billing."""
        now = self._clock()
        return await self._revise(lambda keys: revisions.revoked(keys, ids, now))

    async def restore(self, ids: Collection[str]) -> Revised:
        """Take a revocation back."""
        now = self._clock()
        return await self._revise(lambda keys: revisions.restored(keys, ids, now))

    async def _revise(self, revision: Callable[[Sequence[StoredKey]], Rows]) -> Revised:
        revised = await self._store.revise(revision)
        if revised.ids:
            await self._reload()
        return revised

    # --------------------------------------------------------------------------------------------- devices

    async def allow(self, key_id: str, macs: Sequence[MacAddress], *, alone: bool) -> list[Problem]:
        """Register devices for a key before they prove it; ``alone``: from now on it is good for listed ones only."""
        stored, now = self.find(key_id), self._clock()
        if stored is None:
            return [Problem(key_id, "no such key", "an id of edged keys list")]
        listed = alone or bool(stored.key.devices)
        if listed and stored.origin == BILLING:
            return [Problem(key_id, "billing's key", "its devices in billing, which says which it is good for")]
        if listed:
            revised = await self._revise(
                lambda keys: revisions.with_devices(keys, key_id, lambda had: (*had, *(set(macs) - set(had))), now)
            )
            return list(revised.problems)
        fault = self._fault_of_more(stored, macs, now)
        if fault is not None:
            return [fault]
        seen = [Sighting(stored.key.ssid, mac, stored.name, now) for mac in macs]
        async with self._turn:
            await self._store.learn(seen)
            self._desk.gone.difference_update((s.ssid, s.mac) for s in seen)
            self._desk.ring = self._desk.ring.with_sightings(seen)
        return []

    def _fault_of_more(self, stored: StoredKey, macs: Sequence[MacAddress], now: float) -> Problem | None:
        network = self._desk.settings.networks.get(stored.key.ssid)
        if not stored.is_live(now) or network is None:
            return Problem(stored.key.id, "a key that has ended", "a live key; edged keys list")
        ring, limit = self._desk.ring, stored.key.device_limit or network.devices_per_key
        new = {mac for mac in macs if not any(mac in ring.devices.get(n, {}) for n in both_sides(stored.name))}
        if new and ring.device_count(stored.name, MacAddress(""), now) + len(new) > limit:
            found = f"full: {limit} devices"
            return Problem(stored.key.id, found, f"a free place; edged keys forget {stored.key.id} MAC makes one")
        return None

    async def forget(self, key_id: str, mac: MacAddress) -> list[Problem]:
        """``mac`` loses its place on a key, or its line in the key's list, and is disconnected."""
        stored, now = self.find(key_id), self._clock()
        if stored is None:
            return [Problem(key_id, "no such key", "an id of edged keys list")]
        sighting = self._desk.ring.learned.get((stored.key.ssid, mac))
        proved = sighting is not None and sighting.key in both_sides(stored.name)
        if mac in stored.key.devices:
            if stored.origin == BILLING:
                return [Problem(key_id, "billing's key", "its devices in billing")]
            if stored.key.devices == (mac,):
                hint = f"edged keys revoke {key_id}, or edged keys allow {key_id} --any"
                return [Problem(key_id, "its last device: without it the key would be good for any", hint)]
            revised = await self._revise(
                lambda keys: revisions.with_devices(keys, key_id, lambda had: tuple(m for m in had if m != mac), now)
            )
            if revised.problems:
                return list(revised.problems)
        elif not proved:
            return [Problem(key_id, f"{mac} is no device of this key", f"one that edged explain {key_id} names")]
        async with self._turn:
            self._desk.send_away(stored.key.ssid, mac, Reason.REVOKED)
        return []

    async def allow_any(self, key_id: str) -> Revised:
        """A local key is good for every device again."""
        now = self._clock()
        return await self._revise(lambda keys: revisions.with_devices(keys, key_id, lambda _: (), now))

    # --------------------------------------------------------------------------------------------- sealing

    async def reseal(self, place: SealingKey) -> Resealed | None:
        """Change the sealing key; None: there is none to change to. UpstreamError: do it again."""
        async with self._resealing:
            resealed = await self._store.reseal(place)
        if resealed is not None:
            log.info("keys-resealed", count=resealed.count)
            if resealed.damaged:
                log.error("keys-damaged", count=resealed.damaged)
        return resealed


def _weak(keys: Sequence[Key]) -> frozenset[str]:
    return frozenset(key.id for key in keys if weakness(key.passphrase) is not None)


def _new_id() -> str:
    # long enough that edges which make keys apart do not make one id for two
    return f"local-{secrets.token_hex(8)}"


def _new_passphrase() -> Secret:
    return readable(secrets.choice)
