# SPDX-License-Identifier: Apache-2.0
"""Prometheus itself judges what edged offers it: /metrics of a whole house, the alert rules, every expression.

promtool of Debian's package, which ``make prometheus`` unpacks.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families

from edged.config.loading import load
from edged.daemon import House
from edged.model import Snapshot, State, Subscriber
from edged.state.snapshots import SnapshotFiles
from edged.values import parse_prefix
from tests.loopback.house import at_work

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL = ROOT / ".run/prometheus/usr/bin/promtool"
RULES = ROOT / "config/prometheus.rules.yaml"
CONFIGURATION = """\
site: tower-12
mode: watch
state: {{directory: {directory}/state, database: 'postgresql://edged@127.0.0.1:9/edged'}}
billing:
  source: rest
  url: https://127.0.0.1:9
  secret: a-secret-of-a-test
  webhook: {{listen: "127.0.0.1:0", path: /hooks, secret: another-secret-of-a-test}}
hub:
  listen: "127.0.0.1:0"
  keys: [a-bearer-key-of-a-test]
  tls: {{chain: {directory}/chain.pem, key: {directory}/key.pem}}
subscribers: {{networks: ["127.0.0.0/8"]}}
portal:
  url: https://localhost
  addresses: ["127.0.0.1"]
  listen: {{http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}}
garden: {{names: [customer.example.net]}}
dns: {{listen: ["127.0.0.1:0"], upstreams: ["127.0.0.1:9"]}}
radius:
  auth: ["127.0.0.1:0"]
  acct: ["127.0.0.1:0"]
  tls: {{listen: ["127.0.0.1:0"], ca: {directory}/ca.pem, chain: {directory}/chain.pem, key: {directory}/key.pem}}
  clients:
    - {{name: building-7, networks: ["127.0.0.0/8"], secret: a-secret-of-a-test, secret_before: the-secret-of-before}}
mpsk: {{networks: {{Residence: {{blocked: {{vlan: 666}}}}}}}}
enforce:
  - nftables: {{interfaces: [lo]}}
  - radius: {{nas: 127.0.0.9, secret: a-secret-of-a-test}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""
"""Everything that has figures of its own, but an order of a certificate."""
ELSEWHERE = {"edged_certificate_failures", "edged_reports_posted_total", "edged_reports_failed_total"}
"""There with ``portal.certificate.acme`` alone, or at a hub's edge alone."""


def promtool(*arguments: str | Path, said: str = "") -> str:
    """What it prints; it must be content."""
    assert PROMTOOL.exists(), "make prometheus"
    ran = subprocess.run([PROMTOOL, *arguments], input=said, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """/metrics of a house in which every room is at work."""
    directory = tmp_path_factory.mktemp("house")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate = authority.issue_cert("edged.example.net")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(directory / "chain.pem", append=True)
    (directory / "key.pem").chmod(0o600)
    (directory / "edged.yaml").write_text(CONFIGURATION.format(directory=directory))
    (directory / "state").mkdir()
    ana = Subscriber("1001", State.BLOCKED, "unpaid", 0.0, (parse_prefix("127.0.0.2"),))
    SnapshotFiles(directory / "state").save(Snapshot("8812.aa", "8812", 1_800_000_000.0, (ana,), known=100))
    return asyncio.run(scraped(directory / "edged.yaml"))


async def scraped(path: Path) -> str:
    async with at_work(House(load(path))) as house, asyncio.timeout(10), aiohttp.ClientSession() as session:
        assert house.office.hub is not None
        async with session.get(f"https://{house.office.hub.endpoint}/edged/keys", ssl=False) as refused:
            assert refused.status == 401
        # an alarm that stands: billing's port is nobody's
        while True:
            async with session.get(f"http://{house.ops.endpoint}/metrics") as said:
                text = await said.text()
            if "billing-unreachable" in text:
                return text
            await asyncio.sleep(0.05)


def names_in(text: str) -> set[str]:
    """Families as Prometheus calls them: a counter with ``_total``."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
        if family.name.startswith("edged_")
    }


def test_prometheus_reads_all_figures_and_has_nothing_to_say_of_their_names(metrics: str) -> None:
    assert promtool("check", "metrics", said=metrics) == ""


def test_the_manual_has_an_entry_for_each_figure_and_each_entry_is_a_figure(metrics: str) -> None:
    rows = re.findall(r"^\| `(edged_[a-z0-9_]+)`", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE)

    assert len(rows) == len(set(rows))
    assert set(rows) - ELSEWHERE == names_in(metrics)


def test_every_figure_that_rules_and_dashboards_ask_for_is_there(metrics: str) -> None:
    offered = {sample.name for family in text_string_to_metric_families(metrics) for sample in family.samples}
    asked = set()
    for name in ("config/prometheus.rules.yaml", "config/grafana.dashboard.json"):
        asked |= set(re.findall(r"\b(?:edged|process)_[a-z0-9_]+", (ROOT / name).read_text("utf-8")))

    assert asked <= offered


def test_prometheus_takes_the_rules_and_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    assert "SUCCESS: 12 rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)

    panels: list[Any] = json.loads((ROOT / "config/grafana.dashboard.json").read_text("utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = [e.replace("$instance", ".*").replace("$__rate_interval", "5m") for e in expressions]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", tmp_path / "panels.yaml")


def test_each_alert_fires_when_it_should_and_no_sooner() -> None:
    vectors = ROOT / "tests/vectors/prometheus_rules.yaml"
    tried = set(re.findall(r"alertname: (Edged\w+)", vectors.read_text("utf-8")))

    assert tried == set(re.findall(r"alert: (Edged\w+)", RULES.read_text("utf-8")))
    assert "SUCCESS" in promtool("test", "rules", vectors)
