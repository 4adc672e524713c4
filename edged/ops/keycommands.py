# SPDX-License-Identifier: Apache-2.0
"""``edged keys``: list, add, import, revoke, show. Every act on a key leaves its line in the audit."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edged.errors import Problem
from edged.model import Key
from edged.ops.control import Refused
from edged.state.overrides import AuditRow
from edged.values import Secret, parse_mac

if TYPE_CHECKING:
    from edged.ops.rooms import House

Facts = dict[str, Any]


class KeyCommands:
    """The one command with actions of its own."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def answer(self, request: Facts) -> Facts:
        """The answer to one action."""
        match request["action"]:
            case "list":
                return self._list()
            case "add":
                return await self._add(request)
            case "import":
                return await self._import(request)
            case "revoke":
                return await self._revoke(request)
            case "show":
                return await self._show(request)
            case other:
                raise Refused(f'keys has no action "{other}"', 2)

    def _list(self) -> Facts:
        rows = []
        for key in self._house.mpsk.key_facts():
            facts = asdict(key)
            rows.append({**facts, "devices": len(key.devices), "seen": list(key.devices), "state": key.standing})
        return {"schema": 1, "keys": rows}

    async def _add(self, request: Facts) -> Facts:
        try:
            devices = tuple(parse_mac(str(mac)) for mac in request.get("devices", ()))
        except ValueError as error:
            raise Refused(str(error), 2) from None
        vlan = request.get("vlan")
        if vlan is not None and not 1 <= int(vlan) <= 4094:
            raise Refused("a VLAN lies between 1 and 4094", 2)
        key = Key(
            id=str(request.get("id", "")), ssid=str(request["ssid"]),
            passphrase=Secret(str(request.get("passphrase", ""))),
            subscriber=str(request.get("subscriber", "")), site=str(request.get("site", "")),
            label=str(request.get("label", "")), vlan=None if vlan is None else int(vlan), devices=devices,
        )  # fmt: skip
        added = await self._house.mpsk.add(key)
        if isinstance(added, Problem):
            raise Refused(f"no key was made: {added.key}: {added.found}; expected {added.expected}")
        await self._note(request, "add key", added)
        return {
            "schema": 1,
            "id": added,
            "sentence": f"{added} is good on {key.ssid}.\nIts passphrase:  edged keys show {added}",
        }

    async def _import(self, request: Facts) -> Facts:
        count, problems = await self._house.mpsk.import_csv(str(request["csv"]))
        if problems:
            lines = [
                f"  {f'line {p.line}: ' if p.line else ''}{p.key}: {p.found}; expected {p.expected}"
                for p in problems[:20]
            ]
            more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
            raise Refused("no key was made:\n" + "\n".join(lines) + more)
        await self._note(request, "import keys", str(count))
        return {
            "schema": 1,
            "count": count,
            "sentence": f"{count:,} key{'s were' if count != 1 else ' was'} made.  edged keys list",
        }

    async def _revoke(self, request: Facts) -> Facts:
        key_id = str(request["id"])
        if not await self._house.mpsk.revoke(key_id):
            known = next((key for key in self._house.mpsk.key_facts() if key.id == key_id), None)
            if known is None:
                raise Refused(f'there is no key "{key_id}"')
            why = "is billing's key; it ends in billing" if known.origin == "billing" else "is revoked already"
            raise Refused(f'"{key_id}" {why}')
        await self._note(request, "revoke key", key_id)
        return {
            "schema": 1,
            "id": key_id,
            "sentence": f"{key_id} is revoked; its devices are refused when they ask again.",
        }

    async def _show(self, request: Facts) -> Facts:
        key_id = str(request["id"])
        secret = self._house.mpsk.reveal(key_id)
        if secret is None:
            raise Refused(f'there is no key "{key_id}"')
        await self._note(request, "show key", key_id)
        return {"schema": 1, "id": key_id, "sentence": secret.reveal_text()}

    async def _note(self, request: Facts, action: str, subject: str) -> None:
        who = str(request.get("who", "?"))[:64]
        await self._house.overrides.note(AuditRow(time.time(), who, action, subject, ""))
