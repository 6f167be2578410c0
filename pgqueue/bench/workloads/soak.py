"""Minutes at a fixed rate while a snapshot is held now and then: latency, sizes and dead rows over time."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise

from pgqueue.bench import Bench, Figure, WrongCounts, _app
from pgqueue.bench._base import Points, percentile
from pgqueue.bench._workers import Workers
from pgqueue.models import JSON

NAME = "soak"
SUMMARY = "a fixed rate while a snapshot comes and goes (give minutes with --seconds): latency, sizes, dead rows"

RATE = 1000
"""Jobs a second, enqueued ten at a time."""
_TOGETHER = 10
_WORKERS = 2
_HOT = ("ready", "lease", "scheduled")
_FACTS = ("job", "outcome", "attempt_error", "job_log", "job_event")


@dataclass(frozen=True)
class Sample:
    """How things stood. Sizes are in megabytes; `held` says whether a snapshot was."""

    at: float
    held: bool
    tables: float
    indexes: float
    facts: float
    dead: int


@dataclass
class Course:
    """What happened, on the monotonic clock: when each batch was committed, and when its jobs began."""

    began: float
    committed: dict[int, float] = field(default_factory=dict[int, float])
    started: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    samples: list[Sample] = field(default_factory=list[Sample])
    latest: float = 0.0
    """Seconds by which the enqueuing session fell behind its rate, at most."""

    def latencies(self) -> Points:
        """Second of the start, and milliseconds from the answer to the enqueue's commit to it, of every job."""
        return [
            (at - self.began, 1000 * (at - self.committed[number]))
            for number, starts in self.started.items()
            for at in starts
        ]


def run(bench: Bench) -> Iterator[Figure]:
    """Real workers, a session that enqueues, and one that holds a snapshot for a while and lets go of it."""
    bench.empty()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as clock:
        clock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        clock.bind(("127.0.0.1", 0))
        clock.settimeout(0.2)
        with bench.worker_processes(_WORKERS, env={_app.CLOCK: str(clock.getsockname()[1])}) as workers:
            course = _course(bench, workers, clock)
    bench.verify(_TOGETHER * len(course.committed))
    if not course.started:
        raise WrongCounts("no handler told when it started")
    yield from _figures(course)


def _course(bench: Bench, workers: Workers, clock: socket.socket) -> Course:
    """All at once: a thread that enqueues, one that hears the handlers, and this one, which watches."""
    course = Course(time.monotonic())
    over, done = threading.Event(), threading.Event()
    problems: list[Exception] = []

    def guarded(what: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                what()
            except Exception as error:
                problems.append(error)
                over.set()

        return run

    producer = threading.Thread(target=guarded(lambda: _enqueue(bench, course, over)), name="soak, enqueue")
    hearer = threading.Thread(target=guarded(lambda: _hear(clock, course, done)), name="soak, hear")
    hearer.start()
    producer.start()
    try:
        _watch(bench, workers, course, over)
        over.set()
        producer.join()
        if not problems:
            bench.until_idle(workers)
    finally:
        over.set()
        producer.join()
        done.set()
        hearer.join()
    if problems:
        raise problems[0]
    return course


def _enqueue(bench: Bench, course: Course, over: threading.Event) -> None:
    """Batches on the beat of the rate. A beat that is late is made up for: the rate is what is asked of the queue, not
    what it lets us have.
    """
    statement = (
        f"select count(*) from {bench.schema}.enqueue_each(kind => 'stamp',"
        f" args => array_fill(jsonb_build_object('number', %s::integer), array[{_TOGETHER}]))"
    ).encode()
    beat = _TOGETHER / RATE
    with bench.connect() as connection:
        number = 0
        while not over.wait(max(0.0, course.began + number * beat - time.monotonic())):
            connection.execute(statement, (number,), prepare=True)
            course.committed[number] = time.monotonic()
            number += 1
            course.latest = max(course.latest, course.committed[number - 1] - course.began - number * beat)


def _hear(clock: socket.socket, course: Course, done: threading.Event) -> None:
    while True:
        try:
            number, at = struct.unpack("!qd", clock.recv(64))
        except TimeoutError:
            if done.is_set():
                return
        else:
            course.started[number].append(at)


def _watch(bench: Bench, workers: Workers, course: Course, over: threading.Event) -> None:
    """A sample a second; the snapshot is held in every other sixth of the time, or half minute if that is less."""
    period = min(30.0, bench.seconds / 6)
    with ExitStack() as nobody:
        held: ExitStack | None = None
        while (elapsed := time.monotonic() - course.began) < bench.seconds:
            workers.require_alive()
            wanted = int(elapsed / period) % 2 == 1
            if wanted and held is None:
                held = nobody.enter_context(ExitStack())
                held.enter_context(bench.pinned())
            elif not wanted and held is not None:
                held.close()
                held = None
            course.samples.append(_sample(bench, elapsed, held is not None))
            bench.say(_line(course.samples[-1]))
            if over.wait(min(1.0, bench.seconds / 10)):
                return


def _sample(bench: Bench, at: float, held: bool) -> Sample:
    row = bench.connection.execute(
        "select coalesce(sum(pg_table_size(c.oid)) filter (where c.relname = any (%(hot)s)), 0)::float8 / 1e6,"
        " coalesce(sum(pg_indexes_size(c.oid)) filter (where c.relname = any (%(hot)s)), 0)::float8 / 1e6,"
        " coalesce(sum(pg_total_relation_size(c.oid)) filter (where c.relname <> all (%(hot)s)), 0)::float8 / 1e6,"
        " coalesce(sum(pg_stat_get_dead_tuples(c.oid)) filter (where c.relname = any (%(hot)s)), 0)::bigint"
        " from pg_class c left join pg_inherits i on i.inhrelid = c.oid"
        " where c.relnamespace = %(schema)s::regnamespace and c.relkind = 'r'"
        " and (c.relname = any (%(hot)s) or i.inhparent = any (%(facts)s::regclass[]))",
        {"hot": list(_HOT), "schema": bench.schema, "facts": [f"{bench.schema}.{name}" for name in _FACTS]},
    ).fetchone()
    assert row is not None
    tables, indexes, facts, dead = row
    return Sample(at, held, tables, indexes, facts, dead)


def _line(sample: Sample) -> str:
    return (
        f"{sample.at:.0f} s{', snapshot held' if sample.held else ''}: hot tables {sample.tables:.1f} MB and indexes"
        f" {sample.indexes:.1f} MB, {sample.dead:,} dead rows"
    )


def _figures(course: Course) -> Iterator[Figure]:
    samples, latencies = course.samples, course.latencies()
    by_second: dict[int, list[float]] = defaultdict(list)
    by_holding: dict[bool, list[float]] = defaultdict(list)
    # Which sample a start belongs to: the snapshot came or went at one.
    edges = [(first.at, second.at, first.held) for first, second in pairwise([*samples, _END])]
    for at, milliseconds in latencies:
        by_second[int(at)].append(milliseconds)
        by_holding[next((held for since, until, held in edges if since <= at < until), False)].append(milliseconds)
    everything = [milliseconds for _, milliseconds in latencies]
    free, held = (percentile(by_holding[key], 0.99) if by_holding[key] else None for key in (False, True))
    details: dict[str, JSON] = {
        "jobs_per_second": RATE,
        "workers": _WORKERS,
        "heard": len(everything),
        "jobs": _TOGETHER * len(course.committed),
        "p50": round(percentile(everything, 0.5), 2),
        "p95": round(percentile(everything, 0.95), 2),
        "p99_without_snapshot": None if free is None else round(free, 2),
        "p99_snapshot_held": None if held is None else round(held, 2),
        "enqueue_behind_by_at_most_ms": round(1000 * course.latest, 1),
    }
    yield Figure(
        NAME,
        "start of a job, p99",
        round(percentile(everything, 0.99), 2),
        "ms",
        ratio=round(held / free, 3) if held and free else None,
        of="p99 with no snapshot held",
        details=details,
        series={"p99": [(float(second), percentile(found, 0.99)) for second, found in sorted(by_second.items())]},
        axes=("seconds", "milliseconds from commit to start"),
    )
    yield Figure(
        NAME,
        "hot tables and indexes, most",
        round(max(sample.tables + sample.indexes for sample in samples), 2),
        "MB",
        details={
            "at_the_end": round(samples[-1].tables + samples[-1].indexes, 2),
            "facts": round(samples[-1].facts, 2),
        },
        series={
            "hot tables": [(sample.at, sample.tables) for sample in samples],
            "their indexes": [(sample.at, sample.indexes) for sample in samples],
        },
        axes=("seconds", "MB"),
    )
    yield Figure(
        NAME,
        "dead rows in hot tables, most",
        float(max(sample.dead for sample in samples)),
        "rows",
        details={"at_the_end": samples[-1].dead},
        series={"dead rows": [(sample.at, float(sample.dead)) for sample in samples]},
        axes=("seconds", "rows"),
    )


_END = Sample(math.inf, False, 0.0, 0.0, 0.0, 0)
