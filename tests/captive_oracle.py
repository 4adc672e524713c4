"""How each client judges the answer to its own connectivity check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edged.captive.probes import Probe


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
    body: bytes


def apple(_probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    text = answer.body.decode(errors="replace")
    success = answer.status == 200 and "<BODY>Success</BODY>".lower() in text.lower().replace("\n", "")
    return Verdict.ONLINE if success else Verdict.CAPTIVE


def android(_probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 204:
        return Verdict.ONLINE
    if 300 <= answer.status <= 399:
        return Verdict.CAPTIVE if "location" in answer.headers else Verdict.UNDECIDED
    if answer.status == 200 and len(answer.body) > 4:
        return Verdict.CAPTIVE
    return Verdict.UNDECIDED


def chrome(_probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 204 or (answer.status == 200 and len(answer.body) <= 1):
        return Verdict.ONLINE
    return Verdict.CAPTIVE if 200 <= answer.status <= 399 or answer.status == 511 else Verdict.UNDECIDED


def windows(probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    return Verdict.ONLINE if answer.status == 200 and answer.body == probe.success.body else Verdict.CAPTIVE


def firefox(probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    if answer.status == 200:
        return Verdict.ONLINE if answer.body.startswith(probe.success.body) else Verdict.CAPTIVE
    return Verdict.CAPTIVE if 300 <= answer.status <= 399 else Verdict.UNDECIDED


def networkmanager(probe: Probe, answer: Answer | None) -> Verdict:
    if answer is None:
        return Verdict.UNDECIDED
    if answer.headers.get("x-networkmanager-status") == "online":
        return Verdict.ONLINE
    if probe.success.body:
        online = answer.status == 200 and answer.body.startswith(probe.success.body)
    else:
        online = answer.status == 204 or (answer.status == 200 and not answer.body)
    return Verdict.ONLINE if online else Verdict.CAPTIVE


def appliance(probe: Probe, answer: Answer | None) -> Verdict:
    """Readers, consoles, players: anything but the expected text is a portal."""
    if answer is None:
        return Verdict.UNDECIDED
    if probe.client == "nintendo" and probe.host.startswith("conntest"):
        return Verdict.ONLINE if "x-organization" in answer.headers else Verdict.CAPTIVE
    online = answer.status == probe.success.status and probe.success.body in answer.body
    return Verdict.ONLINE if online else Verdict.CAPTIVE


RULES = {
    "apple": apple,
    "android": android,
    "chrome": chrome,
    "windows": windows,
    "firefox": firefox,
    "networkmanager": networkmanager,
    "kindle": appliance,
    "nintendo": appliance,
    "roku": appliance,
    "steam": appliance,
}
