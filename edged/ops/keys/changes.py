# SPDX-License-Identifier: Apache-2.0
"""``edged keys`` that changes what is there: rotate, expire, revoke, allow, forget, reseal. Each says its undo."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from edged.mpsk.keylist.revisions import Revised
from edged.ops.control import SCHEMA, Refused
from edged.ops.keys.forms import Facts, choice_of, ids_of, keys_named, macs_of, refusal, style_of, time_of
from edged.ops.text import moment
from edged.state.keys import LOCAL
from edged.values import MacAddress, Secret

if TYPE_CHECKING:
    from edged.ops.rooms import House

Note = Callable[[Facts, str, Sequence[str]], Awaitable[None]]
_MAX_OVERLAP_S = 90 * 86400.0
"""A season: beyond, the old passphrase was never meant to end."""


class KeyChanges:
    """The acts on keys that exist."""

    def __init__(self, house: House, note: Note) -> None:
        self._house = house
        self._note = note
        self._actions = {
            "rotate": self._rotate, "expire": self._expire, "revoke": self._revoke, "allow": self._allow,
            "forget": self._forget, "reseal": self._reseal,
        }  # fmt: skip

    async def answer(self, action: str, request: Facts) -> Facts:
        """The answer to one action. ``Refused`` with the next step."""
        act = self._actions.get(action)
        if act is None:
            raise Refused(f'keys has no action "{action}"', 2)
        return await act(request)

    async def _rotate(self, request: Facts) -> Facts:
        key_list, undo = self._house.mpsk.key_list, bool(request.get("undo"))
        ids, named = ids_of(request), bool(ids_of(request))
        if not named:
            ids = await self._chosen(request, undo=undo)
        asked = self._asks(request, len(ids), named=named)
        if asked is not None:
            return asked
        if undo:
            return await self._undo(ids, request)
        at, leaked = time_of(request, "at"), bool(request.get("leaked"))
        overlap = request.get("overlap")
        if overlap is not None and not 0.0 <= float(overlap) <= _MAX_OVERLAP_S:
            raise Refused("--overlap is at most 90d", 2)
        if at and at <= time.time():
            raise Refused("--at lies in the past; leave it out to rotate now", 2)
        given = request.get("passphrase")
        revised = await key_list.rotate(
            ids, at=at, overlap=None if overlap is None else float(overlap), leaked=leaked,
            passphrase=None if given is None else Secret(str(given)), style=style_of(request),
        )  # fmt: skip
        done = await self._done(request, "rotate key", revised, "no passphrase was changed")
        return {"schema": SCHEMA, "ids": done, "sentence": self._rotated(done, at, leaked=leaked)}

    def _rotated(self, ids: Sequence[str], at: float, *, leaked: bool) -> str:
        latest = self._house.mpsk.key_list.old_until(ids)
        if leaked:
            then = "The old one has ended; devices on it are disconnected."
        else:
            old = f"the old one is good until {moment(latest)}." if latest else "the old one has ended."
            then = f"The new one begins at {moment(at)}; {old}" if at else f"{old[0].upper()}{old[1:]}"
        one = ids[0] if len(ids) == 1 else "ID …"
        undo = "" if leaked else f"\nUndo:  edged keys rotate --undo {one}"
        have = "has" if len(ids) == 1 else "have"
        return f"{keys_named(ids)} {have} a new passphrase:  edged keys show {one.removesuffix(' …')}\n{then}{undo}"

    async def _undo(self, ids: Sequence[str], request: Facts) -> Facts:
        key_list = self._house.mpsk.key_list
        done = await self._done(request, "undo rotation", await key_list.undo_rotation(ids), "nothing was undone")
        latest = key_list.old_until(done)
        then = f"\nThe newer one is good until {moment(latest)}." if latest else ""
        have = "has" if len(done) == 1 else "have"
        return {
            "schema": SCHEMA,
            "ids": done,
            "sentence": f"{keys_named(done)} {have} the passphrase of before again.{then}",
        }

    async def _chosen(self, request: Facts, *, undo: bool) -> list[str]:
        choice = choice_of(request)
        if choice.is_empty:
            raise Refused("which keys? an ID, or --site and --ssid", 2)
        key_list = self._house.mpsk.key_list
        ids = await (key_list.undoable(choice) if undo else key_list.rotatable(choice))
        if not ids and undo:
            raise Refused("no local key of these has a passphrase of before that is good.  edged keys list")
        if not ids:
            raise Refused("there is no local key of these that has not ended.  edged keys list")
        return ids

    def _asks(self, request: Facts, count: int, *, named: bool) -> Facts | None:
        """More than one that is not ``named`` is asked about; a program says the number that it expects."""
        expected = request.get("count")
        if expected is None and count > 1 and not named:
            sentence = f"{count:,} passphrases would be changed"
            return {"schema": SCHEMA, "asks": count, "sentence": sentence}
        if expected is not None and int(expected) != count:
            there = "there is 1 key" if count == 1 else f"there are {count:,} keys"
            raise Refused(f"{there}, not {int(expected):,}; nothing was changed")
        return None

    async def _expire(self, request: Facts) -> Facts:
        at, ids = time_of(request, "ends"), ids_of(request)
        if at and at <= time.time():
            raise Refused("that time has passed; edged keys revoke ID ends a key now", 2)
        first = self._house.mpsk.key_list.find(ids[0]) if ids else None
        was = first.key.expires if first else 0.0
        revised = await self._house.mpsk.key_list.expire(ids, at)
        done = await self._done(request, "expire key", revised, "nothing was changed")
        ends = f"{'ends' if len(done) == 1 else 'end'} at {moment(at)}" if at else "no longer ends by itself"
        undo = f"\nUndo:  edged keys expire {done[0]} {moment(was)[:16].replace(' ', 'T') + 'Z' if was else 'never'}"
        return {
            "schema": SCHEMA,
            "ids": done,
            "sentence": f"{keys_named(done)} {ends}.{undo if len(done) == 1 else ''}",
        }

    async def _revoke(self, request: Facts) -> Facts:
        ids, key_list = ids_of(request) or [str(request["id"])], self._house.mpsk.key_list
        if request.get("undo"):
            done = await self._done(request, "restore key", await key_list.restore(ids), "nothing was undone")
            verb = "is" if len(done) == 1 else "are"
            passphrase = "its present passphrase" if len(done) == 1 else "their present passphrases"
            return {
                "schema": SCHEMA,
                "ids": done,
                "sentence": f"{keys_named(done)} {verb} good again, with {passphrase}.",
            }
        twins = self._twins(ids)
        done = await self._done(request, "revoke key", await key_list.revoke(ids), "no key was revoked")
        verb, whose = ("is", "its") if len(done) == 1 else ("are", "their")
        more = f"\n{keys_named(twins)} with the same passphrase: still good." if twins else ""
        return {
            "schema": SCHEMA,
            "id": done[0],
            "ids": done,
            "sentence": f"{keys_named(done)} {verb} revoked; {whose} devices are disconnected.{more}"
            f"\nUndo:  edged keys revoke --undo {' '.join(done[:20])}",
        }

    def _twins(self, ids: Sequence[str]) -> list[str]:
        """The same resident's keys on other networks."""
        ring = self._house.mpsk.ring
        mine = [s for s in ring.keys.values() if s.key.id in ids and s.origin == "local"]
        held = {(s.key.passphrase, s.key.site, s.key.subscriber) for s in mine}
        return [
            s.key.id
            for s in ring.keys.values()
            if s.origin == "local" and s.key.id not in ids and s.is_live(time.time())
            and (s.key.passphrase, s.key.site, s.key.subscriber) in held
        ]  # fmt: skip

    async def _allow(self, request: Facts) -> Facts:
        key_id, macs, key_list = str(request["id"]), macs_of(request), self._house.mpsk.key_list
        if request.get("any"):
            if macs or request.get("only"):
                raise Refused("--any opens the key for every device: no MAC and no --only goes with it", 2)
            done = await self._done(request, "allow device", await key_list.allow_any(key_id), "nothing was changed")
            return {"schema": SCHEMA, "ids": done, "sentence": f"{key_id} is good for any device."}
        if not macs:
            raise Refused("which device? its MAC address; or --any", 2)
        problems = await key_list.allow(key_id, macs, alone=bool(request.get("only")))
        if problems:
            raise refusal("no device was registered", problems)
        await self._note(request, f"allow device {' '.join(macs)}", [key_id])
        stored = key_list.find(key_id)
        listed = stored.key.devices if stored else ()
        count = "1 listed device" if len(listed) == 1 else f"{len(listed):,} listed devices"
        good = f"It is good for {count} alone." if listed else "It stays good for any other too."
        undo = f"forget {key_id} {macs[0] if len(macs) == 1 else 'MAC'}"
        # without its last device the key would be good for any: that is said in so many words
        undo = f"allow {key_id} --any" if set(listed) == set(macs) else undo
        return {
            "schema": SCHEMA,
            "ids": [key_id],
            "sentence": f"{', '.join(macs)} may use {key_id}. {good}\nUndo:  edged keys {undo}",
        }

    async def _forget(self, request: Facts) -> Facts:
        key_id, macs = str(request["id"]), macs_of(request)
        if len(macs) != 1:
            raise Refused("which device? one MAC address", 2)
        mac: MacAddress = macs[0]
        problems = await self._house.mpsk.key_list.forget(key_id, mac)
        if problems:
            raise refusal("no device was forgotten", problems)
        await self._note(request, f"forget device {mac}", [key_id])
        stored = self._house.mpsk.key_list.find(key_id)
        local = stored is not None and stored.origin == LOCAL
        another = f":  edged keys rotate --now {key_id}" if local else "; another one comes from billing."
        return {
            "schema": SCHEMA,
            "ids": [key_id],
            "sentence": f"{mac} is no device of {key_id} any more; it is disconnected if it was on.\n"
            f"Who knows the passphrase can come back{another}",
        }

    async def _reseal(self, request: Facts) -> Facts:
        resealed = await self._house.mpsk.key_list.reseal(self._house.sealing)
        if resealed is None:
            raise Refused(
                "the sealing key comes from systemd's credentials, and no other one is known; first give the new one"
                " as sealing.key and this one as sealing.key.old, and restart (docs/security.md)"
            )
        await self._note(request, "reseal keys", [str(resealed.count)])
        damaged = f"\n{resealed.damaged:,} opened with no known sealing key and were left." if resealed.damaged else ""
        return {
            "schema": SCHEMA,
            "count": resealed.count,
            "damaged": resealed.damaged,
            "sentence": f"{resealed.count:,} keys are sealed with the new sealing key; the old one opens nothing any"
            f" more.{damaged}\nBack up sealing.key and edged.sqlite together, now.",
        }

    async def _done(self, request: Facts, action: str, revised: Revised, head: str) -> list[str]:
        if revised.problems:
            raise refusal(head, revised.problems)
        await self._note(request, action, revised.ids)
        return list(revised.ids)
