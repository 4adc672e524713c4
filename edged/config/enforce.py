# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or has a consequence, in ``enforce:`` as a whole; the files that a router's certificate needs.

Looks at files.
"""

from __future__ import annotations

from edged.config.document import Location
from edged.config.finding import Found, error, warning
from edged.config.schema import Config
from edged.enforce.settings import EnforceSettings, RadiusTargetSettings, RouterosSettings, by_name
from edged.values import host_prefix


def enforce_checks(config: Config) -> Found:
    """One machine twice, routers that cannot be reached safely, BNGs whose sessions cannot be known."""
    counting = by_name(config.enforce)
    for index, target in enumerate(config.enforce):
        at = ("enforce", index, target.kind)
        if counting[target.name] is not target:
            yield warning(at, f"{target.name} for the second time", "this entry is passed over", "one entry each")
        if target.routeros is not None:
            yield from _router(at, target.routeros)
        if target.radius is not None:
            yield from _bng(at, target.radius, config)


def _router(at: Location, router: RouterosSettings) -> Found:
    lists = {"list": router.list, "garden_list": router.garden_list, "portal_list": router.portal_list}
    if len(set(lists.values())) < len(lists):
        twice = next(key for key in ("portal_list", "garden_list") if list(lists.values()).count(lists[key]) > 1)
        yield error((*at, twice), f"{lists[twice]} for two lists", "three lists with names of their own")
    if not router.tls:
        yield warning(
            (*at, "tls"),
            "false",
            "the password and every subscriber's address travel in clear",
            "tls: true, and api-ssl",
        )
    for key in ("ca", "fingerprint"):
        if getattr(router, key) and not router.tls:
            yield warning((*at, key), f"{key} beside tls: false", "it is read by nothing")
    if router.ca and router.fingerprint:
        yield warning(
            (*at, "ca"), "ca beside fingerprint", "it is read by nothing: the pinned certificate alone is taken"
        )


def _bng(at: Location, bng: RadiusTargetSettings, config: Config) -> Found:
    """Whether it can know the sessions that it is to tell of."""
    named = [client for client in config.radius.clients if not bng.client or client.name == bng.client]
    host = host_prefix(bng.nas)
    known = bool(named) if bng.client else any(n.contains(host) for client in named for n in client.networks)
    if not config.radius.acct and not config.radius.tls:
        yield warning(
            at, "no radius.acct", "its accounting, or no session is known and nobody is blocked there",
            'radius: {acct: ["0.0.0.0:1813"]}',
        )  # fmt: skip
    elif not known:
        found = f'"{bng.client}", which is no client' if bng.client else f"{bng.nas}, which is no client"
        yield warning(
            (*at, "client" if bng.client else "nas"), f"{found} of radius.clients",
            "a client whose accounting is taken, or no session is known and nobody is blocked there",
        )  # fmt: skip
    if "Acct-Session-Id" not in bng.identify:
        yield warning(
            (*at, "identify"), "no Acct-Session-Id",
            "a request may reach another session than it speaks of: an address or a login may be another's by then",
            "identify: [Acct-Session-Id]",
        )  # fmt: skip
    for number, network in enumerate(bng.pool):
        if not any(served.contains(network) for served in config.subscribers.networks):
            yield error(
                (*at, "pool", number), f"{network}, which subscribers.networks does not hold",
                "networks that are served: whoever gets an address there would count as a stranger",
            )  # fmt: skip


def enforce_files(targets: EnforceSettings) -> Found:
    """The authorities that cannot be read."""
    for index, target in enumerate(targets):
        path = target.routeros.ca if target.routeros is not None else None
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as reason:
            found = f"{path}: {(reason.strerror or 'cannot be read').lower()}"
            yield warning(("enforce", index, "routeros", "ca"), found, "edged does not start without it")
