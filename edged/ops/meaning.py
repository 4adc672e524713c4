# SPDX-License-Identifier: Apache-2.0
"""A good configuration in, what it means in plain sentences out: where an operator catches a wrong meaning. Pure."""

from __future__ import annotations

from edged.billing.settings import WindowSettings
from edged.captive.page.texts import spoken
from edged.config.loading import Loaded
from edged.config.roles import is_hub_alone
from edged.config.schema import Config
from edged.enforce.settings import TargetSettings
from edged.ops.text import counted, span
from edged.policy.presets import PRESETS


def meaning(loaded: Loaded) -> dict[str, str]:
    """Label to sentence, in the order of importance."""
    config = loaded.config
    sentences = {
        "mode": "changes nothing for anyone (watch)" if config.mode == "watch" else "",
        "serves": _serves(config),
        "blocks": _blocks(config),
        "guard": _guard(config),
    }
    if not is_hub_alone(config):
        sentences |= _here(config)
    return {label: sentence for label, sentence in sentences.items() if sentence}


def _here(config: Config) -> dict[str, str]:
    """What subscribers of this very edge meet."""
    return {
        "garden": _garden(config),
        "page": _page(config),
        "enforces": "; ".join(map(_enforces, config.enforce)) or "nothing: no target is named",
        "keys": _keys(config),
    }


def _serves(config: Config) -> str:
    hub = config.hub
    if hub is None:
        return ""
    url = f"{'https' if hub.tls is not None else 'http'}://{hub.listen}{hub.path}"
    keys = counted(len(hub.keys), "bearer key")
    return f"edges at {url}, by {keys}; one that is silent for {span(hub.silent)} is an alarm"


def _blocks(config: Config) -> str:
    if config.billing is None:
        return "nobody: there is no billing section"
    billing = {"file": "the file", "hub": "the hub"}.get(config.billing.source, config.billing.source)
    if is_hub_alone(config):
        return f"nobody here; its edges block whatever {billing} calls blocked"
    networks = ", ".join(str(p) for p in config.subscribers.networks) or "no network"
    return f"whatever {billing} calls blocked, in {networks}"


def _guard(config: Config) -> str:
    if config.billing is None:
        return ""
    guard = config.billing.guard
    if guard.leave_to_hub:
        return "the hub's, for amounts; what may never be blocked is judged here"

    def limit(window: WindowSettings) -> str:
        return f"{window.share:.1%} or {window.count:,} in {span(window.window)}".replace(".0%", "%")

    first = "the first list waits for you" if guard.first == "hold" else "the first list is taken as it is"
    return (
        f"newly blocked at most {limit(guard.blocked)}, vanished at most {limit(guard.vanished)}"
        f" ({guard.floor} always pass); {first}"
    )


def _garden(config: Config) -> str:
    garden = config.garden
    presets = ", ".join(f"{name} ({len(PRESETS[name])} names)" for name in garden.presets)
    ports = ", ".join(str(p) for p in garden.ports)
    parts = [f"{len(garden.names)} names"]
    parts += [f"presets {presets}"] if presets else []
    parts += [f"{len(garden.records)} fixed records"] if garden.records else []
    parts += [f"{len(garden.networks)} networks"] if garden.networks else []
    return f"{', '.join(parts)}, port {ports}"


def _page(config: Config) -> str:
    if not config.portal.url:
        return "none: portal.url is not set"
    brands = config.portal.brands
    languages = dict.fromkeys(tag for brand in brands.values() for tag in spoken(brand))
    return f"{config.portal.url}, brands {', '.join(brands)}; languages {', '.join(languages)}"


def _keys(config: Config) -> str:
    if not config.mpsk.networks:
        return ""
    networks = []
    for ssid, network in config.mpsk.networks.items():
        blocked = f"VLAN {network.blocked.vlan}" if network.blocked else "a reject"
        networks.append(f"{ssid} (a blocked resident gets {blocked})")
    return f"{', '.join(networks)}; {len(config.radius.clients)} RADIUS clients"


def _enforces(target: TargetSettings) -> str:
    if target.nftables is not None:
        return f"nftables on {', '.join(target.nftables.interfaces) or 'every interface'}"
    return f"{target.kind} {target.name}"
