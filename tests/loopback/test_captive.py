"""The redirector and the portal over real sockets: asked by curl, a TLS client and bare octets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import structlog

from edged.captive.admission import Deadlines
from edged.captive.answers import Kind, Topic
from edged.captive.page.locales import LOCALES
from edged.captive.probes import PROBES, Probe
from edged.captive.reminder import LED_MOST
from edged.captive.selfsigned import self_signed
from edged.captive.service import CaptiveService
from edged.captive.settings import CertificateFiles
from edged.captive.statement import Purpose, make_token
from edged.captive.steered.service import Ways, nobody_to_tell
from edged.errors import ConfigError, UpstreamError
from edged.model import State
from edged.policy.access import Learned, Line, View
from edged.policy.settings import NoticeSettings
from edged.state.current import Current
from edged.values import IpAddress, parse_address
from tests.captive_oracle import RULES, Answer, Verdict
from tests.captive_scene import KEY, settings, subscriber, view
from tests.unit.test_captive_tls import hello

HOST = "portal.example.net"


@dataclass
class FakeClerk:
    """A desk with so many passes a subscriber, where nothing is enforced."""

    passes: int = 1
    can_check: bool = True
    checked: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    put: list[tuple[str, bool]] = field(default_factory=list)
    asides: list[tuple[IpAddress, IpAddress]] = field(default_factory=list)
    broken: bool = False

    def passes_left(self, subscriber_id: str) -> int | None:
        return self.passes - self.opened.count(subscriber_id)

    async def start_pass(self, subscriber_id: str) -> bool:
        if not self.passes_left(subscriber_id):
            return False
        self.opened.append(subscriber_id)
        return True

    async def check(self, subscriber_id: str) -> None:
        self.checked.append(subscriber_id)

    def read_at(self) -> float:
        return 0.0

    def lifted(self, line: Line) -> bool:  # noqa: ARG002  # the Protocol's
        return True

    def holds(self, line: Line) -> bool:  # noqa: ARG002  # the Protocol's
        return False

    async def news(self) -> None:
        await asyncio.Event().wait()

    async def put_away(self, subscriber_id: str, *, seen: bool) -> None:
        if self.broken:
            raise UpstreamError("the database is away")
        self.put.append((subscriber_id, seen))

    async def set_aside(self, source: IpAddress, destination: IpAddress) -> bool:
        self.asides.append((source, destination))
        return not self.broken


@dataclass
class House:
    """A running service, and how to reach it."""

    service: CaptiveService
    current: Current
    clerk: FakeClerk
    files: CertificateFiles

    @property
    def http(self) -> int:
        return self.service.endpoints.http[0].port

    @property
    def https(self) -> int:
        return self.service.endpoints.https[0].port

    async def curl(self, url: str, *more: str, source: str = "127.0.0.1") -> Answer | None:
        """The answer as curl got it, or None when the connection was closed without one."""
        port = self.https if url.startswith("https") else self.http
        reach = (
            "--connect-to",
            f"::127.0.0.1:{port}",
            "--cacert",
            str(self.files.chain),
            "--interface",
            source,
        )
        process = await asyncio.create_subprocess_exec(
            "curl", "-si", "--max-time", "20", *reach, *more, url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        if not output:
            return None
        head, _, body = output.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
        return Answer(int(status.split()[1]), headers, body)


def certificate(folder: Path, host: str = HOST) -> CertificateFiles:
    chain, key = self_signed(host, [ip_address("127.0.0.1")], time.time())
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return CertificateFiles(chain=folder / "chain.pem", key=folder / "key.pem")


@contextlib.asynccontextmanager
async def running(
    folder: Path, deadlines: Deadlines | None = None, clock: Callable[[], float] = time.time, **more: Any
) -> AsyncIterator[House]:
    files, current, clerk = certificate(folder), Current(), FakeClerk()
    listen = {"http": ["127.0.0.1:0", "[::1]:0"], "https": ["127.0.0.1:0", "[::1]:0"]}
    service = CaptiveService(
        settings(listen=listen, certificate={"chain": files.chain, "key": files.key}, **more),
        current=current,
        link_key=KEY,
        clock=clock,
        clerk=clerk,
        deadlines=deadlines,
    )
    current.publish(view(subscriber()))
    await service.start()
    run = asyncio.create_task(service.run())
    try:
        yield House(service, current, clerk, files)
        assert not run.done()
        assert service.counters.faults == 0
    finally:
        run.cancel()
        await service.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def dialled(
    port: int, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, closed at the end."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def said(port: int, octets: bytes, host: str = "127.0.0.1") -> bytes:
    """Everything that comes back for ``octets``; empty when the connection is closed or reset."""
    async with asyncio.timeout(10), dialled(port, host) as (reader, writer):
        writer.write(octets)
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_page_load_is_sent_to_the_portal_and_leaves_no_trace(house: House) -> None:
    found = await house.curl("http://news.example.com/a?b=c", "-H", "Accept: text/html")

    assert found is not None
    assert (found.status, found.headers["location"]) == (302, "https://portal.example.net/")
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["connection"] == "close"
    assert int(found.headers["content-length"]) == len(found.body) > 4
    assert not found.headers.keys() & {"set-cookie", "strict-transport-security", "alt-svc"}
    assert house.service.counters.answers[Kind.REDIRECT] == 1


@pytest.mark.parametrize("probe", PROBES[::5], ids=lambda p: f"{p.client}-{p.host}")
async def test_live_answers_show_every_kind_of_client_the_portal_and_then_free_it(house: House, probe: Probe) -> None:
    judge, url = RULES[probe.client], f"http://{probe.host}{probe.path}"

    assert judge(probe, await house.curl(url)) is Verdict.CAPTIVE
    house.current.publish(view())
    assert judge(probe, await house.curl(url)) is not Verdict.CAPTIVE


async def test_the_page_comes_over_https_with_its_policy(house: House) -> None:
    found = await house.curl("https://portal.example.net/", "-H", "Accept-Language: de")

    assert found is not None
    assert found.status == 200
    assert b"Ihr Internet ist pausiert" in found.body
    assert b"49.90" not in found.body
    assert found.headers["content-security-policy"].startswith("default-src 'none'")
    assert "private" in found.headers["cache-control"]
    assert house.service.counters.pages[Topic.BLOCKED] == 1


async def test_a_signed_link_shows_the_sum_even_from_elsewhere(house: House) -> None:
    found = await house.curl(house.service.link("1001"), source="127.0.0.9")

    assert found is not None
    assert "€49.90".encode() in found.body


async def test_an_unblocked_line_is_sent_back_after_a_short_wait(house: House) -> None:
    house.current.publish(view())

    began = time.monotonic()
    found = await house.curl("http://news.example.com/a", "-H", "Accept: text/html")

    assert found is not None
    assert (found.status, found.headers["location"]) == (302, "http://news.example.com/a")
    assert time.monotonic() - began > 2


async def test_a_post_to_a_foreign_name_is_answered_without_reading_its_body(house: House) -> None:
    found = await house.curl("http://api.example.com/", "-X", "POST", "-H", "Expect:", "--data-binary", "x" * 100_000)

    assert found is not None
    assert found.status == 511


async def test_whoever_keeps_pressing_is_asked_about_every_five_seconds(tmp_path: Path) -> None:
    clock = [time.time()]
    async with running(tmp_path, clock=lambda: clock[0]) as house:
        page = await house.curl("https://portal.example.net/")
        assert page is not None
        token = page.body.partition(b'name="token" value="')[2].partition(b'"')[0].decode()
        for _ in range(4):
            await house.curl("https://portal.example.net/check", "-d", f"token={token}&link=")
            clock[0] += 3.0

        assert house.clerk.checked == ["1001", "1001"]


async def test_a_button_asks_the_clerk_once_and_returns(house: House) -> None:
    page = await house.curl("https://portal.example.net/")
    assert page is not None
    token = page.body.partition(b'name="token" value="')[2].partition(b'"')[0].decode()

    for _ in range(2):
        found = await house.curl("https://portal.example.net/check", "-d", f"token={token}&link=")
        assert found is not None
        assert (found.status, found.headers["location"]) == (303, "https://portal.example.net/?done=check")
    await house.curl("https://portal.example.net/pass", "-d", f"token={token}&link=")
    await house.curl("https://portal.example.net/pass", "-d", "token=forged&link=")

    assert house.clerk.checked == ["1001"]
    assert house.clerk.opened == ["1001"]


def dial(house: House, name: str | None) -> str:
    """What a TLS client for ``name`` meets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", house.https), timeout=10) as bare,
            context.wrap_socket(bare, server_hostname=name) as wrapped,
        ):
            return str(wrapped.version())
    except ssl.SSLError as error:
        return str(error.reason)
    except ConnectionResetError:
        return "reset"


async def test_a_foreign_server_name_gets_an_alert_and_no_certificate(house: House) -> None:
    assert await asyncio.to_thread(dial, house, "www.example.com") == "TLSV1_ALERT_INTERNAL_ERROR"
    assert house.service.counters.alerts == 1


async def test_the_portals_name_or_none_gets_the_portals_certificate(house: House) -> None:
    assert await asyncio.to_thread(dial, house, HOST) == "TLSv1.3"
    assert await asyncio.to_thread(dial, house, None) == "TLSv1.3"


async def test_a_foreign_server_name_may_be_reset_instead(tmp_path: Path) -> None:
    async with running(tmp_path, foreign_tls="reset") as house:
        assert await asyncio.to_thread(dial, house, "www.example.com") == "reset"
        assert house.service.counters.resets == 1


async def test_a_hello_in_single_octets_is_understood(house: House) -> None:
    async with dialled(house.https) as (reader, writer):
        for octet in hello("www.example.com"):
            writer.write(bytes([octet]))
            await asyncio.sleep(0)

        assert await reader.read() == bytes.fromhex("15030300020250")


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01\x02"], ids=["nothing", "half a hello"])
async def test_a_slow_hello_is_cut_off(tmp_path: Path, octets: bytes) -> None:
    async with running(tmp_path, deadlines=Deadlines(first_octet=0.3)) as house:
        assert await said(house.https, octets) == b""
        assert house.service.counters.dropped["slow"] == 1


@pytest.mark.parametrize("octets", [b"", b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX-Slow: "], ids=["nothing", "half"])
async def test_a_slow_request_is_cut_off(tmp_path: Path, octets: bytes) -> None:
    async with running(tmp_path, deadlines=Deadlines(first_octet=0.3, request=0.3)) as house:
        assert await said(house.http, octets) == b""
        assert house.service.counters.dropped["slow"] == 1


async def test_a_connection_that_stays_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path, deadlines=Deadlines(request=0.2, lifetime=0.6)) as house:
        house.current.publish(view())  # an open line is answered only after a wait
        assert await said(house.http, b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n") == b""


async def test_a_half_hello_does_not_spin_the_loop(house: House) -> None:
    async with dialled(house.https) as (_, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        await asyncio.sleep(0.1)

        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.2


async def test_idle_connections_do_not_stop_a_page(house: House) -> None:
    """Not even those of one's own household."""
    ports = (house.http, house.https)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(200):
            await stack.enter_async_context(dialled(ports[number % 2]))

        assert await house.curl("http://news.example.com/") is not None
        page = await house.curl("https://portal.example.net/")

        assert page is not None
        assert page.status == 200
        assert house.service.counters.dropped["displaced"] > 100
    await until(lambda: len(house.service._doors.crowd if house.service._doors else ()) == 0)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: <secret>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: secret.example.com\r\nHost: other.example.com\r\n\r\n",
        b"GET http://secret.example.com/ HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: " + b"secret" * 4000 + b"\r\n\r\n",
        b"GET /" + b"secret" * 4000 + b" HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: secret\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"CONNECT secret.example.com:443 HTTP/1.1\r\nHost: secret.example.com:443\r\n\r\n",
    ],
    ids=[
        "noise",
        "bad host",
        "two hosts",
        "two authorities",
        "long field",
        "long target",
        "bad length",
        "many",
        "proxy",
    ],
)
async def test_a_malformed_request_gets_an_empty_400(house: House, octets: bytes) -> None:
    answer = await said(house.http, octets)

    assert answer.split()[1] == b"400"
    assert answer.endswith(b"\r\n\r\n")
    assert b"secret" not in answer


async def test_a_request_in_absolute_form_is_understood(house: House) -> None:
    answer = await said(house.http, b"GET http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 302 ")


async def test_a_stranger_is_hung_up_on_for_a_foreign_name(house: House) -> None:
    house.current.publish(View())

    assert await said(house.http, b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n") == b""
    assert house.service.counters.dropped["stranger"] == 1


async def test_both_families_are_served(house: House) -> None:
    house.current.publish(view(subscriber(address="::1")))
    port = house.service.endpoints.http[1].port

    answer = await said(port, b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "::1")

    assert answer.startswith(b"HTTP/1.1 302 ")


async def test_a_renewed_certificate_is_taken_up_and_a_wrong_one_is_not(house: House, tmp_path: Path) -> None:
    first = house.service._doors.context if house.service._doors else None
    certificate(tmp_path, "other.example.net")
    house.service.look_at_certificate()
    assert house.service._doors is not None
    assert house.service._doors.context is first

    certificate(tmp_path)
    house.service.look_at_certificate()
    assert house.service._doors.context is not first


async def test_a_reload_changes_the_words_and_keeps_the_sockets(house: House) -> None:
    before, changed = house.service.endpoints, house.service._settings.model_copy(deep=True)
    brand = changed.brands["default"].model_copy(update={"title": {"en": "Line paused"}})
    house.service.reconfigure(changed.model_copy(update={"brands": {"default": brand}}))

    page = await house.curl("https://portal.example.net/")

    assert page is not None
    assert b"<h1>Line paused</h1>" in page.body
    assert house.service.endpoints == before


async def test_a_refused_reload_keeps_the_running_words(house: House, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        house.service.reconfigure(house.service._settings.model_copy(update={"templates": tmp_path / "none"}))

    page = await house.curl("https://portal.example.net/")
    assert page is not None
    assert page.status == 200


async def test_a_port_in_use_is_the_operators_to_know(house: House) -> None:
    taken = {"http": [f"127.0.0.1:{house.http}"]}
    second = CaptiveService(settings(listen=taken), current=house.current, link_key=KEY)

    with pytest.raises(ConfigError) as caught:
        await second.start()

    assert caught.value.problems[0].key == "portal.listen.http[0]"
    assert caught.value.problems[0].found == f"127.0.0.1:{house.http} is in use"


async def test_a_portal_without_a_url_stays_closed() -> None:
    service = CaptiveService(settings().model_copy(update={"url": None}), current=Current(), link_key=KEY)
    await service.start()

    assert service.endpoints.http == ()
    await service.stop()
    await service.stop()


async def test_a_reminded_subscriber_sees_the_reminder(house: House) -> None:
    house.current.publish(view(subscriber(state=State.NOTICE)))

    page = await house.curl("https://portal.example.net/")

    assert page is not None
    assert b"A reminder, your internet works" in page.body


# --- reminders -------------------------------------------------------------------------------------

PAGE_LOAD = ("-H", "Accept: text/html,*/*;q=0.8")
PROGRAM = ("-H", "Accept: application/json")
SERVER = parse_address("198.51.100.7")


def due(house: House) -> None:
    house.current.publish(view(subscriber(state=State.NOTICE)))


async def test_a_page_load_of_a_due_line_is_led_to_the_page_until_five_were_for_nothing(house: House) -> None:
    due(house)

    led = [await house.curl("http://example.com/", *PAGE_LOAD) for _ in range(LED_MOST)]
    assert all(one is not None and one.headers["location"] == "https://portal.example.net/" for one in led)
    assert house.service.counters.answers[Kind.REDIRECT] == LED_MOST

    let_through = await house.curl("http://example.com/", *PAGE_LOAD)
    assert let_through is not None
    assert let_through.headers["location"] == "http://example.com/"

    await house.curl("https://portal.example.net/")
    again = await house.curl("http://example.com/", *PAGE_LOAD)
    assert again is not None
    assert again.headers["location"] == "https://portal.example.net/"


@pytest.mark.parametrize(("button", "seen"), [("seen", True), ("later", False)])
async def test_a_tap_on_the_reminder_is_carried_out_once_and_the_page_says_so(
    house: House, button: str, seen: bool
) -> None:
    due(house)
    page = await house.curl("https://portal.example.net/")
    assert page is not None
    form = re.search(rf'action="/{button}"><input type="hidden" name="token" value="([^"]+)"', page.body.decode())
    assert form is not None

    put_away = View(house.current.view.table, Learned(snoozes={"1001": time.time() + 60}))
    for _ in range(2):
        tapped = await house.curl(f"https://portal.example.net/{button}", "--data", f"token={form[1]}")
        house.current.publish(put_away)
        assert tapped is not None
        assert (tapped.status, tapped.headers["location"]) == (303, f"https://portal.example.net/?done={button}")
    assert house.clerk.put == [("1001", seen)]

    after = await house.curl(f"https://portal.example.net/?done={button}")
    assert after is not None
    assert b'role="status"' in after.body
    assert b"<form" not in after.body


async def test_a_tap_that_could_not_be_carried_out_claims_nothing_and_may_be_tried_again(house: House) -> None:
    due(house)
    token = make_token(KEY, Purpose.BUTTON, "1001", time.time() + 60)
    house.clerk.broken = True
    tapped = await house.curl("https://portal.example.net/seen", "--data", f"token={token}")
    house.clerk.broken = False
    again = await house.curl("https://portal.example.net/seen", "--data", f"token={token}")

    assert tapped is not None
    assert tapped.headers["location"] == "https://portal.example.net/"
    assert again is not None
    assert again.headers["location"] == "https://portal.example.net/?done=seen"


async def test_with_sign_in_a_check_finds_the_portal_while_the_reminder_is_due(house: House) -> None:
    due(house)
    check = "http://connectivitycheck.gstatic.com/generate_204"
    plain = await house.curl(check)
    house.service.remind(NoticeSettings(sign_in=True))
    with_sign_in = await house.curl(check)

    assert plain is not None
    assert plain.status == 204
    assert with_sign_in is not None
    assert with_sign_in.headers["location"] == "https://portal.example.net/"


async def test_of_many_requests_on_one_way_at_once_the_packet_filter_hears_one_and_all_wait_for_it() -> None:
    told, free = [], asyncio.Event()

    async def set_aside(source: IpAddress, destination: IpAddress) -> bool:
        told.append((source, destination))
        await free.wait()
        return True

    ways, line = Ways(set_aside), parse_address("100.64.1.7")
    asking = [asyncio.create_task(ways.free(line, SERVER, 10.0)) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in asking)
    free.set()

    assert await asyncio.gather(*asking) == [True] * 5
    assert told == [(line, SERVER)]
    assert [await ways.free(line, SERVER, 10.5) for _ in range(5)] == [True, True, True, False, False]
    assert len(told) == 1


async def test_where_a_reminded_line_went_is_forgotten_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.captive.steered.service.MOMENT", 0.05)
    ways = Ways(nobody_to_tell)
    await ways.free(SERVER, SERVER, 10.0)
    assert str(SERVER) in repr((ways._freeing, ways._asides._lately))

    await until(lambda: not ways._freeing and not ways._asides._lately)


async def test_nobody_is_sent_on_where_the_packet_filter_did_not_hear() -> None:
    ways = Ways(nobody_to_tell)

    assert [await ways.free(SERVER, SERVER, 10.0 + n / 10) for n in range(3)] == [False] * 3


# --- the security checklist, on the wire ---------------------------------------------------------------


async def test_forwarded_headers_change_neither_who_asks_nor_what_is_answered(house: House) -> None:
    told = [
        f"{name}: {value}"
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP", "Client-IP")
        for value in ("127.0.0.1", "for=127.0.0.1")
    ]
    more = [part for header in (*told, "X-Forwarded-Host: evil.example.org") for part in ("-H", header)]

    page = await house.curl("https://portal.example.net/", *more, source="127.0.0.9")
    foreign = await house.curl("http://news.example.com/", *more, "-H", "Accept: text/html")

    assert page is not None
    assert foreign is not None
    assert LOCALES["en"].texts["open.title"].encode() in page.body, "127.0.0.1 is blocked, whoever asks is not"
    assert foreign.headers["location"] == "https://portal.example.net/"


@pytest.mark.parametrize("path", ["/.well-known/captive-portal", "/api/captive-portal"])
async def test_the_api_is_asked_by_get_and_by_head_and_refuses_the_rest(house: House, path: str) -> None:
    url = f"https://portal.example.net{path}"
    got, head = await house.curl(url, "-H", "Accept:"), await house.curl(url, "-I")
    posted, plain = await house.curl(url, "-d", "x=y"), await house.curl(f"http://portal.example.net{path}")

    assert got and head and posted and plain  # noqa: PT018  # each had an answer
    assert json.loads(got.body) == {"captive": True, "user-portal-url": "https://portal.example.net/"}
    assert (got.headers["content-type"], got.headers["cache-control"]) == (
        "application/captive+json", "private, no-store",
    )  # fmt: skip
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(got.body)), b"")
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")
    assert (plain.status, plain.headers["location"]) == (302, url)


async def test_a_favicon_under_a_foreign_name_is_an_empty_511_that_nobody_keeps(house: House) -> None:
    found = await house.curl("http://news.example.com/favicon.ico")

    assert found is not None
    assert (found.status, found.body, found.headers["cache-control"]) == (511, b"", "no-store")


async def test_a_client_that_follows_a_freed_line_gets_there_when_its_cache_forgets_us(house: House) -> None:
    house.current.publish(view())
    arrived = asyncio.Event()

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthere")
        await writer.drain()
        writer.close()
        arrived.set()

    server = await asyncio.start_server(site, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        first = await house.curl("http://news.example.com/a?b=c", "-H", "Accept: text/html")
        assert first is not None
        assert first.headers["location"] == "http://news.example.com/a?b=c", "the very same, by its own name"
        # curl keeps no name between two runs: the second one is sent to the true site
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "--connect-to", f"::127.0.0.1:{port}", first.headers["location"],
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()

    assert arrived.is_set()
    assert output == b"there"


HOSTILE = [
    b"GET /zqxjvkw?q=zqxjvkw HTTP/1.1\r\nHost: zqxjvkw.example.com\r\nUser-Agent: zqxjvkw'\"<script>\r\n\r\n",
    b"GET /%0d%0aSet-Cookie:zqxjvkw HTTP/1.1\r\nHost: zqxjvkw.example.com\r\nCookie: zqxjvkw\r\n\r\n",
    b"POST /zqxjvkw HTTP/1.1\r\nHost: zqxjvkw.example.com\r\nContent-Length: 7\r\n\r\nzqxjvkw",
    b"GET http://zqxjvkw@zqxjvkw.example.com/ HTTP/1.1\r\nHost: zqxjvkw.example.com\r\n\r\n",
    b"ZQXJVKW / HTTP/1.1\r\nHost: zqxjvkw.example.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: zqxjvkw<>.example.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: zqxjvkw.example.com\r\nzqxjvkw\r\n\r\n",
    b"GET /" + b"zqxjvkw" * 3000 + b" HTTP/1.1\r\n\r\n",
    b"zqxjvkw" * 500,
]


async def test_nothing_of_hostile_requests_is_answered_with_or_logged(
    house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        for octets in HOSTILE:
            answer = await said(house.http, octets)
            assert b"zqxjvkw" not in answer.lower()
        for path in ("/zqxjvkw", "/s/zqxjvkw", "/pay?zqxjvkw", "/?lang=zqxjvkw&done=zqxjvkw"):
            page = await house.curl(
                f"https://portal.example.net{path}", "-A", "zqxjvkw", "-e", "https://zqxjvkw.example/"
            )
            assert page is not None
            assert b"zqxjvkw" not in page.body + repr(page.headers).encode()

    out, err = capsys.readouterr()
    assert "zqxjvkw" not in (repr(logs) + caplog.text + out + err).lower()
    assert house.service.counters.malformed >= 4
