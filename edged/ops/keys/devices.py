# SPDX-License-Identifier: Apache-2.0
"""``edged keys devices``, the command's side: the daemon's parts in, what a person reads out. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edged.ops.text import counted, printable, span, table

Answer = dict[str, Any]
_COLUMNS = (
    ("mac", "DEVICE"), ("key", "KEY"), ("label", "LABEL"), ("ssid", "NETWORK"), ("state", "STATE"),
    ("down", "DOWN"), ("up", "UP"), ("ap", "ACCESS POINT"),
)  # fmt: skip
_QUIET = 3600.0
"""Seconds without a report after which that is said of who is online, where the access point does report."""


def all_devices(ask: Callable[..., Answer], **request: Any) -> Answer:
    """Every part of the daemon's answer as one."""
    whole: Answer = {}
    after = None
    while True:
        part = ask(after=after, **request)
        whole = whole or {**part, "devices": []}
        whole["devices"] += part["devices"]
        after = part["next"]
        if after is None:
            del whole["next"]
            return whole


def devices_text(answer: Answer, *, narrowed: bool = False) -> str:
    """Who is online first, then who was seen last; ``narrowed``: some alone were asked for."""
    found, now = answer["devices"], answer["at"]
    if not found and narrowed:
        return "There is no such device now:  edged keys devices  has all."
    if not found:
        return "No device: none has proved a key, and no access point has reported one."
    order = sorted(
        found, key=lambda d: (not d["online"], 0.0 if d["online"] else -d["last_seen"], not d["label"], d["label"])
    )
    online = sum(d["online"] for d in found)
    counts = f"{counted(len(found), 'device')}, {online:,} online"
    lines = [*table(_COLUMNS, [_row(device, now) for device in order]), "", counts]
    if all(d["reported"] is None for d in found):
        lines.append("No access point reports sessions (accounting): these are the last handshakes.")
    return "\n".join(lines)


def _row(device: Answer, now: float) -> Answer:
    key = device["key"] or "unknown"
    return {
        "mac": device["mac"],
        "key": f"{key} (old passphrase)" if device["old_passphrase"] else key,
        "label": device["label"],
        "ssid": device["ssid"],
        "state": _state(device, now),
        "down": octets(device["down"]),
        "up": octets(device["up"]),
        "ap": access_point(device),
    }


def _state(device: Answer, now: float) -> str:
    if not device["online"]:
        return f"{span(now - device['last_seen'])} ago"
    said = f"online {span(now - device['since'])}"
    silent = now - device["reported"]
    return f"{said}, silent {span(silent)}" if device["interim"] and silent > _QUIET else said


def access_point(device: Answer) -> str:
    """What the access point calls itself, else its address; and the client it belongs to."""
    name = printable(device["nas"].partition("@")[0])
    return f"{name} ({device['client']})" if name and device["client"] not in {"", name} else name


def octets(count: int | None) -> str:
    """``1.4 GB``; decimal units, as operators' plans are written. Empty: not known."""
    if count is None:
        return ""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 999.95 or unit == "PB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
