# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every room, draws every arrow, runs until told to stop. All wiring is here."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from edged import __version__
from edged.arrows import Accounting, Disconnects
from edged.billing.service import BillingService
from edged.billing.sources import open_source
from edged.captive.service import CaptiveService
from edged.clerk import Clerk
from edged.config.derived import rules
from edged.config.loading import Loaded, load
from edged.config.schema import Config
from edged.dns.service import DnsService
from edged.enforce.service import EnforceService
from edged.enforce.targets import TARGETS, Target
from edged.errors import ConfigError, Problem, UpstreamError
from edged.model import Snapshot
from edged.mpsk.service import MpskService
from edged.ops import logs, systemd
from edged.ops.answers import Answers
from edged.ops.control import ControlServer
from edged.ops.figures import figures
from edged.ops.host import own_prefixes
from edged.ops.metrics import Exposition
from edged.ops.rooms import Reload
from edged.ops.service import OpsService
from edged.ops.text import problems
from edged.ops.tour import tour_text
from edged.policy.access import Learned, View, drained
from edged.policy.table import PolicyTable, compile_table, recompiled
from edged.radius.service import RadiusService
from edged.standin import served
from edged.state.current import Current
from edged.state.database import Database
from edged.state.files import secret_file
from edged.state.guard_memory import GuardMemoryStore
from edged.state.keys import KeyStore
from edged.state.overrides import OverrideStore
from edged.state.sealing import Seal
from edged.state.sessions import SessionStore
from edged.state.signers import SignerStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Prefix, host_prefix

log = structlog.get_logger(__name__)

LARGE = 5_000
"""From so many subscribers on the table is compiled in a thread, so that the loop is not held for long."""
EXPIRY_S = 5.0
"""Seconds between two clearings of ended overrides and passes; at each look-up the clock itself decides."""


class House:
    """Every room, built from one configuration, and the few arrows between them."""

    def __init__(self, loaded: Loaded) -> None:
        config = loaded.config
        directory = config.state.directory
        self.loaded = loaded
        self.current = Current()
        """What is so: enforcement, status and explain read it."""
        self.acting = Current()
        """What the rooms that answer act upon: the same, or nobody blocked in watch mode."""
        self.database = Database(directory / "edged.sqlite")
        self.overrides = OverrideStore(self.database)
        self.sessions = SessionStore(self.database)
        self.signers = SignerStore(self.database)
        self.keys = KeyStore(self.database, Seal(secret_file(directory / "sealing.key")))
        self.enforce = EnforceService(
            _targets(config), rules(config), current=self.current, watch=config.mode == "watch"
        )
        self.dns = DnsService(
            config.dns,
            config.garden,
            portal_host=config.portal.host,
            portal_addresses=config.portal.addresses,
            current=self.acting,
            admit=self.enforce.admit,
        )
        self.mpsk = MpskService(config.mpsk, store=self.keys, current=self.acting)
        self.billing = _billing(config, directory, self.database, self._publish)
        self.clerk = Clerk(self.overrides, self.billing, self.relearn)
        portal = served(config.portal, directory)
        self.warnings = portal.warnings
        self.captive = CaptiveService(
            portal.settings,
            current=self.acting,
            link_key=secret_file(directory / "links.key").reveal(),
            clerk=self.clerk,
        )
        self.radius: RadiusService | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.started_at = time.time()
        self.reload_state = Reload(loaded_at=self.started_at)
        self.answers = Answers(self)
        self.control = ControlServer(config.ops.socket, self.answers.commands())
        self.ops = OpsService(
            config.ops.listen,
            exposition=Exposition(lambda: figures(self)),
            healthy=self.is_running,
            status=self.answers.status_facts,
        )

    async def open(self) -> None:
        """Everything remembered first, then every socket. ConfigError names what cannot be had."""
        await self.database.open()
        await self.relearn()
        await self.clerk.open(self.loaded.config.portal.pass_)
        await self.mpsk.start()
        self._put(compile_table(None, self.loaded.config.subscribers), self.current.view.learned)
        if self.billing is not None:
            await self.billing.load()
        self.radius = RadiusService(
            self.loaded.config.radius,
            authorize=self.mpsk.authorize,
            account=Accounting(self.sessions).account,
            signed=await self.signers.load(),
        )
        for start in (
            self.enforce.start,
            self.dns.start,
            self.captive.start,
            self.radius.start,
            self.ops.start,
        ):
            await start()
        await self.control.start()
        # what is alive now stays: collecting it again and again would only cost pauses
        gc.collect()
        gc.freeze()

    async def run(self) -> None:
        """Run every room until cancelled; a room that fails ends the daemon loudly, and enforcement stays."""
        async with asyncio.TaskGroup() as group:
            self._tasks = [group.create_task(room(), name=name) for name, room in self._rooms().items()]

    def is_running(self) -> bool:
        """True while every room is at work."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def _rooms(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        assert self.radius is not None, "open() comes before run()"  # noqa: S101  # an order of our own making
        rooms = {
            "enforce": self.enforce.run,
            "dns": self.dns.run,
            "captive": self.captive.run,
            "radius": self.radius.run,
            "mpsk": self.mpsk.run,
            "disconnects": Disconnects(self.mpsk.recheck, lambda: self.loaded.config.radius.clients).run,
            "expiry": self._expire,
            "watchdog": self._watchdog,
        }
        if self.billing is not None:
            rooms["billing"] = self.billing.run
        return rooms

    async def close(self) -> None:
        """Close every socket; what is enforced stays in force."""
        await self.control.stop()
        stops = [self.ops.stop, self.captive.stop, self.dns.stop, self.mpsk.stop, self.enforce.stop]
        if self.radius is not None:
            stops.insert(0, self.radius.stop)
        if self.billing is not None:
            stops.insert(0, self.billing.stop)
        for stop in stops:
            await stop()
        await self.database.close()

    # --- arrows -----------------------------------------------------------------------------------

    async def _publish(self, snapshot: Snapshot) -> None:
        """Billing -> policy -> everybody; its keys -> the key store -> the keyring."""
        settings = self.loaded.config.subscribers
        if len(snapshot.subscribers) > LARGE:
            table = await asyncio.to_thread(compile_table, snapshot, settings)
        else:
            table = compile_table(snapshot, settings)
        learned = self.current.view.learned
        drains = drained(self.current.view, table, time.time())
        self._put(table, Learned(learned.overrides, learned.passes, drains))
        if snapshot.keys is not None:
            await self.mpsk.replace_billing(snapshot.keys)

    async def relearn(self) -> None:
        """The database's words -> policy: after an operator's command, a pass, and at each start."""
        now = time.time()
        overrides, passes = await self.overrides.alive(now), await self.overrides.passes(now)
        self._put(self.current.view.table, Learned(overrides, passes, self.current.view.learned.drains))

    def _put(self, table: PolicyTable, learned: Learned) -> None:
        """The one writer."""
        config = self.loaded.config
        self.current.publish(View(table, learned))
        watching = config.mode == "watch"
        self.acting.publish(View(compile_table(None, config.subscribers)) if watching else self.current.view)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_S)
            learned, now = self.current.view.learned, time.time()
            ends = [o.until for o in learned.overrides.values()] + list(learned.passes.values())
            if any(end <= now for end in ends):
                await self.relearn()
            if self.radius is not None and self.radius.signed.changed:
                await self.signers.save(self.radius.signed.export())

    async def _watchdog(self) -> None:
        """From the loop itself: a loop that is stuck sends no sign of life."""
        interval = systemd.watchdog_interval()
        while interval:
            systemd.notify("WATCHDOG=1")
            await asyncio.sleep(interval)
        await asyncio.Event().wait()

    # --- reload -----------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the file again: all of it comes into force, or none of it and the reason is kept and logged."""
        path = self.loaded.document.path
        try:
            loaded = load(path)
            _refuse_restarts(self.loaded.config, loaded.config, path)
            self._take(loaded)
        except ConfigError as refusal:
            self.reload_state = Reload(self.reload_state.loaded_at, time.time(), ok=False, problems=refusal.problems)
            for p in refusal.problems:
                log.warning("reload-refused", path=path, problem=f"{p.key}: {p.found}", hint=p.expected)
            return
        self.reload_state = Reload(time.time(), time.time(), ok=True)
        log.info("reloaded", path=path)

    def _take(self, loaded: Loaded) -> None:
        config = loaded.config
        # the page is the one part that can still refuse: certificates and templates are read now
        portal = served(config.portal, config.state.directory)
        self.captive.reconfigure(portal.settings)
        self.warnings = portal.warnings
        self.clerk.settings = config.portal.pass_
        self.dns.reconfigure(
            config.dns,
            config.garden,
            portal_host=config.portal.host,
            portal_addresses=config.portal.addresses,
        )
        self.mpsk.reconfigure(config.mpsk)
        if self.radius is not None:
            self.radius.reconfigure(config.radius)
        if self.billing is not None and config.billing is not None:
            self.billing.reconfigure(config.billing, own=_own(config))
        self.enforce.reconfigure(rules(config))
        logs.configure(config.ops.log.level, config.ops.log.format, config.site)
        self.loaded = loaded
        self._put(recompiled(self.current.view.table, config.subscribers), self.current.view.learned)


# --- parts of the building -----------------------------------------------------------------------


def _targets(config: Config) -> dict[str, Target]:
    """The enforcing targets that this version has; ``edged check`` warned of the others."""
    kind = "memory" if config.mode == "watch" else "nftables"
    wanted = any(target.nftables is not None for target in config.enforce)
    return {"nftables": TARGETS[kind]()} if wanted else {}


async def _left_in_force(config: Config) -> tuple[Problem, ...]:
    """What an earlier run still enforces while this one only watches: nothing of ours is lifted unasked."""
    if config.mode != "watch" or not any(t.nftables is not None for t in config.enforce):
        return ()
    try:
        there = await TARGETS["nftables"]().read()
    except (UpstreamError, ConfigError):
        return ()  # not ours to read here, so not ours that is there
    if there is None:
        return ()
    found = "the table inet edged of an earlier run is still in force"
    return (Problem("enforce", found, "no table while watching", "nft delete table inet edged", warning=True),)


def _own(config: Config) -> tuple[Prefix, ...]:
    """What billing can never block: this host, its gateways, the portal, the resolvers."""
    configured = [*config.portal.addresses, *(u.address for u in config.dns.upstreams)]
    return (*own_prefixes(), *(host_prefix(a) for a in configured if not a.is_loopback))


def _billing(
    config: Config,
    directory: Path,
    database: Database,
    publish: Callable[[Snapshot], Coroutine[Any, Any, None]],
) -> BillingService | None:
    if config.billing is None:
        return None
    return BillingService(
        config.billing,
        source=open_source(config.billing),
        guard_memory=GuardMemoryStore(database),
        snapshots=SnapshotFiles(directory),
        own=_own(config),
        publish=publish,
    )


_RESTART = (
    "mode", "state", "dns.listen", "portal.listen", "radius.auth", "radius.acct", "radius.tls", "ops.listen",
    "ops.socket",
    "billing.source", "billing.url", "billing.path", "billing.key", "billing.secret", "enforce",
)  # fmt: skip
"""Keys that are woven into sockets and files; a reload that changes one is refused and names it."""


def _refuse_restarts(old: Config, new: Config, path: str) -> None:
    """ConfigError that names every changed key of ``_RESTART``."""

    def value(config: Config, key: str) -> Any:
        found: Any = config
        for part in key.split("."):
            found = getattr(found, part, None)
        return found

    changed = [key for key in _RESTART if value(old, key) != value(new, key)]
    if changed:
        raise ConfigError([Problem(key, "changed", "a restart of edged") for key in changed], path)


def run(path: Path, *, tour: bool = False) -> int:
    """Run until SIGINT or SIGTERM; the exit status. SIGHUP reloads."""
    loaded = load(path)
    config = loaded.config
    if config.state.database != "sqlite":
        raise ConfigError.of("state.database", "a shared database", "sqlite: this version has no other")
    logs.configure(config.ops.log.level, config.ops.log.format, config.site)
    if loaded.warnings:
        sys.stderr.write(problems(loaded.warnings, loaded.document.lines, str(path), "edged starts.") + "\n")
    asyncio.run(_serve(loaded, tour=tour))
    return 0


async def _serve(loaded: Loaded, *, tour: bool) -> None:
    house = House(loaded)
    life = asyncio.create_task(_live(house, tour=tour), name="house")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, life.cancel)
    loop.add_signal_handler(signal.SIGHUP, house.reload)
    try:
        await life
    except asyncio.CancelledError:
        log.info("stopped")


async def _live(house: House, *, tour: bool) -> None:
    try:
        await house.open()
        log.info("serving", version=__version__, mode=house.loaded.config.mode)
        systemd.notify(f"READY=1\nMAINPID={os.getpid()}")
        if tour:
            if house.billing is not None:
                await house.billing.sync()
            sys.stdout.write(tour_text(house) + "\n")
            sys.stdout.flush()
        await house.run()
    finally:
        systemd.notify("STOPPING=1")
        await house.close()
