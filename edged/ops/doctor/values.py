# SPDX-License-Identifier: Apache-2.0
"""What the doctor knows of a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.captive.certificate import Life
from edged.config.schema import Config
from edged.errors import Problem
from edged.state.shared.presence import Inspection
from edged.values import Prefix


@dataclass(frozen=True, slots=True)
class Holder:
    """A socket that somebody listens on."""

    proto: str
    """tcp or udp."""
    address: str
    """``*``: every address of both families."""
    port: int
    process: str
    """Empty: not ours to see."""
    pid: int


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of this host."""

    name: str
    is_up: bool
    is_bridge: bool
    master: str
    """The bridge that it is a port of; empty: none."""
    is_isolated: bool
    """True for a port of a bridge that reaches no other isolated port."""
    rp_filter: int
    """In force for IPv4: 0 off, 1 strict, 2 loose (RFC 3704)."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running edged, as it sees itself."""

    status: Mapping[str, Any]
    pid: int
    """0: of another namespace of processes."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The portal's certificate on disk."""

    life: Life | None
    fault: str = ""
    """Why there is none that works."""
    is_acme: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """A resolver that was asked one question."""

    name: str
    address: str
    seconds: float
    error: str
    """Empty: it answered."""


@dataclass(frozen=True, slots=True)
class Routing:
    """How this host routes."""

    forwards: Mapping[int, bool]
    """By family."""
    defaults: frozenset[int]
    """Families with a default route."""
    ways: Mapping[str, str]
    """Network of subscribers to the interface that an address of it is sent to; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table, other than the default one."""

    network: Prefix
    interface: str


@dataclass(frozen=True, slots=True)
class Visit:
    """What a listener of ours answered to a question from this very host."""

    at: str
    """Its endpoint and protocol."""
    error: str
    """Empty: it answered."""
    seconds: float = 0.0
    status: int = 0
    """Of HTTP; 0: DNS."""
    is_trusted: bool = True
    """False: its certificate is not one that this host believes."""
    doubt: str = ""
    """Why not, as OpenSSL has it."""


@dataclass(frozen=True, slots=True)
class HubVisit:
    """What the hub of this edge answered to a question for its list."""

    name: str
    error: str
    """Empty: it answered, signed by a key of ``billing.signed_by``."""
    ahead: float = 0.0
    """Seconds by which its clock is ahead of ours."""
    status: int = 0
    """Of HTTP; 0: there was no answer."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything gathered. None: it was not asked for, or ``reasons`` says why it is not known."""

    now: float = 0.0
    config: Config | None = None
    problems: tuple[Problem, ...] = ()
    """Of the configuration: errors where ``config`` is None, else warnings."""
    changed: float = 0.0
    """When the file was changed last, epoch seconds."""
    daemon: Daemon | None = None
    hung: int = 0
    """The process that holds the control socket and says nothing on it; 0: none does."""
    holders: tuple[Holder, ...] | None = None
    links: tuple[Link, ...] | None = None
    addresses: frozenset[str] | None = None
    routing: Routing | None = None
    bridge_filter: bool | None = None
    """True: bridged packets pass the packet filter."""
    chains: tuple[str, ...] | None = None
    """What other software's chains do to edged's, as sentences."""
    certificate: Certificate | None = None
    in_step: bool | None = None
    """True: something keeps the kernel's clock."""
    upstreams: tuple[Upstream, ...] | None = None
    garden: tuple[tuple[str, str], ...] | None = None
    """Each name of the garden that can be asked for, and why it has no address; empty: it has."""
    billing: str | None = None
    """What billing said to a question about one subscriber; empty: it answered."""
    hub: HubVisit | None = None
    """What this edge's hub said; an edge without one asks nobody."""
    own_routes: tuple[Route, ...] | None = None
    around: tuple[str, ...] | None = None
    """What takes packets past the packet filter, as sentences."""
    named: tuple[Visit, ...] | None = None
    """The DNS listeners."""
    opened: tuple[Visit, ...] | None = None
    """The page's listeners."""
    swallowed: tuple[tuple[str, str], ...] | None = None
    """Hosts of connectivity checks that stand in ``garden.networks``, each with the address that does."""
    inside: Mapping[str, Any] | None = None
    """What edged says of a made-up blocked subscriber and of its keys (``edged.ops.doctor.rehearsal``)."""
    shared: Inspection | None = None
    """The store that edges share."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Name of a field to why it is not known."""

    def why(self, name: str) -> str:
        """Why the field ``name`` is not known."""
        return self.reasons.get(name, "it could not be found out")
