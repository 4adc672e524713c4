# SPDX-License-Identifier: Apache-2.0
"""The ``edged`` command. Thin: it checks a file itself, and asks the running daemon for everything else.

Exit status: 0 done, 1 refused or not found, 2 usage, 69 the daemon cannot be reached, 78 a bad configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from edged.commands import completion, configuration, facts, fleet, host, init, keys, words
from edged.commands.overview import OVERVIEW
from edged.commands.terminal import harmless
from edged.commands.usage import parser
from edged.errors import ConfigError
from edged.ops import logs
from edged.ops.control import Refused

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    logs.of_a_command()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    try:
        try:
            return _answered(parser().parse_args(words))
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
        if arguments.command is None:
            print(OVERVIEW)
            return 0
        return COMMANDS[arguments.command](arguments)
    except Refused as refusal:
        sys.stderr.write(f"edged: {harmless(str(refusal))}\n")
        if refusal.status == os.EX_UNAVAILABLE:
            sys.stderr.write(f"  {_where_to_look(arguments)}\n")
        return refusal.status
    except ConfigError as error:
        sys.stderr.write(configuration.refusal(error) + "\n")
        return os.EX_CONFIG
    except KeyboardInterrupt:
        return 130


def _where_to_look(arguments: Arguments) -> str:
    """What may be done about a daemon that does not answer."""
    try:
        arguments.config.stat()
    except FileNotFoundError:
        return f"there is no {arguments.config} yet: edged init writes it"
    except OSError:
        pass  # somebody else's to read
    return "systemctl status edged      journalctl -u edged -n 20"


COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "run": host.run,
    "hub": host.hub,
    "check": configuration.check,
    "init": init.init,
    "status": facts.status,
    "explain": facts.explain,
    "plan": facts.plan,
    "log": facts.log,
    "sync": words.sync,
    "block": words.override,
    "unblock": words.override,
    "pass": words.grant,
    "keys": keys.keys,
    "fleet": fleet.fleet,
    "reload": words.reload,
    "routeros": configuration.routeros,
    "doctor": host.doctor,
    "probe": host.probe,
    "completion": completion.completion,
    "schema": configuration.schema,
}

if __name__ == "__main__":
    raise SystemExit(main())
