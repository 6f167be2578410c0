"""Groups that run one job at a time, ten thousand of them: what their order costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench.workloads._fill import fill

NAME = "groups"
SUMMARY = "10,000 groups at limit 1, against the same jobs without groups; the order in each is checked"

FLOOR = 0.3
GROUPS = 10_000
_BATCH = 10
"""Jobs in one enqueue: many tenants with a little each."""


def run(bench: Bench) -> Iterator[Figure]:
    """Rounds in turn with rounds of jobs that have no group."""
    jobs = bench.jobs if bench.jobs <= 20_000 else max(20_000, bench.jobs // (4 * _BATCH) * _BATCH)
    groups = min(GROUPS, jobs // 2)
    rounds = bench.interleave({"limit 1": _round(bench, jobs, groups)}, _round(bench, jobs, 0), min(bench.rounds, 3))
    found = rounds.figure(NAME, "limit 1", floor=FLOOR, details={"jobs": jobs, "groups": groups})
    yield replace(found, name=f"{groups:,} groups, group_limit 1", of="no groups")


def _round(bench: Bench, jobs: int, groups: int) -> Callable[[], float]:
    keys = f"array(select 'group ' || (n * {_BATCH} + i) % {groups} from generate_series(1, {_BATCH}) i)"

    def once() -> float:
        bench.say(f"{jobs:,} jobs in {groups:,} groups …")
        bench.empty()
        if groups:
            bench.configure_queue("default", group_limit=1)
        fill(bench, jobs, group_keys=keys if groups else None, batch=_BATCH)
        bench.settle_down()
        rate = bench.drain(jobs)
        bench.verify(jobs)
        if groups:
            _check_order(bench)
        return rate

    return once


def _check_order(bench: Bench) -> None:
    """In each group every job was claimed after the one before it had ended. Raises WrongCounts."""
    s = bench.schema
    wrong = bench.value(
        f"select count(*) from (select o.claimed_at, lag(o.finished_at) over (partition by j.group_key order by j.id)"
        f" as before from {s}.job j join {s}.outcome o on o.job_id = j.id) g where g.claimed_at < g.before"
    )
    if wrong:
        raise WrongCounts(f"{wrong} jobs were started before the one before them in their group had ended")
