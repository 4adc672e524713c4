# SPDX-License-Identifier: Apache-2.0
"""What a made-up blocked subscriber would be answered, and how the keys are kept: for ``edged doctor``.

The subscriber exists in a view of its own, where nobody else does; the sinkhole and the page answer by the code that
answers real ones. No packet is sent, nothing is counted, nothing changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from edged.captive.answers import Close
from edged.captive.probes import PROBES, Probe
from edged.captive.respond import Request
from edged.dns.answer import parse, query
from edged.dns.codes import Rcode, Type
from edged.dns.message import ask
from edged.errors import WireError
from edged.model import Access, State, Subscriber
from edged.mpsk.keylist.choice import own_live
from edged.ops.control import SCHEMA
from edged.ops.keys.commands import EXPORTED_ALL
from edged.policy.access import Decision, Learned, View
from edged.policy.prefixes import PrefixMap
from edged.values import BITS, IpAddress, Prefix, parse_address

if TYPE_CHECKING:
    from edged.ops.rooms import House

_ID = "edged doctor"
_REASON, _LANGUAGE = "unpaid", "en"
_FOREIGN = "example.com"
"""A name that nobody's garden holds (RFC 2606)."""
_TRIES = 64
"""Addresses of a network that are tried: so many that are all exempt are the whole of it."""
_BROWSER = "text/html,application/xhtml+xml"
_KINDS = (Type.A, Type.AAAA)
Facts = dict[str, Any]


async def rehearse(house: House) -> Facts:
    """Everything that the doctor asks for at once."""
    return {
        "schema": SCHEMA,
        "made_up": await asyncio.to_thread(_made_up, house, time.time()),
        "keys": await _keys(house),
    }


class _Stage(NamedTuple):
    """A made-up subscriber, and the house that answers them."""

    house: House
    source: IpAddress
    view: View
    decision: Decision
    now: float

    def named(self, name: str, kind: Type) -> Facts:
        """What DNS says."""
        question = ask(name, kind)
        sent = query(question, 0, question.qname)
        octets = self.house.dns.rehearse(sent, self.source, self.view, self.now)
        facts: Facts = {
            "from": str(self.source), "type": kind.name, "rcode": int(Rcode.SERVFAIL), "addresses": [], "ttl": 0,
        }  # fmt: skip
        try:
            answer = parse(octets or b"", sent)
        except WireError:
            return facts
        told = [str(address) for address in answer.addresses]
        return facts | {"rcode": int(answer.rcode), "addresses": told, "ttl": answer.chain_ttl}

    def answered(self, request: Request) -> tuple[Facts, bytes]:
        """What the web says; status 0: the connection is closed."""
        finished = self.house.captive.rehearse(request, self.decision)
        if isinstance(finished, Close):
            return {"status": 0, "headers": {}}, b""
        response, body = finished
        return {"status": response.status, "headers": {name.lower(): value for name, value in response.headers}}, body

    def opened(self) -> Facts:
        """A browser's way from somebody's page to ours."""
        portal = self.house.loaded.config.portal
        led, _ = self.answered(Request(https=False, method="GET", host=_FOREIGN, target="/", accept=_BROWSER))
        location = led["headers"].get("location", "")
        shown, body = self.answered(
            Request(
                https=location.startswith("https:"), method="GET", host=portal.host, target="/", accept=_BROWSER,
                accept_language=_LANGUAGE,
            )
        )  # fmt: skip
        language = shown["headers"].get("content-language", _LANGUAGE)
        return {
            "redirect": {"status": led["status"], "location": location},
            "page": {"status": shown["status"], "octets": len(body), "reason": _REASON, "language": language},
        }

    def checked(self, probe: Probe) -> Facts:
        """A system's connectivity check, in DNS and over HTTP."""
        told = [self.named(probe.host, kind) for kind in _KINDS]
        answer, body = self.answered(Request(https=False, method="GET", host=probe.host, target=probe.path))
        addresses = [address for row in told for address in row["addresses"]]
        return {"client": probe.client, "addresses": addresses, "body": body.decode("latin-1"), **answer}


def _made_up(house: House, now: float) -> Facts:
    config = house.loaded.config
    stages: dict[int, _Stage] = {}
    unblockable = []
    for network in config.subscribers.networks:
        found = _blocked_in(house, network, now)
        if found is None:
            unblockable.append(str(network))
        else:
            stages.setdefault(network.version, found)
    facts: Facts = {
        "unblockable": unblockable, "redirect": {"status": 0, "location": ""},
        "page": {"status": 0, "octets": 0, "reason": _REASON, "language": _LANGUAGE}, "checks": [],
        "dns": [stage.named(_FOREIGN, kind) for stage in stages.values() for kind in _KINDS],
    }  # fmt: skip
    if stages and config.portal.url:
        stage = next(iter(stages.values()))
        facts |= stage.opened() | {"checks": [stage.checked(probe) for probe in _first_of_each()]}
    return facts


def _first_of_each() -> Iterator[Probe]:
    clients = dict.fromkeys(probe.client for probe in PROBES)
    return (next(probe for probe in PROBES if probe.client == client) for client in clients)


def _blocked_in(house: House, network: Prefix, now: float) -> _Stage | None:
    """A made-up subscriber at an address of ``network``; None: nobody can be blocked there."""
    view, width = house.current.view, BITS[network.version]
    room = 1 << (width - network.length)
    for index in range(min(_TRIES, room)):
        # from the end: gateways stand at the beginning
        own = Prefix(network.version, network.network + room - 1 - room * index // min(_TRIES, room), width)
        address = parse_address(str(own))
        made_up = Subscriber(_ID, State.BLOCKED, reason=_REASON, addresses=(own,))
        alone = replace(view.table, addresses=PrefixMap([(own, made_up)]), subscribers={_ID: made_up})
        staged = View(alone, Learned())
        decision = staged.decide(address, now)
        if decision.access is Access.BLOCKED:
            return _Stage(house, address, staged, decision, now)
    return None


async def _keys(house: House) -> Facts:
    """How many keys exist here alone, when all of them were last exported, and how many have changed since."""
    local = own_live(await asyncio.to_thread(house.mpsk.key_facts))
    last = await house.overrides.latest(EXPORTED_ALL)
    return {
        "local": len(local), "exported_at": last or None,
        "newer": sum(key.created > last for key in local) if last else len(local),
    }  # fmt: skip
