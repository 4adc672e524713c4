# SPDX-License-Identifier: Apache-2.0
"""``edged fleet`` on the command line: its actions and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_arguments(fleet: argparse.ArgumentParser) -> None:
    """The actions of ``edged fleet``."""
    # -c, --json and --no-color are taken on either side of the action
    everywhere = type(fleet)(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument("-c", "--config", type=Path, metavar="FILE", help="as before the action")
    everywhere.add_argument("--json", action="store_true", help="the same facts for a program")
    everywhere.add_argument("--no-color", action="store_true", help=argparse.SUPPRESS)
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=type(fleet))
    for name, (text, arguments) in _ACTIONS.items():
        arguments(actions.add_parser(name, help=text, description=text, parents=[everywhere]))


def _status(action: argparse.ArgumentParser) -> None:
    action.add_argument("edge", nargs="?", help="all that this one last said of itself")
    action.add_argument("--all", action="store_true", help="a row for every edge, also where all is well")
    action.add_argument(
        "--healthy", action="store_true", help="exit status 1 when an edge is silent or behind, or has alarms"
    )


def _key(action: argparse.ArgumentParser) -> None:
    action.add_argument("--of", type=Path, metavar="FILE", help="of a hub.key that is not in force yet; asks nobody")


def _forget(action: argparse.ArgumentParser) -> None:
    action.add_argument("edge", help="its site, as edged fleet status shows it")
    action.add_argument("--why", default="", help="for the audit")


_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "status": ("how the edges are, those that need you first", _status),
    "key": ("print the public key, for billing.signed_by of the edges", _key),
    "forget": ("an edge that is no more: no alarm about it", _forget),
}
