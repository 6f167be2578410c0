"""Notifications are counted, each on its channel."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench
from pgqueue.bench.workloads import notify
from pgqueue.bench.workloads._ear import Ear


@pytest.mark.slow
def test_notify(bench: Bench) -> None:
    found = {figure.name: figure for figure in notify.run(bench)}
    assert found["no worker"].value == 0
    assert found["busy workers"].value == 0
    assert found["a sleeping worker, nothing enqueued"].value == 0
    assert found["a sleeping worker, one job at a time"].value == 1
    assert all(figure.holds for figure in found.values())


def test_the_ear_hears_what_was_committed_before(bench: Bench) -> None:
    s = bench.schema
    with Ear(bench) as ear:
        assert ear.heard().total() == 0
        bench.execute(f"notify {s}_wake, 'a'")
        bench.execute(f"notify {s}_done, '1'")
        bench.execute(f"notify {s}_done, '2'")
        assert ear.heard() == {"wake": 1, "done": 2}
        assert ear.heard().total() == 0
