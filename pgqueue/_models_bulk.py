"""What bulk operations take and answer; `pgqueue.models` shows it with the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from pgqueue.errors import InvalidArgument

__all__ = ["BulkResult", "BulkStep", "Failure", "JobFilter", "filter_document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a bulk operation is about: those that match everything that is given. At least one thing has to be.

    `state`: one, or several. `error_type`: of the last failed attempt. `args`, `headers`: contained in the job's. Times
    are aware; `after` and `before` in names exclude the id itself, and include the earlier end of times.
    """

    queue: str | None = None
    kind: str | None = None
    state: str | Iterable[str] | None = None
    reason: str | None = None
    error_type: str | None = None
    group_key: str | None = None
    unique_key: str | None = None
    priority: int | None = None
    args: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] | None = None
    ids: Iterable[int] | None = None
    before_id: int | None = None
    after_id: int | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    finished_before: datetime | None = None
    finished_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class BulkStep:
    """One batch. `last` is the `after` of the next, while there is `more`. `next_at`: where a redrive with a rate has
    come to.
    """

    done: int
    skipped: int
    last: int
    more: bool
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BulkResult:
    """All batches together: how many jobs were acted upon, and how many matched but could not be."""

    done: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Failed jobs that are alike. `message`: that of the newest, `last_job`."""

    queue: str
    kind: str
    reason: str
    error_type: str | None
    message: str | None
    jobs: int
    first_at: datetime
    last_at: datetime
    last_job: int


def filter_document(filter: JobFilter | Mapping[str, Any]) -> dict[str, Any]:
    """The filter as the SQL functions take it."""
    if isinstance(filter, JobFilter):
        given = {field.name: getattr(filter, field.name) for field in fields(filter)}
        given = {name: value for name, value in given.items() if value is not None}
    elif isinstance(filter, Mapping):
        given = dict(filter)
    else:
        raise InvalidArgument(
            f"filter must be a JobFilter or a mapping, not {type(filter).__name__}", 'such as JobFilter(queue="mail")'
        )
    for name, value in given.items():
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                raise InvalidArgument(f"{name} has no time zone", "give an aware datetime, such as datetime.now(UTC)")
            given[name] = value.isoformat()
        elif name in ("state", "ids") and isinstance(value, Iterable) and not isinstance(value, str):
            given[name] = list(value)
    return given
