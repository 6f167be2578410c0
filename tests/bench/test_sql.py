"""SQL as a job, short: what is claimed of it is also checked there."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import sql


@pytest.mark.slow
def test_sql(bench: Bench) -> None:
    found = {figure.name: figure for figure in sql.run(bench)}
    assert found["through the store"].details["rows"] == 5 * bench.jobs
    assert all(found[name].ratio for name in ("through the store", "read again", "turns of scripts"))
    for name in ("small query", "cancel", "past the limit"):
        assert 0 < found[f"{name}, p50"].value <= found[f"{name}, p99"].value
