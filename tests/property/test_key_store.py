# SPDX-License-Identifier: Apache-2.0
"""Whatever billing and the operator do to the keys, in whatever order: no passphrase is ever two keys'.

On a real SQLite file. The moments of the clock, the few ids, sites and passphrases are small, so that they meet.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.model import Key
from edged.mpsk.keylist import revisions
from edged.mpsk.keylist.making import Order, Style, made
from edged.mpsk.keylist.revisions import Revised, Rotation
from edged.mpsk.keyring import compile_keyring, fault_of
from edged.mpsk.places import set_aside
from edged.state.database import Database
from edged.state.keys import BILLING, LOCAL, RETIRED, KeyStore, StoredKey
from edged.state.sealing_key import SealingKey
from edged.values import MacAddress, Secret
from tests.mpsk_world import MAC, NOW, SSID, fake_pmk

HOUR = 3600.0
IDS = ("a", "b")
SITES = ("", "b-7", "b-8")
PASSPHRASES = tuple(Secret(f"copper-otter-violin-{n}") for n in range(3))

ids, sites, passphrases = st.sampled_from(IDS), st.sampled_from(SITES), st.sampled_from(PASSPHRASES)
moments = st.sampled_from([0.0, 0.0, 0.0, HOUR, 2 * HOUR, 4 * HOUR])  # from now on; 0: none
keys = st.builds(
    lambda key_id, site, passphrase, begins, ends: (key_id, site, passphrase, begins, ends),
    ids, sites, passphrases, moments, moments,
)  # fmt: skip
acts = st.one_of(
    st.tuples(st.just("add"), st.lists(keys, min_size=1, max_size=2)),
    st.tuples(st.just("generate"), st.integers(1, 3), sites),
    st.tuples(st.just("rotate"), ids, moments, st.sampled_from([None, 0.0, HOUR, 3 * HOUR]), st.none() | passphrases),
    st.tuples(st.just("rotate"), ids, moments, st.sampled_from([None, 0.0, HOUR, 3 * HOUR]), st.none() | passphrases),
    st.tuples(st.just("undo"), ids),
    st.tuples(st.just("revoke"), ids),
    st.tuples(st.just("restore"), ids),
    st.tuples(st.just("expire"), ids, moments),
    st.tuples(st.just("billing"), st.lists(keys, max_size=3), st.sampled_from([0.0, 2 * HOUR])),
    st.tuples(st.just("reseal")),
    st.tuples(st.just("wait"), st.integers(1, 3).map(lambda n: n * HOUR)),
)

BEGINNING = (
    ("add", [("a", "b-7", PASSPHRASES[0], 0.0, 0.0), ("b", "", PASSPHRASES[1], 0.0, 0.0)]),
    ("billing", [("a", "", PASSPHRASES[2], 0.0, 0.0)], 2 * HOUR),
)


class Building:
    """A store, its clock, and what must be true of it."""

    def __init__(self, store: KeyStore, directory: Path) -> None:
        self.store = store
        self.place = SealingKey(directory)
        self.now = NOW
        self._serial = itertools.count()
        self._choice = random.Random(7).choice

    async def do(self, act: Any) -> None:
        name, *given = act
        before = {s.name: s for s in await self.store.all()}
        await getattr(self, f"_{name}")(*given)
        after = {s.name: s for s in await self.store.all()}
        untouched = {"billing": LOCAL}.get(name, BILLING)
        if name in {"reseal", "wait"}:
            assert after == before
        else:
            assert [s for s in after.values() if s.origin == untouched] == [
                s for s in before.values() if s.origin == untouched
            ]
        self.check(list(after.values()))

    def check(self, rows: Sequence[StoredKey]) -> None:
        for origin in (BILLING, LOCAL):
            live = [s for s in rows if s.origin == origin and s.is_live(self.now)]
            assert not [(a, b) for a, b in itertools.combinations(live, 2) if a.clashes(b, self.now)]
        for ahead in (0.0, HOUR / 2, 2.5 * HOUR):
            self._check_good(rows, self.now + ahead)

    def _check_good(self, rows: Sequence[StoredKey], now: float) -> None:
        derived = [StoredKey(s.origin, s.key, fake_pmk(s.key.passphrase.reveal()), s.created, s.revoked) for s in rows]
        ring = compile_keyring(set_aside(derived, now), (), (SSID,), now)
        good = [s for s in ring.keys.values() if fault_of(s, now) is None]
        for stored in good:
            assert stored.key.not_before <= now
            assert not stored.key.expires or now < stored.key.expires
            assert not stored.revoked or now < stored.revoked
        for site in ("b-7", "b-8"):
            tried = [s for pool in ring.wide(SSID, site) for s in pool.keys]
            live = [s for s in tried if s in good]
            assert tried[: len(live)] == live, "a key that has ended is tried before one that is good"
            assert len({s.key.passphrase for s in live}) == len(live), "a device could be two residents"
            assert all(s in good for s in ring.own(SSID, site, MacAddress(MAC), now))
        for stored in ring.keys.values():
            if stored.shadowed_by:
                theirs = [s for s in good if s.origin == BILLING and s.key.id == stored.shadowed_by]
                assert [s.key.passphrase for s in theirs] == [stored.key.passphrase]
                assert stored.origin == LOCAL

    def _key(self, parts: tuple[str, str, Secret, float, float]) -> Key:
        key_id, site, passphrase, begins, ends = parts
        return Key(
            key_id, SSID, passphrase, site=site, not_before=begins and self.now + begins,
            expires=ends and self.now + begins + ends,
        )  # fmt: skip

    async def _add(self, parts: list[Any]) -> None:
        before = await self.store.all()
        wanted = [self._key(each) for each in parts]
        if await self.store.add_local(wanted, self.now):
            assert await self.store.all() == before

    async def _generate(self, count: int, site: str) -> None:
        units = tuple(str(next(self._serial)) for _ in range(count))
        order = Order((SSID,), units, prefix="flat-", site=site, style=Style("random"))
        keys, problems = made(order, (SSID,), lambda: "never", self._choice)
        assert not problems
        assert await self.store.add_local(keys, self.now) == {}

    async def _rotate(self, key_id: str, at: float, overlap: float | None, passphrase: Secret | None) -> None:
        standing = {s.key.id: s for s in await self.store.all() if s.origin == LOCAL}
        terms = Rotation(self.now, at and self.now + at, None if overlap is None else {SSID: overlap})
        fresh = passphrase or Style().draw(self._choice)
        revised = await self.store.revise(lambda rows: revisions.rotated(rows, [key_id], terms, lambda: fresh))
        if not revised.ids:
            assert revised.problems
            return
        new = {s.key.id: s for s in await self.store.all() if s.origin == LOCAL}
        old_row = standing.get(key_id + RETIRED)
        prepared = old_row and old_row.is_live(self.now) and standing[key_id].key.not_before > self.now
        in_use = old_row if prepared and old_row else standing[key_id]
        assert new[key_id].key.passphrase == fresh
        if overlap is not None and fault_of(in_use, self.now) is None:
            # the old one is good to the last moment of the overlap and no longer, the new one from its beginning on
            begins = self.now + at
            moments = [self.now, begins + overlap - 1] if overlap else [self.now] if at else []
            for moment in moments:
                kept = fault_of(new[key_id + RETIRED], moment)
                assert kept is None or in_use.key.expires <= moment
            assert fault_of(new[key_id + RETIRED], begins + overlap) is not None
            assert new[key_id + RETIRED].key.passphrase == in_use.key.passphrase
            assert fault_of(new[key_id], begins) is None or in_use.key.expires <= begins
        if overlap is None:
            assert fault_of(new[key_id + RETIRED], self.now) is not None

    async def _undo(self, key_id: str) -> None:
        await self._revised(lambda rows: revisions.rotations_undone(rows, [key_id], self.now))

    async def _revoke(self, key_id: str) -> None:
        revised = await self._revised(lambda rows: revisions.revoked(rows, [key_id], self.now))
        if revised.ids:
            mine = [s for s in await self.store.all() if s.origin == LOCAL and s.key.id in {key_id, key_id + RETIRED}]
            assert not [s for s in mine if s.is_live(self.now)]

    async def _restore(self, key_id: str) -> None:
        await self._revised(lambda rows: revisions.restored(rows, [key_id], self.now))

    async def _expire(self, key_id: str, ahead: float) -> None:
        at = ahead and self.now + ahead
        await self._revised(lambda rows: revisions.ended_at(rows, [key_id], at, self.now))

    async def _revised(self, revision: Any) -> Revised:
        revised: Revised = await self.store.revise(revision)
        assert bool(revised.ids) != bool(revised.problems)
        return revised

    async def _billing(self, parts: list[Any], overlap: float) -> None:
        wanted = list({key.id: key for key in map(self._key, parts)}.values())
        change = await self.store.replace_billing(wanted, self.now, {SSID: overlap})
        left_out = {key_id for key_id, _ in change.conflicts}
        stored = {s.key.id: s for s in await self.store.all() if s.origin == BILLING}
        for key in wanted:
            assert key.id in left_out or stored[key.id].key == key

    async def _reseal(self) -> None:
        assert await self.store.reseal(self.place) is not None

    async def _wait(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(acts, min_size=5, max_size=25))
@settings(max_examples=3 * settings().max_examples)
def test_no_passphrase_is_ever_two_keys_and_none_opens_outside_its_time(script: list[Any]) -> None:
    async def play(directory: Path) -> None:
        database = Database(directory / "edged.sqlite")
        await database.open()
        await database.run(lambda c: c.execute("PRAGMA synchronous = OFF").close())  # nobody pulls the plug here
        building = Building(KeyStore(database, SealingKey(directory).seal()), directory)
        try:
            # where a script starts nobody has to draw first: two keys made here and one of billing's
            for act in (*BEGINNING, *script):
                await building.do(act)
            again = KeyStore(database, SealingKey(directory).seal())
            assert await again.all() == await building.store.all()
        finally:
            await database.close()

    with TemporaryDirectory() as directory:
        asyncio.run(play(Path(directory)))
