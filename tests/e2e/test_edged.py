"""The whole way from billing to packets: a daemon on a router, two subscribers, an internet, real clients."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.captive.page.locales import LOCALES
from tests.e2e import lab as places
from tests.e2e.edge import BLOCKED, GARDEN_HOST, KEYS, PORTAL_HOST, Edge
from tests.e2e.lab import BAD4, BAD6, GARDEN4, GOOD4, PORTAL4, PORTAL6, RESOLVER4, RESOLVER6, WEB4

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

ENGLISH = LOCALES["en"].texts
FAMILIES = pytest.mark.parametrize("family", ["-4", "-6"])


@pytest.fixture(scope="module")
def whole() -> Iterator[Edge]:
    with Edge(prefix=f"edged-w{os.getpid()}") as built:
        yield built


@pytest.fixture
def edge(whole: Edge) -> Edge:
    """The edge with the bad subscriber blocked and everything in force."""
    if whole.daemon is None:
        whole.start()
    whole.tell(BLOCKED)
    whole.wait_for("the block is in force", lambda: _blocked_in_kernel(whole), timeout=10.0)
    return whole


def _blocked_in_kernel(edge: Edge) -> bool:
    facts = edge.facts("explain", BAD4)
    return facts["access"] == "blocked" and all(p["blocked"] for p in facts["in_place"])


def _reaches_the_internet(edge: Edge, family: str, who: str = "bad", timeout: float = 2.0) -> bool:
    done = edge.curl(who, "http://example.com/", family, timeout=timeout)
    return "the internet" in done.stdout


def test_a_blocked_subscriber_gets_the_portal_from_any_resolver_in_both_families(edge: Edge) -> None:
    for server in (RESOLVER4, RESOLVER6, "8.8.8.8"):
        assert edge.dig("bad", "example.com", "A", server) == [PORTAL4]
        assert edge.dig("bad", "example.com", "AAAA", server, "+tcp") == [PORTAL6]


@FAMILIES
def test_a_blocked_subscribers_web_is_led_to_the_branded_page(edge: Edge, family: str) -> None:
    done = edge.curl("bad", "http://example.com/", family, "-L", "-D", "-")

    assert f"Location: https://{PORTAL_HOST}/" in done.stdout
    assert "North Fibre" in done.stdout
    assert "49.90" not in done.stdout, "an amount shows only behind a signed link"


@FAMILIES
def test_https_to_a_foreign_name_fails_fast(edge: Edge, family: str) -> None:
    begun = time.monotonic()
    done = edge.curl("bad", "https://www.example.org/", family)

    assert done.returncode == 35, done.stderr  # a TLS alert
    assert time.monotonic() - begun < 2.0


@FAMILIES
def test_the_garden_host_answers_a_blocked_subscriber_over_https_at_its_first_connection(
    edge: Edge, family: str
) -> None:
    done = edge.curl("bad", f"https://{GARDEN_HOST}/", family)

    assert "the customer portal" in done.stdout, done.stderr


def test_the_garden_opens_443_alone(edge: Edge) -> None:
    assert edge.dig("bad", GARDEN_HOST) == [GARDEN4]

    assert "the customer portal" not in edge.curl("bad", f"http://{GARDEN_HOST}/").stdout


@FAMILIES
def test_a_good_subscriber_notices_nothing(edge: Edge, family: str) -> None:
    assert edge.dig("good", "example.com") == [WEB4]
    assert _reaches_the_internet(edge, family, "good")
    assert "the internet" in edge.curl("good", "https://www.example.org/", family).stdout


@FAMILIES
def test_a_payment_opens_the_line_within_two_seconds(edge: Edge, family: str) -> None:
    assert not _reaches_the_internet(edge, family)
    edge.tell({**BLOCKED, "state": "active"})

    # a probe that reaches edged between its list and the kernel's waits for its way back (``RETURN_WAIT``)
    seconds = edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, family, timeout=0.5), timeout=10.0)

    assert seconds < 2.0
    assert edge.access(BAD4) == "drain"
    edge.wait_for("its opening was timed", lambda: _restored(edge)[0] >= 1, timeout=5.0)
    count, took = _restored(edge)
    assert 0 < took / count < 2.0


def _restored(edge: Edge) -> tuple[float, float]:
    """How many openings edged has timed, and their seconds in all."""
    metrics = edge.router_get("http://127.0.0.1:9300/metrics")
    found = dict(re.findall(r"^edged_restore_seconds_(count|sum) (\S+)", metrics, re.MULTILINE))
    return float(found["count"]), float(found["sum"])


def test_a_page_load_that_began_before_the_payment_is_sent_on_after_it(edge: Edge) -> None:
    with edge.lab.socket("bad", "tcp", WEB4, 80, timeout=8.0) as browser:
        browser.send(b"GET /news HTTP/1.1\r\nHost: example.com\r\n")
        edge.tell({**BLOCKED, "state": "active"})
        edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4", timeout=0.5), timeout=5.0)
        browser.send(b"\r\n")
        answer = browser.recv(4096)

    assert answer.startswith(b"HTTP/1.1 302")
    assert b"Location: http://example.com/news\r\n" in answer


def _token(edge: Edge) -> str:
    """Of the buttons of the blocked page; its load in the very moment of the block may fail (docs/decisions/0013)."""
    found: list[str] = []

    def is_found() -> bool:
        page = edge.curl("bad", f"https://{PORTAL_HOST}/", timeout=2.0).stdout
        found.extend(re.findall(r'name="token" value="([^"]+)"', page))
        return bool(found)

    edge.wait_for("the page has its buttons", is_found, timeout=10.0)
    return found[0]


def _press(edge: Edge, button: str, token: str) -> str:
    """The page that a press of a button leads to. The browser has the portal's name already."""
    here = f"{PORTAL_HOST}:443:{PORTAL4}"
    form = ("-L", "--resolve", here, "-d", f"token={token}&link=")
    return edge.curl("bad", f"https://{PORTAL_HOST}/{button}", *form, timeout=15.0).stdout


@FAMILIES
def test_whoever_reads_that_they_are_back_online_is_at_the_very_next_connection(edge: Edge, family: str) -> None:
    token = _token(edge)
    edge.tell({**BLOCKED, "state": "active"})

    page = _press(edge, "check", token)
    done = edge.curl("bad", "http://example.com/", family, timeout=2.0)

    assert f"<h1>{ENGLISH['restored.title']}</h1>" in page
    assert "the internet" in done.stdout


@FAMILIES
def test_whoever_was_given_a_pass_reaches_the_bank_at_the_very_next_connection(edge: Edge, family: str) -> None:
    page = _press(edge, "pass", _token(edge))
    done = edge.curl("bad", "https://www.example.org/", family, timeout=2.0)

    assert re.search(r"<h1>The internet is open (for|until) ", page)
    assert "the internet" in done.stdout
    _end_the_pass(edge)


def _end_the_pass(edge: Edge) -> None:
    """As if its minutes were over; the next test starts edged again."""
    edge.stop()
    with sqlite3.connect(edge.directory / "state" / "edged.sqlite", timeout=10.0) as database:
        database.execute("UPDATE passes SET ends = at")


def test_absence_from_the_list_opens_the_line_too(edge: Edge) -> None:
    edge.tell()

    edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4"), timeout=5.0)


def test_kill_9_changes_nothing_for_either_client_and_a_restart_serves_the_last_good_list(edge: Edge) -> None:
    edge.kill()

    assert not _reaches_the_internet(edge, "-4")
    assert _reaches_the_internet(edge, "-4", "good")
    assert _reaches_the_internet(edge, "-6", "good")

    (edge.directory / "feed.json").rename(edge.directory / "feed.away")  # billing is down at the restart
    edge.start()
    try:
        assert edge.access(BAD4) == "blocked"
        assert edge.access(BAD6) == "blocked"
        assert edge.dig("bad", "example.com") == [PORTAL4]
        assert any(a["code"] == "billing-unreachable" for a in edge.facts("status")["alarms"]) or edge.wait_for(
            "the alarm", lambda: any(a["code"] == "billing-unreachable" for a in edge.facts("status")["alarms"])
        )
    finally:
        (edge.directory / "feed.away").rename(edge.directory / "feed.json")
    edge.wait_for("billing is back", lambda: edge.facts("status")["alarms"] == [], timeout=15.0)


def _everyone() -> list[dict[str, Any]]:
    return [
        {"id": str(n), "state": "blocked", "reason": "unpaid", "addresses": [f"100.64.{n >> 8}.{n & 255}"]}
        for n in range(2000, 4500)
    ]


def test_a_feed_that_suddenly_lists_everyone_is_held_until_a_person_accepts_exactly_that_reading(edge: Edge) -> None:
    good = {"id": "9", "state": "blocked", "reason": "unpaid", "addresses": [GOOD4]}
    edge.tell(BLOCKED, good, *_everyone())
    edge.wait_for(
        "the alarm", lambda: any(a["code"] == "billing-held" for a in edge.facts("status")["alarms"]), timeout=10.0
    )

    assert _reaches_the_internet(edge, "-4", "good"), "the last good list stays in force"
    assert "edged_pull_held 1.0" in edge.router_get("http://127.0.0.1:9300/metrics")
    assert edge.command("status").stdout.startswith("lab: billing is HELD")
    refused = edge.command("sync", "--accept", "8813.00000000")
    assert refused.returncode == 1
    held = refused.stdout.split("edged sync --accept ")[1].split()[0]

    # a word that somebody paid is not held with the rest
    edge.tell({**BLOCKED, "state": "active"}, good, *_everyone())
    edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4"), timeout=5.0)
    assert edge.command("sync", "--accept", held).returncode == 1, "another reading is held by now"

    edge.tell(BLOCKED)


def test_what_explain_says_is_what_is_in_the_kernel(edge: Edge) -> None:
    text = edge.command("explain", BAD4).stdout

    assert text.startswith(f"{BAD4} is BLOCKED for unpaid, since 2026-11-20 06:00")
    assert "nftables blocked" in text
    assert f"302 to https://{PORTAL_HOST}/" in text
    facts = json.loads(edge.command("explain", "--json", GOOD4).stdout)
    assert facts["in_place"] == [{"target": "nftables", "state": "open", "blocked": False}]
    assert facts.keys() == edge.facts("explain", GOOD4).keys()
    assert edge.command("explain", "198.51.100.7").stdout.startswith("198.51.100.7 is a STRANGER")
    assert "REACHABLE" in edge.command("explain", BAD4, GARDEN_HOST).stdout
    assert edge.command("explain", "nobody-knows").returncode == 1


def test_an_operator_can_block_and_unblock_for_a_while(edge: Edge) -> None:
    done = edge.command("unblock", "1001", "--for", "10m", "--why", "promise to pay")
    assert done.returncode == 0, done.stderr
    edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4"), timeout=5.0)
    assert "promise to pay" in edge.command("explain", BAD4).stdout

    assert edge.command("block", "1001", "--for", "10m", "--why", "ticket 4471").returncode == 0
    edge.wait_for("the line is blocked", lambda: not _reaches_the_internet(edge, "-4"), timeout=5.0)
    assert edge.command("block", "1001", "--for", "1s", "--why", "back to billing's word").returncode == 0
    edge.wait_for("billing's word holds", lambda: edge.facts("explain", BAD4)["rule"] == "billing", timeout=15.0)
    assert edge.command("block", "1001", "--why", "").returncode == 2


def test_a_flushed_ruleset_is_back_by_itself(edge: Edge) -> None:
    edge.lab.run("router", "nft", "delete", "table", "inet", "edged")

    edge.wait_for("the table is back", lambda: _blocked_in_kernel(edge), timeout=15.0)


def _radius(edge: Edge, mac: str, ssid: str = "Residence") -> str:
    request = "\n".join(
        [
            f'User-Name = "{mac.replace(":", "")}"', f'User-Password = "{mac.replace(":", "")}"',
            f'Calling-Station-Id = "{mac.upper().replace(":", "-")}"',
            f'Called-Station-Id = "02-00-5E-00-00-01:{ssid}"', "Message-Authenticator = 0x00",
        ]
    )  # fmt: skip
    done = edge.lab.run(
        "router", "radclient", "-x", "-t", "3", "-r", "1", "127.0.0.1:1812", "auth", "lab-radius-secret",
        check=False, input=request,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_radclient_gets_the_right_key_and_vlan(edge: Edge) -> None:
    answer = _radius(edge, "02:00:5e:10:00:09")

    assert "Access-Accept" in answer
    assert "copper-otter-violin-42" in answer
    assert 'Tunnel-Private-Group-Id:0 = "112"' in answer


def test_a_suspended_residents_device_gets_its_key_and_the_blocked_vlan_and_its_own_after_payment(edge: Edge) -> None:
    blocked = _radius(edge, "02:00:5e:10:00:0a")
    assert "maple-heron-cello-77" in blocked
    assert 'Tunnel-Private-Group-Id:0 = "666"' in blocked

    edge.tell({**BLOCKED, "state": "active"})

    edge.wait_for("its own VLAN", lambda: 'Id:0 = "114"' in _radius(edge, "02:00:5e:10:00:0a"), timeout=5.0)


def test_an_unknown_device_and_an_unknown_network_are_rejected(edge: Edge) -> None:
    assert "Access-Reject" in _radius(edge, "02:00:5e:99:99:99")
    assert "Access-Reject" in _radius(edge, "02:00:5e:10:00:09", "Other")


def test_no_passphrase_stands_in_any_file_or_log(edge: Edge) -> None:
    _radius(edge, "02:00:5e:10:00:09")
    edge.command("keys", "list")

    for path in [*edge.directory.glob("state/*"), edge.log]:
        content = path.read_bytes()
        for key in KEYS:
            assert key["passphrase"].encode() not in content, path


def test_nothing_that_a_blocked_subscriber_looked_up_is_logged(edge: Edge) -> None:
    edge.dig("bad", "secret-interest.example")
    edge.curl("bad", "http://example.com/private/path")

    assert "secret-interest" not in edge.log.read_text()
    assert "private/path" not in edge.log.read_text()
    assert "example.com" not in edge.log.read_text()


def test_a_refused_reload_keeps_what_runs_and_says_why(edge: Edge) -> None:
    right = edge.config.read_text()
    daemon = edge.daemon
    assert daemon is not None
    try:
        edge.config.write_text(right.replace("names: [", "nmes: ["))
        daemon.send_signal(1)
        edge.wait_for("the alarm", lambda: any(a["code"] == "reload-refused" for a in edge.facts("status")["alarms"]))
        assert edge.dig("bad", GARDEN_HOST) == [GARDEN4]
    finally:
        edge.config.write_text(right)
    daemon.send_signal(1)
    edge.wait_for("no alarm", lambda: edge.facts("status")["alarms"] == [])


def test_a_reload_takes_a_new_garden_name_into_force(edge: Edge) -> None:
    right = edge.config.read_text()
    daemon = edge.daemon
    assert daemon is not None
    try:
        edge.config.write_text(right.replace(f"names: [{GARDEN_HOST}]", f"names: [{GARDEN_HOST}, www.example.org]"))
        daemon.send_signal(1)
        edge.wait_for("the name resolves truly", lambda: edge.dig("bad", "www.example.org") == [WEB4])
        assert "the internet" in edge.curl("bad", "https://www.example.org/").stdout
    finally:
        edge.config.write_text(right)
        daemon.send_signal(1)


def test_in_watch_mode_nothing_changes_for_anyone_and_the_plan_says_who_would_be_cut_off() -> None:
    with Edge(prefix=f"edged-v{os.getpid()}", mode="watch") as edge:
        edge.wait_for("the list is read", lambda: edge.facts("status")["subscribers"]["access"]["blocked"] == 1)

        assert _reaches_the_internet(edge, "-4")
        assert _reaches_the_internet(edge, "-6")
        assert edge.dig("bad", "example.com") == [WEB4]
        assert "table inet edged" not in edge.lab.run("router", "nft", "list", "tables").stdout
        plan = edge.command("plan").stdout
        assert "watch: 1 subscribers would be cut off" in plan
        assert BAD4 in plan
        assert (
            edge.lab.run(
                "router", "nft", "--check", "-f", "-", input=edge.facts("plan")["targets"][0]["text"]
            ).returncode
            == 0
        )


def test_a_restart_without_its_memory_and_without_billing_opens_nobody(edge: Edge) -> None:
    edge.kill()
    for path in (edge.directory / "state").iterdir():
        path.unlink()
    (edge.directory / "feed.json").rename(edge.directory / "feed.away")
    edge.start()
    try:
        edge.wait_for(
            "the alarm",
            lambda: any(a["code"] == "target-failing" for a in edge.facts("status")["alarms"]),
            timeout=10.0,
        )
        assert BAD4 in edge.lab.run("router", "nft", "list", "set", "inet", "edged", "blocked4h").stdout
    finally:
        (edge.directory / "feed.away").rename(edge.directory / "feed.json")
    edge.wait_for("billing is back", lambda: edge.facts("status")["alarms"] == [], timeout=20.0)


def test_a_damaged_database_is_put_aside_and_the_last_good_list_served(edge: Edge) -> None:
    edge.kill()
    for path in (edge.directory / "state").glob("edged.sqlite*"):
        path.write_bytes(b"rubbish" * 1000)  # its journal too: SQLite would mend the file from it
    edge.start()

    assert edge.access(BAD4) == "blocked"
    assert any(a["code"] == "state-damaged" for a in edge.facts("status")["alarms"])
    assert list((edge.directory / "state").glob("edged.sqlite.damaged-*"))
    edge.stop()
    edge.start()
    edge.wait_for("no alarm", lambda: edge.facts("status")["alarms"] == [], timeout=10.0)


def test_a_busy_database_is_not_the_end(edge: Edge) -> None:
    with sqlite3.connect(edge.directory / "state" / "edged.sqlite", timeout=5.0) as holder:
        holder.execute("BEGIN IMMEDIATE")
        _radius(edge, "02:00:5e:10:00:09")
        edge.tell({**BLOCKED, "state": "active"})
        edge.wait_for("the payment counts", lambda: _reaches_the_internet(edge, "-4"), timeout=15.0)
        holder.rollback()
    assert edge.daemon is not None
    assert edge.daemon.poll() is None


def test_switching_to_watch_opens_everybody_and_back_again_blocks(edge: Edge) -> None:
    edge.stop()
    edge.configure("watch")
    try:
        edge.start()
        assert edge.facts("status")["alarms"] == []
        assert "table inet edged" not in edge.lab.run("router", "nft", "list", "tables").stdout
        assert _reaches_the_internet(edge, "-4")
        assert _reaches_the_internet(edge, "-6")
    finally:
        edge.stop()
        edge.configure("enforce")
    edge.start()
    edge.wait_for("the block is in force", lambda: _blocked_in_kernel(edge), timeout=10.0)


def test_a_subscriber_known_by_mac_alone_sees_the_page_and_reaches_the_garden(edge: Edge) -> None:
    edge.tell({**BLOCKED, "addresses": [], "devices": [places.BAD_MAC]})

    def blocked_devices() -> str:
        return edge.lab.run("router", "nft", "list", "set", "inet", "edged", "blockedm").stdout

    edge.wait_for("the device is in the set", lambda: places.BAD_MAC in blocked_devices(), timeout=15.0)
    assert edge.dig("bad", "example.com") == [PORTAL4]
    assert "North Fibre" in edge.curl("bad", "http://example.com/", "-4", "-L").stdout
    assert "the customer portal" in edge.curl("bad", f"https://{GARDEN_HOST}/", "-4").stdout
    assert edge.access(BAD4) == "blocked"
    assert _reaches_the_internet(edge, "-4", "good")

    edge.tell({**BLOCKED, "state": "active", "addresses": [], "devices": [places.BAD_MAC]})
    edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4"), timeout=10.0)


def test_a_static_record_of_the_garden_is_reachable_without_a_network_of_its_own(edge: Edge) -> None:
    right = edge.config.read_text()
    daemon = edge.daemon
    assert daemon is not None
    try:
        records = f"names: [{GARDEN_HOST}]\n  records: {{www.example.org: [{WEB4}]}}"
        edge.config.write_text(right.replace(f"names: [{GARDEN_HOST}]", records))
        assert edge.command("reload").returncode == 0
        edge.wait_for("it answers", lambda: "the internet" in edge.curl("bad", "https://www.example.org/", "-4").stdout)
    finally:
        edge.config.write_text(right)
        assert edge.command("reload").returncode == 0
    edge.config.write_text(right.replace("site: lab", "site: lab\nstte: 5"))
    assert edge.command("reload").returncode == 78
    edge.config.write_text(right)
    assert edge.command("reload").returncode == 0


def _account(edge: Edge, status: str, session: str, login: str, **attributes: str) -> str:
    """One Accounting-Request of a real RADIUS client; what the client says of the answer."""
    pairs = {"Acct-Status-Type": status, "Acct-Session-Id": session, "User-Name": login, "NAS-Identifier": "bng"}
    request = ",".join(f'{name}="{value}"' for name, value in (pairs | attributes).items())
    done = edge.lab.run(
        "router", "radclient", "-x", "-t", "3", "-r", "1", "127.0.0.1:1813", "acct", "lab-radius-secret",
        check=False, input=request,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_blocked_login_is_blocked_on_whatever_addresses_its_session_has_until_it_ends(edge: Edge) -> None:
    edge.tell({**BLOCKED, "addresses": [], "logins": ["ana@fibre"]})
    edge.wait_for("the line by address is open", lambda: _reaches_the_internet(edge, "-4"), timeout=10.0)

    lines = {"Framed-IP-Address": BAD4, "Delegated-IPv6-Prefix": places.BAD_PREFIX6}
    assert "Accounting-Response" in _account(edge, "Start", "s-1", "ana@fibre", **lines)
    edge.wait_for("the session is blocked", lambda: _blocked_in_kernel(edge), timeout=3.0)
    for family in ("-4", "-6"):
        assert "North Fibre" in edge.curl("bad", "http://example.com/", family, "-L").stdout
    assert any("online as ana@fibre" in row for row in edge.facts("explain", BAD4)["who"])

    edge.kill()
    edge.start()
    assert _blocked_in_kernel(edge)
    assert edge.access(BAD4) == "blocked"

    # its Stop was lost, and somebody else has the IPv4 address now
    _account(edge, "Start", "s-2", "ben@fibre", **{"Framed-IP-Address": BAD4})
    edge.wait_for("the address is the other's", lambda: _reaches_the_internet(edge, "-4"), timeout=3.0)
    assert not _reaches_the_internet(edge, "-6")

    _account(edge, "Stop", "s-1", "ana@fibre")
    edge.wait_for("nothing is left", lambda: _reaches_the_internet(edge, "-6"), timeout=3.0)


def _hook(edge: Edge, secret: str, *subscribers: str) -> str:
    """The status of one post to the webhook, signed as docs/feed.md says."""
    post = {"id": str(uuid.uuid4()), "at": datetime.now(UTC).isoformat(), "subscribers": list(subscribers)}
    body = json.dumps(post)
    digest = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    done = edge.lab.run(
        "router", "curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", body,
        "-H", f"X-Edged-Signature: sha256={digest}", "http://127.0.0.1:9301/hooks",
    )  # fmt: skip
    return done.stdout


def test_a_webhook_alone_opens_and_blocks_a_line_in_the_kernel_within_a_second(edge: Edge) -> None:
    right = edge.config.read_text()
    secret = edge.directory / "hook.secret"
    secret.write_text("hook-secret-of-the-lab")
    secret.chmod(0o600)
    webhook = f'  webhook: {{listen: "127.0.0.1:9301", path: /hooks, secret: !file {secret}}}\n'
    edge.stop()
    try:
        slow = right.replace("changes: 300ms, full: 5s", "changes: 10m, full: 1h")
        edge.config.write_text(slow.replace("subscribers:\n", f"{webhook}subscribers:\n", 1))
        edge.start()
        edge.wait_for("the block is in force", lambda: _blocked_in_kernel(edge), timeout=10.0)

        edge.tell({**BLOCKED, "state": "active"})
        assert _hook(edge, "a guess", "1001") == "401"
        assert not _reaches_the_internet(edge, "-4")
        assert _hook(edge, "hook-secret-of-the-lab", "1001") == "202"
        took = edge.wait_for("the line is open", lambda: _reaches_the_internet(edge, "-4", timeout=0.5))
        assert took < 1.0
        assert _reaches_the_internet(edge, "-6")

        edge.tell(BLOCKED)
        time.sleep(1.2)  # one subscriber is asked about once a second
        assert _hook(edge, "hook-secret-of-the-lab", "1001") == "202"
        edge.wait_for("the line is blocked", lambda: edge.dig("bad", "example.com") == [PORTAL4], timeout=2.0)
        assert _blocked_in_kernel(edge)
    finally:
        edge.stop()
        edge.config.write_text(right)
        edge.start()
