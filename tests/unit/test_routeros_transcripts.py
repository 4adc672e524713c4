# SPDX-License-Identifier: Apache-2.0
"""The stand-in of a RouterOS router says what published transcripts say, and finds what the manual's queries find."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.routeros.console import Console
from tests.routeros.query import Query
from tests.routeros.sentences import Reply, TrapError, command, to_text
from tests.routeros.session import Session

VECTORS = yaml.safe_load((Path(__file__).parents[1] / "vectors" / "routeros_transcripts.yaml").read_text("utf-8"))
Words = list[str]


def spoken(words: Words) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


def by_tag(sentences: list[Words]) -> dict[str, list[Words]]:
    found: dict[str, list[Words]] = defaultdict(list)
    for words in sentences:
        found[next((word for word in words if word.startswith(".tag=")), "")].append(words)
    return found


def fits(said: list[Words], expected: list[Words], *, exact: bool) -> bool:
    if len(said) != len(expected):
        return False
    pairs = zip(said, expected, strict=True)
    return all(
        set(one) == set(other) if exact else one[0] == other[0] and set(other) <= set(one) for one, other in pairs
    )


@pytest.mark.parametrize("transcript", VECTORS["transcripts"], ids=lambda row: str(row["name"]))
def test_a_published_conversation_goes_as_it_was_published(transcript: dict[str, Any]) -> None:
    console = Console(transcript["version"], clock=lambda: 0.0)
    console.hand("/user/add", name="admin", group="full")
    for first, *rest in transcript.get("hands", ()):
        asked = command(spoken([first, *rest]))
        console.execute(asked)
    told: list[Reply] = []
    session = Session(console, lambda _size: bytes.fromhex(transcript.get("challenge", "")), told.extend)
    if transcript.get("login", True):
        assert session.receive(spoken(["/login", "=name=admin", "=password="])).replies[-1].kind == "!done"

    for step in transcript["steps"]:
        answer = session.receive(spoken(step["says"]))
        said = [[to_text(word) for word in reply.sentence()] for reply in [*answer.replies, *told]]
        told.clear()
        exact = step.get("exact", False)
        if step.get("ordered"):
            assert fits(said, step["replies"], exact=exact), said
        else:
            tags = by_tag(said)
            assert tags.keys() == by_tag(step["replies"]).keys(), said
            for tag, sentences in by_tag(step["replies"]).items():
                assert fits(tags[tag], sentences, exact=exact), said
        assert answer.is_last == step.get("ends", False)


def test_queries_find_what_the_manual_says() -> None:
    items = VECTORS["queries"]["items"]

    for row in VECTORS["queries"]["rows"]:
        found = "".join(item["n"] for item in items if Query(row["words"])(item))
        assert found == row["finds"], row


@pytest.mark.parametrize("word", ["?", "?#x", "?-a=b", "?<a", "?=", "?>", "?=a", "?#|x"])
def test_a_query_that_cannot_be_read_is_a_trap(word: str) -> None:
    with pytest.raises(TrapError):
        Query([word])
