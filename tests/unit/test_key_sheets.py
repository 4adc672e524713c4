"""The resident's key sheet: what it says, what it never says, in which order, and what its code means."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.page.locales.sheets import SHEETS
from edged.captive.page.sheets.code import code, joining, png_file, svg_file, width
from edged.captive.page.sheets.document import CARDS, ROWS, pages_of
from edged.captive.page.sheets.sayings import Sayings
from edged.captive.page.sheets.sheet import ORDERS, floor_of, in_order
from edged.values import Secret
from tests.sheet_scene import BRAND, LONGEST, NOW, PLAIN, batch, printed, printing, sheet

ENGLISH = SHEETS["en"]
HOLDERS = re.compile(r"\{[a-z]+\}")


def words(html: str) -> str:
    """What a reader reads, pictures left out."""

    class Reader(HTMLParser):
        text, hidden = "", ""

        def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
            self.hidden = tag if tag in {"style", "svg"} else self.hidden

        def handle_endtag(self, tag: str) -> None:
            self.hidden = "" if tag == self.hidden else self.hidden

        def handle_data(self, data: str) -> None:
            self.text += "" if self.hidden else data

    reader = Reader()
    reader.feed(html)
    return " ".join(reader.text.split())


# --- texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", SHEETS)
def test_every_language_has_every_text_of_the_sheet_with_the_same_placeholders(tag: str) -> None:
    own = SHEETS[tag]

    assert own.texts.keys() == ENGLISH.texts.keys()
    assert all(set(HOLDERS.findall(own.texts[k])) == set(HOLDERS.findall(ENGLISH.texts[k])) for k in ENGLISH.texts)
    assert own.counted.keys() == ENGLISH.counted.keys()
    assert {len(forms) for forms in own.counted.values()} == {6 if tag == "ar" else 2}


@pytest.mark.parametrize("tag", SHEETS)
def test_no_text_of_the_sheet_speaks_of_the_machinery_or_shouts(tag: str) -> None:
    texts = [*SHEETS[tag].texts.values(), *(form for forms in SHEETS[tag].counted.values() for form in forms)]

    assert not [text for text in texts if re.search(r"RADIUS|PSK|VLAN|\bMAC\b|[!¡']", text)]


def test_every_text_of_the_sheet_is_on_some_sheet() -> None:
    seen: set[str] = set()

    class Said(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            seen.add(key)
            return super().__getitem__(key)

    spy = dataclasses.replace(ENGLISH, texts=Said(ENGLISH.texts), counted=Said(ENGLISH.counted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHEETS, "en", spy)
        printed(LONGEST, sheet(), sheet("A1B2-C3D4-E5F6"), sheet("a" * 40, limit=0), how=printing("es", "en"))
        printed(*batch(2), how=printing(cards=True))

    assert seen == {*ENGLISH.texts, *ENGLISH.counted}


# --- what is said ------------------------------------------------------------------------------------


def test_a_sheet_has_the_home_the_network_the_key_and_how_to_ask() -> None:
    said = words(printed(sheet()))

    for part in (
        "North Fibre", "Apartment 301", "building-7", "Residence", "wren-7mvq-3hnd-w4xt", "Good for up to 10 devices.",
        "Call +1 555 0100.", "Monday to Friday", "customer.example.net/login", "Printed 2026-11-28", "Key number k-812",
    ):  # fmt: skip
        assert part in said, part


def test_what_the_operator_has_not_named_is_not_promised() -> None:
    said = words(printed(sheet(), how=printing(brand=PLAIN, logo="")))

    assert ENGLISH.texts["help"] not in said
    assert "Call" not in said


@pytest.mark.parametrize(
    ("key", "sayings"),
    [
        ("wren-7mvq-3hnd-w4xt", ["small", "dashes"]),
        ("WREN-7MVQ", ["capitals", "dashes"]),
        ("Wren7mvq", ["mixed"]),
        ("wren_7mvq", ["small", "signs"]),
        ("12345678", []),
        ("wren mvq x", ["small", "space"]),
        ("a1" * 20, ["small", "long"]),
    ],
)
def test_how_a_key_is_spelt_is_told_as_it_is(key: str, sayings: list[str]) -> None:
    assert list(Sayings("en", UTC).spelt(key)) == [ENGLISH.texts[one] for one in sayings]


def test_only_a_key_without_doubtful_signs_is_said_to_have_none() -> None:
    said = Sayings("en", UTC)

    assert said.unmistakable("wren-7mvq-3hnd-w4xt")
    assert not any(said.unmistakable(f"wren-{sign}mvq") for sign in "0o1liOLI")


def test_dates_stand_only_where_the_key_has_them() -> None:
    plain, dated = words(printed(sheet())), words(printed(sheet(ends=NOW + 86400, old_until=NOW + 7 * 86400)))

    assert "Good until" not in plain
    assert "works until" not in plain
    assert "Good until Sunday, 29 November 2026." in dated
    assert "The key that you had before works until Saturday, 5 December 2026." in dated


def test_the_private_address_is_spoken_of_only_where_devices_are_known_by_their_own() -> None:
    assert ENGLISH.texts["address"] not in words(printed(sheet()))
    assert ENGLISH.texts["address"] in words(printed(sheet(own_address=True)))


def test_a_key_for_registered_devices_names_no_number() -> None:
    said = words(printed(sheet(limit=0)))

    assert ENGLISH.texts["registered"] in said
    assert "Good for" not in said


def test_a_space_in_a_key_can_be_seen() -> None:
    assert "wren\N{OPEN BOX}mvq\N{OPEN BOX}xyz" in words(printed(sheet("wren mvq xyz")))


def test_the_checklist_of_a_batch_has_every_key_number_and_no_key() -> None:
    whole = printed(*batch(40))
    lists = "".join(re.findall(r'<section class="page list">.*?</section>', whole, re.DOTALL))

    assert lists.count('<section class="page list">') == 2
    assert all(f"<bdi>k-{number}</bdi>" in lists for number in range(40))
    assert "wren-" not in lists
    assert whole.index("page list") < whole.index("page sheet")
    assert "page list" not in printed(sheet())


def test_the_second_language_is_on_the_back_and_the_front_says_so() -> None:
    whole = printed(sheet(), how=printing("en", "ar"))
    front, back = re.findall(r'<section class="page sheet".*?</section>', whole, re.DOTALL)

    assert 'lang="en" dir="ltr"' in front
    assert SHEETS["ar"].texts["back"] in front
    assert 'lang="ar" dir="rtl"' in back
    assert 'class="key short" dir="ltr"' in back


@pytest.mark.parametrize("language", SHEETS)
@pytest.mark.parametrize("cards", [False, True])
def test_nothing_of_a_key_can_become_markup(language: str, *, cards: bool) -> None:
    bad = '<b onload="x">&'
    whole = printed(
        sheet(bad, id=bad, ssid=bad, site=bad, unit=bad), how=printing(language, cards=cards, brand=BRAND.model_copy(
            update={"name": bad, "hours": {language: bad}}))
    )  # fmt: skip

    assert "<b onload" not in whole
    assert "<script" not in whole
    assert not re.search(
        r"url\(|@import|https?:", re.sub(r'aria-label="[^"]*"', "", whole.replace("http://www.w3", ""))
    )


# --- order and pages ---------------------------------------------------------------------------------


def test_sheets_are_in_the_order_of_the_walk() -> None:
    found = [
        sheet(id=key, unit=unit, site=site)
        for key, unit, site in (
            ("k-10", "A-10", "b"), ("k-9", "A-9", "b"), ("k-2", "B 201", "a"), ("k-1", "A 301", "a"),
            ("k-3", "A 201", "a"),
        )
    ]  # fmt: skip

    assert [one.id for one in in_order(found, "unit")] == ["k-3", "k-1", "k-2", "k-9", "k-10"]
    assert [one.id for one in in_order(found, "floor")] == ["k-3", "k-2", "k-1", "k-9", "k-10"]
    assert [one.id for one in in_order(found, "id")] == ["k-1", "k-2", "k-3", "k-9", "k-10"]


@pytest.mark.parametrize(
    ("unit", "floor"), [("Apartment 301", 3), ("1204", 12), ("Flat 7", 0), ("B2-512", 5), ("", -1)]
)
def test_the_floor_is_what_the_last_number_tells(unit: str, floor: int) -> None:
    assert floor_of(unit) == floor


LABELS = st.one_of(st.text(max_size=6), st.sampled_from(["²", "9" * 5000, "٣٠١", "1a²"]))


@given(st.lists(st.tuples(LABELS, LABELS), max_size=8), st.sampled_from(ORDERS))
def test_any_labels_can_be_ordered(units: list[tuple[str, str]], order: str) -> None:
    found = [sheet(unit=unit, site=site, id=unit) for unit, site in units]

    assert sorted(map(id, in_order(found, order))) == sorted(map(id, found))


@pytest.mark.parametrize(
    ("count", "more", "pages"),
    [
        (1, {}, 1),
        (2, {}, 3),
        (ROWS + 1, {}, ROWS + 3),
        (CARDS, {"cards": True}, 2),
        (CARDS + 1, {"cards": True}, 3),
        (1, {"languages": ("en", "es")}, 2),
    ],
)
def test_pages_are_counted_as_they_are_printed(count: int, more: dict[str, Any], pages: int) -> None:
    how = printing(*more.pop("languages", ()), **more)

    assert pages_of(count, how) == pages
    assert len(re.findall('<section class="page', printed(*batch(count), how=how))) == pages


# --- the code ----------------------------------------------------------------------------------------


def test_the_code_says_what_telephones_understand() -> None:
    assert joining("Residence", Secret("wren-7mvq"), hidden=False) == "WIFI:T:WPA;S:Residence;P:wren-7mvq;;"
    assert (
        joining('a\\;,:"b', Secret('\\;,:"'), hidden=True)
        == 'WIFI:T:WPA;S:a\\\\\\;\\,\\:\\"b;P:\\\\\\;\\,\\:\\";H:true;;'
    )


@given(
    st.text(min_size=1, max_size=16),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63),
)
def test_the_code_can_be_read_back_by_its_own_grammar(ssid: str, key: str) -> None:
    text = joining(ssid, Secret(key), hidden=False)
    fields = dict(re.findall(r"([TSP]):((?:\\.|[^;\\])*);", text.removeprefix("WIFI:"), re.DOTALL))

    assert {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in fields.items()} == {
        "T": "WPA",
        "S": ssid,
        "P": key,
    }


def test_the_symbol_is_at_least_thirty_millimetres_wide_without_its_quiet_zone() -> None:
    for one in (sheet(), LONGEST):
        symbol = code(joining(one.ssid, one.passphrase, hidden=one.hidden))
        modules = symbol.symbol_size(border=0)[0]

        assert symbol.error == "M"
        assert width(symbol, 30.0) * modules / (modules + 8) == pytest.approx(30.0)
        assert float(re.search(r'width="([\d.]+)mm"', svg_file(symbol).decode())[1]) * modules / (modules + 8) > 30  # type: ignore[index]
        assert png_file(symbol).startswith(b"\x89PNG")
