# SPDX-License-Identifier: Apache-2.0
"""The whole configuration: one section a room, put together. Pure. Contract: config/edged.example.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from edged.billing.settings import BillingSettings
from edged.captive.settings import PortalSettings
from edged.config.settings import OpsSettings
from edged.dns.settings import DnsSettings
from edged.enforce.settings import EnforceSettings
from edged.fields import Settings
from edged.mpsk.settings import MpskSettings
from edged.policy.settings import GardenSettings, SubscribersSettings
from edged.radius.settings import RadiusSettings
from edged.state.settings import StateSettings


class Config(Settings):
    """Everything an operator can say."""

    site: str = Field(default="edged", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """This edge, in logs, in metrics and towards billing."""
    mode: Literal["enforce", "watch"] = "enforce"
    """watch: compute and show everything, change nothing for anyone."""
    state: StateSettings = StateSettings()
    billing: BillingSettings | None = None
    """Missing: nobody is blocked, and keys are made locally."""
    subscribers: SubscribersSettings = SubscribersSettings()
    portal: PortalSettings = PortalSettings()
    garden: GardenSettings = GardenSettings()
    dns: DnsSettings = DnsSettings()
    radius: RadiusSettings = RadiusSettings()
    mpsk: MpskSettings = MpskSettings()
    enforce: EnforceSettings = ()
    ops: OpsSettings = OpsSettings()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors; ``make schema`` writes it to config/edged.schema.json."""
    schema = Config.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edged configuration",
        **{key: value for key, value in schema.items() if key != "title"},
    }
