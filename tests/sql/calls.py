"""Calls of the SQL functions by name, as a worker in any language would make them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

Row = dict[str, Any]

# Where a live job can stand, and what hangs on live jobs.
LIVE = (
    "ready",
    "scheduled",
    "arrival",
    "blocked",
    "suspect",
    "line",
    "held",
    "dependent",
    "turn",
    "backend",
    "lease",
    "slot",
    "crash",
    "job_key",
    "cancel_request",
    "changed_priority",
)


def _adapt(value: Any) -> Any:
    if isinstance(value, dict):
        return Jsonb(value)
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [Jsonb(item) if item is not None else None for item in value]
    return value


class Caller:
    """One session. `caller("claim", worker=1, queues=["a"])` gives the rows of `select * from pgqueue.claim(…)`."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str = "pgqueue") -> None:
        self.connection = connection
        self.schema = schema

    def __call__(self, function: str, **arguments: Any) -> list[Row]:
        named = ", ".join(f"{name} => %({name})s" for name in arguments)
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                f"select * from {self.schema}.{function}({named})",  # type: ignore[arg-type]  # names are ours
                {name: _adapt(value) for name, value in arguments.items()},
            )
            return cursor.fetchall()

    def one(self, function: str, **arguments: Any) -> Row:
        (row,) = self(function, **arguments)
        return row

    def value(self, function: str, **arguments: Any) -> Any:
        (value,) = self.one(function, **arguments).values()
        return value

    def sql(self, query: str, *parameters: Any) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)  # type: ignore[arg-type]  # the tests' own text
            return cursor.fetchall() if cursor.description else []

    def enqueue(self, kind: str = "noop", **arguments: Any) -> int:
        return int(self.one("enqueue", kind=kind, **arguments)["id"])

    def worker(self, *queues: str) -> int:
        return int(self.value("register_worker", name="test", queues=list(queues) or ["default"]))

    def claim(self, worker: int, n: int = 100, queues: list[str] | None = None, **arguments: Any) -> list[Row]:
        return self("claim", worker=worker, queues=queues or ["default"], n=n, **arguments)

    def settle(self, jobs: list[Row], outcome: str = "succeeded", **arguments: Any) -> list[Row]:
        """One outcome for all of them; `result`, `error` and `delay` too."""
        shared = {f"{name}s": [value] * len(jobs) for name, value in arguments.items()}
        if "results" in shared:
            shared["results"] = [Jsonb(value) for value in shared["results"]]
        if "delays" in shared:
            shared["delays"] = [f"{value} seconds" for value in shared["delays"]]
        casts = {"results": "jsonb[]", "errors": "jsonb[]", "delays": "interval[]"}
        named = "".join(f", {name} => %({name})s::{casts[name]}" for name in shared)
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                f"select * from {self.schema}.settle("  # type: ignore[arg-type]
                f"leases => %(leases)s::bigint[], jobs => %(jobs)s::bigint[], outcomes => %(outcomes)s::text[]{named})",
                {
                    "leases": [job["lease"] for job in jobs],
                    "jobs": [job["id"] for job in jobs],
                    "outcomes": [outcome] * len(jobs),
                    **{name: _adapt(values) for name, values in shared.items()},
                },
            )
            return cursor.fetchall()

    def state(self, job: int) -> str:
        return str(self.one("result", id=job)["state"])

    def states(self, jobs: list[int]) -> list[str]:
        return [self.state(job) for job in jobs]

    def clock(self, at: str) -> None:
        """From here on this session believes it is `at`; an empty text gives the real time back."""
        self.sql("select set_config('pgqueue.now', %s, false)", at)

    def places(self) -> dict[str, int]:
        """Rows in every table where a live job can stand, and in those that hang on live jobs."""
        return {table: count for table in LIVE if (count := self.sql(f"select count(*) from pgqueue.{table}")[0][0])}


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Waits for a state of the database that another session brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {what}"


def blocked(observer: Caller, pid: int) -> bool:
    """Whether the session `pid` waits for a lock of another."""
    return bool(observer.sql("select cardinality(pg_blocking_pids(%s)) > 0", pid)[0][0])
