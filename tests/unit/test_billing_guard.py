from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from edged.billing.ground import Ground
from edged.billing.guard import Accepted, Held, Reason, Rule, enforceable, judge, judge_word, lifts, remember
from edged.billing.reading import make_snapshot
from edged.billing.settings import GuardSettings, WidestSettings
from edged.billing.status import told
from edged.model import Key, Snapshot, State, Subscriber
from edged.state.guard_memory import GuardMemory
from edged.values import Secret, parse_mac, parse_prefix

SETTINGS = GuardSettings()  # blocked 3 % or 200 in 24 h, vanished 30 % or 2000 in 1 h, floor 5, first hold
OWN = (parse_prefix("203.0.113.10"), parse_prefix("100.64.0.0/28"), parse_prefix("2001:db8::10"))
GROUND = Ground(WidestSettings(), OWN)
DAY = 86400.0


def blocked(*ids: object, addresses: tuple[str, ...] = ()) -> tuple[Subscriber, ...]:
    prefixes = tuple(map(parse_prefix, addresses))
    return tuple(Subscriber(str(n), State.BLOCKED, addresses=prefixes) for n in ids)


def active(*ids: object) -> tuple[Subscriber, ...]:
    return tuple(Subscriber(str(n), State.ACTIVE) for n in ids)


def notice(*ids: object) -> tuple[Subscriber, ...]:
    return tuple(Subscriber(str(n), State.NOTICE) for n in ids)


def keys(*ids: object) -> tuple[Key, ...]:
    return tuple(Key(str(n), "Residence", Secret(f"passphrase-{n}")) for n in ids)


def reading(
    subscribers: tuple[Subscriber, ...], known: int | None = 1000, keyed: tuple[Key, ...] | None = None
) -> Snapshot:
    return make_snapshot(subscribers, keyed, revision="r", known=known, read_at=0.0)


@dataclass
class Edge:
    """An edge that follows the guard, as the service does."""

    settings: GuardSettings = field(default_factory=lambda: SETTINGS)
    good: Snapshot | None = None
    memory: GuardMemory = field(default_factory=GuardMemory)

    @classmethod
    def following(cls, snapshot: Snapshot, settings: GuardSettings = SETTINGS) -> Edge:
        return cls(settings, snapshot, remember(snapshot, GuardMemory()))

    def hears(self, snapshot: Snapshot, now: float = 0.0) -> set[Rule]:
        verdict = judge(snapshot, self.good, self.memory, self.settings, ground=GROUND, now=now)
        if isinstance(verdict, Accepted):
            self.good, self.memory = snapshot, verdict.memory
            return set()
        return {reason.rule for reason in verdict.reasons}


def test_the_first_list_ever_waits_for_a_person() -> None:
    assert Edge().hears(reading(blocked(1))) == {Rule.FIRST}


def test_of_a_first_list_nobody_is_told_that_an_earlier_one_stays() -> None:
    held = reading(blocked(1))

    assert "Nothing is in force yet;" in told(held, (Reason(Rule.FIRST, 1),))
    assert "What was in force before stays so;" in told(held, (Reason(Rule.LOST, 1),))
    assert "The last good list stays in force;" in told(held, (Reason(Rule.BLOCKED, 150, 123),))


def test_the_first_list_ever_passes_where_the_operator_says_so() -> None:
    edge = Edge(GuardSettings(first="accept"))

    assert edge.hears(reading(blocked(*range(500)))) == set()
    assert edge.memory.started
    assert not edge.memory.blocked  # the operator's word fills no window


def test_an_empty_first_list_blocks_nobody_and_is_not_the_first() -> None:
    edge = Edge()

    assert edge.hears(reading(())) == set()
    assert edge.hears(reading(blocked(1))) == {Rule.FIRST}


def test_an_edge_that_lost_its_list_takes_none_unseen_even_with_first_accept() -> None:
    edge = Edge(GuardSettings(first="accept"), None, GuardMemory(started=True, known=1000))

    assert edge.hears(reading(blocked(1))) == {Rule.LOST}


def test_an_edge_that_lost_its_memory_lets_the_floor_pass_and_no_more() -> None:
    good = reading(blocked(1))

    assert Edge(good=good).hears(reading(blocked(*range(1, 7)))) == set()
    assert Edge(good=good).hears(reading(blocked(*range(1, 8)))) == {Rule.BLOCKED}


@pytest.mark.parametrize(
    ("known", "newly", "held"),
    [
        (1000, 30, False),  # 3 % of 1000
        (1000, 31, True),
        (100_000, 200, False),  # the smaller of 3000 and 200
        (100_000, 201, True),
        (50, 5, False),  # the floor, where 3 % would be one
        (50, 6, True),
    ],
)
def test_newly_blocked_up_to_the_smaller_of_share_and_count(known: int, newly: int, held: bool) -> None:
    edge = Edge.following(reading(blocked("a"), known))

    assert edge.hears(reading(blocked("a", *range(newly)), known)) == ({Rule.BLOCKED} if held else set())


def test_a_mass_block_of_a_small_share_is_held() -> None:
    """MTN South Africa 2010: 20,000 of 3.1 million, 0.6 %."""
    edge = Edge.following(reading(blocked("a"), 3_100_000))

    assert edge.hears(reading(blocked("a", *range(20_000)), 3_100_000)) == {Rule.BLOCKED}


def test_a_drip_is_added_up_over_the_window() -> None:
    edge = Edge.following(reading(blocked("a")))

    passed = [edge.hears(reading(blocked("a", *range(n * 10))), n * 600.0) for n in range(1, 7)]

    assert passed == [set(), set(), set(), {Rule.BLOCKED}, {Rule.BLOCKED}, {Rule.BLOCKED}]
    assert edge.hears(reading(blocked("a", *range(40))), DAY + 601.0) == set()


def test_blocking_again_and_again_counts_again() -> None:
    edge = Edge.following(reading(blocked("a")))
    assert edge.hears(reading(blocked("a", *range(30))), 0.0) == set()
    assert edge.hears(reading(blocked("a") + active(*range(30))), 1.0) == set()

    assert edge.hears(reading(blocked("a", *range(30))), DAY - 1) == set()
    assert edge.hears(reading(blocked("a", *range(31))), DAY + 10) == {Rule.BLOCKED}


def test_a_reading_never_raises_its_own_denominator() -> None:
    edge = Edge.following(reading(blocked("a"), 100))

    assert edge.hears(reading(blocked("a", *range(30)), 1000)) == {Rule.BLOCKED}
    assert edge.hears(reading(blocked("a"), 1000)) == set()
    assert edge.hears(reading(blocked("a", *range(30)), 1000)) == set()


def test_a_reading_that_states_fewer_is_measured_by_fewer() -> None:
    edge = Edge.following(reading(blocked("a"), 1000))

    assert edge.hears(reading(blocked("a", *range(10)), 100)) == {Rule.BLOCKED}


def test_without_a_stated_count_the_largest_list_seen_is_the_whole() -> None:
    edge = Edge.following(reading((*blocked("a"), *notice(*range(399))), None))

    assert edge.hears(reading((*blocked("a", *range(13)), *notice(*range(13, 399))), None)) == {Rule.BLOCKED}
    assert edge.hears(reading((*blocked("a", *range(12)), *notice(*range(12, 399))), None)) == set()


def test_a_shrunken_list_is_held() -> None:
    everybody = reading(blocked(*range(400)))
    edge = Edge.following(everybody)

    assert edge.hears(reading(blocked(*range(99)))) == {Rule.VANISHED, Rule.SHRUNKEN}
    assert edge.hears(reading(blocked(*range(200)))) == {Rule.SHRUNKEN}
    assert edge.hears(reading(blocked(*range(201)))) == set()


def test_vanishing_by_and_by_is_added_up_within_the_window() -> None:
    edge = Edge.following(reading(blocked(*range(400))))

    assert edge.hears(reading(blocked(*range(300))), 0.0) == set()
    assert edge.hears(reading(blocked(*range(99))), 60.0) == {Rule.VANISHED, Rule.SHRUNKEN}
    assert edge.hears(reading(blocked(*range(200))), 90.0) == {Rule.SHRUNKEN}  # half of the 400 listed an hour ago
    assert edge.hears(reading(blocked(*range(200))), 3700.0) == set()


def test_those_who_are_named_active_have_not_vanished() -> None:
    edge = Edge.following(reading(blocked(*range(400))))

    assert edge.hears(reading(active(*range(400)))) == set()


@pytest.mark.parametrize("before", [6, 400])
def test_an_empty_list_is_held_when_more_than_the_floor_vanish_with_it(before: int) -> None:
    edge = Edge.following(reading(blocked(*range(before))))

    assert Rule.EMPTY in edge.hears(reading(()))


@pytest.mark.parametrize("before", [1, 5])
def test_the_last_few_on_the_list_may_all_have_paid(before: int) -> None:
    edge = Edge.following(reading(blocked(*range(before))))

    assert edge.hears(reading(())) == set()


def test_an_empty_list_is_good_when_the_last_one_was_empty_too() -> None:
    edge = Edge.following(reading(active(1)))

    assert edge.hears(reading(())) == set()


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("0.0.0.0/0", Rule.WIDE), ("::/0", Rule.WIDE), ("100.64.4.0/23", Rule.WIDE),
        ("2001:db8:8000::/33", Rule.WIDE), ("203.0.113.10", Rule.OWN), ("203.0.113.0/24", Rule.OWN),
        ("100.64.0.5", Rule.OWN), ("2001:db8::/48", Rule.OWN), ("100.64.0.0/24", Rule.OWN),
        ("100.64.1.0/24", None), ("2001:db8:1::/48", None), ("100.64.0.16", None),
        ("203.0.113.9", None), ("203.0.113.11", None),
    ],
)  # fmt: skip
def test_prefixes_that_may_never_be_blocked(prefix: str, rule: Rule | None) -> None:
    edge = Edge.following(reading(blocked("a")))
    snapshot = reading(blocked("a") + blocked("b", addresses=("100.64.9.9", prefix)))

    assert edge.hears(snapshot) == ({rule} if rule else set())

    left = enforceable(snapshot, GROUND).subscribers[1].addresses
    assert (parse_prefix(prefix) in left) == (rule is None)
    assert parse_prefix("100.64.9.9") in left


def test_everybody_is_never_blocked_even_where_any_width_is_allowed() -> None:
    ground = Ground(WidestSettings(ipv4=0, ipv6=0), ())

    assert ground.forbids(parse_prefix("0.0.0.0/0")) == "wide"
    assert ground.forbids(parse_prefix("::/0")) == "wide"
    assert ground.forbids(parse_prefix("0.0.0.0/1")) is None


def test_a_prefix_that_a_person_has_accepted_is_left_out_without_a_new_alarm() -> None:
    snapshot = reading(blocked("a", addresses=("0.0.0.0/0", "100.64.9.9")))
    edge = Edge.following(snapshot)

    assert edge.hears(reading((*snapshot.subscribers, *blocked("b")))) == set()
    assert edge.good is not None
    assert enforceable(edge.good, GROUND).subscribers[0].addresses == (parse_prefix("100.64.9.9"),)


def test_keys_that_vanish_are_guarded_like_subscribers() -> None:
    edge = Edge.following(reading(blocked("a"), keyed=keys(*range(100))))

    assert edge.hears(reading(blocked("a"), keyed=())) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=None)) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(60)))) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(70)))) == set()
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(45)))) == {Rule.KEYS}


def test_keys_are_guarded_after_a_restart_by_their_number() -> None:
    edge = Edge.following(reading(blocked("a"), keyed=keys(*range(100))))
    assert edge.good is not None
    edge.good = replace(edge.good, keys=None)

    assert edge.hears(reading(blocked("a"), keyed=keys(*range(10)))) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(95)))) == set()


def test_a_held_reading_leaves_the_memory_as_it_was_and_says_why() -> None:
    edge = Edge.following(reading(blocked("a")))

    verdict = judge(reading(blocked("a", *range(50))), edge.good, edge.memory, SETTINGS, ground=GROUND, now=1.0)

    assert isinstance(verdict, Held)
    (reason,) = verdict.reasons
    assert (reason.count, reason.limit, len(reason.sample)) == (50, 30, 5)
    assert str(reason) == "50 newly blocked within the window, 30 may be"


def test_a_word_in_any_reading_opens_a_line_and_closes_none() -> None:
    good = reading((*blocked(1, 2, 3), *notice(4, 5)))

    lifted = lifts(good, reading((*active(1, 4), *notice(2), *blocked(5, 6))))

    assert lifted is not None
    assert {s.id: s.state.value for s in lifted.subscribers} == {
        "1": "active", "2": "notice", "3": "blocked", "4": "active", "5": "notice",
    }  # fmt: skip
    assert lifted.id != good.id
    assert lifts(lifted, reading(blocked(1, 2, 3, 4, 5))) is None


def test_absence_opens_only_where_the_guard_has_already_agreed() -> None:
    good = reading(blocked(1, 2))

    assert lifts(good, reading(blocked(1))) is None
    opened = lifts(good, reading(blocked(1)), absent_too=True)
    assert opened is not None
    assert [s.state for s in opened.subscribers] == [State.BLOCKED, State.ACTIVE]


def test_a_line_that_was_lifted_and_is_blocked_again_counts_as_new() -> None:
    edge = Edge.following(reading(blocked(*range(100))))
    assert edge.good is not None
    edge.good = lifts(edge.good, reading(active(*range(100))))

    assert edge.hears(reading(blocked(*range(100)))) == {Rule.BLOCKED}


def test_blocked_lines_that_all_move_to_other_addresses_at_once_are_held() -> None:
    before = tuple(subscriber_at(n, f"100.70.0.{n}") for n in range(100))
    shifted = tuple(subscriber_at(n, f"100.70.0.{n + 1}") for n in range(100))
    edge = Edge.following(reading(before))

    assert edge.hears(reading(shifted)) == {Rule.MOVED}
    assert edge.hears(reading((*shifted[:5], *before[5:]))) == set(), "a few may move"


def test_many_prefixes_of_one_subscriber_count_together() -> None:
    vast = replace(
        subscriber_at(1, "100.65.0.0/24"), addresses=tuple(parse_prefix(f"100.66.{n}.0/24") for n in range(256))
    )
    edge = Edge.following(reading((subscriber_at(2, "100.70.0.2"),)))

    assert Rule.WIDE in edge.hears(reading((subscriber_at(2, "100.70.0.2"), vast)))


def subscriber_at(number: int, address: str) -> Subscriber:
    return Subscriber(str(number), State.BLOCKED, addresses=(parse_prefix(address),))


def test_lines_that_move_drop_by_drop_are_held_as_a_flood_is() -> None:
    limit = 30
    edge = Edge.following(reading(tuple(subscriber_at(n, f"100.70.0.{n}") for n in range(100))))

    moved = 0
    for step in range(10, 101, 10):
        now = tuple(subscriber_at(n, f"100.70.{1 if n < step else 0}.{n}") for n in range(100))
        if edge.hears(reading(now), step * 60.0):
            break
        moved = step

    assert moved <= limit


def test_a_window_that_is_fuller_than_it_may_be_holds_no_reading_that_blocks_nobody_new() -> None:
    edge = Edge.following(reading(blocked("a")))
    assert edge.hears(reading(blocked("a", *range(30)))) == set()

    assert edge.hears(reading(blocked("a", *range(30)), known=100)) == set()


def test_the_last_keys_may_not_all_vanish_however_few_they_are() -> None:
    edge = Edge.following(reading(blocked("a"), keyed=keys(1, 2, 3)))

    assert edge.hears(reading(blocked("a"), keyed=())) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=keys(1))) == set()


def test_keys_that_vanished_before_the_window_are_not_counted() -> None:
    edge = Edge.following(reading(blocked("a"), keyed=keys(*range(100))))

    assert edge.hears(reading(blocked("a"), keyed=keys(*range(75))), 0.0) == set()
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(60))), 3599.0) == {Rule.KEYS}
    assert edge.hears(reading(blocked("a"), keyed=keys(*range(60))), 3600.0) == set()


def test_a_list_that_shrinks_does_not_shrink_the_whole_that_it_is_measured_by() -> None:
    edge = Edge.following(reading(notice(*range(400)), None))
    assert edge.hears(reading(notice(*range(300)), None)) == set()

    now = reading((*blocked(*range(12)), *notice(*range(12, 300))), None)
    assert edge.hears(now) == set(), "3 % of the 400 that there were"


def test_after_the_list_was_empty_for_a_while_the_next_one_is_not_the_first() -> None:
    edge = Edge.following(reading(blocked(1)), GuardSettings(first="accept"))
    assert edge.hears(reading(())) == set()
    assert edge.hears(reading(())) == set()

    assert edge.hears(reading(blocked(*range(100)))) == {Rule.BLOCKED}


def test_blocked_devices_that_all_become_others_at_once_are_held() -> None:
    def with_device(number: int, shift: int) -> Subscriber:
        return Subscriber(str(number), State.BLOCKED, devices=(parse_mac(f"02:00:5e:00:00:{number + shift:02x}"),))

    edge = Edge.following(reading(tuple(with_device(n, 0) for n in range(100))))

    assert edge.hears(reading(tuple(with_device(n, 1) for n in range(100)))) == {Rule.MOVED}


def test_reminded_subscribers_vanish_like_blocked_ones() -> None:
    edge = Edge.following(reading((*blocked("a"), *notice(*range(400)))))

    assert edge.hears(reading(blocked("a"))) == {Rule.VANISHED, Rule.SHRUNKEN}


def test_a_limit_is_the_share_that_was_written_whatever_binary_fractions_make_of_it() -> None:
    settings = GuardSettings.model_validate({"blocked": {"share": "29%", "count": 200, "window": "24h"}})
    assert settings.blocked.share * 100 < 29

    assert Edge.following(reading(blocked("a"), 100), settings).hears(reading(blocked("a", *range(29)), 100)) == set()


def test_an_active_subscriber_may_have_any_prefix() -> None:
    edge = Edge.following(reading(blocked("a")))
    office = Subscriber("b", State.ACTIVE, addresses=tuple(map(parse_prefix, ("0.0.0.0/0", "203.0.113.10"))))

    assert edge.hears(reading((*blocked("a"), office))) == set()


def test_a_household_has_no_hundred_devices() -> None:
    building = tuple(parse_mac(f"02:00:5e:00:01:{n:02x}") for n in range(65))
    edge = Edge.following(reading(blocked("a")))

    assert edge.hears(reading((*blocked("a"), Subscriber("b", State.BLOCKED, devices=building)))) == {Rule.WIDE}
    assert edge.hears(reading((*blocked("a"), Subscriber("b", State.BLOCKED, devices=building[:64])))) == set()


# --- single answers --------------------------------------------------------------------------------


def hears_words(edge: Edge, *words: Subscriber, before: dict[str, Subscriber] | None = None) -> list[set[Rule]]:
    """What holds each word, one after the other; ``before``: what billing said of them until now."""
    held: list[set[Rule]] = []
    for word in words:
        was = (before or {}).get(word.id)
        verdict = judge_word(word, was, edge.memory, edge.settings, ground=GROUND, now=1.0)
        if isinstance(verdict, Accepted):
            edge.memory = verdict.memory
        held.append({reason.rule for reason in verdict.reasons} if isinstance(verdict, Held) else set())
    return held


def test_a_word_says_nothing_of_the_keys_nor_of_how_many_there_are() -> None:
    edge = Edge.following(reading(blocked("a"), keyed=keys(*range(100))))
    edge.memory = replace(edge.memory, keys_gone=((0.5, 10),))

    assert hears_words(edge, *blocked("b")) == [set()]
    of_the_list = remember(reading(blocked("a"), keyed=keys(*range(100))), GuardMemory())
    assert edge.memory == replace(of_the_list, keys_gone=((0.5, 10),), blocked={"b": 1.0})


def test_words_that_move_blocked_lines_are_counted_together() -> None:
    before = {str(n): subscriber_at(n, f"100.70.0.{n}") for n in range(40)}
    edge = Edge.following(reading(tuple(before.values())))

    held = hears_words(edge, *(subscriber_at(n, f"100.70.1.{n}") for n in range(40)), before=before)

    assert held == [set()] * 30 + [{Rule.MOVED}] * 10


def test_a_word_on_who_is_blocked_already_counts_as_no_new_block() -> None:
    before = {str(n): one for n, one in enumerate(blocked(*range(100)))}
    edge = Edge.following(reading(tuple(before.values())))

    words = [replace(one, reason="unpaid for long") for one in before.values()]

    assert hears_words(edge, *words, before=before) == [set()] * 100
    assert not edge.memory.blocked


def test_the_first_word_after_an_empty_first_list_is_the_last_that_is_not_counted() -> None:
    edge = Edge.following(reading(()), GuardSettings(first="accept"))

    assert hears_words(edge, *blocked(*range(40))) == [set()] * 31 + [{Rule.BLOCKED}] * 9


def test_a_word_that_blocks_after_an_empty_first_list_waits_for_a_person() -> None:
    assert hears_words(Edge.following(reading(())), *blocked(1)) == [{Rule.FIRST}]
