"""The workload of keyed queues, for real and short."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from tests.bench.test_workloads import figures

pytestmark = pytest.mark.slow


def test_keyed(bench: Bench) -> None:
    found = {figure.name: figure for figure in figures(bench, "keyed")}
    assert list(found) == [
        "uncontended round, p50",
        "uncontended round, p99",
        "get_or_run, p50",
        "get_or_run, statements",
        "last of 1,000 answers after the ack",
        "50 callers, 20 queues",
    ]
    assert found["get_or_run, statements"].value <= 4
    assert found["last of 1,000 answers after the ack"].details["executions_per_key"] == 1
    crowd = found["50 callers, 20 queues"].details
    assert crowd["deadlocks"] == 0
    assert 1 <= crowd["most_active"] <= crowd["budget"]
