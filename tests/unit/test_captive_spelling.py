"""How days, times, sums and numbers are written out, against CLDR."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.page.locales import LOCALES
from edged.captive.page.spelling import day_of, form_for, long_date, sum_of, time_of
from edged.model import Account

VECTORS = yaml.safe_load((Path(__file__).parent.parent / "vectors" / "captive_spelling.yaml").read_text("utf-8"))


@pytest.mark.parametrize("row", [*VECTORS["sums"], *VECTORS["as_billing_spells_it"]], ids=str)
def test_a_sum_is_written_as_the_language_does(row: dict[str, Any]) -> None:
    account = Account(amount_due=row["amount"], currency=row["currency"])

    assert sum_of(account, LOCALES[row["language"]]) == row["written"]


@pytest.mark.parametrize("tag", LOCALES)
def test_a_number_takes_the_form_of_its_language(tag: str) -> None:
    forms = 6 if tag == "ar" else 2

    assert {n: form_for(n, forms, LOCALES[tag]) for n in VECTORS["plurals"][tag]} == VECTORS["plurals"][tag]


@given(st.integers(0, 10**6), st.sampled_from([*LOCALES]))
def test_every_number_has_a_form(number: int, tag: str) -> None:
    for forms in LOCALES[tag].counted.values():
        assert 0 <= form_for(number, len(forms), LOCALES[tag]) < len(forms)


@given(st.integers(0, 10**12 - 1), st.sampled_from(["en", "es", "pt", "fr", "de"]))
def test_writing_a_sum_anew_changes_no_digit(number: int, tag: str) -> None:
    written = sum_of(Account(amount_due=f"{number}.05", currency="EUR"), LOCALES[tag])

    assert "".join(c for c in written if c.isdigit()) == f"{number}05"


def test_a_day_is_written_out_and_what_is_none_is_left() -> None:
    assert long_date("2026-11-01", LOCALES["es"]) == "domingo, 1 de noviembre de 2026"
    assert long_date("2026-11-01", LOCALES["de"]) == "Sonntag, 1. November 2026"
    assert long_date("soon", LOCALES["es"]) == "soon"


@pytest.mark.parametrize(
    ("zone", "time", "day"),
    [
        (UTC, "23:30 UTC", "Wednesday, 18 November 2026"),
        (timezone(timedelta(hours=2), "EET"), "01:30", "Thursday, 19 November 2026"),
    ],
)
def test_times_are_those_of_the_zone_and_say_so_where_it_is_nobodys(zone: timezone, time: str, day: str) -> None:
    moment = datetime(2026, 11, 18, 23, 30, tzinfo=UTC).timestamp()

    assert time_of(moment, zone) == time
    assert day_of(moment, LOCALES["en"], zone) == day
