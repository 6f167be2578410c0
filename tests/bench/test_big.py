"""A megabyte in, a megabyte out, to the byte."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import big


@pytest.mark.slow
def test_big(bench: Bench) -> None:
    found = list(big.run(bench))
    assert [figure.name for figure in found] == ["through SQL", "a worker, one at a time", "a worker, 10 at a time"]
    assert all(figure.value > 0 and figure.ratio for figure in found)
    assert found[0].details["bytes"] > 1_000_000
