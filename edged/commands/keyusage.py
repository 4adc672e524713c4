# SPDX-License-Identifier: Apache-2.0
"""``edged keys`` on the command line: its actions and their arguments, and the request that each becomes.

Files and the terminal are touched here; the daemon does the rest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.commands.actions import Actions, add_actions
from edged.ops.control import SCHEMA, Refused
from edged.ops.outfile import put

Arguments = argparse.Namespace
Request = dict[str, Any]
Ask = Callable[[Request], Any]

_STATES = ("good", "deriving", "not-yet-valid", "expired", "revoked", "not-unique", "weak")
_END = "2026-11-27 (the end of that day here) or 2026-11-27T18:00+01:00"
_BEGINNING = "2026-11-27 (the beginning of that day here) or 2026-11-27T18:00+01:00"


def add_arguments(keys: argparse.ArgumentParser) -> None:
    """The actions of ``edged keys``."""
    add_actions(keys, _ACTIONS)


def _list(action: argparse.ArgumentParser) -> None:
    _which(action)
    action.add_argument("--subscriber", help="of this subscriber alone")
    action.add_argument("--state", choices=_STATES, metavar="STATE", help=", ".join(_STATES))
    action.add_argument("--origin", choices=("billing", "local"), help="who made them: billing, or you")


def _which(action: argparse.ArgumentParser) -> None:
    action.add_argument("--site", help="of this site alone")
    action.add_argument("--ssid", help="of this network alone")


def _common(action: argparse.ArgumentParser) -> None:
    """What a key may have besides its passphrase."""
    action.add_argument("--site", default="", help="good at this site alone")
    action.add_argument("--device-limit", type=int, metavar="N", help="default: devices_per_key of the network")
    action.add_argument("--rate", metavar="DOWN/UP", help="such as 100M/20M; default: rate of the network")
    action.add_argument("--from", dest="begins", metavar="TIME", help=f"good from then on: {_BEGINNING}")
    action.add_argument("--until", dest="ends", metavar="TIME", help=f"good until then: {_END}")


def _style(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--style", choices=("readable", "random"), default="readable",
        help="bado-kefi-sumo-teri-47 (default), or 7mvq-3hnd-w4xt",
    )  # fmt: skip
    action.add_argument("--length", type=int, metavar="N", help="random characters of --style random; default 12")
    action.add_argument("--word", action="store_true", help="with --style random, a word first: wren-7mvq-3hnd-w4xt")


def _wait(action: argparse.ArgumentParser) -> None:
    action.add_argument("--wait", action="store_true", help="return when every PMK is derived, and say how far it is")


def _passphrase(action: argparse.ArgumentParser) -> None:
    action.add_argument("--passphrase-file", type=argparse.FileType(), metavar="FILE", help="- reads standard input")


def _add(action: argparse.ArgumentParser) -> None:
    action.add_argument("--ssid", required=True, help="the network, as in mpsk.networks")
    for option, text in (
        ("id", "default: drawn"),
        ("label", "whose it is"),
        ("subscriber", "billing's id of the owner"),
    ):
        action.add_argument(f"--{option}", default="", help=text)
    _common(action)
    action.add_argument("--vlan", type=int, help="default: vlan of the network")
    action.add_argument("--devices", nargs="*", default=[], metavar="MAC", help="good for these alone")
    _passphrase(action)


def _generate(action: argparse.ArgumentParser) -> None:
    action.add_argument("--ssid", dest="ssids", action="append", required=True, help="again for a second network")
    many = action.add_mutually_exclusive_group(required=True)
    many.add_argument("--count", type=int, metavar="N", help="so many keys")
    many.add_argument(
        "--units", type=argparse.FileType(), metavar="FILE", help="a key for each line, which is its label; - is stdin"
    )
    action.add_argument("--first", type=int, metavar="N", help="with --count: the first number; default 1")
    action.add_argument("--prefix", help="ids are PREFIX and the unit: flat-12; default: drawn")
    action.add_argument("--label", help='with {} for the unit; default "{}"')
    action.add_argument("--vlan-from", type=int, metavar="N", help="the first unit's VLAN; the next has the next")
    _common(action)
    _style(action)
    _wait(action)


def _import(action: argparse.ArgumentParser) -> None:
    action.add_argument("file", type=argparse.FileType(), help="- reads standard input")
    _wait(action)


def _export(action: argparse.ArgumentParser) -> None:
    _which(action)
    action.add_argument("--subscriber", help="of this subscriber alone")
    action.add_argument("--origin", choices=("billing", "local", "all"), default="local", help="default: local")
    action.add_argument("--reveal", action="store_true", help="with the passphrases; the audit notes it")
    action.add_argument("--out", type=Path, metavar="FILE", help="write there, mode 0600; default: standard output")


def _rotate(action: argparse.ArgumentParser) -> None:
    action.add_argument("ids", nargs="*", metavar="ID", help="these keys; else --site and --ssid")
    _which(action)
    when = action.add_mutually_exclusive_group()
    when.add_argument("--at", metavar="TIME", help=f"prepare it: the new passphrase begins then, {_BEGINNING}")
    when.add_argument("--now", dest="leaked", action="store_true", help="it has leaked: the old one ends, devices go")
    when.add_argument("--undo", action="store_true", help="back to the passphrases of before, while both are good")
    action.add_argument("--overlap", metavar="DURATION", help="the old one stays good so long; default rotate_overlap")
    action.add_argument("--yes", type=int, metavar="N", help="for scripts: change exactly so many without asking")
    _passphrase(action)
    _style(action)
    _wait(action)


def _expire(action: argparse.ArgumentParser) -> None:
    action.add_argument("ids", nargs="+", metavar="ID", help="these keys")
    action.add_argument("ends", metavar="TIME", help=f"{_END}; never")


def _revoke(action: argparse.ArgumentParser) -> None:
    action.add_argument("ids", nargs="+", metavar="ID", help="these keys")
    action.add_argument("--undo", action="store_true", help="good again, with its present passphrase")


def _allow(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", help="a key's id")
    action.add_argument("devices", nargs="*", metavar="MAC", help="addresses of devices")
    action.add_argument("--only", action="store_true", help="from now on good for listed devices alone")
    action.add_argument("--any", action="store_true", help="good for every device again")


def _forget(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", help="a key's id")
    action.add_argument("devices", nargs=1, metavar="MAC", help="the device's address")


def _show(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", help="a key's id")
    action.add_argument("--reveal", action="store_true", help="also where the output is no terminal")


def _sheet(action: argparse.ArgumentParser) -> None:
    action.add_argument("ids", nargs="*", metavar="ID", help="a key's id")
    action.add_argument("--site", help="every good key of this site")
    action.add_argument("--ssid", help="every good key of this network")
    action.add_argument("--sort", choices=("unit", "floor", "id"), default="unit", help="default: by site and unit")
    action.add_argument("--size", choices=("a4", "letter"), default="a4", help="the paper; default: a4")
    action.add_argument("--cards", action="store_true", help="eight on a page, to cut, instead of a page each")
    action.add_argument("--language", metavar="TAG[,TAG]", help="en, or en,es: the second on the back")
    action.add_argument("--brand", default="default", help="of portal.brands; default: default")
    action.add_argument("--out", metavar="FILE|DIR", help="where to; a folder: a file for each key; -: standard output")
    action.add_argument("--csv", action="store_true", help="a table for mail merge instead")
    action.add_argument("--qr", choices=("svg", "png"), help="the code alone instead, for a message")
    action.add_argument("--reveal", action="store_true", help="yes, in clear: needed where the output is no terminal")


def _devices(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", nargs="?", help="of this key alone")
    action.add_argument("--site", help="of this site alone")
    action.add_argument("--online", action="store_true", help="those that are online now")


_ACTIONS: Actions = {
    "list": ("every key, without its passphrase", _list),
    "add": ("make a key; a passphrase is drawn unless one is given", _add),
    "generate": ("make many keys, one a unit", _generate),
    "import": ("make the keys of a CSV file, all or none", _import),
    "export": ("the keys as CSV, for import, a spreadsheet or a backup", _export),
    "rotate": ("another passphrase; the old one stays good for a while", _rotate),
    "expire": ("say when keys of your own making end", _expire),
    "revoke": ("end keys of your own making now", _revoke),
    "allow": ("register devices for a key before they use it", _allow),
    "forget": ("take a device's place on a key away, and disconnect it", _forget),
    "show": ("the passphrase of one key; the audit notes it", _show),
    "sheet": ("a page to print for each resident, with the key in clear; the audit notes it", _sheet),
    "devices": ("which device uses which key: online or last seen, since when, how much", _devices),
    "reseal": ("change the key that seals the passphrases on disk", lambda _action: None),
}


# --- requests ------------------------------------------------------------------------------------


def request_of(arguments: Arguments) -> Request:
    """What the daemon is asked. ``Refused`` with status 2."""
    left = {"command", "config", "first_config", "json", "no_color", "passphrase_file", "file", "yes", "out"}
    given = {name: value for name, value in vars(arguments).items() if name not in left and value not in (None, "")}
    for name, option in (("begins", "--from"), ("ends", "--until"), ("at", "--at")):
        if name in given:
            given[name] = _time(given[name], option if arguments.action != "expire" else "TIME")
    if "overlap" in given:
        given["overlap"] = _overlap(given["overlap"])
    if getattr(arguments, "passphrase_file", None):
        with arguments.passphrase_file as file:
            given["passphrase"] = file.readline().rstrip("\r\n")
    if arguments.action == "import":
        with arguments.file as file:
            given["csv"] = file.read()
    if given.get("units") is not None:
        with arguments.units as file:
            given["units"] = file.read().removeprefix("\ufeff").splitlines()
    return _checked(arguments, given)


def _checked(arguments: Arguments, given: Request) -> Request:
    """Slips that need no daemon to be seen."""
    match arguments.action:
        case "show" if not arguments.reveal and not sys.stdout.isatty():
            raise Refused("the output is no terminal: a passphrase goes there with --reveal alone", 2)
        case "export":
            if given["origin"] == "all":
                del given["origin"]
        case "rotate":
            chosen = bool(arguments.site or arguments.ssid)
            if bool(arguments.ids) == chosen:
                raise Refused("which keys? either IDs, or --site and --ssid", 2)
            if arguments.overlap and arguments.leaked:
                raise Refused("--now ends the old passphrase: no --overlap goes with it", 2)
            if arguments.yes is not None:
                given["count"] = arguments.yes
        case _:
            pass
    return given


def _time(text: str, option: str) -> float:
    from edged.ops.deadline import parse_from, parse_until

    if option == "TIME" and text == "never":
        return 0.0
    begins = option in {"--from", "--at"}
    try:
        return parse_from(text) if begins else parse_until(text)
    except Refused:
        work = f"{_BEGINNING if begins else _END} work" + ("; never too" if option == "TIME" else "")
        raise Refused(f'{option} "{text[:40]}" is no time; {work}', 2) from None


def _overlap(text: str) -> float:
    from edged.fields import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise Refused(f'--overlap "{text[:40]}" is not a duration; 0s, 12h and 7d work', 2) from None


# --- asking --------------------------------------------------------------------------------------


def asked(request: Request, ask: Ask) -> Any:
    """The daemon's answer; what changes many keys at once is asked about first."""
    answer = ask(request)
    if "asks" not in answer:
        return answer
    count = answer["asks"]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{answer['sentence']}; a script says so with --yes {count}")
    sys.stderr.write(f"{answer['sentence']}. Type {count} to go on: ")
    sys.stderr.flush()
    typed = sys.stdin.readline().strip()
    if typed != str(count):
        raise Refused("nothing was changed")
    return ask({**request, "count": count})


def written(arguments: Arguments, answer: Any) -> Any:
    """An export's answer: as it came, or without the CSV and with the file where that was put. ``Refused``."""
    if arguments.out is None:
        return answer
    try:
        put(arguments.out, str(answer["csv"]).encode())
    except OSError as error:
        raise Refused(f"{arguments.out} was not written: {error.strerror}") from None
    keys = "1 key was" if answer["count"] == 1 else f"{answer['count']:,} keys were"
    sentence = f"{keys} written to {arguments.out}, {_with(answer['count'], passphrases=arguments.reveal)}"
    return {"schema": SCHEMA, "count": answer["count"], "file": str(arguments.out), "sentence": sentence}


def _with(count: int, *, passphrases: bool) -> str:
    whose = "its passphrase" if count == 1 else "their passphrases"
    # an import of such a file draws new ones
    return f"with {whose} in clear" if passphrases else f"without {whose}: --reveal"
