"""The daemon as a process: starts, says what is wrong in one clear message, ends cleanly."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(directory: Path, **changes: str) -> Path:
    """The shipped example, on free ports, with its memory in ``directory``."""
    text = (ROOT / "config" / "example" / "edged.yaml").read_text("utf-8")
    text = text.replace(".run/", f"{directory}/")
    for port in ("5300", "8080", "8443", "18120", "18130", "9300"):
        text = re.sub(rf":{port}\b", f":{free_port()}", text)
    for old, new in changes.items():
        assert old in text or old.startswith("+"), old
        text = text.replace(old, new)
    path = directory / "edged.yaml"
    path.write_text(text)
    return path


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edged.cli", "run", "-c", str(config), "--try"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        print(process.communicate()[0])  # why a test failed may stand there


def edged(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    name, *rest = arguments
    return subprocess.run(
        [sys.executable, "-m", "edged.cli", name, "-c", str(config), *rest],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def wait_until_it_serves(config: Path) -> None:
    for _ in range(150):
        if edged(config, "status").returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("edged does not answer")


def refusal(config: Path) -> str:
    """What a daemon that cannot start says; it must be one message, status 78 and no traceback."""
    done = edged(config, "run")
    assert done.returncode == 78, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_the_example_starts_without_root_prints_what_to_try_and_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config) as process:
        assert process.stdout
        output = ""
        while "Ctrl-C ends it." not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=15)[0]

    assert process.returncode == 0
    assert "dig @127.0.0.1" in output
    assert re.search(r"# the dashboard\n  http://127\.0\.0\.1:\d+/\n", output)
    assert "/s/" in output, "a signed link of each brand"
    assert "Traceback" not in output


def test_explain_claims_no_reminder_where_no_target_leads_anybody_to_it(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config):
        wait_until_it_serves(config)
        assert edged(config, "sync").returncode == 0
        said = " ".join(edged(config, "explain", "1004").stdout.split())

    assert "1004 is OPEN, with a reminder" in said
    assert "HTTP its own way: no target of enforce leads anybody to the reminder" in said


def test_a_port_in_use_is_one_clear_message(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    port = re.search(r'listen: \["127.0.0.1:(\d+)"', config.read_text())
    assert port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", int(port[1])))

        said = refusal(config)

    assert f"dns.listen[0] found 127.0.0.1:{port[1]} (UDP) is in use" in said


def test_a_certificate_that_does_not_fit_its_key_is_one_clear_message(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    (tmp_path / "chain.pem").write_bytes(one.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(other.private_key_pem.bytes())
    files = f"{{chain: {tmp_path}/chain.pem, key: {tmp_path}/key.pem}}"
    config = configuration(tmp_path, **{"  addresses:": f"  certificate: {files}\n  addresses:"})

    assert "portal.certificate" in refusal(config)


def test_a_second_daemon_on_the_same_socket_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config):
        wait_until_it_serves(config)
        other = tmp_path / "other"
        other.mkdir()
        second = configuration(other)
        second.write_text(second.read_text().replace(f"{other}/control.sock", f"{tmp_path}/control.sock"))

        assert "served by another edged" in refusal(second)
        assert edged(config, "status").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try without a privilege")
def test_missing_privileges_are_one_clear_message(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    config = configuration(tmp_path, **{"enforce: []": "enforce: [nftables: {interfaces: [lo]}]"})
    done = subprocess.run(
        [
            "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-all",
            sys.executable, "-m", "edged.cli", "run", "-c", str(config),
        ],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 78, done.stderr
    assert "CAP_NET_ADMIN" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_that_this_version_does_not_have_is_one_clear_message(tmp_path: Path) -> None:
    config = configuration(
        tmp_path, **{"source: file\n  path: config/example/billing.yaml": "source: uisp\n  url: https://b.example"}
    )

    assert "uisp" in refusal(config)


def test_rubbish_on_every_socket_ends_nothing(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config) as process:
        wait_until_it_serves(config)
        text = config.read_text()
        ports = [int(p) for p in re.findall(r"127\.0\.0\.1:(\d+)", text)]
        for port in ports:
            for rubbish in (
                b"",
                b"\x00" * 11,
                b"\xff" * 600,
                b"\x16\x03\x01\xff\xff" + b"x" * 200,
                b"GET / HTTP/9\r\n\r\n",
            ):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.connect(("127.0.0.1", port))
                    try:
                        udp.send(rubbish)
                    except ConnectionRefusedError:
                        continue
                with socket.socket() as tcp:
                    try:
                        tcp.connect(("127.0.0.1", port))
                        tcp.send(rubbish)
                    except OSError:
                        continue
        for rubbish in (
            b"\n",
            b"{}\n",
            b"[" * 5000 + b"\n",
            b'{"command": "block"}\n',
            b"\xff\xfe\n",
            b'{"command": "explain", "subject": []}\n',
        ):
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(str(tmp_path / "control.sock"))
                control.sendall(rubbish)
                control.settimeout(5.0)
                assert control.recv(65536).startswith(b"{")

        assert edged(config, "status").returncode == 0
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)

    assert process.returncode == 0
    assert "Traceback" not in output


def test_keys_are_made_listed_shown_and_revoked(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with running(config):
        wait_until_it_serves(config)
        added = edged(config, "keys", "--json", "add", "--ssid", "Residence", "--label", "Flat 9", "--vlan", "109")
        assert added.returncode == 0, added.stderr
        key = re.search(r'"id": "([^"]+)"', added.stdout)
        assert key
        assert "Flat 9" in edged(config, "keys", "list").stdout
        passphrase = edged(config, "keys", "show", "--reveal", key[1]).stdout.strip()
        assert len(passphrase) >= 12
        assert passphrase not in edged(config, "keys", "list").stdout
        assert edged(config, "keys", "revoke", key[1]).returncode == 0
        assert edged(config, "keys", "revoke", "nobody").returncode == 1
        assert edged(config, "keys", "add", "--ssid", "Elsewhere").returncode == 1
        assert passphrase.encode() not in (tmp_path / "state" / "edged.sqlite").read_bytes()


def test_init_writes_a_configuration_that_check_accepts(tmp_path: Path) -> None:
    config = tmp_path / "etc" / "edged.yaml"
    billing = f"file:{tmp_path}/billing.yaml"

    assert edged(config, "init", "--site", "tower-12", "--billing", billing).returncode == 0
    assert edged(config, "check").returncode == 0
    assert edged(config, "init", "--billing", billing).returncode == 1, "an existing file is left alone"
    rest = tmp_path / "rest" / "edged.yaml"
    assert edged(rest, "init", "--billing", "https://billing.example.net/feed").returncode == 0
    assert "secrets/billing is" in edged(rest, "check").stdout, "the feed's key is still to be written"
    (rest.parent / "secrets" / "billing").write_text("a-key-of-the-feed")
    assert edged(rest, "check").returncode == 0


def test_a_command_without_a_daemon_says_so_with_status_69(tmp_path: Path) -> None:
    config = configuration(tmp_path)

    for command in (("status",), ("explain", "127.0.0.2"), ("sync",), ("keys", "list")):
        assert edged(config, *command).returncode == 69


def test_plan_works_without_a_daemon_and_without_root(tmp_path: Path) -> None:
    config = configuration(tmp_path, **{"enforce: []": "enforce: [nftables: {interfaces: [lo]}]"})

    done = edged(config, "plan")

    assert done.returncode == 0, done.stderr
    assert "table inet edged" in done.stdout
    assert "edged is not running" in done.stdout


def test_the_daemon_stays_small_and_loads_nothing_it_must_not() -> None:
    script = (
        "import sys, resource, edged.daemon;"
        "never = ('scapy', 'sqlalchemy', 'requests', 'matplotlib', 'pyrad');"
        # loaded by who asks for them: a code on a page, /metrics, a router, a search not compiled, a billing system
        "later = ('segno', 'prometheus_client', 'routeros_api', 'multiprocessing', 'edged.billing.sources.splynx');"
        "bad = [m for m in (*never, *later) if m in sys.modules];"
        "pages = int(open('/proc/self/statm').read().split()[1]);"
        "print(pages * resource.getpagesize() // 2**20, bad)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    size, _, bad = done.stdout.partition(" ")

    assert bad.strip() == "[]"
    # structlog imports rich where it is installed: the daemon's own environment has none
    assert "\nrich==" not in (ROOT / "requirements.lock").read_text()
    assert int(size) < 96


def test_no_module_of_edged_but_the_phone_loads_scapy() -> None:
    script = (
        "import sys, pkgutil, importlib, edged\n"
        "for found in pkgutil.walk_packages(edged.__path__, 'edged.'):\n"
        "    if not found.name.startswith('edged.phone') and found.name != 'edged.captive.acme.client':\n"
        "        importlib.import_module(found.name)\n"
        "print(len(sys.modules), 'scapy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    count, scapy = done.stdout.split()

    assert int(count) > 500
    assert scapy == "False"


def test_a_hundred_thousand_subscribers_compile_in_two_seconds_and_fit_into_160_mb_with_the_whole_daemon() -> None:
    done = subprocess.run(
        [sys.executable, "bench/policy_table.py", "--one", "100000"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    facts = json.loads(done.stdout)

    assert facts["compile_s"] < 2.0  # processor time: a busy machine does not count
    assert facts["process_mb"] < 160


def test_systemd_is_told_when_edged_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(15.0)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "edged.cli", "run", "-c", str(config)],
            cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            heard = [systemd.recv(4096).decode()]
            while heard.count("WATCHDOG=1") < 2:
                heard.append(systemd.recv(4096).decode())
            process.send_signal(signal.SIGTERM)
            while not heard[-1].startswith("STOPPING"):
                heard.append(systemd.recv(4096).decode())
            process.wait(15)
        finally:
            process.kill()
            process.wait()

    kept = [message for message in heard if message.startswith("FDSTORE=1")]
    assert len(kept) == 10, "two sockets of DNS on each address, four of the page, two of RADIUS"
    # ready when all of them are kept: from there on a restart loses nothing
    assert heard[len(kept)].startswith("READY=1")
    assert process.returncode == 0


def test_a_daemon_that_hangs_gives_systemd_no_sign_of_life(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(15.0)
        process = subprocess.Popen(
            [sys.executable, "-m", "edged.cli", "run", "-c", str(config)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"},
        )  # fmt: skip
        try:
            while systemd.recv(4096) != b"WATCHDOG=1":
                pass
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)  # a sign that was on its way
            systemd.setblocking(False)
            while True:
                try:
                    systemd.recv(4096)
                except BlockingIOError:
                    break
            time.sleep(1.0)
            with pytest.raises(BlockingIOError):
                systemd.recv(4096)
        finally:
            process.kill()
            process.wait()
