# SPDX-License-Identifier: Apache-2.0
"""What can enforce: the ``Target`` protocol and the one table of targets. A new one is a file and a row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from edged.enforce.desired import Desired
from edged.enforce.diff import Actual, Plan
from edged.enforce.rules import Rules
from edged.enforce.sets import SetName
from edged.enforce.settings import TargetSettings
from edged.enforce.standing import Shortfall
from edged.enforce.targets.radius import RadiusTarget
from edged.values import IpAddress, MacAddress, Prefix


class Target(Protocol):
    """One packet filter. What talks to it raises UpstreamError when it fails, and is bounded in time."""

    @property
    def name(self) -> str:
        """How it is called in status, metrics and logs: a kind that there is one of, or the other machine's address."""
        ...

    @property
    def carries(self) -> Collection[SetName]:
        """The sets that it can hold; the others are left out there, and a warning says so where it matters."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What stands in our way there, as sentences for the operator."""
        ...

    @property
    def lingering(self) -> Collection[Prefix]:
        """Lines that are open there again and whose old connections are still tracked as if they were not."""
        ...

    @property
    def shortfall(self) -> Shortfall | None:
        """What is not as it should be there in spite of the trying, which goes on; None: nothing is."""
        ...

    async def start(self, rules: Rules) -> None:
        """Find out whether enforcing can work here; nothing is changed. ConfigError when it cannot."""
        ...

    async def read(self) -> Actual | None:
        """What is in force there now; None: nothing of ours is."""
        ...

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        """Carry ``plan`` out, then let the changed lines' old connections go. Wholly or not at all where it can be.

        False: only a part is done, so that a word that has come meanwhile need not wait. Called again at once.
        """
        ...

    async def admit(self, entries: Sequence[tuple[IpAddress, float]]) -> None:
        """Open the garden for addresses, each for at least so many seconds; returns when it is open."""
        ...

    async def vouch(self, seconds: float) -> None:
        """Say that edged lives: for so many seconds reminders lead to the page; 0: from now on they do not."""
        ...

    async def set_aside(self, source: IpAddress, destination: IpAddress, seconds: float) -> None:
        """Leave the way from a reminded ``source`` to ``destination`` alone for a while; returns when it is so."""
        ...

    async def contains(self, address: IpAddress, *devices: MacAddress) -> bool:
        """Whether ``address``, or one of ``devices``, is blocked there, asked of the packet filter itself."""
        ...

    async def counters(self) -> dict[str, int]:
        """Packets or flows per counter of ``nft_text.COUNTERS``; empty when there are none."""
        ...

    def render(self, desired: Desired, plan: Plan) -> str:
        """``plan`` in the target's own language, exactly as ``apply`` would send it."""
        ...

    async def close(self) -> None:
        """Let go, leaving everything in force."""
        ...


def _nftables(_entry: TargetSettings) -> Target:
    from edged.enforce.targets.nftables import NftablesTarget  # costs those nothing who have another

    return NftablesTarget()


def _routeros(entry: TargetSettings) -> Target:
    # its library costs those nothing who have no such router
    from edged.enforce.targets.routeros.target import RouterosTarget

    if entry.routeros is None:
        raise ValueError("no entry of kind routeros")
    return RouterosTarget(entry.routeros)


TARGETS: dict[str, Callable[[TargetSettings], Target]] = {
    # this host's kernel
    "nftables": _nftables,
    # a MikroTik router, through its API
    "routeros": _routeros,
    # a BNG, by CoA and Disconnect
    "radius": RadiusTarget.of,
}
"""By ``TargetSettings.kind``. Making one touches nothing; ``MemoryTarget`` stands in for any of them."""
