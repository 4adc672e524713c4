# SPDX-License-Identifier: Apache-2.0
"""The checks that the running daemon answers: its status in, a finding out. Pure."""

from __future__ import annotations

from typing import Any

from edged.config.schema import Config
from edged.enforce.settings import by_name
from edged.ops.doctor.finding import Finding, Plain, fail, ok, skip, warn
from edged.ops.doctor.values import Facts
from edged.ops.text import counted, moment, span

_DOWN = "edged is not running, and nobody else knows"
_WELL = frozenset({"OK", "WATCH"})
_DAY_S = 86400.0
_CLOCK_S = 60.0
"""Seconds between a hub's clock and ours that somebody should know of; at five minutes its answers are refused."""
_OF_A_HUB = ("hub-empty", "hub-certificate-ending", "edge-silent", "edge-behind")
"""Alarms, the loudest first."""
_HUB_FIXES = {
    0: "is it up? curl -v of billing.url from here; billing.ca names an authority of your own",
    200: "edged fleet key on the hub prints what belongs in billing.signed_by; a proxy must not change path or query",
    401: "billing.key must be one of hub.keys there; here it is in force after a restart of edged",
    404: "billing.url is the hub's address and its hub.path, such as https://hub.example.net/edged",
    503: "edged status on the hub: its first list waits there for edged sync --accept",
}
"""What to do where the hub is not believed, by its HTTP status; 0: there was no answer."""
_HUB_FIX = "edged status on the hub, and the log of a proxy in front"
EXPORT_DAYS = 30
"""How old the last export of the keys may be."""


def edged(facts: Facts, config: Config) -> Finding:
    """The daemon answers, and has no alarm."""
    if facts.hung:
        return fail(
            "edged", "it runs (pid {pid}), and does not answer within four seconds",
            "blocked lines may wait for a page that does not come; what is enforced stays as it is",
            "journalctl -u edged -n 50 (loop-stuck says where it stands); systemctl restart edged", pid=facts.hung,
        )  # fmt: skip
    if facts.daemon is None:
        return fail(
            "edged", "{reason}",
            "what is enforced stays as it is; nobody is led to a page or newly blocked, and no payment is seen",
            "systemctl status edged, journalctl -u edged -n 20", reason=facts.why("daemon"),
        )  # fmt: skip
    status = facts.daemon.status
    if config.mode == "watch":
        return warn(
            "edged", "{verdict} (mode: watch)", "nothing is enforced on anybody",
            "mode: enforce goes live; edged plan shows what it would do", verdict=status["verdict"],
        )  # fmt: skip
    alarms = status["alarms"]
    if alarms:
        return warn(
            "edged", "{verdict}", "{sentence}", "edged status; {how}", verdict=status["verdict"],
            sentence=alarms[0]["sentence"], how=alarms[0]["try"],
        )  # fmt: skip
    return ok("edged", "{verdict}; version {version}", verdict=status["verdict"], version=Plain(status["version"]))


def part(facts: Facts, name: str) -> dict[str, Any]:
    """What the running edged says of its part ``name``."""
    parts: list[dict[str, Any]] = facts.daemon.status["parts"] if facts.daemon else []
    return next((one for one in parts if one["name"] == name), {"state": "OFF", "fact": "edged says nothing of it"})


def billing(facts: Facts, config: Config) -> Finding:
    """Billing answers, and we may read."""
    if config.billing is None:
        return skip("billing", "there is no billing section")
    means = "new blocks and payments wait; the last good list stays in force"
    if facts.daemon is not None:
        said = part(facts, "billing")
        if said["state"] in _WELL or said["state"] == "OFF":
            return (skip if said["state"] == "OFF" else ok)("billing", "{fact}", fact=said["fact"])
        fix = "edged sync says more; what its key must be allowed: manual, billing-splynx.md and others"
        if config.billing.source == "file":
            fix = "edged sync says more; manual: billing-file.md"
        elif config.billing.source == "hub":
            fix = "edged doctor hub says more; manual: fleet.md"
        return (warn if said["state"] == "WARN" else fail)("billing", "{fact}", means, fix, fact=said["fact"])
    if facts.billing is None:
        return skip("billing", "{reason}", reason=facts.why("billing"))
    if facts.billing:
        return fail(
            "billing", "{answer}", means,
            "is it up, and may this key read? manual: billing-splynx.md, billing-uisp.md, feed.md",
            answer=facts.billing,
        )  # fmt: skip
    return ok("billing", "{source} answers a question about one subscriber", source=Plain(config.billing.source))


def hub(facts: Facts, config: Config) -> Finding:
    """At a hub: it has a list, a certificate that lasts, and edges that hear it. At an edge of one: it is believed."""
    if config.hub is not None:
        return _of_a_hub(facts)
    if config.billing is None or config.billing.source != "hub":
        return skip("hub", "this edge asks no hub, and is none")
    found = facts.hub
    if found is None:
        return skip("hub", "{reason}", reason=facts.why("hub"))
    if found.error:
        return fail(
            "hub", "{error}",
            "the last good list stays in force; new blocks and payments wait, where there is no billing.fallback",
            "{how}", error=found.error, how=Plain(_HUB_FIXES.get(found.status, _HUB_FIX)),
        )  # fmt: skip
    if abs(found.ahead) > _CLOCK_S:
        return warn(
            "hub", "its clock is {apart} {where} this host's", "from five minutes on its answers are refused",
            "NTP on both hosts: timedatectl says which of the two is wrong",
            apart=Plain(span(abs(found.ahead))), where=Plain("ahead of" if found.ahead > 0 else "behind"),
        )  # fmt: skip
    return ok(
        "hub", "{name} answers, signed by a key of billing.signed_by; clocks differ by {apart}", name=found.name,
        apart=Plain(span(round(abs(found.ahead)))),
    )  # fmt: skip


def _of_a_hub(facts: Facts) -> Finding:
    if facts.daemon is None:
        return skip("hub", _DOWN)
    standing = {alarm["code"]: alarm for alarm in facts.daemon.status["alarms"]}
    for code in _OF_A_HUB:
        if code in standing:
            return (fail if code == "hub-empty" else warn)(
                "hub", "{sentence}", "edges go on with what they have: new blocks and payments wait there", "{how}",
                sentence=standing[code]["sentence"], how=standing[code]["try"],
            )  # fmt: skip
    said = part(facts, "hub")
    if said["state"] == "WARN":
        return warn(
            "hub", "{fact}", "edges go on with what they have: new blocks and payments wait there",
            "edged status, edged fleet status", fact=said["fact"],
        )  # fmt: skip
    return ok("hub", "{fact}", fact=said["fact"])


def guard(facts: Facts, config: Config) -> Finding:
    """No reading waits for a person."""
    del config
    if facts.daemon is None:
        return skip("guard", _DOWN)
    held = next((a for a in facts.daemon.status["alarms"] if a["code"] == "billing-held"), None)
    if held is None:
        return ok("guard", "no reading waits for a person")
    return fail(
        "guard", "{sentence}", "nobody new is blocked until a person looks", "{how}",
        sentence=held["sentence"], how=held["try"],
    )  # fmt: skip


def targets(facts: Facts, config: Config) -> Finding:
    """Every target answers, and holds what it should."""
    if not config.enforce:
        return skip("targets", "enforce is empty: no target is named")
    if facts.daemon is None:
        return skip("targets", _DOWN)
    parts = {name: part(facts, name) for name in by_name(config.enforce)}
    for name, said in parts.items():
        if said["state"] == "OFF":
            return skip("targets", "{name}: {fact}", name=name, fact=said["fact"])
        if said["state"] not in _WELL:
            return (warn if said["state"] == "WARN" else fail)(
                "targets", "{name}: {fact}", "what it enforces stays as it was; payments wait there, too",
                "edged plan; manual: troubleshooting.md, target-failing", name=name, fact=said["fact"],
            )  # fmt: skip
    return ok("targets", "{all}", all="; ".join(f"{name} {said['fact']}" for name, said in parts.items()))


def radius(facts: Facts, config: Config) -> Finding:
    """Every NAS signs its requests, and is known."""
    if not (config.radius.auth or config.radius.tls):
        return skip("radius", "radius.auth is empty")
    if facts.daemon is None:
        return skip("radius", _DOWN)
    heard = facts.daemon.status["nases"]
    unsigned, strangers = heard["unsigned"], heard["strangers"]
    if unsigned["count"]:
        return warn(
            "radius", "{count} without Message-Authenticator, for example {address}",
            "whoever is on the way can forge answers to it (Blast-RADIUS)",
            "newer firmware, or its switch for Message-Authenticator; manual: wifi-access-points.md",
            count=Plain(counted(unsigned["count"], "access point")), address=unsigned["list"][0]["address"],
        )  # fmt: skip
    if strangers:
        return warn(
            "radius", "{address} asks and is no RADIUS client", "its devices get no key", "{how}",
            address=strangers[0]["address"], how=strangers[0]["try"],
        )  # fmt: skip
    return ok("radius", "every access point that was heard signs its requests, and is known")


def backup(facts: Facts, config: Config) -> Finding:
    """Keys that exist nowhere else were exported lately."""
    del config
    if facts.inside is None:
        return skip("backup", "{reason}", reason=facts.why("inside"))
    kept = facts.inside["keys"]
    local, newer, at = int(kept["local"]), int(kept["newer"]), float(kept["exported_at"] or 0.0)
    if not local:
        return ok("backup", "no locally made keys; nothing to export")
    keys = Plain(counted(local, "locally made key"))
    means = "billing does not know them: if this host's disk dies, their residents are without Wi-Fi"
    fix = "edged keys export --origin local --reveal --out FILE, and keep FILE elsewhere and locked; manual: upgrade.md"
    if not at:
        return warn("backup", "{keys}, never exported", means, fix, keys=keys)
    days = Plain(counted(int((facts.now - at) / _DAY_S), "day"))
    if facts.now - at > EXPORT_DAYS * _DAY_S:
        return warn("backup", "{keys}, exported {days} ago", means, fix, keys=keys, days=days)
    if newer:
        return ok(
            "backup", "{keys}, exported {days} ago; {newer} made or changed since", keys=keys, days=days, newer=newer
        )
    return ok("backup", "{keys}, all exported on {day}", keys=keys, day=Plain(moment(at)[:10]))
