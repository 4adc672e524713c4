# SPDX-License-Identifier: Apache-2.0
"""Files of the state directory: the old one or the new one, whole, and its owner's alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError
from edged.state.files import secret_file, write_atomically
from edged.values import Secret

NOBODY = 65534


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        secret_file(path)
    (problem,) = raised.value.problems
    assert problem.key == "state.directory"
    return f"{problem.found}; expected {problem.expected}"


class PowerCutError(Exception):
    """Ends a write in the middle."""


def cut_off() -> Iterator[bytes]:
    yield b"the first half, longer than any buffer\n" * 10_000
    raise PowerCutError


# --- written whole or not at all -------------------------------------------------------------------


def test_a_written_file_holds_the_chunks_is_its_owners_alone_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.jsonl"

    write_atomically(path, [b"one\n", b"", b"two\n"])

    assert path.read_bytes() == b"one\ntwo\n"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_midway_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.jsonl"
    write_atomically(path, [b"old\n"])

    with pytest.raises(PowerCutError):
        write_atomically(path, cut_off())

    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_write_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        write_atomically(tmp_path / "snapshot.jsonl", cut_off())

    assert not list(tmp_path.iterdir())


def test_a_write_that_cannot_begin_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "absent" / "snapshot.jsonl", [b"new\n"])


def test_what_a_crash_left_behind_is_overwritten_whole_and_its_mode_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    left = tmp_path / ".sealing.key.new"
    left.write_bytes(b"longer than what is written now" * 100)
    left.chmod(0o644)

    write_atomically(path, [b"new\n"])

    assert path.read_bytes() == b"new\n"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wanted", [0o600, 0o644, 0o640])
def test_the_mode_is_what_was_asked_for_whatever_the_umask(wanted: int, tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        write_atomically(tmp_path / "chain.pem", [b"certificate"], wanted)
    finally:
        os.umask(previous)

    assert mode(tmp_path / "chain.pem") == wanted


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.jsonl"
    whole = {bytes([letter]) * 100_000 for letter in b"abcdefgh"}
    write_atomically(path, [b"a" * 100_000])
    over = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for content in sorted(whole):
        write_atomically(path, [content[:50_000], content[50_000:]])
    over.set()
    reader.join()

    assert seen <= whole


# --- secrets of our own making ---------------------------------------------------------------------


def test_a_secret_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sealing.key"

    made = secret_file(path)

    assert len(made) == 32
    assert secret_file(path) == made
    assert mode(path) == 0o600
    assert mode(path.parent) & 0o007 == 0
    assert list(path.parent.iterdir()) == [path]


def test_two_secrets_are_not_alike(tmp_path: Path) -> None:
    assert secret_file(tmp_path / "sealing.key") != secret_file(tmp_path / "links.key")


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_restored_from_a_backup_is_taken_in_either_case_and_without_its_newline(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "restored.key"
    for text in (octets.hex(), octets.hex().upper() + "\r\n", f"  {octets.hex()}\n\n"):
        path.write_text(text)
        assert secret_file(path) == Secret(octets)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"abc", b"0" * 63, b"0" * 65, b"0" * 128, b"g" * 64, b"\xff" * 64, b"0x" + b"0" * 62, b"0 " * 32],
    ids=["empty", "blank", "short", "63", "65", "128", "no-digits", "octets", "prefixed", "spaced"],
)
def test_a_damaged_secret_is_refused_never_replaced_and_never_shown(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes(content)

    said = refusal(path)

    assert said == f"{path} is damaged; expected 64 hexadecimal digits; restore it from backup"
    assert path.read_bytes() == content


def test_a_secret_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sealing.key").write_text("00" * 32)
    (tmp_path / "sealing.key").chmod(0o000)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        said = refusal(Path("sealing.key"))
    finally:
        if root:
            os.seteuid(0)

    assert said == "sealing.key: Permission denied; expected a file that edged may read"


def test_a_secret_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    assert "Is a directory" in refusal(tmp_path)


def test_a_secret_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")

    assert "Not a directory" in refusal(tmp_path / "state" / "sealing.key")


def test_a_state_directory_that_may_not_be_written_is_the_operators_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        said = refusal(Path("state/sealing.key"))
    finally:
        if root:
            os.seteuid(0)

    assert said == "state/sealing.key: Permission denied; expected a directory that edged may write"
