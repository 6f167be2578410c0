"""What the functions of schedules answer; `pgqueue.models` shows them with the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Schedule", "ScheduleChange", "SyncedSchedule"]


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """Answer of `schedule`: whether it changed anything and the next tick: None while paused and when there is none."""

    changed: bool
    next_run: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule. `next_run`: its next tick, None while paused and when there is none any more. `last_run`: the tick
    of the last job, `last_job` its id. `last_error`: why the tick that is due could not be enqueued, or why the last
    one was passed over. `declared_by`: the App that declares it.
    """

    name: str
    cron: str
    time_zone: str
    kind: str
    queue: str
    missed: str
    paused: bool
    next_run: datetime | None
    last_run: datetime | None
    last_job: int | None
    last_error: str | None
    args: dict[str, Any]
    priority: int
    unique_key: str | None
    group_key: str | None
    max_attempts: int | None
    timeout: timedelta | None
    expires_in: timedelta | None
    heartbeat: timedelta | None
    backoff: dict[str, Any] | None
    headers: dict[str, Any] | None
    starts_at: datetime | None
    ends_at: datetime | None
    declared_by: str | None
    created_at: datetime
    updated_at: datetime
    unique_by: list[str] | None
    unique_until: str | None
    unique_for: timedelta | None
    on_duplicate: str | None
    on_success: dict[str, Any] | list[dict[str, Any]] | None
    on_error: dict[str, Any] | list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class SyncedSchedule:
    """What became of a declaration: `action` is added, changed, unchanged, removed, or refused with the `error`."""

    name: str | None
    action: str
    error: str | None
