"""`edged init` at a real terminal: what it asks, what it says of an answer, and what it leaves on disk."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edged.cli import main
from tests.loopback.acme_authority import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "wren-7mvq-3hnd-w4xt"
PATIENCE_S = 30.0
ENOUGH = ("--site", "tower-12", "--interface", "lo", "--networks", "100.64.0.0/10", "--portal-address", "127.0.0.1")


class Terminal:
    """A person at a terminal of their own, in front of ``edged init``."""

    def __init__(self, *arguments: str, mighty: bool = True) -> None:
        """``mighty``: as root in every folder; otherwise in their own alone."""
        self.seen = self.everything = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "TERM": "dumb", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
            command = [sys.executable, "-m", "edged.cli", "init", *arguments]
            if not mighty:
                command = ["setpriv", "--bounding-set=-dac_override", *command]
            try:
                os.execvpe(command[0], command, environment)  # noqa: S606  # a child of ours, in a terminal of its own
            finally:
                os._exit(127)  # never a second run of these tests

    def reads(self, wanted: str) -> str:
        """Everything up to ``wanted``, which has to come."""
        end = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            try:
                octets = os.read(self.fd, 65536) if ready else b""
            except OSError:
                octets = b""
            assert octets, f"{wanted!r} did not come; what did:\n{self.seen}"
            self._take(octets)
        before, _, self.seen = self.seen.partition(wanted)
        return before + wanted

    def _take(self, octets: bytes) -> None:
        self.seen += octets.decode()
        self.everything += octets.decode()

    def types(self, text: str) -> None:
        os.write(self.fd, f"{text}\n".encode())

    def answers(self, question: str, text: str) -> str:
        """Wait for ``question`` and its default, and answer."""
        said = self.reads(question)
        if not question.endswith("> "):
            said += self.reads("]: " if question.endswith("[") else ": ")
        self.types(text)
        return said

    def ends(self) -> tuple[int, str]:
        """Its exit status, and what it said at the end."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            ready, _, _ = select.select([self.fd], [], [], 1.0)
            try:
                octets = os.read(self.fd, 65536) if ready else b" "
            except OSError:
                octets = b""
            if not octets:
                break
            if ready:
                self._take(octets)
        if time.monotonic() >= end:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status), self.seen


@contextmanager
def billing(folder: Path) -> Iterator[int]:
    """The stand-in of the open feed, as a program; its port."""
    port = free_port()
    (folder / "feed.json").write_text('{"subscribers": [], "keys": [], "known": 4120}')
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/loopback/feed_server.py"), "--port", str(port), "--token", TOKEN,
         "--file", str(folder / "feed.json")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(10.0)


def test_a_whole_conversation_writes_what_check_accepts_and_no_secret_is_shown_or_in_the_yaml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    with billing(tmp_path) as port:
        person = Terminal("-c", str(config))
        person.answers("Name of this edge [", "tower-12")
        person.answers("or none) [", "everything")
        assert "is none of them" in person.answers("or none) [", "")
        person.answers("Interfaces where subscribers come in [", "lo lan9")
        assert "there is no interface lan9 now" in person.answers("or another answer", "lo")
        person.answers("The subscribers' networks [", "100.64.0.0/33")
        assert "/33" in person.answers("The subscribers' networks [", "100.64.0.0/10 2001:db8:100::/40")
        person.answers("Addresses of the page, of this host [", "192.0.2.99")
        said = person.answers("or another answer", "127.0.0.1")
        assert "192.0.2.99 is no address of this host yet" in said
        assert "ip address add 192.0.2.99/32 dev lo" in said
        person.answers("Host name of the page [", "portal.invalid")
        assert "portal.invalid has no address in DNS" in person.answers("or another answer", "https://localhost/")
        person.answers("or uisp [", "rest")
        person.answers("Its URL [", f"http://127.0.0.1:{port}")
        person.answers("  > ", "wrong-" + TOKEN)
        said = person.answers("a answers again", "a")
        assert "401" in said
        person.answers("Its URL [", "")
        # the second time the file that was typed is tried anew
        person.answers("  > ", TOKEN)
        assert "rest lets us in." in person.reads("lets us in.")
        status, end = person.ends()

    assert status == 0
    assert "Next:  edged check -c" in end
    manual = (ROOT / "docs/install.md").read_text("utf-8").partition("# edged init\n")[2].partition("\n```")[0]
    questions = re.findall(r"^(\S.*) \[.*\]:$", manual, re.MULTILINE)
    assert [one for one in questions if one not in person.everything] == ["The file with the lists"]  # no URL, then
    secret = tmp_path / "secrets" / "billing"
    assert secret.read_text() == TOKEN
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    written = config.read_text()
    assert TOKEN not in written
    assert TOKEN not in person.everything
    assert "mode: watch" in written
    assert 'networks: ["100.64.0.0/10", "2001:db8:100::/40"]' in written
    capsys.readouterr()
    assert main(["check", "-c", str(config)]) == 0


@pytest.mark.parametrize("how", ["ctrl-c", "end of input"])
def test_whoever_breaks_off_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    person = Terminal(
        "-c", str(tmp_path / "edged" / "edged.yaml"), *ENOUGH, "--portal", "localhost", "--source", "rest"
    )
    person.answers("Its URL [", "https://127.0.0.1:1")
    person.reads("  > ")
    if how == "ctrl-c":
        os.kill(person.pid, signal.SIGINT)
    else:
        os.write(person.fd, b"\x04")
    status, said = person.ends()

    assert (status, "nothing was written" in said, "Traceback" in said) == (130, True, False)
    assert list(tmp_path.iterdir()) == []


def test_with_every_answer_as_a_flag_or_no_input_nothing_is_asked_at_a_terminal(tmp_path: Path) -> None:
    whole = (*ENOUGH, "--portal", "localhost", "--billing", f"file:{tmp_path}/billing.yaml", "--target", "nftables")
    for name, arguments in (("flags", whole), ("no-input", ("--no-input",))):
        status, said = Terminal("-c", str(tmp_path / name / "edged.yaml"), *arguments).ends()
        assert (status, "[" in said.partition("wrote")[0]) == (0, False), said
        assert (tmp_path / name / "edged.yaml").exists()


def test_who_may_not_write_there_learns_it_before_the_first_question(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    (tmp_path / "etc").mkdir(mode=0o755)
    os.chown(tmp_path / "etc", 65534, 65534)
    status, said = Terminal("-c", str(tmp_path / "etc" / "edged" / "edged.yaml"), mighty=False).ends()

    assert status == 1
    assert f"you may not write to {tmp_path}/etc: become root, or -c FILE somewhere else" in " ".join(said.split())
    assert "Name of this edge" not in said


def test_a_router_in_place_of_this_host_wants_the_well_known_ports_and_its_password_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    flags = ("--site", "t", "--networks", "100.64.0.0/10", "--portal", "localhost", "--portal-address", "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        with suppress(OSError):  # whoever holds it already is as good
            held.bind(("127.0.0.53", 53))
        person = Terminal("-c", str(config), *flags, "--billing", f"file:{tmp_path}/b.yaml")
        said = person.answers("or none) [", "routeros")
        said += person.answers("Address of the router [", "127.0.0.1")
        assert re.search(r"port 53/udp is held by \S+ \(pid \d+\)", said)
        assert "127.0.0.1 does not answer on 8729" in person.answers("or another answer", "")
        person.answers("  > ", "s3cret-of-the-router")
        status, end = person.ends()

    assert status == 0, end
    assert (tmp_path / "secrets" / "router").read_text() == "s3cret-of-the-router"
    written = config.read_text()
    assert 'listen: ["0.0.0.0:53", "[::]:53"]' in written
    assert "s3cret" not in written
    capsys.readouterr()
    assert main(["check", "-c", str(config)]) == 0


def test_an_edge_of_a_hub_is_asked_for_the_public_key_until_it_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, config = "fdLEsUdGvuw3r3cfbfZaxBaWZPBWxtjh1Grn/MLgPYg=", tmp_path / "edged.yaml"
    person = Terminal("-c", str(config), *ENOUGH, "--portal", "localhost", "--target", "none", "--source", "hub")
    person.answers("Its URL [", "https://127.0.0.1:1/edged")
    person.answers("The hub's public key [", "not a key")
    assert "as `edged fleet key` prints it on the hub" in person.answers("The hub's public key [", key)
    person.answers("  > ", "a-bearer-key-of-a-test")
    said = person.answers("a answers again", "")
    assert "docs/hub.md" in said
    status, end = person.ends()
    assert status == 0, end
    assert (tmp_path / "secrets" / "hub").read_text() == "a-bearer-key-of-a-test"
    assert f'signed_by: ["{key}"]' in config.read_text()
    capsys.readouterr()
    assert main(["check", "-c", str(config)]) == 0


def test_an_edge_of_a_hub_without_its_public_key_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edged.yaml"
    hub = ("--source", "hub", "--billing", "https://hub.example.net/edged", "--no-input")
    assert main(["init", "-c", str(config), *hub]) == 1
    assert "edged fleet key on the hub prints it" in capsys.readouterr().err
    key = "fdLEsUdGvuw3r3cfbfZaxBaWZPBWxtjh1Grn/MLgPYg="
    assert main(["init", "-c", str(config), *hub, "--signed-by", key[:-4]]) == 78
    assert "billing.signed_by[0]" in capsys.readouterr().err
    assert not config.exists()
    assert main(["init", "-c", str(config), *hub, "--signed-by", key]) == 0
    assert f'signed_by: ["{key}"]' in config.read_text()
    assert "# guard: {leave_to_hub: true} " in config.read_text()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--source", "hub", "--signed-by", "k"), "--source hub wants its URL"),
        (("--source", "splynx"), "--source splynx wants its URL"),
        (("--source", "rest", "--billing", "file:/tmp/billing.yaml"), "--source rest wants its URL"),
        (("--billing", "https://hub.example.net/edged", "--signed-by", "k"), "--signed-by goes with --source hub"),
    ],
)
def test_flags_of_billing_that_would_be_passed_over_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    config = tmp_path / "edged.yaml"
    assert main(["init", "-c", str(config), "--no-input", *flags]) == 1
    assert said in capsys.readouterr().err
    assert not config.exists()
