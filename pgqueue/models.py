"""What the functions of the schema answer: frozen, slotted dataclasses, one field per result column and in the same
order.

Times are aware `datetime`s, intervals `timedelta`s, JSON documents plain Python values (`dict`, `list`, `str`, `int`,
`float`, `bool`, `None`). Nothing here does I/O and nothing imports psycopg.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, cast

from pgqueue._models_bulk import BulkResult, BulkStep, Failure, JobFilter
from pgqueue._models_compose import ChildJob, GroupStatus, OnDuplicate, OnParentFailure, ParentResult, UniqueUntil
from pgqueue._models_flow import Schedule, ScheduleChange, SyncedSchedule
from pgqueue._models_insight import LogLine, Throughput, TimelineEvent
from pgqueue._models_keyed import (
    KeyedAdded,
    KeyedAddedClaim,
    KeyedClaim,
    KeyedItemInfo,
    KeyedLine,
    KeyedListed,
    KeyedNext,
    KeyedReaped,
    KeyedRef,
    KeyedResult,
    KeyedStage,
)
from pgqueue._models_rows import (
    BatchAborted,
    BatchInfo,
    FilePiece,
    RowOutcome,
    SlowQueryAborted,
    SlowQueryStatus,
)
from pgqueue._models_sql import (
    OwnerScripts,
    QueryBatch,
    QueryColumn,
    QueryOrders,
    QueryPlan,
    QueryStatus,
    QueryVerdict,
    ScriptOrders,
    ScriptSummary,
    ScriptVerdict,
    SubmittedQuery,
    Withdrawal,
)

__all__ = [
    "FINAL_STATES",
    "JSON",
    "Attempt",
    "BatchAborted",
    "BatchInfo",
    "BulkResult",
    "BulkStep",
    "Change",
    "ChildJob",
    "ClaimedJob",
    "Directive",
    "Duty",
    "Enqueued",
    "Failure",
    "FilePiece",
    "GroupStatus",
    "HealthItem",
    "Heartbeat",
    "Job",
    "JobFilter",
    "JobSummary",
    "KeyedAdded",
    "KeyedAddedClaim",
    "KeyedClaim",
    "KeyedItemInfo",
    "KeyedLine",
    "KeyedListed",
    "KeyedNext",
    "KeyedReaped",
    "KeyedRef",
    "KeyedResult",
    "KeyedStage",
    "LogLine",
    "OnDuplicate",
    "OnParentFailure",
    "OwnerScripts",
    "ParentResult",
    "Problem",
    "QueryBatch",
    "QueryColumn",
    "QueryOrders",
    "QueryPlan",
    "QueryStatus",
    "QueryVerdict",
    "QueueInfo",
    "Result",
    "RowOutcome",
    "Schedule",
    "ScheduleChange",
    "ScriptOrders",
    "ScriptSummary",
    "ScriptVerdict",
    "SlowQueryAborted",
    "SlowQueryStatus",
    "State",
    "SubmittedQuery",
    "SyncedSchedule",
    "Throughput",
    "TimelineEvent",
    "Turn",
    "UniqueUntil",
    "Withdrawal",
    "WorkerInfo",
    "claimed_jobs",
]

# Recursive JSON types fight both checkers and readers; the checks that matter are made at run time (pgqueue.convert).
JSON: TypeAlias = Any

State: TypeAlias = Literal["held", "scheduled", "queued", "running", "succeeded", "failed", "cancelled"]
FINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Answer of `enqueue`: `created` is false when another job holds the unique key; `id` is that job's."""

    id: int
    created: bool


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """One job handed to a worker by `claim`; `lease` goes into every write the worker makes about it."""

    lease: int
    id: int
    queue: str
    kind: str
    args: dict[str, JSON]
    attempt: int
    max_attempts: int
    priority: int
    timeout: timedelta | None
    heartbeat: timedelta | None
    headers: dict[str, JSON] | None
    group_key: str | None
    unique_key: str | None
    crashes: int
    created_at: datetime


@dataclass(slots=True, eq=False, repr=False)
class _Draft:
    """Same slots as ClaimedJob, but assignable: see claimed_jobs."""

    lease: int
    id: int
    queue: str
    kind: str
    args: dict[str, JSON]
    attempt: int
    max_attempts: int
    priority: int
    timeout: timedelta | None
    heartbeat: timedelta | None
    headers: dict[str, JSON] | None
    group_key: str | None
    unique_key: str | None
    crashes: int
    created_at: datetime


def claimed_jobs(rows: Iterable[tuple[Any, ...]]) -> list[ClaimedJob]:
    """Rows of `claim` as ClaimedJobs.

    The generated `__init__` of a frozen class goes through `object.__setattr__` for each field, 2.3 us a job; filling a
    mutable class of the same layout and turning it into the frozen one takes a seventh of that, and a worker does it
    for every job.
    """
    drafts = [_Draft(*row) for row in rows]
    for draft in drafts:
        draft.__class__ = ClaimedJob  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    return cast("list[ClaimedJob]", drafts)


@dataclass(frozen=True, slots=True)
class Problem:
    """A settlement that was not accepted: `problem` is 'stale' (the lease no longer holds the job: drop it) or 'busy'
    (try again).
    """

    lease: int
    job_id: int
    problem: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Answer of `settle_and_claim`: what was refused of the old jobs, and the new ones in the order to start them."""

    problems: list[Problem]
    jobs: list[ClaimedJob]


@dataclass(frozen=True, slots=True)
class Directive:
    """What the server tells a worker in answer to its heartbeat: 'cancel' this job, or 'lost': stop this lease
    (`job_id` None).
    """

    action: str
    lease: int
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Answer of `job_heartbeat`: not `alive` means the lease is stale, stop; `cancel_requested` means the user wants it
    to end.
    """

    alive: bool
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Change:
    """State of a job or queue after an operation, and whether the operation changed anything."""

    state: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended; for a live job only `state` is set."""

    state: str
    reason: str | None
    result: JSON
    error: dict[str, JSON] | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class Job:
    """Everything about one job, live or final."""

    id: int
    queue: str
    kind: str
    state: str
    reason: str | None
    priority: int
    args: dict[str, JSON]
    attempt: int
    max_attempts: int
    crashes: int
    run_at: datetime | None
    created_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    unique_key: str | None
    group_key: str | None
    timeout: timedelta | None
    expires_at: datetime | None
    heartbeat: timedelta | None
    headers: dict[str, JSON] | None
    progress: JSON
    cancel_requested: bool
    result: JSON
    error: dict[str, JSON] | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One line of `jobs`: a job without its documents."""

    id: int
    queue: str
    kind: str
    state: str
    reason: str | None
    priority: int
    attempt: int
    max_attempts: int
    run_at: datetime | None
    created_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    unique_key: str | None
    group_key: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt of a job; `error` has type, message and traceback."""

    attempt: int
    failed_at: datetime
    worker_id: int | None
    reason: str | None
    error: dict[str, JSON] | None


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """One queue: how much waits, how much runs, how old the oldest waiting job is, what was done in the last minute,
    its settings.
    """

    queue: str
    paused: bool
    queued: int
    scheduled: int
    held: int
    running: int
    oldest_age: timedelta | None
    done_per_minute: int
    failed_per_minute: int
    settings: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """One group of a queue: how many of its jobs wait (not for a time) and run, its weight, the failed job that blocks
    it, and settings of its own.
    """

    group_key: str
    waiting: int
    running: int
    weight: int
    blocked_by: int | None
    settings: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One registered worker process."""

    id: int
    name: str
    queues: list[str]
    concurrency: int
    info: dict[str, JSON]
    started_at: datetime
    heartbeat_at: datetime
    running: int
    lost: bool


@dataclass(frozen=True, slots=True)
class Duty:
    """One upkeep duty of a `maintain` pass: how many things it did, and its own error if it failed."""

    duty: str
    done: int
    error: str | None


@dataclass(frozen=True, slots=True)
class HealthItem:
    """One line of `health`: what was looked at, whether it is well, what was seen and what to do."""

    item: str
    ok: bool
    detail: str
    fix: str | None
