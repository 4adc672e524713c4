# SPDX-License-Identifier: Apache-2.0
"""``edged keys sheet`` and ``edged keys devices``, the daemon's side: keys to hand out, and who uses them now.

Both answer in parts: a building may have ten thousand keys, and a long line would hold up who waits for DNS.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import structlog

from edged.captive.files.service import read_logos
from edged.captive.settings import PortalSettings
from edged.errors import ConfigError
from edged.mpsk.keyring import Keyring, fault_of
from edged.mpsk.outcome import Reason
from edged.mpsk.settings import NetworkSettings
from edged.ops.control import SCHEMA, Refused
from edged.state.keys import BILLING, LOCAL, RETIRED, KeyId, Sighting, StoredKey
from edged.state.overrides import AuditRow
from edged.state.sessions import Session
from edged.values import MacAddress

if TYPE_CHECKING:
    from edged.ops.rooms import House

log = structlog.get_logger(__name__)

Facts = dict[str, Any]
KEYS_A_PART = 250
DEVICES_A_PART = 500


class ResidentCommands:
    """What is for the residents and about their devices."""

    def __init__(self, house: House) -> None:
        self._house = house

    # --- sheet -----------------------------------------------------------------------------------

    async def sheet(self, request: Facts) -> Facts:
        """A part of the keys to print, with their passphrases: each has its line in the audit before it is told."""
        now = time.time()
        brand = await self._brand(str(request.get("brand") or "default"))
        after = tuple(request.get("after") or ())
        # in a thread: ten thousand keys in order take longer than a name may wait for its answer
        count, part, more = await asyncio.to_thread(self._part, request, after, now)
        who = str(request.get("who", "?"))[:64]
        rows = [AuditRow(now, who, "print key", facts["id"], "edged keys sheet") for facts in part]
        await self._house.overrides.note_all(rows)
        log.info("keys-revealed", who=who, count=len(part), action="sheet")
        return {"schema": SCHEMA, "count": count, "keys": part, "next": more, **({} if after else brand)}

    def _part(self, request: Facts, after: tuple[str, ...], now: float) -> tuple[int, list[Facts], list[str] | None]:
        """How many keys are wanted, those of the part behind ``after``, and the last of these where more follow."""
        wanted = self._wanted(request, now)
        rest = [stored for stored in wanted if not after or stored.name > after]
        part = nsmallest(KEYS_A_PART, rest, key=lambda stored: stored.name)
        more = list(part[-1].name) if len(rest) > len(part) else None
        return len(wanted), [self._printable(stored, now) for stored in part], more

    async def _brand(self, name: str) -> Facts:
        portal = self._house.loaded.config.portal
        brand = portal.brands.get(name)
        if brand is None:
            raise Refused(f'there is no brand "{name}"; there are ' + ", ".join(portal.brands))
        alone = PortalSettings.model_construct(brands={name: brand})
        try:
            logos = await asyncio.to_thread(read_logos, alone)
        except ConfigError as error:
            log.warning("logo-unreadable", brand=name, problem=str(error))
            logos = {}
        return {"brand": brand.model_dump(mode="json", exclude={"logo", "reasons"}), "logo": logos.get(name, "")}

    def _wanted(self, request: Facts, now: float) -> list[StoredKey]:
        """The keys that are asked for. ``Refused``: none, or one of those named is not good."""
        ids, site, ssid = request.get("ids") or (), request.get("site"), request.get("ssid")
        if ids:
            return [self._named(str(one), now) for one in dict.fromkeys(ids)]
        if not (site or ssid):
            raise Refused("name the keys: by id, with --site or with --ssid", 2)
        networks = self._house.loaded.config.mpsk.networks
        found = [
            stored
            for stored in self._house.mpsk.ring.keys.values()
            if (not site or stored.key.site == site) and (not ssid or stored.key.ssid == ssid)
            if stored.key.ssid in networks and not stored.key.id.endswith(RETIRED)
            if fault_of(stored, now) in {None, Reason.NOT_YET}
        ]
        if not found:
            where = " and ".join(f'{name} "{value}"' for name, value in (("site", site), ("ssid", ssid)) if value)
            raise Refused(f"there is no good key of {where}.  edged keys list")
        return found

    def _named(self, key_id: str, now: float) -> StoredKey:
        keys = self._house.mpsk.ring.keys
        stored = keys.get(KeyId(LOCAL, key_id)) or keys.get(KeyId(BILLING, key_id))
        if stored is None:
            raise Refused(f'there is no key "{key_id}".  edged keys list')
        fault = fault_of(stored, now)
        if fault not in {None, Reason.NOT_YET}:
            raise Refused(f'"{key_id}" is {fault}: whoever gets its sheet could not use it')
        if stored.key.ssid not in self._house.loaded.config.mpsk.networks:
            raise Refused(f'the network of "{key_id}" is not under mpsk.networks')
        return stored

    def _printable(self, stored: StoredKey, now: float) -> Facts:
        key = stored.key
        network: NetworkSettings = self._house.loaded.config.mpsk.networks[key.ssid]
        old = self._house.mpsk.ring.keys.get(KeyId(stored.origin, key.id + RETIRED))
        ends = [at for at in (key.expires, stored.revoked) if at > now]
        return {
            "id": key.id,
            "ssid": key.ssid,
            "passphrase": key.passphrase.reveal_text(),
            "site": key.site,
            "unit": key.label,
            "limit": 0 if key.devices else key.device_limit or network.devices_per_key,
            "hidden": network.hidden,
            "own_address": bool(key.devices) or network.private_address_note,
            "begins": key.not_before if key.not_before > now else 0.0,
            "ends": min(ends, default=0.0),
            "old_until": old.revoked if old is not None and fault_of(old, now) is None else 0.0,
        }

    # --- devices ---------------------------------------------------------------------------------

    async def devices(self, request: Facts) -> Facts:
        """A part of the devices, in order of SSID and MAC address: which key, online or last seen, how much."""
        key_id, site = request.get("id"), request.get("site")
        if key_id and not any(name.id == key_id for name in self._house.mpsk.ring.keys):
            raise Refused(f'there is no key "{key_id}".  edged keys list')
        networks = frozenset(self._house.loaded.config.mpsk.networks)
        after = tuple(request.get("after") or ("", ""))
        online = bool(request.get("online"))
        sessions = await self._house.sessions.wireless((str(after[0]), str(after[1])), DEVICES_A_PART, running=online)
        ring = self._house.mpsk.ring
        learned = {} if online else ring.learned
        found, more = await asyncio.to_thread(rows_of, sessions, learned, ring, networks, after)
        devices = [
            row
            for row in found
            if (not key_id or row["key"] == key_id) and (not site or site in {row["site"], row["client"]})
            if row["online"] or not online
        ]
        return {"schema": SCHEMA, "at": time.time(), "devices": devices, "next": more}


def rows_of(
    sessions: Sequence[Session], learned: Mapping[tuple[str, str], Sighting], ring: Keyring, networks: frozenset[str],
    after: tuple[str, ...],
) -> tuple[list[Facts], list[str] | None]:  # fmt: skip
    """The devices of the part behind ``after`` that used a key or were reported on, and the last where more follow.

    From accounting (``sessions``: the first of those behind ``after``) and from handshakes (``learned``: all of them),
    in order of SSID and MAC address.
    """
    reported = {(s.ssid, s.mac): s for s in sessions}
    rest = {**dict.fromkeys(reported), **{place: None for place in learned if place > after}}
    # a sort of all would hold the interpreter's lock from its first to its last comparison
    part = nsmallest(DEVICES_A_PART, rest)
    more = len(rest) > len(part) or len(sessions) == DEVICES_A_PART
    rows = [
        row_of(ssid, mac, reported.get((ssid, mac)), learned.get((ssid, MacAddress(mac))), ring)
        for ssid, mac in part
        if ssid in networks
    ]
    return rows, list(part[-1]) if more else None


def row_of(ssid: str, mac: str, session: Session | None, seen: Sighting | None, ring: Keyring) -> Facts:
    """One device. ``down`` and ``up`` are octets of its latest session; None: no access point has told."""
    online = session is not None and session.stopped is None
    known = next(_keys(ssid, mac, session, seen, ring), None)
    name = _passphrase_of(*known, ring) if known else None
    stored = ring.keys.get(name) if name else None
    key = stored.key if stored else None
    return {
        "mac": mac,
        "ssid": ssid,
        "key": name.id.removesuffix(RETIRED) if name else "",
        "origin": name.origin if name else "",
        "old_passphrase": bool(name) and name.id.endswith(RETIRED) if name else False,
        "label": key.label if key else "",
        "subscriber": key.subscriber if key else "",
        "site": key.site if key else "",
        "online": online,
        "since": session.started if session and online else None,
        "last_seen": max(session.updated if session else 0.0, seen.at if seen else 0.0),
        "reported": session.updated if session else None,
        "interim": session is not None and session.updated > session.started + 1,
        "down": session.octets_out if session else None,
        "up": session.octets_in if session else None,
        "nas": session.nas if session else "",
        "client": session.client if session else "",
    }


def _keys(
    ssid: str, mac: str, session: Session | None, seen: Sighting | None, ring: Keyring
) -> Iterator[tuple[KeyId, float]]:  # fmt: skip
    """Which key it used and when, the best knowledge first."""
    told = (KeyId(session.origin, session.key), session.started) if session and session.key else None
    proved = (seen.key, seen.at) if seen else None
    # a handshake after the end of the session is the later word
    later = seen is not None and session is not None and session.stopped is not None and seen.at > session.updated
    for known in (proved if later else None, told, proved):
        if known is not None:
            yield known
    for stored in ring.narrow(ssid, session.client if session else "", MacAddress(mac)):
        yield stored.name, float("inf")


def _passphrase_of(name: KeyId, at: float, ring: Keyring) -> KeyId:
    """The row that has the passphrase which ``name`` had at that moment: a rotation since has moved it aside."""
    stored, old = ring.keys.get(name), ring.keys.get(KeyId(name.origin, name.id + RETIRED))
    aside = stored is not None and old is not None and old.created <= at < stored.created
    return old.name if aside and old is not None else name
