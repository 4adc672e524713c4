# SPDX-License-Identifier: Apache-2.0
"""What every help begins and ends with: seven tasks, exit statuses, examples, the manual's page. Pure."""

from __future__ import annotations

import textwrap

OVERVIEW = """\
edged: blocked-subscriber redirection and per-resident Wi-Fi keys.

  is all well, and what needs me?          edged status
  why does this line get what it gets?     edged explain 100.64.7.9
  what befell it, and when?                edged log 20417
  they say that they have paid             edged sync 20417
  they cannot pay: open it for a while     edged pass 20417 --why "on the phone"
  who may use the Wi-Fi?                   edged keys list
  is this file right, what does it mean?   edged check -c edged.yaml

edged --help names every command, edged COMMAND --help says more of each."""

_STATUSES = "exit status: 0 done, 1 refused or not found, 2 usage, 69 daemon unreachable, 78 bad configuration"

PAGES = {
    "run": "install", "check": "configure", "init": "install", "status": "everyday", "explain": "everyday",
    "log": "everyday", "plan": "everyday", "sync": "everyday", "block": "everyday", "unblock": "everyday",
    "pass": "everyday", "reload": "configure", "routeros": "mikrotik", "probe": "probe", "completion": "everyday",
    "doctor": "doctor", "keys": "wifi", "hub": "hub", "fleet": "hub",
}  # fmt: skip
"""Name to the page of the manual."""


def ending(examples: str, page: str) -> str:
    """The end of a command's help; ``page`` is one of docs/."""
    return f"{_STATUSES}\n\nexamples:\n{textwrap.indent(examples, '  ')}\n\nmanual: docs/{page}.md"
