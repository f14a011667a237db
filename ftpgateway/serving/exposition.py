"""Metrics as text that Prometheus reads (its text format 0.0.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from raftstore.util.metrics import Buckets, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Family]) -> str:
    """Return the text of all metrics."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    metric = family.metric
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    yield f"# TYPE {metric.name} {metric.type.value}"
    for sample in family.samples:
        if isinstance(sample.value, Buckets):
            yield from _histogram(metric.name, sample.labels, sample.value)
        else:
            yield f"{metric.name}{_labels(sample.labels)} {_number(sample.value)}"


def _histogram(name: str, labels: Mapping[str, str], buckets: Buckets) -> Iterator[str]:
    bounds = [*map(_number, buckets.bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(buckets.counts), strict=True):
        yield f"{name}_bucket{_labels({**labels, 'le': bound})} {count}"
    yield f"{name}_sum{_labels(labels)} {_number(buckets.sum)}"
    yield f"{name}_count{_labels(labels)} {sum(buckets.counts)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
