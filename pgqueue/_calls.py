"""The pure layer: one method per public SQL function, giving the statement, its parameters and how to read the answer.
No I/O.

Read the rows as plain tuples, in binary format:

    call = Calls().claim(worker=1, queues=["default"], n=10)
    cursor.execute(call.sql, call.params, binary=True)
    jobs = call.decode(cursor.fetchall())

`pgqueue._async.execute` and `pgqueue._sync.execute` do just that. Time spans are seconds or `timedelta`s, times aware
`datetime`s, None is SQL null. Arguments of a wrong type raise InvalidArgument here, values that are out of range when
the server has seen them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from pgqueue import models
from pgqueue._calls_base import Call, Row, Seconds, many, nothing, one, plain_settings, value
from pgqueue._calls_bulk import BulkCalls
from pgqueue._calls_compose import ComposeCalls, FollowUps, plain_follow_ups, plain_job
from pgqueue._calls_flow import FlowCalls
from pgqueue._calls_insight import InsightCalls
from pgqueue._calls_keyed import KeyedCalls
from pgqueue._calls_rows import RowCalls
from pgqueue._calls_sql import QueryCalls, ScriptCalls
from pgqueue._json import JsonText
from pgqueue.models import JSON

__all__ = ["Call", "Calls", "Row", "Seconds"]


class Calls(ScriptCalls, QueryCalls, RowCalls, KeyedCalls, FlowCalls, ComposeCalls, BulkCalls, InsightCalls):
    """The functions of one schema. Immutable; share it freely.

    Raises InvalidArgument for what cannot name a schema.
    """

    # -- enqueue --------------------------------------------------------------------------------------------------

    def enqueue(
        self,
        kind: str,
        args: Mapping[str, JSON] | JsonText | None = None,
        *,
        queue: str = "default",
        priority: int = 0,
        run_at: datetime | None = None,
        delay: Seconds | None = None,
        unique_key: str | None = None,
        group_key: str | None = None,
        max_attempts: int | None = None,
        timeout: Seconds | None = None,
        expires_in: Seconds | None = None,
        heartbeat: Seconds | None = None,
        backoff: Mapping[str, JSON] | None = None,
        headers: Mapping[str, JSON] | None = None,
        unique_by: Sequence[str] | None = None,
        unique_until: models.UniqueUntil | None = None,
        unique_for: Seconds | None = None,
        on_duplicate: models.OnDuplicate | None = None,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[models.Enqueued]:
        """One job. When another one holds its key (queue, unique_key or what unique_by makes of the args), that one's
        id is returned, with created False; `on_duplicate` says what else happens. `depends_on`: jobs that must end
        first.

        Raises NotSerialisable naming the argument that JSON cannot carry; Conflict with on_duplicate="raise";
        UnknownJob for an unknown id in depends_on. Null max_attempts, timeout, backoff: the queue's.
        """
        values = dict(locals(), args={} if args is None else args)
        if on_success is not None or on_error is not None:
            values.update(
                on_success=plain_follow_ups("on_success", on_success), on_error=plain_follow_ups("on_error", on_error)
            )
        return self._call("enqueue", one(models.Enqueued), values)

    def enqueue_each(
        self,
        kind: str,
        args: Sequence[Mapping[str, JSON] | JsonText],
        *,
        queue: str = "default",
        priority: int = 0,
        run_at: datetime | None = None,
        delay: Seconds | None = None,
        unique_keys: Sequence[str | None] | None = None,
        group_keys: Sequence[str | None] | None = None,
        max_attempts: int | None = None,
        timeout: Seconds | None = None,
        expires_in: Seconds | None = None,
        heartbeat: Seconds | None = None,
        backoff: Mapping[str, JSON] | None = None,
        headers: Mapping[str, JSON] | None = None,
        unique_by: Sequence[str] | None = None,
        unique_until: models.UniqueUntil | None = None,
        unique_for: Seconds | None = None,
        on_duplicate: models.OnDuplicate | None = None,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[list[models.Enqueued]]:
        """Many jobs of one kind, the fast way; answers in the order of `args`."""
        values = locals()
        if on_success is not None or on_error is not None:
            values = dict(
                values,
                on_success=plain_follow_ups("on_success", on_success),
                on_error=plain_follow_ups("on_error", on_error),
            )
        return self._call("enqueue_each", many(models.Enqueued), values)

    def enqueue_many(self, jobs: Iterable[Mapping[str, JSON]]) -> Call[list[models.Enqueued]]:
        """Jobs of any kinds: mappings whose keys are the parameters of `enqueue`; answers in the same order.

        `run_at` may be an aware datetime, the intervals seconds or timedeltas. An element may have a `ref`, a name that
        `depends_on` of another one may hold beside ids: one call makes a whole graph.
        """
        return self._call("enqueue_many", many(models.Enqueued), {"jobs": [plain_job(job) for job in jobs]})

    # -- workers --------------------------------------------------------------------------------------------------

    def register_worker(
        self, name: str, queues: Sequence[str], concurrency: int = 1, info: Mapping[str, JSON] | None = None
    ) -> Call[int]:
        """Registers a process; the number returned is its identity until it deregisters or is declared lost."""
        return self._call("register_worker", value, dict(locals(), info={} if info is None else info))

    def worker_heartbeat(self, worker: int, leases: Iterable[int] | None = None) -> Call[list[models.Directive]]:
        """Says that the worker lives. Leases it does not name go back to the queue; None while a claim is in flight."""
        return self._call("worker_heartbeat", many(models.Directive), locals())

    def deregister_worker(self, worker: int) -> Call[int]:
        """Ends the registration; what the worker still holds goes back, nothing spent. Returns how many jobs."""
        return self._call("deregister_worker", value, locals())

    def claim(
        self, worker: int, queues: Sequence[str], n: int = 1, urgent: bool = False
    ) -> Call[list[models.ClaimedJob]]:
        """Up to `n` (1..10000) jobs, in the order to start them. `urgent`: somebody waits for them (a wake-up)."""
        return self._call("claim", models.claimed_jobs, locals())

    def settle(
        self,
        leases: Sequence[int],
        jobs: Sequence[int],
        outcomes: Sequence[str],
        results: Sequence[JsonText | None] | None = None,
        errors: Sequence[JsonText | None] | None = None,
        delays: Sequence[Seconds | None] | None = None,
    ) -> Call[list[models.Problem]]:
        """Hands in outcomes, as parallel sequences; answers only what was not accepted.

        Results and errors are JSON text (`Task.encode_result`, `pgqueue.outcomes`), so that one bad value cannot spoil
        a batch.
        """
        return self._call("settle", many(models.Problem), locals())

    def settle_and_claim(
        self,
        worker: int,
        leases: Sequence[int],
        jobs: Sequence[int],
        outcomes: Sequence[str],
        results: Sequence[JsonText | None] | None,
        errors: Sequence[JsonText | None] | None,
        delays: Sequence[Seconds | None] | None,
        queues: Sequence[str],
        n: int,
        urgent: bool = False,
    ) -> Call[models.Turn]:
        """`settle` and `claim` in one round trip."""
        return self._call("settle_and_claim", _turn, locals())

    def job_heartbeat(self, lease: int, job: int, progress: JSON = None) -> Call[models.Heartbeat]:
        """Says that a running job lives, and how far it is. `alive` False: the lease is stale, stop."""
        return self._call("job_heartbeat", one(models.Heartbeat), locals())

    def worker_sleep(self, queues: Sequence[str]) -> Call[None]:
        """On the listening connection: enqueues to these queues now notify."""
        return self._call("worker_sleep", nothing, locals())

    def worker_wake(self) -> Call[None]:
        """On the listening connection: no more notifications wanted."""
        return self._call("worker_wake", nothing, {})

    # -- jobs and queues ------------------------------------------------------------------------------------------

    def cancel(self, id: int, why: str | None = None) -> Call[models.Change]:
        """A waiting job is cancelled at once; of a running one (state 'running', changed True) the worker is told."""
        return self._call("cancel", one(models.Change), locals())

    def retry(self, id: int) -> Call[models.Change]:
        """A failed or cancelled job runs again, with all its attempts. Raises Conflict for others."""
        return self._call("retry", one(models.Change), locals())

    def reschedule(self, id: int, run_at: datetime) -> Call[models.Change]:
        """Moves a live job that is not running to another time. Raises Conflict for others."""
        return self._call("reschedule", one(models.Change), locals())

    def set_priority(self, id: int, priority: int) -> Call[models.Change]:
        """Gives a live job that is not running another priority. Raises Conflict for others."""
        return self._call("set_priority", one(models.Change), locals())

    def pause_queue(self, queue: str) -> Call[bool]:
        """Nothing more of this queue is claimed. Returns whether that changed anything."""
        return self._call("pause_queue", value, locals())

    def resume_queue(self, queue: str) -> Call[bool]:
        """Ends a pause. Returns whether that changed anything."""
        return self._call("resume_queue", value, locals())

    def configure_queue(self, queue: str, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches a queue's settings (None clears one) and returns all of them. Time spans may be timedeltas."""
        return self._call("configure_queue", value, {"queue": queue, "settings": plain_settings(settings)})

    def configure(self, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches the settings of the whole instance and returns all of them. Time spans may be timedeltas."""
        return self._call("configure", value, {"settings": plain_settings(settings)})

    # -- results --------------------------------------------------------------------------------------------------

    def result(self, id: int) -> Call[models.Result]:
        """How a job ended; for a live one only its state."""
        return self._call("result", one(models.Result), locals())

    def watch(
        self, jobs: Iterable[int], lasting: Seconds = 60, listening: bool = True
    ) -> Call[dict[int, models.State]]:
        """On the listening connection: wants a notification when these jobs end. Returns every known job's state."""
        return self._call("watch", _states, locals())

    def unwatch(self) -> Call[None]:
        """Ends this session's interest."""
        return self._call("unwatch", nothing, {})

    def wait(self, id: int, timeout: Seconds = 60) -> Call[models.Result]:
        """Polls on the server until the job is final or time is up (then its live state). Needs autocommit. `error` is
        not filled.
        """
        return self._call("wait", _waited, locals())

    # -- upkeep ---------------------------------------------------------------------------------------------------

    def try_lead(self) -> Call[bool]:
        """Takes the leader's session lock, on a connection kept for that. Returns whether this session leads."""
        return self._call("try_lead", value, {})

    def stop_leading(self) -> Call[bool]:
        return self._call("stop_leading", value, {})

    def maintain(self, duties: Sequence[str] | None = None) -> Call[list[models.Duty]]:
        """One pass of upkeep (rescue promote schedules expire admit tidy results metrics retention blocks); empty while
        another pass runs.
        """
        return self._call("maintain", many(models.Duty), locals())

    def next_due(self) -> Call[datetime | None]:
        """When the next scheduled job or schedule is due."""
        return self._call("next_due", value, {})

    # -- looking --------------------------------------------------------------------------------------------------

    def job(self, id: int) -> Call[models.Job]:
        return self._call("job", one(models.Job), locals())

    def jobs(
        self,
        queue: str | None = None,
        kind: str | None = None,
        state: str | None = None,
        before: int | None = None,
        max: int = 50,
    ) -> Call[list[models.JobSummary]]:
        """Newest first; the next page begins `before` the last id of this one."""
        return self._call("jobs", many(models.JobSummary), locals())

    def attempts(self, id: int) -> Call[list[models.Attempt]]:
        """The failed attempts of a job, in order."""
        return self._call("attempts", many(models.Attempt), locals())

    def queues(self) -> Call[list[models.QueueInfo]]:
        return self._call("queues", many(models.QueueInfo), {})

    def workers(self) -> Call[list[models.WorkerInfo]]:
        return self._call("workers", many(models.WorkerInfo), {})

    def why(self, id: int) -> Call[str]:
        """One sentence: why this job is not running yet."""
        return self._call("why", value, locals())

    def health(self) -> Call[list[models.HealthItem]]:
        return self._call("health", many(models.HealthItem), {})

    def version(self) -> Call[str]:
        """The schema's revision."""
        return self._call("version", value, {})


def _states(rows: list[Row]) -> dict[int, models.State]:
    return dict(cast("list[tuple[int, models.State]]", rows))


def _waited(rows: list[Row]) -> models.Result:
    state, reason, result = rows[0]
    return models.Result(state, reason, result, None)


def _turn(rows: list[Row]) -> models.Turn:
    problems: list[models.Problem] = []
    while len(problems) < len(rows) and rows[len(problems)][0] is not None:
        row = rows[len(problems)]
        problems.append(models.Problem(row[1], row[2], row[0]))
    return models.Turn(problems, models.claimed_jobs([row[1:] for row in rows[len(problems) :]]))
