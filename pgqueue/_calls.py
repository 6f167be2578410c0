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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, LiteralString, TypeAlias, TypeVar, cast

from pgqueue import models
from pgqueue._functions import FUNCTIONS, literal
from pgqueue._json import JsonText
from pgqueue._literals import ENCODERS, Encoder, made_documents
from pgqueue._sqlfiles import validate_schema
from pgqueue.errors import InvalidArgument, PgQueueError
from pgqueue.models import JSON

__all__ = ["Call", "Calls", "Row", "Seconds"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Row: TypeAlias = tuple[Any, ...]
Seconds: TypeAlias = float | timedelta
"""A time span: seconds as a number, or a timedelta."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A statement ready to run, and how to turn its rows into what the caller gets."""

    sql: LiteralString
    params: dict[str, str | None]
    decode: Callable[[list[Row]], T_co]


def _encoders(name: str) -> list[tuple[str, Encoder]]:
    chosen = {argument: ENCODERS[kind] for argument, kind in FUNCTIONS[name].arguments.items()}
    if "leases" in chosen and "outcomes" in chosen:
        # a settlement's documents were written, and refused one by one, when each job ended
        chosen.update(results=made_documents, errors=made_documents)
    return list(chosen.items())


_ENCODERS: dict[str, list[tuple[str, Encoder]]] = {name: _encoders(name) for name in FUNCTIONS}


class Calls:
    """The functions of one schema. Immutable; share it freely.

    Raises InvalidArgument for what cannot name a schema.
    """

    def __init__(self, schema: str = "pgqueue") -> None:
        self.schema = validate_schema(schema)
        # Checked against the rule for names, which leaves nothing to quote: from here on the text counts as literal.
        name = literal(self.schema)
        self._sql: dict[str, LiteralString] = {
            function.name: function.statement(name) for function in FUNCTIONS.values()
        }
        self.wake_channel: LiteralString = f"{name}_wake"
        self.worker_channel: LiteralString = f"{name}_worker"
        self.done_channel: LiteralString = f"{name}_done"

    def _call(self, name: str, decode: Callable[[list[Row]], T], values: Mapping[str, Any]) -> Call[T]:
        return Call(self._sql[name], {key: encode(key, values[key]) for key, encode in _ENCODERS[name]}, decode)

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
    ) -> Call[models.Enqueued]:
        """One job. A live job with the same (queue, unique_key) is returned instead, with created False.

        Raises NotSerialisable naming the argument that JSON cannot carry. Null max_attempts, timeout, backoff: the
        queue's.
        """
        values = dict(locals(), args={} if args is None else args)
        return self._call("enqueue", _one(models.Enqueued), values)

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
    ) -> Call[list[models.Enqueued]]:
        """Many jobs of one kind, the fast way; answers in the order of `args`."""
        return self._call("enqueue_each", _many(models.Enqueued), locals())

    def enqueue_many(self, jobs: Iterable[Mapping[str, JSON]]) -> Call[list[models.Enqueued]]:
        """Jobs of any kinds: mappings whose keys are the parameters of `enqueue`; answers in the same order.

        `run_at` may be an aware datetime, the intervals seconds or timedeltas.
        """
        return self._call("enqueue_many", _many(models.Enqueued), {"jobs": [_plain_job(job) for job in jobs]})

    # -- workers --------------------------------------------------------------------------------------------------

    def register_worker(
        self, name: str, queues: Sequence[str], concurrency: int = 1, info: Mapping[str, JSON] | None = None
    ) -> Call[int]:
        """Registers a process; the number returned is its identity until it deregisters or is declared lost."""
        return self._call("register_worker", _value, dict(locals(), info={} if info is None else info))

    def worker_heartbeat(self, worker: int, leases: Iterable[int] | None = None) -> Call[list[models.Directive]]:
        """Says that the worker lives. Leases it does not name go back to the queue; None while a claim is in flight."""
        return self._call("worker_heartbeat", _many(models.Directive), locals())

    def deregister_worker(self, worker: int) -> Call[int]:
        """Ends the registration; what the worker still holds goes back, nothing spent. Returns how many jobs."""
        return self._call("deregister_worker", _value, locals())

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
        return self._call("settle", _many(models.Problem), locals())

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
        return self._call("job_heartbeat", _one(models.Heartbeat), locals())

    def worker_sleep(self, queues: Sequence[str]) -> Call[None]:
        """On the listening connection: enqueues to these queues now notify."""
        return self._call("worker_sleep", _nothing, locals())

    def worker_wake(self) -> Call[None]:
        """On the listening connection: no more notifications wanted."""
        return self._call("worker_wake", _nothing, {})

    # -- jobs and queues ------------------------------------------------------------------------------------------

    def cancel(self, id: int, why: str | None = None) -> Call[models.Change]:
        """A waiting job is cancelled at once; of a running one (state 'running', changed True) the worker is told."""
        return self._call("cancel", _one(models.Change), locals())

    def retry(self, id: int) -> Call[models.Change]:
        """A failed or cancelled job runs again, with all its attempts. Raises Conflict for others."""
        return self._call("retry", _one(models.Change), locals())

    def reschedule(self, id: int, run_at: datetime) -> Call[models.Change]:
        """Moves a live job that is not running to another time. Raises Conflict for others."""
        return self._call("reschedule", _one(models.Change), locals())

    def set_priority(self, id: int, priority: int) -> Call[models.Change]:
        """Gives a live job that is not running another priority. Raises Conflict for others."""
        return self._call("set_priority", _one(models.Change), locals())

    def pause_queue(self, queue: str) -> Call[bool]:
        """Nothing more of this queue is claimed. Returns whether that changed anything."""
        return self._call("pause_queue", _value, locals())

    def resume_queue(self, queue: str) -> Call[bool]:
        """Ends a pause. Returns whether that changed anything."""
        return self._call("resume_queue", _value, locals())

    def configure_queue(self, queue: str, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches a queue's settings (None clears one) and returns all of them. Time spans may be timedeltas."""
        return self._call("configure_queue", _value, {"queue": queue, "settings": _plain_settings(settings)})

    def configure(self, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches the settings of the whole instance and returns all of them. Time spans may be timedeltas."""
        return self._call("configure", _value, {"settings": _plain_settings(settings)})

    # -- results --------------------------------------------------------------------------------------------------

    def result(self, id: int) -> Call[models.Result]:
        """How a job ended; for a live one only its state."""
        return self._call("result", _one(models.Result), locals())

    def watch(
        self, jobs: Iterable[int], lasting: Seconds = 60, listening: bool = True
    ) -> Call[dict[int, models.State]]:
        """On the listening connection: wants a notification when these jobs end. Returns every known job's state."""
        return self._call("watch", _states, locals())

    def unwatch(self) -> Call[None]:
        """Ends this session's interest."""
        return self._call("unwatch", _nothing, {})

    def wait(self, id: int, timeout: Seconds = 60) -> Call[models.Result]:
        """Polls on the server until the job is final or time is up (then its live state). Needs autocommit. `error` is
        not filled.
        """
        return self._call("wait", _waited, locals())

    # -- upkeep ---------------------------------------------------------------------------------------------------

    def try_lead(self) -> Call[bool]:
        """Takes the leader's session lock, on a connection kept for that. Returns whether this session leads."""
        return self._call("try_lead", _value, {})

    def stop_leading(self) -> Call[bool]:
        return self._call("stop_leading", _value, {})

    def maintain(self, duties: Sequence[str] | None = None) -> Call[list[models.Duty]]:
        """One pass of upkeep (rescue promote expire admit blocks retention tidy); empty while another pass runs."""
        return self._call("maintain", _many(models.Duty), locals())

    def next_due(self) -> Call[datetime | None]:
        """When the next scheduled job is due."""
        return self._call("next_due", _value, {})

    # -- looking --------------------------------------------------------------------------------------------------

    def job(self, id: int) -> Call[models.Job]:
        return self._call("job", _one(models.Job), locals())

    def jobs(
        self,
        queue: str | None = None,
        kind: str | None = None,
        state: str | None = None,
        before: int | None = None,
        max: int = 50,
    ) -> Call[list[models.JobSummary]]:
        """Newest first; the next page begins `before` the last id of this one."""
        return self._call("jobs", _many(models.JobSummary), locals())

    def attempts(self, id: int) -> Call[list[models.Attempt]]:
        """The failed attempts of a job, in order."""
        return self._call("attempts", _many(models.Attempt), locals())

    def queues(self) -> Call[list[models.QueueInfo]]:
        return self._call("queues", _many(models.QueueInfo), {})

    def workers(self) -> Call[list[models.WorkerInfo]]:
        return self._call("workers", _many(models.WorkerInfo), {})

    def why(self, id: int) -> Call[str]:
        """One sentence: why this job is not running yet."""
        return self._call("why", _value, locals())

    def health(self) -> Call[list[models.HealthItem]]:
        return self._call("health", _many(models.HealthItem), {})

    def version(self) -> Call[str]:
        """The schema's revision."""
        return self._call("version", _value, {})


def _one(model: Callable[..., T]) -> Callable[[list[Row]], T]:
    def decode(rows: list[Row]) -> T:
        if len(rows) != 1:
            raise PgQueueError(
                f"the server answered {len(rows)} rows where one was due", "is the schema damaged? pgqueue doctor"
            )
        return model(*rows[0])

    return decode


def _many(model: Callable[..., T]) -> Callable[[list[Row]], list[T]]:
    def decode(rows: list[Row]) -> list[T]:
        return [model(*row) for row in rows]

    return decode


def _value(rows: list[Row]) -> Any:
    return rows[0][0]


def _nothing(rows: list[Row]) -> None:
    return None


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


_TIMESPANS = frozenset({"delay", "timeout", "expires_in", "heartbeat"})


def _plain_job(job: Mapping[str, JSON]) -> dict[str, JSON]:
    plain = dict(job)
    for key, value in job.items():
        if key in _TIMESPANS and value is not None:
            plain[key] = ENCODERS["interval"](key, value) if not isinstance(value, str) else value
        elif key == "run_at" and isinstance(value, datetime):
            plain[key] = ENCODERS["timestamptz"](key, value)
    return plain


def _plain_settings(settings: Mapping[str, JSON]) -> dict[str, JSON]:
    if not isinstance(settings, Mapping):
        raise InvalidArgument(f"settings must be a mapping, not {type(settings).__name__}")
    return {
        key: ENCODERS["interval"](key, value) if isinstance(value, timedelta) else value
        for key, value in settings.items()
    }
