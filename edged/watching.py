# SPDX-License-Identifier: Apache-2.0
"""What the mode means for enforcement: its targets, and what an earlier run left in force. Asks the kernel."""

from __future__ import annotations

import structlog

from edged.config.schema import Config
from edged.enforce.targets import TARGETS, Target
from edged.enforce.targets.nftables import NftablesTarget
from edged.errors import ConfigError, Problem, UpstreamError

log = structlog.get_logger(__name__)


def targets(config: Config) -> dict[str, Target]:
    """The enforcing targets that this version has; ``edged check`` warned of the others."""
    kind = "memory" if config.mode == "watch" else "nftables"
    wanted = any(target.nftables is not None for target in config.enforce)
    return {"nftables": TARGETS[kind]()} if wanted else {}


async def lifted(config: Config) -> tuple[Problem, ...]:
    """Watching changes nothing for anyone: what an earlier run enforced is lifted; a warning when it cannot be."""
    if config.mode != "watch" or not any(t.nftables is not None for t in config.enforce):
        return ()
    target = NftablesTarget()
    try:
        if await target.lift():
            log.warning("watch-lifted", target="nftables")
        return ()
    except (UpstreamError, ConfigError):
        if not await _stands(target):
            return ()
    found = "the table inet edged of an earlier run is still in force, and edged may not remove it"
    return (Problem("enforce", found, "no table while watching", "nft delete table inet edged", warning=True),)


async def _stands(target: NftablesTarget) -> bool:
    try:
        return await target.read() is not None
    except (UpstreamError, ConfigError):
        return False  # not ours to read here, so nothing of ours was put there from here
