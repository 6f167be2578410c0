"""The workload of row batches, for real and short."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from tests.bench.test_workloads import figures

pytestmark = pytest.mark.slow


def test_rows(bench: Bench) -> None:
    found = {figure.name: figure for figure in figures(bench, "rows")}
    assert list(found) == [
        "async, 4 processes",
        "sync, 4 processes",
        "pickup of a new batch, p50",
        "pickup of a new batch, p99",
        "submit and pickup, p50",
        "submit and pickup, p99",
        "submitting",
        "status of a large batch, p50",
        "status of a large batch, p99",
    ]
    assert found["async, 4 processes"].details["rows"] == bench.jobs // 2
