"""Filling queues in other shapes than one lane: jobs spread over queues, priorities and groups by a counter."""

from __future__ import annotations

from pgqueue.bench._base import Bench, WrongCounts
from pgqueue.bench._limit import ARGS
from pgqueue.bench._load import Load, Script

_SLICE = 500_000


def fill(
    bench: Bench,
    jobs: int,
    *,
    queue: str = "'default'",
    priority: str = "0",
    group_keys: str | None = None,
    batch: int = 1000,
) -> Load:
    """Enqueue `jobs`, `batch` in a call, every call somewhere else: queue, priority and group_keys (an array as long as
    the batch) are SQL expressions of `n`, the number of the call. What it writes is what enqueue_each writes.
    """
    if jobs % batch:
        raise ValueError(f"{jobs} jobs are no whole number of batches of {batch}")
    groups = "" if group_keys is None else f", group_keys => {group_keys}"
    # The number of the call travels in a circle: each driver counts on from its own start.
    script = Script(
        (
            f"select count(*), count(*), max(c.n) + {bench.connections} from (select $1::bigint as n) c"
            f" cross join lateral {bench.schema}.enqueue_each(kind => 'noop',"
            f" args => array_fill('{ARGS}'::jsonb, array[{batch}]), queue => {queue}, priority => ({priority})::integer"
            f"{groups}) e",
        ),
        chained=True,
    )
    load: Load | None = None
    for start in range(0, jobs, _SLICE):
        bench.blocks()
        if jobs > _SLICE:
            bench.say(f"{start:,} of {jobs:,} jobs are queued …")
        starts = [(str(start // batch + me),) for me in range(bench.connections)]
        calls = min(_SLICE, jobs - start) // batch
        part = bench.crew.drive(script, bench.connections, calls=calls, starts=starts)
        load = part if load is None else load + part
    if load is None or load.jobs != jobs:
        raise WrongCounts(f"{0 if load is None else load.jobs} jobs were enqueued instead of {jobs}")
    bench.last = load
    return load


def names(prefix: str, count: int) -> list[str]:
    """prefix 0, prefix 1, …"""
    return [f"{prefix} {n}" for n in range(count)]
