# SPDX-License-Identifier: Apache-2.0
"""A network's keys for a device that none is registered for, where the access point tries several. Pure, with a memo.

Nobody learns which of them the device has: it gets the network's VLAN for the unknown, and no other.
"""

from __future__ import annotations

from dataclasses import replace

from edged.model import Access
from edged.mpsk.authorize import session_seconds
from edged.mpsk.keyring import Keyring, fault_of
from edged.mpsk.outcome import Accept
from edged.mpsk.question import Question
from edged.mpsk.settings import NetworkSettings
from edged.policy.access import View
from edged.state.keys import StoredKey
from edged.values import MacAddress

ROOM = 3584
"""Octets of keys in one Access-Accept: the other 512 are for the rest and the Proxy-State of a chain."""
_NOBODY = MacAddress("")


class Offers:
    """The keys that are offered on each SSID and site; chosen anew when a key, the policy or the clock changes."""

    def __init__(self) -> None:
        self._grounds: tuple[object, ...] = ()
        self._until = 0.0
        self._chosen: dict[tuple[str, str, int], tuple[StoredKey, ...]] = {}

    def widened(
        self, accept: Accept, question: Question, network: NetworkSettings, ring: Keyring, *, view: View, now: float
    ) -> Accept:
        """``accept`` with the keys that ``network`` offers; as it is when it offers none."""
        most = network.unknown.keys if network.unknown is not None else None
        if most is None:
            return accept
        grounds = (ring.keys, view.table, view.learned.overrides, view.learned.passes, network)
        if len(self._grounds) != len(grounds) or any(
            a is not b for a, b in zip(self._grounds[:4], grounds[:4], strict=True)
        ) or now >= self._until:  # fmt: skip
            self._grounds, self._chosen = grounds, {}
            self._until = min(view.next_end(now), ring.next_change)
        place = (question.ssid, question.site, most)
        if place not in self._chosen:
            self._chosen[place] = _choose(question, network, ring, most, view=view, now=now)
        keys = self._chosen[place]
        if not keys:
            return accept
        ends = [at for stored in keys for at in (stored.key.expires, stored.revoked) if at > now]
        timeout = session_seconds(ends, now) if ends else accept.session_timeout
        return replace(accept, keys=keys, offered=True, session_timeout=timeout)


def _choose(
    question: Question, network: NetworkSettings, ring: Keyring, most: int, *, view: View, now: float
) -> tuple[StoredKey, ...]:
    """The newest keys first: it is the new resident whose devices are not known yet."""
    chosen: list[StoredKey] = []
    room = ROOM
    fitting = (k for k in ring.keys.values() if _is_offered(k, question, network, ring, view=view, now=now))
    for stored in sorted(fitting, key=lambda k: -k.created):
        room -= 5 + (len(stored.key.passphrase) // 16 + 1) * 16
        if len(chosen) == most or room < 0:
            break
        chosen.append(stored)
    return tuple(chosen)


def _is_offered(
    stored: StoredKey, question: Question, network: NetworkSettings, ring: Keyring, *, view: View, now: float
) -> bool:
    """Good, of this SSID and site, for any device, not full, and not of somebody suspended."""
    key = stored.key
    if key.ssid != question.ssid or key.site not in {"", question.site} or key.devices:
        return False
    if fault_of(stored, now) is not None:
        return False
    limit = network.devices_per_key if key.device_limit is None else key.device_limit
    if ring.device_count(stored.name, _NOBODY, now) >= limit:
        return False
    return not key.subscriber or view.decide_id(key.subscriber, now).access is not Access.BLOCKED
