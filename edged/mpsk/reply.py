# SPDX-License-Identifier: Apache-2.0
"""Outcome -> the Answer that carries it in the dialect of the question. Pure."""

from __future__ import annotations

from edged.mpsk.outcome import Accept, Discard, Outcome
from edged.mpsk.question import Question
from edged.radius.attributes import Attribute, attribute
from edged.radius.packet import Answer, Code, Hidden

REJECTED = Answer(Code.ACCESS_REJECT)
"""Bare: a text for the device would reach nobody, and none tells a stranger why."""


def answer_of(question: Question, accept: Accept) -> Answer:
    """The Access-Accept."""
    attributes: list[Attribute | Hidden] = list(question.dialect.write(accept))
    if accept.session_timeout is not None:
        attributes.append(attribute("Session-Timeout", accept.session_timeout))
    if question.wants_identity and accept.key is not None:
        # RFC 4372 section 2.2: hostapd puts it into accounting, where it names the key
        identity = accept.key.key.id.encode()[:253]
        attributes.append(attribute("Chargeable-User-Identity", identity))
    return Answer(Code.ACCESS_ACCEPT, tuple(attributes))


def written(question: Question | None, outcome: Outcome) -> Answer | None:
    """What goes back; None: silence."""
    if isinstance(outcome, Discard):
        return None
    if isinstance(outcome, Accept) and question is not None:
        return answer_of(question, outcome)
    return REJECTED
