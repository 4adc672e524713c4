"""A certificate from an authority on the other side of the router, while blocked lines are steered to the portal."""

from __future__ import annotations

import os

import pytest

from tests.e2e import lab as places
from tests.e2e.edge import PORTAL_HOST, Edge
from tests.e2e.lab import PORTAL4, WEB4
from tests.loopback.acme_authority import MISSING, Authority

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's pebble: {', '.join(MISSING)}"),
]


def test_the_authority_is_answered_from_outside_and_a_blocked_line_sees_the_page_under_the_new_chain() -> None:
    with Edge(prefix=f"edged-a{os.getpid()}") as edge:
        ca = Authority(edge.directory / "pebble", 80, address=WEB4, answer=PORTAL4)
        ca.prepare()
        files = f"certificate: {{chain: {edge.directory}/portal.pem, key: {edge.directory}/portal.key}}"
        acme = f"certificate: {{acme: {ca.directory}, contact: noc@example.net, ca: {ca.ca}}}"
        text = edge.config.read_text()
        assert files in text
        text = text.replace(files, acme).replace('http: ["0.0.0.0:8080"', 'http: ["0.0.0.0:80", "0.0.0.0:8080"')
        edge.config.write_text(text)
        try:
            edge.stop()
            edge.start()
            edge.wait_for(
                "the page, over HTTP until there is a certificate",
                lambda: "North Fibre" in edge.curl("bad", "http://example.com/", "-4", "-L").stdout,
                timeout=30.0,
            )

            with edge.lab.inside("internet"):
                ca.start()
            edge.config.write_text(text.replace("noc@", "hostmaster@"))
            assert edge.command("reload").returncode == 0
            edge.wait_for("a certificate", lambda: "certificate good" in _status(edge), timeout=60.0)

            with edge.lab.inside("internet"):
                (edge.directory / "ca.pem").write_text(ca.root())
        finally:
            ca.stop()
        page = edge.curl("bad", "http://example.com/", "-4", "-L", "-w", "%{url_effective} %{ssl_verify_result}")
        assert "North Fibre" in page.stdout, page.stderr
        assert page.stdout.endswith(f"https://{PORTAL_HOST}/ 0")
        assert "certificate-" not in _status(edge)
        # nobody outside gets more than the challenge and the way to the page
        outside = edge.curl("internet", f"http://{PORTAL4}/", "-H", "Host: example.com")
        assert outside.returncode == 52, "an empty reply"


def _status(edge: Edge) -> str:
    return " ".join(edge.command("status").stdout.split())
