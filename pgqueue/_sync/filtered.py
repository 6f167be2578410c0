# Generated from pgqueue/_async/filtered.py by pgqueue/_async/generate.py: change it there.
"""Bulk operations of a client: batch after batch to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

from pgqueue._calls import Call, Calls
from pgqueue._calls_base import Seconds
from pgqueue._calls_bulk import Filter
from pgqueue._models_bulk import filter_document
from pgqueue.models import BulkResult, BulkStep

__all__ = ["Filtered"]

T = TypeVar("T")
Progress: TypeAlias = Callable[[int, int], object]


class _Runs(Protocol):
    @property
    def calls(self) -> Calls: ...

    def run(self, call: Call[T]) -> T: ...


class Filtered:
    """Each method goes through all jobs that match, `batch` (1..10000) at a time. Each batch is a transaction of its
    own, unless the client is `on` a connection of yours, and `progress(done, skipped)` is called after each with what
    has been done so far. If one fails, what the batches before it did stays. One batch by itself:
    `client.run(client.calls.cancel_jobs(…))`.
    """

    def cancel_jobs(
        self: _Runs,
        filter: Filter,
        *,
        why: str | None = None,
        batch: int = 1000,
        progress: Progress | None = None,
    ) -> BulkResult:
        """Cancels jobs: those that wait at once, those that run are asked. Skipped: asked before, locked by others."""
        wanted = filter_document(filter)
        return _batches(
            self, lambda at, _: self.calls.cancel_jobs(wanted, batch, at, why), progress
        )

    def retry_jobs(
        self: _Runs,
        filter: Filter,
        *,
        rate_limit: int | None = None,
        rate_period: Seconds = 1,
        starts_at: datetime | None = None,
        batch: int = 1000,
        progress: Progress | None = None,
    ) -> BulkResult:
        """Failed and cancelled jobs run again: all now, or spread over time, `rate_limit` of them a `rate_period`, from
        `starts_at` (default now) on.
        """
        wanted = filter_document(filter)
        return _batches(
            self,
            lambda at, start: self.calls.retry_jobs(
                wanted, batch, at, rate_limit, rate_period, start or starts_at
            ),
            progress,
        )

    def set_priority_of_jobs(
        self: _Runs,
        filter: Filter,
        priority: int,
        *,
        batch: int = 1000,
        progress: Progress | None = None,
    ) -> BulkResult:
        """Waiting jobs get another priority. Skipped: those that have it."""
        wanted = filter_document(filter)
        return _batches(
            self,
            lambda at, _: self.calls.set_priority_of_jobs(wanted, priority, batch, at),
            progress,
        )

    def move_jobs(
        self: _Runs,
        filter: Filter,
        queue: str,
        *,
        batch: int = 1000,
        progress: Progress | None = None,
    ) -> BulkResult:
        """Waiting jobs go to another queue. Skipped: those that are there, or would meet their unique key there."""
        wanted = filter_document(filter)
        return _batches(
            self, lambda at, _: self.calls.move_jobs(wanted, queue, batch, at), progress
        )

    def delete_jobs(
        self: _Runs,
        filter: Filter,
        *,
        batch: int = 1000,
        progress: Progress | None = None,
    ) -> BulkResult:
        """The history of final jobs goes: their ids are unknown from then on."""
        wanted = filter_document(filter)
        return _batches(
            self, lambda at, _: self.calls.delete_jobs(wanted, batch, at), progress
        )

    def count_jobs(self: _Runs, filter: Filter, action: str) -> int:
        """How many jobs an action would select now: "cancel", "retry", "set_priority", "move" or "delete"."""
        wanted = filter_document(filter)
        total, after, more = 0, 0, True
        while more:
            jobs, after, more = self.run(
                self.calls.count_jobs(wanted, action, 10_000, after)
            )
            total += jobs
        return total


def _batches(
    runs: _Runs,
    call: Callable[[int, datetime | None], Call[BulkStep]],
    progress: Progress | None,
) -> BulkResult:
    done = skipped = 0
    step = BulkStep(0, 0, 0, True)
    while step.more:
        step = runs.run(call(step.last, step.next_at))
        done += step.done
        skipped += step.skipped
        if progress is not None:
            progress(done, skipped)
    return BulkResult(done, skipped)
