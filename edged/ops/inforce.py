# SPDX-License-Identifier: Apache-2.0
"""A good configuration in, every key with the value in force and where that comes from out. Pure.

A value that is written in the file is shown as it stands there, a default in the spelling that the file would take.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edged.config.document import USERINFO, Document, Location, dotted
from edged.config.loading import Loaded
from edged.config.restart import RESTART_KEYS
from edged.fields import Duration, Share
from edged.values import Secret

_FILE = re.compile(r"!file\s+(?:\"([^\"]+)\"|'([^']+)'|([^\s,}\]]+))")
_DURATION, _SHARE = get_args(Duration)[1], get_args(Share)[1]
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"), (0.001, "ms"))


class Setting(NamedTuple):
    """One key of the configuration."""

    key: str
    value: str
    line: int
    """Where it is set, 1-based; 0: it is not, and the default is in force."""

    @property
    def origin(self) -> str:
        """``default`` or ``line 12``."""
        return f"line {self.line}" if self.line else "default"


def settings(loaded: Loaded, *, files_read: bool = True) -> list[Setting]:
    """Every key, in the order of the manual."""
    walk = _Walk(loaded.document, files_read=files_read)
    return list(walk.model(loaded.config, loaded.document.data, ()))


def settings_facts(loaded: Loaded) -> dict[str, Any]:
    """Every key with its value, and the file they are from; of a secret where it stands, and nothing of it."""
    values = {one.key: one.value for one in settings(loaded, files_read=False)}
    return {"path": os.path.realpath(loaded.document.path), "settings": values}


_NAMED = 5
"""Keys that are named of those that differ."""


def difference(running: Mapping[str, str], written: Mapping[str, str]) -> str:
    """In which keys the configuration in force is another than the file, and what takes the file into force."""
    keys = [key for key in {**written, **running} if running.get(key) != written.get(key)]
    if not keys:
        return "as this file says"
    named = ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
    restarts = any(re.match(rf"{re.escape(woven)}(?![\w-])", key) for key in keys for woven in RESTART_KEYS)
    way = "systemctl restart edged" if restarts else "edged reload"
    return f"differs from this file in {named}; {way} takes it into force"


class _Walk:
    """Through the settings and the file beside each other."""

    def __init__(self, document: Document, *, files_read: bool) -> None:
        self._document = document
        self._files_read = files_read

    def model(self, model: BaseModel, data: Any, at: Location) -> Iterator[Setting]:
        fields = type(model).model_fields
        if isinstance(data, dict) and not set(data) <= {field.alias or name for name, field in fields.items()}:
            # a short spelling, which stands for other keys: as it is written
            yield from self._written(data, at)
            return
        for name, field in fields.items():
            key = field.alias or name
            value, place = getattr(model, name), (*at, key)
            written = isinstance(data, dict) and key in data
            given = data[key] if written else None
            if isinstance(value, BaseModel):
                yield from self.model(value, given, place)
            elif written:
                yield from self._several(value, given, place)
            else:
                yield Setting(dotted(place), spelt(value, field), 0)

    def _several(self, value: Any, given: Any, at: Location) -> Iterator[Setting]:
        """What is written at a place: sections in a list or by name one by one, with their defaults."""
        if isinstance(value, tuple) and isinstance(given, list) and _all_models(value) and len(value) == len(given):
            for index, (model, data) in enumerate(zip(value, given, strict=True)):
                yield from self.model(model, data, (*at, index))
        elif isinstance(value, dict) and isinstance(given, dict) and _all_models(value.values()):
            for name, model in value.items():
                yield from self.model(model, given.get(name), (*at, name))
        else:
            yield from self._written(given, at, hidden=isinstance(value, Secret))

    def _written(self, data: Any, at: Location, *, hidden: bool = False) -> Iterator[Setting]:
        """What stands in the file, as it stands there; a secret as what it is."""
        if isinstance(data, dict) and data and not hidden:
            for name, value in data.items():
                yield from self._written(value, (*at, str(name)))
            return
        if isinstance(data, list) and any(isinstance(one, dict) for one in data) and not hidden:
            for index, value in enumerate(data):
                yield from self._written(value, (*at, index))
            return
        mark = self._document.marks.get(at)
        line = self._document.lines[mark.line - 1][mark.column - 1 :] if mark is not None else ""
        # the document has put stars over every secret that stands in it
        secret = hidden or isinstance(data, Secret) or line.startswith("*")
        text = self._secret(data, line) if secret else USERINFO.sub("//***@", _plain(data))
        yield Setting(dotted(at), text, mark.key_line if mark is not None else 0)

    def _secret(self, data: Any, line: str) -> str:
        """``(file /etc/edged/secrets/billing, 32 bytes)``."""
        named = _FILE.match(line)
        size = f"{len(data):,} bytes" if self._files_read and isinstance(data, (Secret, str)) else "not read"
        if named is None:
            return "(in the file itself)"
        return f"(file {next(filter(None, named.groups()))}, {size})"


def _all_models(values: Any) -> bool:
    return bool(values) and all(isinstance(value, BaseModel) for value in values)


def _plain(data: Any) -> str:
    if isinstance(data, (list, tuple)):
        return "[" + ", ".join(map(_plain, data)) + "]"
    if isinstance(data, Secret):
        return "(a secret)"
    if isinstance(data, bool):
        return "true" if data else "false"
    return "none" if data is None else str(data) or '""'


def spelt(value: Any, field: FieldInfo) -> str:
    """A default, as the file would have it."""
    if isinstance(value, Enum):
        return str(value.value)
    if value in (None, (), {}):
        return "none"
    if isinstance(value, float) and _DURATION in field.metadata:
        return _duration(value)
    if isinstance(value, float) and _SHARE in field.metadata:
        return f"{value * 100:g}%"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_plain(one)}" for name, one in value.items()) + "}"
    return _plain(value)


def _duration(seconds: float) -> str:
    if not seconds:
        return "0s"
    size, unit = next((size, unit) for size, unit in _UNITS if not (seconds / size) % 1)
    return f"{seconds / size:.0f}{unit}"
