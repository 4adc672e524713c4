# SPDX-License-Identifier: Apache-2.0
"""What changed between two lists, however they are ordered, and who is on the list of now."""

from __future__ import annotations

import random

from edged.hub.served import Begun, History, Listed, touched
from edged.model import State, Subscriber


def lists(seed: int) -> list[tuple[Subscriber, ...]]:
    """One after the other: some come, go, change or move, others are the same objects or equal ones."""
    chance = random.Random(seed)
    made = [tuple(Subscriber(str(n), State.BLOCKED) for n in range(chance.randrange(8)))]
    for _ in range(12):
        entries = [one for one in made[-1] if chance.random() < 0.9]
        names = {one.id for one in entries}
        for place in range(len(entries)):
            if chance.random() < 0.2:
                entries[place] = Subscriber(entries[place].id, chance.choice(list(State)))
        for name in {str(chance.randrange(12)) for _ in range(2)} - names:
            entries.insert(chance.randint(0, len(entries)), Subscriber(name, State.NOTICE))
        if chance.random() < 0.2:
            chance.shuffle(entries)
        made.append(tuple(entries))
    return made


def test_what_was_touched_is_exactly_what_differs_by_id_whatever_the_order() -> None:
    for seed in range(200):
        for before, now in zip(made := lists(seed), made[1:], strict=False):
            old, new = ({one.id: one for one in entries} for entries in (before, now))
            expected = {name: new.get(name) for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            assert touched(now, before) == expected


def test_the_entry_of_an_id_is_that_of_the_list_of_now() -> None:
    for seed in range(50):
        history: History[Subscriber] = History()
        for moment, entries in enumerate(lists(seed)):
            history.step(Listed(str(moment), entries), touched(entries, history.now.entries), float(moment))
            assert {str(n): history.get(str(n)) for n in range(12)} == {
                str(n): next((one for one in entries if one.id == str(n)), None) for n in range(12)
            }


def listed(revision: str) -> Listed[Subscriber]:
    return Listed(revision, ())


def test_who_knows_nothing_reads_what_another_began_a_moment_ago_and_who_knows_something_what_is_now() -> None:
    begun: Begun[Subscriber] = Begun()
    one, two, three = listed("1"), listed("2"), listed("3")

    assert begun.begin(one, 10.0, fresh=False) is one
    assert begun.begin(two, 10.2, fresh=False) is one
    assert begun.begin(two, 10.2, fresh=True) is two
    assert begun.begin(three, 10.5, fresh=False) is three
    assert [begun.get(name) for name in "123"] == [one, two, three]


def test_lists_that_were_begun_are_remembered_up_to_a_bound_the_latest_for_longest() -> None:
    begun: Begun[Subscriber] = Begun()
    for n in range(1000):
        begun.begin(listed(str(n)), float(10 * n), fresh=False)

    assert begun.get("0") is None
    assert [begun.get(str(n)) is not None for n in (967, 968, 999)] == [False, True, True]


def test_a_content_that_comes_back_is_read_in_the_order_that_it_had() -> None:
    begun: Begun[Subscriber] = Begun()
    first, again = listed("1"), listed("1")
    begun.begin(first, 0.0, fresh=True)
    begun.begin(listed("2"), 1.0, fresh=True)

    assert begun.begin(again, 9.0, fresh=True) is first
