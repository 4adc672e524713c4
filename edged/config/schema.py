# SPDX-License-Identifier: Apache-2.0
"""The whole configuration: one section a room, put together. Pure. Contract: config/edged.example.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any, Literal

from pydantic import Field

from edged.billing.settings import BillingSettings
from edged.captive.settings import PortalSettings
from edged.config.settings import OpsSettings, PairSettings
from edged.dns.settings import DnsSettings
from edged.enforce.settings import EnforceSettings
from edged.fields import Settings
from edged.hub.settings import HubSettings
from edged.mpsk.settings import MpskSettings
from edged.policy.settings import GardenSettings, SubscribersSettings
from edged.radius.settings import RadiusSettings
from edged.state.settings import StateSettings


class Config(Settings):
    """Everything an operator can say."""

    site: str = Field(default="edged", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """This edge's name in output, logs and metrics; letters, digits, `.` `_` `-`, at most 63.

    Example: `tower-12`
    Mistake: two edges with one name.
    """
    mode: Literal["enforce", "watch"] = "enforce"
    """`enforce`, or `watch`: compute and show everything, change nothing for anyone.

    Example: `watch`
    Mistake: to change it and only reload: it takes a restart, and going back to `watch` then opens every line.
    """
    state: StateSettings = StateSettings()
    """Where edged keeps what it must not forget."""
    billing: BillingSettings | None = None
    """Where the lists come from; without it nobody is blocked and keys are made by hand."""
    hub: HubSettings | None = None
    """For edges elsewhere: the list in force here is served to them as their billing. [hub.md](hub.md)."""
    subscribers: SubscribersSettings = SubscribersSettings()
    """Who is served, who is exempt."""
    portal: PortalSettings = PortalSettings()
    """The page that a blocked subscriber sees; without `portal.url` there is none."""
    garden: GardenSettings = GardenSettings()
    """What a blocked subscriber still reaches."""
    dns: DnsSettings = DnsSettings()
    """The sinkhole and the resolver; without `dns.listen` there is none."""
    radius: RadiusSettings = RadiusSettings()
    """The RADIUS server; without `radius.auth` and `radius.tls` it answers no access point."""
    mpsk: MpskSettings = MpskSettings()
    """The networks with a key for every resident."""
    enforce: EnforceSettings = ()
    """A list of targets; empty: nothing is enforced.

    Example: `[{nftables: {interfaces: [lan0]}}]`
    Mistake: to leave it out: the page works for those who find it, but nobody is blocked.
    """
    pair: PairSettings = PairSettings()
    """Two edges behind the same addresses."""
    ops: OpsSettings = OpsSettings()
    """The operator's side: metrics, dashboard, socket and log."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors; ``make schema`` writes it to config/edged.schema.json."""
    schema = deepcopy(Config.model_json_schema(by_alias=True))  # parts of it are the types' own
    with suppress(OSError):  # without its source edged knows its keys as well, and not what they mean
        _describe(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edged configuration",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _describe(schema: dict[str, Any]) -> None:
    """The meaning of each key, before what its type says of its form."""
    from edged.config.described import keys, meanings, sections  # the daemon never asks

    for key in keys(Config):
        model = schema if key.model is Config else schema["$defs"].get(key.model.__name__)
        if model is None:  # its form is written out where it is used
            continue
        told = model["properties"][key.field.alias or key.name]
        _say(told, key.meaning.plain)
        for inner, _ in sections(key.field.annotation):
            for form in _objects(told) if inner.__name__ not in schema["$defs"] else ():
                for name, field in inner.model_fields.items():
                    _say(form["properties"].get(field.alias or name, {}), meanings(inner)[name].plain)


def _say(told: dict[str, Any], meaning: str) -> None:
    form = told.get("description", "")
    if not form.startswith(meaning):
        told["description"] = f"{meaning} {form[:1].upper()}{form[1:]}".strip()


def _objects(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The forms of a value that are objects, written out in it."""
    if "properties" in told:
        yield told
    for form in (*told.get("anyOf", ()), told.get("items", {})):
        yield from _objects(form) if form else ()
