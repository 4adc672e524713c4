# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every room, draws every arrow, runs until told to stop. All wiring is here."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from edged.arrows import Accounting, Disconnects, Keeper
from edged.backoffice import BackOffice
from edged.captive.acme.service import AcmeService
from edged.captive.service import CaptiveService
from edged.clerk import Clerk
from edged.config.derived import rules
from edged.config.loading import Loaded, load
from edged.config.restart import refuse_restarts
from edged.dns.service import DnsService
from edged.enforce.kernel.requests import Kernel
from edged.enforce.service import EnforceService
from edged.errors import ConfigError, Problem, UpstreamError
from edged.fdstore import FdStore
from edged.host import systemd
from edged.host.addresses import own_addresses
from edged.host.heartbeat import Heartbeat
from edged.host.leaving import Door
from edged.keysafe import KeySafe
from edged.model import OnlineSession, Snapshot, Subscriber
from edged.moving import Moving
from edged.mpsk.service import MpskService
from edged.ops import logs
from edged.ops.alarms import database_set_aside
from edged.ops.answers import Answers
from edged.ops.census import CensusTaker
from edged.ops.control import ControlServer
from edged.ops.dashboard.service import Dashboard
from edged.ops.figures import figures
from edged.ops.life.service import Lives
from edged.ops.metrics import Exposition
from edged.ops.record.recorder import Recorder
from edged.ops.reported import reported
from edged.ops.rooms import Reload
from edged.ops.service import OpsService
from edged.policy.settings import NoticeSettings
from edged.radius.radsec.service import RadSecService
from edged.radius.service import RadiusService
from edged.sharing import Rooms, Sharing
from edged.standin import served
from edged.state.database import FILE, Database
from edged.state.files import secret_file
from edged.state.grants import GrantStore
from edged.state.keys import KeyStore
from edged.state.overrides import OverrideStore
from edged.state.sealing_key import SealingKey
from edged.state.sessions import SessionStore
from edged.state.signers import SignerStore
from edged.state.told import ToldStore
from edged.values import Prefix
from edged.watching import Lifting, bngs, lift_sessions, targets
from edged.writer import Writer

log = structlog.get_logger(__name__)

HOUSEKEEPING_S = 60.0
"""Seconds between two looks at this host's own addresses."""
KEEP_SESSIONS_S = 30 * 86400.0
"""How long a stopped accounting session is kept."""
EXPIRY_S = 5.0
"""Seconds between two clearings of ended overrides, passes and snoozes; at each look-up the clock itself decides."""


class House:
    """Every room, built from one configuration, and the few arrows between them."""

    def __init__(self, loaded: Loaded, fds: FdStore | None = None, kernel: Kernel | None = None) -> None:
        """``fds``: sockets that were left to us, and where ours are left. ``kernel``: who may ask it for us."""
        config = loaded.config
        self._fds = fds or FdStore()
        directory = config.state.directory
        self.loaded = loaded
        self.database = Database(directory / FILE)
        self.overrides = OverrideStore(self.database)
        self.writer = Writer(config, self.overrides)
        self.current, self.acting, self.roster = self.writer.current, self.writer.acting, self.writer.roster
        self.sessions, self.signers = SessionStore(self.database), SignerStore(self.database)
        self.sealing = SealingKey(directory, systemd.credentials())
        self.keys = KeyStore(self.database, self.sealing.seal())
        self.sharing = Sharing(config, self.database, self.keys)
        named = targets(config, kernel)
        self.bngs, self.lifting = bngs(config, named), Lifting(kernel)
        self.enforce = EnforceService(named, rules(config), current=self.current, watch=config.mode == "watch")
        self.dns = DnsService(
            config.dns, config.garden, portal_host=config.portal.host, portal_addresses=config.portal.addresses,
            current=self.acting, admit=self.enforce.admit, sets=self.enforce.garden_sets, fds=self._fds,
        )  # fmt: skip
        self._own = own_addresses(config)
        self.office = BackOffice(
            config, self.database, own=self._own, publish=self._publish, hear=self._online, keys=self.keys,
            current=self.current, sessions_of=self.roster.sessions_of, facts=lambda: reported(self), fds=self._fds,
        )  # fmt: skip
        self.billing = self.office.billing
        if self.billing is not None:
            self.writer.lines_to_block = self.billing.lines_to_block
        self.lives = Lives(self.database, config.state.log)
        tell = self.lives.beside(self.office.tell)
        self.mpsk = MpskService(config.mpsk, store=self.keys, current=self.acting, tell=tell)
        self.safe = KeySafe(self.keys, self.sealing, self.mpsk)
        self.accounting = Accounting(self.sessions, self.roster, self.writer.heard, self.mpsk)
        self.clerk = Clerk(self.overrides, self.billing, self.relearn, tell, self.enforce)
        portal = served(config.portal, directory)
        self._warnings = portal.warnings
        self.acme = AcmeService(config.portal, directory, renewed=self._certified)
        self.captive = CaptiveService(
            portal.settings, current=self.acting, link_key=secret_file(directory / "links.key").reveal(),
            clerk=self.clerk, tell=tell, site=config.site, proofs=self.acme.challenges.proofs, fds=self._fds,
        )  # fmt: skip
        self.keeper = Keeper(self.mpsk, GrantStore(self.database))
        self.moving = Moving(self.mpsk.grants.moves, self.writer)
        self.radius: RadiusService | None = None
        self.radsec: RadSecService | None = None
        self.reload_wanted = asyncio.Event()
        """Set by SIGHUP; a storm of them is one reload."""
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.census = CensusTaker()
        self.recorder = Recorder(self, self.database)
        self.started_at = time.time()
        self.reload_state = Reload(loaded_at=self.started_at)
        self.answers = Answers(self)
        self.control = ControlServer(config.ops.socket, self.answers.commands())
        self.ops = OpsService(
            config.ops.listen, exposition=Exposition(lambda: figures(self)), healthy=self.is_running,
            status=self.answers.public_facts, dashboard=Dashboard(self, self.recorder, self.answers),
        )  # fmt: skip

    async def open(self) -> None:
        """Everything remembered first, then every socket. ConfigError names what cannot be had."""
        aside = await self.database.open()
        if aside is not None:
            log.error("database-damaged", path=str(aside))
            self._warnings += (database_set_aside(aside),)
        await self.sharing.open(Rooms(
            words=self._hear_words, keys=self.mpsk.reload_keys, devices=self.mpsk.follow,
            sessions=self.accounting.follow, signers=self._hear_signers,
        ))  # fmt: skip
        await self.relearn()
        self.accounting.lead(self.bngs, self.acting, ToldStore(self.database))
        await self.accounting.open()
        await self.clerk.open(self.loaded.config.portal.pass_)
        self._remind(self.loaded.config.subscribers.notice)
        await self.safe.open()
        if self.billing is not None:
            await self.billing.load()
        else:
            self.writer.publish_nobody()
        await self.keeper.tend()
        await self.moving.open()
        self.radius = RadiusService(
            self.loaded.config.radius, authorize=self.mpsk.authorize, account=self.accounting.account,
            signed=await self.signers.load(), fds=self._fds,
        )  # fmt: skip
        self.radsec = RadSecService(
            self.loaded.config.radius,
            exchanges=self.radius.exchanges, clients=self.radius.clients, fds=self._fds,
        )  # fmt: skip
        await self.lifting.start(self.loaded.config)
        await lift_sessions(self.bngs if self.loaded.config.mode == "watch" else ())
        for start in (
            self.enforce.start,
            self.dns.start,
            self.captive.start,
            self.radius.start,
            self.radsec.start,
            self.ops.start,
            self.office.start,
        ):
            await start()
        await self.control.start()
        self._fds.fit({})
        # what is alive now stays: collecting it again and again would only cost pauses
        gc.collect()
        gc.freeze()

    def _remind(self, settings: NoticeSettings) -> None:
        self.clerk.notice = settings
        self.captive.remind(settings)

    async def run(self) -> None:
        """Run every room until cancelled; a room that fails ends the daemon loudly, and enforcement stays."""
        async with asyncio.TaskGroup() as group:
            self._tasks = [group.create_task(room(), name=name) for name, room in self._rooms().items()]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is wrong, that was found at the start or at a reload."""
        return self._warnings + self.safe.warnings

    @property
    def doors(self) -> tuple[Door, ...]:
        """The rooms that others come to."""
        rooms = (self.dns, self.captive, self.radius, self.radsec, *self.office.listening)
        return tuple(room for room in rooms if room is not None)

    def is_running(self) -> bool:
        """True while every room is at work."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def _rooms(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        assert self.radius is not None  # noqa: S101  # open() comes before run(), an order of our own making
        assert self.radsec is not None  # noqa: S101  # the same
        rooms = {
            "enforce": self.enforce.run,
            "dns": self.dns.run,
            "captive": self.captive.run,
            "acme": self.acme.run,
            "radius": self.radius.run,
            "radsec": self.radsec.run,
            "mpsk": self.mpsk.run,
            "disconnects": Disconnects.of(
                self.mpsk, lambda: self.loaded.config.radius.clients, self.radius.clients, self.lives.sent_away
            ).run,
            "grants": self.keeper.run,
            "expiry": self._expire,
            "housekeeping": self._housekeeping,
            "watchdog": Heartbeat(self.is_running).run,
            "reload": self._reload_when_wanted,
            "moving": self.moving.run,
            "recorder": self.recorder.run,
            "lives": self.lives.run,
            "sharing": self.sharing.run,
        }
        return rooms | self.office.rooms()

    async def close(self) -> None:
        """Close every socket; what is enforced stays in force."""
        await self.control.stop()
        # reminders go before the page that they lead to
        stops = [self.ops.stop, self.lifting.stop, self.enforce.stop, self.captive.stop, self.dns.stop, self.mpsk.stop]
        stops = [room.stop for room in (self.radius, self.radsec) if room is not None] + stops
        stops += [bng.close for bng in self.bngs]
        await self.office.stop()
        for stop in stops:
            await stop()
        await self.office.close()
        await self.keeper.tend()
        await self.database.close()

    # --- arrows -----------------------------------------------------------------------------------

    async def _publish(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        """Billing -> policy -> everybody; its keys -> the key store -> the keyring."""
        await self.writer.publish(snapshot, words)
        if words is None and snapshot.keys is not None:
            await self.safe.take(snapshot.keys)

    async def _online(self, sessions: tuple[OnlineSession, ...], doubtful: bool) -> None:  # noqa: FBT001  as in Hear
        """Billing's live sessions -> policy."""
        await self.writer.follow("billing", sessions, keep=doubtful)

    async def _hear_words(self) -> None:
        """Other edges' overrides, passes and snoozes -> policy and the count of passes."""
        await self.clerk.recount()
        await self.relearn()

    async def _hear_signers(self) -> None:
        """RADIUS clients that have signed at other edges -> those that must sign here."""
        if self.radius is not None:
            for address in await self.signers.load():
                self.radius.signed.add(str(address))

    def _certified(self) -> None:
        """A new certificate -> the portal."""
        self.captive.look_at_certificate()

    async def relearn(self) -> None:
        """The database's words -> policy."""
        await self.writer.relearn()

    async def _expire(self) -> None:
        """What has ended goes, what waits for the database is tried again; a busy or full one is never the end."""
        while True:
            await asyncio.sleep(EXPIRY_S)
            learned, now = self.current.view.learned, time.time()
            try:
                if any(end <= now for _, end in learned.ends()):
                    await self.relearn()
                await self.safe.try_again()
                if self.radius is not None and self.radius.signed.changed:
                    await self.signers.save(self.radius.signed.export())
            except UpstreamError as error:
                log.warning("database-failing", error=str(error))

    async def _housekeeping(self) -> None:
        """Addresses come and go, at boot above all; clocks step; what stopped long ago is forgotten."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            await self._look_at_own_addresses()
            try:
                await self.relearn()
                await self.accounting.end_silent()
                await self.sessions.purge(time.time() - KEEP_SESSIONS_S)
                await self.overrides.prune(time.time())
                await self.keys.forget(time.time())
            except UpstreamError as error:
                log.warning("database-failing", error=str(error))

    async def _look_at_own_addresses(self) -> None:
        config = self.loaded.config
        if self.billing is None or config.billing is None:
            return
        own = await asyncio.to_thread(own_addresses, config, self._own)
        if own != self._own:
            self._own = own
            self.office.reconfigure(config.billing, own)

    # --- reload -----------------------------------------------------------------------------------

    async def _reload_when_wanted(self) -> None:
        while True:
            await self.reload_wanted.wait()
            self.reload_wanted.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read the file again: all of it comes into force, or none of it and the reason is kept and logged."""
        async with self._reloading:
            await self._reload(self.loaded.document.path)

    async def _reload(self, path: str) -> None:
        try:
            loaded = await asyncio.to_thread(load, path)
            refuse_restarts(self.loaded.config, loaded.config, path)
            self.dns.verify(loaded.config.dns)
            own = await asyncio.to_thread(own_addresses, loaded.config, self._own)
            self._take(loaded, own)
        except ConfigError as refusal:
            self.reload_state = Reload(self.reload_state.loaded_at, time.time(), ok=False, problems=refusal.problems)
            for p in refusal.problems:
                log.warning("reload-refused", path=path, problem=f"{p.key}: {p.found}", hint=p.expected)
            return
        self.reload_state = Reload(time.time(), time.time(), ok=True)
        log.info("reloaded", path=path)

    def _take(self, loaded: Loaded, own: tuple[Prefix, ...]) -> None:
        config = loaded.config
        # these can still refuse: certificates and templates are read now
        radsec = self.radsec.prepared(config.radius) if self.radsec is not None else None
        portal = served(config.portal, config.state.directory)
        self.office.reconfigure_hub(config.hub)
        self.captive.reconfigure(portal.settings)
        self.captive.site = config.site
        self.acme.reconfigure(config.portal)
        self._warnings = (*portal.warnings, *(w for w in self._warnings if not w.key.startswith("portal")))
        self.clerk.settings = config.portal.pass_
        self._remind(config.subscribers.notice)
        self.dns.reconfigure(
            config.dns, config.garden, portal_host=config.portal.host, portal_addresses=config.portal.addresses
        )
        self.mpsk.reconfigure(config.mpsk)
        if self.radius is not None:
            self.radius.reconfigure(config.radius)
        if self.radsec is not None:
            self.radsec.reconfigure(config.radius, radsec)
        if self.billing is not None and config.billing is not None:
            self._own = own
            self.office.reconfigure(config.billing, own)
        self.enforce.reconfigure(rules(config))
        logs.configure(config.ops.log.level, config.ops.log.format, config.site)
        self.loaded = loaded
        self.writer.configure(config)
