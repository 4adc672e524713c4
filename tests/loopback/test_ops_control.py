# SPDX-License-Identifier: Apache-2.0
"""The control socket: what every command, every refusal and every rubbish is answered with."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.errors import ConfigError, UpstreamError
from edged.ops import control
from edged.ops.control import REQUEST_OCTETS, ControlServer, Refused, Tell, call

Answer = dict[str, Any]

PERMITTED = 32
"""Connections at once."""


async def echo(request: Answer, _tell: Tell) -> Answer:
    return request


async def refuse(request: Answer, _tell: Tell) -> Answer:
    raise Refused("there is no such subscriber", int(request.get("status", 1)))


async def misconfigured(_request: Answer, _tell: Tell) -> Answer:
    raise ConfigError.of("billing.path", "nothing", "a file")


async def unreachable(_request: Answer, _tell: Tell) -> Answer:
    raise UpstreamError("database: it is locked")


async def shape(request: Answer, _tell: Tell) -> Answer:
    return {"subject": request["subject"], "seconds": int(float(request["seconds"]))}


async def big(request: Answer, _tell: Tell) -> str:
    return "x" * int(request["octets"])


async def slow(request: Answer, tell: Tell) -> Answer:
    for done in range(3):
        tell("subscribers", done, 3)
        await asyncio.sleep(0.25)
    return request


async def busy(request: Answer, tell: Tell) -> Answer:
    for done in range(50_000):
        tell("subscribers", done, None)
        if done % 500 == 0:
            await asyncio.sleep(0)
    return request


async def loud(request: Answer, tell: Tell) -> Answer:
    for done in range(3):
        tell("x" * 1_000_000, done, 3)
        await asyncio.sleep(0.25)
    return request


COMMANDS = {
    "slow": slow, "busy": busy, "loud": loud,
    "echo": echo, "refuse": refuse, "misconfigured": misconfigured, "unreachable": unreachable, "shape": shape,
    "big": big,
}  # fmt: skip


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    served = ControlServer(tmp_path / "control.sock", COMMANDS, request_s=0.3)
    await served.start()
    yield served
    await served.stop()


async def ask(server: ControlServer, command: str, **arguments: Any) -> Any:
    """As the ``edged`` command asks, which blocks."""
    return await asyncio.to_thread(call, server.path, command, **arguments)


async def refusal(server: ControlServer, command: str, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(Refused) as raised:
        await ask(server, command, **arguments)
    return str(raised.value), raised.value.status


async def told(server: ControlServer, octets: bytes) -> bytes:
    """All that the server says to ``octets`` before it closes."""
    reader, writer = await asyncio.open_unix_connection(server.path)
    try:
        writer.write(octets)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


# --- answers ---------------------------------------------------------------------------------------


async def test_a_command_gets_its_arguments_and_its_result_comes_back(server: ControlServer) -> None:
    assert await ask(server, "echo", subject="Zoë \N{SNOWMAN}\n", count=3) == {
        "subject": "Zoë \N{SNOWMAN}\n",
        "count": 3,
    }


async def test_an_answer_of_megabytes_arrives_whole(server: ControlServer) -> None:
    assert len(await ask(server, "big", octets=5_000_000)) == 5_000_000


async def test_a_refusal_carries_its_sentence_and_its_exit_status(server: ControlServer) -> None:
    assert await refusal(server, "refuse") == ("there is no such subscriber", 1)
    assert await refusal(server, "refuse", status=2) == ("there is no such subscriber", 2)


async def test_what_the_operator_must_mend_is_a_sentence_with_status_78(server: ControlServer) -> None:
    assert await refusal(server, "misconfigured") == ("billing.path: nothing; expected a file", 78)


async def test_what_another_system_did_is_a_sentence_with_status_1(server: ControlServer) -> None:
    assert await refusal(server, "unreachable") == ("database: it is locked", 1)


async def test_a_command_that_nobody_knows_is_refused_as_usage(server: ControlServer) -> None:
    assert await refusal(server, "reboot") == ("not a command that this edged knows", 2)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"subject": "x"}, {"subject": "x", "seconds": "soon"}, {"subject": "x", "seconds": []},
     {"subject": "x", "seconds": 1e999}, {"subject": "x", "seconds": float("nan")}],
)  # fmt: skip
async def test_arguments_of_the_wrong_shape_are_refused_as_usage(server: ControlServer, arguments: Answer) -> None:
    sentence, status = await refusal(server, "shape", **arguments)

    assert sentence.startswith("the arguments of shape are not of its form")
    assert status == 2


RUBBISH = (
    b"\n", b"{}\n", b"[]\n", b"null\n", b"7\n", b'"status"\n', b"\xff\xfe\n", b"[" * 5000 + b"\n", b"{" * 5000 + b"\n",
    b'{"command": []}\n', b'{"command": {}}\n', b'{"command": null}\n', b'{"command": "echo"\n', b"GET / HTTP/1.1\r\n",
    b'{"command": ' + b"9" * 5000 + b"}\n", b'["command"]\n', bytes(range(256)) + b"\n",
)  # fmt: skip


@pytest.mark.parametrize("octets", RUBBISH, ids=range(len(RUBBISH)))
async def test_rubbish_is_answered_in_one_line_and_ends_nothing(server: ControlServer, octets: bytes) -> None:
    said = await told(server, octets)

    assert json.loads(said) == {"ok": False, "error": "not a command that this edged knows", "exit": 2}
    assert said.endswith(b"\n")
    assert await ask(server, "echo") == {}


async def test_a_request_whose_last_line_is_not_ended_is_answered_when_its_peer_has_said_all(
    server: ControlServer,
) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"command": "echo"}')
    writer.write_eof()

    assert json.loads(await reader.read()) == {"ok": True, "result": {}}
    writer.close()


async def test_one_connection_is_one_command(server: ControlServer) -> None:
    said = await told(server, b'{"command": "echo", "n": 1}\n{"command": "echo", "n": 2}\n')

    assert said in {b'{"ok": true, "result": {"n": 1}}\n', b""}, "what follows the first line is never looked at"


# --- bounds ----------------------------------------------------------------------------------------


async def test_a_line_beyond_the_bound_is_cut_off_and_ends_nothing(server: ControlServer) -> None:
    assert await told(server, b'{"command": "echo", "csv": "' + b"x" * REQUEST_OCTETS + b'"}\n') == b""
    assert await ask(server, "echo") == {}


async def test_a_request_just_below_the_bound_is_answered(server: ControlServer) -> None:
    csv = "x" * (REQUEST_OCTETS - 1000)

    assert len((await ask(server, "echo", csv=csv))["csv"]) == len(csv)


async def test_the_command_itself_says_that_a_request_is_too_large(server: ControlServer) -> None:
    sentence, status = await refusal(server, "echo", csv="x" * REQUEST_OCTETS)

    assert "8 MiB" in sentence
    assert status == 2


@pytest.mark.parametrize("octets", [b"", b'{"command": "ec'])
async def test_a_peer_that_stalls_is_cut_without_an_answer(server: ControlServer, octets: bytes) -> None:
    assert await told(server, octets) == b""


async def test_a_peer_that_does_not_read_its_answer_is_cut(server: ControlServer) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every stream transport
    writer.write(b'{"command": "big", "octets": 8000000}\n')
    await asyncio.sleep(0.6)
    writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above

    try:
        said = await reader.read()
    except ConnectionResetError:
        said = b""
    assert len(said) < 8_000_000
    writer.close()


async def test_the_thirty_third_connection_is_closed_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control.sock", COMMANDS)
    await server.start()
    waiting = [await asyncio.open_unix_connection(server.path) for _ in range(PERMITTED)]
    await asyncio.sleep(0.05)

    sentence, status = await refusal(server, "echo")
    assert status == 69
    assert "answer" in sentence
    for reader, writer in waiting:
        writer.write(b'{"command": "echo"}\n')
        assert await reader.readline() == b'{"ok": true, "result": {}}\n'
        writer.close()
    await asyncio.sleep(0.05)
    assert await ask(server, "echo") == {}, "there is room again"
    await server.stop()


# --- the socket file -------------------------------------------------------------------------------


async def test_the_socket_is_for_its_owner_and_its_group(server: ControlServer) -> None:
    assert server.path.is_socket()
    assert server.path.stat().st_mode & 0o777 == 0o660


async def test_the_umask_of_the_daemon_is_as_before(tmp_path: Path) -> None:
    os.umask(before := os.umask(0o027))
    server = ControlServer(tmp_path / "control.sock", COMMANDS)
    await server.start()
    os.umask(after := os.umask(0o027))
    await server.stop()

    assert after == before


async def test_a_socket_file_that_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    server = ControlServer(path, COMMANDS)

    await server.start()

    assert await ask(server, "echo") == {}
    await server.stop()


async def test_a_living_daemons_socket_is_left_alone(server: ControlServer) -> None:
    second = ControlServer(server.path, COMMANDS)

    with pytest.raises(ConfigError, match="served by another edged"):
        await second.start()

    await second.stop()
    assert await ask(server, "echo") == {}


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")

    with pytest.raises(ConfigError, match=r"ops\.socket"):
        await ControlServer(path, COMMANDS).start()

    assert path.read_text() == "precious"


async def test_a_path_too_long_for_a_socket_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"):
        await ControlServer(tmp_path / ("x" * 120), COMMANDS).start()


async def test_a_directory_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a directory")

    with pytest.raises(ConfigError, match=r"Not a directory|File exists"):
        await ControlServer(tmp_path / "run" / "edged" / "control.sock", COMMANDS).start()


async def test_stopping_removes_the_socket_file_and_may_be_done_twice(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "run" / "control.sock", COMMANDS)
    await server.start()

    await server.stop()
    await server.stop()

    assert not list(server.path.parent.iterdir())


async def test_ending_the_daemon_under_an_open_connection_is_no_fault(server: ControlServer) -> None:
    faults: list[Answer] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"command": "ec')
    await asyncio.sleep(0.02)

    (serving,) = (task for task in asyncio.all_tasks() if "_serve" in repr(task.get_coro()))
    serving.cancel()

    assert await reader.read() == b""
    await asyncio.sleep(0)
    assert not faults
    writer.close()


# --- the command's end -----------------------------------------------------------------------------


def test_calling_nobody_is_refused_with_status_69(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not running") as raised:
        call(tmp_path / "control.sock", "status")

    assert raised.value.status == os.EX_UNAVAILABLE


def test_calling_a_dead_daemons_socket_is_refused_with_status_69(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    with pytest.raises(Refused, match="not running") as raised:
        call(path, "status")

    assert raised.value.status == os.EX_UNAVAILABLE


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", "without an answer"), (b'{"ok": tr', "without an answer"), (b"HTTP/1.1 400\r\n", "is not edged"),
        (b"[]\n", "is not edged"), (b"{}\n", "is not edged"), (b'{"ok": false}\n', "is not edged"),
        (b'{"ok": false, "error": "x", "exit": "soon"}\n', "is not edged"), (b"\xff\n", "is not edged"),
        (b'{"progress": 1}\n', "is not edged"), (b'{"progress"\n', "is not edged"),
        (b'{"progress": [1, 2, 3]}\n' + b"x" * 2000, "without an answer"),
    ],
)  # fmt: skip
async def test_whatever_answers_in_edgeds_place_the_command_says_one_sentence(
    tmp_path: Path, said: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_OCTETS", 1000)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "control.sock")
    async with server:
        with pytest.raises(Refused, match=sentence) as raised:
            await asyncio.to_thread(call, tmp_path / "control.sock", "status", tell=lambda *_: None)

    assert raised.value.status == os.EX_UNAVAILABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_socket_that_one_may_not_open_is_said_to_be_so(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.path.parent.chmod(0o755)
    monkeypatch.chdir(server.path.parent)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        with pytest.raises(Refused, match="join the group edged") as raised:
            call(Path("control.sock"), "status")
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)

    assert raised.value.status == os.EX_UNAVAILABLE


async def test_what_takes_long_says_how_far_it_is_before_the_answer(server: ControlServer) -> None:
    heard: list[tuple[str, int, int | None]] = []

    answer = await asyncio.to_thread(call, server.path, "slow", tell=lambda *said: heard.append(said), subject="x")

    assert answer == {"subject": "x"}
    assert heard == [("subscribers", 0, 3), ("subscribers", 1, 3), ("subscribers", 2, 3)]


async def test_who_does_not_ask_for_progress_gets_the_answer_alone(server: ControlServer) -> None:
    assert await asyncio.to_thread(call, server.path, "slow", subject="x") == {"subject": "x"}


async def test_what_says_how_far_it_is_all_the_time_is_passed_on_a_few_times_a_second(server: ControlServer) -> None:
    heard: list[tuple[str, int, int | None]] = []
    began = time.monotonic()

    await asyncio.to_thread(call, server.path, "busy", tell=lambda *said: heard.append(said))

    assert heard[0] == ("subscribers", 0, None)
    assert len(heard) <= 1 + (time.monotonic() - began) / 0.2


async def test_progress_does_not_pile_up_before_a_peer_that_does_not_read(server: ControlServer) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"command": "loud", "subject": "x"}\n')
    await asyncio.sleep(0.6)

    async with asyncio.timeout(5):
        *progress, answer = (await reader.read()).splitlines()
    writer.close()

    assert [json.loads(line)["progress"][1:] for line in progress] == [[0, 3]]
    assert json.loads(answer) == {"ok": True, "result": {"subject": "x"}}


async def many(request: Answer, _tell: Tell) -> Answer:
    assert not request
    rows = [{"id": f"k-{n}", "seen": ["a", None], "rate": {"down": 1.5}, "name": 'Flat "ü"'} for n in range(1000)]
    return {"schema": 1, "rows": rows, "empty": [], "none": None, "inner": {"deep": {}, "short": [1, {"a": ()}]}}


async def test_a_long_list_is_the_same_json_as_a_short_one(tmp_path: Path) -> None:
    served = ControlServer(tmp_path / "control.sock", {"many": many})
    await served.start()
    try:
        answer = await ask(served, "many")
    finally:
        await served.stop()

    assert answer == json.loads(json.dumps(await many({}, lambda *_: None)))
