# SPDX-License-Identifier: Apache-2.0
"""YAML text in, plain data out: text unless it plainly is null, a truth value or a decimal number. Pure.

The core schema of YAML 1.2 (section 10.3) less octal, hexadecimal and infinities. YAMLError names the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

_DEPTH = 32
"""The configuration nests eight deep; parsing recurses, so the bound is well below any stack."""
_ALIASED_NODES = 100_000
"""How much repeated use of anchors may add: generous for a shared brand, small for an alias bomb."""

_TAG = "tag:yaml.org,2002:"


class RestrictedLoader(yaml.CSafeLoader):
    """PyYAML's C loader without YAML 1.1's surprises; a subclass may add constructors of its own tags.

    MAC addresses, dates, ``no``, ``0123`` and ``12_34`` stay text. Duplicate keys, keys that are not scalars,
    deep nesting and alias bombs are refused by ``get_single_node``, before anything is built.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 the base class wants a dict
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def get_single_node(self) -> yaml.Node | None:
        """The one document's tree, checked; None when the text is empty."""
        node = super().get_single_node()
        if node is not None:
            _check(node)
        return node


def load_text(text: str) -> Any:
    """The data of the one document in ``text``; None when it is empty. YAMLError otherwise."""
    loader = RestrictedLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check(root: yaml.Node) -> None:
    """Walk every place in the tree, aliased nodes each time they are used. ConstructorError at a fault."""
    seen: set[int] = set()
    repeated = 0
    stack = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > _DEPTH:
            raise _fault(f"nested more than {_DEPTH} deep", node)
        if id(node) in seen:
            repeated += 1
            if repeated > _ALIASED_NODES:
                raise _fault("aliases that repeat too much", node)
        seen.add(id(node))
        stack.extend((child, depth + 1) for child in _children(node))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key that is a list or a mapping", key)
            if (key.tag, key.value) in keys:
                raise _fault(f"the key {key.value[:60]!r} for the second time", key)
            keys.add((key.tag, key.value))
            yield value


def _fault(problem: str, node: yaml.Node) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # 18 digits: what 64 bits hold; longer ones stay text
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
_TRUTH = {"true": True, "false": False}

_RESOLVERS: tuple[tuple[str, str, list[str]], ...] = (
    ("null", r"(?:~|null|)\Z", ["~", "n", ""]),
    ("bool", r"(?:true|false)\Z", ["t", "f"]),
    ("int", rf"{_INTEGER.pattern}\Z", list("-0123456789")),
    ("float", rf"{_FLOAT.pattern}\Z", list("-0123456789")),
)
"""Tag, what a plain scalar must look like, and the first characters it may have."""

for _name, _pattern, _first in _RESOLVERS:
    RestrictedLoader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def _null(loader: RestrictedLoader, node: yaml.Node) -> None:
    loader.construct_scalar(node)  # type: ignore[arg-type]  # refuses what is not a scalar, with its place


def _bool(loader: RestrictedLoader, node: yaml.Node) -> bool:
    text = loader.construct_scalar(node)  # type: ignore[arg-type]  # as above
    if text not in _TRUTH:
        raise _fault("a truth value that is neither true nor false", node)
    return _TRUTH[text]


def _int(loader: RestrictedLoader, node: yaml.Node) -> int:
    text = loader.construct_scalar(node)  # type: ignore[arg-type]  # as above
    if not _INTEGER.fullmatch(text):
        raise _fault("a number that is not decimal", node)
    return int(text)


def _float(loader: RestrictedLoader, node: yaml.Node) -> float:
    text = loader.construct_scalar(node)  # type: ignore[arg-type]  # as above
    if not (_FLOAT.fullmatch(text) or _INTEGER.fullmatch(text)):
        raise _fault("a number that is not decimal", node)
    return float(text)


def _unknown_tag(_loader: RestrictedLoader, node: yaml.Node) -> None:
    raise _fault(f"the tag {node.tag[:60]!r}, which means nothing here", node)


_CONSTRUCTORS: tuple[tuple[str, Any], ...] = (
    ("null", _null),
    ("bool", _bool),
    ("int", _int),
    ("float", _float),
    ("str", RestrictedLoader.construct_yaml_str),
    ("seq", RestrictedLoader.construct_yaml_seq),
    ("map", RestrictedLoader.construct_yaml_map),
)

for _name, _constructor in _CONSTRUCTORS:
    RestrictedLoader.add_constructor(_TAG + _name, _constructor)
RestrictedLoader.add_constructor(None, _unknown_tag)
