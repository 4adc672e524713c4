# SPDX-License-Identifier: Apache-2.0
"""Source address -> RADIUS client by longest prefix, and who else came. Values in, values out; no I/O.

RFC 2865 section 3: the source address, and nothing in the packet, chooses the shared secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.native.radius import Shared, ready
from edged.policy.prefixes import PrefixMap
from edged.radius.heard import Heard, Hearing
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.values import IpAddress, Secret, host_prefix, parse_address

MAX_SOURCES = 4096
"""Resolved sources kept ready; beyond that the memory starts anew, which costs one look-up each."""
MAX_ARRIVALS = 64
"""Strangers remembered for the operator: a page of them. Forged addresses push out the oldest only."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from, and the client that this makes it."""

    address: IpAddress
    client: ClientSettings
    host: str
    """The address as text, which hashes faster."""
    heard: Heard = field(default_factory=Heard)
    """What is known of whoever sends from here."""
    before: Source | None = None
    """The same with the secret that the client had before, while that is still accepted."""
    is_before: bool = False
    """This is that double."""
    rotates: bool = field(init=False, compare=False)
    """One of such a pair."""
    shared: Shared = field(init=False, compare=False, repr=False)
    """The client's secret, ready for use."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotates", self.is_before or self.before is not None)
        object.__setattr__(self, "shared", ready(self.client.secret.reveal()))


@dataclass(slots=True)
class Arrival:
    """A source that no client covers."""

    address: IpAddress
    first_seen: float
    """Epoch seconds."""
    last_seen: float
    count: int = 1


def source_of(address: IpAddress, client: ClientSettings, heard: Heard) -> Source:
    """The source at ``address``, with its double while the client's old secret is still accepted."""
    host, old, heard.client = str(address), client.before, client.name
    before = None if old is None else Source(address, old, host, heard, is_before=True)
    return Source(address, client, host, heard, before)


class Clients:
    """The clients of the configuration, and the strangers."""

    __slots__ = ("_arrivals", "_by_prefix", "_ready", "hearing")

    def __init__(self, settings: RadiusSettings) -> None:
        self.hearing = Hearing()
        """Who has been heard from; a reload forgets none of them."""
        self._arrivals: dict[str, Arrival] = {}
        self._ready: dict[str, Source] = {}
        self._by_prefix: PrefixMap[ClientSettings] = PrefixMap()
        self.replace(settings)

    def replace(self, settings: RadiusSettings) -> None:
        """Take the clients of ``settings`` instead; strangers that are known now are strangers no more."""
        # one that is known by its certificate is heard over TLS alone
        heard = (client for client in settings.clients if client.certificate is None)
        self._by_prefix = PrefixMap((network, client) for client in heard for network in client.networks)
        self._ready = {}
        networks = [network for client in settings.clients for network in client.networks]
        self._arrivals = {
            host: arrival
            for host, arrival in self._arrivals.items()
            if not any(network.contains(host_prefix(arrival.address)) for network in networks)
        }

    def find(self, host: str, now: float) -> Source | None:
        """The client behind ``host``, an address as a socket spells it; None: a stranger, now remembered."""
        source = self._ready.get(host)
        if source is not None:
            source.heard.asked = now
            return source
        address = parse_address(host.partition("%")[0])
        client = self._by_prefix.find(address)
        if client is None:
            self._remember(host, address, now)
            return None
        if len(self._ready) >= MAX_SOURCES:
            self._ready.clear()
        self._ready[host] = source = source_of(address, client, self.hearing.of(str(address)))
        source.heard.asked = now
        return source

    def arrivals(self) -> tuple[Arrival, ...]:
        """The strangers, the latest first."""
        return tuple(reversed(self._arrivals.values()))

    def client_at(self, address: IpAddress) -> ClientSettings | None:
        """The client that ``address`` makes over UDP; nobody is remembered for it."""
        return self._by_prefix.find(address)

    def secret_at(self, address: IpAddress, client: ClientSettings) -> Secret:
        """What the NAS of ``client`` at ``address`` knows: the secret before, until it has proven the new one."""
        old, heard = client.secret_before, self.hearing.find(str(address))
        return client.secret if old is None or heard is None or not heard.uses_old_secret else old

    def meet(self, host: str, now: float) -> None:
        """Remember one that came over TLS and that no client covers."""
        self._remember(host, parse_address(host.partition("%")[0]), now)

    def _remember(self, host: str, address: IpAddress, now: float) -> None:
        arrival = self._arrivals.pop(host, None)
        if arrival is None:
            if len(self._arrivals) >= MAX_ARRIVALS:
                del self._arrivals[next(iter(self._arrivals))]
            arrival = Arrival(address, now, now, 0)
        arrival.count += 1
        arrival.last_seen = now
        self._arrivals[host] = arrival
