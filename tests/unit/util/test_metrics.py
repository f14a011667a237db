"""Metrics: declared where something is counted, collected into plain values, written as text."""

from __future__ import annotations

import pytest

from ftpgateway.access.ledger import Holder, Ledger, LedgerLimits, LimitReached, Limits, Resource
from ftpgateway.serving.exposition import Exposition
from raftstore.util.metrics import Buckets, Distribution, Metrics, Sample, counter, gauge, histogram


class Kettle:
    """Counts some things."""

    def __init__(self) -> None:
        self.boiled = 0
        self.read = 0

    @counter("pixraft_kettle_boiled_total", 'How often it "boiled"; a \\ and\na line.')
    def times(self) -> float:
        self.read += 1
        return self.boiled

    @gauge("pixraft_kettle_litres", "What is in it.", label="half", values=("lower", "upper"))
    def litres(self) -> dict[str, float]:
        return {"lower": 0.5, "steam": 9.0}

    @histogram("pixraft_kettle_seconds", "How long it took.")
    def seconds(self) -> Buckets:
        return Buckets((0.5, 1.0), (1, 0, 2), 7.25)


def test_nothing_is_called_before_it_is_collected_and_all_is_as_it_is_then() -> None:
    kettle, metrics = Kettle(), Metrics()
    metrics.add(kettle, place='the "large" one')
    kettle.boiled = 3
    assert not kettle.read
    families = {family.metric.name: family.samples for family in metrics.collect()}
    assert list(families) == sorted(families)
    labels = {"place": 'the "large" one'}
    assert families["pixraft_kettle_boiled_total"] == [Sample(labels, 3)]
    assert families["pixraft_kettle_litres"] == [
        Sample({**labels, "half": "lower"}, 0.5),
        Sample({**labels, "half": "upper"}, 0),
    ], "no more values than were declared"


def test_two_objects_of_a_class_are_one_family() -> None:
    metrics = Metrics()
    metrics.add(Kettle(), floor="1")
    metrics.add(Kettle(), floor="2")
    (boiled, *_) = metrics.collect()
    assert [sample.labels for sample in boiled.samples] == [{"floor": "1"}, {"floor": "2"}]


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.add(Kettle(), floor='1"\n')
    assert Exposition(metrics).text().decode().splitlines() == [
        '# HELP pixraft_kettle_boiled_total How often it "boiled"; a \\\\ and\\na line.',
        "# TYPE pixraft_kettle_boiled_total counter",
        'pixraft_kettle_boiled_total{floor="1\\"\\n"} 0.0',
        "# HELP pixraft_kettle_litres What is in it.",
        "# TYPE pixraft_kettle_litres gauge",
        'pixraft_kettle_litres{floor="1\\"\\n",half="lower"} 0.5',
        'pixraft_kettle_litres{floor="1\\"\\n",half="upper"} 0.0',
        "# HELP pixraft_kettle_seconds How long it took.",
        "# TYPE pixraft_kettle_seconds histogram",
        'pixraft_kettle_seconds_bucket{floor="1\\"\\n",le="0.5"} 1.0',
        'pixraft_kettle_seconds_bucket{floor="1\\"\\n",le="1.0"} 1.0',
        'pixraft_kettle_seconds_bucket{floor="1\\"\\n",le="+Inf"} 3.0',
        'pixraft_kettle_seconds_count{floor="1\\"\\n"} 3.0',
        'pixraft_kettle_seconds_sum{floor="1\\"\\n"} 7.25',
    ]


def test_a_name_that_says_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="ends in _total"):
        counter("pixraft_kettle_boiled", "h")
    for name in ("kettle_litres", "pixraft_Kettle"):
        with pytest.raises(ValueError, match="no name for a metric"):
            gauge(name, "h")
    with pytest.raises(ValueError, match="fixed set of values"):
        gauge("pixraft_kettle_litres", "h", label="half")

    class Other:
        @gauge("pixraft_kettle_litres", "The same name.")
        def litres(self) -> float:
            return 1.0

    metrics = Metrics()
    metrics.add(Kettle())
    with pytest.raises(ValueError, match="declared twice"):
        metrics.add(Other())


def test_what_clients_hold_and_are_refused() -> None:
    ledger, metrics = Ledger(LedgerLimits(node=Limits(handles=4))), Metrics()
    metrics.add(ledger)
    ledger.charge(Holder("anna"), Resource.HANDLES, 2)
    with pytest.raises(LimitReached):
        ledger.charge(Holder("anna"), Resource.HANDLES, 20)
    lines = Exposition(metrics).text().decode().splitlines()
    for name, value in (("held", 2), ("limit", 4), ("refused_total", 1)):
        assert f'pixraft_clients_{name}{{resource="handles"}} {value:.1f}' in lines


def test_observations_are_counted_in_the_class_whose_bound_they_do_not_exceed() -> None:
    distribution = Distribution((0.5, 1.0))
    for value in (0.0, 0.5, 0.75, 1.0, 1.5):
        distribution.observe(value)
    assert distribution.buckets() == Buckets((0.5, 1.0), (2, 2, 1), 3.75)


def test_a_label_of_names_that_operators_give_has_a_bound() -> None:
    class Peers:
        @gauge("pixraft_kettle_peers", "By peer.", label="peer", most=2)
        def peers(self) -> dict[str, float]:
            return {"c": 3.0, "a": 1.0, "b": 2.0}

    metrics = Metrics()
    metrics.add(Peers())
    (family,) = metrics.collect()
    assert family.samples == [Sample({"peer": "a"}, 1.0), Sample({"peer": "b"}, 2.0)]
    with pytest.raises(ValueError, match="fixed set of values, or at most"):
        gauge("pixraft_kettle_peers", "h", label="peer", values=("a",), most=2)


def test_the_process_is_collected_where_that_is_wanted() -> None:
    text = Exposition(Metrics(), process=True).text().decode()
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        assert f"\n{name} " in text
    assert Exposition(Metrics()).text() == b""
