# SPDX-License-Identifier: Apache-2.0
"""What the mode means for enforcement: targets, and what an earlier run left in force. Asks the kernel, and routers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from edged.config.schema import Config
from edged.enforce.rules import rules_of
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets import TARGETS, Target
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.nftables import NftablesTarget
from edged.enforce.targets.radius import RadiusTarget
from edged.errors import ConfigError, Problem, UpstreamError
from edged.ops.meaning import target_name

log = structlog.get_logger(__name__)


def targets(config: Config) -> dict[str, Target]:
    """One target for each entry of ``enforce:``, by its name; while watching, memory stands in for each of them.

    A second entry of one name is passed over; ``edged check`` says so.
    """
    made: dict[str, Target] = {}
    for entry in config.enforce:
        name = target_name(entry)
        if name not in made and entry.kind in TARGETS:
            target = TARGETS[entry.kind](entry)
            watches = config.mode == "watch"
            made[name] = MemoryTarget(name, carries=target.carries, text=target.render) if watches else target
    return made


def bngs(config: Config, named: Mapping[str, Target]) -> list[RadiusTarget]:
    """The BNGs among the targets; while watching those that memory stands in for, to be lifted."""
    if config.mode != "watch":
        return [target for target in named.values() if isinstance(target, RadiusTarget)]
    made = [RadiusTarget.of(entry) for entry in config.enforce if entry.radius is not None]
    return list({target.name: target for target in reversed(made)}.values())


async def lifted(config: Config) -> tuple[Problem, ...]:
    """Watching changes nothing for anyone: what an earlier run enforced is lifted; a warning where it cannot be."""
    if config.mode != "watch":
        return ()
    routers = [entry.routeros for entry in config.enforce if entry.routeros is not None]
    found = await asyncio.gather(*map(_lifted_there, routers))
    if any(entry.nftables is not None for entry in config.enforce):
        found.insert(0, await _lifted_here())
    return tuple(problem for problem in found if problem is not None)


async def _lifted_here() -> Problem | None:
    target = NftablesTarget()
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
    from edged.enforce.targets.mikrotik import RouterosTarget  # with its library, for those who have such a router

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
