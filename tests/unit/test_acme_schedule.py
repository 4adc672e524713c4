"""When the portal's certificate is ordered, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.captive.acme import record
from edged.captive.acme.challenge import Challenges
from edged.captive.acme.messages import (
    Done,
    Failed,
    Job,
    Renewal,
    Serve,
    event_of,
    job_of,
    line_of,
    line_of_job,
    reason,
)
from edged.captive.acme.schedule import (
    Memory,
    Step,
    ask_again,
    failed,
    issued,
    next_step,
    renew_at,
    retry_after,
)
from edged.captive.answers import Answer, Close, Kind, Page, Response, Topic
from edged.captive.certificate import Life
from edged.captive.respond import Request, respond
from edged.captive.statement import make_link
from edged.model import Access
from tests.captive_scene import KEY, NOW, PORTAL, decision, get

DAY, HOUR = 86400.0, 3600.0
CA = "https://ca.example/directory"
LIFE = Life(NOW, NOW + 90 * DAY)
OURS = Memory(directory=CA, tried=CA, ask_at=NOW + 90 * DAY)


def test_without_a_certificate_one_is_ordered_now() -> None:
    assert next_step(CA, None, Memory(), NOW) == (Step.ORDER, 0.0)


def test_one_of_another_authority_is_replaced_now() -> None:
    assert next_step("https://other.example/dir", LIFE, OURS, NOW) == (Step.ORDER, 0.0)


def test_it_is_renewed_with_a_third_of_its_life_left_or_a_little_earlier() -> None:
    assert renew_at(LIFE) == NOW + 60 * DAY
    assert renew_at(Life(NOW, NOW + 90 * DAY, share=0.5)) == NOW + 58.5 * DAY
    assert renew_at(Life(NOW, NOW + 6 * DAY)) == NOW + 4 * DAY


def test_two_certificates_are_not_renewed_at_the_same_moment() -> None:
    assert renew_at(Life(NOW, NOW + 90 * DAY, share=0.1)) != renew_at(Life(NOW, NOW + 90 * DAY, share=0.2))


@pytest.mark.parametrize(
    ("suggested", "taken"),
    [
        (NOW + 70 * DAY, NOW + 70 * DAY),
        (NOW + 20 * DAY, NOW + 20 * DAY),
        (NOW + 89 * DAY, NOW + 75 * DAY),
        (NOW - 9 * DAY, NOW + DAY),
    ],
    ids=["later than we would", "earlier", "into the alarm", "at once, again and again"],
)
def test_the_authoritys_own_time_is_taken_within_reason(suggested: float, taken: float) -> None:
    assert renew_at(LIFE, suggested) == taken


def test_the_authority_is_asked_when_to_renew_before_that_time_comes() -> None:
    fresh = Memory(directory=CA, tried=CA)

    assert next_step(CA, LIFE, fresh, NOW) == (Step.ASK, 0.0)
    assert next_step(CA, LIFE, Memory(directory=CA, ask_at=NOW + HOUR), NOW) == (Step.ASK, NOW + HOUR)
    assert next_step(CA, LIFE, fresh, NOW + 61 * DAY) == (Step.ORDER, NOW + 60 * DAY)
    assert next_step(CA, LIFE, OURS, NOW) == (Step.ASK, 0.0), "ninety days ahead is no time that we ever wrote"


def test_a_clock_before_the_certificates_beginning_is_waited_for() -> None:
    assert next_step(CA, LIFE, OURS, 0.0)[0] is Step.WAIT


def test_failures_wait_longer_and_longer_and_are_counted() -> None:
    memory, pauses = Memory(), []
    for _ in range(9):
        memory = failed(memory, CA, "no", now=NOW, chance=0.5)
        pauses.append((memory.retry_at - NOW) / 60)

    assert pauses == [15, 30, 60, 120, 240, 480, 720, 720, 720]
    assert memory.failures == 9
    assert next_step(CA, None, memory, NOW) == (Step.ORDER, memory.retry_at)


def test_the_pause_has_a_fifth_of_jitter() -> None:
    assert failed(Memory(), CA, "no", now=0.0, chance=0.0).retry_at == pytest.approx(720)
    assert failed(Memory(), CA, "no", now=0.0, chance=1.0).retry_at == pytest.approx(1080)


def test_retry_after_is_obeyed_for_a_week_and_never_shortens_the_pause() -> None:
    def waits(asked: float) -> float:
        return failed(Memory(), CA, "no", now=NOW, chance=0.5, not_before=asked).retry_at - NOW

    assert waits(NOW + 5 * HOUR) == 5 * HOUR
    assert waits(NOW + 60) == 900
    assert waits(NOW + 400 * DAY) == 7 * DAY


def test_another_authority_starts_with_a_clean_sheet() -> None:
    memory = failed(failed(Memory(), CA, "no", now=NOW, chance=0.5), CA, "no", now=NOW, chance=0.5)
    other = "https://other.example/dir"

    assert next_step(other, None, memory, NOW) == (Step.ORDER, 0.0)
    assert failed(memory, other, "no", now=NOW, chance=0.5).failures == 1


def test_a_time_that_a_wrong_clock_wrote_is_not_believed() -> None:
    memory = Memory(tried=CA, failures=1, retry_at=NOW + 400 * DAY)

    assert next_step(CA, None, memory, NOW) == (Step.ORDER, 0.0)


def test_a_certificate_that_is_old_when_it_comes_is_not_ordered_again_at_once() -> None:
    memory = replace(issued(CA, NOW), ask_at=NOW + HOUR)

    assert next_step(CA, Life(NOW - 90 * DAY, NOW - DAY), memory, NOW) == (Step.ORDER, NOW + 900)


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("120", NOW + 120),
        (" 7200 ", NOW + 7200),
        ("Sat, 28 Nov 2026 12:00:00 GMT", 1_795_867_200.0),
        ("soon", 0.0),
        ("", 0.0),
        ("-5", 0.0),
        ("9" * 60, NOW + 70 * DAY),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, means: float) -> None:
    assert retry_after(value, NOW) == means


def test_renewal_information_is_asked_for_between_a_minute_and_a_day_later() -> None:
    assert ask_again(NOW + 6 * HOUR, NOW) == NOW + 6 * HOUR
    assert ask_again(NOW - 5, NOW) == NOW + 60
    assert ask_again(NOW + 90 * DAY, NOW) == NOW + DAY


def test_what_ends_soon_depends_on_how_long_it_lives() -> None:
    assert LIFE.is_ending(NOW + 77 * DAY)
    assert not LIFE.is_ending(NOW + 75 * DAY)
    assert not Life(NOW, NOW + 6 * DAY).is_ending(NOW + 4.5 * DAY)
    assert Life(NOW, NOW + 6 * DAY).is_ending(NOW + 5.5 * DAY)


# --- the files -----------------------------------------------------------------------------------


def test_every_record_is_read_back_as_it_was_written() -> None:
    memory = failed(Memory(suggested=NOW), CA, "a reason", now=NOW, chance=0.5)
    account = record.Account(CA, "noc@example.net", {"kty": "EC"}, "https://ca.example/acct/1")
    order = record.Order(CA, "portal.example.net", "https://ca.example/order/1", "-----BEGIN")

    assert record.memory_of(record.encoded(memory)) == memory
    assert record.account_of(record.encoded(account)) == account
    assert record.order_of(record.encoded(order)) == order


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"{}", b'{"failures": "x"}', b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_none(octets: bytes) -> None:
    assert record.memory_of(octets) == Memory()
    assert record.account_of(octets) is None
    assert record.order_of(octets) is None


def test_a_record_with_a_field_of_another_kind_is_damaged() -> None:
    octets = record.encoded(Memory(failures=3)).replace(b'"failures": 3', b'"failures": true')

    assert record.memory_of(octets) == Memory()


def test_each_authority_and_each_host_has_files_of_its_own() -> None:
    folder = Path("/acme")

    assert record.account_path(folder, CA) != record.account_path(folder, CA + "2")
    assert record.certificate_files(folder, "a.example").chain != record.certificate_files(folder, "b.example").chain


# --- daemon and child ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", [Serve("t", "t.k"), Renewal(1.0, 2.0), Done(), Failed("why", 3.0)])
def test_a_line_is_one_event_and_comes_back_as_it_went(event: Serve | Renewal | Done | Failed) -> None:
    line = line_of(event)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert event_of(line) == event


@pytest.mark.parametrize("line", [b"", b"x", b"[]", b"{}", b'{"event": "done", "more": 1}', b'{"event": []}', b"null"])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no event"):
        event_of(line)


def test_a_job_comes_back_as_it_went() -> None:
    job = Job("order", CA, "noc@example.net", "portal.example.net", "/acme", "/hook", "/ca.pem")

    assert job_of(line_of_job(job)) == job


def test_an_authoritys_words_are_one_short_line() -> None:
    assert reason("a\n  b\r\n\tc") == "a b c"
    assert len(reason("x" * 10_000)) == 400


# --- the answer ----------------------------------------------------------------------------------

HOST = "portal.example.net"
PATH = "/.well-known/acme-challenge/"


def answered(challenges: Challenges, request: Request) -> Answer:
    stranger = decision(Access.STRANGER)
    return respond(request, replace(PORTAL, proofs=challenges.proofs), stranger, NOW, lambda _: stranger)


def under_way() -> Challenges:
    found = Challenges()
    found.serve("token-1", "token-1.thumb")
    return found


@pytest.mark.parametrize("https", [False, True])
def test_a_stranger_who_asks_for_the_challenge_under_way_is_answered(https: bool) -> None:
    answer = answered(under_way(), get(HOST, f"{PATH}token-1?x=1", https=https))

    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.kind) == (200, b"token-1.thumb", Kind.CHALLENGE)
    assert ("Cache-Control", "no-store") in answer.headers


@pytest.mark.parametrize(
    ("host", "target", "method"),
    [
        ("other.example", f"{PATH}token-1", "GET"),
        ("203.0.113.10", f"{PATH}token-1", "GET"),
        (HOST, f"{PATH}token-2", "GET"),
        (HOST, PATH, "GET"),
        (HOST, "/token-1", "GET"),
        (HOST, f"{PATH}token-1", "POST"),
        (HOST, f"{PATH}../acme-challenge/token-1", "GET"),
    ],
)
def test_nothing_else_is_answered_so(host: str, target: str, method: str) -> None:
    answer = answered(under_way(), get(host, target, method=method))

    assert isinstance(answer, Close) or (isinstance(answer, Response) and answer.kind is not Kind.CHALLENGE)


def test_nothing_is_answered_once_the_order_is_over() -> None:
    found = under_way()
    found.clear()
    answer = answered(found, get(HOST, f"{PATH}token-1"))

    assert isinstance(answer, Response)
    assert answer.kind is Kind.TO_HTTPS


@pytest.mark.parametrize(("token", "answer"), [("a/b", "a.b"), ("a", "a.b\r\nX: y"), ("", "a.b"), ("a", "a")])
def test_a_malformed_challenge_is_not_served(token: str, answer: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        Challenges().serve(token, answer)


def test_challenges_are_bounded() -> None:
    found = Challenges()
    for number in range(8):
        found.serve(f"t{number}", "t.k")

    with pytest.raises(ValueError, match="too many"):
        found.serve("t8", "t.k")
    assert len(found.proofs) == 8


# --- the page while there is no certificate ------------------------------------------------------


def test_without_a_certificate_the_page_comes_over_http_and_without_a_name_or_a_sum() -> None:
    portal, blocked = replace(PORTAL, url=f"http://{HOST}"), decision(Access.BLOCKED)
    link = make_link(KEY, "", "1001", NOW + DAY)

    def page(target: str) -> Page:
        answer = respond(get(HOST, target), portal, blocked, NOW, lambda _: blocked)
        assert isinstance(answer, Response)
        assert isinstance(answer.body, Page)
        return answer.body

    assert page("/").topic is Topic.BLOCKED
    assert (page(link).topic, page(link).link) == (Topic.MISSING, "")
