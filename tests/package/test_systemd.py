"""The package under systemd itself, booted by systemd-nspawn in a root of the suite. Root; `make test-deb` builds both.

One life in its order: each test goes on where the one before has ended. The network is the laboratory's: the root is
its router, and a blocked subscriber asks from outside. It begins with the manual's page on the installation, typed word
for word.
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
import trustme

from tests.e2e.lab import BAD4, BAD_PREFIX6, PORTAL4, RESOLVER4, ROUTER4, Lab
from tests.manual_terminal import Typed, lacking, page_text, sessions

PACKAGES = Path(os.environ.get("PACKAGES", ".run/deb")).resolve()
SUITE = os.environ.get("SUITE", "bookworm")
CONFIG = "etc/edged/edged.yaml"
DROP_IN = "etc/systemd/system/edged.service.d/override.conf"
PAGE = "install.md"
(BILLING,) = re.findall(r"^```\n(revision: .*?)^```$", page_text(PAGE), re.MULTILINE | re.DOTALL)
HOSTS = f"127.0.0.1 localhost\n{PORTAL4} portal.example.net\n"
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

    def types(self, step: Typed) -> None:
        """What a person types, and its answer is the page's; that of ``status`` a few seconds later at the latest."""
        ends = time.monotonic() + (20.0 if step.command == "edged status" else 0.0)
        while True:
            said = self.run("sh", "-c", f"{step.command} 2>&1", check=False)
            if not (absent := lacking(step.answer, said)) or time.monotonic() > ends:
                break
            time.sleep(0.1)
        assert absent == set(), (step.command, said)

    def converses(self, command: str) -> str:
        """What it says at a terminal to somebody who takes every default."""
        inside = f"nsenter -t {self._first()} -m -u -i -n -p -C env TERM=dumb {command}"
        return subprocess.run(
            ["script", "-qec", inside, "/dev/null"],
            check=True, input="\n" * 12, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def of_unit(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", "edged", "--value", "-p", name).strip()

    def sees(self, command: str) -> str:
        """What a device of the blocked subscriber says, to one command of the page."""
        resolver = self.path / "root/resolv.conf"
        resolver.write_text(f"nameserver {RESOLVER4}\n")
        there = f"mount --bind {resolver} /etc/resolv.conf && {command} 2>&1"
        return self._lab.run(
            "bad", "env", f"CURL_CA_BUNDLE={self.path}/root/ca.pem", "sh", "-c", there, check=False
        ).stdout

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
    for name, text in (("machine-id", ""), ("hostname", "tower-12\n"), ("hosts", HOSTS)):
        (folder / "etc" / name).write_text(text)
    with Lab(prefix=f"edged-sd{os.getpid()}") as lab:
        machine = Booted(folder, lab)
        try:
            yield machine
        finally:
            machine.end()
    shutil.rmtree(folder)


def steps() -> tuple[list[Typed], list[Typed]]:
    """What the page has the operator type: while edged watches, and from going live on."""
    typed = [step for step in sessions(PAGE, "") if step.command.startswith(("edged ", "sed ", "systemctl "))]
    live = next(n for n, step in enumerate(typed) if step.command.startswith("sed "))
    return typed[:live], typed[live:]


def test_the_package_is_installed_and_watches_as_the_page_on_it_shows(booted: Booted) -> None:
    (installed,) = sessions(PAGE, "apt install")
    said = booted.run("dpkg", "--force-unsafe-io", "-i", "/var/cache/edged.deb")
    assert lacking(installed.answer, said) == set(), said
    assert booted.run("systemctl", "is-enabled", "edged", check=False) == "disabled\n"
    assert booted.of_unit("ActiveState") == "inactive"
    (init, *watching), _ = steps()

    said = booted.converses(init.command)

    assert lacking(init.answer, said) == set(), said
    assert BAD_PREFIX6 in BILLING
    booted.write("etc/edged/billing.yaml", BILLING.replace("100.64.7.9", BAD4))
    for step in watching:
        if "--accept" in step.command:  # its digest is another
            held = re.search(r"edged sync --accept (\S+)", booted.run("edged", "sync", check=False))
            assert held is not None
            booted.types(Typed(held[0], step.answer))
        else:
            booted.types(step)
    assert len(watching) == 5
    assert booted.of_unit("ActiveState") == "active"
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


def test_going_live_enforces_by_what_the_unit_allows_and_a_subscriber_sees_what_the_page_shows(booted: Booted) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("portal.example.net")
    authority.cert_pem.write_to_path(booted.path / "root/ca.pem")
    booted.write("etc/edged/tls/portal.pem", "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems))
    booted.write("etc/edged/tls/portal.key", certificate.private_key_pem.bytes().decode())
    booted.run("chown", "-R", "edged:", "/etc/edged/tls")
    booted.write(CONFIG, (booted.path / CONFIG).read_text().replace("# certificate: {chain", "certificate: {chain"))

    for step in steps()[1]:
        booted.types(step)

    booted.wait_for("its DNS is answered", lambda: booted.answers() == PORTAL4)
    seen = [step for step in sessions(PAGE, "") if step.command.startswith(("dig ", "curl "))]
    assert len(seen) == 4
    for step in seen:
        said = booted.sees(step.command)
        assert lacking(step.answer, said) == set(), (step.command, said)


def test_systemd_keeps_the_sockets_and_a_restart_loses_no_question(booted: Booted) -> None:
    assert int(booted.of_unit("NFileDescriptorStore")) >= 8

    with ThreadPoolExecutor(40) as clients:
        restart = clients.submit(booted.run, "systemctl", "restart", "edged")
        answers: list[Future[str]] = []
        ends = None
        while len(answers) < 300 and (ends is None or time.monotonic() < ends):
            answers.append(clients.submit(booted.answers))
            time.sleep(0.02)
            if ends is None and restart.done():
                ends = time.monotonic() + 1.0  # the table is compared, and flows are forgotten, after systemd is told
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
