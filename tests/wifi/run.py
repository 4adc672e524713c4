# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder in guests with simulated radios: ``python tests/wifi/run.py [files] [-k ...]``.

A guest is a User Mode Linux kernel: a process of this machine, as an ordinary user if need be, that sees this machine's
tree read-only under memory of its own. Nothing in it reaches the network, and only the folder of results is written to.
Each file of tests has a guest of its own, as many at a time as there are cores. No pytest here: it is inside.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("WIFI_CACHE", ROOT / ".run/wifi")).resolve()
KERNEL, HOSTAPD_211 = CACHE / "linux", CACHE / "hostapd-2.11" / "hostapd"
SHARED = Path("/dev/shm")  # noqa: S108 -- nothing is named there: the kernel removes its file as soon as it has it
RADIOS, MEMORY_MB, LIMIT_S = 5, 2048, 480
FILES = 4096
"""Descriptors of one guest: each file of this machine that it has looked at is open. 1,750 were seen."""
NONE_CHOSEN = 5
"""pytest's status where ``-k`` leaves nothing of a file."""
LOST = 124
"""Status of a guest that was ended, or died."""


def unable() -> str:
    """Why this machine cannot boot a guest; empty when it can."""
    if platform.machine() != "x86_64":
        return f"User Mode Linux runs on x86-64, this is {platform.machine()}"
    if " " in f"{HERE}{CACHE}":
        return f"the guest's kernel takes no path with a space: {HERE if ' ' in str(HERE) else CACHE}"
    missing = [file for file in (KERNEL, HOSTAPD_211) if not file.exists()]
    if missing:
        return f"no {missing[0]}: make wifi-guest"
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return f"a guest opens up to {FILES} files, {most} are allowed (ulimit -Hn)" if 0 <= most < FILES else ""


def memory_folder(guests: int) -> Path:
    """Where the memory of so many guests is a file: in memory, or in the cache where that is small or bars programs."""
    if SHARED.is_dir():
        facts = os.statvfs(SHARED)
        room_mb = facts.f_bavail * facts.f_frsize >> 20
        if room_mb >= guests * MEMORY_MB and not facts.f_flag & os.ST_NOEXEC:
            return SHARED
    return CACHE


def chosen(arguments: list[str]) -> tuple[dict[Path, list[str]], list[str]]:
    """Files of tests with what of each is wanted (``FILE::TEST``), and pytest's own arguments; ValueError: no file."""
    files: dict[Path, list[str]] = {}
    others: list[str] = []
    for argument in arguments:
        name, *test = argument.split("::", 1)
        file = Path(name).resolve()
        if name.endswith(".py"):
            if not file.is_file():
                known = ", ".join(each.name for each in sorted(HERE.glob("test_*.py")))
                raise ValueError(f"no file {name}; there are {known}")
            files.setdefault(file, []).append("::".join([str(file), *test]))
        elif file != HERE:
            others.append(argument)
    return files or {file: [str(file)] for file in sorted(HERE.glob("test_*.py"))}, others


class Guest:
    """One kernel with one file of tests in it."""

    def __init__(self, file: Path, pytest: list[str]) -> None:
        self.name = file.stem
        self.out = CACHE / "out" / self.name
        self._console = self.out / "console.log"
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self._script = self.out / "run.sh"
        given = {"WIFI_GUEST": "1", "WIFI_HOSTAPD_211": str(HOSTAPD_211), "CI": os.environ.get("CI", "")}
        python = str(ROOT / ".venv/bin/python")
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *pytest]
        self._script.write_text(
            "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
            + f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(command)}\n"
        )

    def boot(self, memory: Path) -> None:
        """Start the kernel, its memory a file in that folder, gone when it ends."""
        self._begun = time.monotonic()
        with self._console.open("wb") as console:
            self._kernel = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "TERM",  # also where this program is killed
                    str(KERNEL), f"mem={MEMORY_MB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
                    "time-travel", "con=null", "con0=null,fd:1", "con1=null", "ssl=null", "quiet", "panic=1",
                    f"mac80211_hwsim.radios={RADIOS}", f"init={HERE}/guest/init.sh", f"GUEST_HERE={HERE}/guest",
                    f"GUEST_OUT={self.out}", f"GUEST_RUN={self._script}",
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                # it makes a folder .uml in its home, and dies where it cannot
                env={**os.environ, "TMPDIR": str(memory), "HOME": str(self.out)},
            )  # fmt: skip

    def ended(self) -> bool:
        """Whether it has; one that takes too long is ended."""
        if self._kernel.poll() is None and self.seconds() > LIMIT_S:
            self.end()
        return self._kernel.poll() is not None

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._kernel.pid, signal.SIGKILL)
        self._kernel.wait()

    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def status(self) -> int:
        """That of pytest."""
        file = self.out / "status"
        said = file.read_text().strip() if file.exists() else ""
        return int(said) if said else LOST

    def report(self) -> str:
        """How it ended, and what pytest printed, without the kernel's own words."""
        how = "the guest died or took too long" if self.status() == LOST else f"status {self.status()}"
        said = self._console.read_text("utf-8", "replace")
        said = re.sub(
            r"^(platform regulatory|firmware_class|reboot:|Warning: tempdir).*\n", "", said, flags=re.MULTILINE
        )
        return f"--- {self.name}: {self.seconds():.0f} s, {how}; logs in {self.out}\n{said}"


def run(guests: list[Guest], most: int, interrupted: Callable[[], bool]) -> list[int]:
    """The status of each, and its words printed, as they end; ``most`` at a time. None outlives this.

    KeyboardInterrupt once ``interrupted``, which is asked between two deeds: a guest that is just being started would
    be nobody's.
    """
    memory = memory_folder(min(most, len(guests)))
    waiting, running, statuses = [*guests], list[Guest](), list[int]()
    try:
        while waiting or running:
            if interrupted():
                raise KeyboardInterrupt
            while waiting and len(running) < most:
                guest = waiting.pop(0)
                guest.boot(memory)
                running.append(guest)
            for guest in [each for each in running if each.ended()]:
                running.remove(guest)
                statuses.append(guest.status())
                print(guest.report(), flush=True)
            time.sleep(0.1)
    finally:
        for guest in running:
            guest.end()
    return statuses


def main(arguments: list[str]) -> int:
    """The worst status of all guests."""
    reason = unable()
    if reason:
        print(f"tests/wifi did not run: {reason}")
        return 1 if os.environ.get("CI") else 0
    try:
        files, others = chosen(arguments)
    except ValueError as wrong:
        print(wrong)
        return 2
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    signals: list[int] = []
    for wanted in (signal.SIGINT, signal.SIGTERM):  # in the background the first would be ignored
        signal.signal(wanted, lambda number, _: signals.append(number))
    try:
        statuses = run(
            [Guest(file, [*others, *tests]) for file, tests in files.items()],
            os.cpu_count() or 1,
            lambda: bool(signals),
        )
    except KeyboardInterrupt:
        print("interrupted; every guest was ended")
        return 130
    return max((status for status in statuses if status != NONE_CHOSEN), default=NONE_CHOSEN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
