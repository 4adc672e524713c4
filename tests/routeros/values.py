"""What is typed in, as RouterOS keeps and prints it out: addresses, times, truths, versions. Pure.

Addresses: the manual's address lists fold ``192.168.0.0-192.168.1.255`` to ``192.168.0.0/23``; a single IPv4 address is
printed without a length and a single IPv6 one with /128 (what the CrowdSec bouncer was made to compare on an RB5009).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Network,
    NetmaskValueError,
    ip_address,
    summarize_address_range,
)

LONGEST_TIMEOUT = ((((35 * 7 + 3) * 24) + 13) * 60 + 13) * 60 + 56
"""Seconds: 35w3d13h13m56s, the end of the range in the console schema."""

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WORDED = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCKED = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d+)(?::(\d+))?")
_HOST_NAME = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_PORT = re.compile(r"!?\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")

Spell = Callable[[str], str]
"""The canonical spelling of a value. ValueError when it is none."""


class ChoiceError(ValueError):
    """A value that is none of a few words."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A release: ``6.49.10``, ``7.8rc1``; a beta and a candidate come before their release."""

    major: int
    minor: int
    patch: int = 0
    stage: int = 2
    """0 beta, 1 candidate, 2 release."""

    @classmethod
    def parse(cls, text: str) -> Version:
        """ValueError when it is none."""
        match = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:(beta|rc)\d*)?", text)
        if match is None:
            raise ValueError(f"no version of RouterOS: {text}")
        stage = {"beta": 0, "rc": 1, None: 2}[match[4]]
        return cls(int(match[1]), int(match[2]), int(match[3] or 0), stage)


def anything(text: str) -> str:
    return text


def truth(text: str) -> str:
    if text in {"yes", "true"}:
        return "true"
    if text in {"no", "false"}:
        return "false"
    raise ChoiceError(text)


def one_of(*words: str) -> Spell:
    """Exactly these."""

    def spelled(text: str) -> str:
        if text not in words:
            raise ChoiceError(text)
        return text

    return spelled


def ports(text: str) -> str:
    if _PORT.fullmatch(text) is None or any(int(number) > 65_535 for number in re.findall(r"\d+", text)):
        raise ValueError(text)
    return text


def address_4(text: str) -> str:
    """Host bits go, a range of a whole network is a network, /32 is not written."""
    if "-" in text:
        first, last = (IPv4Address(end) for end in text.split("-", 1))
        networks = list(summarize_address_range(first, last))
        return _bare(networks[0]) if len(networks) == 1 else f"{first}-{last}"
    try:
        return _bare(IPv4Network(text, strict=False))
    except (AddressValueError, NetmaskValueError) as error:
        raise ValueError(text) from error


def _bare(network: IPv4Network) -> str:
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def address_6(text: str) -> str:
    """Host bits go, /128 is written."""
    return str(IPv6Network(text, strict=False))


def host(text: str) -> str:
    return str(ip_address(text))


def negated(spell: Spell) -> Spell:
    """The same, with an exclamation mark before it or not."""
    return lambda text: f"!{spell(text[1:])}" if text.startswith("!") else spell(text)


def or_name(spell: Spell) -> Spell:
    """The same, or a DNS name, which is kept as it is; the entries that it would spawn are not played."""
    return lambda text: text if _HOST_NAME.fullmatch(text) else spell(text)


def seconds(text: str) -> int:
    """``1w2d3h4m5s``, ``1d00:01:00``, ``90``: whole seconds up to ``LONGEST_TIMEOUT``."""
    if text.isdecimal():
        found = int(text)
    elif text and (match := _WORDED.fullmatch(text) or _CLOCKED.fullmatch(text)):
        found = sum(int(match[at] or 0) * size for at, size in enumerate(_UNITS.values(), start=1))
    else:
        raise ValueError(text)
    if found > LONGEST_TIMEOUT:
        raise ValueError(text)
    return found


def interval(whole: int) -> str:
    """Seconds as RouterOS prints them: ``1h30m``; nothing is ``0s``."""
    parts, rest = [], whole
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def timeout(text: str) -> str:
    return interval(seconds(text))
