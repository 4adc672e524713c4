# SPDX-License-Identifier: Apache-2.0
"""Files of the state directory: written whole or not at all, readable by edged alone. I/O."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from edged.errors import ConfigError
from edged.state.sealing import KEY_OCTETS
from edged.values import Secret


def write_atomically(path: Path, chunks: Iterable[bytes], mode: int = 0o600) -> None:
    """Replace ``path`` by ``chunks``: a temporary file beside it, fsync, rename, fsync of the directory. OSError."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # also where a crash left a temporary file of another mode
            os.fchmod(file.fileno(), mode)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def secret_file(path: Path, octets: int = KEY_OCTETS) -> Secret:
    """The secret of ``octets`` random octets kept in ``path`` as hexadecimal; made on first use, mode 0600."""
    kept = kept_secret(path, octets)
    if kept is not None:
        return kept
    fresh = os.urandom(octets)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_atomically(path, [fresh.hex().encode() + b"\n"])
    except OSError as error:
        raise ConfigError.of(
            "state.directory", f"{path}: {error.strerror}", "a directory that edged may write"
        ) from error
    return Secret(fresh)


def kept_secret(path: Path, octets: int = KEY_OCTETS) -> Secret | None:
    """The secret of ``octets`` octets that ``path`` has as hexadecimal; None: no such file. ConfigError: damaged."""
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise ConfigError.of("state.directory", f"{path}: {error.strerror}", "a file that edged may read") from error
    if len(text) != 2 * octets or not set(text.lower()) <= set("0123456789abcdef"):
        raise ConfigError.of(
            "state.directory",
            f"{path} is damaged",
            f"{2 * octets} hexadecimal digits; restore it from backup",
        )
    return Secret(bytes.fromhex(text))


def claim(directory: Path) -> int:
    """A descriptor that holds ``directory`` for this process while it is open. ConfigError: another edged has it."""
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError.of(
            "state.directory", f"{directory}: {error.strerror}", "a directory that edged may write"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError.of("state.directory", f"{directory} is another edged's", "one edged a directory") from None
    return descriptor
