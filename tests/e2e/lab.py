# SPDX-License-Identifier: Apache-2.0
"""Network namespaces with real packets: subscribers (here two, by cable), a router, an internet. Needs root.

``with Lab(prefix="edged-t1") as lab``: all it makes bears the prefix and is gone afterwards, processes too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

PORTAL4, PORTAL6 = "203.0.113.10", "2001:db8::10"
GARDEN4, GARDEN6 = "203.0.113.20", "2001:db8::20"
RESOLVER4, RESOLVER6 = "203.0.113.53", "2001:db8::53"
WEB4, WEB6 = "203.0.113.80", "2001:db8::80"
BAD4, BAD6 = "100.64.1.7", "2001:db8:100:700::7"
BAD_PREFIX6 = "2001:db8:100:700::/56"
GOOD4, GOOD6 = "100.64.1.9", "2001:db8:100:900::9"
ROUTER4, ROUTER6 = "100.64.0.1", "2001:db8:100::1"
"""The router's own addresses on the subscribers' side."""
BAD_MAC, GOOD_MAC = "02:00:5e:10:00:01", "02:00:5e:10:00:02"
LAN, WAN = "lan0", "wan0"

Proto = Literal["tcp", "udp"]

_CLONE_NEWNET = 0x40000000
_ROUTER = (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"))
_EVERYWHERE = (("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0"))


def available() -> str:
    """Why a lab cannot be built here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    return f"needs {', '.join(missing)}" if missing else ""


class Lab:
    """The namespaces while the context lasts."""

    subscribers: tuple[str, ...] = ("bad", "good")

    def __init__(self, *, prefix: str = "edged-lab") -> None:
        self.prefix = prefix
        self._children: list[subprocess.Popen[str]] = []
        self._servers: list[Server] = []
        self._cables: list[str] = []
        self._commands: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        self._remove()  # what a killed run of the same name left behind
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for server in self._servers:
                server.close()
            for child in self._children:
                _end(child)
        finally:
            self._servers.clear()
            self._children.clear()
            self._remove()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every namespace of the lab."""
        return (*self.subscribers, "router", "internet")

    def name(self, namespace: str) -> str:
        """The namespace's name as ``ip netns`` knows it."""
        return f"{self.prefix}-{namespace}"

    def run(
        self,
        namespace: str,
        *command: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002  # as subprocess calls it
        timeout: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` in the namespace to its end; AssertionError with what it said when it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name(namespace), *command],
            check=False,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} in {namespace}: {done.stderr or done.stdout}")
        return done

    def popen(self, namespace: str, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``command`` in the namespace, its output on pipes; it ends with the lab at the latest."""
        # ip netns exec replaces itself by the command: the child's pid is the command's
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.name(namespace), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        self._children.append(child)
        return child

    @contextlib.contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """The calling thread in the namespace: sockets, threads and children made meanwhile stay there."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.name(namespace)}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            try:
                yield
            finally:
                _setns(here)
        finally:
            os.close(here)
            os.close(there)

    def serve(self, namespace: str, name: str, listeners: Iterable[tuple[Proto, str, int]]) -> Server:
        """A server that answers everything with its name and whom it sees."""
        with self.inside(namespace):
            server = Server(name, listeners)
        self._servers.append(server)
        return server

    def ask(
        self,
        namespace: str,
        proto: Proto,
        address: str,
        port: int,
        *,
        source_port: int = 0,
        timeout: float = 2.0,
    ) -> str:
        """What a server answers to one question from the namespace. OSError as the kernel gives it."""
        with self.socket(namespace, proto, address, port, source_port=source_port, timeout=timeout) as client:
            client.send(b"?")
            return client.recv(1500).decode()

    def socket(
        self,
        namespace: str,
        proto: Proto,
        address: str,
        port: int,
        *,
        source_port: int = 0,
        timeout: float = 2.0,
    ) -> socket.socket:
        """A connected socket in the namespace."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
        with self.inside(namespace):
            client = socket.socket(family, kind)
        try:
            client.settimeout(timeout)
            if source_port:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind(("::" if ":" in address else "0.0.0.0", source_port))
            client.connect((address, port))
        except BaseException:
            client.close()
            raise
        return client

    def _build(self) -> None:
        _ip_batch([f"netns add {self.name(namespace)}" for namespace in self.namespaces])
        self._cables.clear()
        self._commands = {namespace: ["link set lo up"] for namespace in self.namespaces}
        self._ip("router", "link", "add", LAN, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self._connect()
        self._cable("internet", "router", WAN, None)
        self._address("router", WAN, "203.0.113.1/24", "2001:db8::1/64")
        # on the loopback: always up, and small kernels have no dummy device
        self._address("router", "lo", f"{PORTAL4}/32", f"{PORTAL6}/128")
        inet = ((RESOLVER4, RESOLVER6), (WEB4, WEB6), (GARDEN4, GARDEN6))
        self._address("internet", "eth0", *(a for v4, v6 in inet for a in (f"{v4}/24", f"{v6}/64")))
        self._ip("internet", "route", "add", "100.64.0.0/10", "via", "203.0.113.1")
        self._ip("internet", "route", "add", "2001:db8:100::/40", "via", "2001:db8::1")
        _ip_batch(self._cables)
        for namespace, commands in self._commands.items():
            with self.inside(namespace):
                for name, value in (*_EVERYWHERE, *(_ROUTER if namespace == "router" else ())):
                    Path("/proc/sys/net", name).write_text(value)
                _ip_batch(commands)

    def _connect(self) -> None:
        """The subscribers to the router."""
        self._address("router", LAN, f"{ROUTER4}/10", f"{ROUTER6}/40")
        for name, mac, v4, v6 in (("bad", BAD_MAC, BAD4, BAD6), ("good", GOOD_MAC, GOOD4, GOOD6)):
            self._cable(name, "router", f"p-{name}", mac)
            self._ip("router", "link", "set", f"p-{name}", "master", LAN, "up")
            self._address(name, "eth0", f"{v4}/10", f"{v6}/40")
            self._ip(name, "route", "add", "default", "via", ROUTER4)
            self._ip(name, "route", "add", "default", "via", ROUTER6)

    def _cable(self, end: str, router: str, port: str, mac: str | None) -> None:
        address = f"address {mac} " if mac else ""
        self._cables.append(
            f"link add eth0 netns {self.name(end)} {address}type veth peer name {port} netns {self.name(router)}"
        )

    def _address(self, namespace: str, device: str, *addresses: str) -> None:
        for address in addresses:
            nodad = ("nodad",) if ":" in address else ()
            self._ip(namespace, "address", "add", address, "dev", device, *nodad)
        self._ip(namespace, "link", "set", device, "up")

    def _ip(self, namespace: str, *arguments: str) -> None:
        """One command for when the cables are there; a program for each would take a second or two."""
        self._commands[namespace].append(" ".join(arguments))

    def _remove(self) -> None:
        for namespace in self.namespaces:
            if not Path(f"/run/netns/{self.name(namespace)}").exists():
                continue
            pids = subprocess.run(
                ["ip", "netns", "pids", self.name(namespace)], check=False, capture_output=True, text=True
            ).stdout
            for pid in map(int, pids.split()):
                if pid != os.getpid():  # a thread of ours may be inside
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", self.name(namespace)], check=False)


class Server:
    """Answers every datagram and every connection with its name and the peer's address, in a thread."""

    def __init__(self, name: str, listeners: Iterable[tuple[Proto, str, int]]) -> None:
        self.asked = 0
        """Questions so far."""
        self._name = name
        self._selector = selectors.DefaultSelector()
        for proto, address, port in listeners:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((address, port))
            if proto == "tcp":
                listener.listen(64)
            self._selector.register(listener, selectors.EVENT_READ, proto)
        self._running = True
        self._thread = threading.Thread(target=self._serve, name=f"lab-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and close every socket; once is enough."""
        if not self._running:
            return
        self._running = False
        self._thread.join(5.0)
        for key in list(self._selector.get_map().values()):
            _socket(key.fileobj).close()
        self._selector.close()

    def _serve(self) -> None:
        while self._running:
            for key, _ in self._selector.select(0.1):
                with contextlib.suppress(OSError):
                    self._answer(_socket(key.fileobj), key.data)

    def _answer(self, ready: socket.socket, what: str) -> None:
        match what:
            case "udp":
                question, peer = ready.recvfrom(65535)
                self.asked += 1
                # never shorter than the question: some paths let only packets of one size through
                ready.sendto(f"{self._name} {peer[0]}".encode().ljust(len(question)), peer)
            case "tcp":
                connection, _ = ready.accept()
                connection.setblocking(False)
                self._selector.register(connection, selectors.EVENT_READ, "connection")
            case _:
                self._answer_connection(ready)

    def _answer_connection(self, ready: socket.socket) -> None:
        try:
            question = ready.recv(65535)
            if question:
                self.asked += 1
                ready.sendall(f"{self._name} {ready.getpeername()[0]}".encode())
        except OSError:
            question = b""
        if not question:
            self._selector.unregister(ready)
            ready.close()


def until(condition: str, check: object, *, timeout: float = 5.0) -> None:
    """Wait until ``check()`` is true; AssertionError with ``condition`` when it is not in time."""
    if not callable(check):
        raise TypeError("check is a function")
    end = time.monotonic() + timeout
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:.0f} s: {condition}")
        time.sleep(0.02)


def _socket(thing: object) -> socket.socket:
    if not isinstance(thing, socket.socket):
        raise TypeError("only sockets are registered")
    return thing


def _ip_batch(commands: list[str]) -> None:
    done = subprocess.run(
        ["ip", "-batch", "-"], check=False, input="\n".join(commands), capture_output=True, text=True, timeout=30.0
    )
    if done.returncode:
        raise AssertionError(f"ip: {done.stderr} in {commands}")


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()
