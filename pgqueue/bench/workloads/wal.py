"""What a job writes to the log and commits, from enqueue to outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from pgqueue.bench import Bench, Figure
from pgqueue.bench._load import Script

NAME = "wal"
SUMMARY = "WAL bytes and commits per job, from enqueue to outcome: through SQL, and with a worker process"

CEILING = 750.0
_WARM = 2000
_FLUSH = Script(("select 1, 1 from (select pg_stat_force_next_flush()) done",))


@dataclass(frozen=True)
class Cost:
    """Per job."""

    enqueue: float
    rest: float
    commits: float

    @property
    def whole(self) -> float:
        return self.enqueue + self.rest


def run(bench: Bench) -> Iterator[Figure]:
    """Medians of rounds, as autovacuum and checkpoints write when they like. The log is the whole server's: nothing
    else should write to it meanwhile.
    """
    rounds = min(bench.rounds, 3)
    bare = [_bare(bench) for _ in range(rounds)]
    limit = median(cost.whole for cost in bare)
    yield from _figures("through SQL", [_sql(bench) for _ in range(rounds)], limit, bench)
    yield from _figures("with a worker", [_worker(bench) for _ in range(rounds)], limit, bench)


def _figures(name: str, costs: list[Cost], limit: float, bench: Bench) -> Iterator[Figure]:
    whole = median(cost.whole for cost in costs)
    details = {
        "jobs": bench.jobs,
        "batch": bench.batch,
        "enqueue": round(median(cost.enqueue for cost in costs), 1),
        "claim_and_settle": round(median(cost.rest for cost in costs), 1),
        "rounds": [round(cost.whole, 1) for cost in costs],
    }
    yield Figure(
        NAME,
        name,
        round(whole, 1),
        "bytes/job",
        limit=round(limit, 1),
        ratio=round(whole / limit, 3),
        floor=CEILING,
        at_most=True,
        details=details,
    )
    yield Figure(NAME, f"{name}, commits", round(median(cost.commits for cost in costs), 4), "commits/job")


def _bare(bench: Bench) -> Cost:
    bench.empty()
    start = _position(bench)
    bench.limit_enqueue(bench.jobs)
    middle = _position(bench)
    bench.limit_drain(bench.jobs)
    return Cost((middle - start) / bench.jobs, (_position(bench) - middle) / bench.jobs, 0.0)


def _sql(bench: Bench) -> Cost:
    bench.empty()
    bench.enqueue(_WARM)
    bench.drain(_WARM)
    commits, start = _commits(bench), _position(bench)
    bench.enqueue(bench.jobs)
    middle = _position(bench)
    bench.drain(bench.jobs)
    end, committed = _position(bench), _commits(bench)
    bench.verify(_WARM + bench.jobs)
    return _cost(bench, (start, middle, end), committed - commits)


def _worker(bench: Bench) -> Cost:
    """The queue is paused while it fills: what each part writes is then told apart."""
    bench.empty()
    with bench.worker_processes(1) as workers:
        bench.enqueue(_WARM)
        bench.until_idle(workers)
        bench.execute(f"select {bench.schema}.pause_queue(queue => 'default')")
        commits, start = _commits(bench), _position(bench)
        bench.enqueue(bench.jobs)
        middle = _position(bench)
        bench.execute(f"select {bench.schema}.resume_queue(queue => 'default')")
        bench.until_idle(workers)
        end = _position(bench)
    # A worker's sessions report what they have committed at the latest when they end.
    committed = _commits(bench)
    bench.verify(_WARM + bench.jobs)
    return _cost(bench, (start, middle, end), committed - commits)


def _cost(bench: Bench, positions: tuple[int, int, int], commits: int) -> Cost:
    start, middle, end = positions
    return Cost((middle - start) / bench.jobs, (end - middle) / bench.jobs, commits / bench.jobs)


def _position(bench: Bench) -> int:
    return int(bench.value("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def _commits(bench: Bench) -> int:
    """Commits of this database, the drivers' included: sessions report theirs late unless they are told to."""
    bench.crew.drive(_FLUSH, bench.connections, calls=bench.connections)
    bench.execute("select pg_stat_force_next_flush()")
    return int(bench.value("select xact_commit from pg_stat_database where datname = current_database()"))
