# SPDX-License-Identifier: Apache-2.0
"""Everything between edged and the billing system: its lists, its sessions, what it tells us and what we tell it. I/O.

Built where the configuration has a ``billing:`` section; without one nobody is blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

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
from edged.model import Key, OnlineSession, Snapshot, Subscriber, Tell, untold
from edged.state.current import Current
from edged.state.database import Database
from edged.state.guard_memory import GuardMemoryStore
from edged.state.hooks import HookStore
from edged.state.keys import BILLING, KeyStore
from edged.state.outbox import OutboxStore
from edged.state.snapshots import SnapshotFiles
from edged.values import Prefix

if TYPE_CHECKING:
    from edged.hub.online import SessionsOf
    from edged.hub.service import HubService
    from edged.hub.settings import HubSettings


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
        keys: KeyStore,
        current: Current,
        sessions_of: SessionsOf,
        facts: Facts,
        fds: FdStore | None = None,
    ) -> None:
        """``keys``: where billing's are kept. ``current``: what ``publish`` and ``hear`` lead to.

        ``sessions_of``: ``Roster.sessions_of``. ``facts``: what a hub hears.
        """
        self.billing: BillingService | None = None
        self.online: Online | None = None
        self.hooks: HookService | None = None
        self.events: EventService | None = None
        self.reports: ReportService | None = None
        self.hub: HubService | None = None
        self._publish_here, self._hear_here = publish, hear
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
            publish=self._publish,
        )
        self.online = Online(source, self._online, every=settings.poll.sessions)
        if settings.webhook is not None:
            store = HookStore(database)
            self.hooks = HookService(settings.webhook, source=settings.source, store=store, tell=self._heard, fds=fds)
        if settings.source in {"rest", "hub"}:  # the open feed alone has a place for events
            self.events = EventService(settings, site=config.site, store=OutboxStore(database))
        if settings.source == "hub":
            self.reports = ReportService(settings, facts)
        if config.hub is not None:
            from edged.hub.service import HubService  # its memory costs nobody else

            self.hub = HubService(
                config.hub,
                billing=self.billing,
                online=self.online,
                current=current,
                sessions_of=sessions_of,
                kept_keys=lambda: _of_billing(keys),
                relay=self.events.pass_on if self.events is not None else None,
                directory=config.state.directory,
                fds=fds,
            )

    @property
    def tell(self) -> Tell:
        """Where rooms say what billing may want to know."""
        return self.events.tell if self.events is not None else untold

    def rooms(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs, by name."""
        services = {
            "billing": self.billing, "sessions": self.online, "hooks": self.hooks, "events": self.events,
            "reports": self.reports, "hub": self.hub,
        }  # fmt: skip
        return {name: service.run for name, service in services.items() if service is not None}

    async def start(self) -> None:
        """Listen for what billing has to tell, and for other edges. ConfigError."""
        for service in self.listening:
            await service.start()

    async def stop(self) -> None:
        """Hear nothing more from billing, or of other edges."""
        for service in (*self.listening, *((self.billing,) if self.billing is not None else ())):
            await service.stop()

    async def close(self) -> None:
        """Write down what there is to tell; after all else has stopped, since every room may tell until then."""
        for service in (self.events, self.reports):
            if service is not None:
                await service.stop()

    @property
    def listening(self) -> tuple[HookService | HubService, ...]:
        """What others come to."""
        return tuple(service for service in (self.hooks, self.hub) if service is not None)

    def reconfigure(self, settings: BillingSettings, own: tuple[Prefix, ...]) -> None:
        """Take what a reload may change."""
        if self.billing is not None:
            self.billing.reconfigure(settings, own)
        if self.online is not None:
            self.online.every = settings.poll.sessions
        if self.hooks is not None and settings.webhook is not None:
            self.hooks.reconfigure(settings.webhook)

    def reconfigure_hub(self, settings: HubSettings | None) -> None:
        """Take other bearer keys of edges, and the certificate as it is now. ConfigError: it does not work."""
        if self.hub is not None and settings is not None:
            self.hub.reconfigure(settings)

    async def _publish(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        """Billing -> everybody here, then other edges."""
        await self._publish_here(snapshot, words)
        if self.hub is not None:
            self.hub.stir()

    async def _online(self, sessions: tuple[OnlineSession, ...], doubtful: bool) -> None:  # noqa: FBT001  as in Hear
        """Billing's live sessions -> everybody here, then other edges."""
        await self._hear_here(sessions, doubtful)
        if self.hub is not None:
            self.hub.stir()

    async def _heard(self, hint: Hint) -> None:
        """The webhook -> billing: read what was named, now. UpstreamError when that cannot be had."""
        if self.billing is not None:
            await self.billing.hear(hint.subscribers, lists=hint.everything or bool(hint.keys))


async def _of_billing(keys: KeyStore) -> list[Key]:
    """Billing's keys as the database has them. UpstreamError."""
    return [stored.key for stored in await keys.all() if stored.origin == BILLING and not stored.revoked]
