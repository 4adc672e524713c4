"""The operator's side of a hub: its line, its alarms, its figures, `edged fleet`, and a hub that is nothing else."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from edged.billing.reporting.service import Pace
from edged.config.loading import load
from edged.hub.fleet import LATE_S, Fleet, Report
from edged.ops import text as ops_text
from edged.ops.alarms import EMPTY_S, Alarm, alarms
from edged.ops.control import Refused
from edged.ops.doctor import asking
from edged.ops.doctor.values import HubVisit
from edged.ops.fleet import text
from edged.ops.parts import Part, parts
from edged.ops.reported import reported
from edged.values import Secret
from tests.loopback.house import ONE_LIST, ask, at_work, written
from tests.loopback.hub_scene import BEARER, EDGE, scene, until
from tests.loopback.signed_server import PUBLIC
from tests.loopback.test_daemon import ROOT, edged, free_port, refusal, running, wait_until_it_serves

KEY = "a-bearer-key-of-a-test"
HUB = ONE_LIST + f'hub: {{{{listen: "127.0.0.1:0", keys: [{KEY}]}}}}\n'
ALONE = """\
site: hub-1
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
hub: {{listen: "127.0.0.1:{port}", keys: [a-bearer-key-of-a-test]}}
ops: {{socket: {directory}/control.sock}}
"""
BILLING = "subscribers: [{id: '1001', state: blocked, addresses: [127.0.0.2]}]\n"


def listed(directory: Path) -> None:
    (directory / "billing.yaml").write_text(BILLING)


def fleet_of(*reports: Report, behind: float = 0.0) -> Fleet:
    """A hub's memory, of reports heard long after it began; ``behind``: seconds for which each had another list."""
    fleet = Fleet(since=1.0)
    for report in reports:
        fleet.hear(report, [report.heard_at - behind if behind else 0.0])
    return fleet


def raised(house: Any, now: float | None = None) -> dict[str, Alarm]:
    return {alarm.code: alarm for alarm in alarms(house, now or time.time())}


def line_of(house: Any) -> list[Part]:
    return [part for part in parts(house, time.time()) if part.name == "hub"]


async def synced(house: Any) -> None:
    """Billing is read, and what it lists is served."""
    assert house.billing is not None
    await house.billing.sync()
    house.office.hub.stir()
    await house.office.hub._look()


# --- status and alarms -----------------------------------------------------------------------------


async def test_a_daemon_that_is_no_hub_has_no_line_of_one_and_says_so_when_it_is_asked(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, ONE_LIST)) as house:
        assert not line_of(house)
        for command, more in (("fleet", {}), ("fleet-key", {}), ("fleet-forget", {"edge": "tower-1"})):
            with pytest.raises(Refused, match="this edged is no hub") as refused:
                await ask(house, command, **more)
            assert refused.value.status == 1


async def test_the_line_of_a_hub_says_where_it_listens_and_how_many_edges_are_how(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, HUB)) as house:
        hub = house.office.hub
        assert hub is not None
        await synced(house)
        now = time.time()
        assert line_of(house) == [Part("hub", "OK", f"0 edges at {hub.endpoint}, 0 waiting for a change")]

        hub.reports.fleet = fleet_of(
            Report("a", now), Report("b", now - 900), Report("c", now, alarms=("store-apart",))
        )
        (line,) = line_of(house)

        assert line.state == "WARN"
        assert line.fact == f"3 edges at {hub.endpoint}, 0 waiting for a change; 1 silent; 1 with alarms"
        status = await ask(house, "status")
        assert [part["name"] for part in status["parts"]][:2] == ["billing", "hub"]


async def test_a_hub_that_has_nothing_to_serve_is_an_alarm_after_a_minute(tmp_path: Path) -> None:
    async with at_work(written(tmp_path, HUB)) as house:
        began = house.started_at
        assert "nothing to serve yet" in line_of(house)[0].fact
        assert "hub-empty" not in raised(house, began + EMPTY_S - 1)
        assert "no list of subscribers and none of keys" in raised(house, began + EMPTY_S + 1)["hub-empty"].sentence

        listed(tmp_path)
        await synced(house)

        assert "hub-empty" not in raised(house, began + EMPTY_S + 1)


async def test_the_status_of_a_hub_alone_says_nothing_of_what_subscribers_meet(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, ALONE, port="0")) as house:
        await synced(house)
        facts = await house.answers.status_facts()

        assert [part["name"] for part in facts["parts"]] == ["billing", "hub", "store"]
        assert "right now" not in ops_text.status(facts)


async def test_silent_edges_are_an_alarm_that_names_a_few_and_counts_the_rest(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, HUB)) as house:
        hub, now = house.office.hub, time.time()
        assert hub is not None
        hub.reports.fleet = fleet_of(
            *(Report(f"tower-{number}", now - 301) for number in range(7)), Report("well", now - 299)
        )

        alarm = raised(house)["edge-silent"]

        assert alarm.sentence.startswith("7 edges have not reported for 5 min: tower-0, tower-1, ")
        assert alarm.sentence.endswith(" and 2 more.")
        assert alarm.facts(names=False)["sentence"] == "7 edges have not reported for 5 min."
        assert "edge-behind" not in raised(house)


async def test_nobody_is_silent_for_the_time_that_the_hub_itself_was_away(tmp_path: Path) -> None:
    listed(tmp_path)
    (tmp_path / "state").mkdir()
    kept = [{"edge": "tower-1", "heard_at": time.time() - 900, "alarms": []}]
    (tmp_path / "state" / "fleet.json").write_text(json.dumps(kept))
    async with at_work(written(tmp_path, HUB)) as house:
        hub = house.office.hub
        assert hub is not None
        (standing,) = hub.standings()
        assert (standing.report.edge, standing.silent) == ("tower-1", False)
        assert "edge-silent" not in raised(house)
        hub._clock = lambda: time.time() + hub.settings.silent + 1
        assert "edge-silent" in raised(house)


async def test_edges_with_another_list_for_five_minutes_are_an_alarm(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, HUB)) as house:
        hub, now = house.office.hub, time.time()
        assert hub is not None
        hub.reports.fleet = fleet_of(Report("tower-1", now), behind=LATE_S - 1)
        assert "edge-behind" not in raised(house)

        hub.reports.fleet = fleet_of(Report("tower-1", now), behind=LATE_S + 1)

        sentence = raised(house)["edge-behind"].sentence
        assert sentence == "1 edge has had another list than this hub for 5 min: tower-1."
        assert line_of(house)[0].fact.endswith("; 1 behind")


async def test_a_hub_that_serves_no_subscriber_is_not_told_that_lines_are_unknown(tmp_path: Path) -> None:
    """They are at other edges; a hub that serves some itself says so as any edge does."""
    listed(tmp_path)
    nowhere = HUB.replace('subscribers: {{networks: ["127.0.0.0/8"]}}\n', "")
    async with at_work(written(tmp_path, nowhere)) as house:
        await synced(house)
        assert raised(house) == {}
    serving = (
        nowhere + 'dns: {{listen: ["127.0.0.1:0"]}}\nportal: {{url: "https://localhost", addresses: [127.0.0.1]}}\n'
    )
    async with at_work(written(tmp_path, serving)) as house:
        await synced(house)
        assert "lines-unknown" in raised(house)


def certified(directory: Path, days: float) -> None:
    """A chain and a key of the hub's, good for so many days more."""
    ends = datetime.now(UTC) + timedelta(days=days)
    issued = trustme.CA().issue_cert("hub.example.net", not_after=ends)
    (directory / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (directory / "key.pem").write_bytes(issued.private_key_pem.bytes())


async def test_a_certificate_that_ends_soon_is_an_alarm_until_a_reload_has_the_renewed_one(tmp_path: Path) -> None:
    listed(tmp_path)
    certified(tmp_path, 13)
    tls = f"tls: {{{{chain: {tmp_path}/chain.pem, key: {tmp_path}/key.pem}}}}"
    async with at_work(written(tmp_path, HUB.replace('"127.0.0.1:0"', f'"127.0.0.1:0", {tls}'))) as house:
        hub = house.office.hub
        assert hub is not None
        assert (await ask(house, "fleet"))["url"] == f"https://{hub.endpoint}/edged"
        assert "of hub.tls ends on " in raised(house)["hub-certificate-ending"].sentence
        assert "of hub.tls ended on " in raised(house, time.time() + 14 * 86400)["hub-certificate-ending"].sentence

        certified(tmp_path, 90)
        assert "hub-certificate-ending" in raised(house)
        await house.reload()

        assert not house.reload_state.problems
        assert "hub-certificate-ending" not in raised(house)
        (tmp_path / "chain.pem").write_text("nothing\n")
        await house.reload()
        assert house.reload_state.problems[0].key == "hub.tls.chain"
        assert hub.front.ends - time.time() > 89 * 86400


# --- edged fleet -----------------------------------------------------------------------------------


async def test_a_report_over_http_is_what_the_operator_reads(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, HUB)) as house:
        hub, now = house.office.hub, time.time()
        assert hub is not None
        await synced(house)
        said = {
            "edge": "tower-7", "version": "0.1.0", "at": int(now) - 40, "alarms": ["billing-held"], "blocked": 1417,
            "listed": 20417, "read_at": int(now) - 30, "source": "hub", "subscribers": hub.revisions["subscribers"],
            "keys": hub.revisions["keys"],
        }  # fmt: skip
        address = f"http://{hub.endpoint}/edged/report"
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.request("POST", address, headers=headers, json=said) as reply:
            assert reply.status == 204

        facts = await ask(house, "fleet")

        assert facts["url"] == f"http://{hub.endpoint}/edged"
        assert facts["public_key"] == hub.public_key
        assert facts["verdict"] == "1 of 1 edge needs you"
        assert facts["counts"]["alarming"] == 1
        (edge,) = facts["edges"]
        assert (edge["edge"], edge["blocked"], edge["behind"], edge["needs"]) == ("tower-7", 1417, 0.0, True)
        assert -60 < edge["clock_off"] < -38
        assert 29 < edge["list_age"] < 50
        assert (await ask(house, "fleet", edge="tower-7"))["edges"][0]["edge"] == "tower-7"
        with pytest.raises(Refused, match='no edge "tower-8" has reported here; did you mean "tower-7"'):
            await ask(house, "fleet", edge="tower-8")
        names = await ask(house, "names", kind="edges", beginning="tow")
        assert names["names"] == [["tower-7", "an edge, 0.1.0"]]


async def test_an_edge_that_is_forgotten_stays_so_over_a_restart_and_stands_in_the_audit(tmp_path: Path) -> None:
    listed(tmp_path)
    async with at_work(written(tmp_path, HUB)) as house:
        hub, now = house.office.hub, time.time()
        assert hub is not None
        hub.reports.fleet = fleet_of(Report("tower-1", now - 900), Report("tower-2", now))
        await hub.reports.save()

        done = await ask(house, "fleet-forget", edge="tower-1", why="dismantled", who="ana")

        assert done["sentence"].startswith("tower-1 is forgotten")
        assert "edge-silent" not in raised(house)
        kept = json.loads((tmp_path / "state" / "fleet.json").read_bytes())
        assert [report["edge"] for report in kept] == ["tower-2"]
        (row,) = await house.overrides.recent("tower-1")
        assert (row.who, row.action, row.why) == ("ana", "forget", "dismantled")
        with pytest.raises(Refused, match="no edge"):
            await ask(house, "fleet-forget", edge="tower-1")


def test_the_public_key_of_a_private_one_is_told_before_it_is_in_force_and_what_is_none_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "edged.yaml").write_text("{}\n")
    key = tmp_path / "hub.key.new"
    key.write_text(f"{bytes(range(32)).hex()}\n")

    told = edged(tmp_path / "edged.yaml", "fleet", "key", "--of", str(key))
    assert (told.returncode, told.stdout) == (0, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n")
    key.write_text("nothing\n")
    for path in (key, tmp_path / "away"):
        refused = edged(tmp_path / "edged.yaml", "fleet", "key", "--of", str(path))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"edged: {path}: "), refused.stderr


# --- an edge at work -------------------------------------------------------------------------------


async def test_an_edge_at_work_is_seen_with_its_list_and_is_behind_only_while_it_is(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work("tower-1") as edge:
        assert edge.office.reports is not None
        edge.office.reports._pace = Pace(every=0.1, look=0.02)
        await until(lambda: any(s.report.listed == 2 and not s.behind for s in at.hub.standings()))
        await until(lambda: at.hub.waiting == 1)

        facts = await ask(at.house, "fleet")

        (row,) = facts["edges"]
        assert (row["edge"], row["source"], row["blocked"], row["silent"]) == ("tower-1", "hub", 2, False)
        assert row["clock_off"] == 0.0
        assert row["subscribers"] == facts["revisions"]["subscribers"]
        assert facts["waiting"] == 1
        assert "tower-1" in text.status(facts, everybody=False)
        assert (await ask(at.house, "names", kind="edges", beginning=""))["names"][0][0] == "tower-1"


async def test_an_edge_to_whom_the_same_list_came_under_another_revision_is_not_behind(tmp_path: Path) -> None:
    """As from a hub with another signing key, or one that counts other subscribers known."""
    async with scene(tmp_path) as at, at.edge_at_work() as edge:
        await until(lambda: at.hub.waiting == 1)
        before = dict(at.hub.revisions)
        at.hub._private, at.hub._seen = Secret(bytes(32)), None
        at.hub.stir()
        await until(lambda: reported(edge)["subscribers"] == at.hub.revisions["subscribers"] != before["subscribers"])


async def test_the_dashboard_of_a_hub_lists_its_edges_behind_its_part(tmp_path: Path) -> None:
    listed(tmp_path)
    seen = HUB.replace("ops: {{socket", 'ops: {{listen: "127.0.0.1:0", socket')
    async with at_work(written(tmp_path, seen)) as house, aiohttp.ClientSession() as session:
        hub, now = house.office.hub, time.time()
        assert hub is not None
        hub.reports.fleet = fleet_of(
            Report("tower-1", now, version="0.1.0", blocked=1417, source="hub"), Report("tower-2", now - 900)
        )
        at = f"http://{house.ops.endpoint}"

        async with session.get(f"{at}/") as page:
            assert 'href="/list/edges">hub</a>' in await page.text()
        async with session.get(f"{at}/list/edges.csv") as rows:
            found = list(csv.reader(io.StringIO(await rows.text())))
        assert [row[:3] for row in found] == [
            ["edge", "state", "version"], ["tower-2", "silent", ""], ["tower-1", "well", "0.1.0"],
        ]  # fmt: skip
        assert found[2][6:8] == ["1417", "hub"]


# --- edged doctor ----------------------------------------------------------------------------------


async def test_the_doctor_of_an_edge_says_whether_the_hub_answers_and_is_believed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:

        def visit(**changed: str) -> HubVisit:
            values = {"site": "tower-1", "url": at.url, "bearer": BEARER, "public": at.hub.public_key} | changed
            path = tmp_path / "edge.yaml"
            path.write_text(EDGE.format(directory=tmp_path, **values))
            found = asking.hub(load(path).config)
            assert found is not None
            return found

        well = await asyncio.to_thread(visit)
        assert (well.name, well.error) == ("127.0.0.1", "")
        assert abs(well.ahead) < 3
        other = b64encode(PUBLIC).decode()
        unsigned = await asyncio.to_thread(visit, public=other)
        assert (unsigned.status, "which signed_by does not name" in unsigned.error) == (200, True)
        stranger = await asyncio.to_thread(visit, bearer="another-key-of-a-test")
        assert (stranger.status, "(the key is not accepted)" in stranger.error) == (401, True)
        assert (await asyncio.to_thread(visit, url=f"{at.url}/elsewhere")).status == 404
        away = await asyncio.to_thread(visit, url=f"http://127.0.0.1:{free_port()}/edged")
        assert (away.status, "connection refused" in away.error) == (0, True)
        ahead, at.hub._clock = at.hub._clock, lambda: time.time() + 90
        assert 85 < (await asyncio.to_thread(visit)).ahead < 95
        at.hub._clock = ahead


async def test_the_doctor_of_an_edge_whose_hub_has_nothing_yet_says_so(tmp_path: Path) -> None:
    async with at_work(written(tmp_path, HUB)) as house:
        hub = house.office.hub
        assert hub is not None
        path = tmp_path / "edge.yaml"
        url = f"http://{hub.endpoint}/edged"
        path.write_text(EDGE.format(directory=tmp_path, site="a", url=url, bearer=KEY, public=hub.public_key))

        found = await asyncio.to_thread(asking.hub, load(path).config)

        assert found is not None
        assert found.error == "127.0.0.1 answered 503: it has no list to serve yet"


def test_the_doctor_of_a_hub_says_how_its_edges_are(tmp_path: Path) -> None:
    path = hub_file(tmp_path)
    with running(path):
        wait_until_it_serves(path)
        check = {"grade": ""}
        for _ in range(20):  # a file is read once it has rested, a second later
            if check["grade"] != "OK":
                (check,) = json.loads(edged(path, "doctor", "hub", "--json").stdout)["checks"]
    assert check["grade"] == "OK"
    assert "0 edges at 127.0.0.1:" in check["seen"]


# --- edged hub, as a process -----------------------------------------------------------------------


def hub_file(directory: Path, more: str = "") -> Path:
    listed(directory)
    path = directory / "edged.yaml"
    path.write_text(ALONE.format(directory=directory, port=free_port()) + more)
    return path


@pytest.mark.parametrize("command", ["hub", "run"])
def test_a_hub_alone_runs_without_any_privilege_and_answers_edged_fleet(tmp_path: Path, command: str) -> None:
    path = hub_file(tmp_path)
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    process = subprocess.Popen(
        [*unprivileged, sys.executable, "-m", "edged.cli", command, "-c", str(path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_until_it_serves(path)
        shown = edged(path, "fleet", "status")
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith("hub-1: ")
        public = edged(path, "fleet", "key")
        of_file = edged(path, "fleet", "key", "--of", str(tmp_path / "state" / "hub.key"))
        assert json.loads(edged(path, "fleet", "key", "--json").stdout)["public_key"] == public.stdout.strip()
        assert public.stdout.strip() in shown.stdout
        assert of_file.stdout == public.stdout
        assert edged(path, "fleet", "status", "--healthy").returncode == 0
        assert edged(path, "fleet", "forget", "tower-1").returncode == 1
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        assert children == "", "nobody holds CAP_NET_ADMIN for it"
        process.terminate()
        output = process.communicate(timeout=15)[0]
    finally:
        process.kill()
        process.wait(timeout=15)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_healthy_of_a_fleet_with_a_silent_edge_is_one_and_of_an_edge_that_is_well_nought(tmp_path: Path) -> None:
    path = hub_file(tmp_path)
    (tmp_path / "state").mkdir()
    reports = [{"edge": "tower-1", "heard_at": time.time(), "alarms": ["store-apart"]},
               {"edge": "tower-2", "heard_at": time.time(), "alarms": []}]  # fmt: skip
    (tmp_path / "state" / "fleet.json").write_text(json.dumps(reports))
    with running(path):
        wait_until_it_serves(path)
        assert edged(path, "fleet", "status", "--healthy").returncode == 1
        assert edged(path, "fleet", "status", "tower-1", "--healthy").returncode == 1
        assert edged(path, "fleet", "status", "tower-2", "--healthy").returncode == 0
        assert "store-apart" in edged(path, "fleet", "status", "--all", "--no-color").stdout


def test_a_file_without_a_hub_is_refused_with_what_to_write(tmp_path: Path) -> None:
    path = hub_file(tmp_path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("hub:")))

    done = edged(path, "hub")

    assert done.returncode == 78
    assert 'hub: {listen: "127.0.0.1:9443", keys: [!file /etc/edged/secrets/hub]}' in done.stderr


def test_a_hub_alone_refuses_every_role_that_subscribers_meet_by_its_name(tmp_path: Path) -> None:
    path = hub_file(
        tmp_path,
        "portal: {url: 'https://localhost', addresses: [127.0.0.1]}\n"
        "dns: {listen: ['127.0.0.1:0']}\n"
        "radius:\n  auth: ['127.0.0.1:0']\n  acct: ['127.0.0.1:0']\n"
        "  clients: [{name: b, networks: [127.0.0.0/8], secret: a-secret-of-a-test}]\n"
        "mpsk: {networks: {Residence: {}}}\n"
        "subscribers: {networks: [127.0.0.0/8], exempt: [127.0.0.1]}\n"
        "enforce: [nftables: {interfaces: [lo]}]\n",
    )

    done = edged(path, "hub")

    said = " ".join(done.stderr.split())
    assert done.returncode == 78, said
    for key in ("portal.url", "dns.listen", "radius.auth", "radius.acct", "mpsk.networks", "enforce"):
        assert f"  {key}\n" in done.stderr, key
    assert "a hub alone serves no subscriber edged run does both" in said
    assert "6 errors" in said


def test_a_port_of_the_hub_in_use_is_one_clear_message(tmp_path: Path) -> None:
    path = hub_file(tmp_path)
    import socket

    port = int(path.read_text().partition("127.0.0.1:")[2].partition('"')[0])
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        assert f"hub.listen found 127.0.0.1:{port}" in refusal(path)
