"""docs/metrics.md, from the declarations of metrics in the program. Imports all of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import ftpgateway
import raftstore
from raftstore.util.metrics import Metric, MetricType, declarations

_INTRODUCTION = """Each node says over HTTP how it is, where `[metrics] listen` says
([configuration](configuration.md#metrics)): `/metrics` for Prometheus, `/livez` and `/readyz` for supervisors and
balancers ([operating](operating.md#metrics-and-health)). Rules for alerts and a dashboard are in `docker/prometheus`
and `docker/grafana`.

Every value is that node's own, or the cluster's as that node has applied it. What only grows begins with 0 at the
node's start. No name of a client, an account or a file is a value of a label, but for accounts where
`metrics.accounts` is switched on. Beside these the client library tells of the process: `process_cpu_seconds_total`,
`process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`, `process_max_fds`,
`process_start_time_seconds`, `python_info`."""

PROCESS = (
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
    "python_info",
)
"""What the client library adds."""


def declared_metrics() -> list[Metric]:
    """Return every metric that a class of the program declares, by name."""
    found = {metric.name: metric for kind in _classes() for _, metric in declarations(kind)}
    return [found[name] for name in sorted(found)]


def _classes() -> Iterator[type]:
    for package in (raftstore, ftpgateway):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] != "__main__":
                yield from (
                    kind
                    for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
                    if kind.__module__ == module.name
                )


def metrics_page(made: str) -> str:
    """Return the page; `made` says where it comes from."""
    lines = [
        "# Metrics",
        "",
        made,
        "",
        _INTRODUCTION,
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in declared_metrics():
        meaning = metric.help.replace("|", "\\|")
        lines.append(f"| `{metric.name}` | {metric.type.value} | {_labels(metric)} | {meaning} |")
    lines += ["", f"Bounds of the histograms: {_HISTOGRAMS}"]
    return "\n".join(lines) + "\n"


_HISTOGRAMS = (
    "each has `_bucket`, `_sum` and `_count`; `le` is in seconds, and each bound of the two about the log is some two "
    "times the one before."
)


def series(metric: Metric) -> list[str]:
    """Return the names under which Prometheus stores a metric."""
    if metric.type is MetricType.HISTOGRAM:
        return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
    return [metric.name]


def _labels(metric: Metric) -> str:
    labels = [f"`{name}`" for name in metric.also]
    if metric.label:
        values = ", ".join(metric.values) or f"at most {metric.most}"
        labels.append(f"`{metric.label}`: {values}")
    return "; ".join(labels)
