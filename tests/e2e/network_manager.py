# SPDX-License-Identifier: Apache-2.0
"""The real NetworkManager in a namespace of the lab: unpacked, not installed, with a bus and folders of its own.

``make network-manager`` unpacks Debian's packages to ``.run/network-manager``. The machine's own network is out of its
sight: another network namespace, another mount namespace, another D-Bus.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.e2e.lab import Lab, until

ROOT = Path(__file__).resolve().parents[2] / ".run" / "network-manager"
BINARY, NMCLI = ROOT / "usr/sbin/NetworkManager", ROOT / "usr/bin/nmcli"

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/>
  </policy>
</busconfig>
"""
_CONFIG = """\
[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
no-auto-default=*
auth-polkit=root-only
[connectivity]
enabled=true
uri={uri}
interval={interval}
"""
_START = """\
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && mkdir /run/NetworkManager /var/lib/NetworkManager &&
mount -o remount,ro /sys &&
exec {binary} --no-daemon --config={folder}/nm.conf --config-dir={folder}/conf.d \
  --intern-config={folder}/intern.conf --state-file={folder}/state
"""
"""Its folders are of its own mount namespace; with a read-only /sys it takes itself for a container: no udev."""


def available() -> str:
    """Why it cannot run here; empty when it can."""
    if not BINARY.exists():
        return "needs `make network-manager`"
    return "" if shutil.which("dbus-daemon") else "needs Debian's dbus-daemon"


class NetworkManager:
    """NetworkManager while the context lasts, asking ``uri`` every ``interval`` seconds."""

    def __init__(self, lab: Lab, namespace: str, folder: Path, uri: str, interval: int) -> None:
        self._lab, self._namespace, self._folder = lab, namespace, folder
        self._uri, self._interval = uri, interval
        self._processes: list[subprocess.Popen[bytes]] = []
        self._env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": ":".join(map(str, (*ROOT.glob("usr/lib/*-linux-gnu"), *ROOT.glob("lib/*-linux-gnu")))),
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus",
        }  # fmt: skip

    def __enter__(self) -> Self:
        (self._folder / "conf.d").mkdir(parents=True)
        (self._folder / "bus.conf").write_text(_BUS.format(folder=self._folder))
        (self._folder / "nm.conf").write_text(_CONFIG.format(uri=self._uri, interval=self._interval))
        self._start("dbus-daemon", "--nofork", f"--config-file={self._folder}/bus.conf")
        until("the bus is there", (self._folder / "bus").exists)
        self._start("sh", "-c", _START.format(binary=BINARY, folder=self._folder))
        until("NetworkManager answers", lambda: self._nmcli("general").returncode == 0, timeout=20.0)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def connectivity(self) -> str:
        """none, portal, limited or full: as its own timer found it last."""
        return self._nmcli("networking", "connectivity").stdout.strip()

    def _nmcli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(NMCLI), "--terse", *arguments],
            check=False, capture_output=True, text=True, timeout=30, env={**os.environ, **self._env},
        )  # fmt: skip

    def _start(self, *command: str) -> None:
        inside = ["ip", "netns", "exec", self._lab.name(self._namespace), *command]
        with (self._folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env)
            )
