# SPDX-License-Identifier: Apache-2.0
"""Arrows between rooms that are more than a line: accounting to the database, stale devices off the air. I/O."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import structlog

from edged.enforce.bng.places import is_blocked, stays_blocked
from edged.enforce.targets.radius import RadiusTarget
from edged.errors import UpstreamError
from edged.mpsk.disconnect import Disconnection, Disconnections, End, Silence
from edged.mpsk.grants import MAX_GRANTS, MAX_STRANGERS
from edged.mpsk.memory import Stale
from edged.mpsk.service import MpskService
from edged.mpsk.usage import used_key
from edged.policy.access import View
from edged.policy.sessions import Key, Roster
from edged.radius.accounting import read
from edged.radius.attributes import Attributes, attribute
from edged.radius.client import WAITS, Outcome, change, disconnect
from edged.radius.clients import Clients
from edged.radius.packet import Packet
from edged.radius.settings import ClientSettings
from edged.state.current import Current
from edged.state.grants import GrantStore
from edged.state.sessions import KINDS, Session, SessionStore, Status
from edged.state.told import ToldStore
from edged.values import Endpoint, IpAddress, MacAddress, Prefix, Secret, host_prefix, parse_address, parse_mac

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""Seconds between two looks for devices whose answer is no longer right: a payment moves them within two."""
_MOST = 2**63 - 1
AT_ONCE = 32
"""Disconnect requests under way at once: an access point takes them one by one."""
LOOKERS = 16
"""Access points asked at once whether a device that roams is there: apart, so that nobody else waits for it."""


class Accounting:
    """Accounting-Requests into the session table, acknowledged once durable (RFC 2866), and on to the policy."""

    def __init__(
        self,
        sessions: SessionStore,
        roster: Roster,
        heard: Callable[[set[str]], None],
        keys: MpskService | None = None,
    ) -> None:
        self._bngs: tuple[RadiusTarget, ...] = ()
        self._sessions = sessions
        self._roster = roster
        self._heard = heard
        self._keys = keys

    async def open(self) -> None:
        """Take what was reported before a restart."""
        now = time.time()
        sessions = await self._sessions.open()
        # what was bound in the future was told while the clock was wrong: everything else is the better word
        known = sorted(sessions, key=lambda s: (s.updated <= now, s.updated))
        # those that are silent may run all the same, and be blocked
        self._report([*known, *await self._sessions.silent_on_record()])

    def follow(self, sessions: Sequence[Session]) -> None:
        """Take what other edges were told, as it stands now."""
        self._report(sessions)

    async def end_silent(self) -> None:
        """End what no NAS has reported on for long."""
        self._report(await self._sessions.end_silent(time.time()))

    def lead(self, bngs: Iterable[RadiusTarget], current: Current, told: ToldStore) -> None:
        """Let these targets know of every session, whether it is to be blocked, and what an earlier run told.

        ``current``: whom the rooms act upon; while watching that is nobody.
        """
        self._bngs = tuple(bngs)
        for bng in self._bngs:
            bng.follow(lambda s: self._is_blocked(current.view, s), told)

    def _is_blocked(self, view: View, session: Session) -> bool:
        if session.silent:
            return stays_blocked(view, session, time.time())
        return is_blocked(view, session, self.held(session), time.time())

    def held(self, session: Session) -> list[Prefix]:
        """The addresses of ``session`` that nobody else has had since."""
        return [prefix for kind in KINDS for prefix in self._roster.kept(_key(session, kind))]

    def _report(self, sessions: Sequence[Session], given: Attributes = ()) -> None:
        concerned: set[str] = set()
        now = time.time()
        for session in sessions:
            for kind, line in session.online().items():
                concerned |= self._roster.report(_key(session, kind), line, now)
        self._heard(concerned)
        # after the policy: a session that begins while its subscriber is blocked is told so at once
        for bng in self._bngs:
            bng.heard(sessions, given)

    async def account(self, request: Packet, client: ClientSettings, source: IpAddress) -> bool:
        """True once the record is kept; False: silence, so that the NAS sends it again."""
        event = read(request)
        if event is None:
            return True
        mac = _mac(event.calling_station_id)
        # behind one address there may be several sites, each with a certificate of its own
        place = f"{source}/{client.name}" if client.certificate else str(source)
        named = used_key(request, mac, self._keys, client.name)
        at = time.time() - _ago(event.delay)
        try:
            sessions = await self._sessions.record(
                event.status,
                # identities are often those of the factory: two routers must not end each other's sessions
                nas=f"{event.nas_identifier}@{place}" if event.nas_identifier else place,
                session=event.session_id,
                # the name of a key is nobody's login
                login="" if named.is_identity else event.user_name,
                mac=mac,
                ipv4=str(event.ipv4 or ""),
                ipv6=" ".join(map(str, event.ipv6_prefixes)) or str(event.ipv6 or ""),
                delegated=" ".join(map(str, event.delegated_prefixes)),
                at=at,
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
        if self._keys is not None and named.ssid and event.status == Status.START:
            device = (named.ssid, MacAddress(mac))
            self._keys.grants.began(device, client.name, source, request.attributes, at)
        self._report(sessions, request.attributes)
        return True


def _ago(delay: int) -> float:
    """Seconds since an event that was told ``delay`` ago, at most.

    Whole seconds, rounded down: taken as they are, a Start that is sent again may seem later than the Stop of a session
    of less than a second, and would be a session that never ends.
    """
    return delay + 1.0 if delay else 0.0


def _key(session: Session, kind: str) -> Key:
    """A session's one kind of addresses in the roster: each may come and go by itself."""
    return ("radius", (session.nas, session.session, kind))


def _mac(calling_station_id: str) -> str:
    try:
        return parse_mac(calling_station_id)
    except ValueError:
        return calling_station_id[:64]


class Disconnects:
    """Sends away devices whose last answer is no longer right, so that they ask again (RFC 5176)."""

    def __init__(
        self,
        stale: Callable[[], Iterable[list[Stale]]],
        clients: Callable[[], Iterable[ClientSettings]],
        secret: Callable[[IpAddress, ClientSettings], Secret] = lambda _nas, client: client.secret,
        *,
        nases: Callable[[str], Iterable[IpAddress]] = lambda _: (),
        is_gone: Callable[[Stale], bool] = lambda _: False,
        is_on: Callable[[Stale, IpAddress], bool] = lambda _device, _nas: False,
        settle: Callable[[Stale], None] = lambda _: None,
        give_up: Callable[[Stale], None] = lambda _: None,
        note: Callable[[Stale, str], None] = lambda _device, _end: None,
        disconnections: Disconnections | None = None,
        waits: tuple[float, ...] = WAITS,
    ) -> None:
        """``secret``: the one that this NAS knows now, for it may still have the one before.

        ``nases``: those of a client that have been heard. ``is_on``: it has asked there since, and was let on.
        """
        self._nases = nases
        self._is_on = is_on
        self.disconnections = disconnections or Disconnections()
        self._stale = stale
        self._secret = secret
        self._clients = clients
        self._is_gone = is_gone
        self._settle, self._give_up, self._note = settle, give_up, note
        self._waits = waits
        self._free = asyncio.Semaphore(AT_ONCE)
        self._roaming: deque[tuple[Stale, ClientSettings]] = deque()
        """Devices that may be anywhere, one after the other: of 1,000 at 500 access points no half a million tasks."""
        self._places = self._whereabouts()
        self._lookers = 0
        self._silent = self.disconnections.silent

    @classmethod
    def of(
        cls,
        mpsk: MpskService,
        clients: Callable[[], Iterable[ClientSettings]],
        heard: Clients | None = None,
        note: Callable[[Stale, str, str], None] = lambda _device, _subscriber, _end: None,
    ) -> Self:
        """Those of the key server; ``heard``: which access points there are, and which secret each knows.

        ``note``: takes a device that was sent away, whose it is (empty: nobody's) and how that ended.
        """
        grants = mpsk.grants
        secret = heard.secret_at if heard else lambda _nas, client: client.secret
        hearing = heard.hearing if heard else ()
        return cls(
            mpsk.recheck, clients, secret,
            nases=lambda name: [parse_address(host) for host, it in hearing if it.client == name],
            is_gone=grants.is_gone, is_on=grants.is_on, settle=grants.settle, give_up=grants.give_up,
            note=lambda device, end: note(device, mpsk.ring.holder_of(device.ssid, device.mac), end),
            disconnections=grants.disconnections,
        )  # fmt: skip

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                for step in self._stale():
                    for device in step:
                        self._take_up(device, group)
                    await asyncio.sleep(0)  # every resident is looked at, and others wait for an answer

    def _take_up(self, device: Stale, group: asyncio.TaskGroup) -> None:
        client = _client_of(device, self._clients())
        if client is not None and client.disconnect is not None:
            group.create_task(self._see_off(device, client, client.disconnect.port), name="disconnect")
            if device.roams or device.been:
                self._roaming.append((device, client))
                for _ in range(self._lookers, LOOKERS):
                    self._lookers += 1
                    group.create_task(self._look_around(), name="disconnect-moved")
        else:
            self._give_up(device)

    async def _see_off(self, device: Stale, client: ClientSettings, port: int) -> None:
        """Until it has asked again, or is gone, or its access point was silent for long."""
        disconnection = Disconnection(device, time.time(), gently=bool(device.reauthenticates))
        self.disconnections.waiting += 1
        try:
            while disconnection.end is None:
                now = time.time()
                silence = self._silent.get(device.nas)
                if self._is_gone(device):
                    disconnection.end = End.ASKED
                elif silence is not None and silence.until > now:
                    await asyncio.sleep(disconnection.patience(silence, now))
                else:
                    await asyncio.sleep(await self._attempt(disconnection, client, port))
        finally:
            self.disconnections.waiting -= 1
        self.disconnections.ends[disconnection.end] += 1
        self._note(device, disconnection.end.value)
        untold = disconnection.end in {End.REFUSED, End.UNHEARD}
        (self._give_up if untold else self._settle)(device)
        say = log.warning if untold else log.info
        say(
            "device-disconnected",
            client=client.name,
            ssid=device.ssid,
            reason=device.reason,
            end=disconnection.end.value,
        )

    def _whereabouts(self) -> Iterator[tuple[Stale, ClientSettings, IpAddress] | None]:
        """Who may be where, device by device; None as often as there is nobody."""
        while True:
            if not self._roaming:
                yield None
                continue
            device, client = self._roaming.popleft()
            for nas in self._nases(device.client) if device.roams else device.been:
                # where it is back it has what it is due
                if nas != device.nas and not self._is_on(device, nas):
                    yield device, client, nas

    async def _look_around(self) -> None:
        """Until nobody is left to look for."""
        try:
            while (place := next(self._places)) is not None:
                await self._look_at(*place)
        finally:
            self._lookers -= 1

    async def _look_at(self, device: Stale, client: ClientSettings, nas: IpAddress) -> None:
        """By fast transition the device may be there by now, and that was told nobody; or it was let on there before.

        Once: most will not have it.
        """
        silence = self._silent.get(nas)
        if client.disconnect is None or (silence is not None and silence.until > time.time()):
            return
        named = (*_station(device), attribute("Event-Timestamp", int(time.time())))
        endpoint = Endpoint(nas, client.disconnect.port)
        result = await disconnect(endpoint, self._secret(nas, client), named, waits=self._waits)
        if result.outcome is Outcome.TIMEOUT:
            self._silent.setdefault(nas, Silence()).heard_nothing(time.time())
            return
        self._silent.pop(nas, None)
        if result.outcome is Outcome.ACK:
            log.info("device-disconnected", client=client.name, ssid=device.ssid, reason=device.reason, end="moved")

    async def _attempt(self, disconnection: Disconnection, client: ClientSettings, port: int) -> float:
        """Ask once; seconds to the next attempt."""
        device = disconnection.device
        async with self._free:
            silence = self._silent.get(device.nas)
            if silence is not None and silence.until > time.time():
                return 0.0
            # what it said of itself, and when: a NAS with a window refuses what is older (RFC 5176, section 6.3)
            named = (*(device.session or _station(device)), attribute("Event-Timestamp", int(time.time())))
            send, more = (change, device.reauthenticates) if disconnection.gently else (disconnect, ())
            result = await send(
                Endpoint(device.nas, port), self._secret(device.nas, client), (*named, *more), waits=self._waits,
                moot=lambda: self._is_gone(device),
            )  # fmt: skip
        if result.outcome is Outcome.TIMEOUT and self._is_gone(device):
            return 0.0
        if result.outcome is Outcome.TIMEOUT:
            self._silent.setdefault(device.nas, Silence()).heard_nothing(time.time())
        else:
            self._silent.pop(device.nas, None)
        if result.outcome is Outcome.NAK:
            log.info("disconnect-refused", client=client.name, nas=str(device.nas), cause=result.error_cause)
        return disconnection.after(result, time.time())


def _client_of(device: Stale, clients: Iterable[ClientSettings]) -> ClientSettings | None:
    """The client of its access point: a site may have two of one name, each with a secret of its own."""
    host, named = host_prefix(device.nas), [client for client in clients if client.name == device.client]
    covering = (client for client in named if any(network.contains(host) for network in client.networks))
    return next(covering, named[0] if named else None)


def _station(device: Stale) -> Attributes:
    return (attribute("Calling-Station-Id", device.mac.upper().replace(":", "-")),)


class Keeper:
    """What access points were told to let on, into the database and back: a restart can still send it away."""

    def __init__(self, mpsk: MpskService, store: GrantStore) -> None:
        self._mpsk = mpsk
        self._store = store
        self._restored = False
        self._keeping = True

    async def run(self) -> None:
        """Take what was granted before a restart once the keys are there, then write once a second."""
        while True:
            await self.tend()
            await asyncio.sleep(LOOK_EVERY_S)

    async def tend(self) -> None:
        """Restore or write; a database that fails is said once, and what it did not take waits."""
        # without the keys every device would seem to have lost its own
        if not self._mpsk.loaded:
            return
        try:
            if not self._restored:
                self._mpsk.restore_grants(await self._store.load(time.time(), MAX_GRANTS + MAX_STRANGERS))
                self._restored = True
            await self._write()
        except UpstreamError as error:
            if self._keeping:
                log.warning("grants-not-kept", error=str(error))
            self._keeping = False
        else:
            self._keeping = True

    async def _write(self) -> None:
        rows, dropped = self._mpsk.grants.unwritten()
        if not rows and not dropped:
            return
        try:
            await self._store.save(rows, dropped)
        except UpstreamError:
            self._mpsk.grants.unkept(rows, dropped, self._mpsk.ring)
            raise
