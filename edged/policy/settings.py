# SPDX-License-Identifier: Apache-2.0
"""The ``subscribers:`` and ``garden:`` sections: who is served, who is exempt, what stays reachable. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from edged.fields import AddressField, Duration, PrefixField, Settings, wrong
from edged.policy.presets import PRESETS

_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def _garden_name(value: str) -> str:
    """A host name, ``*.name`` (any depth below, not the name itself) or ``.name`` (both), lower case."""
    name = value.lower().rstrip(".")
    bare = name.removeprefix("*.").removeprefix(".")
    labels = bare.split(".")
    if len(bare) > 253 or not all(0 < len(label) <= 63 and set(label) <= _LABEL for label in labels):
        raise wrong("a host name, *.name for all below it, or .name for both", "for example *.example-pay.com")
    if len(labels) < 2:
        raise wrong("a host name of two labels or more", f'"{value}" would open too much')
    return name


def _preset(value: str) -> str:
    if value not in PRESETS:
        raise wrong("one of " + ", ".join(sorted(PRESETS)))
    return value


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise wrong("a port between 1 and 65535")
    return value


GardenName = Annotated[str, AfterValidator(_garden_name)]
PresetName = Annotated[str, AfterValidator(_preset), Field(json_schema_extra={"enum": sorted(PRESETS)})]
Port = Annotated[int, AfterValidator(_port), Field(strict=True)]


class NoticeSettings(Settings):
    """How often the soft reminder comes back."""

    snooze: Duration = 4 * 3600.0
    """When it comes back after *Remind me later*.

    Example: `12h`
    """
    every: Duration = 24 * 3600.0
    """When it comes back after *Continue*.

    Example: `3d`
    """
    sign_in: bool = False
    """`true`: while the reminder is due, connectivity checks are answered as those of a blocked line, so that phones
    open their sign-in sheet.

    Example: `true`
    Mistake: to forget the price: until the tap, devices behind the line think that they are offline.
    """


class SubscribersSettings(Settings):
    """Who may be served at all, and who is never blocked."""

    networks: tuple[PrefixField, ...] = ()
    """Who is served at all by DNS and page, and who may be blocked.

    Example: `["100.64.0.0/10"]`
    Mistake: IPv6 forgotten: those lines are strangers and stay open.
    """
    exempt: tuple[PrefixField, ...] = ()
    """Never blocked, whatever billing says.

    Example: `["100.64.0.53"]`
    Mistake: to forget gateways, resolvers, VoIP and the portal's own address.
    """
    notice: NoticeSettings = NoticeSettings()
    """The [reminder](everyday.md#the-reminder) of a subscriber whom billing puts into `notice`.

    Mistake: the portal's host is not in the public DNS: these lines do not ask edged.
    """


class GardenSettings(Settings):
    """What a blocked subscriber may still reach."""

    names: tuple[GardenName, ...] = ()
    """Host names answered truly; `*.name` is all below, `.name` is both.

    Example: `["*.example-pay.com"]`
    Mistake: a name on a large shared CDN: every site at those addresses opens with it. A name that holds a
    connectivity check (`www.google.com`, `*.gstatic.com`) or the portal's own host is an error, here and in
    `records`.
    """
    presets: tuple[PresetName, ...] = ()
    """Lists shipped with edged; `edged check` prints what they open.

    Example: `[stripe, paypal]`
    Mistake: to trust one without a test payment: banks' own pages for card checks are in no list; that is what
    `portal.pass` is for.
    """
    records: dict[GardenName, tuple[AddressField, ...]] = Field(default_factory=dict)
    """Fixed answers, host to addresses. The packet filter lets these addresses through on `ports` by itself.

    Example: `{legacy-pay.example.net: ["203.0.113.20"]}`
    Mistake: an address that other sites share.
    """
    networks: tuple[PrefixField, ...] = ()
    """Addresses that are reachable without DNS.

    Example: `["203.0.113.64/28"]`
    Mistake: a range of a cloud provider.
    """
    ports: tuple[Port, ...] = (443,)
    """TCP and UDP ports that are open to all of the garden.

    Example: `[443, 8443]`
    Mistake: `80` added: foreign redirects get around the page.
    """

    def all_names(self) -> tuple[str, ...]:
        """Names of the operator and of the presets, each once, in order."""
        return tuple(dict.fromkeys((*self.names, *(n for p in self.presets for n in PRESETS[p]))))
