# SPDX-License-Identifier: Apache-2.0
"""``edged explain``: what somebody asks about in, whose answer it is out. Asks the rooms and the house."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edged.model import Access, State, Subscriber
from edged.ops.control import Refused
from edged.ops.explain.line import LineExplainer
from edged.ops.explain.places import PlaceExplainer
from edged.ops.explain.wifi import WifiExplainer
from edged.values import BITS, IpAddress, MacAddress, Prefix, host_prefix, parse_address, parse_mac, parse_prefix

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]


class Explainer:
    """Answers for an address, a network, a MAC, a subscriber's id, login or page reference, a key, a NAS, a name."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._line = LineExplainer(house)
        self._wifi = WifiExplainer(house)
        self._places = PlaceExplainer(house, self._line)

    async def explain(self, subject: str, name: str | None) -> Facts:
        """The facts of ``subject``; with ``name``, of that one destination."""
        subject = subject.strip()[:256]
        network = _network_of(subject)
        if network is not None:
            several = await self._places.network(network) if name is None and not network.is_host else None
            return several or await self._address(_first(network), name)
        if name is not None:
            known = self._house.current.view.table.subscribers.get(subject)
            lines = self._house.current.view.lines_of(known) if known is not None else ()
            if not lines:
                raise Refused("a destination can be asked about for an address, or for a subscriber who has one", 2)
            return await self._places.destination_for(_first(lines[0]), name)
        # before the MAC addresses: billing's ids may look like one
        table = self._house.current.view.table
        subscriber = table.subscribers.get(subject) or table.logins.get(subject)
        if subscriber is not None:
            return await self._subscriber(subscriber)
        mac = _mac_of(subject)
        if mac is not None:
            return await self._device(mac)
        if subject in self._house.current.view.learned.overrides:
            return await self._subscriber(Subscriber(subject, State.ACTIVE))
        other = await self._key_or_reference(subject)
        other = other or self._places.client(subject) or self._places.destination(subject)
        if other is not None:
            return other
        waits = self._waits(lambda s: s.id == subject)
        raise Refused(
            f'"{subject}" is no address, and neither billing nor the key store knows it '
            f"(billing lists only subscribers who are not plainly active){waits and f'; {waits}'}"
        )

    # --- an address ------------------------------------------------------------------------------

    async def _address(self, address: IpAddress, name: str | None) -> Facts:
        now = time.time()
        decision = self._house.current.view.decide(address, now)
        if name is not None:
            return await self._places.destination_for(address, name)
        facts = self._line.decided(str(address), decision, now)
        if decision.access is Access.STRANGER:
            facts["headline"] += ": no network in subscribers.networks holds it"
            facts["who"] = [f"billing {self._claims(address)}", *self._networks()]
            facts["gets"] = [{"protocol": "DNS", "answer": "refused; the page is not shown; nothing is enforced on it"}]
            return facts
        line = host_prefix(address)
        waits = self._waits(lambda s: any(prefix.contains(line) for prefix in s.addresses))
        if waits:
            facts["who"] = [*facts.get("who", ()), waits]
        facts["gets"] = self._line.gets(address)
        facts["in_place"] = await self._line.in_place(address, decision)
        if decision.subscriber is not None:
            facts["gets"] += self._line.wifi(decision.subscriber)
            facts["recently"] = await self._line.recently(decision.subscriber.id)
        return facts

    def _waits(self, concerns: Callable[[Subscriber], bool]) -> str:
        """What a reading that waits for a person would do to whom ``concerns`` picks; empty: nothing new."""
        held = self._house.billing.held if self._house.billing is not None else None
        listed = self._house.current.view.table.subscribers
        for subscriber in held.subscribers if held is not None else ():
            known = listed.get(subscriber.id)
            if concerns(subscriber) and (known is None or known.state is not subscriber.state):
                return f"a reading that waits says {subscriber.id} is {subscriber.state}: edged status"
        return ""

    def _claims(self, address: IpAddress) -> str:
        found = self._house.current.view.match(address)
        return "lists nobody there" if found is None else f"lists subscriber {found[1].id} there"

    def _networks(self) -> list[str]:
        """Where the served networks stand in the file, as they stand there."""
        document = self._house.loaded.document
        mark = document.marks.get(("subscribers", "networks"))
        if mark is None or not 0 < mark.line <= len(document.lines):
            return []
        return [f"{document.path}:{mark.line}  {document.lines[mark.line - 1].strip()}"]

    # --- other subjects --------------------------------------------------------------------------

    async def _subscriber(self, subscriber: Subscriber) -> Facts:
        now = time.time()
        decision = self._house.current.view.decide_subscriber(subscriber, now)
        facts = self._line.decided(f"subscriber {subscriber.id}", decision, now)
        facts["subscriber"] = subscriber.id
        if self._house.loaded.config.portal.url:
            facts["link"] = self._house.captive.link(subscriber.id)
        facts["recently"] = await self._line.recently(subscriber.id)
        for prefix in self._house.current.view.lines_of(subscriber):
            first = _first(prefix)
            facts["gets"] = self._line.gets(first)
            facts["in_place"] = await self._line.in_place(first, self._house.current.view.decide(first, now))
            break
        facts["gets"] = [*facts.get("gets", ()), *self._line.wifi(subscriber)]
        return facts

    async def _key_or_reference(self, subject: str) -> Facts | None:
        """A key by its id, or whose page bears a reference; of several who share one, who they are."""
        # in a thread: ten thousand keys take some 100 ms
        keys = await asyncio.to_thread(self._house.mpsk.key_facts)
        key = next((k for k in keys if k.id == subject), None)
        if key is not None:
            return self._wifi.key(key, time.time()) | {"recently": await self._line.recently(key.id)}
        named = await asyncio.to_thread(self._house.captive.referenced, subject, self._house.current.view)
        if not named:
            return None
        table = self._house.current.view.table.subscribers
        found = [table.get(one) or Subscriber(one, State.ACTIVE) for one in named]
        if len(found) == 1:
            return await self._subscriber(found[0])
        headline = (
            f"{subject.upper()} is the page reference of {len(found)} subscribers: ask for the name or the address"
        )
        return {
            "subject": subject,
            "headline": headline,
            "who": [row for one in found for row in self._line.who(one)[:2]],
        }

    async def _device(self, mac: MacAddress) -> Facts:
        now = time.time()
        if self._house.current.view.holder_of(mac) is None:
            return await self._wifi.device(mac, now)
        facts = self._line.decided(mac, self._house.current.view.decide_device(mac, now), now)
        facts["who"] = [*facts.get("who", ()), *self._wifi.request(mac, now), *await self._wifi.sessions(mac, now)]
        return facts


def _network_of(subject: str) -> Prefix | None:
    try:
        return parse_prefix(subject)
    except ValueError:
        return None


def _first(prefix: Prefix) -> IpAddress:
    return parse_address(str(Prefix(prefix.version, prefix.network, BITS[prefix.version])))


def _mac_of(subject: str) -> MacAddress | None:
    try:
        return parse_mac(subject)
    except ValueError:
        return None
