# SPDX-License-Identifier: Apache-2.0
"""Where the daemon of a configuration listens, who asks it, and how far it is. Reads the file."""

from __future__ import annotations

import getpass
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edged.commands.terminal import repaints
from edged.commands.usage import DEFAULT_CONFIG
from edged.errors import ConfigError
from edged.ops.control import Refused

_DEFAULT_SOCKET = Path("/run/edged/control.sock")
_PROGRESS_S = 5.0
"""Seconds between two lines of progress where nobody watches a terminal."""


def socket_of(config: Path) -> Path:
    """Where the daemon of ``config`` listens; the default when that file is not ours to read."""
    from edged.config.document import read

    if config == DEFAULT_CONFIG and not os.access(config, os.R_OK):
        return _DEFAULT_SOCKET
    try:
        text = config.read_text("utf-8")
    except OSError as error:
        raise Refused(f"{config}: {error.strerror}", os.EX_CONFIG) from None
    except UnicodeDecodeError:
        raise Refused(f"{config} is not UTF-8 text", os.EX_CONFIG) from None
    try:
        return Path(read(text, str(config), read_files=False).data["ops"]["socket"])
    except (KeyError, TypeError):
        return _DEFAULT_SOCKET
    except ConfigError:
        # the file is being edited; the daemon runs from what it was, and answers where it says
        found = re.search(r"^\s+socket:\s*(\S+)\s*$", text, re.MULTILINE)
        return Path(found[1]) if found else _DEFAULT_SOCKET


def who() -> str:
    """For the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container's user may have no name
        return f"uid {os.getuid()}"


def progress(doing: str = "reading ") -> Callable[[str, int, int | None], None]:
    """Shows how far a long reading is: on a terminal in one line, in a log a line every few seconds."""
    terminal, told_at = repaints(sys.stderr), time.monotonic()

    def tell(what: str, done: int, of: int | None) -> None:
        nonlocal told_at
        text = f"{doing}{what}: {done:,}" + (f" of {of:,}" if of is not None else "")
        if terminal:
            # the cursor stays at the line's head: the answer is written over it
            print(f"{text}\033[K", end="\r", file=sys.stderr, flush=True)
        elif time.monotonic() - told_at >= _PROGRESS_S:
            told_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    return tell


def clear() -> None:
    """Take the last line of progress away."""
    if repaints(sys.stderr):
        print(end="\033[K", file=sys.stderr, flush=True)
