# SPDX-License-Identifier: Apache-2.0
"""``edged explain``: what one line gets, from which rule, since when, and what is truly in place.

Asks the functions that the traffic meets, and reads back from every target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edged.captive.answers import Close, Response
from edged.captive.respond import Portal, Request, respond
from edged.model import Access, State, Subscriber
from edged.ops.control import Refused
from edged.ops.explaining_places import PlaceExplainer
from edged.ops.explaining_wifi import WifiExplainer
from edged.ops.text import moment, span
from edged.ops.words import kind_of, word_facts
from edged.policy.access import Decision, Rule
from edged.values import BITS, IpAddress, MacAddress, Prefix, host_prefix, parse_address, parse_mac, parse_prefix

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]

_SHOWN = 48
"""Devices on the blocked VLAN that are named of one subscriber: more than a household has."""
_MEANING = {
    Access.OPEN: "OPEN",
    Access.NOTICE: "OPEN, with a reminder",
    Access.BLOCKED: "BLOCKED",
    Access.PASS: "OPEN on a pass",
    Access.DRAIN: "OPEN, and draining",
    Access.EXEMPT: "EXEMPT",
    Access.STRANGER: "a STRANGER",
}


class Explainer:
    """Answers for an address, a network, a MAC, a subscriber's id, login or page reference, a key, a NAS, a name."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._wifi = WifiExplainer(house)
        self._places = PlaceExplainer(house)

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
            return await self._destination(_first(lines[0]), name)
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
            return await self._destination(address, name)
        facts = self._decided(str(address), decision, now)
        if decision.access is Access.STRANGER:
            facts["who"] = [f"no network in subscribers.networks holds it; billing {self._claims(address)}"]
            facts["gets"] = [{"protocol": "DNS", "answer": "refused; the page is not shown; nothing is enforced on it"}]
            return facts
        line = host_prefix(address)
        waits = self._waits(lambda s: any(prefix.contains(line) for prefix in s.addresses))
        if waits:
            facts["who"] = [*facts.get("who", ()), waits]
        facts["gets"] = self._gets(address)
        facts["in_place"] = await self._in_place(address, decision)
        if decision.subscriber is not None:
            facts["recently"] = await self._recently(decision.subscriber.id)
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

    def _decided(self, subject: str, decision: Decision, now: float) -> Facts:
        reason = f" for {decision.reason}" if decision.reason else ""
        since = f", since {moment(decision.since)} ({span(now - decision.since)})" if decision.since else ""
        until = f"until {moment(decision.until)} ({span(decision.until - now)} left)" if decision.until else ""
        if until:
            until = f"; reminder snoozed {until}" if decision.access is Access.NOTICE else f", {until}"
        facts: Facts = {
            "subject": subject,
            "headline": f"{subject} is {_MEANING[decision.access]}{reason}{since}{until}",
            "access": decision.access.value,
            "rule": decision.rule.value,
            "reason": decision.reason,
            "since": decision.since,
            "until": decision.until,
            "ladder": self._ladder(decision, now),
            "lifts": self._lifts(decision),
        }
        if self._house.loaded.config.mode == "watch" and decision.access is Access.BLOCKED:
            facts["headline"] += "; edged is watching, so nothing is done about it"
        if decision.subscriber is not None:
            facts["who"] = self._who(decision.subscriber)
            facts["subscriber"] = decision.subscriber.id
            override = self._house.current.view.learned.overrides.get(decision.subscriber.id)
            if override is not None and override.until > now:
                facts["word"] = word_facts(self._house, override)
        return facts

    def _who(self, subscriber: Subscriber) -> list[str]:
        rows = [f"subscriber {subscriber.id}, brand {subscriber.brand or 'default'}"]
        if self._house.loaded.config.portal.url:
            rows[0] += f", page reference {self._house.captive.reference(subscriber.id)}"
        rows += ["has " + ", ".join(map(str, subscriber.addresses))] if subscriber.addresses else []
        for session in self._house.roster.sessions_of(subscriber.id, subscriber.logins):
            has = ", ".join(map(str, session.prefixes)) or "no address of its own"
            rows.append(f"online as {session.login or 'no login'} with {has}, since {moment(session.since)}")
        rows += ["devices " + ", ".join(subscriber.devices)] if subscriber.devices else []
        moved = self._house.current.view.learned.moved
        rows += [
            f"{mac} is on the blocked VLAN with key {moved.holders[mac].key}"
            for mac in moved.devices.get(subscriber.id, ())[:_SHOWN]
        ]
        ring = self._house.mpsk.ring
        keys = [
            f"{name.id} ({len(ring.devices.get(name, ()))} devices)"
            for name in sorted(name for name, stored in ring.keys.items() if stored.key.subscriber == subscriber.id)
        ]
        rows += ["Wi-Fi keys " + ", ".join(keys)] if keys else []
        return rows

    def _ladder(self, decision: Decision, now: float) -> list[Facts]:
        """Every rule up to the one that decided, as it was tried."""
        learned, table = self._house.current.view.learned, self._house.current.view.table
        subscriber = decision.subscriber
        override = learned.overrides.get(subscriber.id) if subscriber else None
        taken = f"{self._reached(now)}, snapshot {table.snapshot_id}" if table.snapshot_id else "not read yet"
        said = {
            Rule.SERVED: "no" if decision.rule is Rule.SERVED else "yes",
            Rule.EXEMPT: "yes: never blocked" if decision.rule is Rule.EXEMPT else "no",
            Rule.OVERRIDE: "none",
            Rule.PASS: "running" if decision.rule is Rule.PASS else "none",
            Rule.BILLING: f"{subscriber.state.value}{', ' + subscriber.reason if subscriber.reason else ''}; {taken}"
            if subscriber
            else f"lists nobody there; {taken}",
            Rule.DRAIN: "blocked until a moment ago" if decision.rule is Rule.DRAIN else "no",
            Rule.DEFAULT: "open",
        }
        if override is not None and override.until > now:
            kind = kind_of(self._house, override)
            said[Rule.OVERRIDE] = (
                f"{kind} by {override.who}, {moment(override.at)}, until {moment(override.until)}: {override.why}"
            )
        steps = []
        for rule in Rule:
            steps.append({"rule": rule.value, "said": said[rule], "decided": rule is decision.rule})
            if rule is decision.rule:
                break
        return steps

    def _reached(self, now: float) -> str:
        """How old billing's word is: a list that has not changed is not read_at anew."""
        status = self._house.billing.status() if self._house.billing is not None else None
        if status is not None and status.contact:
            return f"billing was reached {span(status.age)} ago"
        return f"read {span(now - self._house.current.view.table.read_at)} ago"

    def _lifts(self, decision: Decision) -> str:
        if decision.access is not Access.BLOCKED or decision.subscriber is None:
            return ""
        one = decision.subscriber.id
        if decision.rule is Rule.OVERRIDE:
            return f"it ends by itself, or: edged block {one} --end --why …"
        billing = self._house.billing
        if billing is None:
            return "there is no billing section: it stays"
        return f"billing says active: looked at every {span(billing.every)}, or at once with edged sync {one}"

    # --- what it gets ----------------------------------------------------------------------------

    def _gets(self, address: IpAddress) -> list[Facts]:
        """Asked of the rooms with what they act upon, so that watch mode shows what really happens."""
        now = time.time()
        decision = self._house.acting.view.decide(address, now)
        rows = []
        if self._house.loaded.config.dns.listen:
            said = self._house.dns.explain("example.com", decision)
            answer = ", ".join(map(str, said.addresses)) or said.kind.value
            rows.append(
                {
                    "protocol": "DNS",
                    "answer": f"{answer} ({said.why}" + (f", TTL {said.ttl} s)" if said.ttl else ")"),
                }
            )
        if self._house.loaded.config.portal.url:
            rows += self._web(decision, now)
        return rows

    def _web(self, decision: Decision, now: float) -> list[Facts]:
        portal = self._house.loaded.config.portal
        view = self._house.acting.view
        ours = Portal(portal.url or "", portal.host, b"")
        request = Request(https=False, method="GET", host="example.com", target="/", accept="text/html")
        answer = respond(request, ours, decision, now, lambda one: view.decide_id(one, now))
        match answer:
            case Response():
                where = next((value for name, value in answer.headers if name == "Location"), "")
                http = f"{answer.status} to {where}" if where else f"{answer.status}, {answer.kind.value}"
            case Close():
                http = f"closed: {answer.reason}"
            case _:
                http = "answered by the page"
        if decision.reminds and not self._house.enforce.leads:
            return [{"protocol": "HTTP", "answer": "its own way: no target of enforce leads anybody to the reminder"}]
        if decision.reminds:
            return [{"protocol": "HTTP", "answer": f"page loads on port 80 {http}, all else its own way"}]
        if decision.access is not Access.BLOCKED:
            return [{"protocol": "HTTP", "answer": f"its own way; a browser that still holds our address gets {http}"}]
        return [
            {"protocol": "HTTP", "answer": http},
            {
                "protocol": "HTTPS",
                "answer": f"to foreign names: TLS {portal.foreign_tls} (no page is possible)",
            },
        ]

    async def _in_place(self, address: IpAddress, decision: Decision) -> list[Facts]:
        """What each target really holds, read back now."""
        there = await self._house.enforce.in_place(address, *self._house.current.view.line_at(address).devices)
        wanted = decision.access is Access.BLOCKED
        watching = self._house.loaded.config.mode == "watch"
        rows = []
        for name in self._house.enforce.status():
            blocked = there.get(name)
            state = "unknown" if blocked is None else "blocked" if blocked else "open"
            if blocked is not None and blocked != wanted and not watching:
                known = self._house.current.view.table.snapshot_id
                state += " (WRONG, being mended)" if known else " (by an earlier run; there is no list yet)"
            rows.append({"target": name, "state": "watching" if watching else state, "blocked": blocked})
        return rows

    async def _destination(self, address: IpAddress, name: str) -> Facts:
        decision = self._house.acting.view.decide(address, time.time())
        # a pasted URL is as good as its host
        name = (urlsplit(name).hostname or name) if "//" in name else name.partition("/")[0]
        try:
            verdict = self._house.dns.explain(name, decision)
        except ValueError as error:
            raise Refused(str(error), 2) from None
        answer = ", ".join(map(str, verdict.addresses))
        reachable = verdict.kind.value in {"garden", "forward", "static"}
        gets = [
            {
                "protocol": "DNS",
                "answer": f"{verdict.kind.value}: {verdict.why}" + (f"; {answer}" if answer else ""),
            }
        ]
        if verdict.kind.value == "garden":
            ports = ", ".join(map(str, self._house.loaded.config.garden.ports))
            gets.append({"protocol": "web", "answer": f"its own way, on port {ports} alone; opened before the answer"})
        elif not reachable and self._house.loaded.config.portal.url:
            gets += self._web(decision, time.time())
        return {
            "subject": str(address),
            "name": name,
            "headline": f"{name} is {'REACHABLE' if reachable else 'NOT reachable'} for {address}",
            "verdict": verdict.kind.value,
            "gets": gets,
            "in_place": await self._in_place(address, self._house.current.view.decide(address, time.time())),
        }

    # --- other subjects --------------------------------------------------------------------------

    async def _subscriber(self, subscriber: Subscriber) -> Facts:
        now = time.time()
        decision = self._house.current.view.decide_subscriber(subscriber, now)
        facts = self._decided(f"subscriber {subscriber.id}", decision, now)
        facts["subscriber"] = subscriber.id
        if self._house.loaded.config.portal.url:
            facts["link"] = self._house.captive.link(subscriber.id)
        facts["recently"] = await self._recently(subscriber.id)
        for prefix in self._house.current.view.lines_of(subscriber):
            first = _first(prefix)
            facts["gets"] = self._gets(first)
            facts["in_place"] = await self._in_place(first, self._house.current.view.decide(first, now))
            break
        return facts

    async def _key_or_reference(self, subject: str) -> Facts | None:
        """A key by its id, or whose page bears a reference; of several who share one, who they are."""
        # in a thread: ten thousand keys take some 100 ms
        keys = await asyncio.to_thread(self._house.mpsk.key_facts)
        key = next((k for k in keys if k.id == subject), None)
        if key is not None:
            return self._wifi.key(key, time.time()) | {"recently": await self._recently(key.id)}
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
        return {"subject": subject, "headline": headline, "who": [row for one in found for row in self._who(one)[:2]]}

    async def _recently(self, subscriber: str) -> list[Facts]:
        """The newest lines of the audit about them."""
        trail = await self._house.overrides.recent(subscriber)
        return [
            {"at": row.at, "what": f"{row.action} by {row.who}" + (f": {row.why}" if row.why else "")} for row in trail
        ]

    async def _device(self, mac: MacAddress) -> Facts:
        now = time.time()
        if self._house.current.view.holder_of(mac) is None:
            return await self._wifi.device(mac, now)
        facts = self._decided(mac, self._house.current.view.decide_device(mac, now), now)
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
