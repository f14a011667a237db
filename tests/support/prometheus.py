"""A real Prometheus over a cluster, with the rules that docker/prometheus ships, in a hurry."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from waiting import eventually

from ftpgateway.demo import ports

SHIPPED = Path(__file__).resolve().parents[2] / "docker" / "prometheus"
PROGRAM = "prometheus"

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(\d+)(ms|s|m|h|d)")
_RANGE = re.compile(r"\[(\d+(?:ms|s|m|h|d))\]")

INTERVAL = "250ms"
"""Between two scrapes, and two looks at the rules."""

HURRY = 600
"""So many times sooner do alerts fire than the shipped rules say."""


def sooner(time: str, factor: int) -> str:
    """Return a time of the rules, divided. Pure."""
    match = _TIME.fullmatch(time)
    assert match is not None, time
    return f"{int(match[1]) * _UNITS_MS[match[2]] // factor}ms"


def hurried(rules: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Return rules that differ in nothing but their times: `for`, and ranges in expressions. Pure."""
    return {
        "groups": [
            {
                **group,
                "rules": [
                    {
                        **rule,
                        "for": sooner(rule["for"], factor),
                        "expr": _RANGE.sub(lambda found: f"[{sooner(found[1], factor)}]", rule["expr"]),
                    }
                    for rule in group["rules"]
                ],
            }
            for group in rules["groups"]
        ]
    }


def configured(shipped: Mapping[str, Any], targets: list[str]) -> dict[str, Any]:
    """Return the shipped configuration for other targets, and in a hurry. Pure."""
    (job,) = shipped["scrape_configs"]
    return {
        **shipped,
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "scrape_configs": [{**job, "scrape_timeout": INTERVAL, "static_configs": [{"targets": targets}]}],
    }


def installed() -> bool:
    """Whether there is one on this machine."""
    return shutil.which(PROGRAM) is not None


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._base}/-/ready", timeout=10) as reply:
                return bool(reply.status == 200)
        except urllib.error.HTTPError as refused:
            refused.close()
            return False

    def firing(self) -> set[str]:
        """Return the alerts that fire now, by name."""
        alerts = self._asked("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def fired(self) -> Counter[str]:
        """Return how often an alert was seen firing since the start, by name: also one that has cleared meanwhile."""
        query = 'sum by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))'
        found = self._asked(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return Counter({each["metric"]["alertname"]: int(each["value"][1]) for each in found})

    def _asked(self, question: str) -> Any:
        with urllib.request.urlopen(f"{self._base}/api/v1/{question}", timeout=10) as reply:
            return json.load(reply)["data"]


@contextlib.contextmanager
def watching(directory: Path, targets: list[str]) -> Iterator[Prometheus]:
    """Run one that scrapes these addresses; its files are in `directory`."""
    rules = hurried(yaml.safe_load((SHIPPED / "rules.yml").read_text()), HURRY)
    settings = configured(yaml.safe_load((SHIPPED / "prometheus.yml").read_text()), targets)
    (directory / "rules.yml").write_text(yaml.safe_dump(rules))
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings))
    (port,) = ports.free("127.0.0.1", 1)
    command = [
        PROGRAM,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        made = Prometheus(port)
        eventually(lambda: process.poll() is not None or made.ready())
        assert process.poll() is None, (directory / "log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(30)
