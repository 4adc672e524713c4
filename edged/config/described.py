# SPDX-License-Identifier: Apache-2.0
"""What each key means, for editors and the manual: the texts below the fields of the settings. Reads their source.

Python drops such a text when it compiles, so the daemon neither holds nor reads any of them. It is Markdown; its links
are those of a page in docs/. Its second paragraph has lines that begin with ``Example:`` and ``Mistake:``.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


class Meaning(NamedTuple):
    """What is said of one key. Empty where nothing is."""

    text: str
    example: str = ""
    mistake: str = ""

    @property
    def plain(self) -> str:
        """For an editor: without links, a sentence on the mistake behind it."""
        said = f"{self.text} Common mistake: {self.mistake}" if self.mistake else self.text
        return _LINK.sub(r"\1", said)


class Key(NamedTuple):
    """One key that may stand in the file."""

    path: str
    """As the manual writes it: ``[]`` is one entry of a list, ``NAME`` a word of the operator's own."""
    model: type[BaseModel]
    name: str
    """The field of ``model``."""
    field: FieldInfo

    @property
    def meaning(self) -> Meaning:
        """OSError: this edged came without its source."""
        return meanings(self.model).get(self.name, Meaning(""))


def keys(model: type[BaseModel], place: str = "") -> Iterator[Key]:
    """Every key below a model, in the order of the manual."""
    for name, field in model.model_fields.items():
        path = f"{place}.{field.alias or name}" if place else field.alias or name
        yield Key(path, model, name, field)
        for inner, suffix in sections(field.annotation):
            yield from keys(inner, path + suffix)


def sections(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The models behind a field, and what stands between its key and theirs: nothing, ``[]``, ``.NAME``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
    suffix += {tuple: "[]", dict: ".NAME"}.get(get_origin(annotation), "")
    for argument in get_args(annotation):
        yield from sections(argument, suffix)


@functools.cache
def meanings(model: type[BaseModel]) -> dict[str, Meaning]:
    """Field to meaning, of a model and of those that it inherits from. OSError: there is no source."""
    found: dict[str, Meaning] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _written(base)
    return found


def _written(model: type[BaseModel]) -> dict[str, Meaning]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    lines = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: _parsed(below.value.value)
        for field, below in itertools.pairwise(lines)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _parsed(text: str) -> Meaning:
    said = " ".join(text.split())
    said, _, mistake = said.partition(" Mistake: ")
    said, _, example = said.partition(" Example: ")
    return Meaning(said, example, mistake)
