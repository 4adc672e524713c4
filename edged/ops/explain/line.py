# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of one line: who it is, which rule decided, what it gets, what is truly in place, what lifts it.

Asks the functions that the traffic meets, and reads back from every target.
"""

from __future__ import annotations

import time
from shlex import quote
from typing import TYPE_CHECKING, Any

from edged.captive.answers import Close, Response
from edged.captive.respond import Portal, Request, respond
from edged.model import Access, State, Subscriber
from edged.ops.life.answer import told
from edged.ops.text import moment, span
from edged.ops.words import kind_of, word_facts
from edged.policy.access import Decision, Rule
from edged.values import IpAddress

if TYPE_CHECKING:
    from edged.mpsk.settings import NetworkSettings
    from edged.ops.rooms import House

Facts = dict[str, Any]

_RECENT = 5
"""Entries of a life that are told beside the rest."""
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


class LineExplainer:
    """Parts of an answer about a line; ``Explainer`` puts them together."""

    def __init__(self, house: House) -> None:
        self._house = house

    def decided(self, subject: str, decision: Decision, now: float) -> Facts:
        """What is so, by which rule, since when and until when."""
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
            facts["who"] = self.who(decision.subscriber)
            facts["subscriber"] = decision.subscriber.id
            override = self._house.current.view.learned.overrides.get(decision.subscriber.id)
            if override is not None and override.until > now:
                facts["word"] = word_facts(self._house, override)
        return facts

    def who(self, subscriber: Subscriber) -> list[str]:
        """Who it is, in rows."""
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
            Rule.PASS: ("running" if decision.rule is Rule.PASS else "none") + self._used(subscriber),
            Rule.BILLING: f"{subscriber.state.value}{', ' + subscriber.reason if subscriber.reason else ''}; {taken}"
            if subscriber
            else f"blocks and reminds nobody there; {taken}",
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

    def _used(self, subscriber: Subscriber | None) -> str:
        """How many of the passes of a day are used."""
        left = self._house.clerk.passes_left(subscriber.id) if subscriber is not None else None
        settings = self._house.clerk.settings
        if left is None or settings is None:
            return ""
        return f"; {settings.per_day - left} of {settings.per_day} used within a day"

    def _reached(self, now: float) -> str:
        """How old billing's word is: a list that has not changed is not read_at anew."""
        status = self._house.billing.status() if self._house.billing is not None else None
        if status is not None and status.contact:
            return f"billing was reached {span(status.age)} ago"
        return f"read {span(now - self._house.current.view.table.read_at)} ago"

    def _lifts(self, decision: Decision) -> str:
        if decision.access is not Access.BLOCKED or decision.subscriber is None:
            return ""
        one = quote(decision.subscriber.id)
        if decision.rule is Rule.OVERRIDE:
            return f"it ends by itself, or: edged block {one} --end --why …"
        billing = self._house.billing
        if billing is None:
            return "there is no billing section: it stays"
        by_hand = f"; for some minutes with edged pass {one}" if decision.subscriber.state is State.BLOCKED else ""
        return f"billing says active: looked at every {span(billing.every)}, or at once with edged sync {one}{by_hand}"

    # --- what it gets ----------------------------------------------------------------------------

    def gets(self, address: IpAddress) -> list[Facts]:
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
            rows += self.web(decision, now)
        return rows

    def wifi(self, subscriber: Subscriber) -> list[Facts]:
        """Where a blocked subscriber's devices are put, network by network."""
        ring, view = self._house.mpsk.ring, self._house.acting.view
        if view.decide_subscriber(subscriber, time.time()).access is not Access.BLOCKED:
            return []
        ssids = {stored.key.ssid for stored in ring.keys.values() if stored.key.subscriber == subscriber.id}
        networks = self._house.loaded.config.mpsk.networks
        return [
            {"protocol": "Wi-Fi", "answer": f"{blocked_gets(networks[ssid])} on {ssid}"}
            for ssid in sorted(ssids & networks.keys())
        ]

    def web(self, decision: Decision, now: float) -> list[Facts]:
        """What HTTP and HTTPS get."""
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

    async def in_place(self, address: IpAddress, decision: Decision) -> list[Facts]:
        """What each target really holds, read back now."""
        there = await self._house.enforce.in_place(address, *self._house.current.view.line_at(address).devices)
        wanted = decision.access is Access.BLOCKED
        watching = self._house.loaded.config.mode == "watch"
        rows = []
        for name, health in self._house.enforce.status().items():
            blocked = there.get(name)
            state = "unknown" if blocked is None else "blocked" if blocked else "open"
            if blocked is None and health.error and health.since:
                state += f" for {span(time.time() - health.since)}"
            if blocked is not None and blocked != wanted and not watching:
                known = self._house.current.view.table.snapshot_id
                state += " (WRONG, being mended)" if known else " (by an earlier run; there is no list yet)"
            rows.append({"target": name, "state": "watching" if watching else state, "blocked": blocked})
        return rows

    async def recently(self, subject: str) -> list[Facts]:
        """The newest entries of what ``edged log`` tells of them, the newest first."""
        await self._house.lives.write()
        entries = await self._house.lives.store.of(subject, 0.0)
        return [{"at": entry.at, "what": told(subject, entry)} for entry in entries[: -_RECENT - 1 : -1]]


def blocked_gets(network: NetworkSettings) -> str:
    """What a blocked resident's device gets on ``network``."""
    return f"VLAN {network.blocked.vlan}" if network.blocked else "a reject"
