# SPDX-License-Identifier: Apache-2.0
"""Sessions of a BNG in the words that an operator reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edged.enforce.bng.entry import Entry
from edged.enforce.bng.ways import Way
from edged.state.sessions import Session
from edged.values import Endpoint


def sessions(entries: Sequence[Entry]) -> str:
    """How many they are, as the beginning of a sentence."""
    return "1 session is" if len(entries) == 1 else f"{len(entries):,} sessions are"


def whose(entries: Sequence[Entry]) -> str:
    """Up to three of them by name."""
    names = [shown(entry.session.login or entry.session.mac or entry.session.session) for entry in entries[:3]]
    return ", ".join(names) + (", …" if len(entries) > len(names) else "")


def request(endpoint: Endpoint, way: Way, session: Session, value: str) -> str:
    """A request that says ``value`` of ``session``."""
    kind = "Disconnect-Request" if way.leaves else "CoA-Request"
    said = [f"Acct-Session-Id={shown(session.session)}", f"User-Name={shown(session.login)}"]
    said += [] if way.leaves else [f"{way.attribute}={value}"]
    return f"{kind} {endpoint} {' '.join(said)}"


def shown(name: str) -> str:
    """What a subscriber's device has chosen itself moves no operator's cursor and fills no screen."""
    return "".join(c if c.isprintable() else "?" for c in name[:64])
