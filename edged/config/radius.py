# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or has a consequence, in ``radius:`` as a whole; the files of ``radius.tls``. Looks at files.

``edged run`` reads the files of ``radius.tls`` the same way.
"""

from __future__ import annotations

import time

from edged.config.finding import Found, error, warning
from edged.errors import ConfigError
from edged.radius.radsec.certificate import SOON_S
from edged.radius.radsec.files.service import RadSecFiles
from edged.radius.settings import RadiusSettings


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
