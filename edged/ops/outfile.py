# SPDX-License-Identifier: Apache-2.0
"""A file that holds keys in clear, written for its owner alone; the one that was there stays until it is whole."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def put(path: Path, content: bytes) -> str:
    """Write ``content``, mode 0600 from the first octet on, in the place of what was there; the path. OSError."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a device or a pipe: the operator's own idea, and not ours to replace
        return str(path)
    beside = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # what was typed, not the name that it had for a moment
        raise
    return str(path)
