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
    """How long "remind me later" lasts."""
    every: Duration = 24 * 3600.0
    """How often the reminder is shown."""
    sign_in: bool = False
    """True: connectivity checks are answered as those of a blocked line while the reminder is due."""


class SubscribersSettings(Settings):
    """Who may be served at all, and who is never blocked."""

    networks: tuple[PrefixField, ...] = ()
    """Who may be served at all: the client ACL of DNS and of the page."""
    exempt: tuple[PrefixField, ...] = ()
    """Never blocked, whatever billing says."""
    notice: NoticeSettings = NoticeSettings()


class GardenSettings(Settings):
    """What a blocked subscriber may still reach."""

    names: tuple[GardenName, ...] = ()
    presets: tuple[PresetName, ...] = ()
    """Named lists shipped with edged; ``edged check`` prints what they open."""
    records: dict[GardenName, tuple[AddressField, ...]] = Field(default_factory=dict)
    """Fixed answers: host name to addresses."""
    networks: tuple[PrefixField, ...] = ()
    ports: tuple[Port, ...] = (443,)

    def all_names(self) -> tuple[str, ...]:
        """Names of the operator and of the presets, each once, in order."""
        return tuple(dict.fromkeys((*self.names, *(n for p in self.presets for n in PRESETS[p]))))
