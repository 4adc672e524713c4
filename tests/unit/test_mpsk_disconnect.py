# SPDX-License-Identifier: Apache-2.0
"""A device that is to leave, attempt by attempt."""

from __future__ import annotations

from edged.mpsk.disconnect import GIVE_UP, MARGIN, MOST_REPEATS, SILENT_WAITS, Disconnection, End, Silence
from edged.mpsk.memory import Stale
from edged.radius.client import Outcome, Result
from tests.mpsk_world import HOME, MAC, NOW, SSID

ACK, SILENT = Result(Outcome.ACK), Result(Outcome.TIMEOUT)


def nak(cause: int) -> Result:
    return Result(Outcome.NAK, cause)


def disconnection(cached_until: float = 0.0, *, gently: bool = False) -> Disconnection:
    return Disconnection(Stale(HOME, "building-7", MAC, SSID, "vlan", cached_until=cached_until), NOW, gently)


def test_an_access_point_that_asks_every_time_is_told_once() -> None:
    for result, end in ((ACK, End.LEFT), (nak(503), End.GONE)):
        one = disconnection()
        one.after(result, NOW)
        assert one.end is end


def test_one_that_remembers_is_told_again_when_it_has_forgotten() -> None:
    for result, end in ((ACK, End.LEFT), (nak(503), End.GONE)):
        one = disconnection(cached_until=NOW + 20)

        assert one.after(result, NOW) == 20 + MARGIN
        assert one.end is None
        one.after(result, NOW + 20 + MARGIN)
        assert one.end is end


def test_it_is_not_told_for_ever() -> None:
    one = disconnection(cached_until=NOW + 1e6)
    for _ in range(MOST_REPEATS):
        one.after(ACK, NOW)
        assert one.end is None

    one.after(ACK, NOW)

    assert one.end is End.LEFT


def test_a_refusal_for_another_reason_than_absence_is_the_end() -> None:
    for cause in (0, 401, 403, 405, 501):
        one = disconnection(cached_until=NOW + 20)
        one.after(nak(cause), NOW)
        assert one.end is End.REFUSED


def test_a_busy_access_point_is_asked_again() -> None:
    one = disconnection()

    assert one.after(nak(506), NOW) == SILENT_WAITS[0]
    assert one.end is None


def test_without_coa_the_device_is_disconnected() -> None:
    one = disconnection(gently=True)

    assert one.after(nak(405), NOW) == 0.0
    assert (one.end, one.gently) == (None, False)


def test_silence_is_the_access_points_and_grows_and_ends_after_an_hour() -> None:
    silence, one = Silence(), disconnection()
    waits, now = [], NOW
    for _ in range(7):
        one.after(SILENT, now)
        silence.heard_nothing(now)
        silence.heard_nothing(now)  # of another device, at the same time
        waits.append(silence.until - now)
        now = silence.until
        assert one.end is None
    assert waits == [*SILENT_WAITS, SILENT_WAITS[-1], SILENT_WAITS[-1]]

    silence.heard_nothing(NOW + GIVE_UP)
    assert one.patience(silence, NOW + GIVE_UP - 1) > 0
    one.patience(silence, NOW + GIVE_UP)
    assert one.end is End.UNHEARD
