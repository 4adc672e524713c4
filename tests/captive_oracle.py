"""How each client judges the answer to its own connectivity check: its rules, written anew from what is known of it.

Marks: [S] read in the client's source code, [D] its vendor's documents, [T] third parties, [V] seen with the real
client in tests/e2e. No answer at all (closed, reset, a time-out) is None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from html.parser import HTMLParser
from urllib.parse import urlsplit

from edged.captive.probes import Probe
from edged.values import IpAddress, Prefix, host_prefix, parse_prefix


class Verdict(StrEnum):
    ONLINE = "online"
    CAPTIVE = "captive"
    UNDECIDED = "undecided"
    """Asked again later; nothing is shown that invites to sign in."""


@dataclass(frozen=True)
class Answer:
    """What came over the wire; None in its place: the connection was closed."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@dataclass(frozen=True)
class Client:
    """One kind of client: what it sends beside the target, and its rule."""

    rule: Callable[[Probe, Answer | None], Verdict]
    headers: Mapping[str, str] = field(default_factory=dict)


# --- what clients say of themselves ---------------------------------------------------------------

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_ANDROID = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.32 Safari/537.36"
_CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
_FRESH = {"Pragma": "no-cache", "Cache-Control": "no-cache"}


# --- Apple ------------------------------------------------------------------------------------------


class _Words(HTMLParser):
    """The text in the title, and the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.title = self.rest = ""

    def handle_data(self, data: str) -> None:
        if self.lasttag == "title" and not self.title:
            self.title = data
        else:
            self.rest += data


def apple(_probe: Probe, answer: Answer | None) -> Verdict:
    """200 and a page whose title and text are the one word; anything else opens the sheet [T]."""
    if answer is None:
        return Verdict.UNDECIDED
    page = _Words()
    page.feed(answer.body.decode(errors="replace"))
    success = answer.status == 200 and (page.title.strip(), page.rest.strip()) == ("Success", "Success")
    return Verdict.ONLINE if success else Verdict.CAPTIVE


# --- Android ----------------------------------------------------------------------------------------

_SITE_LOCAL = tuple(
    map(
        parse_prefix,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fe80::/10", "fec0::/10", "fc00::/7"),
    )
)


def android(_probe: Probe, answer: Answer | None) -> Verdict:
    """Its HTTP probe alone: 204; a 3xx with Location; 200 with more than 4 octets. The rest has failed [S]."""
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 204:
        return Verdict.ONLINE
    if 300 <= answer.status <= 399:
        return Verdict.CAPTIVE if "location" in answer.headers else Verdict.UNDECIDED
    if answer.status == 200 and len(answer.body) > 4:
        return Verdict.CAPTIVE
    return Verdict.UNDECIDED


def android_network(probe: Probe, http: Answer | None, https: Answer | None, addresses: Iterable[IpAddress]) -> Verdict:
    """Both probes together: a probe host with a private address is "no Internet"; HTTPS alone says online [S]."""
    if any(_is_private(address) for address in addresses):
        return Verdict.UNDECIDED
    plain = android(probe, http)
    if plain is Verdict.CAPTIVE:
        # whichever comes first is believed: a success over HTTPS would conclude before this
        return Verdict.ONLINE if https is not None and https.status == 204 else Verdict.CAPTIVE
    return Verdict.ONLINE if https is not None and https.status == 204 else Verdict.UNDECIDED


def _is_private(address: IpAddress) -> bool:
    own: Prefix = host_prefix(address)
    return any(space.contains(own) for space in _SITE_LOCAL)


# --- Chromium ---------------------------------------------------------------------------------------


def chrome(_probe: Probe, answer: Answer | None) -> Verdict:
    """511, another 2xx or a 3xx is a portal; other errors are no answer [S, V]."""
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 204 or (answer.status == 200 and len(answer.body) <= 1):
        return Verdict.ONLINE
    return Verdict.CAPTIVE if 200 <= answer.status <= 399 or answer.status == 511 else Verdict.UNDECIDED


def chrome_patience(answer: Answer | None) -> float:
    """Seconds that a 503 with Retry-After keeps it from asking again [S]; 0: it asks as it likes."""
    if answer is None or answer.status != 503:
        return 0.0
    after = answer.headers.get("retry-after", "")
    return float(after) if after.isdigit() else 0.0


# --- Windows ----------------------------------------------------------------------------------------

NCSI_NAME = "dns.msftncsi.com"
NCSI_TRUE = frozenset({"131.107.255.255", "fd3e:4f5a:5b81::1"})


def windows(probe: Probe, answer: Answer | None) -> Verdict:
    """The exact text, or a portal [D]."""
    if answer is None:
        return Verdict.UNDECIDED
    exact = answer.status == 200 and answer.body == probe.success.body
    return Verdict.ONLINE if exact else Verdict.CAPTIVE


def windows_wired(addresses: Sequence[str], probe: Probe, answer: Answer | None) -> Verdict:
    """Before 11, on a cable without a proxy: the name's exact address says online, else the web probe decides [D]."""
    if addresses and set(addresses) <= NCSI_TRUE:
        return Verdict.ONLINE
    return windows(probe, answer)


# --- Firefox ----------------------------------------------------------------------------------------

FIREFOX_RETRIES = 5


def firefox(probe: Probe, answer: Answer | None) -> Verdict:
    """The whole text; a 3xx, changed text or (ESR 153) 511 is a portal; the rest is asked again [S, V]."""
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 200:
        return Verdict.ONLINE if answer.body == probe.success.body else Verdict.CAPTIVE
    return Verdict.CAPTIVE if 300 <= answer.status <= 399 else Verdict.UNDECIDED


def firefox_detects(probe: Probe, answers: Sequence[Answer | None]) -> Verdict:
    """One detection: the first answer of six that decides [S]."""
    decided = (firefox(probe, answer) for answer in answers[: 1 + FIREFOX_RETRIES])
    return next((v for v in decided if v is not Verdict.UNDECIDED), Verdict.UNDECIDED)


# --- NetworkManager ---------------------------------------------------------------------------------


def networkmanager(probe: Probe, answer: Answer | None) -> Verdict:
    """The header, or a text that begins as configured whatever the status; no text configured: nothing [S, V]."""
    if answer is None:
        return Verdict.UNDECIDED  # LIMITED: no invitation to sign in
    if answer.headers.get("x-networkmanager-status") == "online":
        return Verdict.ONLINE
    expected = probe.success.body
    if not expected:
        # Ubuntu configures no text, which stands for the default one: without the header its 204 is a portal
        return Verdict.CAPTIVE
    return Verdict.ONLINE if answer.body.startswith(expected) else Verdict.CAPTIVE


# --- readers, consoles, players ---------------------------------------------------------------------

_KINDLE_UUID = b"81ce4465-7167-4dcb-835b-dcc9e44c112a"


def kindle(_probe: Probe, answer: Answer | None) -> Verdict:
    """The UUID anywhere in the page [S: Alexa's SDK, T]."""
    if answer is None:
        return Verdict.UNDECIDED
    return Verdict.ONLINE if answer.status == 200 and _KINDLE_UUID in answer.body else Verdict.CAPTIVE


def nintendo(probe: Probe, answer: Answer | None) -> Verdict:
    """The header and the page; else the console's browser opens [T]."""
    if answer is None:
        return Verdict.UNDECIDED
    online = answer.headers.get("x-organization") == "Nintendo" and answer.body == probe.success.body
    return Verdict.ONLINE if answer.status == 200 and online else Verdict.CAPTIVE


def exact(probe: Probe, answer: Answer | None) -> Verdict:
    """The expected status and text; else a portal [T]."""
    if answer is None:
        return Verdict.UNDECIDED
    same = (answer.status, answer.body.strip()) == (probe.success.status, probe.success.body)
    return Verdict.ONLINE if same else Verdict.CAPTIVE


CLIENTS: dict[str, Client] = {
    "apple": Client(apple, {"User-Agent": "CaptiveNetworkSupport-481.120.1 wispr"}),
    "android": Client(android, {"User-Agent": _ANDROID, "Connection": "close"}),
    "chrome": Client(chrome, {"User-Agent": _CHROME, "Accept-Encoding": "gzip, deflate", **_FRESH}),  # as seen
    "windows": Client(windows, {"User-Agent": "Microsoft NCSI", "Connection": "Close"}),
    "firefox": Client(firefox, {"User-Agent": _FIREFOX, "Accept": "*/*", "Priority": "u=4", **_FRESH}),  # as seen
    "networkmanager": Client(networkmanager, {"Accept": "*/*", "Connection": "close"}),
    "kindle": Client(kindle),
    "nintendo": Client(nintendo, {"User-Agent": "NX NIFM/00", "Accept": "*/*"}),
    "roku": Client(exact),
    "steam": Client(exact),
}

RULES = {name: client.rule for name, client in CLIENTS.items()}


# --- clients of the API -----------------------------------------------------------------------------

API_OCTETS = 4096
"""What Android reads of the JSON."""


def api_client(url: str, answer: Answer | None) -> Verdict:
    """RFC 8908 as Android and iOS take it: https, 200, UTF-8, short, and a portal needs its page [S, RFC 8908]."""
    if answer is None or urlsplit(url).scheme != "https" or answer.status != 200:
        return Verdict.UNDECIDED
    kind, _, parameters = answer.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/captive+json" or charset not in {"", "utf-8"}:
        return Verdict.UNDECIDED
    try:
        facts = json.loads(answer.body.decode("utf-8")[:API_OCTETS])
    except ValueError:
        return Verdict.UNDECIDED
    if not isinstance(facts, dict) or not isinstance(facts.get("captive"), bool):
        return Verdict.UNDECIDED
    if not facts["captive"]:
        return Verdict.ONLINE
    page = facts.get("user-portal-url")
    return Verdict.CAPTIVE if isinstance(page, str) and page.startswith("https://") else Verdict.UNDECIDED


# --- what no client may ever see --------------------------------------------------------------------

_NEVER = frozenset({301, 308, 403, 404, 429, *range(500, 511), *range(512, 600)})
_POISON = frozenset({
    "set-cookie", "strict-transport-security", "alt-svc", "clear-site-data", "service-worker-allowed",
    "public-key-pins", "refresh", "etag", "last-modified", "expires",
})  # fmt: skip
_BETRAYAL = frozenset({"x-networkmanager-status", "x-organization"})


def faults(answer: Answer | None, *, blocked: bool) -> list[str]:
    """What is wrong with an answer to a probe whoever asked: words for the message of a failed test."""
    if answer is None:
        return ["no answer while blocked"] if blocked else []
    found = [f"status {answer.status}"] if answer.status in _NEVER else []
    found += [f"{name} on a foreign name" for name in sorted(_POISON & answer.headers.keys())]
    if answer.headers.get("cache-control") != "no-store":
        found.append("an answer that may be kept")
    if answer.headers.get("connection", "").lower() != "close":
        found.append("a connection that stays")
    if blocked:
        found += [f"{name} while blocked" for name in sorted(_BETRAYAL & answer.headers.keys())]
        found += ["success while blocked"] if answer.status in {200, 204} or b"Success" in answer.body else []
    return found
