# SPDX-License-Identifier: Apache-2.0
"""The rooms' plain counters in, Prometheus' text format out, read at scrape time. Labels come from closed sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one series."""

    name: str
    """``edged_…`` in base units, without ``_total``."""
    text: str
    kind: Literal["counter", "gauge", "histogram"]
    value: float
    """Of a histogram the sum."""
    labels: tuple[tuple[str, str], ...] = ()
    buckets: tuple[tuple[str, float], ...] = ()
    """Of a histogram: upper bounds up to ``+Inf``, and how many are not above each."""


class _Rooms:
    """Registered as a collector, by its one method."""

    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        families: dict[str, Metric] = {}
        for sample in self._read():
            if sample.kind == "histogram":
                histogram = HistogramMetricFamily(sample.name, sample.text)
                histogram.add_metric([], sample.buckets, sample.value)
                yield histogram
                continue
            family = families.get(sample.name)
            if family is None:
                shape = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
                family = families[sample.name] = shape(sample.name, sample.text, labels=[n for n, _ in sample.labels])
            family.add_metric([value for _, value in sample.labels], sample.value)  # type: ignore[attr-defined]
        yield from families.values()


class Exposition:
    """What ``/metrics`` answers. Its library is loaded by the first who asks: it takes a megabyte."""

    def __init__(self, read: Callable[[], Iterable[Sample]]) -> None:
        self._read = read
        self._registry: CollectorRegistry | None = None

    def render(self) -> bytes:
        """All series, in the text format 0.0.4."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(_Rooms(self._read))
            ProcessCollector(registry=self._registry)
        return generate_latest(self._registry)
