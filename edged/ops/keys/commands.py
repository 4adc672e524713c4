# SPDX-License-Identifier: Apache-2.0
"""``edged keys``: what lists, makes and prints keys. Every act on a key leaves its line in the audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edged.errors import Problem
from edged.mpsk.keylist.choice import Choice
from edged.mpsk.keylist.service import Shown
from edged.ops.control import SCHEMA, Refused, Tell
from edged.ops.keys.changes import KeyChanges
from edged.ops.keys.forms import Facts, choice_of, key_of, keys_named, listed, order_of, refusal, row_of
from edged.ops.text import moment
from edged.state.keys import LOCAL
from edged.state.overrides import AuditRow

if TYPE_CHECKING:
    from edged.ops.rooms import House

AUDITED_EACH = 100
"""Acts on so many keys leave a line for each; on more, one line with their number."""
_LOOK_EVERY_S = 0.1
EXPORTED_ALL = "export every local key with passphrases"
"""The audit's word for an export that every key made here can be restored from: ``edged doctor`` looks for it."""


class KeyCommands:
    """The one command with actions of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._changes = KeyChanges(house, self._note)
        self._actions = {
            "list": self._list, "add": self._add, "generate": self._generate, "import": self._import,
            "export": self._export, "show": self._show,
        }  # fmt: skip

    async def answer(self, request: Facts, tell: Tell = lambda *_: None) -> Facts:
        """The answer to one action; ``tell`` hears of what takes long."""
        action = str(request["action"])
        act = self._actions.get(action)
        answer = await (act(request) if act else self._changes.answer(action, request))
        await self._waited(request, tell)
        return answer

    async def _list(self, request: Facts) -> Facts:
        choice, key_list = choice_of(request), self._house.mpsk.key_list
        # in a thread: ten thousand keys take some 100 ms
        rows, known = await asyncio.to_thread(self._rows, choice)
        left_out = () if choice.origin == LOCAL else key_list.left_out
        return {
            "schema": SCHEMA,
            "keys": rows,
            "count": listed(len(rows), known),
            "left_out": [{"id": key_id, "same_as": holder} for key_id, holder in left_out],
            "weak": len(key_list.weak),
        }

    def _rows(self, choice: Choice) -> tuple[list[Facts], int]:
        facts = self._house.mpsk.key_facts()
        return [row_of(fact) for fact in choice.of(facts)], len(facts)

    async def _add(self, request: Facts) -> Facts:
        _refuse_ended(request)
        key = key_of(request)
        added = await self._house.mpsk.key_list.add(key)
        if isinstance(added, Problem):
            raise refusal("no key was made", [added])
        await self._note(request, "add key", [added])
        return {
            "schema": SCHEMA,
            "id": added,
            "sentence": f"{added} is good on {key.ssid}{_from(key.not_before)}."
            f"\nIts passphrase:  edged keys show {added}",
        }

    async def _generate(self, request: Facts) -> Facts:
        _refuse_ended(request)
        keys, problems = await self._house.mpsk.key_list.generate(order_of(request))
        if problems:
            raise refusal("no key was made", problems)
        ids = [key.id for key in keys]
        await self._note(request, "generate key", ids)
        return {"schema": SCHEMA, "count": len(ids), "ids": ids, "sentence": _made(ids)}

    async def _import(self, request: Facts) -> Facts:
        count, problems = await self._house.mpsk.key_list.import_csv(str(request["csv"]))
        if problems:
            raise refusal("no key was made", [*problems])
        await self._note(request, "import keys", [str(count)])
        return {
            "schema": SCHEMA,
            "count": count,
            "sentence": f"{count:,} key{'s were' if count != 1 else ' was'} made.  edged keys list",
        }

    async def _export(self, request: Facts) -> Facts:
        reveal, choice = bool(request.get("reveal")), choice_of(request)
        text, count = await self._house.mpsk.key_list.export_csv(choice, passphrases=reveal)
        action = "export keys with passphrases" if reveal else "export keys"
        if reveal and replace(choice, origin="").is_empty and choice.origin in {"", LOCAL}:
            action = EXPORTED_ALL
        await self._note(request, action, [str(count)])
        return {"schema": SCHEMA, "count": count, "csv": text}

    async def _show(self, request: Facts) -> Facts:
        key_id = str(request["id"])
        shown = self._house.mpsk.key_list.reveal(key_id)
        if not shown:
            raise Refused(f'there is no key "{key_id}".  edged keys list')
        await self._note(request, "show key", [key_id])
        return {"schema": SCHEMA, "id": key_id, "sentence": _shown(shown, time.time())}

    async def _waited(self, request: Facts, tell: Tell) -> None:
        """With ``wait``: return when every PMK is derived, and say how far that is."""
        if not request.get("wait"):
            return
        of = len(self._house.mpsk.ring.pending)
        while pending := len(self._house.mpsk.ring.pending):
            of = max(of, pending)
            tell("deriving PMKs", of - pending, of)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _note(self, request: Facts, action: str, subjects: Sequence[str]) -> None:
        who, why = str(request.get("who", "?"))[:64], str(request.get("why") or "")[:200]
        named = subjects if len(subjects) <= AUDITED_EACH else [keys_named(subjects)]
        now = time.time()
        await self._house.overrides.note(*(AuditRow(now, who, action, subject, why) for subject in named))


def _made(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"{ids[0]} was made.\nIts passphrase:  edged keys show {ids[0]}"
    return f"{keys_named(ids)} were made.\nTheir passphrases:  edged keys show ID, or edged keys export --reveal"


def _refuse_ended(request: Facts) -> None:
    """``Refused`` for keys that would never be good."""
    begins, ends = float(request.get("begins") or 0.0), float(request.get("ends") or 0.0)
    if ends and ends <= begins:
        raise Refused("--until is not after --from: the key would never be good", 2)
    if ends and ends <= time.time():
        raise Refused("--until lies in the past: the key would never be good", 2)


def _from(begins: float) -> str:
    return f" from {moment(begins)} on" if begins > time.time() else ""


def _shown(shown: Sequence[Shown], now: float) -> str:
    """The passphrase that is good now in the first line, and what else a resident should know below it."""
    first, *others = sorted(shown, key=lambda each: each.begins > now)
    lines = [first.passphrase.reveal_text()]
    for other in others:
        when = f"good from {moment(other.begins)}" if other.begins > now else "the one before"
        until = f", good until {moment(other.ends)}" if other.ends and other.begins <= now else ""
        lines.append(f"{other.passphrase.reveal_text()}  ({when}{until})")
    return "\n".join(lines)
