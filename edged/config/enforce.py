# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or has a consequence, in ``enforce:`` as a whole; the files that a router's certificate needs.

Looks at files.
"""

from __future__ import annotations

from edged.config.document import Location
from edged.config.finding import Found, error, warning
from edged.enforce.settings import EnforceSettings, RouterosSettings


def enforce_checks(targets: EnforceSettings) -> Found:
    """One machine twice, and routers that cannot be reached safely or whose lists are one."""
    seen: set[str] = set()
    for index, target in enumerate(targets):
        if target.nftables is not None:
            name = "nftables"
        elif target.routeros is not None:
            name = target.routeros.host
        else:
            name = str(target.radius.nas) if target.radius is not None else ""
        if name in seen:
            yield warning(
                ("enforce", index, target.kind),
                f"{name} for the second time",
                "this entry is passed over",
                "one entry each",
            )
        seen.add(name)
        if target.routeros is not None:
            yield from _router(("enforce", index, "routeros"), target.routeros)


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
