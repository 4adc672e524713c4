# SPDX-License-Identifier: Apache-2.0
"""Questions to the daemon that change nothing: status, explain, plan, log."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from edged.commands.reach import socket_of
from edged.commands.terminal import answer, repaint, repaints, screen, waiting
from edged.errors import ConfigError, UpstreamError
from edged.ops import text
from edged.ops.control import Refused, call

Arguments = argparse.Namespace

WATCH_EVERY_S = 2.0
"""Seconds between two looks of ``edged status --watch``."""


def _asked(arguments: Arguments, command: str, **request: Any) -> Any:
    """The daemon's answer."""
    with waiting("asking edged"):
        return call(socket_of(arguments.config), command, **request)


def status(arguments: Arguments) -> int:
    """``edged status``; with ``--healthy`` 1 when something needs a person."""
    if arguments.watch:
        return _watch(arguments)
    facts = _asked(arguments, "status")
    answer(arguments, facts, text.status)
    return 1 if arguments.healthy and facts["alarms"] else 0


def _watch(arguments: Arguments) -> int:
    """Until Ctrl-C; a daemon that is away, or comes back, is no reason to end."""
    if arguments.json or arguments.healthy or not repaints(sys.stdout):
        raise Refused("--watch repaints a terminal: there must be one, and no --json or --healthy", 2)
    socket = socket_of(arguments.config)
    print(end="\033[2J")
    with suppress(KeyboardInterrupt):
        while True:
            on = screen(arguments)  # it may be wider by now
            try:
                shown = text.status(call(socket, "status"))
            except Refused as refusal:
                shown = f"edged: {refusal}"
            repaint(on, f"{shown}\n\n{text.moment(time.time())}, again every {WATCH_EVERY_S:.0f} s; Ctrl-C ends it")
            time.sleep(WATCH_EVERY_S)
    return 0


def explain(arguments: Arguments) -> int:
    """``edged explain``; of an alarm's code its entry in the manual, also where no daemon runs."""
    from edged.ops import manual

    if arguments.subject in manual.CODES:
        answer(arguments, manual.facts(arguments.subject, _standing(arguments)), manual.text)
        return 0
    try:
        facts = _asked(arguments, "explain", subject=arguments.subject, name=arguments.name)
    except Refused as refusal:
        close = get_close_matches(arguments.subject, manual.CODES, n=1, cutoff=0.8)
        if not close:
            raise
        raise Refused(f'{refusal}; did you mean the alarm "{close[0]}"?', refusal.status) from None
    answer(arguments, facts, text.explain)
    return 0


def _standing(arguments: Arguments) -> str | None:
    """What the alarm of that code says now; empty: it is not up, None: nobody can say."""
    try:
        alarms = _asked(arguments, "status")["alarms"]
    except Refused:
        return None
    return "; ".join(alarm["sentence"] for alarm in alarms if alarm["code"] == arguments.subject)


def plan(arguments: Arguments) -> int:
    """``edged plan``, of the daemon; where none runs, from the configuration and the last good list."""
    try:
        facts = _asked(arguments, "plan", empty=arguments.empty, snapshot=arguments.snapshot)
    except Refused as refusal:
        if refusal.status != os.EX_UNAVAILABLE or arguments.empty or arguments.snapshot:
            raise
        from edged.ops.offline import offline_plan

        with waiting("reading the last list"):
            facts = offline_plan(arguments.config)
    answer(arguments, facts, text.plan, paged=True)
    return 1 if arguments.exit_code and not facts["settled"] else 0


def log(arguments: Arguments) -> int:
    """``edged log``, of the daemon; where none runs, from its database."""
    from edged.ops.deadline import parse_since
    from edged.ops.life.answer import text as life

    since = parse_since(arguments.since, time.time()) if arguments.since is not None else 0.0
    try:
        facts = _asked(arguments, "log", subject=arguments.subject, since=since)
    except Refused as refusal:
        if refusal.status != os.EX_UNAVAILABLE:
            raise
        facts = _offline_log(arguments, since, refusal)
    answer(arguments, facts, life, paged=True)
    return 0


def _offline_log(arguments: Arguments, since: float, away: Refused) -> Any:
    """From the database; ``away`` again where that cannot be read, by whoever is no administrator above all."""
    from edged.ops.offline import offline_log

    try:
        return offline_log(arguments.config, arguments.subject, since)
    except (UpstreamError, ConfigError):
        raise away from None
