# SPDX-License-Identifier: Apache-2.0
"""An order for many keys -> the keys, or what is wrong with it. Pure; randomness is passed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edged.errors import Problem
from edged.model import Key, Rate
from edged.mpsk.csvfile import MAX_ROWS, no_such_network
from edged.mpsk.passphrase import MAX_RANDOM, MIN_RANDOM, random, readable, weakness
from edged.state.keys import RETIRED
from edged.values import Secret

Draw = Callable[[Sequence[str]], str]
"""One of several, by chance."""
STYLES = ("readable", "random")
_MAX_VLAN = 4094


@dataclass(frozen=True, slots=True)
class Style:
    """How a passphrase is drawn."""

    name: str = "readable"
    """``readable`` (bado-kefi-sumo-teri-47) or ``random`` (7mvq-3hnd-w4xt)."""
    length: int = MIN_RANDOM
    """Random characters of ``random``."""
    word: bool = False
    """A word before the random ones."""

    def problems(self) -> list[Problem]:
        """What is wrong with it."""
        found = []
        if self.name not in STYLES:
            found.append(Problem("style", repr(self.name[:40]), "readable or random"))
        if not MIN_RANDOM <= self.length <= MAX_RANDOM:
            found.append(Problem("length", str(self.length), f"{MIN_RANDOM} to {MAX_RANDOM} random characters"))
        if self.name == "readable" and (self.word or self.length != MIN_RANDOM):
            found.append(Problem("style", "readable", "--style random, which --word and --length belong to"))
        return found

    def draw(self, choice: Draw) -> Secret:
        """One passphrase; drawn again in the rare case that chance made a weak one."""
        while True:
            drawn = readable(choice) if self.name == "readable" else random(choice, self.length, word=self.word)
            if weakness(drawn) is None:
                return drawn


@dataclass(frozen=True, slots=True)
class Order:
    """Many keys at once: one for each unit, on each of ``ssids`` with the same passphrase."""

    ssids: tuple[str, ...]
    units: tuple[str, ...]
    """What tells them apart: numbers, or the names of flats."""
    prefix: str = ""
    """Ids are ``prefix`` and the unit; empty: ids are drawn."""
    label: str = "{}"
    """``{}`` stands for the unit."""
    site: str = ""
    vlan_from: int | None = None
    """The VLAN of the first unit; the next has the next one."""
    device_limit: int | None = None
    rate: Rate | None = None
    not_before: float = 0.0
    expires: float = 0.0
    style: Style = Style()


def made(
    order: Order, networks: Collection[str], new_id: Callable[[], str], choice: Draw
) -> tuple[list[Key], list[Problem]]:
    """The keys of ``order``, or everything that is wrong with it."""
    problems = [*_faults(order, networks), *order.style.problems()]
    if problems:
        return [], problems
    return [key for index, unit in enumerate(order.units) for key in _of_unit(order, index, unit, new_id, choice)], []


def _of_unit(order: Order, index: int, unit: str, new_id: Callable[[], str], choice: Draw) -> list[Key]:
    passphrase = order.style.draw(choice)
    base = order.prefix + slug(unit) if order.prefix else new_id()
    return [
        Key(
            id=base if ssid == order.ssids[0] else f"{base}.{slug(ssid)}", ssid=ssid, passphrase=passphrase,
            site=order.site, label=order.label.replace("{}", unit),
            vlan=None if order.vlan_from is None else order.vlan_from + index,
            device_limit=order.device_limit, not_before=order.not_before, expires=order.expires, rate=order.rate,
        )
        for ssid in order.ssids
    ]  # fmt: skip


def slug(text: str) -> str:
    """``Flat 12 b`` as part of an id: ``flat-12-b``."""
    return re.sub(r"[^0-9a-z]+", "-", text.lower()).strip("-")


def _faults(order: Order, networks: Collection[str]) -> list[Problem]:
    problems = [no_such_network(ssid, networks) for ssid in order.ssids if ssid not in networks]
    if len(set(order.ssids)) < len(order.ssids):
        problems.append(Problem("ssid", "the same twice", "each once"))
    if not order.units:
        problems.append(Problem("units", "none", "a number of keys, or a list of units, one a line"))
    if len(order.units) * len(order.ssids) > MAX_ROWS:
        problems.append(Problem("units", f"{len(order.units):,}", f"at most {MAX_ROWS:,} keys at once"))
    if order.prefix.endswith(RETIRED):
        problems.append(Problem("prefix", repr(order.prefix[:40]), f"one without {RETIRED} at its end"))
    ids = [slug(unit) for unit in order.units] if order.prefix else []
    seen: set[str] = set()
    for unit, part in zip(order.units, ids, strict=False):
        if not part or part in seen:
            problems.append(Problem("units", repr(unit[:40]), "units whose letters and digits tell them apart"))
        seen.add(part)
    if order.vlan_from is not None:
        last = order.vlan_from + len(order.units) - 1
        if order.vlan_from < 1 or last > _MAX_VLAN:
            found = f"{order.vlan_from} to {last} for {len(order.units):,} units"
            problems.append(Problem("vlan-from", found, f"VLANs between 1 and {_MAX_VLAN}"))
    if order.expires and order.expires <= order.not_before:
        problems.append(Problem("until", "an end before the beginning", "an end after it"))
    return problems[:20]
