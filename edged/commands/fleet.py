# SPDX-License-Identifier: Apache-2.0
"""Questions to the daemon of a hub: how its edges are, the key that they know it by, an edge that is no more."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from edged.commands.reach import socket_of, who
from edged.commands.terminal import answer, waiting
from edged.ops.control import call

Arguments = argparse.Namespace


def fleet(arguments: Arguments) -> int:
    """``edged fleet``."""
    return _ACTIONS[arguments.action](arguments)


def _status(arguments: Arguments) -> int:
    """With ``--healthy`` 1 when an edge that was asked for needs somebody."""
    from edged.ops.fleet import text

    with waiting("asking edged"):
        facts = call(socket_of(arguments.config), "fleet", edge=arguments.edge)
    answer(arguments, facts, text.one if arguments.edge else partial(text.status, everybody=arguments.all))
    return 1 if arguments.healthy and any(edge["needs"] for edge in facts["edges"]) else 0


def _key(arguments: Arguments) -> int:
    from edged.ops.fleet import text

    if arguments.of is None:
        facts = call(socket_of(arguments.config), "fleet-key")
    else:
        from edged.ops.fleet.commands import key_of

        facts = key_of(arguments.of)
    answer(arguments, facts, text.key)
    return 0


def _forget(arguments: Arguments) -> int:
    from edged.ops.fleet import text

    facts = call(
        socket_of(arguments.config), "fleet-forget", edge=arguments.edge, why=arguments.why, who=who()
    )  # fmt: skip
    answer(arguments, facts, text.sentence)
    return 0


_ACTIONS: dict[str, Callable[[Arguments], int]] = {"status": _status, "key": _key, "forget": _forget}
