"""The line to the process with CAP_NET_ADMIN when things go wrong, and what a process gives up for good."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.enforce.kernel import acts, client, wire
from edged.enforce.kernel.client import Here, Privileged
from edged.enforce.kernel.requests import REFUSED, Answer, Forget, Request, Script, Simple, Widen
from edged.enforce.kernel.service import Desk
from edged.errors import UpstreamError
from edged.fdstore import FdStore
from edged.values import Prefix

ROOT = Path(__file__).resolve().parents[2]


def program(folder: Path, text: str) -> str:
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_an_nft_that_does_not_end_is_ended_and_its_complaint_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "_TIMEOUT", 0.3)
    pid = tmp_path / "pid"
    begun = time.monotonic()

    answer = await Here(program(tmp_path, f"echo $$ > {pid}; exec sleep 60")).ask(Simple.TABLE)

    assert answer.code == REFUSED
    assert "did not end" in answer.complaint
    assert time.monotonic() - begun < 5.0
    assert not Path("/proc", pid.read_text().strip()).exists()


async def test_what_nft_prints_and_complains_of_comes_back(tmp_path: Path) -> None:
    nft = program(tmp_path, "cat; echo wrong >&2; exit 3")

    assert await Here(nft).ask(Script(None)) == Answer(3, "wrong\n")
    assert (await Here(program(tmp_path, "head -c 3000000 /dev/zero")).ask(Simple.TABLE)).octets == bytes(3_000_000)


@contextlib.contextmanager
def desk(nft: str) -> Iterator[socket.socket]:
    """Our end of a line at whose other end somebody answers, in this process."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=Desk(there, nft).serve)
    thread.start()
    try:
        with here:
            yield here
    finally:
        thread.join(10.0)
        there.close()


async def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    nft = program(tmp_path, 'case "$*" in *ruleset) sleep 0.5; echo late;; *) echo right;; esac')
    with desk(nft) as here:
        line = client._Line(here)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await line.asked(wire.encoded(Simple.RULESET))

        answers = [(await line.asked(wire.encoded(Simple.TABLE))).octets for _ in range(2)]

        asyncio.get_running_loop().remove_reader(here)
    assert answers == [b"right\n"] * 2


async def test_when_the_other_end_is_gone_whoever_asks_hears_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MODULE", "edged.there_is_none")
    with contextlib.closing(Privileged()) as process:
        gone = asyncio.Event()
        process.watch(gone.set)
        async with asyncio.timeout(10.0):
            await gone.wait()
            for _ in range(6):
                with pytest.raises(UpstreamError, match="gone"):
                    await process.ask(Simple.GENERATION)
        assert process.ended
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            assert not process.widen(sock, 1 << 20)
            FdStore((), None, process.widen).widen(sock, 4096)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 4096


async def test_an_answer_that_does_not_come_is_the_other_processs_fault_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a Python that starts and never reads
    monkeypatch.setattr(sys, "executable", program(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(client, "_PATIENCE", 0.2)
    monkeypatch.setattr(client, "_FORGET_PATIENCE", 0.2)
    monkeypatch.setattr(client, "_END", 0.1)
    with contextlib.closing(Privileged()) as process:
        monkeypatch.setattr(process, "_feel", lambda: asyncio.sleep(0.0))
        hundred_thousand = [Prefix(4, n << 8, 24) for n in range(100_000)]
        requests: tuple[Request, ...] = (Simple.GENERATION, Forget(hundred_thousand, ()), Widen(1), Widen(1), Widen(1))
        for request in requests:
            with pytest.raises(UpstreamError, match="does not answer"):
                await process.ask(request)
    assert process.ended == -9


async def test_a_process_that_owes_even_a_refusal_is_ended_so_that_a_new_start_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 0.2)
    monkeypatch.setattr(client, "_PULSE", 0.2)
    with contextlib.closing(Privileged()) as process:
        gone = asyncio.Event()
        process.watch(gone.set)
        with socket.socket(socket.AF_UNIX) as none:
            assert not process.widen(none, 1)  # it has started, then
        assert b"-s" in Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0"), "no module of its user's"
        os.kill(process.pid, signal.SIGSTOP)

        async with asyncio.timeout(10.0):
            with pytest.raises(UpstreamError, match="does not answer"):
                await process.ask(Simple.GENERATION)
            await gone.wait()
    assert process.ended == -signal.SIGKILL


async def test_an_nft_that_takes_its_time_does_not_end_the_process_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "exec sleep 5")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(client, "_PATIENCE", 0.5)
    with contextlib.closing(Privileged()) as process:
        # more than there are lines
        said = await asyncio.gather(*(process.ask(Simple.TABLE) for _ in range(6)), return_exceptions=True)

        assert {str(error) for error in said} == {"the process that holds CAP_NET_ADMIN does not answer"}
        assert process.ended is None


async def test_what_is_no_socket_is_not_widened_and_nothing_of_it_stays_open(tmp_path: Path) -> None:
    with desk("nft") as here, (tmp_path / "file").open("w") as file:
        before = len([*Path("/proc/self/fd").iterdir()])
        for _ in range(9):
            socket.send_fds(here, [bytes(5) + wire.encoded(Widen(4096))], [file.fileno()])
            assert wire.answer_of(here.recv(4096)[5:]).code == errno.ENOTSOCK
        assert len([*Path("/proc/self/fd").iterdir()]) <= before + 1  # the last one is closed after its answer


GIVEN_UP = """
import os
from edged import capabilities
capabilities.keep_only(capabilities.NET_ADMIN)
allowed = capabilities.write_nowhere()
try:
    os.close(os.open("there", os.O_WRONLY | os.O_CREAT))
except PermissionError:
    print("refused")
os.close(os.memfd_create("memory"))
open("/etc/passwd").close()
print(allowed, capabilities.held(), capabilities.drop(capabilities.NET_ADMIN), capabilities.held())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_what_is_given_up_is_gone_and_files_are_read_and_never_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_UP],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    all_three = "Sets(effective={0}, permitted={0}, inheritable={0})".format
    assert done.stdout.splitlines() in (
        ["refused", f"True {all_three(4096)} True {all_three(0)}"],
        [f"False {all_three(4096)} True {all_three(0)}"],  # a kernel without Landlock
    )
    assert (tmp_path / "there").exists() == done.stdout.startswith("False")
