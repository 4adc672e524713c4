# SPDX-License-Identifier: Apache-2.0
"""``edged routeros script``: a configuration and the name of a router in, the script for it out. Pure.

Secrets are not looked at: the file is read without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edged.captive.capport import capport_options
from edged.config.derived import rules
from edged.config.schema import Config
from edged.enforce.routeros.layout import Layout, layout_of
from edged.enforce.routeros.script import ApiAccess, CoaAccess, Part, Preparation, preparing, removing
from edged.enforce.settings import RadiusTargetSettings, RouterosSettings, TargetSettings, by_name
from edged.ops.control import Refused
from edged.policy.settings import GardenSettings
from edged.values import Prefix, parse_prefix

USAGE = 2
GARDEN, PORTAL = "edged-garden", "edged-portal"
"""Lists of a router that is told over RADIUS: its target has no names for them."""
_NOT_NAMED = "DHCPv4 option 114 is left out: "


def router_script(
    config: Config, router: str | None, sources: Sequence[str], parts: Sequence[str], *, remove: bool
) -> str:
    """The script. Refused, with the next step, when there is nothing that it could be for."""
    target = _target(config, router)
    chosen = tuple(part for part in Part if part.value in parts) or tuple(Part)
    prefixes = tuple(_source(text) for text in sources)
    if target.routeros is not None:
        wanted = _api(config, target.routeros, prefixes, chosen)
    elif target.radius is not None:
        wanted = _coa(config, target.radius, prefixes, chosen, remove=remove)
    else:
        raise ValueError("a target that is no router")
    if remove:
        return removing(wanted)
    if Part.ACCESS in chosen and not prefixes:
        raise Refused(
            "--from ADDRESS is missing: the address that edged comes from, as the router sees it"
            " (or --only rules dhcp, which lets nobody in)",
            USAGE,
        )
    return preparing(wanted)


def _target(config: Config, router: str | None) -> TargetSettings:
    """The one that is meant."""
    fits = {name: target for name, target in by_name(config.enforce).items() if _is_router(target)}
    if router is None and len(fits) == 1:
        return next(iter(fits.values()))
    choice = ", ".join(fits)
    if not fits:
        raise Refused(
            "enforce: names no MikroTik router: an entry of kind routeros, or radius with Mikrotik-Address-List"
        )
    if router is None:
        raise Refused(f"which router? {choice}", USAGE)
    if router not in fits:
        raise Refused(f"enforce: names no MikroTik router {router!a}; it has {choice}")
    return fits[router]


def _is_router(target: TargetSettings) -> bool:
    radius = target.radius
    return target.routeros is not None or (radius is not None and radius.attribute == "Mikrotik-Address-List")


def _source(text: str) -> Prefix:
    try:
        return parse_prefix(text)
    except ValueError:
        raise Refused(f"--from {text!a} is no address and no prefix", USAGE) from None


def _api(config: Config, router: RouterosSettings, sources: tuple[Prefix, ...], parts: tuple[Part, ...]) -> Preparation:
    port = router.port or (8729 if router.tls else 8728)
    uri, notes = _uri(config)
    return Preparation(
        router.host, layout_of(router), rules(config), ApiAccess(router.user, router.host, router.tls, port),
        sources, uri=uri, networks=config.subscribers.networks, notes=(*notes, *rules(config).warnings), parts=parts,
    )  # fmt: skip


def _coa(
    config: Config, bng: RadiusTargetSettings, sources: tuple[Prefix, ...], parts: tuple[Part, ...], *, remove: bool
) -> Preparation:
    if not remove and (bng.blocked.startswith("!") or bng.blocked in {GARDEN, PORTAL}):
        raise Refused(f"no rule can be made for a list {bng.blocked!a}: give `blocked` of this target another name")
    if any(not source.is_host for source in sources):
        raise Refused("--from takes single addresses here: RouterOS knows a RADIUS server by its address", USAGE)
    uri, notes = _uri(config)
    names, more = _resolvable(config.garden)
    return Preparation(
        str(bng.nas), Layout(bng.blocked, GARDEN, PORTAL), rules(config), CoaAccess(bng.port), sources, names, uri,
        config.subscribers.networks, (*notes, *rules(config).warnings, *more), parts,
    )  # fmt: skip


def _uri(config: Config) -> tuple[bytes, tuple[str, ...]]:
    """Of the captive portal API, and why it is named nowhere."""
    if not config.portal.url:
        return b"", (f"{_NOT_NAMED}portal.url is not set",)
    if config.portal.certificate is None:
        return b"", (f"{_NOT_NAMED}the page has a stand-in certificate, which no device trusts",)
    try:
        return capport_options(config.portal.url).uri.encode(), ()
    except ValueError as reason:
        return b"", (f"{_NOT_NAMED}{reason}",)


def _resolvable(garden: GardenSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The garden names that a router can resolve itself, and a note on those that it cannot."""
    names = [name for name in garden.all_names() if not name.startswith("*.")]
    found = tuple(dict.fromkeys(name.removeprefix(".") for name in names))
    notes = ("Names in the garden are resolved by the router, with its own DNS servers (RouterOS 7).",) if found else ()
    lost = list(_lost(garden))
    if not lost:
        return found, notes
    return found, (
        *notes,
        "Not in the garden, since no list of a router holds all names below one: " + " ".join(lost),
        "Give their networks in garden.networks, or take a target through the API, which learns them from DNS.",
    )


def _lost(garden: GardenSettings) -> Iterator[str]:
    return (f"*.{name.removeprefix('*').removeprefix('.')}" for name in garden.all_names() if name[0] in "*.")
