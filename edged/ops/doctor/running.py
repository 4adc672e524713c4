# SPDX-License-Identifier: Apache-2.0
"""The checks that the running daemon answers: its status in, a finding out. Pure."""

from __future__ import annotations

from typing import Any

from edged.config.schema import Config
from edged.enforce.settings import by_name
from edged.ops.doctor.values import Facts, Finding, Grade
from edged.ops.text import counted

_DOWN = "edged is not running, and nobody else knows"
_GRADES = {"OK": Grade.OK, "WATCH": Grade.OK, "OFF": Grade.SKIP, "WARN": Grade.WARN}


def edged(facts: Facts, config: Config) -> Finding:
    """The daemon answers, and has no alarm."""
    if facts.daemon is None:
        return Finding(
            "edged", Grade.FAIL, facts.why("daemon"),
            "what is enforced stays as it is; nobody is led to a page or newly blocked, and no payment is seen",
            "systemctl status edged, journalctl -u edged -n 20",
        )  # fmt: skip
    status = facts.daemon.status
    if config.mode == "watch":
        return Finding(
            "edged", Grade.WARN, f"{status['verdict']} (mode: watch)", "nothing is enforced on anybody",
            "mode: enforce goes live; edged plan shows what it would do",
        )  # fmt: skip
    alarms = status["alarms"]
    if alarms:
        return Finding(
            "edged", Grade.WARN, status["verdict"], alarms[0]["sentence"], f"edged status; {alarms[0]['try']}"
        )
    return Finding("edged", Grade.OK, f"{status['verdict']}; version {status['version']}")


def _part(facts: Facts, name: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = facts.daemon.status["parts"] if facts.daemon else []
    return next((part for part in parts if part["name"] == name), {"state": "OFF", "fact": "edged says nothing of it"})


def billing(facts: Facts, config: Config) -> Finding:
    """Billing answers, and we may read."""
    if config.billing is None:
        return Finding("billing", Grade.SKIP, "there is no billing section")
    means = "new blocks and payments wait; the last good list stays in force"
    if facts.daemon is not None:
        part = _part(facts, "billing")
        grade = _GRADES.get(part["state"], Grade.FAIL)
        if grade is Grade.OK:
            return Finding("billing", grade, part["fact"])
        return Finding(
            "billing", grade, part["fact"], means, "edged sync; manual: billing-splynx.md, billing-uisp.md, feed.md"
        )
    if facts.billing is None:
        return Finding("billing", Grade.SKIP, facts.why("billing"))
    if facts.billing:
        return Finding("billing", Grade.FAIL, facts.billing, means, "is it up, and may this key read? manual: feed.md")
    return Finding("billing", Grade.OK, f"{config.billing.source} answers a question about one subscriber")


def guard(facts: Facts, config: Config) -> Finding:
    """No reading waits for a person."""
    del config
    if facts.daemon is None:
        return Finding("guard", Grade.SKIP, _DOWN)
    held = next((a for a in facts.daemon.status["alarms"] if a["code"] == "billing-held"), None)
    if held is None:
        return Finding("guard", Grade.OK, "no reading waits for a person")
    return Finding("guard", Grade.FAIL, held["sentence"], "nobody new is blocked until a person looks", held["try"])


def targets(facts: Facts, config: Config) -> Finding:
    """Every target answers, and holds what it should."""
    if not config.enforce:
        return Finding("targets", Grade.SKIP, "enforce is empty: no target is named")
    if facts.daemon is None:
        return Finding("targets", Grade.SKIP, _DOWN)
    parts = {name: _part(facts, name) for name in by_name(config.enforce)}
    for name, part in parts.items():
        grade = _GRADES.get(part["state"], Grade.FAIL)
        if grade is not Grade.OK:
            return Finding(
                "targets", grade, f"{name}: {part['fact']}",
                "what it enforces stays as it was; payments wait there, too",
                "edged plan; manual: troubleshooting.md, target-failing",
            )  # fmt: skip
    return Finding("targets", Grade.OK, "; ".join(f"{name} {part['fact']}" for name, part in parts.items()))


def radius(facts: Facts, config: Config) -> Finding:
    """Every NAS signs its requests, and is known."""
    if not (config.radius.auth or config.radius.tls):
        return Finding("radius", Grade.SKIP, "radius.auth is empty")
    if facts.daemon is None:
        return Finding("radius", Grade.SKIP, _DOWN)
    heard = facts.daemon.status["nases"]
    unsigned, strangers = heard["unsigned"], heard["strangers"]
    if unsigned["count"]:
        return Finding(
            "radius", Grade.WARN,
            f"{counted(unsigned['count'], 'access point')} without Message-Authenticator, for example "
            f"{unsigned['list'][0]['address']}",
            "whoever is on the way can forge answers to it (Blast-RADIUS)",
            "newer firmware, or its switch for Message-Authenticator; manual: wifi-access-points.md",
        )  # fmt: skip
    if strangers:
        return Finding(
            "radius", Grade.WARN, f"{strangers[0]['address']} asks and is no RADIUS client", "its devices get no key",
            strangers[0]["try"],
        )  # fmt: skip
    return Finding("radius", Grade.OK, "every access point that was heard signs its requests, and is known")
