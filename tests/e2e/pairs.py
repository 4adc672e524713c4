# SPDX-License-Identifier: Apache-2.0
"""Two edges behind one address fail over in every way while clients ask; needs root.

``python -m tests.e2e.pairs`` prints the table of docs/pairs.md; tests/e2e/test_pairs.py asserts what must hold of it on
a busy machine too.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.e2e.edge import BLOCKED, KEYS
from tests.e2e.lab import until
from tests.e2e.pair_lab import SHIPPED, WAN, Member, PairLab
from tests.e2e.pair_load import Load, Tally, listening

SETTLE = 1.0
"""Seconds of load after everything is as it should be."""
FOR_GOOD = "both edged killed"
"""Nobody is answered after it."""


@dataclass
class Pair:
    """The lab with both edges serving, the first one master. ``rows`` is what each fail-over cost."""

    lab: PairLab = field(default_factory=lambda: PairLab(prefix=f"edged-p{os.getpid()}"))
    rows: dict[str, dict[str, tuple[float, float, Tally]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="edged-pair-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)  # the health check runs as nobody
        (folder / "edged-healthy").write_bytes((SHIPPED / "edged-healthy").read_bytes())
        (folder / "edged-healthy").chmod(0o755)
        self._billing = folder / "billing.json"
        self.tell(BLOCKED)
        self.lab.__enter__()
        self.members = {name: Member(self.lab, name, folder / name) for name in WAN}
        try:
            listening(self.lab)
            for member in self.members.values():
                member.configure(self._billing)
                member.start()
            for member in self.members.values():
                until(f"{member.name} enforces", member.enforces, timeout=30.0)
            first, second = self.members.values()
            first.route()
            until("the first is master", first.holds, timeout=10.0)
            second.route()
            self.load = Load(self.lab)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for member in self.members.values():
                member.end()
        finally:
            self.lab.__exit__()
            self._folder.cleanup()

    def tell(self, *subscribers: dict[str, Any]) -> None:
        """Make the one list that both edges read exactly these."""
        new = self._billing.with_suffix(".new")
        new.write_text(json.dumps({"subscribers": subscribers, "keys": KEYS, "known": 4120}))
        new.replace(self._billing)

    @property
    def master(self) -> Member:
        """The one edge that has the addresses; AssertionError where it is not exactly one."""
        (one,) = (member for member in self.members.values() if member.holds())
        return one

    def backup(self, of: Member) -> Member:
        """The other one."""
        return self.members[of.other]

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """What was asked from now until everybody is answered after the block, and for a while more."""
        begun = time.monotonic()
        yield
        if name != FOR_GOOD:
            until("everybody is answered", self._all_answered, timeout=20.0)
        time.sleep(SETTLE)
        end = time.monotonic()
        self.rows[name] = {kind: (begun, end, tally) for kind, tally in self.load.tallies.items()}

    def _all_answered(self) -> bool:
        """True when each kind had an answer to something that it asked in the last half second."""
        now = time.monotonic()
        recent = [[one for one in tally.asked[-40:] if one.at > now - 0.5] for tally in self.load.tallies.values()]
        return bool(recent) and all(any(one.took is not None for one in kind) for kind in recent)

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """For each fail-over and each kind what became of it; after the load has ended."""
        return {
            name: {kind: tally.between(begin, end) for kind, (begin, end, tally) in kinds.items()}
            for name, kinds in self.rows.items()
        }


def kill_daemon(pair: Pair) -> None:
    """edged of the master is killed; it comes back, and is the backup."""
    old = pair.master
    with pair.measured("edged killed"):
        old.signal(signal.SIGKILL)
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    _back(pair, old, old.start)


def stop_daemon(pair: Pair) -> None:
    """edged of the master hangs; it goes on, and is the backup."""
    old = pair.master
    with pair.measured("edged hangs"):
        old.signal(signal.SIGSTOP)
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    _back(pair, old, lambda: old.signal(signal.SIGCONT))


def kill_keepalived(pair: Pair) -> None:
    """keepalived of the master is killed: its addresses stay where they are until it comes back."""
    old = pair.master
    with pair.measured("keepalived killed"):
        old.crash_router()
        until("the other is master", pair.backup(old).holds, timeout=15.0)
    assert old.holds(), "nobody took them from the host that is not the master any more"
    _back(pair, old, old.route)


def cut_off(pair: Pair) -> None:
    """The master loses both its links at once, as by a power cut."""
    old = pair.master
    ports = [f"{old.name}-wan", f"{old.name}-lan"]  # first the one by which it could say so
    with pair.measured("links down"):
        # in one go: it must not be able to say that it goes
        pair.lab.run("switch", "ip", "-batch", "-", input="\n".join(f"link set {port} down" for port in ports))
        until("the other is master", pair.backup(old).holds, timeout=15.0)

    def plug() -> None:
        for port in ports:
            pair.lab.run("switch", "ip", "link", "set", port, "up")

    _back(pair, old, plug)


def hand_over(pair: Pair) -> None:
    """An upgrade of the master: keepalived is stopped first, then edged; both come back."""
    old = pair.master
    with pair.measured("handed over"):
        old.hand_over()
        until("the other is master", lambda: old.holds_none() and pair.backup(old).holds(), timeout=15.0)
    with pair.measured("backup restarted"):
        old.signal(signal.SIGTERM)
        old.start()
        until("it enforces", old.enforces, timeout=30.0)
    _back(pair, old, old.route)


def partition(pair: Pair) -> None:
    """Neither hears the other: both are master, until they hear each other again."""
    with pair.measured("both master"):
        for member in pair.members.values():
            rules = "add table inet deaf; add chain inet deaf in { type filter hook input priority -300; }"
            pair.lab.run(member.name, "nft", f"{rules}; add rule inet deaf in meta l4proto 112 drop")
        for member in pair.members.values():
            until("both are master", member.holds, timeout=15.0)
    with pair.measured("one master again"):
        for member in pair.members.values():
            pair.lab.run(member.name, "nft", "delete", "table", "inet", "deaf")
        until("one is master", lambda: sum(m.holds() for m in pair.members.values()) == 1, timeout=15.0)


def kill_both(pair: Pair) -> None:
    """No edged is left: nobody answers, and one of the two goes on as the router. The last thing to try."""
    with pair.measured(FOR_GOOD):
        for member in pair.members.values():
            member.signal(signal.SIGKILL)
        for member in pair.members.values():
            until("it counts as sick", lambda m=member: not m.counts_as_well(), timeout=15.0)
        time.sleep(2 * SETTLE)  # whoever were to take over would have done so
        assert pair.master.ruleset() == pair.backup(pair.master).ruleset()


FAILURES = (kill_daemon, stop_daemon, kill_keepalived, cut_off, hand_over, partition, kill_both)


def _back(pair: Pair, member: Member, how: Callable[[], None]) -> None:
    """``member`` is well again, and nothing moves for that."""
    how()
    until("it is well again, and counts as well", lambda: member.healthy() and member.counts_as_well(), timeout=30.0)
    until("it enforces, and is the backup", lambda: member.enforces() and member.holds_none(), timeout=10.0)
    time.sleep(SETTLE)  # its next adverts would have moved something by now
    assert pair.master is pair.backup(member)


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The figures in Markdown, both families together: lost of those asked, and the longest time without an answer."""
    columns = ("DNS", "page", "RADIUS key", "RADIUS accounting", "open connection", "forbidden")
    rows = [f"| {' | '.join(('', *columns))} |", "|---" * (len(columns) + 1) + "|"]
    for name, kinds in figures.items():
        cells = [name]
        for column in columns:
            found = [figure for kind, figure in kinds.items() if kind.startswith(column)]
            lost, late, wrong, asked = (int(sum(f[key] for f in found)) for key in ("lost", "late", "wrong", "asked"))
            gap = max(f["gap_s"] for f in found)
            match column:
                case "open connection":
                    cells.append(f"{gap:.2f} s")
                case "forbidden":
                    cells.append(f"{wrong} of {asked} let in")
                case "RADIUS key" | "RADIUS accounting":
                    cells.append(f"{lost} of {asked} lost, {late} late")
                case _:
                    cells.append(f"{lost} of {asked} lost, {gap:.2f} s")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def every_failure(pair: Pair) -> None:
    """Each once, under load."""
    pair.load.start()
    with pair.measured("nothing"):
        pass
    for failure in FAILURES:
        failure(pair)
    pair.load.end()


def main() -> None:
    """Every failure once; the table on standard output."""
    with Pair() as pair:
        every_failure(pair)
        print(table(pair.figures()))
        print("connections cut:", pair.load.cut or "none")


if __name__ == "__main__":
    main()
