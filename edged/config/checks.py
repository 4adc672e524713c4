# SPDX-License-Identifier: Apache-2.0
"""What no single section can see: faults between sections, and valid settings with a consequence. Looks at files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from edged.billing.settings import BillingSettings, FallbackSettings
from edged.captive.acme.record import INSTALL
from edged.captive.certificate import examine
from edged.captive.names import is_address
from edged.captive.settings import CertificateAcme, CertificateFiles
from edged.config.brands import brand_checks, heavy_logo
from edged.config.derived import served_interfaces
from edged.config.document import Document, Location
from edged.config.enforce import enforce_checks, enforce_files
from edged.config.finding import Found as _Found
from edged.config.finding import error as _error
from edged.config.finding import placed
from edged.config.finding import warning as _warning
from edged.config.hub import hub_checks, hub_files
from edged.config.radius import radius_checks, radsec_files
from edged.config.schema import Config
from edged.errors import ConfigError, Problem
from edged.mpsk.dialects import DIALECTS
from edged.native import datagrams
from edged.policy.presets import PRESETS
from edged.policy.probes import PROBE_HOSTS
from edged.state.shared.target import LEAST_KEY, parse_target
from edged.values import Prefix, host_prefix, parse_prefix

# RFC 1918 and RFC 4193 space: resolvers with rebind protection drop answers that point there
_PRIVATE = tuple(parse_prefix(p) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_LOOPBACK = (parse_prefix("127.0.0.0/8"), parse_prefix("::1"))


def cross_checks(config: Config, document: Document, *, read_files: bool) -> list[Problem]:
    """Errors and warnings (``Problem.warning``) of a configuration whose sections are each valid."""
    found = [
        *_dns(config),
        *_portal(config),
        *brand_checks(config.portal),
        *_acme(config),
        *_garden(config),
        *_subscribers(config),
        *_keys(config),
        *radius_checks(config.radius),
        *_billing(config),
        *hub_checks(config),
        *enforce_checks(config),
        *_ops(config),
        *_state(config),
        *_not_spoken(config),
        *(_files(config) if read_files else ()),
        *(enforce_files(config.enforce) if read_files else ()),
        *(radsec_files(config.radius) if read_files else ()),
        *(hub_files(config) if read_files else ()),
    ]
    return [placed(problem, location, document) for location, problem in found]


def _dns(config: Config) -> _Found:
    dns = config.dns
    if dns.listen and dns.workers > 1 and datagrams.COMPILED is None:
        yield _warning(("dns", "workers"), f"{dns.workers}", "one does it all: the compiled part is not there")
    if dns.limit.per_prefix < dns.limit.per_subscriber:
        yield _warning(
            ("dns", "limit", "per_prefix"), f"{dns.limit.per_prefix}",
            f"a subscriber with the whole of a /24 or /56 never gets {dns.limit.per_subscriber} a second",
        )  # fmt: skip


def _portal(config: Config) -> _Found:
    portal, dns = config.portal, config.dns
    if dns.listen and not portal.addresses:
        yield _error(("portal", "addresses"), "nothing", "the addresses that the sinkhole answers with")
    if dns.listen and not portal.url:
        yield _error(("portal", "url"), "nothing", "the URL of the page", "url: https://portal.example.net")
    if portal.addresses and not any(a.version == 4 for a in portal.addresses):
        yield _warning(("portal", "addresses"), "no IPv4 address", "subscribers with IPv4 alone see no page")
    for index, address in enumerate(portal.addresses):
        prefix = host_prefix(address)
        if any(p.contains(prefix) for p in _PRIVATE):
            yield _warning(
                ("portal", "addresses", index), "a private address",
                "routers with rebind protection and some phones refuse such an answer, and their owners see no page",
                "use a public or 100.64.0.0/10 address",
            )  # fmt: skip
    if portal.url and (portal.listen.http or portal.listen.https) and portal.certificate is None:
        yield _warning(
            ("portal", "certificate"), "nothing", "browsers warn about the self-signed certificate that stands in",
            "certificate: {acme: URL, contact: ADDRESS}, or {chain: FILE, key: FILE}",
        )  # fmt: skip


def _acme(config: Config) -> _Found:
    portal, where = config.portal, ("portal", "certificate", "acme")
    if not isinstance(portal.certificate, CertificateAcme):
        return
    if portal.url and is_address(portal.host):
        yield _error(("portal", "url"), "an address", "a host name", "authorities certify names: portal.example.net")
    if find_spec("acme") is None:
        yield _warning(
            where,
            "the library acme is not installed",
            "no certificate is fetched, and the page comes over HTTP",
            INSTALL,
        )
    if portal.certificate.hook is None and all(endpoint.port != 80 for endpoint in portal.listen.http):
        yield _warning(
            where, "no port 80 in portal.listen.http",
            "the authority asks at port 80 of the portal's host: the order fails unless something leads that here",
            'http: ["0.0.0.0:80", "[::]:80"], or hook: FILE for DNS-01',
        )  # fmt: skip


def _garden(config: Config) -> _Found:
    garden, host = config.garden, config.portal.host
    opened: list[tuple[Location, str]] = [
        *((("garden", "names", index), name) for index, name in enumerate(garden.names)),
        *((("garden", "presets", i), name) for i, preset in enumerate(garden.presets) for name in PRESETS[preset]),
        *((("garden", "records", name), name) for name in garden.records),
    ]
    for location, name in opened:
        if host and _covers(name, host):
            yield _error(
                location, f'"{name}", which holds the portal\'s own host',
                "names other than the page's", f"{host} is always answered with portal.addresses",
            )  # fmt: skip
        swallowed = [probe for probe in PROBE_HOSTS if _covers(name, probe)]
        if swallowed:
            more = f" and {len(swallowed) - 1} more" if len(swallowed) > 1 else ""
            yield _error(
                location, f'"{name}", which holds {swallowed[0]}{more}, a connectivity check',
                "names that hold no connectivity check",
                "phones and browsers would think that they are online and show no page",
            )  # fmt: skip


def _covers(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.endswith(name[1:])
    if name.startswith("."):
        return host.endswith(name) or host == name[1:]
    return host == name


def _subscribers(config: Config) -> _Found:
    networks = config.subscribers.networks
    if not networks and (config.dns.listen or config.enforce):
        yield _warning(
            ("subscribers", "networks"), "nothing", "nobody is served and nobody is blocked",
            'networks: ["100.64.0.0/10"]',
        )  # fmt: skip
    for index, network in enumerate(networks):
        if network.length == 0:
            yield _error(
                ("subscribers", "networks", index), f"{network}/0, the whole Internet",
                "your own networks alone", "an open resolver takes part in attacks on others",
            )  # fmt: skip
        for address in config.portal.addresses:
            if network.contains(host_prefix(address)) and not _is_loopback(network):
                yield _warning(
                    ("subscribers", "networks", index), f"a network that holds the portal address {address}",
                    "list the portal under subscribers.exempt, so that it can never be blocked",
                )  # fmt: skip


def _is_loopback(network: Prefix) -> bool:
    return any(p.contains(network) for p in _LOOPBACK)


def _keys(config: Config) -> _Found:
    listens = config.radius.auth or config.radius.tls
    if config.mpsk.networks and not listens:
        yield _error(("radius", "auth"), "nothing", "where access points ask for keys", 'auth: ["0.0.0.0:1812"]')
    if listens and not config.radius.clients:
        yield _warning(("radius", "clients"), "nothing", "no access point may ask; every request is dropped")
    if listens and not config.mpsk.networks:
        yield _warning(("mpsk", "networks"), "nothing", "every request is rejected: no SSID is known")
    yield from _blocked_vlans(config)


def _blocked_vlans(config: Config) -> _Found:
    """Where a VLAN of the blocked ends must be known, and nobody else may be there."""
    served, networks = served_interfaces(config), config.mpsk.networks
    ordinary = {v for n in networks.values() for v in (n.vlan, n.unknown.vlan if n.unknown else None)}
    for name, network in networks.items():
        where: Location = ("mpsk", "networks", name, "blocked")
        if network.blocked is None:
            continue
        if network.blocked.vlan in ordinary:
            yield _warning(
                (*where, "vlan"), f"{network.blocked.vlan}, which is also the VLAN of others",
                "a VLAN for the blocked alone: what is blocked there by its MAC address may be somebody else's",
            )  # fmt: skip
        ends = network.blocked.ends_at(served)
        if not any(t.nftables for t in config.enforce):
            continue
        if not ends:
            yield _warning(
                where, f"VLAN {network.blocked.vlan}, and no interface of enforce is named after it",
                "devices that billing lists neither by address nor by MAC are not led to the page",
                f"blocked: {{vlan: {network.blocked.vlan}, interface: br-lan.{network.blocked.vlan}}}",
            )  # fmt: skip
        elif served and not any(_is_among(end, served) for end in ends):
            yield _warning(
                (*where, "interface"), f"{ends[0]}, which enforce does not name", "one of enforce's interfaces",
                f"- nftables: {{interfaces: [{', '.join((*served, ends[0]))}]}}",
            )  # fmt: skip


def _is_among(interface: str, served: tuple[str, ...]) -> bool:
    return any(interface == name or (name[-1] == "*" and interface.startswith(name[:-1])) for name in served)


def _ops(config: Config) -> _Found:
    ops = config.ops
    if ops.listen is not None and not ops.listen.address.is_loopback and ops.token is None:
        yield _warning(
            ("ops", "listen"), f"{ops.listen}, and no ops.token",
            "there is no dashboard, and whoever can connect reads /metrics and /status",
            "token: !file /etc/edged/secrets/ops, or listen on 127.0.0.1 and reach it through ssh",
        )  # fmt: skip


def _billing(config: Config) -> _Found:
    billing = config.billing
    if billing is None:
        return
    for section, given in _origins(config):
        yield from _origin(section, given)
    links: dict[Location, str | None] = {
        ("portal", "brands", name, "link"): brand.link for name, brand in config.portal.brands.items()
    }
    if billing.splynx.direct_pay and billing.source == "splynx":
        links["billing", "url"] = billing.url
    for location, link in links.items():
        host = (urlsplit(link).hostname or "") if link else ""
        names = (*config.garden.all_names(), *config.garden.records)
        if host and host != config.portal.host and not any(_covers(str(name), host) for name in names):
            yield _warning(
                location, f"{host}, which is not in garden.names", "who is blocked cannot open the page to pay on",
                f"garden: {{names: [{host}]}}",
            )  # fmt: skip


def _origins(config: Config) -> Iterator[tuple[Location, BillingSettings | FallbackSettings]]:
    """Where lists may come from: billing or its hub, and who stands in for the hub."""
    if config.billing is not None:
        yield ("billing",), config.billing
        if config.billing.fallback is not None:
            yield ("billing", "fallback"), config.billing.fallback


def _origin(section: Location, given: BillingSettings | FallbackSettings) -> _Found:
    if given.url and given.url.startswith("http://") and not _is_near(given.url):
        yield _warning(
            (*section, "url"), "http://", "what identifies us and every subscriber's name travel in clear", "https://…",
        )  # fmt: skip
    for key, source in (("path", "file"), ("splynx", "splynx")):
        if key in given.model_fields_set and given.source != source:
            yield _warning((*section, key), f"{key}: beside source: {given.source}", "it is read by nothing")


def _is_near(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def _state(config: Config) -> _Found:
    state = config.state
    if state.database == "sqlite":
        return
    target = parse_target(state.database)
    if not target.is_near and not target.verifies:
        yield _warning(
            ("state", "database"), "an sslmode that does not verify who answers",
            "whoever is on the way can read and change what edges share", "no sslmode, or sslmode=verify-full",
        )  # fmt: skip
    if state.shared_key is None:
        yield _warning(
            ("state", "shared_key"), "nothing", "keys made by hand are good at the edge that made them alone",
            "shared_key: !file /etc/edged/secrets/shared-key",
        )  # fmt: skip
    elif len(state.shared_key) < LEAST_KEY:
        yield _error(("state", "shared_key"), f"{len(state.shared_key)} octets", f"{LEAST_KEY} or more, drawn")
    if find_spec("asyncpg") is None:
        yield _error(("state", "database"), "the library asyncpg is not installed", "edged[postgresql]")


def _not_spoken(config: Config) -> _Found:
    for index, client in enumerate(config.radius.clients):
        if client.dialect != "auto" and client.dialect not in DIALECTS:
            yield _warning(
                ("radius", "clients", index, "dialect"), f'"{client.dialect}"',
                "what it wants back is not public: its access points are rejected",
                f"edged speaks {', '.join(DIALECTS)}",
            )  # fmt: skip


def _files(config: Config) -> _Found:
    yield from _certificate_files(config)
    if config.portal.templates:
        yield from _absent(config.portal.templates, ("portal", "templates"), "the built-in pages are shown")
    for name, brand in config.portal.brands.items():
        if brand.logo:
            location: Location = ("portal", "brands", name, "logo")
            yield from _absent(brand.logo, location, "the page shows the name alone")
            yield from heavy_logo(brand.logo, location)
    if config.billing and config.billing.path and config.billing.source == "file":
        yield from _absent(config.billing.path, ("billing", "path"), "nobody is blocked until it is there")
    for section, given in _origins(config):
        if given.ca:
            yield from _absent(given.ca, (*section, "ca"), "billing cannot be read until it is there")
    for index, upstream in enumerate(config.dns.upstreams):
        if upstream.ca:
            yield from _absent(upstream.ca, ("dns", "upstreams", index, "ca"), "edged does not start without it")


def _certificate_files(config: Config) -> _Found:
    certificate = config.portal.certificate
    acme, files = isinstance(certificate, CertificateAcme), isinstance(certificate, CertificateFiles)
    consequence = "no certificate is fetched" if acme else "a self-signed certificate stands in, and browsers warn"
    for key in ("hook", "ca") if acme else ("chain", "key") if files else ():
        if path := getattr(certificate, key):
            yield from _absent(path, ("portal", "certificate", key), consequence)
    if isinstance(certificate, CertificateFiles) and config.portal.host:
        yield from _examined(certificate, config.portal.host)


def _examined(files: CertificateFiles, host: str) -> _Found:
    """What ``edged run`` would find wrong with the pair; nothing where it is not ours to read."""
    try:
        chain, key = files.chain.read_bytes(), files.key.read_bytes()
    except OSError:
        return
    try:
        problems = examine(chain, key, host, time.time(), whenever=True)
    except ConfigError as error:
        problems = error.problems
    for problem in problems:
        yield tuple(problem.key.split(".")), problem


def _absent(path: Path, location: Location, consequence: str) -> _Found:
    try:
        path.stat()
    except OSError as error:
        yield _warning(location, f"{path}: {(error.strerror or 'cannot be read').lower()}", consequence)
