# SPDX-License-Identifier: Apache-2.0
"""Arrows between rooms that are more than a line: accounting to the database, stale devices off the air. I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from edged.errors import UpstreamError
from edged.mpsk.memory import Stale
from edged.mpsk.usage import KeyRoom, used_key
from edged.policy.sessions import Roster
from edged.radius.accounting import read
from edged.radius.attributes import Attribute, attribute
from edged.radius.client import disconnect
from edged.radius.packet import Packet
from edged.radius.settings import ClientSettings
from edged.state.sessions import Session, SessionStore
from edged.values import Endpoint, IpAddress, Secret, parse_mac

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""Seconds between two looks for devices whose answer is no longer right: a payment moves them within two."""
_MOST = 2**63 - 1
AT_ONCE = 32
"""Disconnect requests under way at once: an access point takes them one by one."""


class Accounting:
    """Accounting-Requests into the session table, acknowledged once durable (RFC 2866), and on to the policy."""

    def __init__(
        self,
        sessions: SessionStore,
        roster: Roster,
        heard: Callable[[set[str]], None],
        keys: KeyRoom | None = None,
    ) -> None:
        self._sessions = sessions
        self._roster = roster
        self._heard = heard
        self._keys = keys

    async def open(self) -> None:
        """Take what was reported before a restart."""
        now = time.time()
        sessions = await self._sessions.open()
        # what was bound in the future was told while the clock was wrong: everything else is the better word
        self._report(sorted(sessions, key=lambda s: (s.updated <= now, s.updated)))

    async def end_silent(self) -> None:
        """End what no NAS has reported on for long."""
        self._report(await self._sessions.end_silent(time.time()))

    def _report(self, sessions: Iterable[Session]) -> None:
        concerned: set[str] = set()
        now = time.time()
        for session in sessions:
            for kind, line in session.online().items():
                concerned |= self._roster.report(("radius", (session.nas, session.session, kind)), line, now)
        self._heard(concerned)

    async def account(self, request: Packet, client: ClientSettings, source: IpAddress) -> bool:
        """True once the record is kept; False: silence, so that the NAS sends it again."""
        event = read(request)
        if event is None:
            return True
        mac = _mac(event.calling_station_id)
        named = used_key(request, mac, self._keys)
        try:
            sessions = await self._sessions.record(
                event.status,
                # identities are often those of the factory: two routers must not end each other's sessions
                nas=f"{event.nas_identifier}@{source}" if event.nas_identifier else str(source),
                session=event.session_id,
                # the name of a key is nobody's login
                login="" if named.is_identity else event.user_name,
                mac=mac,
                ipv4=str(event.ipv4 or ""),
                ipv6=" ".join(map(str, event.ipv6_prefixes)) or str(event.ipv6 or ""),
                delegated=" ".join(map(str, event.delegated_prefixes)),
                at=time.time() - event.delay,
                # SQLite's integers have 63 bits; a counter beyond them is a lie
                octets_in=min(event.octets_in, _MOST),
                octets_out=min(event.octets_out, _MOST),
                seconds=event.session_time,
                client=client.name,
                ssid=named.ssid,
                key=named.key or ("", ""),
                bssid=named.bssid,
            )
        except UpstreamError as error:
            log.warning("accounting-not-kept", error=str(error))
            return False
        self._report(sessions)
        return True


def _mac(calling_station_id: str) -> str:
    try:
        return parse_mac(calling_station_id)
    except ValueError:
        return calling_station_id[:64]


class Disconnects:
    """Sends away devices whose last answer is no longer right, so that they ask again (RFC 5176)."""

    def __init__(
        self,
        stale: Callable[[], list[Stale]],
        clients: Callable[[], Iterable[ClientSettings]],
        secret: Callable[[IpAddress, ClientSettings], Secret] = lambda _nas, client: client.secret,
    ) -> None:
        """``secret``: the one that this NAS knows now, for it may still have the one before."""
        self._stale = stale
        self._secret = secret
        self._clients = clients
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                for device in self._stale():
                    client = next((c for c in self._clients() if c.name == device.client), None)
                    if client is not None and client.disconnect is not None:
                        group.create_task(self._send(device, client, client.disconnect.port), name="disconnect")

    async def _send(self, device: Stale, client: ClientSettings, port: int) -> None:
        # hostapd refuses what it does not know (Error-Cause 401): the station alone identifies its session
        named: tuple[Attribute, ...] = (attribute("Calling-Station-Id", device.mac.upper().replace(":", "-")),)
        async with self._free:
            result = await disconnect(Endpoint(device.nas, port), self._secret(device.nas, client), named)
        log.info(
            "device-disconnected",
            client=client.name,
            ssid=device.ssid,
            reason=device.reason,
            status=result.outcome.value,
        )
