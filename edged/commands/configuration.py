# SPDX-License-Identifier: Apache-2.0
"""What needs the configuration and no daemon: check, init, schema, routeros. Reads and writes files."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from edged.errors import ConfigError
from edged.ops.control import Refused

Arguments = argparse.Namespace


def check(arguments: Arguments) -> int:
    """``edged check``."""
    from edged.config import load
    from edged.config.proving import prove
    from edged.ops.meaning import meaning
    from edged.ops.text import problems

    path = "-" if str(arguments.config) == "-" else arguments.config
    try:
        loaded = load(path, read_files=not arguments.no_files)
        proved = prove(loaded, arguments.pages) if loaded.config.portal.url and not arguments.no_files else None
    except ConfigError as error:
        if arguments.json:
            print(json.dumps({"good": False, "problems": [_problem_facts(p) for p in error.problems]}, indent=2))
        else:
            print(refusal(error))
        return os.EX_CONFIG
    warnings = (*loaded.warnings, *(proved.warnings if proved else ()))
    sentences = meaning(loaded)
    if proved:
        sentences["page"] += f"; {proved.sentence}"
    if arguments.json:
        facts = {
            "good": True,
            "problems": [_problem_facts(p) for p in warnings],
            "meaning": sentences,
        }
        print(json.dumps(facts, indent=2))
        return 0
    print(f"{path} is good ({len(loaded.document.lines)} lines, {len(loaded.document.secret_files)} secret files)\n")
    for label, sentence in sentences.items():
        print(f"  {label:<10}{sentence}")
    if proved and arguments.pages:
        print(f"\n{proved.pages} pages were written: open {arguments.pages / 'index.html'} in a browser")
    if warnings:
        print("\n" + problems(warnings, loaded.document.lines, str(path), "The file can be used as it is."))
    return 0


def _problem_facts(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("key", "line", "column", "found", "expected", "hint", "warning")}


def refusal(error: ConfigError) -> str:
    """Everything that is wrong with a configuration, for people."""
    from edged.ops.text import problems

    return problems(error.problems, error.lines, error.path or "edged", "Nothing was changed.")


def init(arguments: Arguments) -> int:
    """``edged init``."""
    from edged.config.loading import loaded_text
    from edged.ops.initial import announcement, initial

    path: Path = arguments.config
    if path.exists() and not arguments.force:
        raise Refused(f"{path} exists and was left as it is; --force overwrites it")
    files = initial(arguments, path)
    # what the answers make is checked before anything is written: a typo shows here and not at the first start
    loaded_text(files[path][0], str(path), read_files=False)
    for file, (content, mode) in files.items():
        try:
            file.parent.mkdir(mode=0o700 if mode == 0o600 else 0o755, parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as handle:
                handle.write(content)
        except OSError as error:
            raise Refused(f"{file} was not written: {error.strerror}") from None
        print(f"wrote {file}")
    print("\n" + announcement(arguments.portal), end="")
    print(f"\nIt begins in mode: watch, which changes nothing for anyone.\nNext:  edged check -c {path}")
    return 0


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
