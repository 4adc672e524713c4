# SPDX-License-Identifier: Apache-2.0
"""What is said to a BNG, and when: refusals, silence, sessions that are not there, reports, and the record of all."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from edged.enforce.bng import returns
from edged.enforce.bng.entry import GONE_AFTER, Order
from edged.enforce.bng.ledger import IN_SILENCE, LEAVES_WITHIN, MOST_BLOCKS, PAUSES, REFUSED_WAITS, Ledger
from edged.enforce.bng.returns import Returns
from edged.enforce.bng.ways import WAYS, Act
from edged.radius.client import Outcome, Result
from edged.state.told import Told
from edged.values import parse_prefix
from tests.bng_world import NOW, session

ACK, SILENCE = Result(Outcome.ACK), Result(Outcome.TIMEOUT)
ONE = session()
KEY = (ONE.nas, ONE.session)


def nak(cause: int = 401) -> Result:
    return Result(Outcome.NAK, cause)


def ledger(attribute: str = "Mikrotik-Address-List") -> Ledger:
    return Ledger(WAYS[attribute])


def blocked(book: Ledger | None = None) -> Ledger:
    book = ledger() if book is None else book  # an empty one is false
    book.seen(KEY, ONE, NOW, blocked=True)
    return book


def taken(book: Ledger, now: float) -> Order:
    order = book.take(now)
    assert order is not None
    return order


def told(book: Ledger, result: Result, now: float) -> Act:
    order = taken(book, now)
    book.answered(order, result, now)
    return order.act


def reported(now: float, **more: Any) -> Any:
    return replace(ONE, updated=now, **more)


def test_a_blocked_session_is_told_once() -> None:
    book = blocked()

    assert told(book, ACK, NOW) is Act.BLOCK
    assert book.take(NOW + 1e6) is None
    assert book.waiting == 0


def test_a_session_of_somebody_who_is_not_blocked_is_told_nothing() -> None:
    book = ledger()
    book.seen(KEY, ONE, NOW, blocked=False)

    assert book.take(NOW) is None


def test_who_pays_is_told_so_at_once_whatever_was_waited_for() -> None:
    book = blocked()
    told(book, SILENCE, NOW)
    told(book, nak(), NOW + 100)

    book.wants(KEY, NOW + 101, blocked=False)

    assert told(book, ACK, NOW + 101) is Act.OPEN
    assert book.closed() == ()


def test_a_block_that_nobody_acknowledged_is_undone_all_the_same() -> None:
    book = blocked()
    told(book, SILENCE, NOW)
    book.wants(KEY, NOW + 60, blocked=False)

    assert told(book, ACK, NOW + 60) is Act.OPEN
    assert book.take(NOW + 1e6) is None


def test_who_pays_before_anything_was_sent_is_told_nothing() -> None:
    book = blocked()
    book.wants(KEY, NOW, blocked=False)

    assert book.take(NOW) is None


def test_a_change_of_mind_while_a_request_is_under_way_is_said_after_it() -> None:
    book = blocked()
    order = taken(book, NOW)
    book.wants(KEY, NOW, blocked=False)
    assert book.take(NOW) is None, "two requests on one session might overtake each other"

    book.answered(order, ACK, NOW)

    assert told(book, ACK, NOW) is Act.OPEN


def test_a_mind_that_changes_often_sends_no_two_requests_on_one_session_at_once() -> None:
    book = blocked()
    told(book, nak(), NOW)
    for owes in (False, True, False):
        book.wants(KEY, NOW, blocked=owes)
    order = taken(book, NOW)
    book.wants(KEY, NOW, blocked=True)

    assert book.take(NOW) is None

    book.answered(order, ACK, NOW)
    assert told(book, ACK, NOW) is Act.BLOCK


def test_who_has_paid_goes_before_who_has_not() -> None:
    book = ledger()
    for number in range(4):
        book.seen(("nas", str(number)), session(str(number)), NOW, blocked=True)
    told(book, ACK, NOW)
    book.wants(("nas", "0"), NOW, blocked=False)

    assert told(book, ACK, NOW) is Act.OPEN


def test_a_refusal_is_tried_again_with_patience_and_is_never_silent() -> None:
    book, now = blocked(), NOW
    for wait in (*REFUSED_WAITS, REFUSED_WAITS[-1]):
        told(book, nak(), now)
        assert [entry.cause for entry in book.failing] == ["NAK 401 Unsupported-Attribute"]
        assert book.take(now + wait - 0.1) is None
        now += wait

    told(book, ACK, now)

    assert book.failing == []


def test_a_bng_that_is_silent_is_left_alone_and_then_tried_with_one_session() -> None:
    book = ledger()
    for number in range(100):
        book.seen(("nas", str(number)), session(str(number)), NOW, blocked=True)
    first = [taken(book, NOW) for _ in range(MOST_BLOCKS)]
    for order in first:
        book.answered(order, SILENCE, NOW + 7)
    assert book.take(NOW + 7) is None
    assert book.next_due(NOW + 7) == NOW + 7 + PAUSES[0]

    probe = taken(book, NOW + 7 + PAUSES[0])
    assert book.take(NOW + 7 + PAUSES[0]) is None
    assert probe.key not in {order.key for order in first}, (
        "one session that it never answers must not be the only probe"
    )
    book.answered(probe, ACK, NOW + 9)

    acts = 0
    while (more := book.take(NOW + 30)) is not None:
        book.answered(more, ACK, NOW + 30)
        acts += 1
    assert acts == 99
    assert book.waiting == 0


def test_who_pays_is_told_at_once_though_others_are_not_answered() -> None:
    book = ledger()
    for number in range(3):
        book.seen(("nas", str(number)), session(str(number)), NOW, blocked=True)
    told(book, ACK, NOW)
    told(book, SILENCE, NOW + 1)
    assert book.take(NOW + 1) is None
    book.wants(("nas", "0"), NOW + 1, blocked=False)

    assert book.next_due(NOW + 1) == NOW + 1
    assert told(book, SILENCE, NOW + 1) is Act.OPEN
    assert book.take(NOW + 1) is None, "and then as all others"


def test_a_long_silence_ends_for_all_with_the_first_answer() -> None:
    book = ledger()
    for number in range(8):
        book.seen(("nas", str(number)), session(str(number)), NOW, blocked=True)
    now = NOW
    for _ in range(30):
        now = max(now, book.next_due(now))
        told(book, SILENCE, now)
    now = max(now, book.next_due(now))
    told(book, ACK, now)

    for _ in range(7):
        assert told(book, ACK, now) is Act.BLOCK


def test_a_session_that_the_bng_does_not_know_is_given_up_until_it_reports_on_it() -> None:
    book, now = blocked(), NOW
    for _ in range(GONE_AFTER):
        now = max(now, book.next_due(now))
        told(book, nak(503), now)
    assert book.next_due(now) == math.inf
    assert [len(book.failing), len(book.absent), book.waiting] == [0, 1, 0]

    now += 5  # at once, whatever was waited for
    book.seen(KEY, reported(now), now, blocked=True)

    assert told(book, nak(503), now) is Act.BLOCK
    assert [len(book.failing), len(book.absent)] == [1, 0], "it reports on what it says it does not have: a fault"


def test_a_report_on_the_way_before_the_refusal_proves_nothing() -> None:
    book, now = blocked(), NOW
    for _ in range(GONE_AFTER):
        now = max(now, book.next_due(now))
        told(book, nak(503), now)

    book.seen(KEY, reported(now - 1), now + 1, blocked=True)

    assert len(book.absent) == 1


def test_accounting_that_shows_another_value_is_believed_and_the_session_told_again() -> None:
    book = blocked(ledger("Filter-Id"))
    told(book, ACK, NOW)

    book.seen(KEY, reported(NOW + 1), NOW + 1, blocked=True, shown=False)
    assert book.take(NOW + 1) is None, "the report may have been on its way before"
    book.seen(KEY, reported(NOW + 60), NOW + 60, blocked=True, shown=False)

    assert told(book, ACK, NOW + 60) is Act.BLOCK
    assert book.counters.reverted == 1


def test_a_report_that_came_while_a_request_was_under_way_proves_nothing() -> None:
    book = ledger("Filter-Id")
    book.seen(KEY, ONE, NOW, blocked=True, shown=False)
    order = taken(book, NOW)
    book.seen(KEY, reported(NOW + 5), NOW + 5, blocked=True, shown=False)
    book.answered(order, SILENCE, NOW + 7)  # it may have been taken all the same

    book.wants(KEY, NOW + 8, blocked=False)

    assert told(book, ACK, NOW + 100) is Act.OPEN


def test_accounting_that_shows_the_value_confirms_once() -> None:
    book = blocked(ledger("Filter-Id"))
    told(book, ACK, NOW)
    for later in (60, 120):
        book.seen(KEY, reported(NOW + later), NOW + later, blocked=True, shown=True)

    assert book.counters.confirmed == 1
    assert book.take(NOW + 120) is None

    book.wants(KEY, NOW + 130, blocked=False)
    told(book, ACK, NOW + 130)
    book.seen(KEY, reported(NOW + 180), NOW + 180, blocked=False, shown=False)
    assert (book.counters.confirmed, book.counters.reverted) == (2, 0)


def test_a_session_on_our_own_filter_that_nothing_is_remembered_of_is_opened() -> None:
    book = ledger("Filter-Id")

    book.seen(KEY, ONE, NOW, blocked=False, shown=True)

    assert told(book, ACK, NOW) is Act.OPEN


def test_a_session_with_the_name_of_one_that_was_told_is_another_one() -> None:
    book = blocked()
    told(book, ACK, NOW)
    later = replace(ONE, started=NOW + 30, updated=NOW + 600)
    book.seen(KEY, replace(ONE, started=NOW + 0.9), NOW, blocked=True)
    assert book.take(NOW) is None, "seconds are rounded"

    book.seen(KEY, later, NOW + 600, blocked=True)

    assert told(book, ACK, NOW + 600) is Act.BLOCK


def test_what_was_said_to_a_session_whose_beginning_is_reported_late_is_undone() -> None:
    """The BNG restarted and counts from 1 again, and neither its On nor the new session's Start has come."""
    for restarted in (False, True):
        book = blocked()
        order = taken(book, NOW + 600)
        rows, _ = book.unwritten("bng", NOW + 600)
        book.answered(order, SILENCE, NOW + 607)
        if restarted:
            book = ledger()
            book.remember(rows, NOW + 610)

        book.seen(KEY, replace(ONE, started=NOW + 500, updated=NOW + 650), NOW + 650, blocked=False)

        assert told(book, ACK, NOW + 650) is Act.OPEN


def test_what_was_said_to_a_session_that_began_while_it_was_on_its_way_is_undone() -> None:
    for later, held in ((5.0, True), (60.0, False)):
        book = Ledger(WAYS["Filter-Id"], "Filter-Id=b")
        book.remember([Told("bng", *KEY, NOW, True, "Mikrotik-Address-List=a", NOW)], NOW)
        blocked(book)
        taken(book, NOW)

        book.seen(KEY, replace(ONE, started=NOW + later, updated=NOW + 60), NOW + 60, blocked=False)

        order = book.take(NOW + 60)
        assert (order is not None) is held
        assert order is None or order.entry.formers == ("Mikrotik-Address-List=a",)


def test_the_answer_to_a_session_that_has_ended_is_not_the_next_ones() -> None:
    book = blocked()
    order = taken(book, NOW)
    book.seen(KEY, replace(ONE, started=NOW + 600, updated=NOW + 600), NOW + 600, blocked=True)
    second = taken(book, NOW + 600)

    book.answered(order, ACK, NOW + 600)
    assert book.waiting == 1
    book.answered(second, ACK, NOW + 600)

    assert book.waiting == 0


def crowd(book: Ledger, count: int, **more: Any) -> list[tuple[str, str]]:
    keys = [("nas", str(number)) for number in range(count)]
    for key in keys:
        book.seen(key, session(key[1], **more), NOW, blocked=True)
    return keys


def test_however_many_are_being_blocked_there_is_room_for_who_has_paid() -> None:
    book = ledger()
    keys = crowd(book, 30)
    told(book, ACK, NOW)
    for _ in range(MOST_BLOCKS):
        assert taken(book, NOW).act is Act.BLOCK
    assert book.take(NOW) is None
    assert book.next_due(NOW) > NOW + 1e6, "only an answer makes room"

    book.wants(keys[0], NOW, blocked=False)

    assert book.next_due(NOW) == NOW
    assert told(book, ACK, NOW) is Act.OPEN


def test_a_silent_bng_is_told_of_some_who_have_paid_though_an_answer_is_waited_for() -> None:
    book = ledger()
    keys = crowd(book, 10)
    for _ in keys:
        told(book, ACK, NOW)
    book.wants(keys[0], NOW, blocked=False)
    told(book, SILENCE, NOW)
    for key in keys[1:]:
        book.wants(key, NOW, blocked=False)

    assert [taken(book, NOW).act for _ in range(IN_SILENCE)] == [Act.OPEN] * IN_SILENCE
    assert book.take(NOW) is None, "and no flood"
    assert book.next_due(NOW) > NOW + 1e6


def test_a_bng_that_answers_for_some_alone_is_asked_for_those_who_are_new() -> None:
    book, now, answers = ledger(), NOW, 0
    keys = crowd(book, 50)
    for key in (*keys, *keys[:25]):
        now = max(now, book.next_due(now))
        if now > NOW and len(book.failing) == len(keys):
            book.wants(key, now, blocked=False)
        told(book, SILENCE, now)
    now += 1000.0  # all of them are due again
    book.seen(KEY, ONE, now, blocked=True)

    while answers < 3:
        now = max(now, book.next_due(now))
        order = taken(book, now)
        if order.key == KEY:
            break
        book.answered(order, SILENCE, now)
        answers += 1

    assert answers == 0, "a new session does not wait for all those that are not answered"


def test_a_clock_that_goes_back_keeps_nobody_waiting_for_what_was_to_be() -> None:
    day = 86400.0
    for result in (nak(), SILENCE):
        book, now = blocked(), NOW + day
        for _ in range(len(REFUSED_WAITS)):
            now = max(now, book.next_due(now))
            told(book, result, now)

        book.take(NOW)

        assert book.next_due(NOW) <= NOW + REFUSED_WAITS[-1]
        assert told(book, ACK, book.next_due(NOW)) is Act.BLOCK


def test_who_was_sent_away_is_not_left_in_the_wrong_pool_for_long_by_a_clock_that_goes_back() -> None:
    book, now = ledger("Framed-Pool"), NOW + 86400.0
    book.seen(KEY, session(started=now, updated=now), now, blocked=True, shown=False)
    told(book, ACK, now)
    book.ended(KEY)
    book.take(NOW)

    book.seen(("nas", "s-2"), session("s-2"), NOW, blocked=True, shown=False)

    assert told(book, ACK, NOW + REFUSED_WAITS[0]) is Act.BLOCK


def test_reports_of_a_session_that_waits_pile_nothing_up() -> None:
    book = blocked()
    told(book, nak(), NOW)
    for number in range(1000):
        book.seen(KEY, reported(NOW + number / 1000), NOW + number / 1000, blocked=True)

    assert len(book._turns._later) == 1


def test_the_addresses_that_wait_to_be_opened_are_those_of_now() -> None:
    book = blocked()
    told(book, ACK, NOW)
    assert book.closed() == ()
    book.wants(KEY, NOW, blocked=False)
    assert book.closed() == (parse_prefix("100.64.1.7"),)

    book.seen(KEY, reported(NOW + 1, ipv4="100.64.1.8"), NOW + 1, blocked=False)

    assert book.closed() == (parse_prefix("100.64.1.8"),)
    told(book, ACK, NOW + 1)
    assert book.closed() == ()


def test_nothing_is_left_of_sessions_that_are_over() -> None:
    for attribute in WAYS:
        book, now = ledger(attribute), NOW
        book.remember([], NOW)
        for number in range(300):
            key, one = ("nas", str(number)), session(str(number), login=f"u{number}", started=now, updated=now)
            book.seen(key, one, now, blocked=number % 2 == 0)
            for result in (ACK, nak(), nak(503), SILENCE)[: number % 5]:
                order = book.take(now)
                if order is not None:
                    book.answered(order, result, now)
                book.wants(key, now, blocked=number % 3 == 0)
            flying = book.take(now)
            if number % 7:
                book.ended(key)
            else:
                book.slept(key, replace(one, stopped=now, silent=1), now, blocked=False)
            if flying is not None:
                book.answered(flying, ACK, now)
            now += 30.0
        for _ in range(2000):
            order = book.take(now)
            if order is not None:
                book.answered(order, ACK if attribute != "Framed-Pool" else nak(503), now)
            elif book.next_due(now) == math.inf:
                break
            else:
                now = max(now, book.next_due(now))
        book.unwritten("bng", now)

        left = (
            book._entries,
            book._needing,
            book._failing,
            book._gone,
            book._shut,
            book._turns._later,
            book._turns._due,
        )
        assert [len(some) for some in left] == [0] * len(left), attribute
        assert book._flying.total() == 0
        assert not book._turns.any()
        assert book.unwritten("bng", now) == ([], [])


# --- the record --------------------------------------------------------------------------------------


def kept(book: Ledger) -> dict[str, bool]:
    rows, gone = book.unwritten("bng", NOW)
    assert not {(row.nas, row.session) for row in rows} & set(gone)
    return {row.session: row.acknowledged for row in rows} | dict.fromkeys((name for _, name in gone), False)


def test_a_block_is_on_record_before_it_is_answered_and_until_it_is_undone() -> None:
    book = blocked()
    order = taken(book, NOW)
    assert book.unwritten("bng", NOW)[0] == [Told("bng", *KEY, NOW, False, "", NOW)]
    book.answered(order, ACK, NOW)
    assert book.unwritten("bng", NOW)[0] == [Told("bng", *KEY, NOW, True, "", NOW)]
    book.wants(KEY, NOW, blocked=False)
    order = taken(book, NOW)
    assert book.unwritten("bng", NOW)[0][0].acknowledged is False
    book.answered(order, ACK, NOW)
    assert book.unwritten("bng", NOW) == ([], [KEY])
    assert book.unwritten("bng", NOW) == ([], [])


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    book = blocked()
    taken(book, NOW)
    rows, gone = book.unwritten("bng", NOW)
    book.unkept_rows(rows, gone)

    assert book.unwritten("bng", NOW) == (rows, gone)


def test_a_block_that_cannot_be_remembered_is_tried_later() -> None:
    book = blocked()
    book.unkept(taken(book, NOW), "database: disk is full", NOW)

    assert [entry.cause for entry in book.failing] == ["database: disk is full"]
    assert told(book, ACK, NOW + REFUSED_WAITS[0]) is Act.BLOCK


def test_who_could_not_be_blocked_and_has_paid_is_told_nothing() -> None:
    book = blocked()
    book.unkept(taken(book, NOW), "database: disk is full", NOW)
    book.wants(KEY, NOW + 1, blocked=False)

    assert book.take(NOW + 1e6) is None
    assert book.closed() == ()
    assert book.unwritten("bng", NOW)[0] == []


def test_who_may_have_been_blocked_stays_on_record_though_the_next_word_cannot_be_kept() -> None:
    book = blocked()
    told(book, SILENCE, NOW)
    book.unkept(taken(book, NOW + 5), "database: disk is full", NOW + 5)
    book.wants(KEY, NOW + 6, blocked=False)

    assert told(book, ACK, NOW + 6) is Act.OPEN


@pytest.mark.parametrize("sessions_first", [True, False])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_who_paid_while_edged_was_down_is_opened_after_its_start(sessions_first: bool, acknowledged: bool) -> None:
    book = ledger()
    rows = [Told("bng", *KEY, NOW, acknowledged, "", NOW)]
    if not sessions_first:
        book.remember(rows, NOW)
    book.seen(KEY, ONE, NOW, blocked=False)
    if sessions_first:
        book.remember(rows, NOW)

    assert told(book, ACK, NOW) is Act.OPEN
    assert book.unwritten("bng", NOW)[1] == [KEY]


def test_what_was_acknowledged_before_a_restart_is_not_said_again_and_what_was_not_is() -> None:
    for acknowledged in (True, False):
        book = ledger()
        book.remember([Told("bng", *KEY, NOW, acknowledged, "", NOW)], NOW)
        book.seen(KEY, ONE, NOW, blocked=True)

        assert (book.take(NOW) is None) is acknowledged


def test_a_session_that_was_told_another_value_is_told_again() -> None:
    book = Ledger(WAYS["Filter-Id"], "Filter-Id=new")
    book.remember([Told("bng", *KEY, NOW, True, "Filter-Id=old", NOW)], NOW)
    book.seen(KEY, ONE, NOW, blocked=True)

    assert told(book, ACK, NOW) is Act.BLOCK
    assert book.unwritten("bng", NOW)[0][0].value == "Filter-Id=new"


def test_a_row_of_a_session_that_is_another_one_by_now_is_forgotten() -> None:
    book = ledger()
    book.remember([Told("bng", *KEY, NOW - 600, True, "", NOW - 600)], NOW)
    book.seen(KEY, ONE, NOW, blocked=False)

    assert book.take(NOW) is None
    assert book.unwritten("bng", NOW) == ([], [KEY])


def test_the_end_of_a_session_is_the_end_of_its_row() -> None:
    book = blocked()
    told(book, ACK, NOW)
    book.unwritten("bng", NOW)

    book.ended(KEY)

    assert book.unwritten("bng", NOW) == ([], [KEY])
    assert len(book) == 0


def test_a_session_that_was_silent_for_long_and_comes_back_is_still_known_to_be_blocked() -> None:
    book = blocked()
    told(book, ACK, NOW)

    book.slept(KEY, replace(ONE, stopped=NOW, silent=1), NOW, blocked=True)
    assert book.unwritten("bng", NOW) == ([Told("bng", *KEY, NOW, True, "", NOW)], [])
    assert len(book) == 0, "it is not known to run"
    book.remember([], NOW)
    book.seen(KEY, reported(NOW + 1e5), NOW + 1e5, blocked=False)

    assert told(book, ACK, NOW + 1e5) is Act.OPEN
    assert len(book) == 1, "and it is known to run again"


ASLEEP = replace(ONE, stopped=NOW, silent=1)


def asleep() -> Ledger:
    """A session that was blocked, and that nobody has reported on for long."""
    book = blocked()
    told(book, ACK, NOW)
    book.remember([], NOW)
    book.slept(KEY, ASLEEP, NOW, blocked=True)
    return book


def test_who_pays_is_opened_though_nobody_has_reported_on_the_session_for_long() -> None:
    """Accounting that stopped for a day: the session may run, and its list holds."""
    book = asleep()
    assert book.take(NOW + 1e5) is None, "who has not paid stays as they are"

    book.wants(KEY, NOW + 1e5, blocked=False)

    assert told(book, SILENCE, NOW + 1e5) is Act.OPEN
    assert [entry.cause for entry in book.failing] == ["no answer"]
    assert told(book, ACK, NOW + 2e5) is Act.OPEN
    assert (book.keys(), book.unwritten("bng", NOW)[1]) == ([], [KEY])


def test_a_session_that_nobody_has_reported_on_and_the_bng_does_not_have_is_forgotten() -> None:
    book, now = asleep(), NOW + 1e5
    book.wants(KEY, now, blocked=False)
    for _ in range(GONE_AFTER):
        now = max(now, book.next_due(now))
        assert told(book, nak(503), now) is Act.OPEN

    assert (book.keys(), book.absent, book.unwritten("bng", NOW)[1]) == ([], [], [KEY])


def test_a_session_that_was_told_nothing_is_forgotten_with_the_last_report() -> None:
    book = ledger()
    book.remember([], NOW)
    book.seen(KEY, ONE, NOW, blocked=False)
    book.slept(KEY, ASLEEP, NOW, blocked=False)

    assert book.keys() == []


@pytest.mark.parametrize("record_first", [True, False])
def test_who_paid_while_edged_was_down_is_opened_though_nobody_reports_on_the_session(record_first: bool) -> None:
    book, row = ledger(), Told("bng", *KEY, NOW, True, "", NOW)
    if record_first:
        book.remember([row], NOW)
    book.slept(KEY, ASLEEP, NOW, blocked=False)
    book.slept(("nas", "other"), replace(ASLEEP, session="other"), NOW, blocked=False)
    if not record_first:
        book.remember([row], NOW)

    assert book.keys() == [KEY]
    assert told(book, ACK, NOW) is Act.OPEN
    assert book.keys() == []


def test_what_an_earlier_configuration_told_is_on_record_until_it_is_undone() -> None:
    book = Ledger(WAYS["Filter-Id"], "Filter-Id=b")
    book.remember([Told("bng", *KEY, NOW, True, "Mikrotik-Address-List=a", NOW)], NOW)
    book.seen(KEY, ONE, NOW, blocked=True)

    order = taken(book, NOW)

    assert order.act is Act.BLOCK
    assert order.entry.formers == ("Mikrotik-Address-List=a",)
    (row,), _ = book.unwritten("bng", NOW)
    assert row.value == "Filter-Id=b Mikrotik-Address-List=a", "a kill may come before the answer"
    again = Ledger(WAYS["Filter-Id"], "Filter-Id=b")
    again.remember([row], NOW)
    again.seen(KEY, ONE, NOW, blocked=False, shown=False)
    assert taken(again, NOW).entry.formers == order.entry.formers, "a report shows nothing of the other attribute"

    book.answered(order, ACK, NOW)
    assert book.unwritten("bng", NOW)[0][0].value == "Filter-Id=b"
    book.wants(KEY, NOW, blocked=False)
    assert taken(book, NOW).entry.formers == ()


# --- pools: a session is ended, and begins anew in the other pool ------------------------------------


def test_a_session_outside_the_pool_of_the_blocked_is_ended_until_it_has_ended() -> None:
    book = ledger("Framed-Pool")
    book.seen(KEY, ONE, NOW, blocked=True, shown=False)

    assert told(book, ACK, NOW) is Act.BLOCK
    assert book.take(NOW + LEAVES_WITHIN - 1) is None
    assert book.failing == []
    assert told(book, ACK, NOW + LEAVES_WITHIN) is Act.BLOCK
    assert [entry.cause for entry in book.failing] == ["acknowledged, and it goes on"]


def test_a_session_in_the_pool_of_the_blocked_stays_until_its_subscriber_has_paid() -> None:
    book = ledger("Framed-Pool")
    book.seen(KEY, ONE, NOW, blocked=True, shown=True)
    assert book.take(NOW) is None

    book.wants(KEY, NOW, blocked=False)

    assert told(book, ACK, NOW) is Act.OPEN


def test_somebody_else_in_the_pool_of_the_blocked_is_left_alone() -> None:
    book = ledger("Framed-Pool")

    book.seen(KEY, ONE, NOW, blocked=False, shown=True)

    assert book.take(NOW) is None


def test_a_subscriber_who_comes_back_in_the_wrong_pool_is_not_thrown_out_again_and_again() -> None:
    book, now, ends = ledger("Framed-Pool"), NOW, 0
    for number in range(1000):
        key, one = ("nas", str(number)), session(str(number), started=now, updated=now)
        book.seen(key, one, now, blocked=True, shown=False)
        order = book.take(now)
        if order is not None:
            ends += 1
            book.answered(order, ACK, now)
        book.ended(key)
        now += 3.6
    assert 3 <= ends <= 10, "an hour of a RADIUS server that gives the wrong pool"


def test_who_has_paid_is_ended_again_when_the_radius_server_was_late_and_gave_the_old_pool() -> None:
    book = ledger("Framed-Pool")
    book.seen(KEY, ONE, NOW, blocked=True, shown=True)
    book.wants(KEY, NOW, blocked=False)
    assert told(book, ACK, NOW) is Act.OPEN
    book.ended(KEY)
    again = session("s-2", started=NOW + 1, updated=NOW + 1)

    book.seen(("nas", "s-2"), again, NOW + 1, blocked=False, shown=True)

    assert book.take(NOW + 1) is None, "in its time"
    assert told(book, ACK, NOW + REFUSED_WAITS[0]) is Act.OPEN


def test_who_pays_does_not_wait_for_what_the_wrong_pool_has_cost() -> None:
    book, now = ledger("Framed-Pool"), NOW
    for number in range(6):
        key = ("nas", str(number))
        book.seen(key, session(str(number), started=now, updated=now), now, blocked=True, shown=False)
        while (order := book.take(now)) is None:
            now = max(now + 1, book.next_due(now))
        book.answered(order, ACK, now)
        book.ended(key)
    one = session("6", started=now, updated=now)
    book.seen(KEY, one, now, blocked=True, shown=True)

    book.wants(KEY, now, blocked=False)

    assert told(book, ACK, now) is Act.OPEN


def test_who_pays_while_the_session_is_ending_is_not_ended_twice() -> None:
    book = ledger("Framed-Pool")
    book.seen(KEY, ONE, NOW, blocked=True, shown=True)
    book.wants(KEY, NOW, blocked=False)
    told(book, ACK, NOW)
    book.wants(KEY, NOW + 1, blocked=True)
    book.wants(KEY, NOW + 2, blocked=False)

    assert book.take(NOW + 3) is None
    assert told(book, ACK, NOW + LEAVES_WITHIN) is Act.OPEN


def test_who_was_sent_away_is_known_again_by_login_or_device_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returns, "MOST", 2)
    sent_away, stations = (
        Returns(),
        [session("x", login=login, mac=mac) for login, mac in (("a", "1"), ("", "2"), ("", ""))],
    )
    for one in stations[:2]:
        sent_away.sent_away(one, NOW, REFUSED_WAITS)
    assert [replace(one, session="y") in sent_away for one in stations] == [True, True, False]
    assert sent_away.due(stations[0]) == NOW + REFUSED_WAITS[0]

    sent_away.sent_away(stations[2], NOW, REFUSED_WAITS)

    assert [one in sent_away for one in stations] == [False, True, True]


def test_one_line_in_the_right_pool_does_not_throw_another_line_of_the_login_out_again_and_again() -> None:
    book, now, ends = ledger("Framed-Pool"), NOW, 0
    book.seen(("nas", "a"), session("a"), now, blocked=True, shown=True)
    for number in range(1000):
        key, one = ("nas", str(number)), session(str(number), started=now, updated=now)
        book.seen(key, one, now, blocked=True, shown=False)
        book.seen(("nas", "a"), session("a", updated=now), now, blocked=True, shown=True)
        order = book.take(now)
        if order is not None:
            ends += 1
            book.answered(order, ACK, now)
        book.ended(key)
        now += 3.6
    assert 3 <= ends <= 10


def test_while_watching_nobody_is_ended_again_and_again_who_comes_back_in_the_pool_of_the_blocked() -> None:
    """Who owes is in it by the word of the operator's RADIUS server, whatever edged does."""
    book, now, ends = ledger("Framed-Pool"), NOW, 0
    book.lift()
    book.remember([Told("bng", *KEY, NOW, True, "", NOW)], NOW)
    key, one = KEY, ONE
    for number in range(20):
        book.seen(key, one, now, blocked=False, shown=True)
        order = book.take(now)
        if order is not None:
            ends += 1
            book.answered(order, ACK, now)
            book.ended(key)
            key = ("nas", f"again-{number}")
            one = session(key[1], started=now, updated=now)
        now += 600.0
    assert ends == 1
