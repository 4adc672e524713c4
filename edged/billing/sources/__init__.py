# SPDX-License-Identifier: Apache-2.0
"""The billing systems edged can read: one small file and one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edged.billing.reading import Progress, Reading
from edged.billing.settings import BillingSettings
from edged.model import OnlineSession, Subscriber


class Source(Protocol):
    """Where lists come from."""

    @property
    def name(self) -> str:
        """For the operator: a path, or a host."""

    @property
    def every(self) -> float | None:
        """Seconds between looks where looking is cheap; None: ``poll.changes``."""

    @property
    def confirmed_at(self) -> float | None:
        """When billing confirmed what the latest answer says, epoch seconds; None: it is the one that we asked."""

    @property
    def waits(self) -> bool:
        """True: the latest answer came as soon as something had changed; the next question may follow at once."""

    @property
    def stands_in(self) -> bool:
        """True while another source answers than the one that the operator named first."""

    @property
    def trouble(self) -> str:
        """What is amiss beside the list itself, for the operator, without a full stop; empty: nothing."""

    async def read(self, previous: Reading | None, told: Progress = ..., /) -> Reading | None:
        """The list now; None: unchanged since ``previous``. Without ``previous``: all. UpstreamError."""

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What billing says of one subscriber now; None: nothing. UpstreamError."""

    async def sessions(self) -> tuple[OnlineSession, ...] | None:
        """Everybody who is online now, and with which addresses; None: this source does not say. UpstreamError."""

    def remember(self, read_at: float, /) -> None:
        """The list from before the start is of that time, epoch seconds."""

    def hurry(self) -> None:
        """Let a look that waits for a change answer now."""

    async def close(self) -> None:
        """Let go of connections."""


# one system's code costs those nothing who have another


def _file(settings: BillingSettings) -> Source:
    from edged.billing.sources.file import FileSource

    return FileSource.of(settings)


def _rest(settings: BillingSettings) -> Source:
    from edged.billing.sources.rest import RestSource

    return RestSource.of(settings)


def _hub(settings: BillingSettings) -> Source:
    from edged.billing.sources.hub import HubSource

    return HubSource.of(settings)


def _splynx(settings: BillingSettings) -> Source:
    from edged.billing.sources.splynx import SplynxSource

    return SplynxSource.of(settings)


def _uisp(settings: BillingSettings) -> Source:
    from edged.billing.sources.uisp import UispSource

    return UispSource.of(settings)


SOURCES: dict[str, Callable[[BillingSettings], Source]] = {
    "file": _file,
    "rest": _rest,
    "hub": _hub,
    "splynx": _splynx,
    "uisp": _uisp,
}


def open_source(settings: BillingSettings) -> Source:
    """The source that ``settings`` names, with the one that stands in for it."""
    source, alone = SOURCES[settings.source](settings), settings.alone()
    if settings.fallback is None or alone is None:
        return source
    from edged.billing.sources.fallback import FallbackSource

    return FallbackSource(source, SOURCES[alone.source](alone), after=settings.fallback.after)
