# SPDX-License-Identifier: Apache-2.0
"""What the mode means for enforcement: its targets, and what an earlier run left in force. Reads the kernel."""

from __future__ import annotations

from edged.config.schema import Config
from edged.enforce.targets import TARGETS, Target
from edged.errors import ConfigError, Problem, UpstreamError


def targets(config: Config) -> dict[str, Target]:
    """The enforcing targets that this version has; ``edged check`` warned of the others."""
    kind = "memory" if config.mode == "watch" else "nftables"
    wanted = any(target.nftables is not None for target in config.enforce)
    return {"nftables": TARGETS[kind]()} if wanted else {}


async def left_in_force(config: Config) -> tuple[Problem, ...]:
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
