"""The package under systemd itself, booted by systemd-nspawn in a root of the suite. Root; `make test-deb` builds both.

One life in its order: each test goes on where the one before has ended. The network is the laboratory's: the root is
its router, and a blocked subscriber asks from outside.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.lab import BAD4, LAN, PORTAL4, ROUTER4, Lab

PACKAGES = Path(os.environ.get("PACKAGES", ".run/deb")).resolve()
SUITE = os.environ.get("SUITE", "bookworm")
CONFIG = "etc/edged/edged.yaml"
DROP_IN = "etc/systemd/system/edged.service.d/override.conf"
BILLING = f"""\
known: 400
subscribers: [{{id: "20417", state: blocked, reason: unpaid, addresses: ["{BAD4}"]}}]
"""
ASKED = ["dig", "+short", "+tries=1", "+time=20", f"@{ROUTER4}", "example.com"]


class Booted:
    """A Debian with its systemd running, as the laboratory's router."""

    def __init__(self, path: Path, lab: Lab) -> None:
        self.path = path
        self._lab = lab
        self._machine = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", path, "--boot", "--register=no", "--keep-unit", "--console=pipe",
             "--capability=CAP_NET_ADMIN",
             f"--network-namespace-path=/run/netns/{lab.name('router')}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self.wait_for("systemd", lambda: self._first() is not None)
            self.wait_for("it is up", lambda: self.run("systemctl", "is-system-running", check=False) == "running\n")
        except BaseException:
            self.end()
            raise

    def _first(self) -> str | None:
        """The number of its first process."""
        children = Path(f"/proc/{self._machine.pid}/task/{self._machine.pid}/children").read_text().split()
        return children[0] if children and Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n" else None

    def run(self, *words: str, check: bool = True) -> str:
        """What the command says in there."""
        inside = ["nsenter", "-t", str(self._first()), "-m", "-u", "-i", "-n", "-p", "-C"]
        done = subprocess.run([*inside, *words], check=False, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(
                f"{words}: {done.stdout}{done.stderr}{self.run('journalctl', '-n', '40', '--no-pager', check=False)}"
            )
        return done.stdout

    def of_unit(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", "edged", "--value", "-p", name).strip()

    def answers(self) -> str:
        """What the blocked subscriber is told of a name."""
        return self._lab.run("bad", *ASKED, check=False).stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def wait_for(self, what: str, true: Callable[[], bool], seconds: float = 60.0) -> None:
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, f"{what}\n{self.run('journalctl', '-n', '60', '--no-pager')}"
            time.sleep(0.1)

    def end(self) -> None:
        self._machine.kill()  # everything in it goes with its first process
        self._machine.wait(timeout=30)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    folder = tmp_path_factory.mktemp("booted") / "root"
    subprocess.run(["cp", "-a", PACKAGES / SUITE / "base", folder], check=True)
    shutil.copy((PACKAGES / SUITE / "edged.deb").resolve(strict=True), folder / "var/cache/edged.deb")
    (folder / "etc/machine-id").write_text("")
    with Lab(prefix=f"edged-sd{os.getpid()}") as lab:
        machine = Booted(folder, lab)
        try:
            yield machine
        finally:
            machine.end()
    shutil.rmtree(folder)


def test_the_installed_unit_starts_as_it_is_written_and_watches(booted: Booted) -> None:
    booted.run("dpkg", "--force-unsafe-io", "-i", "/var/cache/edged.deb")
    assert booted.run("systemctl", "is-enabled", "edged", check=False) == "disabled\n"
    assert booted.of_unit("ActiveState") == "inactive"
    booted.run(
        "edged",
        "init",
        "--site",
        "tower-12",
        "--networks",
        "100.64.0.0/10",
        "--portal-address",
        PORTAL4,
        "--interface",
        LAN,
    )
    booted.write("etc/edged/billing.yaml", BILLING)

    booted.run("systemctl", "enable", "--now", "edged")

    assert booted.of_unit("ActiveState") == "active"
    held = re.search(r"edged sync --accept (\S+)", booted.run("edged", "sync", check=False))
    assert held is not None
    booted.run("edged", "sync", "--accept", held[1])
    assert "would hold 1" in booted.run("edged", "status")
    assert "inet edged" not in booted.run("nft", "list", "tables")


def test_a_refused_reload_is_an_error_of_systemctl_and_the_daemon_goes_on(booted: Booted) -> None:
    config = (booted.path / CONFIG).read_text()
    started = booted.of_unit("ExecMainStartTimestampMonotonic")
    booted.write(CONFIG, config + "no-such-key: 1\n")

    with pytest.raises(AssertionError, match="reload-refused"):
        booted.run("systemctl", "reload", "edged")
    booted.write(CONFIG, config)

    assert booted.of_unit("ExecMainStartTimestampMonotonic") == started
    booted.run("systemctl", "reload", "edged")


def test_going_live_enforces_by_what_the_unit_allows(booted: Booted) -> None:
    config = (booted.path / CONFIG).read_text()
    booted.write(CONFIG, re.sub(r"(?m)^mode: watch.*", "mode: enforce", config))

    booted.run("systemctl", "restart", "edged")

    booted.wait_for(
        "the line is blocked", lambda: BAD4 in booted.run("nft", "list", "table", "inet", "edged", check=False)
    )
    booted.wait_for("its DNS is answered", lambda: booted.answers() == PORTAL4)
    assert "1 of 1" in booted.run("edged", "status")


def test_systemd_keeps_the_sockets_and_a_restart_loses_no_question(booted: Booted) -> None:
    assert int(booted.of_unit("NFileDescriptorStore")) >= 8

    with ThreadPoolExecutor(40) as clients:
        restart = clients.submit(booted.run, "systemctl", "restart", "edged")
        answers: list[Future[str]] = []
        while not restart.done() and len(answers) < 30:
            answers.append(clients.submit(booted.answers))
            time.sleep(0.04)
        restart.result()
        heard = [answer.result() for answer in answers]

    assert len(heard) > 5
    assert set(heard) == {PORTAL4}


def test_a_daemon_that_hangs_is_ended_and_started_again_with_its_sockets(booted: Booted) -> None:
    booted.write(DROP_IN, "[Service]\nWatchdogSec=3\n")
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "restart", "edged")
    number = booted.of_unit("MainPID")

    booted.run("systemctl", "kill", "-s", "STOP", "edged")

    booted.wait_for("another process", lambda: booted.of_unit("MainPID") not in {"0", number})
    assert booted.answers() == PORTAL4
    assert booted.of_unit("NRestarts") == "1"
    assert "Watchdog timeout" in booted.run("journalctl", "--no-pager", "-u", "edged")


def test_the_sealing_key_may_be_a_credential_of_the_unit(booted: Booted) -> None:
    booted.write("etc/edged/credentials/sealing.key", "00112233445566778899aabbccddeeff" * 2)
    booted.write(DROP_IN, "[Service]\nLoadCredential=sealing.key:/etc/edged/credentials/sealing.key\n")
    booted.run("chmod", "-R", "go=", "/etc/edged/credentials")
    booted.run("systemctl", "stop", "edged")
    assert booted.of_unit("NFileDescriptorStore") == "0", "a stop lets go of them"
    made = booted.path / "var/lib/edged/sealing.key"
    made.unlink()
    booted.run("systemctl", "daemon-reload")

    booted.run("systemctl", "start", "edged")

    assert not made.exists(), "one is made where none is given"


def test_systemd_itself_finds_the_running_unit_well_locked(booted: Booted) -> None:
    said = booted.run("systemd-analyze", "security", "--no-pager", "edged.service")
    score = re.search(r"Overall exposure level for edged.service: ([0-9.]+)", said)

    assert score is not None
    assert float(score[1]) <= 2.0


def test_removal_stops_it_and_leaves_the_line_blocked(booted: Booted) -> None:
    booted.run("dpkg", "--remove", "edged")

    assert booted.run("systemctl", "is-active", "edged", check=False) == "inactive\n"
    assert BAD4 in booted.run("nft", "list", "table", "inet", "edged")


def test_after_purging_systemd_knows_nothing_of_it(booted: Booted) -> None:
    shutil.rmtree((booted.path / DROP_IN).parent)
    booted.run("dpkg", "--purge", "edged")

    assert booted.run("systemctl", "is-enabled", "edged", check=False) in {"", "not-found\n"}
    assert "inet edged" not in booted.run("nft", "list", "tables")
    assert booted.run("systemctl", "--failed", "--plain", "--no-legend").strip() == ""
