# SPDX-License-Identifier: Apache-2.0
"""Questions to the daemon that change nothing: status, explain, plan."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

from edged.commands.reach import socket_of
from edged.ops.control import Refused, call

Arguments = argparse.Namespace


def asked(command: str, render: str, *fields: str) -> Callable[[Arguments], int]:
    """A command that asks the daemon and prints the answer for people or for programs."""

    def ask(arguments: Arguments) -> int:
        answer = call(socket_of(arguments.config), command, **{f: getattr(arguments, f) for f in fields})
        if arguments.json:
            print(json.dumps(answer, indent=2))
            return 0
        from edged.ops import text

        print(getattr(text, render)(answer))
        return 0

    return ask


def plan(arguments: Arguments) -> int:
    """``edged plan``, of the daemon; where none runs, from the configuration and the last good list."""
    try:
        return asked("plan", "plan")(arguments)
    except Refused as refusal:
        if refusal.status != os.EX_UNAVAILABLE:
            raise
    from edged.ops import text
    from edged.ops.offline import offline_plan

    answer = offline_plan(arguments.config)
    print(json.dumps(answer, indent=2) if arguments.json else text.plan(answer))
    return 0
