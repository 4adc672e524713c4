# SPDX-License-Identifier: Apache-2.0
"""What others say when they are asked: edged itself, its listeners, the upstreams, billing. I/O; changes nothing.

Each is asked what it is asked all day; the listeners count one visit from this host.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from edged.billing import signing
from edged.billing.client import BillingClient, StatusError
from edged.billing.settings import BillingSettings
from edged.billing.sources import open_source
from edged.captive.acme.record import FOLDER, certificate_files
from edged.captive.settings import CertificateAcme
from edged.config.schema import Config
from edged.dns.answer import query
from edged.dns.client import RefusedError, Resolver
from edged.dns.codes import Type
from edged.dns.message import ask
from edged.dns.question import Question
from edged.dns.settings import UpstreamSettings
from edged.errors import UpstreamError
from edged.ops.control import Refused, call
from edged.ops.doctor.looking import Hung, Unknown, addresses
from edged.ops.doctor.values import Daemon, HubVisit, Upstream, Visit
from edged.ops.probe.orders import CHECKS
from edged.state.shared.presence import Inspection
from edged.state.shared.target import parse_target, shared_seal
from edged.values import Endpoint, host_prefix

_ASK_S = 4.0
_VISIT_S = 3.0
_HUB_OCTETS = 64 * 1024
"""Of an answer without a body."""
_CREATED = re.compile(r";created=([0-9]{1,15});")
_PEER = struct.Struct("3i")


def daemon(config: Config) -> Daemon:
    """The running edged, as it sees itself. Unknown; Hung when it is there and says nothing."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_S)
            connection.connect(str(config.ops.socket))
            pid, _, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    except PermissionError:
        raise Unknown(f"you may not open {config.ops.socket}; become root or join the group edged") from None
    except OSError:
        raise Unknown("the daemon does not answer on its control socket (not running?)") from None
    begun = time.monotonic()
    try:
        return Daemon(call(config.ops.socket, "status", patience=_ASK_S), pid)
    except Refused as refusal:
        if time.monotonic() - begun >= _ASK_S:
            raise Hung(pid) from None
        raise Unknown(str(refusal)) from None


def inside(config: Config) -> dict[str, Any]:
    """What edged says of a made-up blocked subscriber and of its keys. Unknown."""
    try:
        told: dict[str, Any] = call(config.ops.socket, "rehearse", patience=_ASK_S)
    except Refused as refusal:
        older = "; is it an older edged than this command? systemctl restart edged" if refusal.status == 2 else ""
        raise Unknown(f"edged was not asked: {refusal}{older}") from None
    return told


def shared(config: Config) -> Inspection:
    """One look at the store that edges share; it takes four seconds at most."""
    state = config.state
    if state.database == "sqlite":
        return Inspection()
    try:
        from edged.state.shared.inspection import inspect
    except ImportError as error:
        return Inspection(error=f"{error.name} is not installed: edged[postgresql]")

    async def looked() -> Inspection:
        seal = shared_seal(state.shared_key) if state.shared_key is not None else None
        try:
            async with asyncio.timeout(_ASK_S):
                return await inspect(parse_target(state.database, state.database_password), seal)
        except TimeoutError:
            return Inspection(error=f"the shared store: no answer in {_ASK_S:.0f} s")

    return asyncio.run(looked())


# --- the listeners -------------------------------------------------------------------------------


def _at(endpoint: Endpoint, own: frozenset[str], config: Config) -> str:
    """The address by which a listener of ours is reached from here."""
    if not endpoint.address.is_unspecified:
        return str(endpoint.address)
    first = next((a for a in config.portal.addresses if a.version == endpoint.address.version and str(a) in own), None)
    loopback = {4: "127.0.0.1", 6: "::1"}[endpoint.address.version]
    return str(first) if first is not None else loopback


def _visited(at: str, visit: Callable[[], tuple[int, str]]) -> Visit:
    begun = time.monotonic()
    try:
        status, doubt = visit()
    except TimeoutError:
        return Visit(at, "no answer")
    except OSError as error:
        return Visit(at, (error.strerror or str(error)).lower())
    return Visit(at, "", time.monotonic() - begun, status, not doubt, doubt)


def _all(visits: Iterable[tuple[str, Callable[[], tuple[int, str]]]]) -> tuple[Visit, ...]:
    """Every listener at once: one that hangs costs no other its turn."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(lambda one: _visited(*one), visits))


def named(config: Config) -> tuple[Visit, ...]:
    """Every DNS listener, asked for the portal's own name by UDP and TCP; REFUSED is an answer, too."""
    own, asked = addresses(), ask(config.portal.host or "example.com")
    octets = query(asked, 4711, asked.qname)
    kinds = ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp"))
    return _all(
        (f"{endpoint}/{name}", partial(_asked, kind, (_at(endpoint, own, config), endpoint.port), octets))
        for endpoint in config.dns.listen
        for kind, name in kinds
    )


def _asked(kind: socket.SocketKind, at: tuple[str, int], octets: bytes) -> tuple[int, str]:
    with socket.socket(socket.AF_INET6 if ":" in at[0] else socket.AF_INET, kind) as client:
        client.settimeout(_VISIT_S)
        client.connect(at)
        if kind is socket.SOCK_DGRAM:
            client.send(octets)
            answer = client.recv(4096)
        else:
            client.sendall(len(octets).to_bytes(2, "big") + octets)
            answer = client.recv(4096)[2:]
    if answer[:2] != octets[:2]:
        raise OSError(0, "what answers is no DNS server" if answer else "the connection was closed without an answer")
    return 0, ""


def opened(config: Config) -> tuple[Visit, ...]:
    """Every listener of the page, opened from here."""
    own, listen, host = addresses(), config.portal.listen, config.portal.host
    trust = ssl.create_default_context()
    if config.portal.certificate is None:
        # one that stands in is nobody's to believe: the check of the certificate says so
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    https = () if _is_awaited(config) else listen.https
    return _all([
        *((f"{e} HTTP", partial(_opened, (_at(e, own, config), e.port), host, None)) for e in listen.http),
        *((f"{e} TLS", partial(_opened, (_at(e, own, config), e.port), host, trust)) for e in https),
    ])  # fmt: skip


def _is_awaited(config: Config) -> bool:
    """True while edged has still to fetch its first certificate: until then nothing is served over TLS."""
    if not isinstance(config.portal.certificate, CertificateAcme):
        return False
    try:
        return not certificate_files(config.state.directory / FOLDER, config.portal.host).chain.exists()
    except OSError:
        return False


def _opened(at: tuple[str, int], host: str, trust: ssl.SSLContext | None) -> tuple[int, str]:
    """The status of ``/``, and why its certificate is not believed."""
    try:
        return _status(at, host, trust), ""
    except ssl.SSLCertVerificationError as error:
        doubt = error.verify_message
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    return _status(at, host, blind), doubt


def _status(at: tuple[str, int], host: str, trust: ssl.SSLContext | None) -> int:
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    plain = socket.create_connection(at, timeout=_VISIT_S)
    # what wraps it takes it over, and closes it where it fails
    with plain if trust is None else trust.wrap_socket(plain, server_hostname=host) as client:
        client.sendall(request.encode())
        answer = client.recv(4096)
    words = answer.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise OSError(0, "what answers is no web server" if answer else "the connection was closed without an answer")
    if words[1].startswith(b"5"):
        raise OSError(0, f"it answers {words[1].decode()}")
    return int(words[1])


# --- upstreams, garden, billing ------------------------------------------------------------------


def upstreams(config: Config) -> tuple[Upstream, ...]:
    """Every upstream, asked one question."""
    names = [name for name in config.garden.all_names() if name[0] not in "*."]
    asked = ask(names[0] if names else config.portal.host or "example.com")

    async def one(upstream: UpstreamSettings) -> Upstream:
        resolver = Resolver((upstream,))
        begun, error = time.monotonic(), ""
        try:
            async with asyncio.timeout(_ASK_S):
                await _answered(resolver, asked)
        except TimeoutError:
            error = "no answer"
        except UpstreamError as reason:
            error = str(reason)
        await resolver.stop()
        return Upstream(str(upstream), str(upstream.address), time.monotonic() - begun, error)

    async def every() -> tuple[Upstream, ...]:
        return tuple(await asyncio.gather(*map(one, config.dns.upstreams)))

    return asyncio.run(every())


async def _answered(resolver: Resolver, asked: Question) -> None:
    """UpstreamError unless the upstream answers; a name that it has trouble with is no fault of its own."""
    try:
        await resolver.find(asked)
    except RefusedError:
        await resolver.find(ask(".", Type.NS))


def swallowed(config: Config) -> tuple[tuple[str, str], ...]:
    """Hosts of connectivity checks whose true address stands in ``garden.networks``, each with that address."""
    if not config.garden.networks or not config.dns.upstreams:
        return ()

    async def one(resolver: Resolver, host: str) -> list[tuple[str, str]]:
        try:
            async with asyncio.timeout(_ASK_S):
                answers = [await resolver.find_addresses(ask(host, kind)) for kind in (Type.A, Type.AAAA)]
        except (TimeoutError, UpstreamError):
            return []  # that nobody answers is for the check of the upstreams
        held = (address for answer in answers for address in answer.held)
        return [(host, str(a)) for a in held if any(n.contains(host_prefix(a)) for n in config.garden.networks)]

    async def every() -> tuple[tuple[str, str], ...]:
        resolver = Resolver(config.dns.upstreams)
        try:
            found = await asyncio.gather(*(one(resolver, check.probe.host) for check in CHECKS))
        finally:
            await resolver.stop()
        return tuple(each for several in found for each in several)

    return asyncio.run(every())


def garden(config: Config) -> tuple[tuple[str, str], ...]:
    """Each name of the garden that can be asked for, and why it has no address."""
    names = [name for name in config.garden.all_names() if name[0] not in "*."]

    async def one(resolver: Resolver, name: str) -> tuple[str, str]:
        try:
            async with asyncio.timeout(_ASK_S):
                answers = [await resolver.find_addresses(ask(name, kind)) for kind in (Type.A, Type.AAAA)]
        except TimeoutError:
            return name, "no answer"
        except UpstreamError as reason:
            return name, str(reason)
        return name, "" if any(answer.held for answer in answers) else "no address"

    async def every() -> tuple[tuple[str, str], ...]:
        resolver = Resolver(config.dns.upstreams)
        try:
            return tuple(await asyncio.gather(*(one(resolver, name) for name in names)))
        finally:
            await resolver.stop()

    return asyncio.run(every()) if config.dns.upstreams else ()


def billing(config: Config) -> str:
    """What billing says to a question about one subscriber; empty: it answered."""
    return "" if config.billing is None else tried_billing(config.billing)


def tried_billing(settings: BillingSettings) -> str:
    """The same, of any settings; it takes four seconds at most."""

    async def asked() -> str:
        source = open_source(settings)
        try:
            async with asyncio.timeout(_ASK_S):
                await source.read_one("1")
        except TimeoutError:
            return f"{source.name}: no answer in {_ASK_S:.0f} s"
        except UpstreamError as error:
            return str(error)
        finally:
            await source.close()
        return ""

    return asyncio.run(asked())


def hub(config: Config) -> HubVisit | None:
    """What the hub of this edge answers to a question for its list, and how its clock stands; None: there is no hub."""
    settings = config.billing
    if settings is None or settings.source != "hub":
        return None
    return asyncio.run(_hub_asked(settings))


async def _hub_asked(settings: BillingSettings) -> HubVisit:
    url, key = (settings.url or "").rstrip("/"), settings.secret or settings.key
    client = BillingClient(
        urlsplit(url).hostname or "hub", seconds=_ASK_S, octets=_HUB_OCTETS, authority=settings.ca
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {key.reveal_text()}"} if key else {}
    status = 0
    try:
        sent = time.time()
        reply = await client.request("HEAD", f"{url}/subscribers", headers=headers)
        here, status = (sent + time.time()) / 2, reply.status
        if status == 503:
            return HubVisit(client.name, f"{client.name} answered 503: it has no list to serve yet", status=status)
        if status != 200:
            return HubVisit(client.name, str(StatusError(client.name, status)), status=status)
        signing.verify(settings.signed_by, reply.path, reply.query, reply.headers, None)
        created = _CREATED.search(reply.header("Signature-Input"))
    except UpstreamError as error:
        return HubVisit(client.name, str(error), status=status)
    finally:
        await client.close()
    # whole seconds: half of one is the least that this is wrong by
    return HubVisit(client.name, "", int(created[1]) + 0.5 - here if created else 0.0)
