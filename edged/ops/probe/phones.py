# SPDX-License-Identifier: Apache-2.0
"""What the person who holds a device would see on this line: the answers to its check in, a sentence out. Pure."""

from __future__ import annotations

from edged.ops.probe.http import Judged, judged, parse
from edged.ops.probe.orders import CHECKS, Check
from edged.ops.probe.values import Finding, State, Trial
from edged.values import Prefix, host_prefix, parse_address, parse_prefix

_DEVICES: tuple[tuple[str, str, str, str], ...] = (
    ("iPhone, iPad", "apple", "the sign-in sheet opens", "the Wi-Fi symbol, and no sheet"),
    ("Mac", "apple", "the sign-in window opens", "the Wi-Fi symbol, and no window"),
    ("Android", "android", 'a notification "Sign in to network"', "connected, and no notification"),
    ("Windows", "windows", "the browser opens with the page", '"Internet access", and no page'),
    ("Firefox", "firefox", 'a bar "You must log in to this network"', "no bar"),
    ("Chrome, Edge", "chrome", 'a tab "Connect to network" after the first error', "an error page and no tab"),
    ("Linux", "networkmanager", "the desktop's sign-in window opens", "connected, and no window"),
)
"""A device, whose check it asks, what it shows at a portal, and when it takes itself for online."""
_PRIVATE = tuple(
    parse_prefix(p)
    for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fe80::/10", "fc00::/7")
)
_UNDECIDED = "no Internet, and no page: its check gets no answer that leads anywhere"


def shown(trial: Trial, findings: list[Finding]) -> dict[str, str]:
    """Device to what it shows. Empty: nothing could be tried."""
    if not trial.phone.families:
        return {}
    caution = _caution(findings)
    said: dict[str, str] = {}
    for device, client, portal, online in _DEVICES:
        check = next(c for c in CHECKS if c.client == client)
        match _judged(trial, check):
            case Judged.ONLINE:
                said[device] = online
            case Judged.PORTAL if client == "android" and _is_private(trial, check):
                said[device] = "no Internet, and no notification: the page has a private address"
            case Judged.PORTAL:
                said[device] = portal + caution
            case Judged.UNDECIDED:
                said[device] = _UNDECIDED
    return said


def _judged(trial: Trial, check: Check) -> Judged:
    """Over both families: whoever is online in one is online."""
    verdicts = set()
    for f in trial.phone.families:
        facts = trial.web.get(f"check-{check.client}/{f}", {"outcome": "silence"})
        verdicts.add(judged(check.probe, parse(facts.get("octets", ""))))
    return next((v for v in (Judged.ONLINE, Judged.PORTAL) if v in verdicts), Judged.UNDECIDED)


def _is_private(trial: Trial, check: Check) -> bool:
    told = (a for f in trial.phone.families for a in trial.told(check.probe.host, f))
    return any(_within(a, space) for a in told for space in _PRIVATE)


def _within(address: str, space: Prefix) -> bool:
    return space.contains(host_prefix(parse_address(address)))


def _caution(findings: list[Finding]) -> str:
    """A page that cannot be opened is said with every device that would open it."""
    pages = [f for f in findings if f.step == "page" and f.state is not State.SKIP]
    return ", and fails to load (page)" if pages and all(f.state is State.FAIL for f in pages) else ""
