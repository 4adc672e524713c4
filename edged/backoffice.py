# SPDX-License-Identifier: Apache-2.0
"""Everything between edged and the billing system: its lists, its sessions, what it tells us and what we tell it. I/O.

Built where the configuration has a ``billing:`` section; without one nobody is blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edged.billing.events.service import EventService
from edged.billing.hook.service import HookService
from edged.billing.ledger.service import Publish
from edged.billing.online.service import Hear, Online
from edged.billing.reporting.service import Facts, ReportService
from edged.billing.service import BillingService
from edged.billing.settings import BillingSettings
from edged.billing.sources import open_source
from edged.billing.webhook import Hint
from edged.config.schema import Config
from edged.fdstore import FdStore
from edged.model import Tell, untold
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.hooks import HookStore
from edged.state.outbox import OutboxStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Prefix


class BackOffice:
    """The billing rooms, and the arrows among them."""

    def __init__(
        self,
        config: Config,
        database: Database,
        *,
        own: tuple[Prefix, ...],
        publish: Publish,
        hear: Hear,
        fds: FdStore | None = None,
    ) -> None:
        self.billing: BillingService | None = None
        self.online: Online | None = None
        self.hooks: HookService | None = None
        self.events: EventService | None = None
        self.reports: ReportService | None = None
        settings = config.billing
        if settings is None:
            return
        source = open_source(settings)
        self.billing = BillingService(
            settings,
            source=source,
            guard_memory=GuardMemoryStore(database),
            snapshots=SnapshotFiles(config.state.directory),
            own=own,
            publish=publish,
        )
        self.online = Online(source, hear, every=settings.poll.sessions)
        if settings.webhook is not None:
            store = HookStore(database)
            self.hooks = HookService(settings.webhook, source=settings.source, store=store, tell=self._heard, fds=fds)
        if settings.source in {"rest", "hub"}:  # the open feed alone has a place for events
            self.events = EventService(settings, site=config.site, store=OutboxStore(database))

    def report(self, settings: BillingSettings | None, facts: Facts) -> None:
        """Tell the hub ``facts``, where there is one."""
        if settings is not None and settings.source == "hub":
            self.reports = ReportService(settings, facts)

    @property
    def tell(self) -> Tell:
        """Where rooms say what billing may want to know."""
        return self.events.tell if self.events is not None else untold

    def rooms(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs, by name."""
        services = {"billing": self.billing, "sessions": self.online, "hooks": self.hooks, "events": self.events}
        runs = {name: service.run for name, service in services.items() if service is not None}
        return runs | ({"reports": self.reports.run} if self.reports is not None else {})

    async def start(self) -> None:
        """Listen for what billing has to tell. ConfigError."""
        if self.hooks is not None:
            await self.hooks.start()

    async def stop(self) -> None:
        """Hear nothing more from billing."""
        for service in (self.hooks, self.billing):
            if service is not None:
                await service.stop()

    async def close(self) -> None:
        """Write down what there is to tell; after all else has stopped, since every room may tell until then."""
        for service in (self.events, self.reports):
            if service is not None:
                await service.stop()

    def reconfigure(self, settings: BillingSettings, own: tuple[Prefix, ...]) -> None:
        """Take what a reload may change."""
        if self.billing is not None:
            self.billing.reconfigure(settings, own)
        if self.online is not None:
            self.online.every = settings.poll.sessions
        if self.hooks is not None and settings.webhook is not None:
            self.hooks.reconfigure(settings.webhook)

    async def _heard(self, hint: Hint) -> None:
        """The webhook -> billing: read what was named, now. UpstreamError when that cannot be had."""
        if self.billing is not None:
            await self.billing.hear(hint.subscribers, lists=hint.everything or bool(hint.keys))
