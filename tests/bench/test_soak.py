"""The soak, for a second or two."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import soak


@pytest.mark.slow
def test_soak(bench: Bench) -> None:
    bench.seconds = 3.0
    start, sizes, dead = soak.run(bench)
    assert start.unit == "ms" and start.details["p50"] <= start.details["p95"] <= start.value
    # Datagrams may be lost where nothing else may be.
    assert 0.9 * start.details["jobs"] <= start.details["heard"] <= start.details["jobs"]
    assert start.series["p99"]
    assert sizes.value > 0 and len(sizes.series) == 2
    assert dead.value > 0
