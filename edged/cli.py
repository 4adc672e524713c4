# SPDX-License-Identifier: Apache-2.0
"""The ``edged`` command. Thin: it checks a file itself, and asks the running daemon for everything else.

Exit status: 0 done, 1 refused or not found, 2 usage, 69 the daemon cannot be reached, 78 a bad configuration.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edged.errors import ConfigError
from edged.ops.control import Refused, call
from edged.usage import DEFAULT_CONFIG, OVERVIEW, parser

_DEFAULT_SOCKET = Path("/run/edged/control.sock")
Arguments = argparse.Namespace
_PROGRESS_S = 5.0
"""Seconds between two lines of progress where nobody watches a terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        try:
            return _answered(parser().parse_args(argv))
        finally:
            # now, since at the interpreter's end nobody could catch it
            print(end="", flush=True)
    except BrokenPipeError:
        # the reader of a pipe went away; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _answered(arguments: Arguments) -> int:
    if arguments.first_config is not None and arguments.command is not None:
        arguments.config = arguments.first_config  # `edged -c FILE status` is as good as `edged status -c FILE`
    try:
        if arguments.command in {None, "help"}:
            print(OVERVIEW)
            return 0
        return COMMANDS[arguments.command](arguments)
    except Refused as refusal:
        sys.stderr.write(f"edged: {refusal}\n")
        if refusal.status == os.EX_UNAVAILABLE:
            sys.stderr.write("  systemctl status edged      journalctl -u edged -n 20\n")
        return refusal.status
    except ConfigError as error:
        sys.stderr.write(_problems(error, "Nothing was changed.") + "\n")
        return os.EX_CONFIG
    except KeyboardInterrupt:
        return 130


# --- commands ------------------------------------------------------------------------------------


def _run(arguments: Arguments) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload that comes before there is anybody to take it
    # imported here: the thin commands must not pay for the daemon
    from edged.process import run

    return run(arguments.config, tour=arguments.tour)


def _check(arguments: Arguments) -> int:
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
            print(_problems(error, "Nothing was changed."))
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


def _problems(error: ConfigError, meanwhile: str) -> str:
    from edged.ops.text import problems

    return problems(error.problems, error.lines, error.path or "edged", meanwhile)


def _init(arguments: Arguments) -> int:
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
                if os.geteuid() == 0:
                    # root writes it for the daemon: it belongs to whom its folder belongs to
                    folder = file.parent.stat()
                    os.fchown(handle.fileno(), folder.st_uid, folder.st_gid)
        except OSError as error:
            raise Refused(f"{file} was not written: {error.strerror}") from None
        print(f"wrote {file}")
    print("\n" + announcement(arguments.portal), end="")
    print(f"\nIt begins in mode: watch, which changes nothing for anyone.\nNext:  edged check -c {path}")
    return 0


def _asked(command: str, render: str, *fields: str) -> Callable[[Arguments], int]:
    """A command that asks the daemon and prints the answer for people or for programs."""

    def ask(arguments: Arguments) -> int:
        answer = call(_socket(arguments.config), command, **{f: getattr(arguments, f) for f in fields})
        if arguments.json:
            print(json.dumps(answer, indent=2))
            return 0
        from edged.ops import text

        print(getattr(text, render)(answer))
        return 0

    return ask


def _plan(arguments: Arguments) -> int:
    try:
        return _asked("plan", "plan")(arguments)
    except Refused as refusal:
        if refusal.status != os.EX_UNAVAILABLE:
            raise
    from edged.ops import text
    from edged.ops.offline import offline_plan

    answer = offline_plan(arguments.config)
    print(json.dumps(answer, indent=2) if arguments.json else text.plan(answer))
    return 0


def _sync(arguments: Arguments) -> int:
    answer = call(
        _socket(arguments.config), "sync", tell=None if arguments.json else _progress(),
        subscriber=arguments.subscriber, accept=arguments.accept, who=_who(),
    )  # fmt: skip
    if sys.stderr.isatty():
        print(end="\033[K", file=sys.stderr, flush=True)
    print(json.dumps(answer, indent=2) if arguments.json else answer["sentence"])
    return 0 if answer["done"] else 1


def _progress(doing: str = "reading ") -> Callable[[str, int, int | None], None]:
    """Shows how far a long reading is: on a terminal in one line, in a log a line every few seconds."""
    terminal, told_at = sys.stderr.isatty(), time.monotonic()

    def tell(what: str, done: int, of: int | None) -> None:
        nonlocal told_at
        text = f"{doing}{what}: {done:,}" + (f" of {of:,}" if of is not None else "")
        if terminal:
            # the cursor stays at the line's head: the answer is written over it
            print(f"{text}\033[K", end="\r", file=sys.stderr, flush=True)
        elif time.monotonic() - told_at >= _PROGRESS_S:
            told_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    return tell


def _override(arguments: Arguments) -> int:
    from edged.ops.deadline import end_of

    _refuse_no_reason(arguments)
    request: dict[str, Any] = {"kind": getattr(arguments, "kind", None)}
    if not arguments.end:
        request |= end_of(arguments.length, arguments.until)
    elif any(request.values()) or arguments.length is not None or arguments.until is not None:
        raise Refused("--end takes the word back now: no --for, --until or --kind goes with it", 2)
    return _said(arguments, end=arguments.end, **request)


def _pass(arguments: Arguments) -> int:
    from edged.ops.deadline import end_of

    _refuse_no_reason(arguments)
    return _said(arguments, **end_of(arguments.length, None))


def _refuse_no_reason(arguments: Arguments) -> None:
    if not arguments.why.strip():
        raise Refused('--why "…" is missing: the audit wants a reason', 2)


def _said(arguments: Arguments, **request: Any) -> int:
    """An operator's word on one subscriber, and the daemon's answer to it."""
    answer = call(
        _socket(arguments.config), arguments.command,
        subscriber=arguments.subscriber, why=arguments.why, who=_who(), **request,
    )  # fmt: skip
    print(json.dumps(answer, indent=2) if arguments.json else answer["sentence"])
    return 0


def _keys(arguments: Arguments) -> int:
    if arguments.action in {"sheet", "devices"}:
        return _residents(arguments)
    from edged import keycli

    try:
        request = keycli.request_of(arguments) | {"who": _who()}
    except UnicodeDecodeError:
        raise Refused("that file is not UTF-8 text") from None
    tell = None if arguments.json else _progress("")
    answer = keycli.asked(request, lambda asked: call(_socket(arguments.config), "keys", tell=tell, **asked))
    if sys.stderr.isatty():
        print(end="\033[K", file=sys.stderr, flush=True)
    if arguments.action == "export":
        answer = keycli.written(arguments, answer)
    if arguments.json:
        print(json.dumps(answer, indent=2))
    elif arguments.action == "list":
        from edged.ops import text

        print(text.keys(answer))
    elif arguments.action == "export" and arguments.out is None:
        print(end=str(answer["csv"]))
    else:
        print(answer["sentence"])
    return 0


def _residents(arguments: Arguments) -> int:
    """What the daemon answers in parts."""
    socket = _socket(arguments.config)

    def ask(**request: Any) -> Any:
        return call(socket, f"keys-{arguments.action}", who=_who(), **request)

    if arguments.action == "sheet":
        from edged.ops.handout import hand_out

        answer = hand_out(ask, arguments)
        # the sheets themselves may be on standard output
        sys.stderr.write("" if arguments.json or not answer["files"] else answer["sentence"] + "\n")
        if arguments.json and answer["files"]:
            print(json.dumps(answer, indent=2))
        return 0
    from edged.ops.devices import all_devices, devices_text

    answer = all_devices(ask, id=arguments.id, site=arguments.site, online=arguments.online)
    narrowed = bool(arguments.id or arguments.site or arguments.online)
    print(json.dumps(answer, indent=2) if arguments.json else devices_text(answer, narrowed=narrowed))
    return 0


def _who() -> str:
    """For the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container's user may have no name
        return f"uid {os.getuid()}"


def _reload(arguments: Arguments) -> int:
    answer = call(_socket(arguments.config), "reload")
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print(answer["sentence"])
    return 0 if answer["done"] else os.EX_CONFIG


def _routeros(arguments: Arguments) -> int:
    from edged.config import load
    from edged.ops.routerscript import router_script

    path = "-" if str(arguments.config) == "-" else arguments.config
    # without its secrets: none of them is wanted here, and whoever may not read them can have the script
    config = load(path, read_files=False).config
    print(end=router_script(config, arguments.router, arguments.source, arguments.only, remove=arguments.remove))
    return 0


def _doctor(arguments: Arguments) -> int:
    from edged.ops.doctor import text
    from edged.ops.doctor.service import examine

    report = examine(arguments.config, arguments.check)
    print(json.dumps(text.facts(report), indent=2) if arguments.json else text.text(report))
    return 1 if report.failed else 0


def _probe(arguments: Arguments) -> int:
    from edged.config import load
    from edged.ops.probe import text
    from edged.ops.probe.service import probe

    # another host than the router may have the file and none of its secrets
    report = probe(load(arguments.config, read_files=False).config, arguments)
    print(json.dumps(text.facts(report), indent=2) if arguments.json else text.text(report))
    return 1 if report.failures else 0


def _schema(_arguments: Arguments) -> int:
    from edged.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _socket(config: Path) -> Path:
    """Where the daemon of ``config`` listens; the default when that file is not ours to read."""
    from edged.config.document import read

    if config == DEFAULT_CONFIG and not os.access(config, os.R_OK):
        return _DEFAULT_SOCKET
    try:
        text = config.read_text("utf-8")
    except OSError as error:
        raise Refused(f"{config}: {error.strerror}", os.EX_CONFIG) from None
    except UnicodeDecodeError:
        raise Refused(f"{config} is not UTF-8 text", os.EX_CONFIG) from None
    try:
        return Path(read(text, str(config), read_files=False).data["ops"]["socket"])
    except (KeyError, TypeError):
        return _DEFAULT_SOCKET
    except ConfigError:
        # the file is being edited; the daemon runs from what it was, and answers where it says
        found = re.search(r"^\s+socket:\s*(\S+)\s*$", text, re.MULTILINE)
        return Path(found[1]) if found else _DEFAULT_SOCKET


COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "run": _run,
    "check": _check,
    "init": _init,
    "status": _asked("status", "status"),
    "explain": _asked("explain", "explain", "subject", "name"),
    "plan": _plan,
    "sync": _sync,
    "block": _override,
    "unblock": _override,
    "pass": _pass,
    "keys": _keys,
    "reload": _reload,
    "routeros": _routeros,
    "doctor": _doctor,
    "probe": _probe,
    "schema": _schema,
}

if __name__ == "__main__":
    raise SystemExit(main())
