# SPDX-License-Identifier: Apache-2.0
"""The ``edged`` command. Thin: it checks a file itself, and asks the running daemon for everything else.

Exit status: 0 done, 1 refused or not found, 2 usage, 69 the daemon cannot be reached, 78 a bad configuration.
"""

from __future__ import annotations

import argparse
import difflib
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from edged import __version__
from edged.errors import ConfigError
from edged.ops.control import Refused, call

DEFAULT_CONFIG = Path("/etc/edged/edged.yaml")
_DEFAULT_SOCKET = Path("/run/edged/control.sock")
Arguments = argparse.Namespace

_OVERVIEW = """\
edged: blocked-subscriber redirection and per-resident Wi-Fi keys.

  edged init                              write a first configuration
  edged check -c edged.yaml               is this file right, and what does it mean?
  edged status                            is all well?
  edged explain 100.64.7.9                why does this line get what it gets?
  edged plan                              what would change on each target?
  edged sync                              read billing now
  edged keys list                         who may use the Wi-Fi?

edged COMMAND --help says more of each."""


class _Parser(argparse.ArgumentParser):
    """argparse, with the nearest command for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message and len(sys.argv) > 1:
            word = next((a for a in sys.argv[1:] if not a.startswith("-")), "")
            close = difflib.get_close_matches(word, COMMANDS, n=1)
            message = f'there is no command "{word}"' + (f'; did you mean "{close[0]}"?' if close else "")
        sys.stderr.write(f"edged: {message}\n")
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.command is None:
        print(_OVERVIEW)
        return 0
    try:
        return COMMANDS[arguments.command](arguments)
    except Refused as refusal:
        sys.stderr.write(f"edged: {refusal}\n")
        if refusal.status == os.EX_UNAVAILABLE:
            sys.stderr.write("  systemctl status edged      journalctl -u edged -n 20\n")
        return refusal.status
    except ConfigError as error:
        sys.stderr.write(_problems(error, "Nothing was changed.") + "\n")
        return os.EX_CONFIG
    except BrokenPipeError:
        # the reader of a pipe went away; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> _Parser:
    parser = _Parser(prog="edged", description="The edge daemon of an Internet provider.", add_help=True)
    parser.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, text: str, example: str, *, facts: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=text, epilog=f"examples:\n{example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        sub.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
        if facts:
            sub.add_argument("--json", action="store_true", help="the same facts for a program")
        return sub

    run = command("run", "run the daemon in the foreground", "  edged run -c edged.yaml", facts=False)
    run.add_argument("--try", dest="tour", action="store_true", help="print what to try once it serves")
    check = command("check", "check a configuration and say what it means", "  edged check\n  edged check -c - < edged.yaml")
    check.add_argument("--no-files", action="store_true", help="leave secrets and certificates alone (elsewhere than on the router)")
    init = command("init", "write a first configuration", "  edged init --site tower-12 --networks 100.64.0.0/10", facts=False)
    _init_arguments(init)
    command("status", "is all well, and what needs a person?", "  edged status\n  edged status --json | jq .alarms")
    explain = command("explain", "what a line gets, from which rule, since when", "  edged explain 100.64.7.9\n  edged explain 100.64.7.9 js.stripe.com")
    explain.add_argument("subject", help="an address, a prefix, a MAC, a subscriber's id or a key's id")
    explain.add_argument("name", nargs="?", help="what about this destination?")
    command("plan", "what would change on each target; changes nothing", "  edged plan\n  edged plan --json")
    sync = command("sync", "read billing now, one subscriber now, or accept a held reading", "  edged sync\n  edged sync --accept 8813.3fa9c1d2")
    sync.add_argument("subscriber", nargs="?", help="read this one alone")
    sync.add_argument("--accept", metavar="SNAPSHOT", help="approve exactly this held reading")
    for name, verb in (("block", "block"), ("unblock", "unblock")):
        sub = command(name, f"{verb} one subscriber for a while, whatever billing says", f'  edged {name} 20417 --for 2h --why "ticket 4471"')
        sub.add_argument("subscriber")
        sub.add_argument("--for", dest="length", default="2h", metavar="DURATION", help="how long; default 2h, at most 31d")
        sub.add_argument("--why", default="", help="for the audit; required")
    _keys_arguments(command("keys", "the Wi-Fi keys", "  edged keys list\n  edged keys add --ssid Residence --label 'Flat 12' --vlan 112"))
    commands.add_parser("schema", help=argparse.SUPPRESS)
    return parser


def _init_arguments(init: argparse.ArgumentParser) -> None:
    init.add_argument("--site", default=os.uname().nodename.partition(".")[0] or "edge")
    init.add_argument("--networks", nargs="+", default=["100.64.0.0/10"], metavar="PREFIX", help="the subscribers' networks")
    init.add_argument("--portal", default="portal.example.net", metavar="HOST", help="host name of the page")
    init.add_argument("--portal-address", nargs="+", default=["203.0.113.10"], metavar="ADDRESS")
    init.add_argument("--billing", default="file:/etc/edged/billing.yaml", metavar="URL", help="https://… (the open feed) or file:PATH")
    init.add_argument("--interface", nargs="+", default=["lan0"], help="where subscribers come in")
    init.add_argument("--force", action="store_true", help="overwrite an existing file")


def _keys_arguments(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    actions.add_parser("list", help="every key, without its passphrase")
    add = actions.add_parser("add", help="make a key; a passphrase is drawn unless one is given")
    add.add_argument("--ssid", required=True)
    for option in ("id", "site", "label", "subscriber"):
        add.add_argument(f"--{option}", default="")
    add.add_argument("--vlan", type=int)
    add.add_argument("--devices", nargs="*", default=[], metavar="MAC")
    add.add_argument("--passphrase-file", type=argparse.FileType(), metavar="FILE", help="- reads standard input")
    load = actions.add_parser("import", help="make the keys of a CSV file, all or none")
    load.add_argument("file", type=argparse.FileType())
    for action in ("revoke", "show"):
        actions.add_parser(action).add_argument("id")


# --- commands ------------------------------------------------------------------------------------


def _run(arguments: Arguments) -> int:
    # imported here: the thin commands must not pay for the daemon
    from edged.daemon import run

    return run(arguments.config, tour=arguments.tour)


def _check(arguments: Arguments) -> int:
    from edged.config import load
    from edged.ops.meaning import meaning
    from edged.ops.text import problems

    path = "-" if str(arguments.config) == "-" else arguments.config
    try:
        loaded = load(path, read_files=not arguments.no_files)
    except ConfigError as error:
        if arguments.json:
            print(json.dumps({"good": False, "problems": [_problem_facts(p) for p in error.problems]}, indent=2))
        else:
            print(_problems(error, "Nothing was changed."))
        return os.EX_CONFIG
    if arguments.json:
        facts = {"good": True, "problems": [_problem_facts(p) for p in loaded.warnings], "meaning": meaning(loaded)}
        print(json.dumps(facts, indent=2))
        return 0
    print(f"{path} is good ({len(loaded.document.lines)} lines, {len(loaded.document.secret_files)} secret files)\n")
    for label, sentence in meaning(loaded).items():
        print(f"  {label:<10}{sentence}")
    if loaded.warnings:
        print("\n" + problems(loaded.warnings, loaded.document.lines, str(path), "The file can be used as it is."))
    return 0


def _problem_facts(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("key", "line", "column", "found", "expected", "hint", "warning")}


def _problems(error: ConfigError, meanwhile: str) -> str:
    from edged.ops.text import problems

    return problems(error.problems, error.lines, error.path or "edged", meanwhile)


def _init(arguments: Arguments) -> int:
    from edged.ops.initial import initial

    path: Path = arguments.config
    if path.exists() and not arguments.force:
        raise Refused(f"{path} exists and was left as it is; --force overwrites it")
    files = initial(arguments, path)
    for file, (content, mode) in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as handle:
            handle.write(content)
        print(f"wrote {file}")
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
        _socket(arguments.config), "sync",
        subscriber=arguments.subscriber, accept=arguments.accept, who=getpass.getuser(),
    )  # fmt: skip
    print(json.dumps(answer, indent=2) if arguments.json else answer["sentence"])
    return 0 if answer["done"] else 1


def _override(arguments: Arguments) -> int:
    from edged.fields import parse_duration

    if not arguments.why.strip():
        raise Refused('--why "…" is missing: the audit wants a reason', 2)
    try:
        seconds = parse_duration(arguments.length)
    except ValueError:
        raise Refused(f'--for "{arguments.length}" is not a duration; 30m, 2h and 7d work', 2) from None
    answer = call(
        _socket(arguments.config), arguments.command,
        subscriber=arguments.subscriber, seconds=seconds, why=arguments.why, who=getpass.getuser(),
    )  # fmt: skip
    print(json.dumps(answer, indent=2) if arguments.json else answer["sentence"])
    return 0


def _keys(arguments: Arguments) -> int:
    request: dict[str, Any] = {"action": arguments.action, "who": getpass.getuser()}
    match arguments.action:
        case "add":
            fields = ("id", "ssid", "site", "label", "subscriber", "vlan", "devices")
            request |= {field: getattr(arguments, field) for field in fields}
            if arguments.passphrase_file:
                request["passphrase"] = arguments.passphrase_file.readline().rstrip("\r\n")
        case "import":
            request["csv"] = arguments.file.read()
        case "revoke" | "show":
            request["id"] = arguments.id
    answer = call(_socket(arguments.config), "keys", **request)
    if arguments.json:
        print(json.dumps(answer, indent=2))
    elif arguments.action == "list":
        from edged.ops import text

        print(text.keys(answer))
    else:
        print(answer["sentence"])
    return 0


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
        data = read(config.read_text("utf-8"), str(config), read_files=False).data
        return Path(data["ops"]["socket"])
    except OSError as error:
        raise Refused(f"{config}: {error.strerror}", os.EX_CONFIG) from None
    except (KeyError, TypeError):
        return _DEFAULT_SOCKET


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
    "keys": _keys,
    "schema": _schema,
}

if __name__ == "__main__":
    raise SystemExit(main())
