# SPDX-License-Identifier: Apache-2.0
"""Arguments of ``edged keys`` as they come over the socket -> what the key list takes; problems -> sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edged.errors import Problem
from edged.fields import parse_rate
from edged.model import Key, Rate
from edged.mpsk.facts import KeyFacts
from edged.mpsk.keylist.choice import Choice
from edged.mpsk.keylist.making import Order, Style
from edged.mpsk.passphrase import MIN_RANDOM
from edged.ops.control import Refused
from edged.ops.text import counted
from edged.values import MacAddress, Secret, parse_mac

Facts = dict[str, Any]

MAX_UNITS = 100_000
_PROBLEMS_SHOWN = 20
_YEAR_3000 = 32_503_680_000.0


def choice_of(request: Facts) -> Choice:
    """Which keys are meant."""
    fields = {name: str(request.get(name) or "") for name in ("site", "ssid", "subscriber", "origin", "state")}
    return Choice(tuple(ids_of(request)), **fields)


def ids_of(request: Facts) -> list[str]:
    """Ids, each once, in the order given."""
    return list(dict.fromkeys(str(each) for each in request.get("ids") or ()))


def macs_of(request: Facts) -> tuple[MacAddress, ...]:
    """``Refused`` for what is no MAC address."""
    try:
        return tuple(parse_mac(str(mac)) for mac in request.get("devices") or ())
    except ValueError as error:
        raise Refused(str(error), 2) from None


def style_of(request: Facts) -> Style:
    """How passphrases are drawn."""
    length = request.get("length")
    return Style(
        str(request.get("style") or "readable"),
        MIN_RANDOM if length is None else int(length),
        bool(request.get("word")),
    )


def key_of(request: Facts) -> Key:
    """The one key to add."""
    return Key(
        id=_text(request, "id"), ssid=str(request["ssid"]), passphrase=Secret(_text(request, "passphrase")),
        subscriber=_text(request, "subscriber"), site=_text(request, "site"), label=_text(request, "label"),
        vlan=_vlan(request.get("vlan")), device_limit=_limit(request), devices=macs_of(request),
        not_before=time_of(request, "begins"), expires=time_of(request, "ends"),
        rate=_rate(request),
    )  # fmt: skip


def order_of(request: Facts) -> Order:
    """Many keys at once."""
    vlan_from = request.get("vlan_from")
    return Order(
        ssids=tuple(map(str, request["ssids"])), units=_units(request), prefix=_text(request, "prefix"),
        label=str(request.get("label") or "{}"), site=_text(request, "site"),
        vlan_from=None if vlan_from is None else int(vlan_from), device_limit=_limit(request), rate=_rate(request),
        not_before=time_of(request, "begins"), expires=time_of(request, "ends"),
        style=style_of(request),
    )  # fmt: skip


def _units(request: Facts) -> tuple[str, ...]:
    units: Any = request.get("units")
    count: Any = request.get("count")
    if (units is None) == (count is None):
        raise Refused("how many? --count 40, or --units FILE with one unit a line", 2)
    if units is not None:
        return tuple(stripped for unit in units if (stripped := str(unit).strip()))
    number, first = int(count), int(request.get("first") or 1)
    if not 1 <= number <= MAX_UNITS or first < 0:
        raise Refused(f"--count is 1 to {MAX_UNITS:,}, and --first is not negative", 2)
    width = len(str(first + number - 1))
    return tuple(f"{n:0{width}}" for n in range(first, first + number))


def time_of(request: Facts, name: str) -> float:
    """Epoch seconds; 0: none. ``Refused`` for what no calendar has, NaN above all: it compares with nothing."""
    at = float(request.get(name) or 0.0)
    if not 0.0 <= at < _YEAR_3000:
        raise Refused(f"{name}: a time between 1970 and 3000", 2)
    return at


def _text(request: Facts, name: str) -> str:
    return str(request.get(name) or "")


def _vlan(vlan: Any) -> int | None:
    if vlan is None:
        return None
    if not 1 <= int(vlan) <= 4094:
        raise Refused(f"--vlan {int(vlan)} is no VLAN; 1 to 4094 are", 2)
    return int(vlan)


def _limit(request: Facts) -> int | None:
    limit = request.get("device_limit")
    if limit is not None and not 1 <= int(limit) <= 1000:
        raise Refused(f"--device-limit {int(limit)} is too few or too many; 1 to 1000 work", 2)
    return None if limit is None else int(limit)


def _rate(request: Facts) -> Rate | None:
    text = _text(request, "rate")
    try:
        return parse_rate(text) if text else None
    except ValueError:
        raise Refused(f'--rate "{text[:40]}" is no rate; down and up, such as 100M/20M', 2) from None


def refusal(head: str, problems: Sequence[Problem]) -> Refused:
    """One sentence, or a list with the line of each."""
    if len(problems) == 1 and not problems[0].line:
        one = problems[0]
        return Refused(f"{head}: {one.key}: {one.found}; expected {one.expected}")
    lines = [
        f"  {f'line {p.line}: ' if p.line else ''}{p.key}: {p.found}; expected {p.expected}"
        for p in problems[:_PROBLEMS_SHOWN]
    ]
    more = f"\n  and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
    return Refused(f"{head}:\n" + "\n".join(lines) + more)


def row_of(key: KeyFacts) -> Facts:
    """One key as ``edged keys list --json`` has it."""
    facts = {name: getattr(key, name) for name in KeyFacts.__slots__}
    rate = None if key.rate is None else {"down": key.rate.down, "up": key.rate.up}
    seen = list(key.devices)
    return {**facts, "devices": len(seen), "seen": seen, "rate": rate, "state": _state(key)}


def _state(key: KeyFacts) -> str:
    return f"{key.standing} ({key.same_as})" if key.same_as else key.standing


def listed(count: int, of: int) -> str:
    """``3 of 212 keys``, ``212 keys``."""
    keys = counted(of, "key")
    return keys if count == of else f"{count:,} of {keys}"


def keys_named(ids: Sequence[str]) -> str:
    """``k-1``, ``k-1 and k-2``, ``k-1, k-2 and k-3``, ``212 keys (k-1 … k-212)``."""
    if len(ids) > 3:
        return f"{len(ids):,} keys ({ids[0]} … {ids[-1]})"
    return " and ".join([", ".join(ids[:-1]), ids[-1]] if len(ids) > 1 else ids)
