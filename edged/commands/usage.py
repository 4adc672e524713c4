# SPDX-License-Identifier: Apache-2.0
"""The words of the command line: each command, its arguments, its examples. Arguments in, a namespace out."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from edged import __version__
from edged.commands.fleetusage import add_arguments as add_fleet_arguments
from edged.commands.init import add_arguments as add_init_arguments
from edged.commands.keyusage import add_arguments as add_key_arguments
from edged.commands.overview import PAGES, ending

DEFAULT_CONFIG = Path("/etc/edged/edged.yaml")

Arguments = argparse.Namespace

_MISTYPED = re.compile(r"argument (COMMAND|ACTION): invalid choice: .(.*). \(choose from (.*)\)", re.DOTALL)
"""As argparse says it."""


class _Parser(argparse.ArgumentParser):
    """argparse, with the nearest command for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        mistyped = _MISTYPED.match(message)
        if mistyped:
            kind, word, choices = mistyped.groups()
            close = difflib.get_close_matches(word, re.findall(r"[a-z]+", choices), n=1)
            message = f'there is no {kind.lower()} "{word}"' + (f'; did you mean "{close[0]}"?' if close else "")
        if message.endswith("required: ACTION"):
            message = f"which action? {self.prog} --help lists them"
        sys.stderr.write(f"edged: {message}\n")
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    """The parser of ``edged`` and of each of its commands."""
    edged = _Parser(prog="edged", description="The edge daemon of an Internet provider.")
    edged.add_argument("-c", "--config", dest="first_config", type=Path, metavar="FILE", help="also after COMMAND")
    edged.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = edged.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (text, examples, arguments) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=ending(examples, PAGES[name]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "-c",
            "--config",
            type=Path,
            default=DEFAULT_CONFIG,
            metavar="FILE",
            help=f"default: {DEFAULT_CONFIG}",
        )
        arguments(command)
    # for editors, not for the overview
    commands.add_parser(
        "schema",
        description="the JSON Schema of the configuration, for editors",
        epilog=ending("edged schema > edged.schema.json\nedged schema | jq .properties.portal", "configure"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return edged


def _facts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="the same facts for a program")
    command.add_argument(
        "--no-color", action="store_true", help="plain text; NO_COLOR in the environment does the same"
    )


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--try", dest="tour", action="store_true", help="print what to try once it serves")


def _check_arguments(check: argparse.ArgumentParser) -> None:
    _facts(check)
    check.add_argument("--strict", action="store_true", help="exit status 78 for a warning, too")
    check.add_argument("--full", action="store_true", help="every key: the value in force, and the line that sets it")
    # without files no page is rendered, so none could be written
    files = check.add_mutually_exclusive_group()
    files.add_argument(
        "--no-files",
        action="store_true",
        help="leave secrets and certificates alone (elsewhere than on the router)",
    )
    files.add_argument(
        "--pages",
        type=Path,
        metavar="DIR",
        help="write every page in every language into DIR, to look at in a browser",
    )


def _status_arguments(status: argparse.ArgumentParser) -> None:
    _facts(status)
    status.add_argument("--healthy", action="store_true", help="exit status 1 when something needs a person")
    status.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")


def _plan_arguments(plan: argparse.ArgumentParser) -> None:
    _facts(plan)
    plan.add_argument(
        "--exit-code", action="store_true", help="exit status 1 when something would change, or could not be read"
    )
    plan.add_argument("--snapshot", metavar="SNAPSHOT", help="were this held reading accepted")
    plan.add_argument(
        "--empty", action="store_true", help="were nobody blocked: what to expect of an edged that leaves"
    )


def _explain_arguments(explain: argparse.ArgumentParser) -> None:
    _facts(explain)
    explain.add_argument(
        "subject",
        help=(
            "an address, a network, a MAC, a subscriber's id, login or page reference, a key's id, a RADIUS client, "
            "an alarm's code, a host name"
        ),
    )
    explain.add_argument("name", nargs="?", help="what about this destination?")


def _log_arguments(life: argparse.ArgumentParser) -> None:
    _facts(life)
    life.add_argument("subject", help="a subscriber's id, or an address, login or page reference of theirs; a key's id")
    life.add_argument("--since", metavar="TIME", help="7d, or 2026-11-27 (the beginning of that day here)")


def _sync_arguments(sync: argparse.ArgumentParser) -> None:
    _facts(sync)
    sync.add_argument("subscriber", nargs="?", help="read this one alone")
    sync.add_argument("--accept", metavar="SNAPSHOT", help="approve exactly this held reading")


def _block_arguments(block: argparse.ArgumentParser) -> None:
    _word_arguments(block, "31d")


def _unblock_arguments(unblock: argparse.ArgumentParser) -> None:
    _word_arguments(unblock, "31d, an exemption 366d")
    unblock.add_argument(
        "--kind", choices=("promise", "exemption"), help="a promise to pay (default), or an exemption until a date"
    )


def _word_arguments(override: argparse.ArgumentParser, longest: str) -> None:
    _facts(override)
    override.add_argument("subscriber", help="billing's id, or an address of theirs")
    override.add_argument("--for", dest="length", metavar="DURATION", help=f"how long; default 2h, at most {longest}")
    override.add_argument(
        "--until", metavar="DATE", help="instead: to the end of 2026-11-27 here, or to 2026-11-27T18:00+01:00"
    )
    override.add_argument("--why", default="", help="for the audit; required")
    override.add_argument("--end", action="store_true", help="take the operator's word back; billing's holds again")


def _pass_arguments(grant: argparse.ArgumentParser) -> None:
    _facts(grant)
    grant.add_argument("subscriber", help="billing's id, or an address of theirs")
    grant.add_argument(
        "--for", dest="length", metavar="DURATION", help="how long; default portal.pass.length, at most 24h"
    )
    grant.add_argument("--why", default="", help="for the audit; required")
    grant.add_argument("--end", action="store_true", help="end the pass that runs now")


def _probe_arguments(probe: argparse.ArgumentParser) -> None:
    _facts(probe)
    probe.add_argument(
        "--as", nargs="+", required=True, metavar="ADDRESS",
        help="whom to play: an address a family, a MAC address, or both; a MAC address alone asks DHCP for the rest",
    )  # fmt: skip
    probe.add_argument("--via", required=True, metavar="INTERFACE", help="on the subscribers' side of the edge")
    for flag, text in (
        ("--gateway", "who routes; default: as DHCP or the router says, else this host's own"),
        ("--resolver", "whom the phone asks for names; default: as DHCP or the router says"),
        ("--public", "a public resolver, an address a family; default: 8.8.8.8 2001:4860:4860::8888"),
    ):
        probe.add_argument(flag, nargs="+", default=[], metavar="ADDRESS", help=text)
    probe.add_argument("--foreign", metavar="NAME", help="a name of the Internet; default: example.com")
    probe.add_argument("--ca", type=Path, metavar="FILE", help="who signed the page's certificate, beside the system's")
    probe.add_argument("--capture", type=Path, metavar="FILE", help="write the frames, ours and those for us (pcap)")


def _doctor_arguments(doctor: argparse.ArgumentParser) -> None:
    _facts(doctor)
    doctor.add_argument("check", nargs="?", help="this one alone")
    doctor.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a file to show to others: no names, addresses or keys"
    )


def _completion_arguments(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")
    completion.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def _keys_arguments(keys: argparse.ArgumentParser) -> None:
    _facts(keys)
    add_key_arguments(keys)


def _fleet_arguments(fleet: argparse.ArgumentParser) -> None:
    _facts(fleet)
    add_fleet_arguments(fleet)


def _routeros_arguments(routeros: argparse.ArgumentParser) -> None:
    routeros.add_argument("action", choices=("script",), metavar="ACTION", help="script: print one for /import")
    routeros.add_argument("router", nargs="?", help="host (or nas) of its entry in enforce, where there are several")
    routeros.add_argument(
        "--from",
        dest="source",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="where edged comes from, as the router sees it, and may come from alone; more than once for more than one",
    )
    routeros.add_argument(
        "--only",
        nargs="+",
        choices=("rules", "access", "dhcp"),
        default=[],
        metavar="PART",
        help="rules (and lists), access (user and API, or CoA), dhcp (option 114); default: all three",
    )
    routeros.add_argument("--remove", action="store_true", help="print what takes all of it away")


_COMMANDS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "run": (
        "run the daemon in the foreground",
        "edged run -c edged.yaml\nedged run -c config/example/edged.yaml --try",
        _run_arguments,
    ),
    "hub": (
        "run a hub alone: what edges ask, and nothing that subscribers meet",
        "edged hub\nedged hub -c hub.yaml",
        lambda _: None,
    ),
    "check": (
        "check a configuration and say what it means",
        "edged check\nedged check -c - < edged.yaml",
        _check_arguments,
    ),
    "init": (
        "write a first configuration; asks on a terminal what no flag says",
        (
            "edged init\n"
            "edged init --no-input --site tower-12 --networks 100.64.0.0/10 2001:db8:100::/40\n"
            "edged init --billing https://billing.example.net --source splynx"
        ),
        add_init_arguments,
    ),
    "status": (
        "is all well, and what needs a person?",
        "edged status\nedged status --watch\nedged status --json | jq .alarms",
        _status_arguments,
    ),
    "explain": (
        "what a line gets, from which rule, since when",
        "edged explain 100.64.7.9\nedged explain 100.64.7.9 js.stripe.com\nedged explain billing-held",
        _explain_arguments,
    ),
    "log": (
        "what befell one subscriber's line: blocked, page, pass, paid, restored, moved, keys",
        "edged log 20417\nedged log 100.64.7.9 --since 7d",
        _log_arguments,
    ),
    "plan": (
        "what would change on each target; changes nothing",
        "edged plan\nedged plan --snapshot 8813.3fa9c1d2\nedged plan --exit-code",
        _plan_arguments,
    ),
    "sync": (
        "read billing now, one subscriber now, or accept a held reading",
        "edged sync\nedged sync --accept 8813.3fa9c1d2",
        _sync_arguments,
    ),
    "block": (
        "block one subscriber for a while, whatever billing says",
        ('edged block 20417 --for 2h --why "ticket 4471"\nedged block 20417 --end --why "the camera is clean"'),
        _block_arguments,
    ),
    "unblock": (
        "open one subscriber's line for a while, whatever billing says",
        (
            'edged unblock 20417 --until 2026-11-27 --why "pays on Friday"\n'
            'edged unblock 20417 --kind exemption --for 90d --why "court order"'
        ),
        _unblock_arguments,
    ),
    "pass": (
        "open a line for some minutes, to pay with: the page's button, by phone",
        ('edged pass 20417 --why "the bank\'s page does not load"\nedged pass T12-7K4M --for 30m --why "on the phone"'),
        _pass_arguments,
    ),
    "reload": ("take the changed file into force, or say why not", "edged reload\nedged reload --json", _facts),
    "routeros": (
        "print the script that prepares a MikroTik router; reads the configuration, asks nobody",
        (
            "edged routeros script --from 192.0.2.10 > edged.rsc\n"
            "edged routeros script 192.0.2.1 --only rules\n"
            "edged routeros script 192.0.2.1 --remove"
        ),
        _routeros_arguments,
    ),
    "probe": (
        "what a blocked phone would meet, tried from a line (root)",
        (
            "edged probe --as 100.64.7.9 --via eth0\n"
            "edged probe --as 100.64.7.9 2001:db8:100:700::9 --via probe0 --capture probe.pcap\n"
            "edged probe --as 02:00:5e:10:00:09 --via eth0"
        ),
        _probe_arguments,
    ),
    "completion": (
        "print the script that lets a shell complete edged's words",
        (
            "edged completion bash > /etc/bash_completion.d/edged\n"
            "edged completion zsh > /usr/local/share/zsh/site-functions/_edged\n"
            "edged completion fish > ~/.config/fish/completions/edged.fish"
        ),
        _completion_arguments,
    ),
    "doctor": (
        "what is wrong with this host, and how to mend it; changes nothing",
        "edged doctor\nedged doctor ports\nedged doctor --report edged-report.txt",
        _doctor_arguments,
    ),
    "keys": (
        "the Wi-Fi keys",
        (
            "edged keys list --site building-7\n"
            "edged keys add --ssid Residence --label 'Flat 12' --vlan 112\n"
            "edged keys generate --ssid Residence --count 40 --prefix flat- --vlan-from 101\n"
            "edged keys sheet --site building-7 --sort unit --out sheets.html\n"
            "edged keys devices --online\n"
            "edged keys rotate flat-12"
        ),
        _keys_arguments,
    ),
    "fleet": (
        "the edges of a hub, asked at the hub",
        "edged fleet status\nedged fleet status tower-12\nedged fleet key\nedged fleet forget tower-12",
        _fleet_arguments,
    ),
}
"""Name to what it does, examples, and its arguments."""
