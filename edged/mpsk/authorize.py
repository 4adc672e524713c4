# SPDX-License-Identifier: Apache-2.0
"""Question x key x policy x network -> Accept or Reject. Pure; the clock is passed in."""

from __future__ import annotations

from math import ceil

from edged.model import Access
from edged.mpsk.keyring import Keyring, fault_of, fits
from edged.mpsk.outcome import Accept, Reason, Reject
from edged.mpsk.places import place_to_take
from edged.mpsk.question import Question
from edged.mpsk.settings import NetworkSettings
from edged.policy.access import Decision, View
from edged.state.keys import StoredKey

_MAX_TIMEOUT = 0x7FFFFFFF
"""Seconds; some NASes read the 32 bits as signed."""
_TICK = 1e-3
"""Seconds; what the arithmetic of epoch seconds adds is no second more."""


def authorize_device(
    question: Question, ring: Keyring, network: NetworkSettings, *, view: View, now: float
) -> Accept | Reject:
    """What a device gets whose access point asks before the handshake: the key of its MAC address.

    ``unknown: {vlan: N}`` accepts a device with no key into that VLAN, without a key: hostapd's mode 1 then
    uses the passphrase of its own configuration, every other access point refuses the device.
    """
    lapsed: Reject | None = None
    for stored in ring.narrow(question.ssid, question.site, question.mac):
        if fault_of(stored, now) is None:
            return authorize_key(question, stored, ring, network, view=view, now=now)
        lapsed = lapsed or Reject(fault_of(stored, now) or Reason.UNKNOWN_DEVICE, stored.name)
    if lapsed is not None:
        return lapsed
    decision = view.decide_listed(question.mac, now)
    if decision.access is Access.BLOCKED:
        return _blocked(network, decision, (), now)
    if network.unknown is None:
        return Reject(Reason.UNKNOWN_DEVICE)
    return Accept(vlan=network.unknown.vlan)


def authorize_key(
    question: Question, stored: StoredKey, ring: Keyring, network: NetworkSettings, *, view: View, now: float
) -> Accept | Reject:
    """What the holder of ``stored`` gets: proven by the MIC, or claimed by the MAC before the handshake."""
    fault = fault_of(stored, now)
    if fault is not None:
        return Reject(fault, stored.name)
    # it may have been moved to another site, or closed to all but listed devices, since it was proven
    if not fits(stored, question.ssid, question.site, question.mac):
        return Reject(Reason.UNKNOWN_DEVICE, stored.name)
    key = stored.key
    displaced = None
    if question.mac not in key.devices:
        limit = network.devices_per_key if key.device_limit is None else key.device_limit
        if ring.devices_ahead(stored.name, question.mac, now) >= limit:
            replaces = network.devices_full == "replace-oldest"
            displaced = place_to_take(ring, stored, question.mac, now) if replaces else None
            if displaced is None:
                return Reject(Reason.DEVICE_LIMIT, stored.name)
    # before the handshake the access point tries both: which one the device has is not known yet
    sibling = ring.sibling(stored, now) if question.handshake is None else None
    keys = (stored,) if sibling is None else (stored, sibling)
    decision = view.decide_id(key.subscriber, now) if key.subscriber else view.decide_listed(question.mac, now)
    if decision.access is Access.BLOCKED:
        return _blocked(network, decision, keys, now)
    # when a reminder comes back the Wi-Fi is as it was
    until = 0.0 if decision.access is Access.NOTICE else decision.until
    ends = [at for at in (key.expires, stored.revoked, until) if at > now]
    vlan, rate = network.vlan if key.vlan is None else key.vlan, key.rate or network.rate
    return Accept(keys, vlan, session_seconds(ends, now), rate, displaced=displaced)


def _blocked(network: NetworkSettings, decision: Decision, keys: tuple[StoredKey, ...], now: float) -> Accept | Reject:
    """The VLAN whose traffic lands on the pay page, or nothing."""
    name = keys[0].name if keys else None
    if network.blocked is None:
        return Reject(Reason.BLOCKED, name)
    ends = [at for at in (decision.until, *(k.key.expires for k in keys)) if at > now]
    return Accept(keys, network.blocked.vlan, session_seconds(ends, now), blocked=True)


def session_seconds(ends: list[float], now: float) -> int | None:
    """Whole seconds to the first of ``ends``, or up to one more; at least one: 0 would mean no limit to some NASes.

    Never less: a device whose session ends before its key comes back, is let on, and has to go a second time.
    """
    return max(1, min(_MAX_TIMEOUT, ceil(min(ends) - now - _TICK))) if ends else None
