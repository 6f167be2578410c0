"""The functions of insight, as `pgqueue._calls.Calls` offers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Seconds, many, value
from pgqueue.models import JSON

__all__ = ["InsightCalls"]


class InsightCalls(BaseCalls):
    """What became of jobs, and how many."""

    def log_lines(self, lease: int, job: int, lines: Sequence[Mapping[str, JSON]]) -> Call[int]:
        """Appends to the log of a running job: mappings with message, and if you like level, at (ISO 8601) and fields.
        Returns how many were stored: a log has an end. Raises StaleLease when the lease does not hold the job.
        """
        return self._call("log_lines", value, {"lease": lease, "job": job, "lines": list(lines)})

    def job_log(self, id: int, after: int = 0, max: int = 1000) -> Call[list[models.LogLine]]:
        """What a job has logged, from behind the line `after` on, at most `max` (1..10000) lines. Raises UnknownJob."""
        return self._call("job_log", many(models.LogLine), locals())

    def job_timeline(self, id: int) -> Call[list[models.TimelineEvent]]:
        """The life of a job in order, and what is to come of it. Raises UnknownJob."""
        return self._call("job_timeline", many(models.TimelineEvent), locals())

    def throughput(
        self,
        queue: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        step: Seconds = 60,
        by_kind: bool = False,
    ) -> Call[list[models.Throughput]]:
        """What has ended and how long it took, by steps of whole minutes and by queue, from `since` (None: an hour
        before `until`) to `until` (None: now). Steps without any have no row. Percentiles are right to a factor of two.
        """
        return self._call("throughput", many(models.Throughput), locals())
