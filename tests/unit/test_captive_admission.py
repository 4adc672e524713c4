"""Who may come in, and who makes room."""

from __future__ import annotations

from ipaddress import ip_address

from edged.captive.admission import Crowd, Source, Visitor, source_of

HOME, OTHER = source_of(ip_address("100.64.0.1")), source_of(ip_address("100.64.0.2"))


def visitor(crowd: Crowd, source: Source) -> Visitor:
    entered = Visitor(source, lambda: None)
    crowd.enter(entered)
    return entered


def test_an_idle_connection_makes_room_for_a_newer_one_of_its_household() -> None:
    crowd = Crowd(total=10, per_source=2)
    oldest, busy = visitor(crowd, HOME), visitor(crowd, HOME)
    crowd.served(busy)

    assert crowd.room_for(HOME) is oldest
    assert crowd.room_for(OTHER) is True


def test_a_household_that_is_being_served_throughout_has_to_wait() -> None:
    crowd = Crowd(total=10, per_source=1)
    crowd.served(visitor(crowd, HOME))

    assert crowd.room_for(HOME) is False


def test_a_full_house_sends_the_oldest_idle_connection_away() -> None:
    crowd = Crowd(total=2, per_source=2)
    oldest = visitor(crowd, HOME)
    visitor(crowd, OTHER)

    assert crowd.room_for(source_of(ip_address("100.64.0.3"))) is oldest


def test_the_oldest_without_a_seat_goes_before_one_with_a_seat() -> None:
    crowd = Crowd(total=2, per_source=2)
    seated, standing = visitor(crowd, HOME), visitor(crowd, OTHER)
    crowd.sit(seated)

    assert crowd.longest_waiting() is standing
    crowd.left(standing)
    assert crowd.longest_waiting() is seated


def test_a_seat_is_taken_from_the_oldest_that_has_asked_nothing_on_it() -> None:
    crowd = Crowd(seats=2)
    served, idle = visitor(crowd, HOME), visitor(crowd, OTHER)
    assert crowd.seat() is True
    for taking in (served, idle):
        crowd.sit(taking)
    crowd.served(served)

    assert crowd.seat() is idle
    crowd.served(idle)
    assert crowd.seat() is False
    crowd.left(served)
    crowd.left(served)
    assert crowd.seat() is True


def test_who_has_had_an_answer_makes_room_before_one_who_waits_for_it() -> None:
    crowd = Crowd(seats=2, per_source=2)
    answered, asking = visitor(crowd, HOME), visitor(crowd, HOME)
    for each in (answered, asking):
        crowd.sit(each)
        crowd.served(each)
    crowd.rested(answered)

    assert crowd.seat() is answered
    assert crowd.room_for(HOME) is answered
    crowd.served(answered)
    assert crowd.seat() is False
    crowd.left(answered)
    crowd.rested(answered)
    assert crowd.longest_waiting() is None


def test_leaving_twice_counts_once() -> None:
    crowd = Crowd()
    gone, here = visitor(crowd, HOME), visitor(crowd, HOME)
    crowd.left(gone)
    crowd.left(gone)

    assert len(crowd) == 1
    assert crowd.visitors() == (here,)


def test_a_host_with_a_whole_64_is_one_source() -> None:
    assert source_of(ip_address("2001:db8::1")) == source_of(ip_address("2001:db8::ffff:1"))
    assert source_of(ip_address("2001:db8::1")) != source_of(ip_address("2001:db8:0:1::1"))
