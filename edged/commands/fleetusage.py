# SPDX-License-Identifier: Apache-2.0
"""``edged fleet`` on the command line: its actions and their arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from edged.commands.actions import Actions, add_actions


def add_arguments(fleet: argparse.ArgumentParser) -> None:
    """The actions of ``edged fleet``."""
    add_actions(fleet, _ACTIONS)


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


_ACTIONS: Actions = {
    "status": ("how the edges are, those that need you first", _status),
    "key": ("print the public key, for billing.signed_by of the edges", _key),
    "forget": ("an edge that is no more: no alarm about it", _forget),
}
