"""A sentence in, a ``Command`` out; a ``Reply`` in, a sentence out. Pure.

Text is UTF-8 with other octets kept as they are: RouterOS stores octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tests.routeros.words import Sentence

Pairs = Mapping[str, str]

MISSING, ARGUMENT, INTERRUPTED, SCRIPT, GENERAL, API = "0", "1", "2", "3", "4", "5"
"""Categories of a trap, as the API manual numbers them."""


class TrapError(Exception):
    """A command that fails: what the router says, and its category where it says one."""

    def __init__(self, message: str, category: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.category = category


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a client asks."""

    menu: str
    """``/ip/firewall/address-list``; empty for ``/login``, ``/cancel`` and ``/quit``."""
    verb: str
    arguments: Pairs = field(default_factory=dict)
    queries: tuple[str, ...] = ()
    """In their order, with the question mark."""
    tag: str = ""

    @property
    def name(self) -> str:
        """As it was sent."""
        return f"{self.menu}/{self.verb}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One sentence of the router: ``!re``, ``!done``, ``!trap``, ``!empty`` or ``!fatal``."""

    kind: str
    pairs: Pairs = field(default_factory=dict)
    tag: str = ""
    reason: str = ""
    """The plain word of a ``!fatal``."""

    def sentence(self) -> Sentence:
        """Its words; nobody may rely on the order of those after the first."""
        words = [self.kind]
        if self.tag:
            words.append(f".tag={self.tag}")
        words += [f"={name}={value}" for name, value in self.pairs.items()]
        if self.reason:
            words.append(self.reason)
        return tuple(to_octets(word) for word in words)


def to_text(octets: bytes) -> str:
    """Octets that are no UTF-8 survive the way back."""
    return octets.decode("utf-8", "surrogateescape")


def to_octets(text: str) -> bytes:
    """The other way."""
    return text.encode("utf-8", "surrogateescape")


def command(sentence: Sentence) -> Command:
    """What is asked. TrapError for words that are none of command, attribute, API attribute and query."""
    first, *rest = map(to_text, sentence)
    arguments: dict[str, str] = {}
    queries: list[str] = []
    tag = next((word[5:] for word in rest if word.startswith(".tag=")), "")
    for word in rest:
        if word.startswith("="):
            # a client may leave the second = out where the value is empty
            name, _, value = word[1:].partition("=")
            arguments[name] = value
        elif word.startswith("?"):
            queries.append(word)
        elif not word.startswith(".tag="):
            raise TrapError(f"stand-in: a word that is none: {word[:20]}", API)
    menu, _, verb = first.rpartition("/")
    if not first.startswith("/") or not verb:
        raise TrapError("no such command", MISSING)
    return Command(menu, verb, arguments, tuple(queries), tag)


def tag_of(sentence: Sentence) -> str:
    """The tag of a sentence that may be no command."""
    return next((to_text(word[5:]) for word in sentence if word.startswith(b".tag=")), "")


def done(ret: str | None = None) -> Reply:
    """The end of a command's replies, with what it returns."""
    return Reply("!done", {} if ret is None else {"ret": ret})


def trapped(errors: Iterable[TrapError]) -> list[Reply]:
    """Each failure, and the end that follows them."""
    said = [
        Reply("!trap", ({"category": error.category} if error.category else {}) | {"message": error.message})
        for error in errors
    ]
    return [*said, done()]


def tagged(replies: Iterable[Reply], tag: str) -> list[Reply]:
    """The same for the command that bears ``tag``; empty: it bears none."""
    return [replace(reply, tag=tag) for reply in replies] if tag else list(replies)
