# SPDX-License-Identifier: Apache-2.0
"""What a list with a word in it is called, what one list changes in another, and why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.billing import reading
from edged.billing.reading import make_snapshot, with_words
from edged.billing.sources.file import unread
from edged.billing.status import Change, change_between
from edged.model import Key, Snapshot, State, Subscriber
from edged.values import Secret, parse_prefix

KEYS = (Key("k", "Residence", Secret("passphrase-1")),)


def one(name: str, state: State = State.BLOCKED, reason: str = "unpaid") -> Subscriber:
    return Subscriber(name, state, reason, addresses=(parse_prefix("100.64.1.7"),))


def listed(*subscribers: Subscriber, keys: tuple[Key, ...] | None = KEYS) -> Snapshot:
    return make_snapshot(subscribers, keys, revision="8812", known=100, read_at=5.0)


@pytest.mark.parametrize("keys", [None, (), KEYS])
@pytest.mark.parametrize("from_disk", [False, True])
def test_a_list_with_words_is_named_and_filled_like_the_list_that_says_the_same(
    keys: tuple[Key, ...] | None, from_disk: bool
) -> None:
    before = listed(one("ana"), one("ben"), one("mia"), keys=keys)
    if from_disk:
        before = replace(before, sums=None)
    words = (one("ben", State.ACTIVE), one("luis"))

    after = with_words(before, words)

    same = listed(one("ana"), words[0], one("mia"), words[1], keys=keys)
    assert after == same
    assert after.sums == same.sums
    assert with_words(with_words(after, [one("luis", State.ACTIVE)]), words).id == same.id


def test_a_list_that_only_root_may_read_is_said_to_be_the_daemons_to_read() -> None:
    path = Path("/etc/edged/billing.yaml")
    assert unread(path, FileNotFoundError(2, "No such file or directory")) == f"{path}: No such file or directory"
    assert unread(path, PermissionError(13, "Permission denied")) == (
        f"{path}: Permission denied: the user that edged runs as must be able to read it"
    )


@pytest.mark.parametrize("keys", [None, KEYS, (*KEYS, replace(KEYS[0], id="k2", passphrase=Secret("passphrase-2")))])
@pytest.mark.parametrize("from_disk", [False, True])
def test_a_list_counted_on_from_the_one_before_is_named_like_one_counted_from_nothing(
    keys: tuple[Key, ...] | None, from_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben, mia = one("ana"), one("ben"), one("mia")
    before = listed(ana, ben, mia)
    if from_disk:
        before = replace(before, sums=None)
    after = (mia, one("ben", State.ACTIVE), one("ana"), one("luis"))  # one other, one equal, one new, one where it was
    summed: list[str] = []
    line = reading._subscriber_line

    def noted(person: Subscriber) -> bytes:
        summed.append(person.id)
        return line(person)

    monkeypatch.setattr(reading, "_subscriber_line", noted)

    made = make_snapshot(after, keys, revision="8812", known=100, read_at=5.0, before=before)

    assert ("mia" in summed) is from_disk
    assert made == listed(*after, keys=keys)
    assert made.sums == listed(*after, keys=keys).sums


def test_many_words_one_after_the_other_are_one_name() -> None:
    people = [one(str(n), reason=f"reason {n}") for n in range(200)]
    grown = listed()
    for person in people:
        grown = with_words(grown, [person])

    assert grown == listed(*people)
    for person in people:
        grown = with_words(grown, [replace(person, state=State.ACTIVE)])
    assert grown.id == listed(*(replace(person, state=State.ACTIVE) for person in people)).id


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ((), (one("a"), one("b", State.NOTICE), one("c", State.ACTIVE)), Change(blocked=1, noticed=1)),
        ((one("a"), one("b", State.NOTICE)), (one("a"), one("b", State.NOTICE)), Change()),
        ((one("a", State.NOTICE),), (one("a"),), Change(blocked=1)),
        ((one("a"),), (one("a", State.NOTICE),), Change(opened=1, noticed=1)),
        ((one("a"),), (one("a", State.ACTIVE),), Change(opened=1)),
        ((one("a"), one("b", State.NOTICE)), (), Change(opened=1)),
        ((one("a"),), (one("a", reason="abuse"),), Change(others=1)),
        ((one("a", State.ACTIVE),), (one("a", State.ACTIVE, "abuse"), one("b", State.ACTIVE)), Change(others=1)),
    ],
)
def test_what_a_list_does_that_the_one_before_did_not(
    before: tuple[Subscriber, ...], after: tuple[Subscriber, ...], change: Change
) -> None:
    assert change_between(listed(*before), listed(*after)) == change
    if not before:
        assert change_between(None, listed(*after)) == change


def test_a_change_is_said_in_words() -> None:
    assert str(Change(1200, 3, 0, 1)) == "1,200 blocked, 3 opened, 1 changed"
    assert str(Change()) == "nobody changes"
