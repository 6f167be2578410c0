"""The torture of a held snapshot, short."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import pinned


@pytest.mark.slow
def test_pinned(bench: Bench) -> None:
    free, few, many = pinned.run(bench)
    assert (free.floor, few.floor, many.floor) == (None, 0.9, 0.7)
    assert few.name == "after 6 rounds of 100" and few.of == "round one"
    assert many.name == "after 5,000 jobs" and many.of == "round one"
    # One row dies for every claimed job, and stays as long as the snapshot.
    assert many.details["dead_rows_in_ready"] >= 4000
    assert many.series["claim and settle, snapshot held"][-1][0] == 5000
