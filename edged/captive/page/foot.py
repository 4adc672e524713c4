# SPDX-License-Identifier: Apache-2.0
"""A page's content in, what stands below the actions of every page out: help, trust, other ways in. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from edged.captive.destination import destination, is_web
from edged.captive.page.locales import LOCALES
from edged.captive.page.qr import code
from edged.captive.page.spelling import day_of, time_of
from edged.captive.page.texts import direction, spoken
from edged.model import NO_ACCOUNT

if TYPE_CHECKING:
    from edged.captive.page.content import Content


def foot(content: Content) -> dict[str, Any]:
    """``help``, ``real``, ``browser``, ``code``, ``languages`` and ``foot`` of the templates."""
    said, host = content.said, content.settings.typed
    return {
        "help": _help(content),
        "real": _real(content),
        "browser": {"title": said.say("browser.title"), "text": said.say("browser.text", host=host)}
        if content.concerned and host
        else None,
        "code": _code(content),
        "languages": _languages(content),
        "foot": {
            "reference": content.page.reference,
            "label": said.say("foot.reference"),
            "at": _at(content),
        },
    }


def _help(content: Content) -> dict[str, Any]:
    """Whom to ask, in the same words and place on every page; other ways to pay where paying helps."""
    said, phone = content.said, content.said.phone
    text = ""
    if content.concerned:
        text = said.say("help.text" if content.owing else "help.text.other")
    return {
        "title": said.say("help.title" if content.owing else "help.title.plain"),
        "text": text,
        "phone": {
            "href": "tel:" + "".join(c for c in phone if c.isdigit() or c == "+"),
            "label": said.say("help.call", phone=phone),
        }
        if phone
        else None,
        "invoice": "" if phone else said.say("help.invoice"),
        "hours": said.help_in_any("hours"),
        "ways": _ways(content),
    }


def _ways(content: Content) -> dict[str, Any] | None:
    said, text = content.said, content.said.help_in_any("help")
    if text is None or not content.owing:
        return None
    invoice = content.account.invoice if content.page.link else ""
    reference = said.say("help.reference", invoice=invoice) if invoice else ""
    return {"title": said.say("help.ways"), "text": text, "reference": reference}


def _real(content: Content) -> dict[str, Any]:
    """How a reader finds out that the page is genuine, without taking its own word for it."""
    said, page = content.said, content.page
    points = [
        said.say("real.text", host=content.settings.typed) if content.settings.typed else "",
        said.say("real.phone") if said.phone else "",
        said.say("real.staff", reference=page.reference) if page.reference and content.concerned else "",
        said.say("real.never"),
    ]
    return {"title": said.say("real.title"), "points": [point for point in points if point]}


def _code(content: Content) -> dict[str, Any] | None:
    """The address to go on at with another device; on a signed page the subscriber's own."""
    if not content.concerned:
        return None
    # what names one subscriber's invoice stays behind the button where anybody may look
    decision = content.page.decision
    if decision.subscriber and not content.page.link:
        decision = replace(decision, subscriber=replace(decision.subscriber, account=NO_ACCOUNT))
    link = destination(content.brand, decision)
    if not is_web(link):
        link = f"{content.settings.url}/" if content.settings.url else ""
    drawn = code(link)
    if not drawn:
        return None
    said = content.said
    return {
        "text": said.say("code.text"),
        # an attribute: no marks
        "label": said.built_in("code.label", link=link).plain,
        # as one types it, broken where a reader would
        "link": Markup("/<wbr>").join(link.removeprefix("https://").removesuffix("/").split("/")),
        "svg": drawn,
    }


def _languages(content: Content) -> dict[str, Any]:
    return {
        "label": content.said.say("languages"),
        "choices": [
            {"tag": tag, "name": LOCALES[tag].name if tag in LOCALES else tag, "dir": direction(tag)}
            for tag in spoken(content.brand)
        ],
    }


def _at(content: Content) -> object:
    """When billing was last read about this subscriber, written out."""
    at, said = content.page.at, content.said
    if not at:
        return ""
    return said.say("foot.at", date=day_of(at, said.locale, content.zone), time=time_of(at, content.zone))
