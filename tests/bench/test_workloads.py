"""The workloads of throughput and latency, for real and short: all their figures come out, and their counts hold."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import pytest

from pgqueue.bench import Bench, Figure, available

pytestmark = pytest.mark.slow


def figures(bench: Bench, name: str) -> Iterator[Figure]:
    (workload,) = available([name])
    bench.empty()
    for figure in workload.run(bench):
        assert figure.workload == name
        # Of a delay between two processes the start may be noted late, when others keep the processors busy.
        assert figure.value > 0 or (figure.unit == "ms" and isfinite(figure.value))
        assert (figure.holds is None) == (figure.floor is None)
        yield figure


def test_limit(bench: Bench) -> None:
    assert [figure.name for figure in figures(bench, "limit")] == ["enqueue", "drain"]


def test_enqueue(bench: Bench) -> None:
    found = {figure.name: figure for figure in figures(bench, "enqueue")}
    assert {name: figure.floor for name, figure in found.items()} == {"batches": 0.5, "single": 0.6}
    assert found["single"].details["connections"] == 8
    for figure in found.values():
        assert figure.limit and figure.ratio
        assert len(figure.details["rounds"]) == len(figure.details["ratios"]) == 2
        assert len(figure.details["limit_rounds"]) == 3
        assert set(figure.series) == {figure.name, "limit"}


def test_claim(bench: Bench) -> None:
    found = {figure.name: figure.floor for figure in figures(bench, "claim")}
    assert found == {
        "two calls, with history": 0.60,
        "chained, with history": 0.60,
        "two calls, without history": 0.65,
        "chained, without history": 0.65,
    }


def test_worker(bench: Bench) -> None:
    found = {figure.name: figure for figure in figures(bench, "worker")}
    assert list(found) == ["async, 1 process", "sync, 1 process", "async, 2 processes", "sync, 2 processes"]
    assert found["async, 2 processes"].details["processes"] == 2
    assert all(figure.details["worker_us_per_job"] >= 0 for figure in found.values())
    assert bench.value(f"select count(*) from {bench.schema}.workers()") == 0


def test_latency(bench: Bench) -> None:
    found = list(figures(bench, "latency"))
    assert [figure.name for figure in found] == [
        f"{state}, {share}" for state in ("idle", "pinned") for share in ("p50", "p95", "p99")
    ]
    for p50, p95, p99 in (found[:3], found[3:]):
        assert p50.value <= p95.value <= p99.value
        assert p50.value <= p50.details["from_call"]
        assert p50.at_most and p50.details["probes"] == 100
        assert not p95.at_most
        (curve,) = p50.series.values()
        assert all(0 < share <= 1 for _, share in curve)
    assert found[3].details["jobs_before"] == 1000
