# SPDX-License-Identifier: Apache-2.0
"""A path in, a checked ``Config`` and its warnings out, or a ConfigError with every problem. Reads files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edged.config.checks import cross_checks
from edged.config.document import Document, read
from edged.config.problems import problems_of
from edged.config.schema import Config
from edged.errors import ConfigError, Problem

_FILE_OCTETS = 4 * 1024 * 1024
"""A garden of 100,000 names fits; a file beyond it is a slip."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A good configuration, the file it came from, and what the operator should know about it."""

    config: Config
    document: Document
    warnings: tuple[Problem, ...]


def load(path: Path | str, *, read_files: bool = True) -> Loaded:
    """Read and check ``path`` (``-``: standard input). ConfigError carries all problems, each with its place."""
    return loaded_text(_text_of(path), str(path), read_files=read_files)


def loaded_text(text: str, path: str, *, read_files: bool = True) -> Loaded:
    """As ``load``, of a text that is (to be) the file at ``path``."""
    document = read(text, path, read_files=read_files)
    problems = list(document.problems)
    config: Config | None = None
    if document.data is None:
        problems.append(Problem("", "an empty file", "a configuration", "edged init writes one"))
    elif not isinstance(document.data, dict):
        problems.append(Problem("", "no keys", "a mapping of sections", "site: tower-12", line=1, column=1))
    else:
        try:
            config = Config.model_validate(document.data)
        except ValidationError as error:
            problems += problems_of(error, document, Config)
    found = cross_checks(config, document, read_files=read_files) if config is not None else []
    problems += [p for p in found if not p.warning]
    if problems or config is None:
        raise ConfigError(sorted(problems, key=lambda p: (p.line, p.column)), path, document.lines)
    return Loaded(config, document, tuple(p for p in found if p.warning))


def _text_of(path: Path | str) -> str:
    try:
        if str(path) == "-":
            octets = sys.stdin.buffer.read(_FILE_OCTETS + 1)
        else:
            with Path(path).open("rb") as file:
                octets = file.read(_FILE_OCTETS + 1)
    except OSError as error:
        mend = "edged init writes one" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError((Problem("", f"{error.strerror}", "a file that edged may read", mend),), str(path)) from None
    if len(octets) > _FILE_OCTETS:
        raise ConfigError((Problem("", "a file over 4 MiB", "a configuration of edged"),), str(path))
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise ConfigError(
            (Problem("", "octets that are not UTF-8", "UTF-8 text", line=line, column=1),), str(path)
        ) from None
