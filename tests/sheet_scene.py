"""What the tests of the key sheet share: keys of a building, a brand, and how they are printed."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from edged.captive.files.service import read_sheet_templates
from edged.captive.page.pages import logo_uri
from edged.captive.page.sheets.document import Printing, document
from edged.captive.page.sheets.sheet import Sheet
from edged.captive.settings import BrandSettings
from edged.values import Secret

NOW = 1_795_860_000.0
"""2026-11-28."""
LOGO = logo_uri((Path(__file__).parents[1] / "config/example/north-fibre.svg").read_bytes())
BRAND = BrandSettings.model_validate(
    {
        "name": "North Fibre", "phone": "+1 555 0100", "link": "https://customer.example.net/login",
        "hours": {"en": "Monday to Friday, 8:00 to 18:00", "ar": "من الاثنين إلى الجمعة"},
    }
)  # fmt: skip
PLAIN = BrandSettings(name="Example ISP")
TEMPLATES = read_sheet_templates()


def sheet(key: str = "wren-7mvq-3hnd-w4xt", **more: Any) -> Sheet:
    facts = {"id": "k-812", "ssid": "Residence", "site": "building-7", "unit": "Apartment 301", "limit": 10, **more}
    return Sheet(passphrase=Secret(key), **facts)


LONGEST = sheet(
    "Ab1 " + 'x:;,\\"W' * 8 + "zzz", id="local-e65e6616-of-somebody", ssid="W" * 32, site="building-of-a-long-name-77",
    unit="Apartment 1204, staircase B, rear building", limit=2, hidden=True, own_address=True, begins=NOW + 4e6,
    ends=NOW + 4e7, old_until=NOW + 4e6,
)  # fmt: skip
"""All that a sheet can have to say, with the longest SSID and key that the standard allows."""


def batch(count: int) -> list[Sheet]:
    return [
        sheet(f"wren-7mvq-3hnd-{number:04}", id=f"k-{number}", unit=f"Apartment {number}") for number in range(count)
    ]


def printing(*languages: str, **more: Any) -> Printing:
    given = {"brand": BRAND, "logo": LOGO, "now": NOW, "zone": UTC, **more}
    return Printing(languages=languages or ("en",), **given)


def printed(*sheets: Sheet, how: Printing | None = None) -> str:
    return document(sheets, how or printing(), TEMPLATES)
