# SPDX-License-Identifier: Apache-2.0
"""The check of the shared store: one look at it in, a finding out. Pure."""

from __future__ import annotations

from edged.config.schema import Config
from edged.ops.doctor.finding import Finding, Plain, fail, ok, skip, warn
from edged.ops.doctor.running import part
from edged.ops.doctor.values import Facts
from edged.ops.text import counted
from edged.state.shared.presence import CLOCK_S, Inspection, namesakes
from edged.state.shared.target import key_mark

_NAME = "shared-store"
_APART = "this edge goes on as ever; what it learns does not reach others, nor theirs this one"


def shared_store(facts: Facts, config: Config) -> Finding:
    """It answers, takes rows, and those who share it have one key, one time and a name each."""
    if config.state.database == "sqlite":
        return skip(_NAME, "state.database is sqlite: nothing is shared")
    if facts.shared is None:
        return skip(_NAME, "{reason}", reason=facts.why("shared"))
    seen = facts.shared
    if seen.error:
        return _away(facts, seen.error)
    if seen.is_newer:
        return fail(_NAME, "a newer edged has brought it up to date", _APART, "upgrade edged here")
    if seen.refused:
        return fail(
            _NAME, "it {refused}", _APART, "GRANT ALL ON edged_meta, edged_rows TO its user, on the server that writes",
            refused=Plain(seen.refused),
        )  # fmt: skip
    return _among_others(seen, config)


def _away(facts: Facts, error: str) -> Finding:
    if facts.daemon is not None and part(facts, "store")["state"] == "OK":
        return skip(_NAME, "you are not let in, and edged is: {error}", error=error)
    return fail(
        _NAME, "{error}", _APART, "psql from this host with the same URL; its log says more; manual: fleet-store.md",
        error=error,
    )  # fmt: skip


def _among_others(seen: Inspection, config: Config) -> Finding:
    if seen.unopened:
        return fail(
            _NAME, "{unopened} of the newest {keys} keys made by hand do not open: state.shared_key differs",
            "devices with those keys get on at other edges and not here",
            "give every edge the same state.shared_key, then restart edged", unopened=seen.unopened, keys=seen.keys,
        )  # fmt: skip
    if abs(seen.ahead) - seen.within > CLOCK_S:
        return warn(
            _NAME, "this host's clock is {seconds:.0f} s {side} the server's",
            "of two words on one thing the wrong one may hold", "keep both in step (clock; timedatectl)",
            seconds=abs(seen.ahead), side=Plain("ahead of" if seen.ahead > 0 else "behind"),
        )  # fmt: skip
    if (count := namesakes(seen.present, config.site)) > 1:
        return warn(
            _NAME, "{count} edges that share it are called {site}",
            "nobody can tell them apart in the store, in a hub's reports and in figures",
            "another site: at one of them", count=count, site=config.site,
        )  # fmt: skip
    mark = key_mark(config.state.shared_key)[:8]
    if other := next((each for each in seen.present if each.mark != mark), None):
        return warn(
            _NAME, "{site} has another state.shared_key",
            "keys made by hand at one of them are not good at the other",
            "give every edge the same, then restart edged", site=other.site,
        )  # fmt: skip
    if not seen.schema:
        return ok(_NAME, "it answers; edged makes its tables when it first connects")
    edges = Plain(counted(len(seen.present), "edge is", "edges are"))
    return ok(_NAME, "schema {schema}; {edges} connected; the same time, the same key", schema=seen.schema, edges=edges)
