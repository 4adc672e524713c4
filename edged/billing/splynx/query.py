# SPDX-License-Identifier: Apache-2.0
"""What is asked of a collection in, the query of the address out. Pure. Splynx API 2.0, "Search, order, limit, offset".

The grammar is PHP's ``http_build_query``: brackets, their characters encoded, a space as ``+``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote_plus

Value: TypeAlias = "str | int | Sequence[Value] | Mapping[str, Value] | None"
"""Text and numbers as they are; a list or mapping becomes brackets; None is left out, as PHP does."""


def build_query(parameters: Mapping[str, Value]) -> str:
    """``parameters`` as PHP would write them."""
    return "&".join(f"{_encode(name)}={_encode(text)}" for name, text in _pairs("", parameters))


def _pairs(name: str, value: Value) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, int):
        yield name, str(int(value))  # PHP writes true as 1
    else:
        entries = value.items() if isinstance(value, Mapping) else ((str(i), v) for i, v in enumerate(value))
        for key, inner in entries:
            yield from _pairs(f"{name}[{key}]" if name else key, inner)


def _encode(text: str) -> str:
    return quote_plus(text, safe="").replace("~", "%7E")  # PHP's urlencode knows no ~


@dataclass(frozen=True, slots=True)
class Asked:
    """One collection, or the part of it that ``fields`` name."""

    path: str
    """Below ``/api/2.0/``."""
    fields: Mapping[str, Value] = field(default_factory=dict)
    """Attribute to a value that it equals, or to (operator, value)."""
    status: str = ""
    """What every row's ``status`` must be, where that was asked for."""

    def count(self) -> str:
        """The query of HEAD."""
        return build_query({"main_attributes": self.fields})

    def page(self, *, limit: int, offset: int = 0, descending: bool = False) -> str:
        """The query of one page, in an order that does not depend on the day."""
        order = {"id": "DESC" if descending else "ASC"}
        return build_query({"main_attributes": self.fields, "order": order, "limit": limit, "offset": offset})


def of_status(path: str, status: str) -> Asked:
    """All rows of one status."""
    return Asked(path, {"status": status}, status)
