"""Many queues, priorities and groups, short; and the filling they share with others."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench, WrongCounts
from pgqueue.bench.workloads import wide
from pgqueue.bench.workloads._fill import fill, names


@pytest.mark.slow
def test_wide(bench: Bench) -> None:
    found = {figure.name: figure for figure in wide.run(bench)}
    names = ["1,000 queues", "100 priorities", "one group", "10,000 groups", "10,000 groups, group_limit 2"]
    assert list(found) == names
    assert all(figure.ratio and (figure.floor == 0.8 or name == "one group") for name, figure in found.items())
    assert found["1,000 queues"].of == "one queue"
    assert found["10,000 groups, group_limit 2"].of == "100 groups, group_limit 200"


def test_fill_goes_round_queues_and_priorities(bench: Bench) -> None:
    fill(bench, 1200, queue="'queue ' || n % 4", priority="n / 4 % 3", batch=100)
    rows = bench.connection.execute(
        f"select queue, priority, count(*) from {bench.schema}.ready group by 1, 2 order by 1, 2".encode()
    ).fetchall()
    assert rows == [(queue, priority, 100) for queue in names("queue", 4) for priority in range(3)]


def test_fill_writes_what_enqueue_writes(bench: Bench) -> None:
    s = bench.schema
    fill(bench, 10, queue="'queue'", group_keys="array['a', 'b']", batch=2)
    assert bench.value(f"select array_agg(distinct group_key) from {s}.arrival") == ["a", "b"]
    assert bench.value(f"select count(distinct (kind, args, queue)) from {s}.job") == 1
    with pytest.raises(ValueError, match="whole number of batches"):
        fill(bench, 11, batch=2)


def test_a_round_that_leaves_jobs_fails(bench: Bench) -> None:
    fill(bench, 20, batch=10)
    bench.drain(20)
    fill(bench, 10, queue="'forgotten'", batch=10)
    with pytest.raises(WrongCounts, match="ready 10 instead of 0"):
        bench.verify(30)
