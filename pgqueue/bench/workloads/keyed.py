"""Keyed queues: the statements of an uncontended round, get_or_run, many waiters of one key, many callers of many
queues.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, TypeVar

from pgqueue import AsyncClient, AsyncKeyedQueue, Client
from pgqueue._calls import Call
from pgqueue.bench import Bench, Figure, WrongCounts
from pgqueue.bench._base import percentile
from pgqueue.bench.workloads._keyedload import Plan, drive

NAME = "keyed"
SUMMARY = "keyed queues: a round of seven statements, get_or_run, 1,000 waiters of one key, 50 callers of 20 queues"

T = TypeVar("T")
_ROUND, _STATEMENTS, _TOLD, _RATE = 4.0, 4, 100.0, 2000
_WAITERS = 1000
_CALLERS, _KEYS, _QUEUES, _BUDGET, _PROCESSES = 50, 50, 20, 2, 4


def run(bench: Bench) -> Iterator[Figure]:
    """The limit first, so that the machine of this run is known."""
    bench.empty()
    bench.limit_enqueue(bench.jobs)
    limit = bench.limit_drain(bench.jobs)
    with Client(bench.dsn, schema=bench.schema) as client:
        bench.empty()
        yield from _rounds(bench, client)
        bench.empty()
        with bench.worker_processes(1, queues=("bench",), concurrency=10, app="pgqueue.bench._keyedapp:app"):
            yield from asyncio.run(_asking(bench))
        bench.empty()
        yield asyncio.run(_waiters(bench))
        bench.empty()
        yield from _crowd(bench, limit)


# -- one statement at a time --------------------------------------------------------------------------------------


def _rounds(bench: Bench, client: Client) -> Iterator[Figure]:
    """Add, claim, two merges, heartbeat, ack, result: seven statements, each prepared and committed for itself."""
    s = bench.schema
    statements = (
        f"select id from {s}.keyed_add(queue => 'bench', key => %(key)s, payload => '{{\"sql\":\"select 1\"}}')",
        f"select refused from {s}.keyed_claim(queue => 'bench', key => %(key)s, concurrency => 2)",
        f"select {s}.keyed_merge_extra(id => %(id)s, extra => '{{\"startQueryTime\":1}}')",
        f"select {s}.keyed_merge_extra(id => %(id)s, extra => '{{\"cancelHandler\":[1,2]}}')",
        f"select {s}.keyed_heartbeat(id => %(id)s)",
        f"select {s}.keyed_ack(id => %(id)s, result => '{{\"rows\":[]}}')",
        f"select state from {s}.keyed_result_by_id(id => %(id)s)",
    )
    took: list[float] = []
    connection = bench.connect()
    with connection:
        for n in range(50 + (200 if bench.quick else 2000)):
            params: dict[str, Any] = {"key": f"key {n % 50}"}
            said: list[Any] = []
            began = time.perf_counter()
            for statement in statements:
                row = connection.execute(statement.encode(), params).fetchone()
                said.append(row[0] if row else None)
                params.setdefault("id", said[0])
            if n >= 50:
                took.append((time.perf_counter() - began) * 1000)
            if said[1:] != [None, True, True, True, True, "succeeded"]:
                raise WrongCounts(f"a round said {said}")
    if client.keyed("bench").keys():
        raise WrongCounts("items are left after the rounds")
    for share, floor in ((0.5, _ROUND), (0.99, None)):
        yield Figure(
            NAME,
            f"uncontended round, p{share * 100:.0f}",
            round(percentile(took, share), 2),
            "ms",
            floor=floor,
            at_most=floor is not None,
            details={"rounds": len(took), "statements": len(statements), "most": round(max(took), 2)},
        )


# -- get_or_run ---------------------------------------------------------------------------------------------------


class _Counting(AsyncClient):
    """Counts its statements, those on the listening connection too."""

    statements = 0

    async def run(self, call: Call[T]) -> T:
        _Counting.statements += 1
        return await super().run(call)

    def on(self, connection: Any) -> AsyncClient:
        client = super().on(connection)
        client.__class__ = _Counting
        return client


async def _asking(bench: Bench) -> list[Figure]:
    """get_or_run one after the other, with a worker process that executes what comes."""
    count = 100 if bench.quick else 1000
    took: list[float] = []
    statements: list[float] = []
    async with _Counting(bench.dsn, schema=bench.schema) as client:
        queue = client.keyed("bench")
        for n in range(20 + count):
            before, began = _Counting.statements, time.perf_counter()
            if await queue.get_or_run(f"key {n}", {"n": n}, timeout=60) != {"n": n}:
                raise WrongCounts("get_or_run gave another result")
            if n >= 20:
                took.append((time.perf_counter() - began) * 1000)
                statements.append(_Counting.statements - before)
    return [
        Figure(
            NAME,
            "get_or_run, p50",
            round(percentile(took, 0.5), 2),
            "ms",
            details={"calls": count, "p99": round(percentile(took, 0.99), 2), "most": round(max(took), 2)},
        ),
        Figure(
            NAME,
            "get_or_run, statements",
            percentile(statements, 0.5),
            "",
            floor=_STATEMENTS,
            at_most=True,
            details={"p99": percentile(statements, 0.99), "most": max(statements)},
        ),
    ]


async def _waiters(bench: Bench) -> Figure:
    """From the ack of one key to the last of a thousand answers, in one process that has a thousand tasks waiting."""
    worst: list[float] = []
    executions = rounds = 0
    async with (
        AsyncClient(bench.dsn, schema=bench.schema) as client,
        AsyncClient(bench.dsn, schema=bench.schema) as other,
    ):
        queue, theirs = client.keyed("bench"), other.keyed("bench")
        for n in range(3 if bench.quick else 10):
            rounds += 1
            told: list[float] = []
            added = await theirs.add(f"key {n}", {"n": n})

            async def ask(n: int = n, told: list[float] = told, id: int = added.id) -> None:
                if await queue.wait(id, 60) != {"rows": n}:
                    raise WrongCounts("a waiter got another result")
                told.append(time.monotonic())

            (item,) = await theirs.claim_next(5)
            asking = [asyncio.create_task(ask()) for _ in range(_WAITERS // 2)]
            joined = [
                asyncio.create_task(_join(queue, f"key {n}", {"rows": n}, told)) for _ in range(_WAITERS - len(asking))
            ]
            await _all_wait(bench, client, added.id)
            executions += 1 + len(await theirs.claim_next(5))
            await theirs.ack(id=item.id, result={"rows": n})
            acked = time.monotonic()
            await asyncio.gather(*asking, *joined)
            worst.append((max(told) - acked) * 1000)
    if executions != rounds:
        raise WrongCounts(f"{executions} executions for {rounds} keys")
    return Figure(
        NAME,
        f"last of {_WAITERS:,} answers after the ack",
        round(max(max(worst), 0.01), 1),
        "ms",
        floor=_TOLD,
        at_most=True,
        details={"rounds": [round(each, 1) for each in worst], "executions_per_key": executions / rounds},
    )


async def _join(queue: AsyncKeyedQueue, key: str, wanted: Any, told: list[float]) -> None:
    if await queue.get_or_run(key, {}, timeout=60) != wanted:
        raise WrongCounts("a waiter got another result")
    told.append(time.monotonic())


async def _all_wait(bench: Bench, client: AsyncClient, id: int) -> None:
    """Returns when every caller has joined, and the server knows of them."""
    deadline = time.monotonic() + 60
    waiting = client.results().items.waiting
    while waiting(id) < _WAITERS or not bench.value(f"select exists (select from {bench.schema}.waiter)"):
        if time.monotonic() > deadline:
            raise WrongCounts(f"{waiting(id)} of {_WAITERS} wait after a minute")
        await asyncio.sleep(0.01)


# -- many callers -------------------------------------------------------------------------------------------------


def _crowd(bench: Bench, limit: float) -> Iterator[Figure]:
    """Items a second that are added, claimed and acknowledged while a watcher looks at what is active."""
    plan = Plan(bench.dsn, bench.schema, _QUEUES, _KEYS, _BUDGET, bench.seconds)
    most: list[int] = [0]
    looks: list[int] = [0]
    ended = threading.Event()

    def watch() -> None:
        query = (
            f"select coalesce(max(n), 0) from (select count(*) n from {bench.schema}.keyed_item"
            " where lease_id is not null group by queue) q"
        ).encode()
        with bench.connect() as connection:
            while not ended.wait(0.01):
                row = connection.execute(query).fetchone()
                most[0] = max(most[0], row[0] if row else 0)
                looks[0] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        tallies = drive(plan, _CALLERS, _PROCESSES)
    finally:
        ended.set()
        watcher.join()
    problem = next((tally.problem for tally in tallies if tally.problem), None)
    deadlocks = sum(tally.deadlocks for tally in tallies)
    if problem is not None or deadlocks or most[0] > _BUDGET or len(tallies) != _CALLERS:
        raise WrongCounts(f"{deadlocks} deadlocks, {most[0]} active of {_BUDGET}, {len(tallies)} callers, {problem}")
    acked = sum(tally.acked for tally in tallies)
    yield Figure(
        NAME,
        f"{_CALLERS} callers, {_QUEUES} queues",
        round(acked / plan.seconds, 1),
        "items/s",
        limit=round(limit, 1),
        floor=_RATE,
        details={
            "keys": _KEYS,
            "budget": _BUDGET,
            "most_active": most[0],
            "looks": looks[0],
            "deadlocks": deadlocks,
            "joined": sum(tally.joined for tally in tallies),
        },
    )
