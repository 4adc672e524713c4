# SPDX-License-Identifier: Apache-2.0
"""The one writer of the policy: what billing says, what edged has learned, and who is online, into one ``View``. I/O.

Each of the three comes by itself; whoever reads sees them together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from edged.config.derived import blocked_vlans
from edged.config.schema import Config
from edged.host.addresses import Neighbour, Neighbourhood, neighbourhood
from edged.model import OnlineSession, Snapshot, Subscriber
from edged.policy.access import Learned, View, drained
from edged.policy.moved import Holder
from edged.policy.sessions import OnlineLines, Roster
from edged.policy.table import PolicyTable, changed, compile_table, recompiled
from edged.state.current import Current
from edged.state.overrides import OverrideStore
from edged.values import IpAddress, MacAddress, Prefix

LARGE = 5_000
"""From so many subscribers on the table is compiled in a thread, so that the loop is not held for long."""
_PIECE = 500
"""Sessions, or subscribers whose sessions are looked up, between two turns of the loop: some ten milliseconds."""
BLIND = 15
"""Looks at the neighbours that may fail in a row, some half a minute, before what was seen is too old to act upon."""
NO_BILLING = Snapshot("none", "", 0.0, ())
"""What is in force where no billing is configured: nobody is blocked, and that is certain."""


class Writer:
    """``current`` is what is so; ``acting`` what the rooms that answer act upon: nobody is blocked in watch mode."""

    def __init__(self, config: Config, overrides: OverrideStore) -> None:
        self.current = Current()
        self.acting = Current()
        self.roster = Roster()
        self.lines_to_block: Callable[[tuple[Prefix, ...]], tuple[Prefix, ...]] = lambda prefixes: prefixes
        """What a subscriber's sessions must pass: reports of a NAS are judged no less strictly than billing's list."""
        self._config = config
        self._overrides = overrides
        self._neighbourhood = Neighbourhood()
        """At the last look."""
        self._blind = 0
        """Looks since then that failed."""
        self._met: dict[IpAddress, MacAddress] = {}
        """Who on the VLANs of the blocked has turned up since it began."""
        self._unheard: set[str] | None = None
        """Logins and subscribers whose sessions changed while a table is compiled; None: none is."""
        self._put(compile_table(None, config.subscribers), Learned(), None)

    def configure(self, config: Config) -> None:
        """Take the networks and the mode of another configuration."""
        self._config = config
        self._put(recompiled(self.current.view.table, config.subscribers), self.current.view.learned, None)

    def publish_nobody(self) -> None:
        """There is no billing: nobody is blocked."""
        self._put(compile_table(NO_BILLING, self._config.subscribers), self.current.view.learned, None)

    async def publish(self, snapshot: Snapshot, words: tuple[Subscriber, ...] | None = None) -> None:
        """Put ``snapshot`` into force; ``words``: it differs from what is in force in these subscribers alone."""
        if words is not None:
            await self._publish_words(snapshot, words)
            return
        settings = self._config.subscribers
        self._unheard = set()
        if len(snapshot.subscribers) > LARGE:
            table = await asyncio.to_thread(compile_table, snapshot, settings)
        else:
            table = compile_table(snapshot, settings)
        online = await self._online(table)
        # before the table is in force: who is known by MAC alone is blocked and sees the page from the same moment
        near = await self._near(table)
        if settings is not self._config.subscribers:
            table = recompiled(table, self._config.subscribers)  # a reload came in between
        online, self._unheard = online.changed(self._lines(table, self._unheard)), None
        self._follow(table, replace(self.current.view.learned, neighbours=near, online=online), None)

    async def _publish_words(self, snapshot: Snapshot, words: tuple[Subscriber, ...]) -> None:
        before = self.current.view.table
        if before.contested or before.contested_names or any(word.devices for word in words):
            # two claim one thing: all is compiled anew, which is no work for the loop
            table = await asyncio.to_thread(changed, before, words, snapshot_id=snapshot.id)
            near = await self._near(table) if any(word.devices for word in words) else None
        else:
            table, near = changed(before, words, snapshot_id=snapshot.id), None
        if self.current.view.table is not before:
            # a reload came in between: its networks hold
            table = recompiled(table, self._config.subscribers)
        learned = self.current.view.learned
        ids = frozenset(word.id for word in words) | _login_holders(words, before, table)
        online = learned.online.changed(self._lines(table, ids))
        neighbours_now = learned.neighbours if near is None else near
        self._follow(table, replace(learned, online=online, neighbours=neighbours_now), ids)

    async def relearn(self) -> None:
        """The database's words: after an operator's command, a pass, a snooze, and at each start."""
        now = time.time()
        overrides, passes = await self._overrides.alive(now), await self._overrides.passes(now)
        snoozes = await self._overrides.snoozes(now)
        known = self.current.view.learned
        ids = _differing(known.overrides, overrides) | _differing(known.passes, passes)
        ids |= _differing(known.snoozes, snoozes)
        if ids:
            learned = replace(known, overrides=overrides, passes=passes, snoozes=snoozes)
            self._put(self.current.view.table, learned, ids)

    def heard(self, concerned: set[str]) -> None:
        """The sessions of these logins and subscribers may be others than they were."""
        if self._unheard is not None:
            self._unheard |= concerned
        view = self.current.view
        online = view.learned.online.changed(self._lines(view.table, concerned))
        if online is not view.learned.online:
            ids = frozenset(s.id for s in self._listed(view.table, concerned))
            self._follow(view.table, replace(view.learned, online=online), ids)

    async def follow(self, reporter: str, sessions: tuple[OnlineSession, ...], *, keep: bool) -> None:
        """Take ``reporter``'s list of everybody who is online, as in ``Roster.replace``, without holding the loop."""
        concerned: set[str] = set()
        for number, names in enumerate(self.roster.replacing(reporter, sessions, keep=keep, now=time.time())):
            concerned |= names
            if number % _PIECE == 0:
                await asyncio.sleep(0)
        while concerned:
            self.heard({concerned.pop() for _ in range(min(_PIECE, len(concerned)))})
            await asyncio.sleep(0)

    async def meet_neighbours(self) -> None:
        """Subscribers known by MAC alone: which address has it now, so that DNS and the page know them too."""
        table, self._met = self.current.view.table, {}
        near = await self._near(table)
        view = self.current.view
        # who turned up while the table was read may not stand there yet
        moved = view.learned.moved.located(self._neighbourhood.admitted | self._met)
        # a list that came meanwhile has brought its own
        near = near if view.table is table else view.learned.neighbours
        if near != view.learned.neighbours or moved is not view.learned.moved:
            self._put(view.table, replace(view.learned, neighbours=near, moved=moved), frozenset())

    def meet(self, several: Iterable[Neighbour]) -> bool:
        """Take where devices on the VLAN of the blocked are as soon as they are; False: another look has to tell."""
        view, vlans = self.current.view, blocked_vlans(self._config)
        there = [one for one in several if one.interface in vlans]
        met = {one.address: one.mac for one in there if self._neighbourhood.admits(one)}
        self._met |= met
        moved = view.learned.moved.met(met)
        if moved is not view.learned.moved:
            self._put(view.table, replace(view.learned, moved=moved), frozenset())
        return all(self._neighbourhood.judges(one.interface) for one in there)

    def move(self, changes: Mapping[MacAddress, Holder | None]) -> None:
        """Take which devices are on the VLAN of the blocked; None: not any longer. While watching nobody is moved."""
        view = self.current.view
        moved = view.learned.moved.changed(changes)
        if moved is not view.learned.moved and self._config.mode != "watch":
            ids = view.learned.moved.concerned(changes)
            self._put(view.table, replace(view.learned, moved=moved), ids)

    def _follow(self, table: PolicyTable, learned: Learned, ids: frozenset[str] | None) -> None:
        """As ``_put``; lines that were blocked until now drain."""
        drains = drained(self.current.view, View(table, learned), time.time(), ids)
        self._put(table, replace(learned, drains=drains), ids)

    def _put(self, table: PolicyTable, learned: Learned, ids: frozenset[str] | None) -> None:
        self.current.publish(View(table, learned), ids)
        if self._config.mode == "watch":
            self.acting.publish(View(compile_table(None, self._config.subscribers)))
        else:
            self.acting.publish(self.current.view, ids)

    async def _online(self, table: PolicyTable) -> OnlineLines:
        if not self.roster:
            return OnlineLines()
        pairs: list[tuple[str, tuple[Prefix, ...]]] = []
        for number, subscriber in enumerate(table.subscribers.values()):
            if number % _PIECE == 0:
                await asyncio.sleep(0)
            if lines := self._lines_of(table, subscriber):
                pairs.append((subscriber.id, lines))
        return await asyncio.to_thread(OnlineLines().changed, pairs)

    def _lines(self, table: PolicyTable, concerned: Iterable[str]) -> list[tuple[str, tuple[Prefix, ...]]]:
        return [(s.id, self._lines_of(table, s)) for s in self._listed(table, concerned)]

    def _lines_of(self, table: PolicyTable, subscriber: Subscriber) -> tuple[Prefix, ...]:
        # a login that two subscribers claim is whose the table says
        logins = (login for login in subscriber.logins if table.logins.get(login) is subscriber)
        return self.lines_to_block(self.roster.lines_of(subscriber.id, logins))

    def _listed(self, table: PolicyTable, concerned: Iterable[str]) -> list[Subscriber]:
        """The listed subscribers behind names that are logins or billing's ids, each once."""
        found = (index.get(name) for name in concerned for index in (table.logins, table.subscribers))
        return list({s.id: s for s in found if s is not None}.values())

    async def _near(self, table: PolicyTable) -> dict[IpAddress, MacAddress]:
        """The neighbours whom billing names by their device."""
        vlans = blocked_vlans(self._config) if self.current.view.learned.moved else ()
        wanted = table.devices or vlans
        found = await asyncio.to_thread(neighbourhood, vlans) if wanted else Neighbourhood()
        self._blind = 0 if found is not None else self._blind + 1
        if found is not None or self._blind > BLIND:
            self._neighbourhood = found or Neighbourhood()
        return {one.address: one.mac for one in self._neighbourhood.rows if one.mac in table.devices}


def _login_holders(words: Iterable[Subscriber], *tables: PolicyTable) -> frozenset[str]:
    """Whose a login was or is that ``words`` speak of: its sessions go with it."""
    logins = {login for word in words for login in word.logins}
    for table in tables:
        logins |= {login for word in words if (s := table.subscribers.get(word.id)) for login in s.logins}
    return frozenset(s.id for table in tables for login in logins if (s := table.logins.get(login)) is not None)


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> frozenset[str]:
    """The keys whose values differ."""
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
