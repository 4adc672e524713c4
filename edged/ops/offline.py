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
    plan = diff(wanted, None)
    kinds = ["nftables" for target in config.enforce if target.nftables is not None]
    facts = plan_facts(
        view, dict.fromkeys(kinds, plan), {kind: TARGETS[kind]().render(wanted, plan) for kind in kinds},
        watching=config.mode == "watch",
    )  # fmt: skip
    facts["verdict"] = f"edged is not running; from nothing, {facts['verdict']}"
    return {"schema": SCHEMA, "site": config.site, **facts}
