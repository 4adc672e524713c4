"""Sockets that outlive the process: what is kept, what is taken back, and what is not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Never

import pytest

from edged.dns.tcp import service as tcp
from edged.dns.udp import service as udp
from edged.errors import ConfigError
from edged.fdstore import FdStore, Place
from edged.host import systemd
from edged.radius.service import RadiusService
from edged.radius.settings import RadiusSettings
from edged.values import Endpoint, parse_address, parse_endpoint

ROOT = Path(__file__).resolve().parents[2]
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


class Told:
    """What the manager was told, and the descriptors that it keeps, by name."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.removed: list[str] = []

    def __call__(self, message: str, fds: Sequence[int]) -> None:
        fields = dict(line.split("=", 1) for line in message.splitlines())
        if "FDSTORE" in fields:
            (fd,) = fds
            self.kept[fields["FDNAME"]] = os.dup(fd)
        else:
            self.removed.append(fields["FDNAME"])
            os.close(self.kept.pop(fields["FDNAME"]))

    def again(self) -> list[tuple[str, int]]:
        """As the next start is passed them: of its own."""
        return [(name, os.dup(fd)) for name, fd in self.kept.items()]


@pytest.fixture
def told() -> Iterator[Told]:
    manager = Told()
    yield manager
    for fd in manager.kept.values():
        os.close(fd)


def free(address: str = "127.0.0.1") -> Endpoint:
    """A port that is free for both, TCP and UDP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(32):
        with socket.socket(family, UDP) as probe, socket.socket(family, TCP) as other:
            probe.bind((address, 0))
            port = int(probe.getsockname()[1])
            with suppress(OSError):
                other.bind((address, port))
                return Endpoint(parse_address(address), port)
    raise AssertionError("no port is free")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_what_comes_while_nobody_reads_is_there_for_the_next_start(told: Told, address: str) -> None:
    endpoint = free(address)
    store = FdStore((), told)
    udp.bind(endpoint, "dns", store).close()
    tcp.bind(endpoint, "dns", store).close()
    here = "::1" if endpoint.address.version == 6 else "127.0.0.1"
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    with socket.socket(family, UDP) as client, socket.create_connection((here, endpoint.port), 1.0) as stream:
        client.sendto(b"early", (here, endpoint.port))
        stream.sendall(b"bird")
        again = FdStore(told.again(), told)
        with closing(udp.bind(endpoint, "dns", again)) as datagrams, closing(tcp.bind(endpoint, "dns", again)) as door:
            assert datagrams.recvfrom(99)[0] == b"early"
            accepted, _ = door.accept()
            with accepted:
                assert accepted.recv(99) == b"bird"
            assert again.holds(datagrams)
            assert again.holds(door)
            assert not datagrams.getblocking()
    assert len(told.kept) == 2, "what is kept already is not kept twice"


def test_without_a_service_manager_a_socket_goes_with_the_process() -> None:
    store = FdStore()
    endpoint = free()
    with closing(udp.bind(endpoint, "dns", store)) as sock:
        assert not store.holds(sock)
    with closing(udp.bind(endpoint, "dns", FdStore())):
        pass


@pytest.mark.parametrize("text", ["192.0.2.77:5300", "[2001:db8::77]:5300"])
def test_an_address_that_is_not_here_is_refused_unless_the_other_edge_of_a_pair_may_have_it(text: str) -> None:
    endpoint = parse_endpoint(text)
    settings = RadiusSettings.model_validate({"auth": [text]})

    def listeners(store: FdStore) -> Iterator[socket.socket]:
        yield udp.bind(endpoint, "dns", store)
        yield tcp.bind(endpoint, "dns", store)

    for store in (FdStore(), FdStore(away=[parse_address("192.0.2.78")])):
        for bind in (udp.bind, tcp.bind):
            with pytest.raises(ConfigError):
                bind(endpoint, "dns", store)
        with pytest.raises(ConfigError):
            asyncio.run(_radius(settings, store))

    store = FdStore(away=[endpoint.address])
    for sock in listeners(store):
        assert sock.getsockname()[:2] == (str(endpoint.address), endpoint.port)
        sock.close()
    asyncio.run(_radius(settings, store))


async def _radius(settings: RadiusSettings, store: FdStore) -> None:
    async def never(*_: object) -> Never:
        raise NotImplementedError

    service = RadiusService(settings, authorize=never, account=never, fds=store)
    await service.start()
    await service.stop()


def test_a_port_of_the_kernels_choice_is_not_kept(told: Told) -> None:
    FdStore((), told).listen(parse_endpoint("127.0.0.1:0"), 1).close()

    assert not told.kept


def test_what_is_no_longer_configured_is_let_go_and_its_port_is_free_for_another_address(told: Told) -> None:
    wide = free("0.0.0.0")
    FdStore((), told).listen(wide, 1).close()
    narrow = Endpoint(parse_address("127.0.0.1"), wide.port)
    again = FdStore(told.again(), told)

    assert again.fit(Counter({Place(TCP, narrow): 1}))

    assert told.removed == [f"stream-0.0.0.0-{wide.port}-0"]
    with closing(again.listen(narrow, 1)) as sock:
        assert sock.getsockname() == ("127.0.0.1", wide.port)


def test_as_many_are_taken_as_there_are_workers_and_the_rest_is_let_go(told: Told) -> None:
    endpoint = free()
    store = FdStore((), told)
    first = udp.bind(endpoint, "dns", store)
    for _ in range(2):
        beside = udp.bind_beside(endpoint, store)
        store.keep(beside, endpoint)
        beside.close()
    first.close()
    assert sorted(told.kept) == [f"dgram-127.0.0.1-{endpoint.port}-{number}" for number in range(3)]
    again = FdStore(told.again(), told)

    again.fit({Place(UDP, endpoint): 2})

    taken = [again.take(UDP, endpoint) for _ in range(3)]
    assert [sock is not None for sock in taken] == [True, True, False]
    for sock in taken:
        if sock is not None:
            sock.close()


def _unfit() -> Iterator[tuple[str, int]]:
    endpoint = free()
    here = (str(endpoint.address), endpoint.port)
    yield "a file", os.open("/dev/null", os.O_RDONLY)
    yield "closed long ago", 999_999
    yield "of another family", socket.socket(socket.AF_UNIX).detach()
    yield "not bound", socket.socket(socket.AF_INET, UDP).detach()
    with socket.socket() as sock:
        sock.bind(here)
        yield "not listening", os.dup(sock.fileno())
    with socket.socket(type=UDP) as sock:
        sock.bind(here)
        sock.connect(("127.0.0.1", 9))
        yield "connected", os.dup(sock.fileno())
    with socket.socket(socket.AF_INET6, UDP) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", endpoint.port))
        yield "of both families", os.dup(sock.fileno())
    yield "raw", socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).detach()
    with socket.socket(type=UDP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        sock.bind(here)
        yield "tied to an interface", os.dup(sock.fileno())


def test_a_descriptor_that_is_not_what_edged_left_is_closed_and_forgotten_and_ends_nothing(told: Told) -> None:
    for name, fd in _unfit():
        told.kept[name] = os.dup(1)

        store = FdStore([(name, fd)], told)

        assert told.removed.pop() == name
        assert not store.fit({}), name
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_socket_that_is_passed_twice_is_used_once(told: Told) -> None:
    endpoint = free()
    FdStore((), told).listen(endpoint, 1).close()
    (only,) = told.kept.values()
    told.kept["twin"] = os.dup(only)

    again = FdStore(told.again(), told)

    assert told.removed == ["twin"]
    with closing(again.listen(endpoint, 1)):
        assert again.take(TCP, endpoint) is None


def test_a_port_that_another_program_has_is_refused_as_ever(told: Told) -> None:
    endpoint = free()
    with socket.socket() as other:
        other.bind((str(endpoint.address), endpoint.port))
        other.listen()

        with pytest.raises(ConfigError, match="is in use"):
            tcp.bind(endpoint, "dns", FdStore((), told))
    assert not told.kept


# --- systemd's side of it ------------------------------------------------------------------------

_PASSED = """
import json, os, sys
from edged.host import systemd
fds, said = json.loads(sys.argv[1])
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
os.environ.update({key: value.replace("$$", str(os.getpid())) for key, value in said.items()})
print(systemd.passed(), [key for key in os.environ if key.startswith("LISTEN_")])
"""


def passed(fds: tuple[int, ...], **said: str) -> str:
    """What a process makes of it; ``$$`` in a value is its own number."""
    done = subprocess.run(
        [sys.executable, "-c", _PASSED, json.dumps([fds, said])],
        check=True, capture_output=True, text=True, pass_fds=fds, cwd=ROOT,
    )  # fmt: skip
    return done.stdout.strip()


def test_what_systemd_passes_is_taken_by_the_process_that_it_is_meant_for_alone() -> None:
    with socket.socket() as a, socket.socket() as b:
        fds = (a.fileno(), b.fileno())
        named = {"LISTEN_FDNAMES": "one:two"}

        assert passed(fds, LISTEN_PID="$$", LISTEN_FDS="2", **named) == "[('one', 3), ('two', 4)] []"
        assert passed(fds, LISTEN_PID="1", LISTEN_FDS="2", **named) == "[] []"
        assert passed(fds, LISTEN_PID="$$", LISTEN_FDS="2") == "[('', 3), ('', 4)] []"
        assert passed(fds, LISTEN_PID="$$", LISTEN_FDS="-2", **named) == "[] []"
        assert passed((), LISTEN_PID="$$", LISTEN_FDS="99999999999999999999") == "[] []"


def test_a_message_brings_its_descriptors_and_the_barrier_waits_until_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, UDP) as manager, socket.socket(type=UDP) as sock:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        sock.bind(("127.0.0.1", 0))

        systemd.notify("FDSTORE=1\nFDNAME=x", (sock.fileno(),))

        message, rights, _, _ = manager.recvmsg(99, socket.CMSG_SPACE(4))
        (kept,) = array("i", rights[0][2])
        assert message == b"FDSTORE=1\nFDNAME=x"
        with socket.socket(fileno=kept) as same:
            assert same.getsockname() == sock.getsockname()
        monkeypatch.setattr(systemd, "_BARRIER", 0.05)
        assert not systemd.barrier(), "nobody has read it"
        # read, and with it the descriptor closed: nobody holds the pipe any more
        manager.recvmsg(99)
        monkeypatch.delenv("NOTIFY_SOCKET")
        assert systemd.barrier()
