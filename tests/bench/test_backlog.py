"""The backlog's rounds, short: they leave as many jobs queued as there were."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import backlog


@pytest.mark.slow
def test_backlog(bench: Bench) -> None:
    found = list(backlog.run(bench))
    assert [figure.name for figure in found] == ["1,000 queued", "10,000 queued"]
    small, large = found
    assert small.floor is None and small.of == "limit"
    assert large.floor == 0.8 and large.of == "1,000 queued"
    assert large.ratio is not None and large.ratio > 0.1
    assert [x for x, _ in large.series["claim and settle"]] == [1000, 10_000]
    assert bench.value(f"select count(*) from {bench.schema}.ready") == 10_000
