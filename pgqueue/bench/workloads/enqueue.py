"""Enqueueing: batches, and one job a transaction as business transactions do it."""

from __future__ import annotations

from collections.abc import Iterator

from pgqueue.bench import Bench, Figure, WrongCounts, _limit, _own

NAME = "enqueue"
SUMMARY = "batches of 100 through enqueue_each; single jobs, each its own transaction, on 8 connections"
CONNECTIONS = 8


def run(bench: Bench) -> Iterator[Figure]:
    """Nobody claims meanwhile and no worker sleeps."""

    def batches() -> float:
        bench.empty()
        rate = bench.enqueue(bench.jobs)
        _all_ready(bench, bench.jobs)
        return rate

    def limit_batches() -> float:
        bench.empty()
        return bench.limit_enqueue(bench.jobs)

    yield bench.interleave({"batches": batches}, limit_batches).figure(
        NAME, "batches", floor=0.50, details={"batch": bench.batch}
    )

    singles = max(4000, bench.jobs // 10)

    def single() -> float:
        bench.empty()
        bench.last = bench.crew.drive(_own.enqueue_single(bench.schema, "default"), CONNECTIONS, calls=singles)
        rate = bench.last.rate
        _all_ready(bench, singles)
        return rate

    def limit_single() -> float:
        bench.empty()
        bench.last = bench.crew.drive(_limit.enqueue_single(bench.limit_schema), CONNECTIONS, calls=singles)
        return bench.last.rate

    yield bench.interleave({"single": single}, limit_single).figure(NAME, "single", floor=0.60)


def _all_ready(bench: Bench, jobs: int) -> None:
    found = bench.value(f"select count(*) from {bench.schema}.ready r join {bench.schema}.job j on j.id = r.job_id")
    if found != jobs:
        raise WrongCounts(f"{jobs} jobs were enqueued, {found} are queued")
