"""Exact counts where they are hardest to keep: several workers, limits, groups, and one job in ten tried again."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench.workloads._tasks import APP, BOOKS, RETRIED, Entry, entries
from pgqueue.models import JSON

NAME = "exact"
SUMMARY = "4 workers, max_running and groups in use, retries at 10 %: every job ran as often as it should"

PLAIN, LIMITED, GROUPED = QUEUES = ("plain", "limited", "grouped")
MAX_RUNNING, GROUP_LIMIT, GROUPS = 8, 2, 100
WORKERS = 4
_BATCH = 100


def run(bench: Bench) -> Iterator[Figure]:
    """Half of the jobs are plain, a quarter is limited, a quarter in groups; once through SQL, once by workers."""
    jobs = max(4 * _BATCH, bench.jobs // 10 // (4 * _BATCH) * 4 * _BATCH)
    yield _through_sql(bench, jobs)
    yield _by_workers(bench, jobs)


def _through_sql(bench: Bench, jobs: int) -> Figure:
    bench.say(f"{jobs:,} jobs, {bench.connections} sessions that claim and settle …")
    retried = _enqueue(bench, jobs)
    rate = bench.drain(jobs, queues=QUEUES, retry_share=1 / RETRIED)
    bench.verify(jobs, attempts=jobs + retried)
    return _figure("through SQL, 4 sessions", jobs, {"jobs_per_second": round(rate), "retried": retried})


def _by_workers(bench: Bench, jobs: int) -> Figure:
    bench.say(f"{jobs:,} jobs, {WORKERS} workers …")
    retried = _enqueue(bench, jobs)
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-") as folder:
        books = Path(folder)
        began = time.monotonic()
        with bench.worker_processes(WORKERS, queues=QUEUES, concurrency=20, app=APP, env={BOOKS: folder}) as workers:
            bench.until_idle(workers, 60 + jobs / 100)
        # Once they have ended nothing can be written any more.
        runs = list(entries(books))
    bench.verify(jobs, attempts=jobs + retried)
    _check_runs(runs, jobs + retried)
    limited = _most_at_once(run for run in runs if run.line == -1)
    by_group: dict[int, list[Entry]] = defaultdict(list)
    for run in runs:
        if run.line > 0:
            by_group[run.line].append(run)
    grouped = max(map(_most_at_once, by_group.values()))
    if limited > MAX_RUNNING or grouped > GROUP_LIMIT:
        raise WrongCounts(
            f"{limited} jobs ran at once where max_running is {MAX_RUNNING}, {grouped} of a group where"
            f" group_limit is {GROUP_LIMIT}"
        )
    last = max(run.ended for run in runs)
    details: dict[str, JSON] = {
        "jobs_per_second": round(len(runs) / (last - began)),
        "retried": retried,
        "workers": WORKERS,
        "most_at_once_limited": limited,
        "most_at_once_of_a_group": grouped,
    }
    return _figure(f"{WORKERS} workers", jobs, details)


def _figure(name: str, jobs: int, details: dict[str, JSON]) -> Figure:
    """Whatever is not exact has raised before."""
    return Figure(NAME, name, float(jobs), "jobs", ratio=1.0, of="jobs enqueued", floor=1.0, details=details)


def _enqueue(bench: Bench, jobs: int) -> int:
    """Returns how many of them will ask to be tried again."""
    bench.empty()
    s = bench.schema
    bench.configure_queue(LIMITED, max_running=MAX_RUNNING)
    bench.configure_queue(GROUPED, group_limit=GROUP_LIMIT)
    # A job carries its group, or -1 for the limited queue: so its runs tell which limit they are under.
    lines = {PLAIN: "0", LIMITED: "-1", GROUPED: f"1 + i %% {GROUPS}"}
    for n in range(jobs // _BATCH):
        queue = (PLAIN, LIMITED, PLAIN, GROUPED)[n % 4]
        wait = "0" if queue == PLAIN else "0.001"
        groups = f"array(select 'group ' || 1 + i %% {GROUPS} from generate_series(1, {_BATCH}) i)"
        bench.execute(
            f"select count(*) from {s}.enqueue_each(kind => 'book', queue => %s, args => array(select"
            f" jsonb_build_object('line', {lines[queue]}, 'wait', {wait}) from generate_series(1, {_BATCH}) i),"
            f" group_keys => {groups if queue == GROUPED else 'null'})",
            queue,
        )
    return int(bench.value(f"select count(*) from {s}.job where id % {RETRIED} = 0"))


def _check_runs(runs: list[Entry], expected: int) -> None:
    """No attempt of a job has run twice, none is missing."""
    doubled = [key for key, times in Counter((run.job, run.attempt) for run in runs).items() if times > 1]
    if doubled or len(runs) != expected:
        raise WrongCounts(f"{len(runs)} runs instead of {expected}; run twice: {doubled[:5] or 'none'} (job, attempt)")


def _most_at_once(runs: Iterable[Entry]) -> int:
    events = sorted(event for run in runs for event in ((run.began, 1), (run.ended, -1)))
    most = now = 0
    for _, step in events:
        now += step
        most = max(most, now)
    return most
