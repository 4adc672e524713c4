from __future__ import annotations

from edged.dns.answer import Answer
from edged.dns.cache import AnswerCache, Key


def answer_of(life: int, *, octets: int = 10, positive: bool = True) -> Answer:
    return Answer(0, False, (1 if positive else 0, 0, 0), bytes(octets), (), life)  # not truncated


def key(number: int) -> Key:
    return number.to_bytes(4), 1, 1, 0


def test_an_answer_is_fresh_for_its_life_and_stale_for_a_day() -> None:
    cache = AnswerCache()
    cache.store(key(1), answer_of(60), 1000.0)

    assert cache.fresh(key(1), 1059.0) is not None
    assert cache.fresh(key(1), 1060.0) is None
    assert cache.stale(key(1), 1060.0 + 86_000) is not None
    assert cache.stale(key(1), 1060.0 + 86_400) is None


def test_an_answer_without_a_life_is_not_kept() -> None:
    cache = AnswerCache()

    assert cache.store(key(1), answer_of(0), 0.0).answer.life == 0
    assert len(cache) == 0


def test_no_answer_is_kept_longer_than_an_hour_and_no_refusal_longer_than_five_minutes() -> None:
    cache = AnswerCache()
    cache.store(key(1), answer_of(80_000), 0.0)
    cache.store(key(2), answer_of(80_000, positive=False), 0.0)

    assert cache.fresh(key(1), 3599.0) is not None
    assert cache.fresh(key(1), 3600.0) is None
    assert cache.fresh(key(2), 300.0) is None


def test_the_least_recently_used_goes_first() -> None:
    cache = AnswerCache()
    for number in range(20_000):
        cache.store(key(number), answer_of(60), 0.0)
    cache.fresh(key(0), 1.0)
    cache.store(key(20_000), answer_of(60), 0.0)

    assert len(cache) == 20_000
    assert cache.fresh(key(0), 1.0) is not None
    assert cache.fresh(key(1), 1.0) is None


def test_large_answers_are_bounded_by_octets() -> None:
    cache = AnswerCache()
    for number in range(1000):
        cache.store(key(number), answer_of(60, octets=60_000), 0.0)

    assert len(cache) < 300
