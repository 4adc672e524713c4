# SPDX-License-Identifier: Apache-2.0
"""``edged keys sheet``, the command's side: the daemon's keys in, files to print out. Writes files, mode 0600."""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edged.captive.files.service import read_sheet_templates
from edged.captive.page.languages import choose_language
from edged.captive.page.locales.sheets import SHEETS
from edged.captive.page.sheets.code import code, joining, png_file, svg_file
from edged.captive.page.sheets.document import Printing, document, pages_of
from edged.captive.page.sheets.sheet import Sheet, in_order
from edged.captive.page.texts import default_language
from edged.captive.settings import BrandSettings
from edged.ops.control import SCHEMA, Refused
from edged.ops.outfile import put
from edged.ops.text import counted
from edged.values import Secret

Ask = Callable[..., dict[str, Any]]
"""Asks the daemon for a part; takes the arguments of the action."""
Files = list[tuple[str, bytes]]
CSV_COLUMNS = ("id", "unit", "site", "ssid", "key", "device_limit", "ends", "code")


def hand_out(ask: Ask, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the sheets that ``arguments`` ask for; what was written, as facts. ``Refused``."""
    _refuse_unseen(arguments)
    languages = _languages(arguments.language)
    sheets, brand, logo = _sheets(ask, arguments)
    ordered = in_order(sheets, arguments.sort)
    how = Printing(
        brand, logo, languages or (default_of(brand),), time.time(), arguments.size, cards=arguments.cards
    )  # fmt: skip
    files = _files(ordered, how, arguments)
    written = _write(files, arguments.out)
    pages = 0 if arguments.csv or arguments.qr else sum(pages_of(count, how) for count in _counts(ordered, arguments))
    return {"schema": SCHEMA, "keys": len(ordered), "pages": pages, "files": written, "sentence": _said(written, pages)}


def _refuse_unseen(arguments: argparse.Namespace) -> None:
    """Before anything is asked: what is refused leaves no line in the audit."""
    if not (sys.stdout.isatty() or arguments.reveal):
        raise Refused("a sheet holds the key in clear: where the output is no terminal, --reveal is needed", 2)
    if not (arguments.ids or arguments.site or arguments.ssid):
        raise Refused("name the keys: by id, with --site or with --ssid", 2)
    if arguments.ids and (arguments.site or arguments.ssid):
        raise Refused("keys are named by id, or with --site and --ssid: not both at once", 2)
    if (arguments.csv or arguments.qr) and arguments.cards:
        raise Refused("--cards is a way to print: no --csv or --qr goes with it", 2)
    several = len(arguments.ids) != 1
    if arguments.qr and several and not is_folder(arguments.out):
        raise Refused("one picture holds one key: for several, --out names a folder", 2)


def is_folder(out: str | None) -> bool:
    """True where a file for each key is wanted."""
    return bool(out) and out != "-" and (str(out).endswith("/") or Path(str(out)).is_dir())


def _languages(wanted: str | None) -> tuple[str, ...]:
    tags = [tag.strip() for tag in (wanted or "").split(",") if tag.strip()]
    found = tuple(dict.fromkeys(choose_language((tag,), SHEETS, default="") for tag in tags))
    if not all(found) or len(tags) > 2:
        raise Refused(f'--language "{wanted}": one or two of ' + ", ".join(SHEETS) + " work: en, or en,es", 2)
    return found


def default_of(brand: BrandSettings) -> str:
    """The language of a brand's own texts, where there is a sheet in it; else English."""
    return choose_language((default_language(brand),), SHEETS)


def _sheets(ask: Ask, arguments: argparse.Namespace) -> tuple[list[Sheet], BrandSettings, str]:
    """Every part of the daemon's answer."""
    sheets: list[Sheet] = []
    first: dict[str, Any] = {}
    after = None
    while True:
        part = ask(
            ids=arguments.ids, site=arguments.site, ssid=arguments.ssid, brand=arguments.brand, after=after
        )  # fmt: skip
        first = first or part
        sheets += [Sheet(**(facts | {"passphrase": Secret(facts["passphrase"])})) for facts in part["keys"]]
        after = part["next"]
        if after is None:
            return sheets, BrandSettings.model_validate(first["brand"]), str(first["logo"])


def _counts(sheets: Sequence[Sheet], arguments: argparse.Namespace) -> Iterator[int]:
    yield from (1 for _ in sheets) if is_folder(arguments.out) else (len(sheets),)


def _files(sheets: Sequence[Sheet], how: Printing, arguments: argparse.Namespace) -> Files:
    """Names and contents: of all keys together, or one file a key."""
    if arguments.csv:
        return [("key-sheets.csv", _csv(sheets))]
    if arguments.qr:
        draw = png_file if arguments.qr == "png" else svg_file
        return [(f"{_stem(sheet)}.{arguments.qr}", draw(_symbol(sheet))) for sheet in sheets]
    templates = read_sheet_templates()
    if is_folder(arguments.out):
        return [(f"{_stem(sheet)}.html", document([sheet], how, templates).encode()) for sheet in sheets]
    name = f"{_stem(sheets[0])}.html" if len(sheets) == 1 else "key-sheets.html"
    return [(name, document(sheets, how, templates).encode())]


def _symbol(sheet: Sheet) -> Any:
    return code(joining(sheet.ssid, sheet.passphrase, hidden=sheet.hidden))


def _stem(sheet: Sheet) -> str:
    """A file name that any key's id can have."""
    spelt = re.sub(r"[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}", sheet.id)
    return f"key-{spelt[:120]}"


def _csv(sheets: Sequence[Sheet]) -> bytes:
    """For mail merge: RFC 4180 in UTF-8, with the mark by which office programs know it."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(CSV_COLUMNS)
    for one in sheets:
        ends = time.strftime("%Y-%m-%d", time.localtime(one.ends)) if one.ends else ""
        text = joining(one.ssid, one.passphrase, hidden=one.hidden)
        key = one.passphrase.reveal_text()
        table.writerow((one.id, one.unit, one.site, one.ssid, key, one.limit or "", ends, text))
    return out.getvalue().encode("utf-8-sig")


def _write(files: Files, out: str | None) -> list[str]:
    """The paths that were written; none: it went to standard output."""
    if out == "-" or (out is None and not sys.stdout.isatty()):
        for _, content in files:
            sys.stdout.buffer.write(content)
        return []
    try:
        if is_folder(out):
            folder = Path(str(out))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return [put(folder / name, content) for name, content in files]
        return [put(Path(out or name), content) for name, content in files]
    except OSError as error:
        raise Refused(f"{error.filename or out} was not written: {error.strerror}") from None


def _said(written: list[str], pages: int) -> str:
    if not written:
        return ""
    what = written[0] if len(written) == 1 else f"{len(written):,} files, {written[0]} and so on"
    paper = f" ({counted(pages, 'page')})" if pages else ""
    if len(written) > 1:
        return f"wrote {what}{paper}. They hold keys in clear: remove them when they are printed."
    return f"wrote {what}{paper}. It holds keys in clear: remove it when it is printed."
