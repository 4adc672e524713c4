# SPDX-License-Identifier: Apache-2.0
"""A file with keys in clear: for its owner alone, whole or not there, and never in the place of a device."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import cast

import pytest

from edged.ops.outfile import put


def test_a_file_is_replaced_by_one_for_its_owner_alone(tmp_path: Path) -> None:
    out = tmp_path / "keys.csv"
    out.write_text("an older one")
    out.chmod(0o644)

    assert put(out, b"id,ssid\n") == str(out)
    assert (out.read_bytes(), out.stat().st_mode & 0o777) == (b"id,ssid\n", 0o600)


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "keys.csv"
    out.write_text("an older one")

    with pytest.raises(TypeError):
        put(out, cast("bytes", "no octets"))

    assert [path.read_text() for path in tmp_path.iterdir()] == ["an older one"]


def test_what_is_refused_names_what_was_typed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as raised:
        put(tmp_path / "no" / "keys.csv", b"")

    assert raised.value.filename == str(tmp_path / "no" / "keys.csv")


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()

    put(pipe, b"id,ssid\n")

    reader.join(10.0)
    assert read == [b"id,ssid\n"]
    assert pipe.is_fifo()
