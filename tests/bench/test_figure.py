"""What a figure says of itself, and what becomes of rounds."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench, Figure, Sizes, available
from pgqueue.bench._base import percentile
from pgqueue.bench._load import Load
from pgqueue.bench._rounds import Rounds
from pgqueue.errors import InvalidArgument


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("w", "f", 10.0, "jobs/s"), None),
        (Figure("w", "f", 10.0, "jobs/s", ratio=0.6, floor=0.6), True),
        (Figure("w", "f", 10.0, "jobs/s", ratio=0.59, floor=0.6), False),
        (Figure("w", "f", 10.0, "jobs/s", floor=10.0), True),
        (Figure("w", "f", 9.0, "jobs/s", floor=10.0), False),
        (Figure("w", "f", 0.7, "ms", ratio=0.1, floor=0.7, at_most=True), True),
        (Figure("w", "f", 0.8, "ms", ratio=9.0, floor=0.7, at_most=True), False),
    ],
)
def test_a_floor_is_held_against_the_ratio_a_ceiling_against_the_value(figure: Figure, holds: bool | None) -> None:
    assert figure.holds is holds


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1.0, 100),
        ([3, 1], 0, 1),
    ],
)
def test_percentiles_are_values_that_occurred(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_a_figure_is_the_median_of_its_rounds() -> None:
    load = Load(10, 1000, 0.5, 0.1, 0.3, 4)
    rounds = Rounds(
        {"own": [50.0, 40.0, 60.0]}, {"own": [0.5, 0.1, 0.6]}, {"own": load}, [100.0, 90.0, 110.0, 90.0], load
    )
    figure = rounds.figure("claim", "own", floor=0.5, details={"batch": 100})
    assert (figure.value, figure.limit, figure.ratio, figure.holds) == (50.0, 95.0, 0.5, True)
    assert figure.details["rounds"] == [50, 40, 60]
    assert (figure.details["client_cpu_share"], figure.details["server_us_per_job"]) == (0.25, 300.0)
    assert figure.details["batch"] == 100
    assert figure.series["own"] == [(1.0, 50.0), (2.0, 40.0), (3.0, 60.0)]
    assert figure.series["limit"][-1] == (3.5, 90.0)


def test_loads_add_up_and_what_is_not_known_stays_unknown() -> None:
    one, other = Load(1, 100, 1.0, 0.1, 0.4, 4), Load(2, 300, 1.0, 0.2, None, 4)
    assert (one + one).rate == 100
    assert (one + one).server_us == 4000
    assert (one + other).server_us is None
    assert (one + other).client_share is None


@pytest.mark.parametrize(
    ("sizes", "jobs", "seconds"),
    [
        (Sizes(), 200_000, 10.0),
        (Sizes(quick=True), 20_000, 3.0),
        (Sizes(1234, 0.5), 1200, 0.5),
        (Sizes(10, quick=True), 100, 3.0),
    ],
)
def test_rounds_are_whole_batches(sizes: Sizes, jobs: int, seconds: float) -> None:
    bench = Bench("", "pgqueue_bench")
    sizes.apply(bench)
    assert (bench.jobs, bench.seconds) == (jobs, seconds)


def test_workloads_come_in_their_order_however_they_are_named() -> None:
    assert [each.name for each in available(["claim", "limit", "claim"])] == ["limit", "claim"]
    assert [each.name for each in available()][:5] == ["limit", "enqueue", "claim", "worker", "latency"]
    with pytest.raises(InvalidArgument, match="no workload 'clam'"):
        available(["limit", "clam"])
