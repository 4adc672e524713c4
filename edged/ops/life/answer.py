# SPDX-License-Identifier: Apache-2.0
"""Entries of one life in, the answer of ``edged log`` as facts and as text out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edged.ops.control import SCHEMA, Refused
from edged.ops.text import counted, printable, span
from edged.state.life import SHOWN, Entry

Facts = dict[str, Any]


def facts(subject: str, found: list[Entry], since: float) -> Facts:
    """For a program; ``since`` in epoch seconds, 0: all that is kept. ``Refused`` where nothing is."""
    if not found:
        asked = " since then" if since else ""
        raise Refused(f'nothing is recorded of "{subject}"{asked}: edged explain says what is known of it now')
    return {
        "schema": SCHEMA,
        "subject": subject,
        "older": len(found) > SHOWN,
        "entries": [_entry(subject, entry) for entry in found[-SHOWN:]],
    }


def _entry(subject: str, entry: Entry) -> Facts:
    more: Facts = {} if entry.subject == subject else {"key": entry.subject}
    if entry.seconds is not None:
        more["seconds"] = entry.seconds
    return {"at": entry.at, "what": entry.what, "who": entry.who, "detail": entry.detail} | more


def text(answer: Facts) -> str:
    """One line an entry, the newest last."""
    entries = answer["entries"]
    first = f"{answer['subject']}: {counted(len(entries), 'entry', 'entries')}, the newest last"
    if answer["older"]:
        first += "; older ones are left out"
    return "\n".join([first, "", *map(_line, entries)])


def _line(entry: Facts) -> str:
    at = datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{at}  {_what(entry)}"


def _what(entry: Facts) -> str:
    what = entry["what"] + (f" {entry['key']}" if "key" in entry else "")
    if "seconds" in entry:
        return f"{what} {span(entry['seconds'])} after billing's word"
    who = f" by {entry['who']}" if entry["who"] else ""
    return printable(f"{what}{who}" + (f": {entry['detail']}" if entry["detail"] else ""))


def told(subject: str, entry: Entry) -> str:
    """One entry in words, without its time."""
    return _what(_entry(subject, entry))
