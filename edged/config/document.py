# SPDX-License-Identifier: Apache-2.0
"""YAML text in, plain data and the place of every key and value out; ``!file PATH`` reads a secret.

Reads the named secret files and nothing else.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from edged.errors import ConfigError, Problem
from edged.values import Secret
from edged.yamltext import RestrictedLoader

_SECRET_OCTETS = 64 * 1024
"""A secret file is short; a larger one is a slip of the path."""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a key and its value stand, 1-based, and what the value looks like."""

    line: int
    column: int
    key_line: int
    key_column: int
    width: int
    text: str
    """The value in one line as it stands in the file; never a secret's content."""


@dataclass(slots=True)
class Document:
    """One configuration file, read."""

    path: str
    lines: list[str]
    data: Any = None
    marks: dict[Location, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    secret_files: list[Path] = field(default_factory=list)


class _Loader(RestrictedLoader):
    """RestrictedLoader with ``!file``."""

    document: Document
    read_files: bool


def _construct_file(loader: _Loader, node: yaml.Node) -> Any:
    mark = node.start_mark
    path = Path(str(node.value)) if isinstance(node, yaml.ScalarNode) and node.value else None

    def refuse(found: str, expected: str, hint: str = "") -> Secret:
        loader.document.problems.append(
            Problem("", found, expected, hint, line=mark.line + 1, column=mark.column + 1, width=_width(node))
        )
        return Secret("not read, a problem is reported")

    if path is None:
        return refuse("!file without a path", "!file PATH")
    loader.document.secret_files.append(path)
    if not loader.read_files:
        return Secret("not read, files are left alone")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            octets = file.read(_SECRET_OCTETS + 1)
    except OSError as error:
        return refuse(
            f"{path}: {error.strerror}", "a secret file that edged may read", "mode 0600, owner edged or root"
        )
    if mode & 0o077:
        return refuse(f"{path} has mode {mode:04o}", "a file that its owner alone may read", f"chmod 0600 {path}")
    secret = octets.rstrip(b"\r\n")
    if not secret or len(octets) > _SECRET_OCTETS:
        return refuse(f"{path} is {'empty' if not secret else 'over 64 KiB'}", "a file that holds one secret")
    return Secret(secret)


_Loader.add_constructor("!file", _construct_file)


def read(text: str, path: str, *, read_files: bool = True) -> Document:
    """The document behind ``text``. ConfigError when it is not YAML; softer faults are in ``problems``."""
    document = Document(path=path, lines=[_masked(line) for line in text.splitlines()])
    loader = _Loader(text)
    loader.document, loader.read_files = document, read_files
    try:
        node = loader.get_single_node()
        if node is not None:
            document.marks = dict(_marks(node, (), None))
            document.data = loader.construct_document(node)
            document.problems[:] = [_with_key(problem, document) for problem in document.problems]
    except yaml.YAMLError as error:
        raise ConfigError((_syntax_problem(error, document.lines),), path, document.lines) from None
    finally:
        loader.dispose()
    return document


def _with_key(problem: Problem, document: Document) -> Problem:
    """``problem`` of a value, with the key that the value stands under."""
    place = (problem.line, problem.column)
    location = next((loc for loc, mark in document.marks.items() if (mark.line, mark.column) == place), ())
    return replace(problem, key=dotted(location))


def dotted(location: Location) -> str:
    """``dns.listen[0]``, as the operator would say it."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_PLAIN_SECRET = re.compile(
    r"""((?:secret|password|passphrase)["']?\s*:\s*)(?!!file)("[^"]*"?|'[^']*'?|[^,}#]+)""", re.IGNORECASE
)


def _masked(line: str) -> str:
    """The line as it may be shown: a secret written into the YAML keeps its width and loses its content."""
    return _PLAIN_SECRET.sub(lambda match: match[1] + "*" * len(match[2]), line)


def _syntax_problem(error: yaml.YAMLError, lines: list[str]) -> Problem:
    mark = getattr(error, "problem_mark", None)
    found = str(getattr(error, "problem", None) or error).replace("\n", " ")
    if mark and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        found = "a tab"
    return Problem(
        "", found, "YAML", "indent with spaces; quote addresses that begin with a colon or a bracket",
        line=mark.line + 1 if mark else 0, column=mark.column + 1 if mark else 0,
    )  # fmt: skip


def _marks(node: yaml.Node, location: Location, key: yaml.Node | None) -> Iterator[tuple[Location, Mark]]:
    """Every place in the tree; RestrictedLoader has bounded its depth and size."""
    where = key or node
    yield (
        location,
        Mark(
            node.start_mark.line + 1, node.start_mark.column + 1,
            where.start_mark.line + 1, where.start_mark.column + 1,
            _width(node), _text(node, key),
        ),
    )  # fmt: skip
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            yield from _marks(value_node, (*location, str(key_node.value)), key_node)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _marks(item, (*location, index), None)


def _width(node: yaml.Node) -> int:
    if node.end_mark.line != node.start_mark.line:
        return 1
    return max(1, node.end_mark.column - node.start_mark.column)


_SECRET_KEYS = frozenset({"secret", "password", "passphrase"})


def _text(node: yaml.Node, key: yaml.Node | None) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == "!file" or (key is not None and str(key.value) in _SECRET_KEYS):
        return "a secret"
    if node.tag == "tag:yaml.org,2002:null":
        return "nothing"
    kind = {"int": "the number ", "float": "the number ", "bool": "the truth value "}.get(node.tag.rpartition(":")[2])
    text = str(node.value)
    return kind + text if kind else f'"{text[:60]}"'
