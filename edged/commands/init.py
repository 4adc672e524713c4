# SPDX-License-Identifier: Apache-2.0
"""``edged init``: a few questions or as many flags, and a first configuration. I/O: files, the terminal."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edged.ops.control import Refused

if TYPE_CHECKING:
    from edged.ops.init.configuration import Answers
    from edged.ops.init.suggestions import Shown
    from edged.ops.init.trying import Trouble

Arguments = argparse.Namespace
_SOURCES = ("file", "rest", "hub", "splynx", "uisp")
_TARGETS = ("nftables", "routeros", "none")


def _host(text: str) -> str:
    """A host, also where its URL was pasted."""
    return text.removeprefix("https://").rstrip("/")


def add_arguments(init: argparse.ArgumentParser) -> None:
    """Every answer as a flag; what is left out is asked for on a terminal."""
    init.add_argument("--site", help="the name of this edge; default: the host's")
    init.add_argument("--networks", nargs="+", metavar="PREFIX", help="the subscribers' networks")
    init.add_argument("--portal", type=_host, metavar="HOST", help="host name of the page")
    init.add_argument("--portal-address", nargs="+", metavar="ADDRESS", help="the page's, of this host")
    init.add_argument(
        "--billing",
        metavar="URL",
        help="https://… (the billing system of --source) or file:PATH; default: billing.yaml beside the configuration",
    )
    init.add_argument("--source", choices=_SOURCES[1:], help="what answers there; default: rest, the open feed")
    init.add_argument("--signed-by", metavar="KEY", help="the public key of --source hub: edged fleet key, there")
    init.add_argument("--target", choices=_TARGETS, help="what stops blocked lines; default: nftables, this host")
    init.add_argument("--interface", nargs="+", help="where subscribers come in (nftables)")
    init.add_argument("--router", metavar="HOST", help="the MikroTik router (routeros)")
    init.add_argument("--router-user", default="edged", metavar="NAME", help="of its API; default: edged")
    init.add_argument("--no-input", action="store_true", help="ask nothing, also on a terminal")
    init.add_argument("--force", action="store_true", help="overwrite an existing file")


def init(arguments: Arguments) -> int:
    """``edged init``."""
    from edged.commands import asking
    from edged.config.loading import loaded_text
    from edged.ops.init.configuration import announcement, initial

    path: Path = arguments.config.absolute()
    if path.exists() and not arguments.force:
        raise Refused(f"{path} exists and was left as it is; --force overwrites it")
    is_asked = asking.is_there(arguments.no_input)
    _agree(arguments, is_asked=is_asked)
    try:
        answers = _asked(arguments, path) if is_asked else _given(arguments)
    except (EOFError, KeyboardInterrupt):
        print()
        raise Refused("nothing was written", 130) from None
    files = initial(answers, path)
    # what the answers make is checked before anything is written: a typo shows here and not at the first start
    loaded_text(files[path][0], str(path), read_files=False)
    for file, (content, mode) in files.items():
        _write(file, content, mode)
    empty = [str(file) for file, (content, mode) in files.items() if mode == 0o600 and not content]
    print("\n" + announcement(answers.portal), end="")
    if empty:
        print(f"\nStill empty, and wanted by edged check:  {'  '.join(empty)}")
    print(f"\nIt begins in mode: watch, which changes nothing for anyone.\nNext:  edged check -c {path}")
    return 0


def _agree(arguments: Arguments, *, is_asked: bool) -> None:
    """Refused where a flag of billing would be passed over, or is missing and not ``is_asked`` for."""
    source, url = arguments.source, arguments.billing or ""
    if source is not None and (url.startswith("file:") or not (url or is_asked)):
        raise Refused(f"--source {source} wants its URL: --billing https://…")
    if source == "hub" and not (arguments.signed_by or is_asked):
        raise Refused("--source hub wants --signed-by KEY: edged fleet key on the hub prints it")
    if arguments.signed_by is not None and source not in {"hub", None if is_asked else "hub"}:
        raise Refused("--signed-by goes with --source hub")


def _write(file: Path, content: str, mode: int) -> None:
    is_secret = mode == 0o600
    # the folder of secrets is the daemon's: a link in it may lead root to any file of the host
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_NOFOLLOW if is_secret else 0)
    try:
        file.parent.mkdir(mode=0o700 if is_secret else 0o755, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, flags, mode), "w", encoding="utf-8") as handle:
            if is_secret:
                os.fchmod(handle.fileno(), mode)  # also one that was there with another
            handle.write(content)
            if os.geteuid() == 0:
                # root writes it for the daemon: it belongs to whom its folder belongs to
                folder = file.parent.stat()
                os.fchown(handle.fileno(), folder.st_uid, folder.st_gid)
    except OSError as error:
        raise Refused(f"{file} was not written: {error.strerror}") from None
    print(f"wrote {file}")


def _given(arguments: Arguments) -> Answers:
    """The flags, and for what is left out what the manual's examples have."""
    from edged.ops.init.configuration import Answers

    billing = arguments.billing or ""
    is_file = not billing or billing.startswith("file:")
    return Answers(
        site=arguments.site or os.uname().nodename.partition(".")[0] or "edge",
        networks=tuple(arguments.networks or ("100.64.0.0/10",)),
        portal=arguments.portal or "portal.example.net",
        addresses=tuple(arguments.portal_address or ("203.0.113.10",)),
        target=arguments.target or ("routeros" if arguments.router else "nftables"),
        interfaces=tuple(arguments.interface or ("lan0",)),
        router=arguments.router or "192.0.2.1",
        router_user=arguments.router_user,
        source="file" if is_file else arguments.source or "rest",
        billing=billing.removeprefix("file:"),
        signed_by=arguments.signed_by or "",
    )


# --- at a terminal -------------------------------------------------------------------------------


def _asked(arguments: Arguments, path: Path) -> Answers:
    """The flags, and an answer to each question that they leave. EOFError, KeyboardInterrupt; Refused at once."""
    from edged.commands.asking import prepare
    from edged.ops.init.suggestions import shown

    folder = next(parent for parent in path.parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise Refused(f"you may not write to {folder}: become root, or -c FILE somewhere else")
    prepare()
    here = shown()
    print("A few questions. Enter takes what stands in brackets; Ctrl-C ends it, and nothing is written.\n")
    answers = _of_this_host(arguments, _given(arguments), here)
    answers = _of_the_page(arguments, answers, here)
    answers = _of_billing(arguments, answers, path)
    print()
    return answers


def _of_this_host(arguments: Arguments, answers: Answers, here: Shown) -> Answers:
    from edged.commands.asking import ask, ask_secret, tell
    from edged.ops.init import trying
    from edged.ops.init.configuration import ROUTER_SECRET

    if arguments.site is None:
        answers = replace(answers, site=ask("Name of this edge", answers.site, lambda _: None))
    if arguments.target is None and arguments.router is None and arguments.interface is None:
        print("Where this host routes, nftables stops blocked lines; where a MikroTik router does, routeros.")
        question = "What stops them (nftables, routeros or none)"
        answers = replace(answers, target=ask(question, "nftables", lambda word: _one_of(word, _TARGETS)))
    if (trouble := trying.ports(answers.target)) is not None:
        tell(trouble)
    elif answers.target == "nftables" and (held := trying.port_53()):
        print(f"  {held}, and may stay: edged listens on 5300, and its table leads DNS there.")
    if answers.target == "nftables" and arguments.interface is None:
        said = ask(
            "Interfaces where subscribers come in", " ".join(here.interfaces(answers.interfaces)),
            lambda text: trying.interfaces(text.split()),
        )  # fmt: skip
        answers = replace(answers, interfaces=tuple(said.split()))
    if answers.target == "routeros":
        if arguments.router is None:
            answers = replace(answers, router=ask("Address of the router", answers.router, trying.router))
        secret = ask_secret(f"The password of its API user {answers.router_user}", f"secrets/{ROUTER_SECRET}")
        answers = replace(answers, secrets={ROUTER_SECRET: secret} if secret else {})
    if arguments.networks is None:
        said = ask(
            "The subscribers' networks", " ".join(here.networks(answers)), lambda text: trying.networks(text.split())
        )
        answers = replace(answers, networks=tuple(said.split()))
    return answers


def _one_of(word: str, words: tuple[str, ...]) -> Trouble | None:
    from edged.ops.init.trying import Trouble

    return None if word in words else Trouble(f'"{word}" is none of them', ", ".join(words), must=True)


def _of_the_page(arguments: Arguments, answers: Answers, here: Shown) -> Answers:
    from edged.commands.asking import ask
    from edged.ops.init import trying

    if arguments.portal_address is None:
        said = ask(
            "Addresses of the page, of this host", " ".join(here.portal_addresses(answers)),
            lambda text: trying.addresses(text.split(), here.addresses),
        )  # fmt: skip
        answers = replace(answers, addresses=tuple(said.split()))
    if arguments.portal is None:
        said = ask(
            "Host name of the page",
            here.portal(answers.portal),
            lambda text: trying.portal(_host(text), answers.addresses, here.addresses),
        )
        answers = replace(answers, portal=_host(said))
    return answers


def _of_billing(arguments: Arguments, answers: Answers, path: Path) -> Answers:
    """Until billing lets us in, or somebody goes on all the same."""
    from edged.commands.asking import ask, insists
    from edged.commands.terminal import waiting
    from edged.ops.init import trying

    if arguments.billing is None and arguments.source is None:
        kinds = "Billing: file, rest (the open feed), hub, splynx or uisp"
        said = ask(kinds, "file", lambda word: _one_of(word, _SOURCES))
        answers = replace(answers, source=said)
    elif arguments.source is not None:
        answers = replace(answers, source=arguments.source)
    if answers.source == "file":
        if arguments.billing is None:
            beside = str(path.parent / "billing.yaml")
            answers = replace(answers, billing=ask("The file with the lists", beside, trying.billing_file))
        return answers
    again = False
    while True:
        answers = _with_place(arguments, answers)
        answers, secrets = _with_secrets(answers, path, again=again)
        if len(secrets) < len(_wanted(answers)):
            return answers
        with waiting("  asking billing"):
            trouble = trying.billing(answers.source, answers.billing, secrets, answers.signed_by)
        if trouble is None:
            print(f"  {answers.source} lets us in.")
            return answers
        if insists(trouble):
            return answers
        again = True


def _with_place(arguments: Arguments, answers: Answers) -> Answers:
    """Where billing is, and by which key its hub is known."""
    from edged.commands.asking import ask
    from edged.ops.init import trying

    if arguments.billing is None:
        url = answers.billing or "https://billing.example.net"
        answers = replace(answers, billing=ask("Its URL", url, _is_url))
    if answers.source == "hub" and arguments.signed_by is None:
        answers = replace(answers, signed_by=ask("The hub's public key", answers.signed_by, trying.public_key))
    return answers


def _is_url(text: str) -> Trouble | None:
    from edged.ops.init.trying import Trouble

    is_one = text.startswith(("https://", "http://")) and " " not in text
    return None if is_one else Trouble(f"{text} is no URL", "as https://billing.example.net", must=True)


def _wanted(answers: Answers) -> dict[str, tuple[str, str]]:
    from edged.ops.init.configuration import BILLING_SECRETS

    return BILLING_SECRETS[answers.source]


def _with_secrets(answers: Answers, path: Path, *, again: bool) -> tuple[Answers, dict[str, str]]:
    """What billing knows us by, asked for where no file has it, or ``again``; and all of it by its key."""
    from edged.commands.asking import ask_secret

    given, known = dict(answers.secrets), {}
    for key, (name, meaning) in _wanted(answers).items():
        file = path.parent / "secrets" / name
        try:
            there = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            there = ""
        if there and not again:
            print(f"  {file} is there and stays.")
            known[key] = there
        elif secret := ask_secret(f"For {answers.source}, {meaning}", f"secrets/{name}"):
            given[name] = known[key] = secret
        elif kept := given.get(name) or there:
            known[key] = kept
    return replace(answers, secrets=given), known
