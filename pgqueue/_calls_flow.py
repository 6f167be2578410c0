"""The functions of schedules, as `pgqueue._calls.Calls` offers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Row, Seconds, many, one, plain_settings, value
from pgqueue._calls_compose import FollowUps, plain_follow_ups
from pgqueue.models import JSON

__all__ = ["FlowCalls"]


class FlowCalls(BaseCalls):
    """Jobs that are enqueued at given times, and groups."""

    def schedule(
        self,
        name: str,
        cron: str,
        kind: str,
        args: Mapping[str, JSON] | None = None,
        time_zone: str = "UTC",
        queue: str | None = None,
        missed: str = "one",
        priority: int = 0,
        unique_key: str | None = None,
        group_key: str | None = None,
        max_attempts: int | None = None,
        timeout: Seconds | None = None,
        expires_in: Seconds | None = None,
        heartbeat: Seconds | None = None,
        backoff: Mapping[str, JSON] | None = None,
        headers: Mapping[str, JSON] | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        unique_by: Sequence[str] | None = None,
        unique_until: models.UniqueUntil | None = None,
        unique_for: Seconds | None = None,
        on_duplicate: models.OnDuplicate | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[models.ScheduleChange]:
        """Creates or replaces a schedule: one job at each tick. `cron`: five fields, a word such as "@daily", or
        "every 10 minutes". `kind` "sql.query" and "sql.script": a tick hands in a query or script, and `args` are the
        arguments of the SQL function submit_query or submit_script. `queue`: by default "default", or "queries" or
        "scripts". `missed`: what becomes of ticks more than a minute late: "skip", "one" job for all, or
        "all". The rest is as in `enqueue`; a tick that finds its key held is passed over, and with on_duplicate="raise"
        that shows in `last_error`. Raises InvalidArgument, also for an expression that never comes.
        """
        values = dict(
            locals(),
            args={} if args is None else args,
            on_success=plain_follow_ups("on_success", on_success),
            on_error=plain_follow_ups("on_error", on_error),
        )
        return self._call("schedule", one(models.ScheduleChange), values)

    def unschedule(self, name: str) -> Call[bool]:
        """Removes a schedule. Returns whether there was one."""
        return self._call("unschedule", value, locals())

    def pause_schedule(self, name: str) -> Call[bool]:
        """No further ticks until `resume_schedule`. Returns whether that changed anything. Raises UnknownJob for an
        unknown schedule.
        """
        return self._call("pause_schedule", value, locals())

    def resume_schedule(self, name: str) -> Call[bool]:
        """Ends a pause; its ticks were not missed. Returns whether that changed anything. Raises UnknownJob."""
        return self._call("resume_schedule", value, locals())

    def run_schedule(self, name: str) -> Call[int]:
        """Enqueues a schedule's job now, out of turn; returns its id. Raises UnknownJob."""
        return self._call("run_schedule", value, locals())

    def schedules(self) -> Call[list[models.Schedule]]:
        """All schedules, by name."""
        return self._call("schedules", many(models.Schedule), {})

    def next_runs(
        self, cron: str, time_zone: str = "UTC", n: int = 5, after: datetime | None = None
    ) -> Call[list[datetime]]:
        """The next `n` (1..1000) ticks of an expression, from now on or `after` a time. Nothing is stored."""
        return self._call("next_runs", _column, locals())

    def sync_schedules(self, app: str, declared: Sequence[Mapping[str, JSON]]) -> Call[list[models.SyncedSchedule]]:
        """Makes what `app` declares, mappings whose keys are the parameters of `schedule`, what is scheduled: adds,
        changes, and removes what it declared before. What a worker does when it starts.
        """
        return self._call("sync_schedules", many(models.SyncedSchedule), {"app": app, "declared": list(declared)})

    def configure_group(self, queue: str, group_key: str, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches what one group of a queue has of its own: weight, group_limit, rate_limit, rate_period (seconds or a
        timedelta); None clears one. Returns all of them.
        """
        patch = {"queue": queue, "group_key": group_key, "settings": plain_settings(settings)}
        return self._call("configure_group", value, patch)

    def groups(self, queue: str, after: str = "", max: int = 100) -> Call[list[models.GroupInfo]]:
        """The groups of a queue that have jobs or settings, by name; the next page is `after` the last one's."""
        return self._call("groups", many(models.GroupInfo), locals())

    def unblock_group(self, queue: str, group_key: str) -> Call[bool]:
        """Lets a group go on that a failed job blocks. Returns whether anything was blocked."""
        return self._call("unblock_group", value, locals())


def _column(rows: list[Row]) -> list[datetime]:
    return [row[0] for row in rows]
