# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of a Wi-Fi device or a key: the last request, the session that runs, what the key is good for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edged.model import Access
from edged.ops.devices import access_point, octets
from edged.ops.residents import row_of
from edged.ops.text import moment, span
from edged.values import MacAddress

if TYPE_CHECKING:
    from edged.mpsk.facts import KeyFacts
    from edged.ops.rooms import House

Facts = dict[str, Any]


class WifiExplainer:
    """Answers for a MAC address that billing does not list, and for a key's id."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def sessions(self, mac: MacAddress, now: float) -> list[str]:
        """What access points have reported on ``mac``, network by network."""
        ring = self._house.mpsk.ring
        found = await self._house.sessions.of_device(mac, tuple(self._house.loaded.config.mpsk.networks))
        rows = [row_of(s.ssid, mac, s, ring.learned.get((s.ssid, mac)), ring) for s in found]
        return [_session(row, now) for row in rows]

    async def device(self, mac: MacAddress, now: float) -> Facts:
        """The last request of ``mac`` and its session."""
        reported = await self.sessions(mac, now)
        last = self._house.mpsk.explain_device(mac)
        if last is None:
            keys = self._house.mpsk.key_facts()
            used = [k.id for k in keys if mac in k.devices]
            own = [k.id for k in keys if mac in k.registered]
            seen = f"; it has used {', '.join(used)}" if used else ""
            seen += f"; registered for {', '.join(own)}" if own else ""
            headline = f"{mac} has not asked for the Wi-Fi since the start{seen}"
            return {"subject": mac, "headline": headline, **({"who": reported} if reported else {})}
        word = "let on to" if last.accepted else "REJECTED on"
        facts: Facts = {
            "subject": mac,
            "headline": f"{mac} was {word} {last.ssid} {span(now - last.at)} ago, asked by {last.client}",
            "who": [
                f"key {last.key.id}" if last.key else "no key",
                f"VLAN {last.vlan}" if last.vlan else "no VLAN",
            ],
        }
        if last.reason:
            facts["who"].append(f"reason {last.reason}")
        facts["who"] += reported
        return facts

    def key(self, key: KeyFacts, now: float) -> Facts:
        """What the key is, who used it, and what it gets now."""
        facts: Facts = {"subject": key.id, "headline": f"key {key.id} on {key.ssid} is {key.said}"}
        rows = [
            f"{key.origin}'s, site {key.site or 'any'}, label {key.label or 'none'}, VLAN {key.vlan or 'the default'}"
        ]
        rows += [f"expires {moment(key.expires)}"] if key.expires else []
        rows += ["used by " + ", ".join(key.devices)] if key.devices else []
        if key.subscriber:
            decision = self._house.current.view.decide_id(key.subscriber, now)
            rows.append(f"subscriber {key.subscriber} is {decision.access.value}")
            network = self._house.loaded.config.mpsk.networks.get(key.ssid)
            if decision.access is Access.BLOCKED and network is not None:
                facts["gets"] = [
                    {
                        "protocol": "Wi-Fi",
                        "answer": f"VLAN {network.blocked.vlan}" if network.blocked else "a reject",
                    }
                ]
        return {**facts, "who": rows}


def _session(row: Facts, now: float) -> str:
    """One network of one device."""
    key = f", key {row['key']}" if row["key"] else ""
    volume = f"{octets(row['down'])} down, {octets(row['up'])} up"
    where = access_point(row)
    if not row["online"]:
        return f"offline on {row['ssid']}, last reported {span(now - row['reported'])} ago at {where}{key}; {volume}"
    since = f"since {moment(row['since'])} ({span(now - row['since'])})"
    return f"online on {row['ssid']} {since} at {where}{key}; {volume}"
