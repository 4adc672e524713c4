# SPDX-License-Identifier: Apache-2.0
"""What ``tests/wifi/run.py`` makes of its arguments and of the machine."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.wifi import run

BOUND, ROAMING = run.HERE / "test_bound.py", run.HERE / "test_roaming.py"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with all that a guest needs."""
    program = tmp_path / "program"
    program.touch()
    monkeypatch.setattr(run, "CACHE", tmp_path)
    monkeypatch.setattr(run, "KERNEL", program)
    monkeypatch.setattr(run, "HOSTAPD_211", program)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    return tmp_path


def test_tests_of_one_file_share_its_guest_and_the_rest_is_for_pytest() -> None:
    files, others = run.chosen([f"{BOUND}::test_a", f"{ROAMING}", f"{BOUND}::test_b[1]", "-k", "wrong", "-s"])

    assert files == {BOUND: [f"{BOUND}::test_a", f"{BOUND}::test_b[1]"], ROAMING: [f"{ROAMING}"]}
    assert others == ["-k", "wrong", "-s"]


@pytest.mark.parametrize("arguments", [[], [str(run.HERE)], [f"{run.HERE}/"]])
def test_without_a_file_each_has_a_guest_with_that_file_alone(arguments: list[str]) -> None:
    files, others = run.chosen(arguments)

    assert len(files) > 2
    assert all(tests == [str(file)] for file, tests in files.items())
    assert others == []


def test_a_file_that_is_not_there_is_named_with_those_that_are(capsys: pytest.CaptureFixture[str], built: Path) -> None:
    assert run.main(["tests/wifi/test_bond.py"]) == 2

    said = capsys.readouterr().out
    assert "no file tests/wifi/test_bond.py; there are test_bound.py, " in said
    assert not (built / "out").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("platform", SimpleNamespace(machine=lambda: "aarch64")), "User Mode Linux runs on x86-64, this is aarch64"),
        (("CACHE", Path("/a cache")), "the guest's kernel takes no path with a space: /a cache"),
        (("KERNEL", Path("/no/linux")), "no /no/linux: make wifi-guest"),
        (("HOSTAPD_211", Path("/no/hostapd")), "no /no/hostapd: make wifi-guest"),
        (("FILES", 8192), "a guest opens up to 8192 files, 4096 are allowed (ulimit -Hn)"),
    ],
)
@pytest.mark.usefixtures("built")
def test_a_machine_that_cannot_boot_a_guest_says_why(
    monkeypatch: pytest.MonkeyPatch, fault: tuple[str, object], said: str
) -> None:
    assert run.unable() == ""
    monkeypatch.setattr(run, *fault)

    assert run.unable() == said


@pytest.mark.parametrize(("where", "status"), [("", 0), ("true", 1)])
def test_where_none_can_be_booted_ci_fails(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str, status: int
) -> None:
    (built / "program").unlink()
    monkeypatch.setenv("CI", where)

    assert run.main([]) == status

    assert capsys.readouterr().out == f"tests/wifi did not run: no {built}/program: make wifi-guest\n"
    assert not (built / "out").exists()


@pytest.mark.usefixtures("built")
def test_as_many_files_as_there_may_be_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))

    assert run.unable() == ""


@pytest.mark.parametrize(
    ("free_mb", "flags", "in_memory"),
    [(4096, 0, True), (4095, 0, False), (64, 0, False), (4096, os.ST_NOEXEC, False)],
)
def test_guests_have_their_memory_in_the_cache_where_shared_memory_is_small_or_bars_programs(
    built: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, flags: int, in_memory: bool
) -> None:
    facts = SimpleNamespace(f_bavail=free_mb << 8, f_frsize=4096, f_flag=flags)
    monkeypatch.setattr(run, "SHARED", built)
    monkeypatch.setattr(os, "statvfs", lambda _: facts)
    monkeypatch.setattr(run, "CACHE", built / "cache")

    assert run.memory_folder(2) == (built if in_memory else built / "cache")


def test_no_shared_memory_at_all_is_no_fault(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SHARED", built / "none")

    assert run.memory_folder(1) == built
