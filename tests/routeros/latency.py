"""What a command costs a router, as data from public reports. Pure; nothing here was measured on a router by us."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Work:
    """What one command made a router do."""

    written: int = 0
    """Items added, set, moved or removed, one command each."""
    scripted: int = 0
    """Items written from within a script."""
    walked: int = 0
    """Items of the menu that a print looked at, all lists of the menu together."""
    values: int = 0
    """Properties that were sent."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of a router that does one thing after the other, whoever asks."""

    command: float = 0.0
    written: float = 0.0
    scripted: float = 0.0
    walked: float = 0.0
    value: float = 0.0
    source: str = ""

    def seconds(self, work: Work) -> float:
        """Of router work for one command."""
        return (
            self.command
            + self.written * work.written
            + self.scripted * work.scripted
            + self.walked * work.walked
            + self.value * work.values
        )


LATENCIES = {
    "none": Latency(source="nothing takes time"),
    "rb5009": Latency(
        command=0.0005,
        written=0.0015,
        scripted=0.00127,
        walked=53.5e-6,
        value=9.3e-6,
        source="CrowdSec bouncer on an RB5009, 7.22: an add 1-3 ms, 790 adds a second by script; 22,037 entries counted"
        " in 1.18 s, printed with three properties in 1.78 s and with five in 2.24 s",
    ),
    "laden": Latency(
        command=0.002,
        written=0.0065,
        scripted=0.0063,
        walked=150e-6,
        value=20e-6,
        source="public reports: 147 to 168 adds a second on an older release; one list of 2,000 printed in 8 to 10 s"
        " on a router with 53,000 entries",
    ),
}
"""By name. The shares within a command are fitted to the totals that the reports give."""
