"""What the functions of insight answer; `pgqueue.models` shows them with the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["LogLine", "Throughput", "TimelineEvent"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's log. `line` counts from 1 over all attempts; `fields` is what was logged beside the
    message.
    """

    line: int
    at: datetime
    attempt: int
    level: str
    message: str
    fields: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened to a job, or will. `event` and `detail` are for people, `data` for programs."""

    at: datetime
    event: str
    detail: str | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Throughput:
    """What has ended in one step of time in a queue, and of a `kind` if it was asked by kind. Waits are those of jobs
    that ended at their first attempt; None where there is none to tell of.
    """

    at: datetime
    queue: str
    kind: str | None
    succeeded: int
    failed: int
    cancelled: int
    wait_p50: timedelta | None
    wait_p95: timedelta | None
    wait_max: timedelta | None
    run_p50: timedelta | None
    run_p95: timedelta | None
    run_max: timedelta | None
