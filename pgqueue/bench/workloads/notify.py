"""How many notifications are sent: each makes its commit queue up behind all others of the cluster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pgqueue.bench import Bench, Figure, WrongCounts, _own
from pgqueue.bench._workers import Workers
from pgqueue.bench.workloads._ear import Ear

NAME = "notify"
SUMMARY = "notifications sent while workers are busy, to a sleeping worker, and with no worker"

_PATIENCE = 30.0
_SINGLES = 8
"""Connections with single-job transactions."""


@dataclass
class Phase:
    """What was enqueued in a phase, in how many transactions, and what was heard of it."""

    transactions: int
    jobs: int
    heard: Counter[str]


def run(bench: Bench) -> Iterator[Figure]:
    """Counted by a session that listens to everything."""
    bench.empty()
    with Ear(bench) as ear:
        alone = _load(bench, ear)
        bench.drain(alone.jobs)
        jobs = alone.jobs
        with bench.worker_processes(1) as workers:
            asleep = _to_a_sleeper(bench, ear, workers)
            silence = _silence(bench, ear)
            bench.until_idle(workers)
            jobs += asleep.jobs
        with bench.worker_processes(2) as workers:
            busy, queued = _while_busy(bench, ear, workers)
            bench.until_idle(workers, 120 + queued / 1000)
            jobs += queued
    bench.verify(jobs)
    yield _figure("no worker", alone, 0.0)
    yield _figure("busy workers", busy, 0.0)
    yield Figure(
        NAME,
        "a sleeping worker, nothing enqueued",
        float(silence.total()),
        "notifications",
        floor=0.0,
        at_most=True,
        details={"seconds": bench.seconds / 5, **silence},
    )
    yield Figure(
        NAME,
        "a sleeping worker, one job at a time",
        round(asleep.heard.total() / asleep.transactions, 3),
        "per enqueue",
        floor=1.0,
        at_most=True,
        details={"enqueues": asleep.transactions, **asleep.heard},
    )


def _figure(name: str, phase: Phase, ceiling: float) -> Figure:
    details = {"enqueues": phase.transactions, "jobs": phase.jobs, **phase.heard}
    return Figure(NAME, name, float(phase.heard.total()), "notifications", floor=ceiling, at_most=True, details=details)


def _load(bench: Bench, ear: Ear) -> Phase:
    """Batches on some connections, then single jobs on more."""
    ear.heard()
    batched, singles = bench.jobs // 10 // bench.batch * bench.batch or bench.batch, max(_SINGLES, bench.jobs // 100)
    bench.enqueue(batched)
    load = bench.crew.drive(_own.enqueue_single(bench.schema, "default"), _SINGLES, calls=singles)
    return Phase(batched // bench.batch + load.turns, batched + load.jobs, ear.heard())


def _to_a_sleeper(bench: Bench, ear: Ear, workers: Workers) -> Phase:
    """One job after the other, each when the worker sleeps again; one batch at last, which is one enqueue too."""
    times = 20 if bench.quick else 100
    ear.heard()
    with bench.connect() as connection:
        for n in range(times):
            _until(bench, workers, asleep=True)
            one = _own.enqueue_single(bench.schema, "default")
            script = one if n < times - 1 else _own.enqueue(bench.schema, bench.batch, queue="default")
            connection.execute(script.statements[0].encode())
        _until(bench, workers, asleep=True)
    return Phase(times, times - 1 + bench.batch, ear.heard())


def _silence(bench: Bench, ear: Ear) -> Counter[str]:
    """Nothing happens for a while: neither does the worker poll by notifying, nor its leader."""
    ear.heard()
    time.sleep(bench.seconds / 5)
    return ear.heard()


def _while_busy(bench: Bench, ear: Ear, workers: Workers) -> tuple[Phase, int]:
    """More is queued than the workers can do meanwhile. Returns also how many jobs were queued in all."""
    s = bench.schema
    backlog, queued = max(bench.jobs, 20_000), 0
    for _ in range(4):
        bench.execute(f"select {s}.pause_queue(queue => 'default')")
        bench.enqueue(backlog)
        bench.execute(f"select {s}.resume_queue(queue => 'default')")
        _until(bench, workers, asleep=False)
        phase = _load(bench, ear)
        left = bench.value(f"select count(*) from {s}.ready")
        queued += backlog + phase.jobs
        if left > backlog / 4 + phase.jobs:
            return phase, queued
        bench.say(f"the workers were through with {backlog:,} jobs before it was measured, once more with more …")
        bench.until_idle(workers, 120 + queued / 1000)
        backlog *= 2
    raise WrongCounts("the workers were through with everything before it was measured: give more jobs")


def _until(bench: Bench, workers: Workers, *, asleep: bool) -> None:
    """Wait until the worker has nothing in hand and holds the locks of a sleeper, or until none does."""
    s = bench.schema
    query = (
        f"select exists (select from {s}.lease), exists (select from {s}.ready), exists (select from pg_locks l"
        f" where l.locktype = 'advisory' and l.granted and l.objsubid = 2"
        f" and l.classid::bigint::bit(32)::integer = {s}._lock_class('asleep'))"
    )
    wanted = (False, False, True) if asleep else (True, True, False)
    deadline = time.monotonic() + _PATIENCE
    while bench.connection.execute(query.encode()).fetchone() != wanted:
        workers.require_alive()
        if time.monotonic() > deadline:
            raise WrongCounts(f"no worker went {'to sleep' if asleep else 'to work'} within {_PATIENCE:.0f} seconds")
        time.sleep(0.002)
