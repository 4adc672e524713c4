# SPDX-License-Identifier: Apache-2.0
"""Lets a router forget the tracked connections of lines that changed; what fails stays due. I/O.

Fasttracked connections pass no rule, so that this is what ends those from before a block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from edged.enforce.routeros.commands import ABSENT, Command, remove
from edged.enforce.routeros.entries import spelled
from edged.enforce.routeros.layout import CONNECTIONS
from edged.enforce.routeros.tracking import ENDS, PROPERTIES, Due
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import UpstreamError
from edged.values import Prefix

FEW = 8
"""Up to so many single addresses the router is asked for their connections alone; more, and all are read."""
REFUSED_S, REFUSED_SHARE = 60.0, 40.0
"""Seconds after which a router that refused is asked again, and at least so many times what the asking took."""


class RouterConnections:
    """Of one router."""

    def __init__(self, thread: RouterThread, clock: Callable[[], float]) -> None:
        self._thread = thread
        self._clock = clock
        self._again_at = 0.0
        """Until then the router is not asked again what it refused."""
        self.opened: set[Prefix] = set()
        self._blocked: set[Prefix] = set()
        self._separate: set[int] = set()
        """Families of which we saw that an address and its port are two properties there."""
        self.reluctant = ""
        """Why connections are still tracked as before; empty: none is."""

    def changed(self, blocked: Iterable[Prefix], opened: Iterable[Prefix]) -> None:
        """Lines whose connections are due to go."""
        self._blocked.update(blocked)
        self.opened.update(opened)

    def reconnected(self) -> None:
        """Take nothing for known of the router: it may be another version now."""
        self._separate.clear()

    async def forget(self) -> None:
        """Let them go. UpstreamError when the connection to the router is lost; what the router refuses stays due."""
        if self.reluctant and self._clock() < self._again_at:
            return
        begun = self._clock()
        blocked, opened = frozenset(self._blocked), frozenset(self.opened) - frozenset(self._blocked)
        refused = ""
        for version, menu in CONNECTIONS.items():
            concerned = [prefix for prefix in (*blocked, *opened) if prefix.version == version]
            if concerned:
                refused = await self._forget(menu, version, concerned, blocked, opened) or refused
        self.reluctant = f"connections are not forgotten ({refused}): old flows outlive a change" if refused else ""
        if refused:
            self._again_at = self._clock() + max(REFUSED_S, REFUSED_SHARE * (self._clock() - begun))
        else:
            self._blocked -= blocked
            self.opened -= blocked | opened

    async def _forget(
        self,
        menu: str,
        version: int,
        concerned: list[Prefix],
        blocked: Collection[Prefix],
        opened: Collection[Prefix],
    ) -> str:
        """Why it was refused; empty: it was not."""
        query = await self._query(menu, version, concerned)
        print_, is_due = Command(menu, "print", {".proplist": PROPERTIES}), Due(blocked, opened, version)
        try:
            # looked at where they come in: a router may track a hundred thousand
            rows = await self._thread.rows(print_, query, is_due)
        except UpstreamError as error:
            if not self._thread.router.is_connected:
                raise
            return str(error)
        refusals = []
        for piece in self._thread.pieces([row[".id"] for row in rows]):
            answers = await self._thread.many([remove(menu, item) for item in piece])
            # most end by themselves between the two commands
            refusals += [answer.trap for answer in answers if answer.trap and not answer.trap.startswith(ABSENT)]
        return refusals[0] if refusals else ""

    async def _query(self, menu: str, version: int, concerned: list[Prefix]) -> list[dict[str, list[str]]]:
        """What only connections of few single addresses fit; empty: all must be looked at."""
        if len(concerned) > FEW or not all(prefix.is_host for prefix in concerned):
            return []
        if version not in self._separate:
            counted = await self._thread.ask(Command(menu, "print", {"count-only": ""}), [{"src-port": [""]}])
            if counted.trap or counted.ret in {"", "0"}:
                return []
            self._separate.add(version)
        texts = [text for prefix in concerned for text in dict.fromkeys((str(prefix), spelled(prefix)))]
        return [dict.fromkeys(ENDS, texts)]
