"""Many queues, priorities and groups: what their number costs a claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgqueue.bench import Bench, Figure
from pgqueue.bench.workloads._fill import fill, names

NAME = "wide"
SUMMARY = "claims over 1,000 queues, 100 priorities and 10,000 groups, each against one queue"

FLOOR = 0.8
_BATCH = 10
"""Jobs in one enqueue: many tenants with a little each."""


@dataclass(frozen=True)
class Shape:
    """Jobs spread in some way, and the queues that are claimed from. The texts are `fill`'s expressions."""

    queue: str = "'default'"
    priority: str = "0"
    groups: int = 0
    queues: Sequence[str] = ("default",)
    group_limit: int | None = None


ONE = Shape()
MANY_QUEUES = Shape(queue="'queue ' || n % 1000", queues=names("queue", 1000))
PRIORITIES = Shape(priority="n % 100")
ONE_GROUP = Shape(groups=1)
GROUPS = Shape(groups=10_000)
# As many slots in all, in few groups and in many: what is left is the price of their number.
FEW_LIMITED = Shape(groups=100, group_limit=200)
MANY_LIMITED = Shape(groups=10_000, group_limit=2)


def run(bench: Bench) -> Iterator[Figure]:
    """Rounds in turn with rounds of the same jobs in one queue."""
    jobs = bench.jobs if bench.jobs <= 20_000 else max(20_000, bench.jobs // (4 * _BATCH) * _BATCH)
    shapes = {"1,000 queues": MANY_QUEUES, "100 priorities": PRIORITIES}
    yield from _compare(bench, jobs, shapes, ONE, "one queue")
    # Admission to a group has a price of its own, which is shown; that it does not grow with their number is the floor.
    yield from _compare(bench, jobs, {"one group": ONE_GROUP}, ONE, "no group", floor=None)
    yield from _compare(bench, jobs, {"10,000 groups": GROUPS}, ONE_GROUP, "one group")
    limited = {"10,000 groups, group_limit 2": MANY_LIMITED}
    yield from _compare(bench, jobs, limited, FEW_LIMITED, "100 groups, group_limit 200")


def _compare(
    bench: Bench, jobs: int, shapes: dict[str, Shape], base: Shape, of: str, floor: float | None = FLOOR
) -> Iterator[Figure]:
    own = {name: _round(bench, jobs, shape, name) for name, shape in shapes.items()}
    rounds = bench.interleave(own, _round(bench, jobs, base, of), min(bench.rounds, 3))
    for name in shapes:
        yield replace(rounds.figure(NAME, name, floor=floor, details={"jobs": jobs}), of=of)


def _round(bench: Bench, jobs: int, shape: Shape, name: str) -> Callable[[], float]:
    groups = f"array(select 'group ' || (n * {_BATCH} + i) % {shape.groups} from generate_series(1, {_BATCH}) i)"

    def once() -> float:
        bench.say(f"{name}: {jobs:,} jobs …")
        bench.empty()
        if shape.group_limit is not None:
            bench.configure_queue("default", group_limit=shape.group_limit)
        fill(
            bench,
            jobs,
            queue=shape.queue,
            priority=shape.priority,
            group_keys=groups if shape.groups else None,
            batch=_BATCH,
        )
        bench.settle_down()
        rate = bench.drain(jobs, queues=shape.queues)
        bench.verify(jobs)
        return rate

    return once
