"""SQL as a job: a large result through the store, latencies of small queries, cancels and limits, turns of scripts."""

from __future__ import annotations

import filecmp
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from pgqueue import Client
from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench._base import percentile
from pgqueue.bench._workers import Workers
from pgqueue.models import QueryStatus

NAME = "sql"
SUMMARY = "a million rows through the result store beside bare COPY; latencies of queries, cancels and limits; turns"

_QUEUES = ("queries", "scripts")
_FLOOR = 0.3
_ROWS = (
    "select g as id, 'customer ' || g as name, (g::bigint * 7919 % 100000) / 100.0 as amount,"
    " timestamptz '2026-01-01' + g * interval '1 second' as at from generate_series(1, {}) g"
)
_OWNERS = 10


def run(bench: Bench) -> Iterator[Figure]:
    """One worker process, without any module of Python."""
    with (
        bench.worker_processes(1, queues=_QUEUES, concurrency=10, app=None) as workers,
        Client(bench.dsn, schema=bench.schema) as client,
    ):
        client.query("select 1").wait(60)
        yield from _large(bench, client, workers)
        yield from _small(bench, client)
        yield from _cancels(bench, client)
        yield from _limits(bench, client)
        yield _turns(bench, client)


# -- a large result -----------------------------------------------------------------------------------------------


def _large(bench: Bench, client: Client, workers: Workers) -> Iterator[Figure]:
    """Submitted, run, stored, read and written to a file, while it runs; against COPY of the same to a file."""
    rows = bench.jobs * 5
    sql = _ROWS.format(rows)
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-") as folder:
        bare, stored = Path(folder) / "bare.csv", Path(folder) / "stored.csv"
        before = _memory(os.getpid()), _memory(workers.pids[0])

        def own() -> float:
            began = time.monotonic()
            handle = client.query(sql, unique=False)
            count = handle.to_csv(stored, timeout=600)
            rate = count / (time.monotonic() - began)
            if count != rows:
                raise WrongCounts(f"{count:,} rows of {rows:,} came through the store")
            return rate

        def read_again() -> float:
            handle = client.query(sql, max_age=3600)
            began = time.monotonic()
            if not handle.reused or handle.to_csv(stored, timeout=600) != rows:
                raise WrongCounts("a fresh result was not found")
            return rows / (time.monotonic() - began)

        def limit() -> float:
            began = time.monotonic()
            with bench.connect() as connection, bare.open("wb") as file:
                with connection.cursor().copy(f"copy ({sql}) to stdout (format csv, header)".encode()) as copy:
                    for block in copy:
                        file.write(block)
            return rows / (time.monotonic() - began)

        rounds = bench.interleave({"through the store": own, "read again": read_again}, limit)
        if not filecmp.cmp(bare, stored, shallow=False):
            raise WrongCounts("the result is not what COPY writes")
        size = bare.stat().st_size
        after = _memory(os.getpid()), _memory(workers.pids[0])
    bound = median(rounds.limits)
    for name, floor in (("through the store", _FLOOR), ("read again", None)):
        rate = median(rounds.values[name])
        yield Figure(
            NAME,
            name,
            round(rate),
            "rows/s",
            limit=round(bound),
            ratio=round(rate / bound, 3),
            floor=floor,
            details={"rows": rows, "bytes": size, "rounds": [round(each) for each in rounds.values[name]]},
        )
    for name, index in (("memory of the reader", 0), ("memory of the worker", 1)):
        was, now = before[index], after[index]
        if was is not None and now is not None:
            yield Figure(NAME, name, round(now - was, 1), "MB", details={"peak": round(now, 1), "result": size / 1e6})


def _memory(pid: int) -> float | None:
    """The most it has used so far, in megabytes; None where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024


# -- latencies ----------------------------------------------------------------------------------------------------


def _small(bench: Bench, client: Client) -> Iterator[Figure]:
    """A query of one row: from the call to the rows in hand, one after the other."""
    took = []
    for n in range(_probes(bench)):
        began = time.monotonic()
        rows = list(client.query(f"select {n}").rows(timeout=60))
        took.append((time.monotonic() - began) * 1000)
        if rows != [(n,)]:
            raise WrongCounts(f"query {n} came back as {rows}")
    yield from _percentiles("small query", took)


def _cancels(bench: Bench, client: Client) -> Iterator[Figure]:
    """From the request to the end of the server process that ran the query."""
    took = []
    for n in range(_probes(bench)):
        handle = client.query(f"select pg_sleep(600), {n}")
        pid = _backend_of(bench, handle.id)
        began = time.monotonic()
        handle.cancel()
        while bench.value("select exists (select from pg_stat_activity where pid = %s)", pid):
            if time.monotonic() - began > 30:
                raise WrongCounts("a cancelled query still runs")
        took.append((time.monotonic() - began) * 1000)
        if _final(client, handle.id).state != "cancelled":
            raise WrongCounts("a cancelled query did not end cancelled")
    yield from _percentiles("cancel", took)


def _backend_of(bench: Bench, query: int) -> int:
    """The server process in which it runs, once it does. Raises WrongCounts."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = bench.value(
            "select pid from pg_stat_activity"
            " where application_name = %s and state = 'active' and wait_event = 'PgSleep'",
            f"pgqueue query {query}",
        )
        if found is not None:
            return int(found)
    raise WrongCounts(f"query {query} does not run")


def _limits(bench: Bench, client: Client) -> Iterator[Figure]:
    """How much longer than allowed a query runs that would never end, by the database's clock."""
    late = []
    for n in range(_probes(bench) // 2):
        limit = 0.1 + n % 5 / 10
        status = _final(client, client.query(f"select pg_sleep(600), {n}", timeout=limit).id)
        if status.reason != "timeout" or status.started_at is None or status.ended_at is None:
            raise WrongCounts(f"a query past its limit ended as {status.state} ({status.reason})")
        late.append(((status.ended_at - status.started_at).total_seconds() - limit) * 1000)
    yield from _percentiles("past the limit", late)


def _final(client: Client, query: int) -> QueryStatus:
    """Its status once it has ended. Raises WrongCounts."""
    deadline = time.monotonic() + 30
    while not (status := client.query_status(query)).is_final:
        if time.monotonic() > deadline:
            raise WrongCounts(f"query {query} does not end")
        time.sleep(0.002)
    return status


def _percentiles(name: str, values: list[float]) -> Iterator[Figure]:
    for share in (0.5, 0.99):
        yield Figure(
            NAME,
            f"{name}, p{share * 100:.0f}",
            round(percentile(values, share), 2),
            "ms",
            details={"probes": len(values), "most": round(max(values), 2)},
        )


def _probes(bench: Bench) -> int:
    return 20 if bench.quick else 200


# -- turns --------------------------------------------------------------------------------------------------------


def _turns(bench: Bench, client: Client) -> Figure:
    """Scripts of several owners, five queries each, against the same texts with a connection each, one by one."""
    scripts, queries = (3 if bench.quick else 20), 5
    bench.configure_queue("scripts", max_running=10)
    began = time.monotonic()
    handles = [
        client.script(["select 1"] * queries, owner=f"owner {n}") for n in range(_OWNERS) for _ in range(scripts)
    ]
    for handle in handles:
        handle.wait(timeout=300)
    took = time.monotonic() - began
    turns = len(handles) * queries
    began = time.monotonic()
    bare = turns // 4
    for _ in range(bare):
        with psycopg.connect(bench.dsn, autocommit=True) as connection:
            _discard(connection)
    limit = bare / (time.monotonic() - began)
    return Figure(
        NAME,
        "turns of scripts",
        round(turns / took, 1),
        "turns/s",
        limit=round(limit, 1),
        ratio=round(turns / took / limit, 3),
        details={"owners": _OWNERS, "scripts": len(handles), "queries": queries},
    )


def _discard(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select 1")
