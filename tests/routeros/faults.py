"""The faults that the stand-in plays, each by its name. Pure.

A name in ``server.faults`` holds for every command from now on; ``server.turns`` holds one name for each of the next
commands, an empty one for none. ``server.cut_at`` ends the connection after so many octets of replies.
"""

from __future__ import annotations

from collections.abc import Collection

from tests.routeros.sentences import Reply, TrapError, tag_of, tagged, trapped
from tests.routeros.session import Answer, Session
from tests.routeros.words import Sentence

FAULTS = {
    "silence": "commands are carried out and never answered",
    "deaf": "commands are read and neither carried out nor answered",
    "half-open": "nothing is read and nothing is sent from here on, and nobody is told",
    "slow": "the reply takes longer than anybody waits",
    "late": "the reply comes after server.late seconds, when the client may have given up",
    "trickle": "the reply comes octet by octet",
    "interleaved": "the sentences of replies to tagged commands come one of each in turn",
    "out-of-order": "replies of tagged commands wait a random while and overtake each other",
    "cut": "the connection ends in the middle of the reply's first sentence",
    "cut-before": "the connection ends before the command is carried out",
    "cut-after": "the connection ends after the command was carried out and before its reply",
    "reset": "as cut-after, with a reset",
    "reboot": "the router reboots before the command is carried out",
    "trap-storm": "every command traps, several times over",
    "fatal": "the command gets a fatal without a tag, and the connection ends",
    "malformed": "the reply begins with a reserved control octet",
    "foreign-tag": "the reply bears a tag that nobody gave",
    "full": "an add traps: no memory",
    "read-only": "a write traps: the group may not",
    "partial-list": "a list of ids of which one is missing: those before it are done, and it traps",
    "session-limit": "the connection is closed as soon as it is made",
    "login-refused": "the password is wrong",
    "other-certificate": "TLS with a certificate of another authority",
}
STORM = 4
"""Traps of a storm."""


def answered(session: Session, sentence: Sentence, faults: Collection[str]) -> Answer:
    """What the router says to a sentence, with the faults that lie in what it says or does."""
    tag, console = tag_of(sentence), session.console
    if "fatal" in faults:
        return Answer([Reply("!fatal", reason="stand-in: the router has enough")], is_last=True)
    if "trap-storm" in faults and sentence[0] != b"/login":
        return Answer(tagged(trapped([TrapError("failure: stand-in: a storm")] * STORM), tag))
    console.is_full, console.is_read_only = "full" in faults, "read-only" in faults
    console.does_part = "partial-list" in faults
    session.refuses = "login-refused" in faults
    answer = session.receive(sentence)
    console.is_full = console.is_read_only = console.does_part = False
    if "foreign-tag" in faults:
        answer.replies = tagged(answer.replies, "stand-in")
    return answer
