# SPDX-License-Identifier: Apache-2.0
"""Writes what the manual takes from the program: keys, commands, codes, man pages. ``make schema`` runs it."""

from __future__ import annotations

from pathlib import Path

from config.manual import codes, commands, keys, roff

DOCS = Path(__file__).resolve().parents[2] / "docs"


def written() -> dict[str, str]:
    """Path below docs/ -> what stands there."""
    return keys.pages() | commands.pages() | codes.pages() | roff.pages()


if __name__ == "__main__":
    for name, text in written().items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
