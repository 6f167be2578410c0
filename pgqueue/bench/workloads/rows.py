"""Row batches: how many rows a second workers get through, how soon a new batch is begun, what looking at one costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from pgqueue import Client
from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench._base import percentile
from pgqueue.bench._workers import Workers

NAME = "rows"
SUMMARY = (
    "rows of a batch through four workers, async and sync in threads; pickup of a new batch; status of a large one"
)

_WORKERS = 4
_OPS = ("noop", "noop_sync", "stamp")
_QUEUES = tuple(f"bench/{op}" for op in _OPS)
_FLOOR = 15_000
_PICKUP, _STATUS = 5.0, 5.0
_CHUNK = 10_000


def run(bench: Bench) -> Iterator[Figure]:
    """Rounds against the bare table, each row a job of it."""
    rows = bench.jobs // 2
    with Client(bench.dsn, schema=bench.schema) as client:

        def own(op: str) -> Callable[[], float]:
            return lambda: _round(bench, client, op, rows)

        def limit() -> float:
            bench.empty()
            bench.limit_enqueue(rows)
            return bench.limit_drain(rows)

        ways = {f"async, {_WORKERS} processes": own("noop"), f"sync, {_WORKERS} processes": own("noop_sync")}
        rounds = bench.interleave(ways, limit, 1 if bench.quick else 2)
        for name in ways:
            figure = rounds.figure(NAME, name)
            yield Figure(
                NAME,
                figure.name,
                figure.value,
                "rows/s",
                limit=figure.limit,
                floor=_FLOOR,
                details={"rows": rows, "slice": 10, "of_the_limit": figure.ratio},
            )
        bench.empty()
        yield from _pickup(bench, client)
        bench.empty()
        yield from _status(bench, client)


def _workers(bench: Bench, count: int) -> Any:
    return bench.worker_processes(count, queues=_QUEUES, concurrency=10, app="pgqueue.bench._rowsapp:app")


def _round(bench: Bench, client: Client, op: str, rows: int) -> float:
    """From the release of a held batch to its end, by the database's clock."""
    bench.empty()
    bench.blocks()
    with _workers(bench, _WORKERS) as workers:
        client.batches.wait(client.batches.submit("bench", op, {}, _rows(1000)), 60)
        batch = client.batches.submit_many("bench", op, {}, _rows(rows), hold=True, chunk=_CHUNK)
        bench.settle_down()
        client.batches.release(batch)
        info = _over(client, batch, workers)
    if (info.status, info.succeeded, len(list(client.batches.rows(batch, page=10_000)))) != ("succeeded", rows, rows):
        raise WrongCounts(f"a batch of {rows} rows ended as {info}")
    assert info.done_at is not None
    assert info.released_at is not None
    seconds: float = (info.done_at - info.released_at).total_seconds()
    return rows / seconds


def _rows(count: int) -> Iterator[tuple[int, Any]]:
    return ((n, {"n": n}) for n in range(1, count + 1))


def _over(client: Client, batch: int, workers: Workers) -> Any:
    deadline = time.monotonic() + 600
    while not (info := client.batches.status(batch)).is_final:
        workers.require_alive()
        if time.monotonic() > deadline:
            raise WrongCounts(f"a batch is not over: {info}")
        time.sleep(0.05)
    return info


def _pickup(bench: Bench, client: Client) -> Iterator[Figure]:
    """From a batch of one row to its processor, in a worker that has nothing to do: with the call that submits it, and
    from when that has returned, which is soon after the commit.
    """
    took, since = [], []
    with _workers(bench, 1):
        client.batches.wait(client.batches.submit("bench", "stamp", {}, [(1, 0)]), 60)
        for _ in range(20 if bench.quick else 200):
            began = time.monotonic()
            batch = client.batches.submit("bench", "stamp", {}, [(1, 0)])
            submitted = time.monotonic()
            client.batches.wait(batch, 60)
            (row,) = client.batches.rows(batch)
            took.append((row.result - began) * 1000)
            since.append(max(row.result - submitted, 0.0) * 1000)
    yield from _percentiles("pickup of a new batch", since, _PICKUP)
    yield from _percentiles("submit and pickup", took, None)


def _status(bench: Bench, client: Client) -> Iterator[Figure]:
    """Of a large batch, while workers are busy with it."""
    rows = bench.jobs * 5
    bench.say(f"submitting {rows:,} rows …")
    began = time.monotonic()
    batch = client.batches.submit_many("bench", "noop", {}, _rows(rows), hold=True, chunk=_CHUNK)
    rate = rows / (time.monotonic() - began)
    yield Figure(NAME, "submitting", round(rate), "rows/s", details={"rows": rows, "chunk": _CHUNK})
    bench.settle_down()
    took = []
    with _workers(bench, _WORKERS) as workers:
        client.batches.release(batch)
        until = time.monotonic() + bench.seconds
        while time.monotonic() < until:
            workers.require_alive()
            asked = time.monotonic()
            info = client.batches.status(batch)
            took.append((time.monotonic() - asked) * 1000)
            if info.is_final:
                break
            time.sleep(0.02)
        client.batches.abort(batch)
    yield from _percentiles("status of a large batch", took, _STATUS)


def _percentiles(name: str, values: list[float], most: float | None) -> Iterator[Figure]:
    for share, floor in ((0.5, most), (0.99, None)):
        yield Figure(
            NAME,
            f"{name}, p{share * 100:.0f}",
            round(percentile(values, share), 2),
            "ms",
            floor=floor,
            at_most=floor is not None,
            details={"probes": len(values), "most": round(max(values), 2)},
        )
