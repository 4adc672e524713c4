# SPDX-License-Identifier: Apache-2.0
"""What the operator's side may see of the house: the rooms, the current value, the last reload. Types only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edged.backoffice import BackOffice
from edged.billing.service import BillingService
from edged.captive.acme.service import AcmeService
from edged.captive.service import CaptiveService
from edged.captive.settings import PassSettings
from edged.config.loading import Loaded
from edged.dns.service import DnsService
from edged.enforce.service import EnforceService
from edged.enforce.targets.radius import RadiusTarget
from edged.errors import Problem
from edged.mpsk.service import MpskService
from edged.ops.census import CensusTaker
from edged.ops.life.service import Lives
from edged.ops.record.recorder import Recorder
from edged.ops.service import OpsService
from edged.policy.sessions import Roster
from edged.radius.radsec.service import RadSecService
from edged.radius.service import RadiusService
from edged.state.current import Current
from edged.state.database import Database
from edged.state.overrides import OverrideStore
from edged.state.sealing_key import SealingKey
from edged.state.sessions import SessionStore
from edged.state.shared.standing import Standing


@dataclass(frozen=True, slots=True)
class Reload:
    """How the last reading of the configuration went. Epoch seconds."""

    loaded_at: float
    """When the configuration in force was read."""
    tried_at: float = 0.0
    ok: bool = True
    problems: tuple[Problem, ...] = ()


class Lifted(Protocol):
    """What an earlier run enforced, while watching."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is still in force, and why."""
        ...


class Shared(Protocol):
    """``sharing.Sharing``, as far as the operator is concerned."""

    @property
    def standing(self) -> Standing | None:
        """How the exchange with other edges stands; None: there is none."""
        ...


class Passes(Protocol):
    """``clerk.Clerk``, as far as the operator is concerned."""

    settings: PassSettings | None

    def passes_left(self, subscriber_id: str) -> int | None:
        """How often the line may still be opened within a day; None: there are no passes."""
        ...


class House(Protocol):
    """``daemon.House``, as far as status, explain and the commands need it."""

    loaded: Loaded
    current: Current
    acting: Current
    database: Database
    overrides: OverrideStore
    billing: BillingService | None
    dns: DnsService
    captive: CaptiveService
    acme: AcmeService
    enforce: EnforceService
    bngs: list[RadiusTarget]
    mpsk: MpskService
    sealing: SealingKey
    radius: RadiusService | None
    radsec: RadSecService | None
    reload_state: Reload
    roster: Roster
    sessions: SessionStore
    office: BackOffice
    started_at: float
    census: CensusTaker
    recorder: Recorder
    lives: Lives
    ops: OpsService

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is wrong, that was found at the start or at a reload."""
        ...

    @property
    def clerk(self) -> Passes:
        """Who gives passes."""
        ...

    @property
    def sharing(self) -> Shared:
        """The store that edges share."""
        ...

    @property
    def lifting(self) -> Lifted:
        """What an earlier run left in force."""
        ...

    async def reload(self) -> None:
        """Read the file again; ``reload_state`` says how that went."""
        ...

    async def relearn(self) -> None:
        """Read the database's words again and put them into force."""
        ...
