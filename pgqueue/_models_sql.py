"""What the script and query functions answer; `pgqueue.models` shows them with the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = [
    "OwnerScripts",
    "QueryBatch",
    "QueryColumn",
    "QueryOrders",
    "QueryPlan",
    "QueryStatus",
    "QueryVerdict",
    "ScriptOrders",
    "ScriptSummary",
    "ScriptVerdict",
    "SubmittedQuery",
    "Withdrawal",
]


@dataclass(frozen=True, slots=True)
class ScriptSummary:
    """One line of `scripts`: `queries` it has, `done` of them ended or skipped."""

    id: int
    owner: str
    queue: str
    status: str
    fallback_status: str | None
    failed_reason: str | None
    queries: int
    done: int
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class OwnerScripts:
    """The scripts of one owner that run now."""

    owner: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class ScriptOrders:
    """What a worker is to do in this turn of a script: run `sql` (`unit` says what it is, `timeout` how long it may
    take), or, with a `verdict`, settle at once. An old backend that is named must be gone before.
    """

    unit: str | None
    position: int | None
    sql: str | None
    timeout: timedelta | None
    verdict: str | None
    failure: dict[str, Any] | None
    old_datasource: str | None
    old_pid: int | None
    old_backend_start: datetime | None
    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ScriptVerdict:
    """The outcome a worker settles the turn with."""

    verdict: str
    failure: dict[str, Any] | None
    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class SubmittedQuery:
    """Answer of `submit_query`: a new run (`created`), a live run that this caller has joined (neither), or a result
    that was there (`reused`).
    """

    id: int
    created: bool
    reused: bool


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """How far a query is. `columns` (name, type, oid) are known once it runs; the counts are those stored so far; `run`
    changes when the query starts again after a crash.
    """

    id: int
    owner: str
    state: str
    reason: str | None
    error: dict[str, Any] | None
    row_count: int | None
    byte_count: int | None
    batches: int | None
    columns: list[dict[str, Any]] | None
    command: str | None
    run: int | None
    notices: list[dict[str, Any]] | None
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    expires_at: datetime | None

    @property
    def is_final(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """One column of a result: its type as SQL writes it, and the type's OID on the server that ran the query."""

    position: int
    name: str
    type: str
    type_oid: int


@dataclass(frozen=True, slots=True)
class QueryBatch:
    """One chunk of a result. `data` None: not there yet. `is_last`: nothing comes after it."""

    batch: int
    state: str
    run: int
    row_count: int | None
    is_last: bool
    data: str | None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Answer of `cancel_query`: the query's state, whether anything has changed, and how many `others` still want the
    result.
    """

    state: str
    changed: bool
    others: int


@dataclass(frozen=True, slots=True)
class QueryOrders:
    """What a worker is to do with a query: run `sql` within the limits, or, with a `verdict`, settle at once. An old
    backend that is named must be gone before.
    """

    sql: str | None
    param_count: int | None
    timeout: timedelta | None
    batch_rows: int | None
    max_rows: int | None
    max_bytes: int | None
    run: int | None
    verdict: str | None
    old_datasource: str | None
    old_pid: int | None
    old_backend_start: datetime | None


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """The text with its parameters written in, and how to run it: 'copy', 'rows' or 'command'."""

    sql: str
    mode: str


@dataclass(frozen=True, slots=True)
class QueryVerdict:
    """The outcome a worker settles the query with."""

    verdict: str
    failure: dict[str, Any] | None
    result: dict[str, Any] | None
