# SPDX-License-Identifier: Apache-2.0
"""The commands of the control socket: what each answers, as plain JSON-able facts. Asks the rooms; shapes in docs/.

Every question about a line is answered by the functions that its traffic meets.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edged import __version__
from edged.billing.status import Outcome
from edged.config.roles import is_hub_alone
from edged.model import Access, State
from edged.ops.alarms import alarms
from edged.ops.completable import offered
from edged.ops.control import SCHEMA, Command, Refused, Tell
from edged.ops.doctor.rehearsal import rehearse
from edged.ops.explain.explainer import Explainer
from edged.ops.fleet.commands import FleetCommands
from edged.ops.inforce import settings_facts
from edged.ops.keys.commands import KeyCommands
from edged.ops.keys.residents import ResidentCommands
from edged.ops.life import answer as life
from edged.ops.nases import nases, with_nas
from edged.ops.parts import parts
from edged.ops.planning import PlanCommands
from edged.ops.record.history import last_hour
from edged.ops.subjects import subscriber_of
from edged.ops.text import counted
from edged.ops.words import WordCommands, words_in_force
from edged.state.overrides import AuditRow

if TYPE_CHECKING:
    from edged.billing.service import BillingService
    from edged.ops.rooms import House


class Answers:
    """The running daemon's answers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._explainer = Explainer(house)
        self._keys = KeyCommands(house)
        self._residents = ResidentCommands(house)
        self._words = WordCommands(house)
        self._plans = PlanCommands(house)
        self._fleet = FleetCommands(house)

    def commands(self) -> dict[str, Command]:
        """Name to command, as the control socket takes them."""
        return {
            "status": lambda *_: self._status(),
            "explain": lambda request, _: self.explain(request),
            "plan": lambda request, _: self._plans.plan(request),
            "log": lambda request, _: self._log(request),
            "sync": self._sync,
            "block": lambda request, _: self._words.override(request, blocked=True),
            "unblock": lambda request, _: self._words.override(request, blocked=False),
            "pass": lambda request, _: self._words.grant(request),
            "keys": self._keys.answer,
            "keys-sheet": lambda request, _: self._residents.sheet(request),
            "keys-devices": lambda request, _: self._residents.devices(request),
            "reload": lambda *_: self._reload(),
            "settings": lambda *_: self._settings(),
            "names": lambda request, _: self._names(request),
            "rehearse": lambda *_: rehearse(self._house),
            **self._fleet.commands(),
        }

    # --- status ----------------------------------------------------------------------------------

    async def _status(self) -> dict[str, Any]:
        """What ``edged status`` prints: with the operators' words one by one."""
        facts = await self.status_facts()
        return facts | {"words": words_in_force(self._house, time.time(), listed=True)}

    async def public_facts(self) -> dict[str, Any]:
        """What ``/status`` serves: figures, and nobody's name."""
        return await self.status_facts(names=False)

    async def status_facts(self, *, names: bool = True) -> dict[str, Any]:
        """How everything is; without ``names`` nobody is named in it."""
        house, now = self._house, time.time()
        # in a thread: with 100,000 subscribers it takes a tenth of a second; the alarms find it done
        census = await asyncio.to_thread(house.census.take, house.current.view, now)
        found = alarms(house, now)
        blocked = census.having(Access.BLOCKED)
        by_state = Counter(dict.fromkeys(State, 0))
        for (state, _), count in census.by.items():
            by_state[state] += count
        known, bins = house.current.view.table.known, house.recorder.snapshot()
        active = None if known is None else known - by_state[State.NOTICE] - by_state[State.BLOCKED]
        hour = last_hour(bins, now)
        return {
            "schema": SCHEMA,
            "site": house.loaded.config.site,
            "role": "hub" if is_hub_alone(house.loaded.config) else "edge",
            "mode": house.loaded.config.mode,
            "version": __version__,
            "uptime_s": now - house.started_at,
            "loaded_at": house.reload_state.loaded_at,
            "verdict": _verdict(
                found,
                watching=house.loaded.config.mode == "watch",
                listed=bool(house.current.view.table.snapshot_id),
                held_back=len({name for target in house.enforce.status() for name in house.recorder.held_back(target)}),
            ),
            "subscribers": {
                "known": known,
                "states": {
                    **({} if active is None else {State.ACTIVE.value: max(0, active)}),
                    State.NOTICE.value: by_state[State.NOTICE],
                    State.BLOCKED.value: blocked,
                },
                "reasons": census.reasons,
                "access": {
                    "blocked": blocked,
                    "unreached": len(census.lineless) + len(census.offline),
                    "notice": census.having(Access.NOTICE),
                    "pass": census.having(Access.PASS),
                    "drain": census.draining,
                },
            },
            "last_hour": {"restored": hour.restored, "median_s": hour.median, "slowest_s": hour.slowest},
            "words": words_in_force(house, now, listed=False),
            "nases": nases(house, now),
            "parts": [part.facts() for part in parts(house, now, names=names)],
            "alarms": [alarm.facts(names=names) for alarm in found],
        }

    async def devices(self, request: dict[str, Any]) -> dict[str, Any]:
        """A part of what ``edged keys devices`` prints."""
        return await self._residents.devices(request)

    # --- explain and log ------------------------------------------------------------------------

    async def explain(self, request: dict[str, Any]) -> dict[str, Any]:
        """What ``edged explain`` prints. ``Refused``."""
        name = request.get("name")
        facts = await self._explainer.explain(str(request["subject"]), str(name) if name else None)
        return {"schema": SCHEMA, **with_nas(self._house, facts)}

    async def _log(self, request: dict[str, Any]) -> dict[str, Any]:
        house, since = self._house, float(request.get("since") or 0.0)
        # in a thread: a page reference is looked for among everybody
        subject = await asyncio.to_thread(
            subscriber_of, house.current.view, str(request["subject"])[:256], house.captive.referenced
        )
        await house.lives.write()
        return life.facts(subject, await house.lives.store.of(subject, since), since)

    async def _settings(self) -> dict[str, Any]:
        """For ``edged check``: every key of the configuration in force, and the file that it was read from."""
        return {"schema": SCHEMA, **await asyncio.to_thread(settings_facts, self._house.loaded)}

    async def _names(self, request: dict[str, Any]) -> dict[str, Any]:
        """For completion. In a thread: 100,000 ids take some 100 ms."""
        kind, beginning = str(request["kind"]), str(request.get("beginning") or "")
        return {"schema": SCHEMA, "names": await asyncio.to_thread(offered, self._house, kind, beginning)}

    # --- what changes something ------------------------------------------------------------------

    async def _sync(self, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
        billing = self._house.billing
        if billing is None:
            raise Refused("there is no billing section to read from")
        accept, one, who = request.get("accept"), request.get("subscriber"), str(request.get("who", "?"))[:64]
        if one and accept:
            raise Refused("a subscriber is read, or a held reading accepted: not both at once", 2)
        if one:
            return await self._sync_one(billing, str(one))
        if accept:
            result = await billing.accept(str(accept), who=who)
            if result.outcome is Outcome.ACCEPTED:
                await self._house.overrides.note(
                    AuditRow(time.time(), who, "accept", str(accept), "edged sync --accept")
                )
        else:
            result = await billing.sync(tell)
        return {
            "schema": SCHEMA,
            "done": result.outcome in {Outcome.ACCEPTED, Outcome.UNCHANGED},
            "outcome": result.outcome.value,
            "snapshot": result.snapshot,
            "sentence": result.text + (f": {result.change}" if result.change else ""),
            "change": asdict(result.change) if result.change else None,
        }

    async def _sync_one(self, billing: BillingService, subject: str) -> dict[str, Any]:
        one = subscriber_of(self._house.current.view, subject, self._house.captive.referenced)
        state = await billing.recheck(one)
        view = self._house.current.view
        listed = view.table.subscribers.get(one)
        here = f"; here the line is {view.decide_id(one, time.time()).access}"
        if state is None:
            said = f'billing knows no subscriber "{one}" now' + (here if listed else "")
        else:
            has_line = listed is None or view.lines_of(listed) or view.devices_of(listed)
            said = f"billing says {one} is {state.value}" + (here if has_line else "; no line of theirs is known here")
        return {"schema": SCHEMA, "done": state is not None, "sentence": said}

    async def _reload(self) -> dict[str, Any]:
        await self._house.reload()
        state = self._house.reload_state
        problems = [f"{p.key}: {p.found}; expected {p.expected}" for p in state.problems]
        sentence = (
            "the file is in force" if state.ok else "refused; what ran keeps running:\n  " + "\n  ".join(problems)
        )
        return {"schema": SCHEMA, "done": state.ok, "sentence": sentence, "problems": problems}


def _verdict(found: list[Any], *, watching: bool, listed: bool, held_back: int) -> str:
    if not found:
        return "watching; nothing is changed for anyone" if watching else "all well"
    loudest = next((alarm for alarm in found if alarm.code == "billing-held"), None)
    if loudest is not None:
        return "billing is HELD; " + ("the last good list is in force" if listed else "there is no list in force yet")
    needs = "1 thing needs you" if len(found) == 1 else f"{len(found)} things need you"
    if not held_back:
        return needs
    return f"{needs}; {counted(held_back, 'subscriber')} may still be blocked by mistake"
