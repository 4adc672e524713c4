# SPDX-License-Identifier: Apache-2.0
"""The alarms' codes in, the page that lists them out; what each means stands in docs/troubleshooting.md."""

from __future__ import annotations

from collections.abc import Iterator

from edged.ops.codes import AFFECTED

PAGE = "reference/codes.md"
_WRITTEN = "<!-- Written by `make schema` from edged/ops/codes.py: change it there. -->"


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown."""
    return {PAGE: "\n".join(_page()) + "\n"}


def _page() -> Iterator[str]:
    yield f"# Codes\n\n{_WRITTEN}\n"
    yield "What needs a person has a code: in `edged status`, on the dashboard, in the log, and as"
    yield '`edged_alarm{code="…"}` in the [metrics](../metrics.md). A code is stable. Behind each link stands what it'
    yield "means and what to do first; `edged explain CODE` says the same at the terminal, also where no daemon runs.\n"
    yield "| code | who is affected |\n|---|---|"
    for code, affected in AFFECTED.items():
        yield f"| [`{code}`](../troubleshooting.md#{code}) | {affected} |"
