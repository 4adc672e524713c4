# SPDX-License-Identifier: Apache-2.0
"""What the mode means for enforcement: targets, and what an earlier run left in force. Asks the kernel, and routers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import structlog

from edged.config.schema import Config
from edged.enforce.kernel.requests import Kernel
from edged.enforce.rules import rules_of
from edged.enforce.settings import RouterosSettings, TargetSettings, by_name
from edged.enforce.targets import TARGETS, Target
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.nftables import NftablesTarget
from edged.enforce.targets.radius import RadiusTarget
from edged.errors import ConfigError, Problem, UpstreamError

log = structlog.get_logger(__name__)

LIFT_WAIT, LIFT_AGAIN = 10.0, 30.0
"""Seconds that the start waits for a router to be lifted, and until one that could not be is tried again."""


def targets(config: Config, kernel: Kernel | None = None) -> dict[str, Target]:
    """One target for each entry of ``enforce:``, by its name; while watching, memory stands in for each of them.

    ``kernel``: who asks this host's for us; None: this process does.
    """

    def target(entry: TargetSettings) -> Target:
        if entry.kind == "nftables":
            return NftablesTarget(kernel, away=config.pair.addresses)
        return TARGETS[entry.kind](entry)

    made = {name: target(entry) for name, entry in by_name(config.enforce).items()}
    if config.mode != "watch":
        return made
    return {name: MemoryTarget(name, carries=it.carries, text=it.render) for name, it in made.items()}


def bngs(config: Config, named: Mapping[str, Target]) -> list[RadiusTarget]:
    """The BNGs among the targets; while watching those that memory stands in for, to be lifted."""
    if config.mode != "watch":
        return [target for target in named.values() if isinstance(target, RadiusTarget)]
    return [RadiusTarget.of(entry) for entry in by_name(config.enforce).values() if entry.radius is not None]


class Lifting:
    """Watching changes nothing for anyone: what an earlier run enforced is lifted. A router is tried until it is."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel
        self._found: dict[str, Problem] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is still in force, and why."""
        return tuple(self._found.values())

    async def start(self, config: Config) -> None:
        """Lift what can be lifted soon. A router that takes its time is lifted beside the serving."""
        if config.mode != "watch":
            return
        entries = by_name(config.enforce)
        if "nftables" in entries:
            self._note("nftables", await _lifted_here(self._kernel))
        routers = {name: router for name, entry in entries.items() if (router := entry.routeros) is not None}
        attempts = {host: asyncio.create_task(_lifted_there(router)) for host, router in routers.items()}
        self._tasks = [*attempts.values()]
        if attempts:
            await asyncio.wait(attempts.values(), timeout=LIFT_WAIT)
        for host, attempt in attempts.items():
            if attempt.done():
                self._note(host, attempt.result())
            if not attempt.done() or host in self._found:
                self._tasks.append(asyncio.create_task(self._go_on(routers[host], attempt), name=f"lifting-{host}"))

    async def stop(self) -> None:
        """Try no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go_on(self, router: RouterosSettings, attempt: Awaitable[Problem | None]) -> None:
        while (problem := await attempt) is not None:
            self._note(router.host, problem)
            await asyncio.sleep(LIFT_AGAIN)
            attempt = _lifted_there(router)
        self._note(router.host, None)

    def _note(self, name: str, problem: Problem | None) -> None:
        if problem is None:
            self._found.pop(name, None)
        else:
            self._found[name] = problem


async def _lifted_here(kernel: Kernel | None) -> Problem | None:
    target = NftablesTarget(kernel)
    try:
        if await target.lift():
            log.warning("watch-lifted", target="nftables")
        return None
    except (UpstreamError, ConfigError):
        if not await _stands(target):
            return None
    found = "the table inet edged of an earlier run is still in force, and edged may not remove it"
    return Problem("enforce", found, "no table while watching", "nft delete table inet edged", warning=True)


async def _lifted_there(settings: RouterosSettings) -> Problem | None:
    # with its library, for those who have such a router
    from edged.enforce.targets.routeros.target import RouterosTarget

    target = RouterosTarget(settings)
    try:
        await target.start(rules_of(portals=()))
        if await target.lift():
            log.warning("watch-lifted", target=target.name)
        return None
    except (UpstreamError, ConfigError) as error:
        found = f"{target.name} cannot be asked ({error}): what an earlier run blocked there stays"
    finally:
        await target.close()
    hint = f"/ip firewall address-list remove [find list={settings.list} comment=edged]"
    return Problem("enforce", found, "nobody blocked while watching", hint, warning=True)


async def lift_sessions(targets: Iterable[RadiusTarget]) -> None:
    """The same for sessions: each is told, and goes on being told, until its BNG has opened it."""
    for target in targets:
        try:
            await target.lift()
        except UpstreamError as error:
            log.warning("watch-not-lifted", target=target.name, error=str(error))


async def _stands(target: NftablesTarget) -> bool:
    try:
        return await target.read() is not None
    except (UpstreamError, ConfigError):
        return False  # not ours to read here, so nothing of ours was put there from here
