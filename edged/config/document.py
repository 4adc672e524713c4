# SPDX-License-Identifier: Apache-2.0
"""YAML text in, plain data and the place of every key and value out; ``!file PATH`` reads a secret.

Reads the named secret files and nothing else.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from edged.errors import ConfigError, Problem
from edged.values import Secret
from edged.yamltext import RestrictedLoader

_CREDENTIALS = Path("/run/credentials")
"""Where systemd puts a unit's LoadCredential= (systemd.exec(5)), in a folder of the unit's name."""
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
        return Secret("not read: files are left alone, and no rule judges what is in them")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            octets = file.read(_SECRET_OCTETS + 1)
    except OSError as error:
        return refuse(
            f"{path}: {error.strerror}", "a secret file that edged may read", "mode 0600, owner edged or root"
        )
    # systemd's own folder keeps others out; what looks like the group's bits is there an ACL's mask (acl(5))
    if mode & (0o037 if path.is_relative_to(_CREDENTIALS) else 0o077):
        return refuse(f"{path} has mode {mode:04o}", "a file that its owner alone may read", f"chmod 0600 {path}")
    secret = octets.rstrip(b"\r\n")
    if not secret or len(octets) > _SECRET_OCTETS:
        return refuse(f"{path} is {'empty' if not secret else 'over 64 KiB'}", "a file that holds one secret")
    return Secret(secret)


_Loader.add_constructor("!file", _construct_file)


def read(text: str, path: str, *, read_files: bool = True) -> Document:
    """The document behind ``text``. ConfigError when it is not YAML; softer faults are in ``problems``."""
    document = Document(path=path, lines=_guessed(text.splitlines()))
    loader = _Loader(text)
    loader.document, loader.read_files = document, read_files
    try:
        node = loader.get_single_node()
        if node is not None:
            document.lines = _shown(text.splitlines(), node)
            document.marks = dict(_marks(node, (), None))
            document.data = loader.construct_document(node)
            document.problems[:] = [_with_key(problem, document) for problem in document.problems]
    except yaml.YAMLError as error:
        problem = _syntax_problem(error, text.splitlines(), document.lines)
        raise ConfigError((problem,), path, document.lines) from None
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


_SECRET_KEYS = ("secret", "password", "passphrase")
_OTHERS_SECRETS = frozenset({"token", "api_key", "apikey", "authorization", "bearer", "psk"})
"""Words of other products; there is no such key here, but what stands there is secret all the same."""


def _is_secret(key: yaml.Node) -> bool:
    # a misspelt key is shown with its line: what stands there is a secret all the same
    word = str(key.value).lower()
    return word in _OTHERS_SECRETS or bool(get_close_matches(word, _SECRET_KEYS, n=1, cutoff=0.75))


def _secrets(node: yaml.Node) -> Iterator[yaml.Node]:
    """The values of secrets that are written into the YAML itself."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value).lower() == "billing" and isinstance(value, yaml.MappingNode):
                # elsewhere a key is the path of a certificate's key; here it may be a bearer token
                yield from (v for k, v in value.value if str(k.value).lower() == "key" and v.tag != "!file")
            if not _is_secret(key):
                yield from _secrets(value)
            elif value.tag != "!file":
                yield value
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _secrets(item)


def _shown(lines: list[str], node: yaml.Node) -> list[str]:
    """The lines as they may be shown: a secret keeps its width and loses its content."""
    for secret in _secrets(node):
        first, last = secret.start_mark, secret.end_mark
        for number in range(first.line, min(last.line + 1, len(lines))):
            line = lines[number]
            start = first.column if number == first.line else 0
            end = last.column if number == last.line else len(line)
            lines[number] = line[:start] + "*" * (end - start) + line[end:]
    return [USERINFO.sub(lambda match: "//" + "*" * (len(match[0]) - 3) + "@", line) for line in lines]


USERINFO = re.compile(r"//[^/@]*@")
"""Of a URL; a password may be in it."""
_SECRET_LINE = re.compile(
    r"""(?<![a-z_])(?:secret|password|passphrase|token|key|authorization|psk)["']?\s*:\s*+(?!!file)""", re.IGNORECASE
)


def _guessed(lines: list[str]) -> list[str]:
    """As ``_shown``, of what is not YAML: the rest of a secret's line, and lines that may continue it."""
    key_at: int | None = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        match = _SECRET_LINE.search(line)
        if match:
            key_at, start = indent, match.end()
        elif key_at is not None and indent > key_at:
            start = indent
        else:
            key_at = None if line.strip() else key_at
            continue
        lines[number] = line[:start] + "*" * (len(line) - start)
    return lines


def _syntax_problem(error: yaml.YAMLError, lines: list[str], shown: list[str]) -> Problem:
    mark = getattr(error, "problem_mark", None)
    found = str(getattr(error, "problem", None) or error).replace("\n", " ")
    hint = "indent with spaces; quote addresses that begin with a colon or a bracket"
    if mark and mark.line < len(lines):
        line, column = lines[mark.line], mark.column
        if "\t" in line[: column + 1]:
            found = "a tab"
        elif line[column:] != shown[mark.line][column:]:
            # the parser's words may quote it
            found, hint = "a secret that does not read as text", "secret: !file PATH, or put it into quotes"
    return Problem("", found, "YAML", hint, line=mark.line + 1 if mark else 0, column=mark.column + 1 if mark else 0)


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


def _text(node: yaml.Node, key: yaml.Node | None) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == "!file" or (key is not None and _is_secret(key)):
        return "a secret"
    if node.tag == "tag:yaml.org,2002:null":
        return "nothing"
    kind = {"int": "the number ", "float": "the number ", "bool": "the truth value "}.get(node.tag.rpartition(":")[2])
    text = USERINFO.sub("//***@", str(node.value))
    return kind + text if kind else f'"{text[:60]}"'
