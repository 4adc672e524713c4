"""The whole daemon with a certificate that it fetches itself: what it loads, what its commands say, what reloads do."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.loopback.acme_authority import MISSING, Authority
from tests.loopback.test_acme import HOST, handshake
from tests.loopback.test_daemon import ROOT, configuration, edged

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's pebble: {', '.join(MISSING)}")

RUN_AND_TELL = """
import sys
from edged.cli import main
status = main(["run", "-c", sys.argv[1]])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
raise SystemExit(status)
"""


def prepared(folder: Path) -> tuple[Path, Authority]:
    """A configuration whose certificate comes from an authority that is not running yet."""
    ca = Authority(folder / "pebble", 0)
    wanted = f"certificate: {{acme: {ca.directory}, contact: noc@example.net, ca: {ca.ca}}}"
    config = configuration(folder, **{"portal:\n": f"portal:\n  {wanted}\n"})
    text = re.sub(r"url: https://localhost:\d+", f"url: https://{HOST}", config.read_text())
    config.write_text(text)
    ca.http_port = port_of(config, "http")
    ca.prepare()
    return config, ca


def port_of(config: Path, listener: str) -> int:
    found = re.search(rf'{listener}: \["127.0.0.1:(\d+)"', config.read_text())
    assert found
    return int(found[1])


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_TELL, str(config)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# what a terminal breaks into lines is one line here
def status_says(config: Path, wanted: str, seconds: float = 40.0) -> str:
    deadline = time.monotonic() + seconds
    while wanted not in (said := " ".join(edged(config, "status").stdout.split())):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    return said


def metrics(config: Path) -> str:
    found = re.search(r'^ops:\n  listen: "([^"]+)"', config.read_text(), re.MULTILINE)
    assert found
    with urllib.request.urlopen(f"http://{found[1]}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


def test_the_daemon_fetches_its_certificate_without_ever_loading_what_does_it(tmp_path: Path) -> None:
    config, ca = prepared(tmp_path)
    with running(config) as process:
        said = status_says(config, "renewal failed once")
        assert "no certificate yet, the page comes over HTTP; renewal failed once: the authority: it cannot be" in said
        assert "edged_certificate_failures 1.0" in metrics(config)
        assert "edged_certificate_expires_seconds" not in metrics(config)

        ca.start()
        try:
            # the operator has mended something about it, so it is tried at once
            config.write_text(config.read_text().replace("noc@example.net", "hostmaster@example.net"))
            assert edged(config, "reload").returncode == 0
            said = status_says(config, "certificate good for 89 days")
            root = ca.root()
        finally:
            ca.stop()
        assert re.search(r"portal +OK", said)
        assert "certificate-" not in said, "no alarm"
        expires = re.search(r"^edged_certificate_expires_seconds (\S+)$", metrics(config), re.MULTILINE)
        assert expires
        assert 89 * 86400 < float(expires[1]) - time.time() < 90 * 86400
        shown = handshake(port_of(config, "https"), root)
        assert shown["subjectAltName"] == (("DNS", HOST),)

        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=20)[0]

    loaded = next(line for line in output.splitlines() if line.startswith("LOADED")).split()
    assert not {"acme", "josepy", "requests", "urllib3", "OpenSSL"} & set(loaded)
    assert "Traceback" not in output

    with running(config):  # the authority stays away
        status_says(config, "certificate good for 89 days")
        handshake(port_of(config, "https"), root)


def test_two_failures_in_a_row_are_an_alarm_that_says_why_and_until_when(tmp_path: Path) -> None:
    config, _ = prepared(tmp_path)
    with running(config) as process:
        status_says(config, "renewal failed once")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    memory = tmp_path / "state" / "acme" / f"{HOST}.json"
    memory.write_text(re.sub(r'"retry_at": [\d.]+', '"retry_at": 0.0', memory.read_text()))
    with running(config):
        said = status_says(config, "certificate-not-renewed")

    assert "renewal failed twice: the authority: it cannot be reached." in said
    assert "Until it works: no certificate yet, the page comes over HTTP. Next try at" in said
