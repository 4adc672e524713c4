# SPDX-License-Identifier: Apache-2.0
"""``edged plan`` without a daemon: the configuration and the last good list in, the whole ruleset out. Reads files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edged.config.derived import rules
from edged.config.loading import load
from edged.enforce.desired import desired
from edged.enforce.diff import diff
from edged.enforce.settings import by_name
from edged.enforce.targets import TARGETS
from edged.ops.answers import SCHEMA, plan_facts
from edged.policy.access import View
from edged.policy.table import compile_table
from edged.state.snapshots import SnapshotFiles


def offline_plan(path: Path) -> dict[str, Any]:
    """As the daemon's plan, against targets that hold nothing. ConfigError when the file is wrong."""
    config = load(path).config
    view = View(compile_table(SnapshotFiles(config.state.directory).load().snapshot, config.subscribers))
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
