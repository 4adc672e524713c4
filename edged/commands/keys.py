# SPDX-License-Identifier: Apache-2.0
"""``edged keys``: what the daemon is asked, and its answer for people or for programs."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import Any

from edged.commands import keyusage
from edged.commands.reach import clear, progress, socket_of, who
from edged.commands.terminal import answer as tell
from edged.commands.terminal import waiting
from edged.ops import text
from edged.ops.control import Refused, call

Arguments = argparse.Namespace


def keys(arguments: Arguments) -> int:
    """``edged keys ACTION``."""
    if arguments.action in {"sheet", "devices"}:
        return _residents(arguments)
    try:
        request = keyusage.request_of(arguments) | {"who": who()}
    except UnicodeDecodeError:
        raise Refused("that file is not UTF-8 text") from None
    onward = None if arguments.json else progress("")
    answer = keyusage.asked(request, lambda asked: call(socket_of(arguments.config), "keys", tell=onward, **asked))
    clear()
    if arguments.action == "export":
        answer = keyusage.written(arguments, answer)
    if arguments.action == "list":
        tell(arguments, answer, text.keys, paged=True)
    elif arguments.action == "export" and arguments.out is None and not arguments.json:
        print(end=str(answer["csv"]))
    else:
        # a passphrase stands in some: no pager keeps one
        tell(arguments, answer, lambda facts: str(facts["sentence"]))
    return 0


def _residents(arguments: Arguments) -> int:
    """What the daemon answers in parts."""
    socket = socket_of(arguments.config)

    def ask(**request: Any) -> Any:
        return call(socket, f"keys-{arguments.action}", who=who(), **request)

    if arguments.action == "sheet":
        from edged.ops.keys.handout import hand_out

        answer = hand_out(ask, arguments)
        # the sheets themselves may be on standard output
        sys.stderr.write("" if arguments.json or not answer["files"] else answer["sentence"] + "\n")
        if arguments.json and answer["files"]:
            print(json.dumps(answer, indent=2))
        return 0
    from edged.ops.keys.devices import all_devices, devices_text

    with waiting("asking edged"):
        answer = all_devices(ask, id=arguments.id, site=arguments.site, online=arguments.online)
    narrowed = bool(arguments.id or arguments.site or arguments.online)
    tell(arguments, answer, partial(devices_text, narrowed=narrowed), paged=True)
    return 0
