"""Ten thousand groups, short: the round, and what it would say of an order that was not kept."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench, WrongCounts
from pgqueue.bench.workloads import groups
from pgqueue.bench.workloads._fill import fill


@pytest.mark.slow
def test_groups(bench: Bench) -> None:
    (figure,) = groups.run(bench)
    assert (figure.name, figure.of, figure.floor) == ("500 groups, group_limit 1", "no groups", 0.3)
    assert figure.ratio


def test_jobs_of_a_group_side_by_side_are_found(bench: Bench) -> None:
    fill(bench, 20, group_keys="array['a', 'b']", batch=2)
    bench.drain(20)
    # Without a limit one claim takes them all at once.
    with pytest.raises(WrongCounts, match="before the one before"):
        groups._check_order(bench)
