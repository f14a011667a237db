"""Metrics as text that Prometheus reads, by prometheus_client in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from raftstore.util.metrics import Buckets, Family, Metrics, MetricType

__all__ = ["CONTENT_TYPE", "Exposition"]


class Exposition:
    """The text of all that a node counts, and of what the kernel counts of its process."""

    def __init__(self, metrics: Metrics, *, process: bool = False) -> None:
        """`process`: with processor time, memory and descriptors of this process."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_NodeCollector(metrics))
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return it, as it is now."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    """Reads what the node counts when it is asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Yield everything."""
        return map(_family, self._metrics.collect())

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: no other collector has names of this one, and to ask for them would be to collect."""
        return iter(())


def _family(family: Family) -> Metric:
    metric = family.metric
    names = list(family.samples[0].labels) if family.samples else []
    if metric.type is MetricType.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
        for labels, value in family.samples:
            assert isinstance(value, Buckets)
            bounds = [*map(floatToGoString, value.bounds), "+Inf"]
            cumulated = [
                (bound, float(count)) for bound, count in zip(bounds, accumulate(value.counts), strict=True)
            ]
            histogram.add_metric(list(labels.values()), cumulated, value.sum)
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily
    if metric.type is MetricType.COUNTER:
        made = CounterMetricFamily(metric.name, metric.help, labels=names)
    else:
        made = GaugeMetricFamily(metric.name, metric.help, labels=names)
    for labels, value in family.samples:
        assert not isinstance(value, Buckets)
        made.add_metric(list(labels.values()), float(value))
    return made
