# SPDX-License-Identifier: Apache-2.0
"""Outcome -> the Answer that carries it in the dialect of the question. Pure."""

from __future__ import annotations

from functools import lru_cache

from edged.mpsk.dialects import DIALECTS
from edged.mpsk.identity import identity_of
from edged.mpsk.outcome import Accept, Discard, Outcome
from edged.mpsk.question import Question
from edged.radius.attributes import Attribute, attribute
from edged.radius.packet import Answer, Code, Hidden
from edged.state.keys import KeyId

REJECTED = Answer(Code.ACCESS_REJECT)
"""Bare: a text for the device would reach nobody, and none tells a stranger why."""


@lru_cache(maxsize=4096)
def _user_name(key: KeyId) -> Attribute:
    """RFC 2865 section 5.1: what the access point is to say in accounting from now on, where it names the key."""
    return attribute("User-Name", identity_of(key))


def answer_of(question: Question, accept: Accept) -> Answer:
    """The Access-Accept."""
    attributes: list[Attribute | Hidden] = list(question.dialect.write(accept))
    if accept.session_timeout is not None:
        attributes.append(attribute("Session-Timeout", accept.session_timeout))
    if accept.key is not None and not accept.offered:
        if question.dialect.has_identity:
            attributes.append(_user_name(accept.key.name))
        if question.wants_identity:  # RFC 4372 section 2.2: to those alone who ask
            attributes.append(attribute("Chargeable-User-Identity", identity_of(accept.key.name)))
    return Answer(Code.ACCESS_ACCEPT, tuple(attributes))


def written(question: Question | None, outcome: Outcome) -> Answer | None:
    """What goes back; None: silence."""
    if isinstance(outcome, Discard):
        return None
    if isinstance(outcome, Accept):
        return answer_of(question, outcome) if question is not None else REJECTED
    dialect = question.dialect if question is not None else DIALECTS.get(outcome.dialect)
    refused = dialect.refuse(outcome) if dialect is not None else ()
    return Answer(Code.ACCESS_REJECT, refused) if refused else REJECTED
