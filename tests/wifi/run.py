# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder in guests with simulated radios: ``python tests/wifi/run.py [files] [-k ...]``.

A guest is a User Mode Linux kernel: a process of this machine, as an ordinary user if need be, that sees this machine's
tree read-only under memory of its own. Nothing in it reaches the network, and only the folder of results is written to.
Each file of tests has a guest of its own, as many at a time as there are cores. No pytest here: it is inside.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("WIFI_CACHE", ROOT / ".run/wifi")).resolve()
KERNEL, HOSTAPD_211 = CACHE / "linux", CACHE / "hostapd-2.11" / "hostapd"
RADIOS, MEMORY_MB, LIMIT_S = 5, 2048, 480
LOST = 124
"""Status of a guest that was ended, or died."""


def unable() -> str:
    """Why this machine cannot boot a guest; empty when it can."""
    if platform.machine() != "x86_64":
        return f"User Mode Linux runs on x86-64, this is {platform.machine()}"
    missing = [file for file in (KERNEL, HOSTAPD_211) if not file.exists()]
    return f"no {missing[0]}: make wifi-guest" if missing else ""


class Guest:
    """One kernel with one file of tests in it."""

    def __init__(self, file: Path, pytest: list[str]) -> None:
        self.name = file.stem
        self.seconds = 0.0
        self.out = CACHE / "out" / self.name
        self._console = self.out / "console.log"
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self._script = self.out / "run.sh"
        given = {"WIFI_GUEST": "1", "WIFI_HOSTAPD_211": str(HOSTAPD_211), "CI": os.environ.get("CI", "")}
        python = str(ROOT / ".venv/bin/python")
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *pytest, str(file)]
        self._script.write_text(
            "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
            + f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(command)}\n"
        )

    def run(self) -> int:
        """Boot, and wait for the end: the status of pytest."""
        begun = time.monotonic()
        with self._console.open("wb") as console:
            kernel = subprocess.Popen(
                [
                    str(KERNEL), f"mem={MEMORY_MB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
                    "time-travel", "con=null", "con0=null,fd:1", "con1=null", "ssl=null", "quiet", "panic=1",
                    f"mac80211_hwsim.radios={RADIOS}", f"init={HERE}/guest/init.sh", f"GUEST_HERE={HERE}/guest",
                    f"GUEST_OUT={self.out}", f"GUEST_RUN={self._script}",
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
            try:
                kernel.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(kernel.pid, signal.SIGKILL)
                kernel.wait()
        self.seconds = time.monotonic() - begun
        status = self.out / "status"
        return int(status.read_text()) if status.exists() else LOST

    def said(self) -> str:
        """What pytest printed, without the kernel's own words."""
        text = self._console.read_text("utf-8", "replace")
        return re.sub(r"^(platform regulatory|firmware_class|reboot:).*\n", "", text, flags=re.MULTILINE)


def main(arguments: list[str]) -> int:
    """The worst status of all guests."""
    reason = unable()
    if reason:
        print(f"tests/wifi did not run: {reason}")
        return 1 if os.environ.get("CI") else 0
    files = [Path(name).resolve() for name in arguments if name.endswith(".py")]
    others = [name for name in arguments if not name.endswith(".py")]
    guests = [Guest(file, others) for file in files or sorted(HERE.glob("test_*.py"))]
    worst = 0 if guests else LOST
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for guest, status in zip(guests, pool.map(Guest.run, guests), strict=True):
            ended = "the guest died or took too long" if status == LOST else f"status {status}"
            print(f"--- {guest.name}: {guest.seconds:.0f} s, {ended}; logs in {guest.out}\n{guest.said()}", flush=True)
            worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
