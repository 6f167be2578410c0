"""Real worker processes on jobs that do nothing: what is left is the worker itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.models import JSON

NAME = "worker"
SUMMARY = "real worker processes on no-op jobs, async and sync in threads, one process and two, history kept"

_WARM = 2000
_WAYS = {  # kind, processes, concurrency, floor
    "async, 1 process": ("noop", 1, 100, 0.50),
    "sync, 1 process": ("noop_sync", 1, 10, 0.25),
    "async, 2 processes": ("noop", 2, 100, None),
    "sync, 2 processes": ("noop_sync", 2, 10, None),
}


def run(bench: Bench) -> Iterator[Figure]:
    """From the moment a full queue is opened to idle, warm workers until its last outcome, by the database's clock."""
    cpu: dict[str, float | None] = {}

    def own(name: str) -> Callable[[], float]:
        def round() -> float:
            rate, cpu[name] = _round(bench, *_WAYS[name][:3])
            return rate

        return round

    def limit() -> float:
        bench.empty()
        bench.limit_enqueue(bench.jobs)
        return bench.limit_drain(bench.jobs)

    rounds = bench.interleave({name: own(name) for name in _WAYS}, limit, 1 if bench.quick else 2)
    for name, (_, processes, concurrency, floor) in _WAYS.items():
        # The load recorded beside these rounds is that of enqueueing, and tells nothing of them.
        details: dict[str, JSON] = {
            "processes": processes,
            "concurrency": concurrency,
            "connections": None,
            "client_cpu_share": None,
            "server_us_per_job": None,
            "server_cpu_ratio": None,
            "worker_us_per_job": None if cpu[name] is None else round(1e6 * (cpu[name] or 0) / bench.jobs, 2),
        }
        yield rounds.figure(NAME, name, floor=floor, details=details)


def _round(bench: Bench, kind: str, processes: int, concurrency: int) -> tuple[float, float | None]:
    """Jobs a second, and seconds of processor the workers used."""
    bench.empty()
    s = bench.schema
    with bench.worker_processes(processes, concurrency=concurrency) as workers:
        bench.enqueue(_WARM, kind=kind)
        bench.until_idle(workers)
        bench.execute(f"select {s}.pause_queue(queue => 'default')")
        bench.enqueue(bench.jobs, kind=kind)
        bench.settle_down()
        last = bench.value(f"select max(job_id) from {s}.ready")
        before = workers.cpu()
        began = bench.value("select clock_timestamp()")
        bench.execute(f"select {s}.resume_queue(queue => 'default')")
        # The last job's outcome is looked up by its key: counting what is left would slow down what is measured.
        deadline = time.monotonic() + 60 + bench.jobs / 1000
        while not bench.value(f"select exists (select from {s}.outcome where job_id = %s)", last):
            workers.require_alive()
            if time.monotonic() > deadline:
                raise WrongCounts(f"the last of {bench.jobs} jobs has no outcome after {60 + bench.jobs / 1000:.0f} s")
            time.sleep(0.05)
        bench.until_idle(workers)
        after = workers.cpu()
        seconds = bench.value(f"select extract(epoch from max(finished_at) - %s)::float8 from {s}.outcome", began)
    bench.verify(bench.jobs + _WARM)
    return bench.jobs / seconds, None if before is None or after is None else after - before
