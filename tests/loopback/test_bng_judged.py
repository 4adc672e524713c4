# SPDX-License-Identifier: Apache-2.0
"""Foreign programs on both sides: FreeRADIUS takes what edged sends, radclient and pyrad ask the stand-in BNG."""

from __future__ import annotations

import asyncio
import io
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pyrad.client import Client
from pyrad.dictionary import Dictionary
from pyrad.packet import CoAACK, CoANAK, CoARequest, DisconnectACK, DisconnectRequest

from tests.bng_world import SECRET, Bng, Line
from tests.loopback.feed_server import Feed, serve
from tests.loopback.test_bng import Desk, now_session, soon, until
from tests.loopback.test_bng_daemon import Billing, house_in

__all__ = ["soon"]

PROGRAMS = ("/usr/sbin/freeradius", "/usr/bin/radclient")
needs_freeradius = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)), reason="Debian's freeradius and freeradius-utils are not installed"
)

CONF = """\
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
pidfile = {folder}/freeradius.pid
log {{
  destination = stdout
}}
security {{
  require_message_authenticator = yes
}}
thread pool {{
  start_servers = 1
}}
modules {{
  always reject {{
    rcode = reject
  }}
  always ok {{
    rcode = ok
  }}
  linelog {{
    filename = {folder}/taken
    format = "%{{Packet-Type}}|%{{Acct-Session-Id}}|%{{User-Name}}|%{{Framed-IP-Address}}|{value}|{stamp}"
  }}
}}
client edged {{
  ipaddr = 127.0.0.1
  secret = {secret}
  require_message_authenticator = yes
}}
server default {{
  listen {{
    type = coa
    ipaddr = 127.0.0.1
    port = {port}
  }}
  recv-coa {{
    linelog
    if (&Acct-Session-Id == "s-busy") {{
      update reply {{
        Error-Cause := Resources-Unavailable
      }}
      reject
    }}
    if (&Acct-Session-Id == "s-absent") {{
      update reply {{
        Error-Cause := Session-Context-Not-Found
      }}
      reject
    }}
    if (&Acct-Session-Id == "s-bare") {{
      reject
    }}
    ok
  }}
  send-coa {{
    ok
  }}
}}
"""


VALUE, STAMP = "%{%{Mikrotik-Address-List}:-%{Filter-Id}}", "%{integer:Event-Timestamp}"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def freeradius(folder: Path, port: int, secret: str) -> AsyncIterator[Callable[[], list[list[str]]]]:
    """FreeRADIUS as a CoA server; what it took, field by field."""
    home = folder / f"freeradius-{time.monotonic_ns()}"
    home.mkdir(mode=0o700)
    (home / "radiusd.conf").write_text(CONF.format(folder=home, port=port, secret=secret, value=VALUE, stamp=STAMP))
    said = home / "said"
    with said.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            PROGRAMS[0], "-f", "-x", "-l", "stdout", "-d", str(home), "-n", "radiusd", stdout=out, stderr=out
        )
        try:
            await until(lambda: "Ready to process requests" in said.read_text() or process.returncode is not None, 20)
            assert process.returncode is None, said.read_text()
            taken = home / "taken"
            yield lambda: [line.split("|") for line in taken.read_text().splitlines()] if taken.exists() else []
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@needs_freeradius
@pytest.mark.parametrize("attribute", ["Mikrotik-Address-List", "Filter-Id"])
async def test_freeradius_reads_what_blocks_and_what_opens_and_is_believed(tmp_path: Path, attribute: str) -> None:
    port = free_port()
    async with freeradius(tmp_path, port, SECRET.reveal_text()) as taken:
        desk = Desk(port, attribute=attribute, rate=1000)
        sessions = [now_session(f"s-{n}", login=f"u{n}@example.net", ipv4=f"100.64.2.{n}") for n in range(50)]
        desk.blocks("100.64.2.0/24")
        desk.hears(*sessions)
        async with desk.at_work():
            await until(lambda: desk.health.ok and desk.target.sessions["waiting"] == 0)
            desk.blocks()
            await until(lambda: len(taken()) >= 100 and desk.target.sessions["blocked"] == 0)
            assert desk.target.requests.requests["open", "ack"] == 50
    rows = taken()
    for value, part in (("edged-blocked", rows[:50]), ("edged-open", rows[50:])):
        assert sorted(row[:5] for row in part) == sorted(
            ["CoA-Request", f"s-{n}", f"u{n}@example.net", f"100.64.2.{n}", value] for n in range(50)
        )
    assert all(abs(int(row[5]) - time.time()) < 60 for row in rows)


@needs_freeradius
async def test_the_refusals_of_freeradius_are_told_apart(tmp_path: Path) -> None:
    port = free_port()
    async with freeradius(tmp_path, port, SECRET.reveal_text()):
        desk = Desk(port)
        desk.blocks("100.64.1.0/24")
        for name, login in (("s-busy", "anna"), ("s-bare", "bert"), ("s-good", "cleo")):
            desk.hears(now_session(name, login=login))
        async with desk.at_work():
            await until(lambda: desk.health.error)
            await until(lambda: "NAK 506 Resources-Unavailable, NAK without Error-Cause" in desk.health.error)
            assert "(anna, bert)" in desk.health.error


@needs_freeradius
async def test_a_session_that_freeradius_does_not_have_is_a_warning(tmp_path: Path) -> None:
    port = free_port()
    async with freeradius(tmp_path, port, SECRET.reveal_text()):
        desk = Desk(port)
        desk.blocks("100.64.1.0/24")
        desk.hears(now_session("s-absent"))
        async with desk.at_work():
            await until(lambda: desk.target.sessions["absent"] == 1)
            await until(lambda: desk.health.ok)


@needs_freeradius
async def test_freeradius_with_another_secret_is_silent_and_told_all_when_it_has_the_right_one(tmp_path: Path) -> None:
    port = free_port()
    desk = Desk(port, rate=1000)
    sessions = [now_session(f"s-{n}", login=f"u{n}", ipv4=f"100.64.2.{n}") for n in range(10)]
    desk.blocks("100.64.2.0/24")
    desk.hears(*sessions)
    async with desk.at_work():
        async with freeradius(tmp_path, port, "another-secret") as taken:
            await until(lambda: "no answer" in desk.health.error)
            assert taken() == []
        async with freeradius(tmp_path, port, SECRET.reveal_text()) as taken:
            await until(lambda: desk.health.ok, 20)
            assert {row[1] for row in taken()} == {one.session for one in sessions}


@needs_freeradius
async def test_freeradius_takes_a_disconnect(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with freeradius(tmp_path, port, SECRET.reveal_text()) as taken:
        desk = Desk(port, attribute="Framed-Pool", pool=["100.64.255.0/24"])
        desk.blocks("100.64.1.7")
        desk.hears(now_session())
        async with desk.at_work():
            await until(taken)
            await until(lambda: desk.health.ok)
    assert [row[:5] for row in taken()] == [["Disconnect-Request", "s-1", "anna", "100.64.1.7", ""]]


# --- accounting of another program -----------------------------------------------------------------


@needs_freeradius
async def test_sessions_that_radclient_reports_are_told_whatever_they_have_been_given(tmp_path: Path) -> None:
    """IPv6 alone, a delegated prefix alone, a login as long as an attribute may be, a login beyond ASCII."""
    long, rows = "n" * 253, {}
    for number, (login, has) in enumerate(
        ((long, "Framed-IP-Address=100.64.1.7"), ("v6", "Framed-IPv6-Prefix=2001:db8:1::/64"),
         ("zoë@example.net", "Delegated-IPv6-Prefix=2001:db8:2::/56"))
    ):  # fmt: skip
        rows[f"s-{number}"] = (login, has)
    billing = Billing()
    listed = [{"id": name, "state": "blocked", "reason": "unpaid", "logins": [row[0]]} for name, row in rows.items()]
    billing.feed = Feed(listed, known=100)
    async with Bng() as bng, serve(billing), house_in(tmp_path, billing.url, bng.port) as house:
        assert house.radius is not None
        port = dict(house.radius.endpoints)["acct"].port
        for name, (login, has) in rows.items():
            bng.sessions[name] = Line(login, "100.64.1.7")
            given = f'Acct-Status-Type=Start,Acct-Session-Id={name},User-Name="{login}",{has}'
            assert "Received Accounting-Response" in await radclient(port, "acct", given)
        await until(lambda: set(bng.lists().values()) == {"edged-blocked"})
        await radclient(port, "acct", 'Acct-Status-Type=Stop,Acct-Session-Id=s-1,User-Name="v6"')
        await radclient(port, "acct", 'Acct-Status-Type=Interim-Update,Acct-Session-Id=s-1,User-Name="v6"')
        assert house.bngs[0].sessions["known"] == 2, "what comes late after a Stop wakes nobody"
        await radclient(port, "acct", "Acct-Status-Type=Accounting-On,NAS-Identifier=another")
        assert house.bngs[0].sessions["known"] == 2
        await radclient(port, "acct", "Acct-Status-Type=Accounting-On")
        assert house.bngs[0].sessions == {"known": 0, "blocked": 0, "waiting": 0, "failing": 0, "absent": 0}
        await until(lambda: house.bngs[0]._ledger.unwritten("127.0.0.1", 0.0) == ([], []))
        assert await house.database.read("SELECT * FROM told") == []


# --- the stand-in, asked by others ------------------------------------------------------------------


async def radclient(
    port: int, kind: str, attributes: str, secret: str = SECRET.reveal_text(), *, waits: float = 5.0
) -> str:
    process = await asyncio.create_subprocess_exec(
        PROGRAMS[1], "-x", "-r", "1", "-t", str(waits), f"127.0.0.1:{port}", kind, secret,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(attributes.encode())
    return output.decode()


@needs_freeradius
async def test_radclient_gets_from_the_stand_in_what_the_standard_says() -> None:
    async with Bng() as bng:
        one = now_session()
        bng.has(one)
        named = f"Acct-Session-Id=s-1,User-Name=anna,Framed-IP-Address=100.64.1.7,Event-Timestamp={int(time.time())}"
        mikrotik = ',Mikrotik-Address-List="%s",Message-Authenticator=0x00'

        assert "Received CoA-ACK" in await radclient(bng.port, "coa", named + mikrotik % "edged-blocked")
        assert bng.lists() == {"s-1": "edged-blocked"}
        # without the attribute it stays on the list that it is on
        assert "Received CoA-ACK" in await radclient(bng.port, "coa", named + ",Message-Authenticator=0x00")
        assert bng.lists() == {"s-1": "edged-blocked"}
        assert "Received CoA-ACK" in await radclient(bng.port, "coa", named + mikrotik % "edged-open")
        assert bng.lists() == {"s-1": "edged-open"}
        for wrong in ("User-Name=bert", "Framed-IP-Address=100.64.1.8", "Acct-Session-Id=s-2"):
            name = wrong.partition("=")[0]
            others = ",".join(word for word in named.split(",") if not word.startswith(name))
            output = await radclient(bng.port, "coa", f"{others},{wrong}{mikrotik % 'x'}")
            assert "Received CoA-NAK" in output
            assert "Error-Cause = Session-Context-Not-Found" in output
        assert "No reply" in await radclient(bng.port, "coa", named + mikrotik % "x", "another", waits=0.2)
        old = named.replace(str(int(time.time()))[:6], "170000")
        assert "No reply" in await radclient(bng.port, "coa", old + mikrotik % "x", waits=0.2)
        assert "Received Disconnect-ACK" in await radclient(
            bng.port, "disconnect", named + ",Message-Authenticator=0x00"
        )
        assert bng.lists() == {}


WORDS = """\
ATTRIBUTE User-Name 1 string
ATTRIBUTE Framed-IP-Address 8 ipaddr
ATTRIBUTE Filter-Id 11 string
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE Event-Timestamp 55 date
ATTRIBUTE Error-Cause 101 integer
"""


def pyrad_asks(port: int, code: int, **attributes: Any) -> Any:
    client = Client(
        "127.0.0.1", coaport=port, secret=SECRET.reveal(), dict=Dictionary(io.StringIO(WORDS)), retries=1, timeout=5
    )
    try:
        return client.SendPacket(client.CreateCoAPacket(code=code, **attributes))
    finally:
        client._CloseSocket()  # it closes it by no other way


async def test_pyrad_gets_from_the_stand_in_what_the_standard_says() -> None:
    async with Bng(attribute="Filter-Id", refuses={"s-2": 506}) as bng:
        bng.has(now_session(), now_session("s-2"))
        named = {
            "User_Name": "anna",
            "Framed_IP_Address": "100.64.1.7",
            "Event_Timestamp": int(time.time()),
        }

        reply = await asyncio.to_thread(pyrad_asks, bng.port, CoARequest, Acct_Session_Id="s-1", Filter_Id="b", **named)
        assert (reply.code, bng.lists()["s-1"]) == (CoAACK, "b")
        reply = await asyncio.to_thread(pyrad_asks, bng.port, CoARequest, Acct_Session_Id="s-2", Filter_Id="b", **named)
        assert (reply.code, reply["Error-Cause"]) == (CoANAK, [506])
        reply = await asyncio.to_thread(pyrad_asks, bng.port, DisconnectRequest, Acct_Session_Id="s-1", **named)
        assert (reply.code, list(bng.lists())) == (DisconnectACK, ["s-2"])
