"""Arguments and results of a megabyte each."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psycopg

from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench.workloads._tasks import APP

NAME = "big"
SUMMARY = "1 MB of arguments and 1 MB of result per job: through SQL, and through a worker"

_BYTES = 1_000_000
_WIRE = 3 * _BYTES / 1e6
"""Megabytes that travel for a job: its arguments in and out, its result in."""
_QUEUE = "big"


def run(bench: Bench) -> Iterator[Figure]:
    """One connection, in turn with the bare table and the same bytes; then a worker whose handler gives back what it
    got.
    """
    jobs = min(100, max(5, bench.jobs // 2000))
    # Random digits: nothing that compression would make much smaller, nor spend much time on.
    document = json.dumps({"blob": secrets.token_hex(_BYTES // 2)})
    with bench.connect() as connection:
        rounds = bench.interleave(
            {"through SQL": lambda: _sql(bench, connection, document, jobs)},
            lambda: _bare(bench, connection, document, jobs),
            min(bench.rounds, 3),
        )
    limit = median(rounds.limits)
    details = {"jobs": jobs, "bytes": len(document), "jobs_per_second": None}
    for name, rate in (
        ("through SQL", median(rounds.values["through SQL"])),
        ("a worker, one at a time", _worker(bench, document, jobs, 1)),
        ("a worker, 10 at a time", _worker(bench, document, jobs, 10)),
    ):
        yield Figure(
            NAME,
            name,
            round(rate, 1),
            "MB/s",
            limit=round(limit, 1),
            ratio=round(rate / limit, 3),
            details={**details, "jobs_per_second": round(rate / _WIRE, 1)},
        )


def _bare(bench: Bench, connection: psycopg.Connection[Any], document: str, jobs: int) -> float:
    """In, out and deleted, and a second row for the result."""
    table = f"{bench.limit_schema}.bare"
    connection.execute(f"truncate {table}".encode())
    connection.execute(b"checkpoint")
    insert = f"insert into {table} (args) values (%s::jsonb)".encode()
    take = (
        f"delete from {table} where ctid = any(array(select ctid from {table} order by id limit 1"
        f" for update skip locked)) returning args::text"
    ).encode()
    began = time.monotonic()
    for _ in range(jobs):
        connection.execute(insert, (document,))
    for _ in range(jobs):
        row = connection.execute(take).fetchone()
        connection.execute(insert, row)
    return jobs * _WIRE / (time.monotonic() - began)


def _sql(bench: Bench, connection: psycopg.Connection[Any], document: str, jobs: int) -> float:
    """Enqueued, claimed and settled one by one."""
    bench.empty()
    s = bench.schema
    worker = bench.register([_QUEUE])
    enqueue = f"select id from {s}.enqueue(kind => 'echo', args => %s::jsonb, queue => '{_QUEUE}')".encode()
    claim = (
        "select c.lease, c.id, (c.args -> 'blob')::text"
        f" from {s}.claim(worker => {worker}, queues => array['{_QUEUE}']) c"
    ).encode()
    settle = (
        f"select * from {s}.settle(leases => array[%s::bigint], jobs => array[%s::bigint],"
        " outcomes => array['succeeded'], results => array[%s::jsonb])"
    ).encode()
    began = time.monotonic()
    for _ in range(jobs):
        connection.execute(enqueue, (document,))
    for _ in range(jobs):
        row = connection.execute(claim).fetchone()
        if row is None or connection.execute(settle, row).fetchall():
            raise WrongCounts("a big job was not there, or its outcome was refused")
    rate = jobs * _WIRE / (time.monotonic() - began)
    _verify(bench, jobs)
    return rate


def _worker(bench: Bench, document: str, jobs: int, concurrency: int) -> float:
    """From the opening of the full queue to the last outcome, by the database's clock."""
    bench.say(f"a worker, {concurrency} at a time …")
    bench.empty()
    s = bench.schema
    with bench.worker_processes(1, queues=[_QUEUE], concurrency=concurrency, app=APP) as workers:
        bench.execute(f"select {s}.pause_queue(queue => '{_QUEUE}')")
        began = time.monotonic()
        for _ in range(jobs):
            bench.execute(f"select {s}.enqueue(kind => 'echo', args => %s::jsonb, queue => '{_QUEUE}')", document)
        enqueued = time.monotonic() - began
        opened = bench.value("select clock_timestamp()")
        bench.execute(f"select {s}.resume_queue(queue => '{_QUEUE}')")
        bench.until_idle(workers)
    worked: float = bench.value(f"select extract(epoch from max(finished_at) - %s)::float8 from {s}.outcome", opened)
    _verify(bench, jobs)
    return jobs * _WIRE / (enqueued + worked)


def _verify(bench: Bench, jobs: int) -> None:
    """All final, and every result is what came in, to the byte."""
    bench.verify(jobs)
    s = bench.schema
    same = bench.value(
        f"select count(*) from {s}.job j join {s}.outcome o on o.job_id = j.id"
        f" where o.result = j.args -> 'blob' and length(o.result #>> '{{}}') = %s",
        _BYTES,
    )
    if same != jobs:
        raise WrongCounts(f"{same} of {jobs} big results are what came in")
