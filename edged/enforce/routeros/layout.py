# SPDX-License-Identifier: Apache-2.0
"""What edged uses on one RouterOS router: lists, chains, and the tag that says what is ours. Settings in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.enforce.sets import SetName
from edged.enforce.settings import RouterosSettings

ADDRESS_LISTS = {4: "/ip/firewall/address-list", 6: "/ipv6/firewall/address-list"}
NAT = {4: "/ip/firewall/nat", 6: "/ipv6/firewall/nat"}
FILTER = {4: "/ip/firewall/filter", 6: "/ipv6/firewall/filter"}
CONNECTIONS = {4: "/ip/firewall/connection", 6: "/ipv6/firewall/connection"}

CARRIED = frozenset(
    {
        SetName.BLOCKED_HOSTS_4, SetName.BLOCKED_HOSTS_6, SetName.BLOCKED_PREFIXES_4, SetName.BLOCKED_PREFIXES_6,
        SetName.GARDEN_NETWORKS_4, SetName.GARDEN_NETWORKS_6, SetName.PORTAL_4, SetName.PORTAL_6,
    }
)  # fmt: skip
"""An address list holds addresses: no MAC, no pair of source and destination. What is exempt is in no blocked set."""

TAG = "edged"
"""The comment of our entries, and the beginning of that of our rules. What does not bear it is not ours."""
LEARNED = f"{TAG}: learned"
"""The comment of a garden address that a DNS answer gave."""
OUT, IN = "edged-out", "edged-in"
"""Chains of what blocked lines send, and of what they are sent."""


def is_ours(comment: str) -> bool:
    """True for the comment of an entry or a rule that edged made."""
    return comment == TAG or comment.startswith(f"{TAG}: ")


@dataclass(frozen=True, slots=True)
class Layout:
    """One router's."""

    blocked: str
    garden: str
    portal: str
    rules: bool = True
    """False: lists alone; the rules are the operator's."""
    forward: Literal["reject", "drop"] = "reject"
    lease: float = 0.0
    """Seconds that an entry of a blocked line lives in the router's memory; 0: it is permanent, on its flash."""

    @property
    def names(self) -> tuple[str, str, str]:
        """The lists."""
        return self.blocked, self.garden, self.portal

    def list_of(self, name: SetName) -> str:
        """The list that holds a set."""
        if name in _BLOCKED:
            return self.blocked
        return self.garden if name in _GARDEN else self.portal


_BLOCKED = {name for name in CARRIED if name.value.startswith("blocked")}
_GARDEN = {SetName.GARDEN_NETWORKS_4, SetName.GARDEN_NETWORKS_6}


def layout_of(settings: RouterosSettings) -> Layout:
    """What the operator configured for one router."""
    return Layout(
        settings.list,
        settings.garden_list,
        settings.portal_list,
        settings.rules == "write",
        settings.forward,
        settings.lease if settings.entries == "memory" else 0.0,
    )
