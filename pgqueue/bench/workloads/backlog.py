"""A backlog: the claim rate with ten thousand jobs queued, and with millions."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean, median

from pgqueue.bench import _own
from pgqueue.bench._base import Bench, Figure, Points, WrongCounts
from pgqueue.bench._load import Load
from pgqueue.bench.workloads._fill import fill, names

NAME = "backlog"
SUMMARY = "claims with 10 thousand and with 5 million jobs queued, in 4 queues and 3 priorities"

FLOOR = 0.8
_BATCH = 500
_QUEUES = names("queue", 4)
_LANES = {"queue": "'queue ' || n % 4", "priority": "n / 4 % 3"}
_TAKEN = 20_000
"""Jobs a round takes at most, and puts back."""


def run(bench: Bench) -> Iterator[Figure]:
    """The backlog grows in steps. At each, rounds of claims in turn with rounds of the limit: the two ends are minutes
    apart, so each is first held against its own neighbours.
    """
    most = (10 if bench.quick else 25) * bench.jobs
    least = min(10_000, most // 10)
    steps = [size for size in (least, 100_000, 1_000_000) if size < most] + [most]
    queued = settled = 0
    found: dict[int, tuple[list[Load], list[float]]] = {}
    bench.empty()
    for size in steps:
        fill(bench, size - queued, batch=_BATCH, **_LANES)
        queued = size
        bench.settle_down()
        loads, limits = found[size] = _rounds(bench, size)
        settled += sum(load.jobs for load in loads)
        _verify(bench, queued, settled)

    shares = {size: _share(*rounds) for size, rounds in found.items()}
    rates: Points = [(size, median(load.rate for load in loads)) for size, (loads, _) in found.items()]
    for size, (loads, limits) in found.items():
        spent = [load.server_us for load in loads if load.server_us is not None]
        yield Figure(
            NAME,
            f"{size:,} queued",
            value=median(load.rate for load in loads),
            unit="jobs/s",
            limit=median(limits),
            ratio=shares[size] / shares[least] if size > least else shares[size],
            of=f"{least:,} queued" if size > least else "limit",
            floor=FLOOR if size == most else None,
            details={
                "ratio_to_limit": round(shares[size], 3),
                "rounds": len(loads),
                "server_us_per_job": round(median(spent), 1) if spent else None,
            },
            series={"claim and settle": rates} if size == most else {},
            axes=("jobs queued", "jobs/s") if size == most else ("", ""),
        )


def _share(loads: list[Load], limits: list[float]) -> float:
    return median(load.rate / mean(limits[i : i + 2]) for i, load in enumerate(loads))


def _rounds(bench: Bench, size: int) -> tuple[list[Load], list[float]]:
    """Rounds that take some jobs and put as many back, and the limit's rates around them."""
    taken = min(_TAKEN, size // 2)
    bench.say(f"{size:,} jobs queued: claiming {taken:,} at a time …")
    loads: list[Load] = []
    limits = [_limit(bench)]
    for _ in range(min(12, (2 if bench.quick else 3) * _TAKEN // taken)):
        starts = [(str(bench.register(_QUEUES)),) for _ in range(bench.connections)]
        script = _own.drain(bench.schema, bench.batch, queues=_QUEUES)
        load = bench.crew.drive(script, bench.connections, calls=taken // bench.batch, starts=starts)
        if load.jobs != taken:
            raise WrongCounts(f"{load.jobs} of {taken} jobs were taken from {size}")
        loads.append(load)
        limits.append(_limit(bench))
        fill(bench, taken, batch=_BATCH, **_LANES)
    return loads, limits


def _limit(bench: Bench) -> float:
    bench.execute(f"truncate {bench.limit_schema}.bare")
    bench.limit_enqueue(_TAKEN)
    return bench.limit_drain(_TAKEN)


def _verify(bench: Bench, queued: int, settled: int) -> None:
    """What was taken is final, the rest is queued, nothing is on the way. Outcomes have the job as their key."""
    s = bench.schema
    row = bench.connection.execute(
        f"select (select count(*) from {s}.ready), (select count(*) from {s}.outcome where state = 'succeeded'),"
        f" (select count(*) from {s}.job), (select count(*) from {s}.lease),"
        f" (select count(*) from {s}.ready r join {s}.outcome o using (job_id))".encode()
    ).fetchone()
    expected = (queued, settled, queued + settled, 0, 0)
    if row != expected:
        raise WrongCounts(f"ready, outcome, job, lease, both ready and final: {row} instead of {expected}")
