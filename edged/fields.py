# SPDX-License-Identifier: Apache-2.0
"""The scalar types of the configuration, as pydantic fields: text of the YAML in, values out. Pure.

A field's error is a sentence of ours: ``expected ...`` with the spellings that work. The contract is
config/edged.example.yaml.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from edged.model import Rate
from edged.values import (
    INTERFACE,
    Endpoint,
    IpAddress,
    Prefix,
    Secret,
    parse_address,
    parse_endpoint,
    parse_prefix,
)


class Settings(BaseModel):
    """Base of every section: unknown keys are refused, values are frozen, input is never echoed in an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        validate_default=False,
    )


def wrong(expected: str, hint: str = "") -> PydanticCustomError:
    """The error that says what was expected; ``config`` adds where it stands and what was found."""
    # the braces of a message template belong to pydantic: ours travel as context
    return PydanticCustomError("edged", "{expected}", {"expected": expected, "hint": hint})


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """``5s``, ``10m``, ``6h``, ``7d`` in seconds. ValueError otherwise."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration")
    return int(match[1]) * _UNITS[match[2]]


def _duration(value: Any) -> float:
    try:
        return parse_duration(value)
    except (ValueError, TypeError):
        bare = isinstance(value, int) and not isinstance(value, bool)
        hint = f"write {value}s, {value}m or {value}h" if bare else "30s, 10m, 6h and 7d work"
        raise wrong("a duration with a unit", hint) from None


_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_RATE = re.compile(r"(\d{1,9})([kMG]?)/(\d{1,9})([kMG]?)")


def parse_rate(text: str) -> Rate:
    """``100M/20M`` as bit/s down and up. ValueError otherwise."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate")
    return Rate(int(match[1]) * _SCALE[match[2]], int(match[3]) * _SCALE[match[4]])


def _share(value: Any) -> float:
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"\d{1,3}(\.\d+)?%", text) or float(text[:-1]) > 100:
        raise wrong("a share in per cent", "3% and 0.5% work")
    return float(text[:-1]) / 100


def _text(parse: Any, expected: str, hint: str = "") -> BeforeValidator:
    """A validator that parses text with ``parse`` and says ``expected`` when it cannot."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise wrong(expected, hint)
        try:
            return parse(value)
        except ValueError:
            raise wrong(expected, hint) from None

    return BeforeValidator(validate)


def _prefix(value: Any) -> Prefix:
    if not isinstance(value, str):
        raise wrong("an IPv4 or IPv6 prefix, in quotes", 'for example "100.64.0.0/10" or "2001:db8::/32"')
    try:
        return parse_prefix(value)
    except ValueError as error:
        message = str(error)
        hint = message.partition("; ")[2]
        raise wrong("an IPv4 or IPv6 address or prefix with no bits set after its length", hint) from None


def _secret(value: Any) -> Secret:
    """``!file PATH`` was read by the loader and arrives as a Secret; a text in the YAML is accepted too."""
    if isinstance(value, Secret):
        secret = value
    elif isinstance(value, str):
        secret = Secret(value)
    else:
        raise wrong("a secret, as !file PATH", "for example: secret: !file /etc/edged/secrets/name")
    if not secret:
        raise wrong("a secret that is not empty")
    return secret


def _interface(value: str) -> str:
    if not INTERFACE.fullmatch(value):
        raise wrong("a network interface, or the beginning of its name and *", "for example lan0, br-lan.20 or ppp*")
    return value


def _string(pattern: str, examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "description": examples})


Duration = Annotated[
    float, BeforeValidator(_duration), _string(r"^\d{1,9}(ms|s|m|h|d)$", "for example 5s, 10m, 6h, 7d")
]
"""Seconds."""
Share = Annotated[float, BeforeValidator(_share), _string(r"^\d{1,3}(\.\d+)?%$", "for example 3%")]
"""0.0 to 1.0."""
PrefixField = Annotated[
    Prefix, BeforeValidator(_prefix), _string(r"^[0-9a-fA-F:.]+(/\d{1,3})?$", "IPv4 or IPv6 prefix")
]
AddressField = Annotated[
    IpAddress,
    _text(parse_address, "an IPv4 or IPv6 address, in quotes"),
    _string(r"^[0-9a-fA-F:.]+$", "IPv4 or IPv6 address"),
]
EndpointField = Annotated[
    Endpoint,
    _text(parse_endpoint, "ADDRESS:PORT", 'for example "0.0.0.0:53" or "[::]:53"'),
    _string(r"^(\[[0-9a-fA-F:]+\]|[0-9.]+):\d{1,5}$", 'for example "0.0.0.0:53" or "[::]:53"'),
]
RateField = Annotated[
    Rate,
    _text(parse_rate, "a rate, down and up", "for example 100M/20M"),
    _string(r"^\d{1,9}[kMG]?/\d{1,9}[kMG]?$", "down and up in bit/s, for example 100M/20M"),
]
SecretField = Annotated[
    Secret,
    BeforeValidator(_secret),
    WithJsonSchema({"type": "string", "description": "!file PATH, a file of mode 0600"}),
]
InterfaceName = Annotated[str, AfterValidator(_interface)]
