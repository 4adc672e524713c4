# SPDX-License-Identifier: Apache-2.0
"""The body of an edge's ``POST /events`` in (docs/feed.md, "Telling billing"), its events out, to be told on. Pure."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from edged.billing.events.batch import BATCH
from edged.model import Event, EventType
from edged.state.outbox import Stored

_ID = re.compile(r"[!-~]{1,64}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,128}")
_EDGE = re.compile(r"[A-Za-z0-9._-]{1,63}")
_KINDS = {kind.value: kind for kind in EventType}


def read(octets: bytes) -> list[Stored] | None:
    """The events, each under the id and the edge that it came with; None: the body is none that an edge writes."""
    try:
        events = json.loads(octets)["events"]
        if not isinstance(events, list) or len(events) > BATCH:
            return None
        return [_event(each) for each in events]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _event(said: dict[str, Any]) -> Stored:
    at = datetime.fromisoformat(_match(re.compile(r"[0-9T:.Z+-]{1,40}"), said["at"]))
    if at.tzinfo is None or not 2000 < at.year < 3000:
        raise ValueError("a time without its zone, or of another age")
    texts = [_match(_TEXT, said.get(name, "")) for name in ("subscriber", "key", "device")]
    event = Event(_KINDS[said["type"]], at.timestamp(), *texts)
    return Stored(_match(_ID, said["id"]), event, _match(_EDGE, said["edge"]))


def _match(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError("another text than expected")
    return value
