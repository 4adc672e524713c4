# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of a Wi-Fi device or a key: the last request, the session that runs, what the key is good for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from edged.model import Access
from edged.mpsk.outcome import Reason
from edged.ops.explain.line import blocked_gets
from edged.ops.keys.devices import access_point, octets
from edged.ops.keys.residents import row_of
from edged.ops.text import moment, span
from edged.values import MacAddress

if TYPE_CHECKING:
    from edged.mpsk.facts import KeyFacts
    from edged.mpsk.memory import Last
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
        last, keys = self._house.mpsk.explain_device(mac), await asyncio.to_thread(self._house.mpsk.key_facts)
        used = [key for key in keys if mac in key.devices]
        if last is None:
            own = [key.id for key in keys if mac in key.registered]
            seen = f"; it has used {', '.join(key.id for key in used)}" if used else ""
            seen += f"; registered for {', '.join(own)}" if own else ""
            headline = f"{mac} has not asked for the Wi-Fi since the start{seen}"
            return {"subject": mac, "headline": headline, **({"who": reported} if reported else {})}
        who = [f"key {last.key.id}" if last.key else "no key", f"VLAN {last.vlan}" if last.vlan else "no VLAN"]
        # of whom no key fits, the one that it had is the next question
        before = [] if last.accepted else [row for key in used for row in _before(key, keys)]
        headline = f"{mac} was {_ended(last, now)}"
        return {"subject": mac, "headline": headline, "who": [*who, *_why(last), *before, *reported]}

    def request(self, mac: MacAddress, now: float) -> list[str]:
        """The last request of ``mac``, in rows beside what else is said of it; none: it made none of late."""
        last = self._house.mpsk.explain_device(mac)
        if last is None:
            return []
        key = f", key {last.key.id}" if last.key else ""
        vlan = f", VLAN {last.vlan}" if last.vlan else ""
        return [f"Wi-Fi: {_ended(last, now)}{key}{vlan}", *_why(last)]

    def key(self, key: KeyFacts, now: float) -> Facts:
        """What the key is, who used it, and what it gets now."""
        facts: Facts = {"subject": key.id, "headline": f"key {key.id} on {key.ssid} is {key.said}"}
        rows = [
            f"{key.origin}'s, site {key.site or 'any'}, label {key.label or 'none'}, VLAN {key.vlan or 'the default'}"
        ]
        rows += [f"begins {moment(key.not_before)}"] if key.not_before > now else []
        rows += [f"expires {moment(key.expires)}"] if key.expires else []
        rows += [f"revoked {moment(key.revoked)}"] if key.revoked else []
        rows += ["good for these alone: " + ", ".join(key.registered)] if key.registered else []
        rows += ["used by " + ", ".join(key.devices)] if key.devices else []
        if key.subscriber:
            decision = self._house.current.view.decide_id(key.subscriber, now)
            acting = self._house.acting.view.decide_id(key.subscriber, now)
            watched = decision.access is Access.BLOCKED and acting.access is not Access.BLOCKED
            watching = "; edged is watching, so nothing is done about it" if watched else ""
            rows.append(f"subscriber {key.subscriber} is {decision.access.value}{watching}")
            network = self._house.loaded.config.mpsk.networks.get(key.ssid)
            if acting.access is Access.BLOCKED and network is not None:
                facts["gets"] = [{"protocol": "Wi-Fi", "answer": blocked_gets(network)}]
        return {**facts, "who": rows}


_MEANS = {
    Reason.NO_MATCH: "no key of this network and site fits what was typed: mistyped, or a key of another building",
    Reason.UNKNOWN_DEVICE: "asked by MAC address, and no key is registered for it: edged keys allow ID MAC",
    Reason.UNKNOWN_SSID: "this SSID is not under mpsk.networks; capitals count",
    Reason.NO_SSID: "the access point does not say which SSID",
    Reason.DEVICE_LIMIT: "the key is full, or the device lost its place of late: edged keys forget ID MAC",
    Reason.NOT_READY: "its PMK is still being derived: edged status says how long",
    Reason.COOL_DOWN: "too many wrong keys of late; it passes by itself",
    Reason.REVOKED: "edged keys revoke --undo ID brings it back",
    Reason.EXPIRED: "edged keys expire ID TIME gives it another end",
    Reason.NOT_YET: "the key begins later: edged keys list --json, not_before",
    Reason.NOT_UNIQUE: "billing has given its passphrase to another: edged keys rotate ID",
    Reason.BAD_PASSWORD: "User-Password is neither empty nor the User-Name: radius.clients, password",
    Reason.NOT_MAC_AUTHENTICATION: "EAP or CHAP was asked, which edged does not speak: the access point's settings",
    Reason.DEVICE_MISMATCH: "User-Name or handshake names another device than Calling-Station-Id",
    Reason.NO_HANDSHAKE: "the client's dialect is one with a handshake, and none came: the access point's mode",
    Reason.BAD_HANDSHAKE: "the handshake in the request cannot be read",
    Reason.UNSUPPORTED_AKM: "SAE (WPA3) does not tell the passphrase: offer WPA2",
    Reason.NOT_SPOKEN: "the format of this access point is not public",
    Reason.OVERLOADED: "too many searches: it got no answer, so that it asks again",
}
"""What the help desk does next; the whole table is in docs/wifi.md."""


def _ended(last: Last, now: float) -> str:
    """How the last request of a device ended."""
    word = "let on" if last.accepted else "not answered" if last.reason == Reason.OVERLOADED else "REJECTED"
    # an SSID that is none of ours is what an access point says it is
    ssid = last.ssid if last.ssid.isprintable() else ascii(last.ssid)
    where = f" {'to' if last.accepted else 'on'} {ssid}" if ssid else ""
    times = f" ({last.times:,} times in {span(last.at - last.since)})" if last.times > 1 else ""
    return f"{word}{where} {span(now - last.at)} ago{times}, asked by {last.client}"


def _why(last: Last) -> list[str]:
    """The reason, and what it means."""
    if not last.reason:
        return []
    means = _MEANS.get(Reason(last.reason), "")
    return [f"reason {last.reason}" + (f": {means}" if means else "")]


def _before(key: KeyFacts, keys: Collection[KeyFacts]) -> list[str]:
    """A key that a rejected device has used, and what its resident has now where that one has ended."""
    ended = f", which was revoked {moment(key.revoked)}" if key.standing == Reason.REVOKED else ""
    ended = f", which expired {moment(key.expires)}" if key.standing == Reason.EXPIRED else ended
    rows = [f"it has used key {key.id}{ended}"]
    now = [k.id for k in keys if k.subscriber and k.subscriber == key.subscriber and k.standing == "good"]
    return rows + ([f"the resident's key now:  edged keys sheet {now[0]}"] if ended and now else [])


def _session(row: Facts, now: float) -> str:
    """One network of one device."""
    key = f", key {row['key']}" if row["key"] else ""
    volume = f"{octets(row['down'])} down, {octets(row['up'])} up"
    where = access_point(row)
    if not row["online"]:
        return f"offline on {row['ssid']}, last reported {span(now - row['reported'])} ago at {where}{key}; {volume}"
    since = f"since {moment(row['since'])} ({span(now - row['since'])})"
    return f"online on {row['ssid']} {since} at {where}{key}; {volume}"
