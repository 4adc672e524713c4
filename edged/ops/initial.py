# SPDX-License-Identifier: Apache-2.0
"""Five answers in, a first commented configuration and its files out; it begins in watch mode. Pure."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from edged.captive.capport import DHCPV4_OPTION, DHCPV6_OPTION, RA_OPTION, capport_options

_TEMPLATE = """\
# edged: first configuration, written by `edged init`. Every key: config/edged.example.yaml and docs/configure.md.
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
  listen: {{http: ["0.0.0.0:8080", "[::]:8080"], https: ["0.0.0.0:8443", "[::]:8443"]}}
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
  listen: ["0.0.0.0:5300", "[::]:5300"]
  upstreams: ["9.9.9.9", "2620:fe::fe"]

enforce:
  - nftables: {{interfaces: [{interfaces}]}}

ops:
  listen: "127.0.0.1:9300"
"""

_FILE_BILLING = """\
# billing for `source: file`: the objects of docs/feed.md
subscribers: []
keys: []
"""


_SECRETS = {
    "rest": {"secret": ("billing", "the bearer key")},
    "splynx": {"key": ("billing-key", "the API key"), "secret": ("billing", "its secret")},
    "uisp": {"key": ("billing-key", "the CRM's app key"), "secret": ("billing", "the Network's API token")},
}
"""What a billing system knows us by: the key of the configuration, its file and its meaning."""


def initial(answers: Namespace, path: Path) -> dict[Path, tuple[str, int]]:
    """File to (content, mode). A secret never stands in the YAML: its file is made empty, and ``check`` asks for it."""
    files: dict[Path, tuple[str, int]] = {}
    source = answers.billing or f"file:{path.parent / 'billing.yaml'}"
    if source.startswith("file:"):
        feed = Path(source.removeprefix("file:"))
        billing = f"  source: file\n  path: {feed}"
        if not feed.exists():
            files[feed] = (_FILE_BILLING, 0o640)
    else:
        billing = f"  source: {answers.source}\n  url: {answers.billing}"
        for key, (name, meaning) in _SECRETS[answers.source].items():
            secret = path.parent / "secrets" / name
            billing += f"\n  {key}: !file {secret} # {meaning}"
            if not secret.exists():
                files[secret] = ("", 0o600)
    content = _TEMPLATE.format(
        site=answers.site,
        billing=billing,
        networks=_quoted(answers.networks),
        portal=answers.portal,
        addresses=_quoted(answers.portal_address),
        interfaces=", ".join(answers.interface),
    )
    return {path: (content, 0o640), **files}


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


def _quoted(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
