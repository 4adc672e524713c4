# SPDX-License-Identifier: Apache-2.0
"""Answers in, a first commented configuration and its files out; it begins in watch mode. Looks at what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edged.captive.capport import DHCPV4_OPTION, DHCPV6_OPTION, RA_OPTION, capport_options

_TEMPLATE = """\
# edged: first configuration, written by `edged init`. Every key: docs/configure.md and config/edged.example.yaml.
# The Debian package has them in /usr/share/doc/edged, as docs/ and examples/, and `man edged.yaml`.
site: {site}
mode: watch                           # computes and shows everything, changes nothing; `enforce` goes live

billing:
{billing}

subscribers:
  networks: [{networks}]
  exempt: []                          # never blocked, whatever billing says: your own staff, resolvers, VoIP

portal:
  url: https://{portal}
  addresses: [{addresses}]
  listen: {{http: [{http}], https: [{https}]}}
  # certificate: {{chain: /etc/edged/tls/portal.pem, key: /etc/edged/tls/portal.key}}
  # or fetched by edged itself, see docs/certificates.md: {{acme: URL, contact: noc@example.net}}
  brands:
    default:
      name: {site}
      # phone: "+1 555 0100"          # the one on your invoices: on every page

garden:
  names: []                           # what a blocked subscriber may still reach, e.g. customer.example.net
  presets: []                         # for example [stripe, paypal]

dns:
  listen: [{dns}]
  upstreams: ["9.9.9.9", "2620:fe::fe"]

enforce:{enforce}

ops:
  listen: "127.0.0.1:9300"
"""

_FILE_BILLING = """\
# Billing for `source: file`, in the objects of docs/feed.md. edged reads a change within two seconds.
#
# revision: "1"          # yours; it shows in `edged status`
# known: 4120            # all your subscribers, paying ones included: the guard measures shares of it
# subscribers:           # whoever is not plainly active
#   - {id: "20417", state: blocked, reason: unpaid, addresses: ["100.64.7.9", "2001:db8:100:700::/56"]}
#   - {id: "20552", state: notice, reason: unpaid, addresses: ["100.64.1.9"]}
subscribers: []
keys: []
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the first configuration is made of."""

    site: str
    networks: tuple[str, ...]
    portal: str
    """Host name of the page."""
    addresses: tuple[str, ...]
    target: str
    """nftables, routeros or none."""
    interfaces: tuple[str, ...]
    router: str
    router_user: str
    source: str
    """file, rest, hub, splynx or uisp."""
    billing: str
    """A URL, or of ``file`` a path."""
    signed_by: str = ""
    """Of ``hub``: its public key."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those that were given, by the name of their file."""


BILLING_SECRETS: dict[str, dict[str, tuple[str, str]]] = {
    "file": {},
    "rest": {"secret": ("billing", "the bearer key")},
    "hub": {"key": ("hub", "the bearer key of its edges")},
    "splynx": {"key": ("billing-key", "the API key"), "secret": ("billing", "its secret")},
    "uisp": {"key": ("billing-key", "the CRM's app key"), "secret": ("billing", "the Network's API token")},
}
"""What a billing system knows us by: the key of the configuration, its file and its meaning."""
ROUTER_SECRET = "router"  # noqa: S105  # the name of its file
_HIGH = {"dns": 5300, "http": 8080, "https": 8443}
"""Where the table of this host leads them: nothing that has 53, 80 or 443 must move."""
_WELL_KNOWN = {"dns": 53, "http": 80, "https": 443}
"""Where a router leads them."""


def ports_of(target: str) -> dict[str, int]:
    """What edged would listen on, by what it serves there."""
    return _HIGH if target == "nftables" else _WELL_KNOWN


def initial(answers: Answers, path: Path) -> dict[Path, tuple[str, int]]:
    """File to (content, mode). A secret never stands in the YAML; one that was not given is an empty file.

    The configuration itself comes last: whoever finds it there finds the rest, too.
    """
    files: dict[Path, tuple[str, int]] = {}

    def secret(name: str, meaning: str) -> str:
        file = path.parent / "secrets" / name
        # what is there stays, unless another one was given
        if name in answers.secrets or not file.exists():
            files[file] = (answers.secrets.get(name, ""), 0o600)
        return f"!file {file} # {meaning}"

    if answers.source == "file":
        feed = Path(answers.billing or path.parent / "billing.yaml")
        billing = f"  source: file\n  path: {feed}"
        if not feed.exists():
            files[feed] = (_FILE_BILLING, 0o640)
    else:
        billing = f"  source: {answers.source}\n  url: {answers.billing}"
        for key, (name, meaning) in BILLING_SECRETS[answers.source].items():
            billing += f"\n  {key}: {secret(name, meaning)}"
        if answers.source == "hub":
            billing += f'\n  signed_by: ["{answers.signed_by}"]  # `edged fleet key` there prints it'
            billing += (
                "\n  # guard: {leave_to_hub: true}   # a large change is accepted once, at the hub, and not here too"
            )
    enforce = " []                         # nothing yet: see docs/linux.md, docs/mikrotik.md, docs/bng.md"
    if answers.target == "nftables":
        enforce = f"\n  - nftables: {{interfaces: [{', '.join(answers.interfaces)}]}}"
    elif answers.target == "routeros":
        enforce = (
            f"\n  - routeros:                         # edged routeros script prints what the router needs first"
            f"\n      host: {answers.router}\n      user: {answers.router_user}"
            f"\n      password: {secret(ROUTER_SECRET, 'of its API user')}"
        )
    ports = {what: _quoted((f"0.0.0.0:{n}", f"[::]:{n}")) for what, n in ports_of(answers.target).items()}
    content = _TEMPLATE.format(
        site=answers.site, billing=billing, networks=_quoted(answers.networks), portal=answers.portal,
        addresses=_quoted(answers.addresses), enforce=enforce, **ports,
    )  # fmt: skip
    return {**files, path: (content, 0o640)}


def announcement(portal: str) -> str:
    """What DHCP servers and routers may say of the page at host ``portal`` (docs/captive-api.md); empty: nothing."""
    try:
        options = capport_options(f"https://{portal}")
    except ValueError:
        return ""
    return (
        f"For DHCP servers and routers, once the page has a certificate that devices trust (RFC 8910):\n"
        f"  the API's URI        {options.uri}\n"
        f"  DHCPv4 option {DHCPV4_OPTION}    0x{options.dhcpv4[2:].hex()}\n"
        f"  DHCPv6 option {DHCPV6_OPTION}    0x{options.dhcpv6[4:].hex()}\n"
        f"  RA option {RA_OPTION}, whole  0x{options.ra.hex()}\n"
    )


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)
