# SPDX-License-Identifier: Apache-2.0
"""``edged plan`` and ``edged log`` without a daemon: from the file, the last good list, the database. Reads them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edged.config.derived import rules
from edged.config.loading import load
from edged.config.schema import Config
from edged.enforce.desired import desired
from edged.enforce.diff import diff
from edged.enforce.settings import by_name
from edged.enforce.targets import TARGETS
from edged.ops.control import SCHEMA
from edged.ops.life.answer import facts as life_facts
from edged.ops.planning import plan_facts
from edged.ops.subjects import subscriber_of
from edged.policy.access import View
from edged.policy.table import compile_table
from edged.state.database import FILE
from edged.state.life import life_in
from edged.state.snapshots import SnapshotFiles


def offline_plan(path: Path) -> dict[str, Any]:
    """As the daemon's plan, against targets that hold nothing. ConfigError when the file is wrong."""
    config = load(path).config
    view = _last_view(config)
    wanted = desired(view, rules(config), time.time())
    named = {name: TARGETS[entry.kind](entry) for name, entry in by_name(config.enforce).items()}
    planned = {name: (target, diff(wanted, None, target.carries)) for name, target in named.items()}
    facts = plan_facts(
        view, {name: plan for name, (_, plan) in planned.items()},
        {name: target.render(wanted, plan) for name, (target, plan) in planned.items()},
        watching=config.mode == "watch", unread={},
    )  # fmt: skip
    facts["verdict"] = f"edged is not running; from nothing, {facts['verdict']}"
    return {"schema": SCHEMA, "site": config.site, **facts}


def offline_log(path: Path, subject: str, since: float) -> dict[str, Any]:
    """As the daemon's log; a page reference is not known here. ConfigError, ``Refused``, UpstreamError."""
    # without its secrets: none of them is wanted here
    config = load(path, read_files=False).config
    subscriber = subscriber_of(_last_view(config), subject)
    return life_facts(subscriber, life_in(config.state.directory / FILE, subscriber, since), since)


def _last_view(config: Config) -> View:
    return View(compile_table(SnapshotFiles(config.state.directory).load().snapshot, config.subscribers))
