"""What a job writes to the log, short."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import wal


@pytest.mark.slow
def test_wal(bench: Bench) -> None:
    found = {figure.name: figure for figure in wal.run(bench)}
    assert list(found) == ["through SQL", "through SQL, commits", "with a worker", "with a worker, commits"]
    whole, commits = found["through SQL"], found["through SQL, commits"]
    assert whole.at_most and whole.floor == 750
    assert whole.value > whole.details["enqueue"] > 200
    # A hundred jobs are one commit each way in, out and settled; the rest is this test's own looking.
    assert 0.03 <= commits.value < 0.2
