# SPDX-License-Identifier: Apache-2.0
"""A page's content in, what can be pressed on it out: one primary action, and the others below it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edged.captive.answers import Topic
from edged.captive.destination import button_href, destination
from edged.captive.page.texts import Phrase, Words
from edged.captive.statement import MAX_ID_OCTETS, Purpose, make_token

if TYPE_CHECKING:
    from edged.captive.page.content import Content

BUTTON_LIFE = 3600.0
"""Seconds a button works: as long as a person may leave the page open before reading it afresh."""

_LOOKS_FIRST = frozenset({Topic.LOOKING, Topic.UNSEEN})
"""Who waits for a payment to be seen wants to look again before anything else."""
_HAS_PASS = frozenset({Topic.BLOCKED, Topic.LOOKING, Topic.UNSEEN, Topic.AWAY})
_HAS_CHECK = _HAS_PASS | {Topic.USED_UP, Topic.PASS}
_TO_THE_START = {Topic.MISSING: "missing.button", Topic.STRANGER: "stranger.button", Topic.RESTORED: "restored.button"}
"""Their one button opens the page afresh: it then says how the line is."""
_AGAIN_FIRST = frozenset({Topic.OPENING, Topic.FAULT})
_UNITS = (("days", 86400.0, 2), ("hours", 3600.0, 1), ("minutes", 60.0, 1))
"""Name, seconds, and from how many on a duration is told in it."""

Action = dict[str, Any]
"""A link (``href``) or a button that posts (``action``, ``fields``), with ``label``, ``more`` and ``opens``."""


def actions(content: Content) -> dict[str, Any]:
    """``primary`` (None: there is nothing to do) and ``others``, in the order of the page; ``spent``: why no pass."""
    order = _in_order(content)
    spent = _may_open(content) and content.desk.passes_left == 0
    return {
        "primary": order[0] if order else None,
        "others": order[1:],
        # a button that was there this morning is not to vanish without a word
        "spent": content.said.say("pass.none") if spent else "",
    }


def _in_order(content: Content) -> list[Action]:
    topic, said = content.page.topic, content.said
    if topic in _TO_THE_START:
        return [_link("/", said.built_in(_TO_THE_START[topic]))]
    again = _link(_here(content), said.say("again"))
    if topic in _AGAIN_FIRST or not content.concerned:
        return [again]
    pay, check, pass_, reminders = _pay(content), _check(content), _pass(content), _reminders(content)
    looks = [check or again] if topic in _HAS_CHECK else []
    order = [*looks, *pass_, *pay] if topic in _LOOKS_FIRST else [*pay, *looks, *pass_]
    return [*order, *reminders]


def _link(href: str, label: Phrase | str, opens: object = "") -> Action:
    return {"href": href, "action": "", "fields": {}, "label": label, "more": "", "opens": opens}


def _here(content: Content) -> str:
    """The address of this page, in the language that was asked for."""
    asked = f"?lang={content.said.language}" if content.page.language else ""
    return (f"/s/{content.page.link}" if content.page.link else "/") + asked


def _pay(content: Content) -> list[Action]:
    """The button that leads to where the debt, or whatever it is, is settled; none where there is no such place."""
    said, where = content.said, destination(content.brand, content.page.decision)
    if not where:
        return []
    label = said.operators("button")
    if label is None and content.owing and content.amount:
        label = said.built_in("pay.amount", amount=content.amount)
    host = urlsplit(where).hostname
    opens = said.say("opens", host=host) if host else ""
    # our own address counts the click and sends it on; where it ends is said below the button
    href = button_href(where, content.page.link)
    return [_link(href, label or said.built_in(f"{said.prefix}.button"), opens)]


def _form(content: Content, path: str, label: object, more: object = "") -> Action | None:
    """A button with a token for one subscriber; None where it can have none."""
    subscriber = content.page.decision.subscriber
    if subscriber is None or not 0 < len(subscriber.id.encode()) <= MAX_ID_OCTETS:
        return None
    token = make_token(content.link_key, Purpose.BUTTON, subscriber.id, content.now + BUTTON_LIFE)
    fields = {"token": token, "link": content.page.link}
    if content.page.language:
        fields["lang"] = content.said.language
    return {"href": "", "action": path, "fields": fields, "label": label, "more": more, "opens": ""}


def _check(content: Content) -> Action | None:
    if not (content.desk.can_check and content.owing and content.page.topic in _HAS_CHECK):
        return None
    looked = content.page.topic in _LOOKS_FIRST | {Topic.AWAY}
    return _form(content, "/check", content.said.say("again" if looked else "check"))


def _may_open(content: Content) -> bool:
    """True where a pass would help; on a running one another would add nothing."""
    return bool(content.settings.pass_ and content.owing and content.page.topic in _HAS_PASS and not content.until)


def _pass(content: Content) -> list[Action]:
    left, settings = content.desk.passes_left, content.settings.pass_
    if not (left and settings and _may_open(content)):
        return []
    label = content.said.counted("pass.start", max(1, round(settings.length / 60)))
    return [form] if (form := _form(content, "/pass", label, content.said.counted("pass.left", left))) else []


def _reminders(content: Content) -> list[Action]:
    if content.page.topic is not Topic.NOTICE or not content.desk.can_put_away:
        return []
    choices = (("seen", content.desk.seen_for), ("later", content.desk.later_for))
    forms = (
        _form(content, f"/{name}", content.said.say(f"notice.{name}"), _in(content.said, seconds))
        for name, seconds in choices
    )
    return [form for form in forms if form]


def _in(said: Words, seconds: float) -> object:
    """When a reminder returns, in the largest unit that says it without a remainder; empty: not known."""
    if seconds <= 0:
        return ""
    for name, unit, least in _UNITS:
        if seconds >= unit * least and seconds % unit == 0:
            return said.counted(f"remind.{name}", round(seconds / unit))
    return said.counted("remind.minutes", max(1, round(seconds / 60)))
