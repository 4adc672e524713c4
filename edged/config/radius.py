# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or has a consequence, in ``radius:`` and in the targets of that kind; its files. Looks at files.

``edged run`` reads the files of ``radius.tls`` the same way.
"""

from __future__ import annotations

import time

from edged.config.finding import Found, error, warning
from edged.config.schema import Config
from edged.errors import ConfigError
from edged.radius.radsec.certificate import SOON_S
from edged.radius.radsec.files.service import RadSecFiles
from edged.radius.settings import RadiusSettings
from edged.values import host_prefix


def radius_checks(radius: RadiusSettings) -> Found:
    """Clients that nobody can be, and secrets that are being changed."""
    for index, client in enumerate(radius.clients):
        if client.certificate is not None and radius.tls is None:
            yield warning(
                ("radius", "clients", index, "certificate"), "a certificate without radius.tls",
                "this client is never heard: a certificate is shown over TLS alone",
            )  # fmt: skip
        if client.certificate is not None and client.secret_before is not None:
            yield warning(
                ("radius", "clients", index, "secret_before"), "secret_before beside certificate",
                "it is read by nothing: over TLS there is no secret to change",
            )  # fmt: skip


def bng_checks(config: Config) -> Found:
    """Whether each target of kind radius can know the sessions that it is to tell of."""
    hears = config.radius.acct or config.radius.tls
    for index, entry in enumerate(config.enforce):
        bng, where = entry.radius, ("enforce", index, "radius")
        if bng is None:
            continue
        named = [client for client in config.radius.clients if not bng.client or client.name == bng.client]
        host = host_prefix(bng.nas)
        known = bool(named) if bng.client else any(n.contains(host) for client in named for n in client.networks)
        if not hears:
            yield warning(
                where, "no radius.acct", "its accounting, or no session is known and nobody is blocked there",
                'radius: {acct: ["0.0.0.0:1813"]}',
            )  # fmt: skip
        elif not known:
            found = f'"{bng.client}", which is no client' if bng.client else f"{bng.nas}, which is no client"
            yield warning(
                (*where, "client" if bng.client else "nas"), f"{found} of radius.clients",
                "a client whose accounting is taken, or no session is known and nobody is blocked there",
            )  # fmt: skip
        if "Acct-Session-Id" not in bng.identify:
            yield warning(
                (*where, "identify"), "no Acct-Session-Id",
                "a request may reach another session than it speaks of: an address or a login may be another's by then",
                "identify: [Acct-Session-Id]",
            )  # fmt: skip
        for number, network in enumerate(bng.pool):
            if not any(served.contains(network) for served in config.subscribers.networks):
                yield error(
                    (*where, "pool", number), f"{network}, which subscribers.networks does not hold",
                    "networks that are served: whoever gets an address there would count as a stranger",
                )  # fmt: skip


def radsec_files(radius: RadiusSettings) -> Found:
    """What ``edged run`` would find wrong with the files of ``radius.tls``."""
    if radius.tls is None:
        return
    absent = False
    for name in ("ca", "chain", "key"):
        path = getattr(radius.tls, name)
        try:
            path.open("rb").close()
        except OSError as reason:
            absent = True
            found = f"{path}: {(reason.strerror or 'cannot be read').lower()}"
            yield warning(("radius", "tls", name), found, "edged does not start without it")
    if absent:
        return
    files = RadSecFiles(radius.tls)
    try:
        files.load()
        left = files.ends - time.time()
        if left < SOON_S:
            found = f"a certificate that {'ends within two weeks' if left > 0 else 'has ended'}"
            yield warning(("radius", "tls", "chain"), found, "from then on access points refuse it", "renew it")
    except ConfigError as refusal:
        for problem in refusal.problems:
            yield error(tuple(problem.key.split(".")), problem.found, problem.expected, problem.hint)
