"""One client's conversation: sentences in, sentences out and the work they are worth. Pure but for the console.

Login is the manual's: from 6.43 on name and password in one sentence, before it MD5 of a challenge. The texts of
refused logins are those that published transcripts and public clients have.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.routeros.console import Console, Outcome
from tests.routeros.latency import Work
from tests.routeros.sentences import (
    API,
    INTERRUPTED,
    Command,
    Reply,
    TrapError,
    command,
    done,
    tag_of,
    tagged,
    to_octets,
    trapped,
)
from tests.routeros.table import Values
from tests.routeros.values import Version
from tests.routeros.words import Sentence

PLAIN_SINCE = Version(6, 43)


@dataclass(slots=True)
class Answer:
    """What a sentence is answered, when the router has worked."""

    replies: list[Reply]
    work: Work = field(default_factory=Work)
    is_last: bool = False
    """The connection ends after it."""


class Session:
    """``random`` gives octets for a challenge; ``tell`` takes what comes without being asked for, of ``listen``."""

    def __init__(self, console: Console, random: Callable[[int], bytes], tell: Callable[[list[Reply]], None]) -> None:
        self.console = console
        self._random = random
        self._tell = tell
        self._challenge = b""
        self.user = ""
        self.policy = ""
        self.refuses = False
        """Fault: no password is right."""
        self._listening: dict[str, str] = {}
        """Menus by the tag of the command that listens."""
        self._is_busy = False
        self._heard_meanwhile: list[Reply] = []

    @property
    def is_logged_in(self) -> bool:
        return bool(self.user)

    def receive(self, sentence: Sentence) -> Answer:
        """What the router says to it; never an exception."""
        tag = tag_of(sentence)
        try:
            asked = command(sentence)
            if not self.is_logged_in and asked.name not in {"/login", "/quit"}:
                return Answer([Reply("!fatal", reason="not logged in")], is_last=True)
            self._is_busy = True
            answer = self._answer(asked)
        except TrapError as error:
            answer = Answer(tagged(trapped([error]), tag))
        self._is_busy = False
        # what the command itself changed is told after its end, as the manual's transcript has it
        answer.replies += self._heard_meanwhile
        self._heard_meanwhile = []
        return answer

    def close(self) -> None:
        """Nobody listens any more."""
        self._listening.clear()
        if self._heard in self.console.listeners:
            self.console.listeners.remove(self._heard)

    def _answer(self, asked: Command) -> Answer:
        match asked.name:
            case "/login":
                return Answer(tagged(self._login(asked), asked.tag))
            case "/quit":
                # a fatal bears no tag
                return Answer([Reply("!fatal", reason="session terminated on request")], is_last=True)
            case "/cancel":
                return Answer(list(self._cancelled(asked)))
        outcome = self.console.execute(asked, self.policy)
        if outcome.listens:
            self._listen(asked, outcome)
        return Answer(tagged(outcome.replies, asked.tag), outcome.work)

    # --- login -------------------------------------------------------------------------------------

    def _login(self, asked: Command) -> list[Reply]:
        name, arguments = asked.arguments.get("name", ""), asked.arguments
        if self.console.version >= PLAIN_SINCE:
            if self._may(
                name, lambda password: hmac.compare_digest(password, to_octets(arguments.get("password", "")))
            ):
                return [done()]
            raise TrapError("invalid user name or password (6)")
        if "response" not in arguments:
            # whatever else is said, an old router answers with its challenge
            self._challenge = self._random(16)
            return [done(self._challenge.hex())]
        challenge, self._challenge = self._challenge, b""
        if challenge and self._may(name, lambda password: _response(challenge, password) == arguments["response"]):
            return [done()]
        raise TrapError("cannot log in")

    def _may(self, name: str, is_right: Callable[[bytes], bool]) -> bool:
        if self.refuses:
            return False
        found = self.console.account(name)
        if found is None or not is_right(to_octets(found.password)) or "api" not in found.policy.split(","):
            return False
        self.user, self.policy = name, found.policy
        return True

    # --- listen and cancel -------------------------------------------------------------------------

    def _listen(self, asked: Command, outcome: Outcome) -> None:
        if asked.tag in self._listening:
            raise TrapError("stand-in: a command with this tag goes on", API)
        self._listening[asked.tag] = outcome.listens
        if self._heard not in self.console.listeners:
            self.console.listeners.append(self._heard)

    def _heard(self, path: str, values: Values) -> None:
        replies = [Reply("!re", values, tag) for tag, menu in self._listening.items() if menu == path]
        if self._is_busy:
            self._heard_meanwhile += replies
        elif replies:
            self._tell(replies)

    def _cancelled(self, asked: Command) -> Iterator[Reply]:
        wanted = asked.arguments.get("tag")
        tags = [tag for tag in self._listening if wanted in {None, tag}]
        for tag in tags:
            del self._listening[tag]
            yield Reply("!trap", {"category": INTERRUPTED, "message": "interrupted"}, tag)
        for tag in (asked.tag, *tags):
            yield from tagged([done()], tag)


def _response(challenge: bytes, password: bytes) -> str:
    return "00" + hashlib.md5(b"\0" + password + challenge).hexdigest()
