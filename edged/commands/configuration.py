# SPDX-License-Identifier: Apache-2.0
"""What needs the configuration and no daemon: check, schema, routeros. Reads files."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.commands.terminal import say, screen, waiting
from edged.errors import ConfigError, Problem

if TYPE_CHECKING:
    from edged.config.loading import Loaded
    from edged.config.proving import Proved
    from edged.ops.inforce import Setting

Arguments = argparse.Namespace


def check(arguments: Arguments) -> int:
    """``edged check``; with ``--strict`` a warning is refused as well."""
    from edged.config import load
    from edged.config.proving import prove

    path = "-" if str(arguments.config) == "-" else arguments.config
    try:
        with waiting("checking, and making every page"):
            loaded = load(path, read_files=not arguments.no_files)
            proved = prove(loaded, arguments.pages) if loaded.config.portal.url and not arguments.no_files else None
    except ConfigError as error:
        if arguments.json:
            print(json.dumps({"good": False, "problems": [_problem_facts(p) for p in error.problems]}, indent=2))
        else:
            on = screen(arguments)
            say(on, f"{refusal(error)}\n\nnot checked: the pages, and what the file means, until these errors are gone")
        return os.EX_CONFIG
    _tell_good(arguments, loaded, proved)
    warned = loaded.warnings or (proved is not None and proved.warnings)
    return os.EX_CONFIG if arguments.strict and warned else 0


def _tell_good(arguments: Arguments, loaded: Loaded, proved: Proved | None) -> None:
    from edged.ops.inforce import settings
    from edged.ops.meaning import meaning

    warnings = (*loaded.warnings, *(proved.warnings if proved else ()))
    sentences = meaning(loaded)
    if proved:
        sentences["page"] += f"; {proved.sentence}"
    running = "" if arguments.no_files else _running(loaded)
    if running:
        sentences["running"] = running
    full = settings(loaded, files_read=not arguments.no_files) if arguments.full else []
    if arguments.json:
        facts = {
            "good": not (arguments.strict and warnings),
            "problems": [_problem_facts(p) for p in warnings],
            "meaning": sentences,
        }
        if arguments.full:
            facts["settings"] = [{"key": s.key, "value": s.value, "line": s.line or None} for s in full]
        print(json.dumps(facts, indent=2))
        return
    on = screen(arguments)
    say(on, "\n".join(_good(arguments, loaded, proved, sentences, warnings, wide=not on.is_terminal)))
    if full:
        say(on, "\n" + _table(full))


def _running(loaded: Loaded) -> str:
    """How the daemon of this file runs; empty: there is none, or it was started with another file."""
    from edged.commands.reach import socket_of
    from edged.ops.control import Refused, call
    from edged.ops.inforce import difference, settings_facts

    path = loaded.document.path
    if path == "-":
        return ""
    try:
        running = call(socket_of(Path(path)), "settings")
    except Refused:
        return ""
    written = settings_facts(loaded)
    return difference(running["settings"], written["settings"]) if running["path"] == written["path"] else ""


def _good(
    arguments: Arguments, loaded: Loaded, proved: Proved | None, sentences: dict[str, str],
    warnings: tuple[Problem, ...], *, wide: bool,
) -> Iterator[str]:  # fmt: skip
    from edged.ops.text import columns, counted, problems

    path, lines, files = loaded.document.path, len(loaded.document.lines), len(loaded.document.secret_files)
    yield f"{path} is good ({lines} lines, {counted(files, 'secret file')})\n"
    for label, sentence in sentences.items():
        # in a pipe a line each, for grep
        rows = [sentence] if wide else textwrap.wrap(sentence, columns() - 12, break_on_hyphens=False)
        yield from (f"  {label if index == 0 else '':<10}{row}" for index, row in enumerate(rows))
    if proved and arguments.pages:
        yield f"\n{proved.pages} pages were written: open {arguments.pages / 'index.html'} in a browser"
    if warnings:
        meanwhile = "With --strict that is refused." if arguments.strict else "The file can be used as it is."
        yield "\n" + problems(warnings, loaded.document.lines, path, meanwhile)


def _table(full: Sequence[Setting]) -> str:
    """A line a key: what is in force, and where it is set."""
    key, origin = max(len(s.key) for s in full), max(len(s.origin) for s in full)
    return "\n".join(f"{s.key:<{key}}  {s.origin:<{origin}}  {s.value}" for s in full)


def _problem_facts(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("key", "line", "column", "found", "expected", "hint", "warning")}


def refusal(error: ConfigError) -> str:
    """Everything that is wrong with a configuration, for people."""
    from edged.ops.text import problems

    return problems(error.problems, error.lines, error.path or "edged", "Nothing was changed.")


def schema(_arguments: Arguments) -> int:
    """``edged schema``."""
    from edged.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def routeros(arguments: Arguments) -> int:
    """``edged routeros script``."""
    from edged.config import load
    from edged.ops.routerscript import router_script

    path = "-" if str(arguments.config) == "-" else arguments.config
    # without its secrets: none of them is wanted here, and whoever may not read them can have the script
    config = load(path, read_files=False).config
    print(end=router_script(config, arguments.router, arguments.source, arguments.only, remove=arguments.remove))
    return 0
