# SPDX-License-Identifier: Apache-2.0
"""Gathers what the checks need, all at once and for nine seconds at most. I/O; it changes nothing."""

from __future__ import annotations

import difflib
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from pathlib import Path
from typing import Any

from edged.config.loading import load
from edged.config.schema import Config
from edged.errors import ConfigError
from edged.ops.control import Refused
from edged.ops.doctor import asking, checks, looking
from edged.ops.doctor.finding import Finding, skip
from edged.ops.doctor.sharing import shareable
from edged.ops.doctor.text import Report
from edged.ops.doctor.values import Facts
from edged.ops.outfile import put

SECONDS = 9.0
_ABOUT_EDGED = frozenset({"inside", "named", "opened"})
"""What is asked of a running edged alone."""
_AWAY = "edged does not answer: there is nobody to try (edged probe tries a line from outside)"


def examine(path: Path, only: str | None) -> Report:
    """The report on this host; ``only``: one check. Refused (2): there is no such check."""
    begun = time.monotonic()
    names = ["config", *checks.CHECKS]
    if only is not None and only not in names:
        near = difflib.get_close_matches(only, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Refused(f'there is no check "{only}"{hint}\n  checks: {", ".join(names)}', 2)
    facts = _configured(path)
    wanted = [only] if only else names
    if (config := facts.config) is not None:
        needs = {need for name in wanted if name != "config" for need in checks.CHECKS[name][0]}
        facts = _gathered(facts, config, {"daemon"}, begun + SECONDS)
        # a running edged asks billing by itself; of one that is away nothing can be tried
        needs -= {"daemon", "billing"} if facts.daemon else {"daemon", *_ABOUT_EDGED}
        if facts.daemon is None:
            facts = replace(facts, reasons={**facts.reasons, **dict.fromkeys(_ABOUT_EDGED, _AWAY)})
        facts = _gathered(facts, config, needs, begun + SECONDS)
    findings = tuple(_found(name, facts) for name in wanted)
    site = facts.config.site if facts.config else "edged"
    return Report(site, findings, time.monotonic() - begun, facts)


def share(report: Report, path: Path) -> str:
    """Write what of ``report`` may be shown to others to ``path``, mode 0600; a sentence on it. Refused."""
    text = shareable(report, looking.versions(), secrets.token_bytes(16))
    try:
        written = put(path, text.encode())
    except OSError as error:
        raise Refused(f"{path} was not written: {error.strerror}") from None
    return (
        f"{written} was written, for you alone to read (mode 0600). Read it before you share it; it was sent to nobody."
    )


def _found(name: str, facts: Facts) -> Finding:
    if name == "config":
        return checks.config(facts)
    if facts.config is None:
        return skip(name, "not tried: the configuration cannot be read (config)")
    return checks.CHECKS[name][1](facts, facts.config)


def _configured(path: Path) -> Facts:
    now = time.time()
    try:
        loaded = load(path)
    except ConfigError as error:
        return Facts(now=now, problems=error.problems)
    return Facts(now=now, config=loaded.config, problems=loaded.warnings, changed=path.stat().st_mtime)


def _gathered(facts: Facts, config: Config, needs: set[str], until: float) -> Facts:
    """``facts`` with what is needed; what takes longer than the monotonic time ``until`` stays unknown."""
    pool = ThreadPoolExecutor(max_workers=8)
    tasks = {pool.submit(_GATHER[need], config): need for need in sorted(needs)}
    done, late = wait_for(tasks, timeout=max(0.0, until - time.monotonic()))
    pool.shutdown(wait=False, cancel_futures=True)
    known: dict[str, Any] = {}
    reasons = dict(facts.reasons) | {tasks[task]: "it takes too long" for task in late}
    for task in done:
        try:
            known[tasks[task]] = task.result()
        except looking.Hung as silent:
            known["hung"] = silent.pid
        except looking.Unknown as reason:
            reasons[tasks[task]] = str(reason)
    return replace(facts, reasons=reasons, **known)


_GATHER: dict[str, Callable[[Config], Any]] = {
    "daemon": asking.daemon,
    "holders": lambda _: looking.holders(),
    "links": lambda _: looking.links(),
    "addresses": lambda _: looking.addresses(),
    "routing": looking.routing,
    "own_routes": lambda _: looking.own_routes(),
    "bridge_filter": lambda _: looking.bridge_filter(),
    "chains": lambda _: looking.chains(),
    "around": looking.around,
    "certificate": looking.certificate,
    "in_step": lambda _: looking.in_step(),
    "inside": asking.inside,
    "named": asking.named,
    "opened": asking.opened,
    "swallowed": asking.swallowed,
    "upstreams": asking.upstreams,
    "garden": asking.garden,
    "billing": asking.billing,
    "hub": asking.hub,
    "shared": asking.shared,
}
"""Field of ``Facts`` to what finds it out."""
