"""What `edged check` says of the page: brands, texts, colours, logos, and every page rendered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main
from edged.config.loading import Loaded, loaded_text
from edged.config.proving import prove
from edged.errors import ConfigError

PHONE = 'phone: "+1 555 0100"'


def loaded(portal: str, more: str = "") -> Loaded:
    text = f"portal: {{url: https://portal.example.net, {portal}}}\n{more}"
    return loaded_text(text, "edged.yaml", read_files=True)


def warned(portal: str) -> dict[str, str]:
    """Key to what was found there and what follows, of the warnings about brands."""
    found = [p for p in loaded(portal).warnings if p.key.startswith("portal.brands")]
    return {p.key: f"{p.found}: {p.expected}" for p in found}


def test_a_brand_that_says_nobody_to_call_is_a_warning() -> None:
    assert "neither phone nor help" in warned("brands: {default: {name: A}}")["portal.brands.default"]
    assert not warned(f"brands: {{default: {{{PHONE}}}}}")
    assert not warned('brands: {default: {help: "Bank: 123"}}')


def test_without_a_page_there_is_nothing_to_say_about_its_looks() -> None:
    assert not loaded_text("portal: {brands: {default: {name: A}}}", "edged.yaml").warnings


@pytest.mark.parametrize("phone", ["1 555 0100 ext", "call us", '"12"', '"<b>+1 555 0100</b>"', '"+1234567890123456"'])
def test_what_cannot_be_called_is_refused(phone: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(f"brands: {{default: {{phone: {phone}}}}}")

    assert [p.key for p in caught.value.problems] == ["portal.brands.default.phone"]


def test_a_pale_colour_is_told_with_what_becomes_of_it() -> None:
    said = warned(f'brands: {{default: {{colour: "#ffd400", {PHONE}}}}}')["portal.brands.default.colour"]

    assert "too pale to read on white" in said
    assert re.search(r'links and edges become "#[0-9a-f]{6}"', said)
    assert not warned(f'brands: {{default: {{colour: "#0a5cff", {PHONE}}}}}')


def test_missing_translations_are_counted_and_named() -> None:
    brand = (
        f"{{{PHONE}, title: {{en: A, es: B}}, text: {{en: A}}, hours: {{es: B}}, "
        "reasons: {new: {title: {en: A, pt-BR: C}}}}"
    )
    said = warned(f"brands: {{default: {brand}}}")["portal.brands.default"]

    assert said.startswith("4 texts are not in every language of this brand: ")
    assert "title (pt), text (es, pt), hours (en, pt), reasons.new.title (es)" in said


def test_a_language_and_its_regional_kin_are_one() -> None:
    assert not warned(f"brands: {{default: {{{PHONE}, title: {{pt: A}}, text: {{pt-BR: B}}}}}}")


def test_a_heavy_logo_and_a_heavy_page_are_warnings(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20_000))
    good = loaded(f"brands: {{default: {{{PHONE}, logo: {logo}}}}}")

    assert [p.key for p in good.warnings if "KiB" in p.found] == ["portal.brands.default.logo"]
    (heavy,) = prove(good).warnings
    assert "a page of" in heavy.found
    logo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2_000))
    assert not prove(loaded(f"brands: {{default: {{{PHONE}, logo: {logo}}}}}")).warnings


def test_every_page_of_every_brand_is_rendered() -> None:
    one = prove(loaded(f"brands: {{default: {{{PHONE}}}}}"))
    two = prove(loaded(f"brands: {{default: {{{PHONE}}}, north: {{{PHONE}, reasons: {{migration: {{title: A}}}}}}}}"))

    assert one.languages == ("en", "es", "pt", "fr", "de", "ar")
    assert two.pages == 2 * one.pages + 2 * len(one.languages)  # the reason of the operator's own, signed and not


@pytest.mark.parametrize(
    ("name", "source", "place"),
    [
        ("help.html", "<p>\n\n{{ helper.title }}</p>", "help.html, line 3: 'helper' is undefined"),
        ("page.css", ":root{}\n{{ light.red }}", "page.css, line 2: "),
        ("main.html", "{% if %}", "main.html, line 1: "),
        # only the page in Arabic and with a sum meets it
        ("blocked-quota.html", "{% if dir == 'rtl' and facts %}\n{{ x }}{% endif %}", "blocked-quota.html, line 2: "),
    ],
)
def test_a_fault_in_a_template_is_told_with_file_and_line(tmp_path: Path, name: str, source: str, place: str) -> None:
    (tmp_path / name).write_text(source)

    with pytest.raises(ConfigError) as caught:
        prove(loaded(f"templates: {tmp_path}, brands: {{default: {{{PHONE}}}}}"))

    (problem,) = caught.value.problems
    assert problem.found.startswith(place)
    assert problem.key == "portal.templates"
    assert problem.line == 1


def test_files_that_are_not_there_are_left_out_as_the_daemon_does() -> None:
    assert prove(loaded(f"templates: /nowhere, brands: {{default: {{{PHONE}, logo: /nowhere.svg}}}}")).pages > 100


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(f"portal: {{url: https://portal.example.net, brands: {{default: {{{PHONE}}}, ../n: {{{PHONE}}}}}}}")
    return path


def test_check_says_that_every_state_was_rendered(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(config)]) == 0

    printed = capsys.readouterr().out
    assert re.search(r"page .*brands default, \.\./n; languages en, .*; every state rendered: \d+ pages", printed)


def test_check_without_files_renders_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(config), "--no-files"]) == 0

    assert "rendered" not in capsys.readouterr().out


def test_check_refuses_a_template_that_does_not_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "foot.html").write_text("{{ no_such }}")
    path = tmp_path / "edged.yaml"
    path.write_text(f"portal:\n  url: https://portal.example.net\n  templates: {tmp_path}\n")

    assert main(["check", "-c", str(path), "--json"]) == 78
    problems: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["problems"]
    assert [(p["key"], p["line"]) for p in problems] == [("portal.templates", 3)]
    assert problems[0]["found"].startswith("foot.html, line 1: ")


def test_pages_are_written_as_files_to_look_at(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a" / "pages"
    assert main(["check", "-c", str(config), "--pages", str(folder)]) == 0

    index = (folder / "index.html").read_text()
    names = re.findall(r'href="([^"]+)"', index)
    assert {path.name for path in folder.iterdir()} == {*names, "index.html"}
    assert "default-blocked-unpaid-signed.ar.html" in names
    assert not (tmp_path / "a" / "n").exists()  # a brand's name leads nowhere else
    assert str(folder / "index.html") in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(config), "--pages", str(config)]) == 78

    assert "--pages" in capsys.readouterr().out
