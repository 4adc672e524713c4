# SPDX-License-Identifier: Apache-2.0
"""Actions below a command, such as ``edged keys add``, on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

Actions = Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]]
"""Name to what it does in a few words, and what adds its arguments."""


def add_actions(command: argparse.ArgumentParser, actions: Actions) -> None:
    """Give ``command`` its actions; ``-c``, ``--json`` and ``--no-color`` are taken on either side of them."""
    everywhere = type(command)(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("-c", "--config", type=Path, metavar="FILE", help="as before the action")
    everywhere.add_argument("--json", action="store_true", help="the same facts for a program")
    everywhere.add_argument("--no-color", action="store_true", help=argparse.SUPPRESS)
    below = command.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=type(command))
    for name, (text, arguments) in actions.items():
        arguments(below.add_parser(name, help=text, description=text, parents=[everywhere]))
