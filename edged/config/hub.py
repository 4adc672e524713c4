# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or has a consequence, in ``hub:``; the files of ``hub.tls``. Looks at files."""

from __future__ import annotations

import time

from edged.config.finding import Found, error, warning
from edged.config.schema import Config
from edged.errors import ConfigError
from edged.hub.certificate import SOON_S, ends
from edged.hub.settings import HubTlsSettings

_CACHE_S = 60.0
"""Beyond it a payment waits for a cache longer than for anything else."""


def hub_checks(config: Config) -> Found:
    """A hub without a list, in clear, or with answers that are kept for too long."""
    hub = config.hub
    if hub is None:
        return
    if config.billing is None:
        yield error(
            ("billing",),
            "nothing",
            "where the list comes from that edges are served",
            "billing: {source: rest, url: https://billing.example.net, key: !file /etc/edged/secrets/billing}",
        )
    if hub.tls is None and not hub.listen.address.is_loopback:
        yield warning(
            ("hub", "listen"), f"{hub.listen}, and no hub.tls", "passphrases and names travel in clear",
            'hub.tls, or listen: "127.0.0.1:9443" and a proxy with TLS in front',
        )  # fmt: skip
    if hub.cache > _CACHE_S:
        yield warning(
            ("hub", "cache"), f"{hub.cache:.0f} s",
            "for so long after a payment a proxy may still say that the line is blocked",
            "2s spares the hub as much where a thousand edges ask in the same moment",
        )  # fmt: skip


def hub_files(config: Config) -> Found:
    """What ``edged run`` would find wrong with the files of ``hub.tls``; keys that open more than the hub."""
    if config.hub is None:
        return
    if config.hub.tls is not None:
        yield from _certificate(config.hub.tls)
    billing = (config.billing.key, config.billing.secret) if config.billing is not None else ()
    for index, key in enumerate(config.hub.keys):
        if key in billing:
            yield warning(
                ("hub", "keys", index), "what lets this hub in at billing",
                "whoever reads an edge's file may read billing itself", "another one: openssl rand -base64 30",
            )  # fmt: skip


def _certificate(tls: HubTlsSettings) -> Found:
    for name, path in (("chain", tls.chain), ("key", tls.key)):
        try:
            path.stat()
        except OSError as reason:
            found = f"{path}: {(reason.strerror or 'cannot be read').lower()}"
            yield warning(("hub", "tls", name), found, "edged does not start without it")
    try:
        left = ends(tls.chain.read_bytes()) - time.time()
    except OSError:
        return  # said above, or not ours to read
    except ConfigError as refusal:
        yield error(("hub", "tls", "chain"), refusal.problems[0].found, refusal.problems[0].expected)
        return
    if left < SOON_S:
        found = f"a certificate that {'ends within two weeks' if left > 0 else 'has ended'}"
        yield warning(
            ("hub", "tls", "chain"), found, "from then on edges refuse the hub", "renew it, then edged reload"
        )
