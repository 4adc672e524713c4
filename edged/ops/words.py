# SPDX-License-Identifier: Apache-2.0
"""What an operator says of one subscriber: block, unblock, pass; and what is in force of it. Asks the house."""

from __future__ import annotations

import time
from collections import Counter
from shlex import quote
from typing import TYPE_CHECKING, Any

import structlog

from edged.model import Access, State
from edged.ops.control import SCHEMA, Refused
from edged.ops.subjects import meant, subscriber_of
from edged.ops.text import counted, moment
from edged.policy.access import Override, Rule
from edged.state.overrides import Kind

if TYPE_CHECKING:
    from edged.ops.rooms import House

log = structlog.get_logger(__name__)

Facts = dict[str, Any]

DAY_S = 86400.0
LONGEST_S = {Kind.BLOCK: 31 * DAY_S, Kind.PROMISE: 31 * DAY_S, Kind.EXEMPTION: 366 * DAY_S}
"""No word of an operator is in force for ever."""
_CALLED = {Kind.BLOCK: "a block", Kind.PROMISE: "a promise to pay", Kind.EXEMPTION: "an exemption"}
DEFAULT_S = 2 * 3600.0
LONGEST_PASS_S = DAY_S
DEFAULT_PASS_S = 900.0
"""Where ``portal.pass`` is not set."""
SOON_S = DAY_S
LISTED = 100
"""Words that ``status`` lists one by one."""


class WordCommands:
    """The answers of ``block``, ``unblock`` and ``pass``."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def override(self, request: Facts, *, blocked: bool) -> Facts:
        """``edged block`` and ``edged unblock``, with ``--end`` too."""
        now = time.time()
        subscriber, who, why = self._said(request)
        if request.get("end"):
            return await self._end(subscriber, why, who, now)
        kind = Kind.BLOCK if blocked else _kind(request.get("kind"))
        until = _until(request, now, DEFAULT_S)
        if not now < until <= now + LONGEST_S[kind]:
            raise Refused(_too_long(kind, now), 2)
        listed = subscriber in self._house.current.view.table.subscribers
        if blocked and not listed:
            raise Refused(_unlisted(self._house, subscriber, "so edged knows no line of theirs to block"))
        saved = await self._house.overrides.put(Override(subscriber, blocked, until, why, who, now), kind)
        log.info("override", subject=subscriber, kind=kind.value, until=moment(until), who=who, why=why)
        await self._house.relearn()
        if blocked:
            sentence = f"{subscriber} is blocked (abuse) until {moment(until)}: {self._concerned(subscriber)}."
        else:
            sentence = f"{subscriber} is open until {moment(until)} ({kind}), whatever billing says."
        if not listed:
            sentence = _unlisted(self._house, subscriber, "so nothing was closed that could be opened")
            sentence += f"\nShould billing block them before {moment(until)}, the line stays open ({kind})."
        if not saved:
            sentence += "\nThe database cannot be written now: a restart before it can would forget this."
        sentence += f"\nUndo:  edged {'block' if blocked else 'unblock'} {quote(subscriber)} --end --why …"
        return self._answer(sentence, until=until, kind=kind.value)

    async def grant(self, request: Facts) -> Facts:
        """``edged pass``: what the button of the page does, for somebody on the phone; with ``--end`` too."""
        house, now = self._house, time.time()
        subscriber, who, why = self._said(request)
        if request.get("end"):
            return await self._end_pass(subscriber, why, who, now)
        settings = house.loaded.config.portal.pass_
        until = _until(request, now, settings.length if settings else DEFAULT_PASS_S)
        if not now < until <= now + LONGEST_PASS_S:
            raise Refused("a pass lasts between a moment and 24 hours; edged unblock opens a line for longer", 2)
        decision = house.current.view.decide_id(subscriber, now)
        if decision.rule is Rule.OVERRIDE and decision.access is Access.BLOCKED:
            raise Refused(
                f"an operator's word blocks {subscriber}, and a pass does not open that:"
                f" edged block {quote(subscriber)} --end --why …"
            )
        if decision.subscriber is None or decision.subscriber.state is not State.BLOCKED:
            raise Refused(f"billing does not block {subscriber}: there is nothing for a pass to open")
        if decision.rule is Rule.OVERRIDE:
            raise Refused(f"{subscriber} is open until {moment(decision.until)} by an operator's word already")
        if decision.rule is Rule.PASS and decision.until >= until:
            raise Refused(f"{subscriber} has a pass until {moment(decision.until)} already")
        await house.overrides.start_pass(subscriber, now, until, who=who, why=why)
        log.info("pass-granted", subject=subscriber, until=moment(until), who=who, why=why)
        await house.relearn()
        undo = f"\nUndo:  edged pass {quote(subscriber)} --end --why …"
        return self._answer(f"{subscriber} has a pass until {moment(until)}.{undo}", until=until)

    async def _end_pass(self, subscriber: str, why: str, who: str, now: float) -> Facts:
        house = self._house
        if house.current.view.learned.passes.get(subscriber, 0.0) <= now:
            raise Refused(f'no pass is running for "{subscriber}"')
        await house.overrides.end_pass(subscriber, who=who, why=why, at=now)
        log.info("pass-ended", subject=subscriber, who=who, why=why)
        await house.relearn()
        access = house.current.view.decide_id(subscriber, now).access
        sentence = f"the pass of {subscriber} has ended; here the line is {access}."
        return {"schema": SCHEMA, "sentence": sentence}

    def _concerned(self, subscriber: str) -> str:
        """What of theirs a block reaches."""
        view = self._house.current.view
        listed = view.table.subscribers[subscriber]
        lines, devices = len(view.lines_of(listed)), len(view.devices_of(listed))
        keys = sum(stored.key.subscriber == subscriber for stored in self._house.mpsk.ring.keys.values())
        reached = [counted(lines, "prefix", "prefixes")] if lines else []
        reached += [counted(devices, "device")] if devices else []
        reached += [counted(keys, "Wi-Fi key")] if keys else []
        return ", ".join(reached) or "no line of theirs is known now"

    async def _end(self, subscriber: str, why: str, who: str, now: float) -> Facts:
        house = self._house
        if subscriber not in house.current.view.learned.overrides:
            raise Refused(f'no operator\'s word is in force for "{subscriber}"')
        await house.overrides.end(subscriber, who=who, why=why, at=now)
        log.info("override-taken-back", subject=subscriber, who=who, why=why)
        await house.relearn()
        access = house.current.view.decide_id(subscriber, now).access
        return {
            "schema": SCHEMA,
            "sentence": f"billing's word holds for {subscriber} again; here the line is {access}.",
        }

    def _said(self, request: Facts) -> tuple[str, str, str]:
        """Whom it is about, who says it and why."""
        why = "".join(c if c.isprintable() else " " for c in str(request["why"])[:500]).strip()
        if not why:
            raise Refused('--why "…" is missing: the audit wants a reason', 2)
        return (
            subscriber_of(self._house.current.view, str(request["subscriber"]), self._house.captive.referenced),
            str(request.get("who", "?"))[:64],
            why,
        )

    def _answer(self, sentence: str, **more: Any) -> Facts:
        if self._house.loaded.config.mode == "watch":
            sentence += "\nedged is watching: nothing is done about it."
        return {"schema": SCHEMA, "sentence": sentence, **more}


def _unlisted(house: House, subscriber: str, consequence: str) -> str:
    slip = meant(house.current.view, subscriber)
    hint = f' Did you mean "{slip}"?' if slip else ""
    return f'billing lists no subscriber "{subscriber}" now, {consequence}.{hint}'


def _kind(said: object) -> Kind:
    if said is None:
        return Kind.PROMISE
    if said not in {Kind.PROMISE.value, Kind.EXEMPTION.value}:
        raise Refused("--kind is promise or exemption", 2)
    return Kind(str(said))


def _until(request: Facts, now: float, default: float) -> float:
    """When it ends, epoch seconds; what is no number ends nothing and is refused by the caller."""
    if request.get("until") is not None:
        return float(request["until"])
    seconds = request.get("seconds")
    return now + (default if seconds is None else float(seconds))


def _too_long(kind: Kind, now: float) -> str:
    longest = LONGEST_S[kind]
    sentence = (
        f"{_CALLED[kind]} lasts between a moment and {longest / DAY_S:.0f} days:"
        f" until {moment(now + longest)} at the latest"
    )
    return sentence + ("; an exemption may be longer: --kind exemption" if kind is Kind.PROMISE else "")


def kind_of(house: House, override: Override) -> Kind:
    """What kind of word ``override`` is."""
    return Kind.BLOCK if override.blocked else house.overrides.kinds.get(override.subscriber, Kind.PROMISE)


def word_facts(house: House, override: Override) -> Facts:
    """One word, for a program. Epoch seconds."""
    return {
        "subscriber": override.subscriber,
        "kind": kind_of(house, override).value,
        "at": override.at,
        "until": override.until,
        "who": override.who,
        "why": override.why,
    }


def words_in_force(house: House, now: float, *, listed: bool) -> Facts:
    """How many of each kind are in force, which ends next, which end within a day; ``listed``: and who, the next first.

    The list holds names and reasons: it is for the control socket, not for the ops address.
    """
    words = sorted(
        (word for word in house.current.view.learned.overrides.values() if word.until > now),
        key=lambda word: (word.until, word.subscriber),
    )
    count = Counter(kind_of(house, word) for word in words)
    facts: Facts = {
        "blocks": count[Kind.BLOCK],
        "openings": count[Kind.PROMISE] + count[Kind.EXEMPTION],
        "promises": count[Kind.PROMISE],
        "exemptions": count[Kind.EXEMPTION],
        "next_end": words[0].until if words else None,
        "ending_soon": sum(word.until <= now + SOON_S for word in words),
    }
    return facts | ({"list": [word_facts(house, word) for word in words[:LISTED]]} if listed else {})
