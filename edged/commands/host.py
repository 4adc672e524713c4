# SPDX-License-Identifier: Apache-2.0
"""What looks at, or serves on, this very host: run, hub, doctor, probe."""

from __future__ import annotations

import argparse
import signal
import sys
from types import ModuleType
from typing import Any

from edged.commands.terminal import answer, waiting

Arguments = argparse.Namespace


def run(arguments: Arguments) -> int:
    """``edged run``."""
    return _run(arguments, tour=arguments.tour)


def hub(arguments: Arguments) -> int:
    """``edged hub``: ``edged run`` of a file that makes a hub, and nothing else."""
    return _run(arguments, hub_alone=True)


def _run(arguments: Arguments, **how: bool) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload that comes before there is anybody to take it
    # imported here: the thin commands must not pay for the daemon
    from edged import process

    return process.run(arguments.config, **how)


def doctor(arguments: Arguments) -> int:
    """``edged doctor``."""
    from edged.ops.doctor import text
    from edged.ops.doctor.service import examine, share

    with waiting("examining this host"):
        report = examine(arguments.config, arguments.check)
    _tell(arguments, report, text)
    if arguments.report is not None:
        # on standard error: what --json prints is one object
        print(f"\n{share(report, arguments.report)}", file=sys.stderr)
    return 1 if report.failed else 0


def probe(arguments: Arguments) -> int:
    """``edged probe``."""
    from edged.config import load
    from edged.ops.probe import service, text

    # another host than the router may have the file and none of its secrets
    config = load(arguments.config, read_files=False).config
    with waiting("trying what a phone would"):
        report = service.probe(config, arguments)
    _tell(arguments, report, text)
    return 1 if report.failures else 0


def _tell(arguments: Arguments, report: Any, words: ModuleType) -> None:
    answer(arguments, words.facts(report), lambda _: str(words.text(report)))
