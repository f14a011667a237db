"""What a node counts of itself: declared where it is counted, collected into plain values.

A metric is a method that returns its value, with `@counter`, `@gauge` or `@histogram`. The class counts as it likes, in
plain numbers: nothing is called until somebody collects. `Metrics.add` takes an object with such methods.

Names, units and meanings are Prometheus's (https://prometheus.io/docs/practices/naming): base units, `_total` for what
only grows. Each label has a fixed set of values, or at most so many that operators have made (names of members), so
that no client makes it grow.
"""

from __future__ import annotations

import enum
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

PREFIX = "pixraft_"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MARK = "_metric"


class MetricType(enum.Enum):
    """What a metric's values mean over time."""

    COUNTER = "counter"
    """Only grows, from 0 at the node's start."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Buckets(NamedTuple):
    """A histogram: how many observations lay at or below each bound, and above all of them; and their sum."""

    bounds: Sequence[float]
    counts: Sequence[int]
    """Of each class for itself, one more than there are bounds."""
    sum: float


class Distribution:
    """Counts observations in classes. On one thread; an observation is a search in a few bounds and two additions."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: upper bounds of the classes, rising; a last class has none."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> Buckets:
        """Return what was counted so far."""
        return Buckets(self._bounds, tuple(self._counts), self._sum)


@dataclass(frozen=True, slots=True)
class Metric:
    """What is declared. `values` are those that `label` can have, or there are at most `most`; without a label there is
    one value.
    """

    name: str
    help: str
    type: MetricType
    label: str = ""
    values: tuple[str, ...] = ()
    most: int = 0
    also: tuple[str, ...] = ()
    """Labels that `Metrics.add` gives, for the page that describes all metrics."""


class Sample(NamedTuple):
    """One value, with its labels."""

    labels: Mapping[str, str]
    value: float | Buckets


class Family(NamedTuple):
    """All values of one metric."""

    metric: Metric
    samples: Sequence[Sample]


_F = TypeVar(
    "_F", bound=Callable[[Any], float] | Callable[[Any], Mapping[str, float]] | Callable[[Any], Buckets]
)


def counter(
    name: str,
    help: str,
    *,
    label: str = "",
    values: Iterable[str] = (),
    most: int = 0,
    also: Iterable[str] = (),
) -> Callable[[_F], _F]:
    """Declare what only grows: the method returns how much it is, with a label a value for each of `values`.

    `most` instead of `values`: as many at most, of names that only operators give. `also` names the labels that
    `Metrics.add` gives to each object.
    """
    if not name.endswith("_total"):
        raise ValueError(f"{name}: the name of a counter ends in _total")
    return _declared(Metric(name, help, MetricType.COUNTER, label, tuple(values), most, tuple(also)))


def gauge(
    name: str,
    help: str,
    *,
    label: str = "",
    values: Iterable[str] = (),
    most: int = 0,
    also: Iterable[str] = (),
) -> Callable[[_F], _F]:
    """Declare what goes up and down; else as `counter`."""
    return _declared(Metric(name, help, MetricType.GAUGE, label, tuple(values), most, tuple(also)))


def histogram(name: str, help: str) -> Callable[[_F], _F]:
    """Declare how observations are distributed: the method returns `Buckets`."""
    return _declared(Metric(name, help, MetricType.HISTOGRAM))


def _declared(metric: Metric) -> Callable[[_F], _F]:
    if not metric.name.startswith(PREFIX) or not _NAME.fullmatch(metric.name):
        raise ValueError(f"{metric.name} is no name for a metric of {PREFIX}*")
    if bool(metric.label) != (bool(metric.values) != bool(metric.most)):
        raise ValueError(f"{metric.name}: a label has a fixed set of values, or at most so many")

    def mark(method: _F) -> _F:
        setattr(method, _MARK, metric)
        return method

    return mark


class Metrics:
    """The metrics of one node. On the loop."""

    def __init__(self) -> None:
        self._readers: dict[str, tuple[Metric, list[tuple[Mapping[str, str], Callable[[], Any]]]]] = {}

    def add(self, component: object, **labels: str) -> None:
        """Collect the metrics of `component` from now on, all with these labels, which must not be of clients' making.

        Raises ValueError when another declaration has one of their names.
        """
        for method, metric in declarations(type(component)):
            known, readers = self._readers.setdefault(metric.name, (metric, []))
            if known is not metric:
                raise ValueError(f"{metric.name} is declared twice")
            readers.append((labels, getattr(component, method)))

    def collect(self) -> list[Family]:
        """Return all values as they are now, by name."""
        return [
            Family(metric, [sample for labels, read in readers for sample in _samples(metric, labels, read())])
            for _, (metric, readers) in sorted(self._readers.items())
        ]


def declarations(kind: type) -> Iterator[tuple[str, Metric]]:
    """Yield the metrics that a class declares, its bases' too, with the names of their methods."""
    for name in dir(kind):
        metric = getattr(getattr(kind, name, None), _MARK, None)
        if isinstance(metric, Metric):
            yield name, metric


def _samples(metric: Metric, labels: Mapping[str, str], value: Any) -> Iterator[Sample]:
    if not metric.label:
        yield Sample(labels, value)
        return
    if metric.most:
        for name, number in islice(sorted(value.items()), metric.most):
            yield Sample({**labels, metric.label: name}, number)
    for each in metric.values:
        yield Sample({**labels, metric.label: each}, value.get(each, 0))
