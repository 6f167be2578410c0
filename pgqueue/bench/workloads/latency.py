"""How soon a job starts on a worker that has nothing to do."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing

from pgqueue.bench import Bench, Figure, WrongCounts, _app
from pgqueue.bench._base import percentile
from pgqueue.bench._workers import Workers

NAME = "latency"
SUMMARY = "enqueue commit to handler start on an idle worker; again after 40,000 jobs under a pinned snapshot"

_PROBES_PER_SECOND = 50
_WARM_UP = 20
_BEFORE_PINNED = 40_000
_CEILINGS = {
    "idle": {"p50": 0.7, "p95": None, "p99": 2.0},
    "pinned": {"p50": 1.0, "p95": None, "p99": 3.0},
}


def run(bench: Bench) -> Iterator[Figure]:
    """One job at a time; the handler tells the time by a datagram, on the clock all processes of a machine share."""
    probes = max(100, round(bench.seconds * _PROBES_PER_SECOND))
    worked = min(_BEFORE_PINNED, bench.jobs)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as clock:
        clock.bind(("127.0.0.1", 0))
        clock.settimeout(10)
        port = str(clock.getsockname()[1])
        with bench.worker_processes(1, concurrency=10, env={_app.CLOCK: port}) as workers:
            idle = _measure(bench, workers, clock, probes)
            with bench.pinned():
                bench.enqueue(worked)
                bench.until_idle(workers)
                pinned = _measure(bench, workers, clock, probes)
            bench.until_idle(workers)
        bench.verify(2 * (probes + _WARM_UP) + worked)
    yield from _figures("idle", idle, {})
    yield from _figures("pinned", pinned, {"jobs_before": worked})


def _measure(bench: Bench, workers: Workers, clock: socket.socket, probes: int) -> list[tuple[float, float]]:
    """Milliseconds from the answer, and from the call, to the start of the handler."""
    measured: list[tuple[float, float]] = []
    enqueue = f"select id from {bench.schema}.enqueue(kind => 'stamp', args => %s::jsonb)".encode()
    with bench.connect() as connection:
        for n in range(-_WARM_UP, probes):
            # Long enough for the worker to have settled the last one and to sleep; irregular, so as to meet no poll.
            time.sleep(random.uniform(0.015, 0.025))
            called = time.monotonic()
            connection.execute(enqueue, (f'{{"number": {n}}}',), prepare=True)
            answered = time.monotonic()
            started = _told(clock, n, workers)
            if n >= 0:
                measured.append(((started - answered) * 1000, (started - called) * 1000))
    return measured


def _told(clock: socket.socket, number: int, workers: Workers) -> float:
    """When the handler of this job began. Raises WrongCounts when none does within ten seconds."""
    while True:
        try:
            told, at = struct.unpack("!qd", clock.recv(64))
        except TimeoutError as error:
            workers.require_alive()
            raise WrongCounts("a job did not start within 10 seconds of its enqueue on an idle worker") from error
        if told == number:
            return float(at)


def _figures(state: str, measured: list[tuple[float, float]], details: dict[str, int]) -> Iterator[Figure]:
    from_answer = sorted(first for first, _ in measured)
    from_call = [second for _, second in measured]
    count = len(from_answer)
    curve = [(value, (n + 1) / count) for n, value in enumerate(from_answer) if value <= percentile(from_answer, 0.995)]
    for name, ceiling in _CEILINGS[state].items():
        share = int(name[1:]) / 100
        yield Figure(
            NAME,
            f"{state}, {name}",
            round(percentile(from_answer, share), 3),
            "ms",
            floor=ceiling,
            at_most=ceiling is not None,
            details={"probes": count, "from_call": round(percentile(from_call, share), 3), **details},
            series={state: curve} if name == "p50" else {},
            axes=("milliseconds from commit to start", "share of jobs"),
        )
