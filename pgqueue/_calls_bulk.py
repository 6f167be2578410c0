"""The functions of bulk operations, as `pgqueue._calls.Calls` offers them: one batch a call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Seconds, many, one
from pgqueue._models_bulk import filter_document
from pgqueue.models import JSON, BulkStep, JobFilter

__all__ = ["BulkCalls", "Filter"]

Filter: TypeAlias = JobFilter | Mapping[str, Any]


class BulkCalls(BaseCalls):
    """Many jobs at once, by filter. Each call is one bounded batch: pass `last` as `after` while there is `more`."""

    def cancel_jobs(
        self, filter: Filter, max: int = 1000, after: int = 0, why: str | None = None
    ) -> Call[models.BulkStep]:
        """Cancels what waits, and asks what runs."""
        return self._call("cancel_jobs", one(BulkStep), dict(locals(), filter=filter_document(filter)))

    def retry_jobs(
        self,
        filter: Filter,
        max: int = 1000,
        after: int = 0,
        rate_limit: int | None = None,
        rate_period: Seconds = 1,
        starts_at: datetime | None = None,
    ) -> Call[models.BulkStep]:
        """Failed and cancelled jobs run again, all at once or `rate_limit` of them a `rate_period` from `starts_at`
        on.
        """
        return self._call("retry_jobs", one(BulkStep), dict(locals(), filter=filter_document(filter)))

    def set_priority_of_jobs(
        self, filter: Filter, priority: int, max: int = 1000, after: int = 0
    ) -> Call[models.BulkStep]:
        """Waiting jobs get another priority."""
        return self._call("set_priority_of_jobs", one(BulkStep), dict(locals(), filter=filter_document(filter)))

    def move_jobs(self, filter: Filter, queue: str, max: int = 1000, after: int = 0) -> Call[models.BulkStep]:
        """Waiting jobs go to another queue."""
        return self._call("move_jobs", one(BulkStep), dict(locals(), filter=filter_document(filter)))

    def delete_jobs(self, filter: Filter, max: int = 1000, after: int = 0) -> Call[models.BulkStep]:
        """The history of final jobs goes."""
        return self._call("delete_jobs", one(BulkStep), dict(locals(), filter=filter_document(filter)))

    def count_jobs(self, filter: Filter, action: str, max: int = 10_000, after: int = 0) -> Call[tuple[int, int, bool]]:
        """How many jobs an action (cancel, retry, set_priority, move, delete) would select: count, last, more."""
        return self._call("count_jobs", one(_counted), dict(locals(), filter=filter_document(filter)))

    def edit_job(
        self, id: int, args: Mapping[str, JSON] | None = None, headers: Mapping[str, JSON] | None = None
    ) -> Call[models.Change]:
        """Gives a job that waits, failed or was cancelled other arguments or headers, as a whole; None leaves them.
        Raises Conflict for others.
        """
        return self._call("edit_job", one(models.Change), locals())

    def failures(
        self, queue: str | None = None, kind: str | None = None, since: datetime | None = None, max: int = 100
    ) -> Call[list[models.Failure]]:
        """Failed jobs by queue, kind, reason and type of error, newest first."""
        return self._call("failures", many(models.Failure), locals())


def _counted(jobs: int, last: int, more: bool) -> tuple[int, int, bool]:
    return jobs, last, more
