# SPDX-License-Identifier: Apache-2.0
"""The pages for access points show what edged sends, have every dialect, and say how far they are proven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.config.loading import loaded_text
from edged.mpsk.dialects import DIALECTS
from tests.dialect_pages import PAGES, block, blocks_of, renewed

SHOWN = {path: blocks_of(path.read_text("utf-8")) for path in sorted(PAGES.glob("*.md"))}
SNIPPET = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
BY_PAGE = pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)


def test_every_dialect_is_shown_on_one_page() -> None:
    assert sorted(dialect for shown in SHOWN.values() for dialect in shown) == sorted(DIALECTS)


@BY_PAGE
def test_a_page_shows_what_the_program_reads_and_sends(path: Path) -> None:
    """`python -m tests.dialect_pages` renews them."""
    for dialect, text in SHOWN[path].items():
        assert text == block(dialect)


@BY_PAGE
def test_a_page_says_what_it_is_proven_with_before_it_says_what_to_type(path: Path) -> None:
    opening, _, rest = path.read_text("utf-8").partition("\n```")

    assert "**Proven with**" in opening
    assert path.name == "hostapd-openwrt.md" or "not proven on hardware" in opening
    assert "```yaml" in f"\n```{rest}"
    assert "edged explain" in rest


@BY_PAGE
def test_a_configuration_of_a_page_is_whole_for_what_it_sets_up(path: Path) -> None:
    for text in SNIPPET.findall(path.read_text("utf-8")):
        loaded = loaded_text(text, path.name, read_files=False)
        assert not [problem for problem in loaded.warnings if problem.key.startswith("radius")]


@BY_PAGE
def test_a_page_of_a_vendor_names_the_documents_that_it_follows(path: Path) -> None:
    assert path.name == "hostapd-openwrt.md" or re.search(r"\]\(https://", path.read_text("utf-8"))


def test_a_block_that_is_out_of_date_is_renewed() -> None:
    (path,) = (path for path in SHOWN if path.name == "aruba.md")
    page = path.read_text("utf-8")
    spoilt = page.replace("Aruba-User-Vlan   ", "Aruba-User-Role   ")

    assert spoilt != page
    assert blocks_of(spoilt)["aruba"] != block("aruba")
    assert renewed(spoilt) == page
