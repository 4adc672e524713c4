# SPDX-License-Identifier: Apache-2.0
"""What an operator says to the daemon: sync, reload, block, unblock, pass."""

from __future__ import annotations

import argparse
import os
from typing import Any

from edged.commands.reach import clear, progress, socket_of, who
from edged.commands.terminal import answer as tell
from edged.commands.terminal import waiting
from edged.ops.control import Refused, call

Arguments = argparse.Namespace


def sync(arguments: Arguments) -> int:
    """``edged sync``."""
    answer = call(
        socket_of(arguments.config), "sync", tell=None if arguments.json else progress(),
        subscriber=arguments.subscriber, accept=arguments.accept, who=who(),
    )  # fmt: skip
    clear()
    tell(arguments, answer, _sentence)
    return 0 if answer["done"] else 1


def reload(arguments: Arguments) -> int:
    """``edged reload``."""
    with waiting("reading the configuration"):
        answer = call(socket_of(arguments.config), "reload")
    tell(arguments, answer, _sentence)
    return 0 if answer["done"] else os.EX_CONFIG


def _sentence(answer: Any) -> str:
    return str(answer["sentence"])


def override(arguments: Arguments) -> int:
    """``edged block`` and ``edged unblock``."""
    from edged.ops.deadline import end_of

    _refuse_no_reason(arguments)
    request: dict[str, Any] = {"kind": getattr(arguments, "kind", None)}
    if not arguments.end:
        request |= end_of(arguments.length, arguments.until)
    elif any(request.values()) or arguments.length is not None or arguments.until is not None:
        raise Refused("--end takes the word back now: no --for, --until or --kind goes with it", 2)
    return _said(arguments, end=arguments.end, **request)


def grant(arguments: Arguments) -> int:
    """``edged pass``."""
    from edged.ops.deadline import end_of

    _refuse_no_reason(arguments)
    if arguments.end and arguments.length is not None:
        raise Refused("--end ends the pass now: no --for goes with it", 2)
    return _said(arguments, end=arguments.end, **({} if arguments.end else end_of(arguments.length, None)))


def _refuse_no_reason(arguments: Arguments) -> None:
    if not arguments.why.strip():
        raise Refused('--why "…" is missing: the audit wants a reason', 2)


def _said(arguments: Arguments, **request: Any) -> int:
    """An operator's word on one subscriber, and the daemon's answer to it."""
    answer = call(
        socket_of(arguments.config), arguments.command,
        subscriber=arguments.subscriber, why=arguments.why, who=who(), **request,
    )  # fmt: skip
    tell(arguments, answer, _sentence)
    return 0
