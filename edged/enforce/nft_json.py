# SPDX-License-Identifier: Apache-2.0
"""What ``nft -j list`` printed in; our elements, our rules' digest, warnings about others out. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Any

from edged.enforce.nft_text import EARLIER_THAN_US
from edged.enforce.ranges import prefixes_of
from edged.enforce.sets import GARDEN_SET, SETS, Element, Kind, SetName, Sets
from edged.errors import UpstreamError
from edged.values import BITS, IpAddress, Prefix, parse_address, parse_mac

Row = tuple[str, Mapping[str, Any]]
"""The kind of an object (table, set, chain, rule, counter) and its fields."""

_GARDEN = frozenset(GARDEN_SET.values())


def rows(text: str | bytes) -> list[Row]:
    """The objects of a listing, in order. UpstreamError when it is not one."""
    try:
        listed = json.loads(text)["nftables"]
        return [(kind, fields) for entry in listed for kind, fields in entry.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UpstreamError("nft printed a listing that is not its JSON schema 1") from None


def elements(listed: Iterable[Row]) -> Sets:
    """Every ``SetName`` with what the listing says is in it; an absent set is an empty one."""
    sets: dict[SetName, frozenset[Element]] = dict.fromkeys(SetName, frozenset())
    for kind, fields in listed:
        if kind == "set" and fields.get("name") in SETS:
            name = SetName(fields["name"])
            try:
                sets[name] = frozenset(_element_values(name, fields.get("elem", ())))
            except (ValueError, KeyError, TypeError, OSError):
                raise UpstreamError(f"nft printed an element of set {name} that cannot be read") from None
    return sets


def garden(listed: Iterable[Row]) -> frozenset[IpAddress]:
    """The addresses in the learned garden."""
    items = (i for kind, f in listed if kind == "set" and f.get("name") in _GARDEN for i in f.get("elem", ()))
    values = (item["elem"]["val"] if isinstance(item, dict) else item for item in items)
    return frozenset(map(parse_address, values))


def digest(listed: Iterable[Row]) -> str:
    """A fingerprint of the sets' kinds, the chains and the rules in order, whatever they count or contain."""
    parts: list[Any] = []
    for kind, fields in listed:
        if kind == "rule":
            parts.append((kind, fields.get("chain"), fields.get("expr")))
        elif kind in {"chain", "set", "table"}:
            kept = {k: v for k, v in fields.items() if k not in {"handle", "elem"}}
            parts.append((kind, kept))
        elif kind == "counter":
            parts.append((kind, fields.get("name")))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def counters(listed: Iterable[Row]) -> dict[str, int]:
    """Packets per named counter."""
    return {str(f["name"]): int(f["packets"]) for kind, f in listed if kind == "counter"}


MENDED_BY = ": mend it with "
"""Between what is wrong and the command that mends it, in warnings that have one."""


def foreign_warnings(listed: Iterable[Row]) -> list[str]:
    """What other software's chains do to ours, as sentences for the operator; ours are left out."""
    rows_ = tuple(listed)
    relieved = {_chain(fields, "chain") for kind, fields in rows_ if kind == "rule" and _accepts_dnat(fields)}
    warnings = []
    for kind, fields in rows_:
        if kind != "chain" or "hook" not in fields or fields.get("table") == "edged":
            continue
        where = f"chain {fields.get('family')} {fields.get('table')} {fields.get('name')}"
        match fields["hook"], fields.get("type"), fields.get("policy"):
            case "prerouting", "nat", _ if int(fields.get("prio", 0)) < EARLIER_THAN_US:
                warnings.append(
                    f"{where} translates before edged (priority {fields['prio']}):"
                    " what it takes of blocked subscribers is refused instead of steered"
                )
            case "input", "filter", "drop" if _chain(fields, "name") not in relieved:
                rule = f"nft insert rule {where.removeprefix('chain ')} ct status dnat accept"
                warnings.append(f"{where} drops by default{MENDED_BY}{rule}")
            case "forward", "filter", "drop":
                warnings.append(f"{where} drops by default: it needs rules that accept traffic to the garden")
            case _:
                pass
    return warnings


def _chain(fields: Mapping[str, Any], name: str) -> tuple[Any, Any, Any]:
    return fields.get("family"), fields.get("table"), fields.get(name)


def _accepts_dnat(rule: Mapping[str, Any]) -> bool:
    """True for ``ct status dnat accept``, whatever else the rule counts or notes."""
    expressions = rule.get("expr", ())
    accepts = any("accept" in expression for expression in expressions)
    return accepts and any(
        expression.get("match", {}).get("left") == {"ct": {"key": "status"}}
        and "dnat" in str(expression["match"].get("right"))
        for expression in expressions
    )


def _element_values(name: SetName, listed: Iterable[Any]) -> Iterable[Element]:
    spec = SETS[name]
    for item in listed:
        value = item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item
        if spec.kind is Kind.MAC:
            yield parse_mac(value)
        elif isinstance(value, str):
            number = _number(spec.version, value)
            yield number if spec.kind is Kind.HOST else Prefix(spec.version, number, BITS[spec.version])
        elif "prefix" in value:
            yield Prefix(spec.version, _number(spec.version, value["prefix"]["addr"]), int(value["prefix"]["len"]))
        else:
            first, last = (_number(spec.version, text) for text in value["range"])
            yield from prefixes_of(spec.version, (first, last))


def _number(version: int, text: str) -> int:
    if version == 4:  # four times faster than ipaddress, and a full read is 100,000 of them
        return int.from_bytes(bytes(map(int, text.split("."))))
    return int(IPv6Address(text))
