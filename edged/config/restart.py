# SPDX-License-Identifier: Apache-2.0
"""Which keys a reload cannot take into force: two configurations in, a ConfigError that names them out. Pure."""

from __future__ import annotations

from typing import Any

from edged.config.schema import Config
from edged.errors import ConfigError, Problem

RESTART_KEYS = (
    "mode", "state", "dns.listen", "dns.workers", "portal.listen", "radius.auth", "radius.acct", "radius.tls",
    "ops.listen", "ops.socket",
    "billing.source", "billing.url", "billing.path", "billing.key", "billing.secret", "billing.ca", "billing.splynx",
    "billing.signed_by", "billing.fallback", "billing.webhook.listen", "hub.listen", "hub.path", "hub.tls",
    "enforce", "pair",
)  # fmt: skip
"""Keys that are woven into sockets and files; a reload that changes one is refused and names it."""


def refuse_restarts(old: Config, new: Config, path: str) -> None:
    """ConfigError that names every key that has changed and needs a restart."""

    def value(config: Config, key: str) -> Any:
        found: Any = config
        for part in key.split("."):
            found = getattr(found, part, None)
        return found

    changed = [key for key in RESTART_KEYS if value(old, key) != value(new, key)]
    if (old.portal.url is None) != (new.portal.url is None):
        changed.append("portal.url")  # the room is open or closed from the start
    if changed:
        raise ConfigError([Problem(key, "changed", "a restart of edged") for key in changed], path)
