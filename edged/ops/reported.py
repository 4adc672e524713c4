# SPDX-License-Identifier: Apache-2.0
"""The running rooms in, what a hub is told of this edge out. Pure reading; nobody's name or address is in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edged import __version__
from edged.ops.alarms import alarms

if TYPE_CHECKING:
    from edged.ops.rooms import House


def reported(house: House) -> dict[str, Any]:
    """The body of ``POST /report``."""
    config, now = house.loaded.config, time.time()
    said = {
        "edge": config.site,
        "version": __version__,
        "at": int(now),
        "mode": config.mode,
        "started_at": int(house.started_at),
        "alarms": sorted({alarm.code for alarm in alarms(house, now)}),
    }
    if house.billing is None:
        return said
    status = house.billing.status()
    # the id of what is in force begins with the revision that it came with; the same list may bear another since
    revision = "" if status.held else status.marks.get("subscribers.revision", "")
    return said | {
        "subscribers": revision or status.snapshot.rpartition(".")[0],
        "keys": status.marks.get("keys.revision", ""),
        "read_at": int(house.billing.current_at),
        "blocked": status.blocked,
        "listed": status.subscribers,
        "held": status.held.id if status.held else "",
        "source": "fallback" if status.stands_in else "hub",
    }
