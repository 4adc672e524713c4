# SPDX-License-Identifier: Apache-2.0
"""A report in, a text to show to others out: ours are the sentences, every name and address in them is concealed. Pure.

Nothing is searched for and struck out. What is written is what this file takes by name: the doctor's sentences, whose
gaps it fills itself, figures, and the keys of the configuration with those values that a schema spells out.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from edged.ops.doctor.finding import Finding, Plain, Value
from edged.ops.doctor.text import Report, rows
from edged.ops.manual import CODES

_PARTS = frozenset({"billing", "hub", "dns", "portal", "radius", "nftables", "store"})
_COUNTS = ("blocked", "unreached", "notice", "pass", "drain")
_HEAD = """\
edged doctor --report, {at} UTC. It was sent to nobody: read it, then share it yourself.

What this file holds:
  1 findings       what each check of edged doctor says
  2 versions       of edged, Python, the kernel, the system, nft
  3 figures        how many subscribers are blocked; the state of each part; the codes of alarms
  4 configuration  which keys are set; switches, numbers and fixed words with their values

What it does not hold: subscribers and their ids, addresses, host names, interfaces, Wi-Fi names, keys, passwords,
texts, questions of anybody. Where one of them stood there is ~ and six digits: the same for the same thing in this
file, another in every other file.
"""


def concealed(salt: bytes) -> Callable[[Value], Value]:
    """What shows numbers and plain words, and of all else a mark that only ``salt`` leads to."""

    def shown(value: Value) -> Value:
        if not isinstance(value, str) or isinstance(value, Plain) or not value:
            return value
        return "~" + hmac.digest(salt, value.encode(), "sha256").hex()[:6]

    return shown


def shareable(report: Report, versions: Mapping[str, str], salt: bytes) -> str:
    """The whole text. ``salt``: 16 random octets, kept by nobody; ``versions`` holds no name of anybody."""
    shown = concealed(salt)
    at = datetime.fromtimestamp(report.known.now, UTC).strftime("%Y-%m-%d %H:%M")
    lines = [_HEAD.format(at=at), f"1 findings of {shown(report.site)}", ""]
    lines += rows(report.findings, lambda finding: Finding.worded(finding, shown))
    lines += ["", "2 versions", "", *(f"  {name:<14} {text}" for name, text in versions.items())]
    lines += ["", "3 figures", "", *_figures(report)]
    lines += ["", "4 configuration", "", *_configuration(report, shown)]
    return "\n".join(lines) + "\n"


def _figures(report: Report) -> Iterator[str]:
    if report.known.daemon is None:
        yield "  edged does not run, or was not asked"
        return
    status = report.known.daemon.status
    yield f"  {'up':<14} {int(status['uptime_s'])} s"
    yield f"  {'known':<14} {_number(status['subscribers']['known'])}"
    for name in _COUNTS:
        yield f"  {name:<14} {_number(status['subscribers']['access'].get(name))}"
    for part in status["parts"]:
        name = part["name"] if part["name"] in _PARTS else "a target"
        state = part["state"] if part["state"] in {"OK", "WARN", "FAIL", "OFF", "WATCH"} else "?"
        yield f"  {name:<14} {state}"
    for alarm in status["alarms"]:
        yield f"  {'alarm':<14} {alarm['code'] if alarm['code'] in CODES else '?'}"


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else "?"


def _configuration(report: Report, shown: Callable[[Value], Value]) -> Iterator[str]:
    if report.known.config is None:
        yield "  it cannot be read"
        return
    yield from (f"  {key}: {value}" for key, value in _set(report.known.config, "", shown))


def _set(model: BaseModel, at: str, shown: Callable[[Value], Value]) -> Iterator[tuple[str, str]]:
    """Every key that is set, and what may be said of its value."""
    for name, field in type(model).model_fields.items():
        if name in model.model_fields_set:
            yield from _value(getattr(model, name), f"{at}{field.alias or name}", _words_of(field.annotation), shown)


def _value(value: Any, key: str, words: frozenset[str], shown: Callable[[Value], Value]) -> Iterator[tuple[str, str]]:
    match value:
        case BaseModel():
            yield from _set(value, f"{key}.", shown)
        case dict():
            for name, one in value.items():
                # a name of the operator's own
                yield from _value(one, f"{key}.{shown(str(name))}", frozenset(), shown)
        case tuple() if value and all(isinstance(one, BaseModel) for one in value):
            for index, one in enumerate(value):
                yield from _set(one, f"{key}[{index}].", shown)
        case tuple() | list() | frozenset():
            yield key, f"({len(value)})"
        case bool() | int() | float() | None:
            yield key, str(value).lower()
        case Enum():
            yield key, str(value.value)
        case str() if value in words:
            yield key, value
        case _:
            yield key, "(set)"


def _words_of(annotation: Any) -> frozenset[str]:
    """The words that a schema spells out."""
    if get_origin(annotation) is Literal:
        return frozenset(word for word in get_args(annotation) if isinstance(word, str))
    return frozenset().union(*(_words_of(inner) for inner in get_args(annotation)))
