# SPDX-License-Identifier: Apache-2.0
"""The container's first program: gives edged what is its own, lays root down, and becomes edged.

A disk that RouterOS formats belongs to root, and RouterOS has no chown. Where the container is started as somebody else
already, nothing is changed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

USER = 990
"""Of edged, and of its group."""
STATE, RUN, SECRETS = Path("/var/lib/edged"), Path("/run/edged"), Path("/etc/edged/secrets")


def below(folder: Path) -> list[Path]:
    """The folder and everything in it; nothing where it is not there."""
    return [folder, *folder.rglob("*")] if folder.is_dir() else []


def own(path: Path) -> None:
    """Make a file or a folder edged's, and closed to others. What cannot be written is left as it is."""
    if path.is_symlink():
        return
    try:
        os.chown(path, USER, USER)
        path.chmod(0o700 if path.is_dir() else 0o600)
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)


def lay_root_down() -> None:
    """Become edged's user; root stays where the container's runtime does not let it do that."""
    try:
        os.setgroups([])
    except PermissionError:
        print("edged runs as root: this container may not change users", file=sys.stderr)
        return
    RUN.mkdir(parents=True, exist_ok=True)
    for path in (*below(STATE), *below(RUN), *below(SECRETS)):
        own(path)
    os.setgid(USER)
    os.setuid(USER)


def main() -> None:
    """Become ``edged`` with the arguments given."""
    if os.getuid() == 0:
        lay_root_down()
    os.environ["HOME"] = str(STATE)
    os.umask(0o077)
    os.execv("/usr/bin/edged", ["edged", *sys.argv[1:]])  # noqa: S606  # a fixed program, and what the image was given


if __name__ == "__main__":
    main()
