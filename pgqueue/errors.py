"""Every exception pgqueue raises on purpose, and the one place where SQLSTATEs become exceptions.

PgQueueError
├── InvalidArgument (ValueError)    PQ001, class 22, 54000   the call cannot be right; nothing was stored
│   ├── NotSerialisable (TypeError)                          a value that JSON cannot carry, named
│   └── AlreadyRegistered                                    a second processor or initializer for the same
├── UnknownJob (LookupError)        PQ002
├── UnknownWorker                   PQ003                    not registered, or declared lost: register again
├── StaleLease                      PQ004                    the job is no longer yours: stop, settle nothing
├── Conflict                        PQ005, 2D000             not possible in the present state
├── QueueFull                       PQ008                    max_queued jobs wait in the queue: try again later
├── SchemaError                     PQ006
│   ├── SchemaMissing               3F000
│   ├── SchemaOutdated              42883, 42P01, 42703
│   └── SchemaTooNew
├── PermissionDenied                42501, class 28
├── ConnectionLost                  08, 57P0x, 53300, 25006  the server is away or takes no writes: try again later
├── Busy                            40001, 40P01, 55P03, 57014   lock, deadlock, time limit: try again
├── NotConfigured                                            no database was named and none was found
├── UnknownTask (LookupError)                                no task of that kind is registered in this App
├── ResultTimeout (TimeoutError)                             the job did not end in time; it goes on
├── CannotUnseal                                             sealed by a codec this App does not have, or garbled
├── ResultRestarted                                          the query started again after rows had been handed out
└── JobFailed                                                the awaited job failed or was cancelled
    ├── ItemFailed                                           a worker gave up on the item of a keyed queue
    ├── ItemCancelled                                        the item was cancelled, orphaned, or its result is gone
    ├── ScriptFailed                                         so did the script; the report is attached
    └── QueryFailed                                          so did the query; sqlstate, detail, hint, position
        └── ResultTooLarge          PQ007                    its rows or bytes went past the limit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "AlreadyRegistered",
    "Busy",
    "CannotUnseal",
    "Conflict",
    "ConnectionLost",
    "InvalidArgument",
    "ItemCancelled",
    "ItemFailed",
    "JobFailed",
    "NotConfigured",
    "NotSerialisable",
    "PermissionDenied",
    "PgQueueError",
    "QueryFailed",
    "QueueFull",
    "ResultRestarted",
    "ResultTimeout",
    "ResultTooLarge",
    "SchemaError",
    "SchemaMissing",
    "SchemaOutdated",
    "SchemaTooNew",
    "ScriptFailed",
    "StaleLease",
    "UnknownJob",
    "UnknownTask",
    "UnknownWorker",
    "note",
    "translate",
]


class PgQueueError(Exception):
    """Root of the tree. `message` says what happened, `hint` what to do next, `sqlstate` is the server's code where
    there is one.
    """

    def __init__(self, message: str, hint: str | None = None, sqlstate: str | None = None) -> None:
        super().__init__(message, hint, sqlstate)
        self.message = message
        self.hint = hint
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message


class InvalidArgument(PgQueueError, ValueError):
    """An argument is missing, malformed or out of range. Nothing was stored."""


class NotSerialisable(InvalidArgument, TypeError):
    """A value cannot be represented in JSON, or would not come back as what it was. The message names the argument."""


class AlreadyRegistered(InvalidArgument):
    """An application's operation has a processor already, or an application an initializer. The message names it."""


class UnknownJob(PgQueueError, LookupError):
    """There is no job with this id: never committed, or dropped by retention."""


class UnknownWorker(PgQueueError):
    """The worker was never registered, has deregistered, or was declared lost. Register again."""


class StaleLease(PgQueueError):
    """The lease no longer holds this job: somebody else may be running it. Stop, and settle nothing."""


class Conflict(PgQueueError):
    """The operation does not fit the state the job is in."""


class QueueFull(PgQueueError):
    """As many jobs wait in the queue as its max_queued allows. Nothing was stored."""


class SchemaError(PgQueueError):
    """The pgqueue schema in the database is not the one this library needs."""


class SchemaMissing(SchemaError):
    """The database has no pgqueue schema."""


class SchemaOutdated(SchemaError):
    """The schema is older than this library."""


class SchemaTooNew(SchemaError):
    """The schema is newer than this library can serve."""


class PermissionDenied(PgQueueError):
    """The database role lacks a grant."""


class ConnectionLost(PgQueueError):
    """The server could not be reached, went away, or accepts no writes now. A write that was under way may or may not
    have happened.
    """


class Busy(PgQueueError):
    """A lock, a deadlock, a serialisation failure or a statement's time limit. The transaction did nothing; it may be
    tried again.
    """


class NotConfigured(PgQueueError):
    """No database was named, and none was found where pgqueue looks."""


class UnknownTask(PgQueueError, LookupError):
    """No task of this kind is registered in the App."""


class ResultTimeout(PgQueueError, TimeoutError):
    """The job had not ended when the time given was over. The job itself goes on."""


class CannotUnseal(PgQueueError):
    """Args, a result or an error are sealed with a codec that this App does not have, or that cannot decode them. A job
    whose args are fails at once, with no further attempt: see `pgqueue.codec`.
    """


class ResultRestarted(PgQueueError):
    """The worker was lost and the query runs once more, but rows of its first run have been handed out: they may not
    belong together with those to come. Read the result again from its beginning.
    """


class JobFailed(PgQueueError):
    """The awaited job ended as failed or cancelled.

    `state` is 'failed' or 'cancelled', `reason` why (error, timeout, queue_timeout, worker_lost, ...), `error` the last
    error with type, message and traceback, or None.
    """

    def __init__(self, job_id: int, state: str, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        told = f": {error.get('type')}: {error.get('message')}" if error else ""
        super().__init__(f"job {job_id} {state}" + (f" ({reason})" if reason else "") + told)
        self.args = (job_id, state, reason, error)
        self.job_id = job_id
        self.state = state
        self.reason = reason
        self.error = error


class ItemFailed(JobFailed):
    """The item of a keyed queue failed in a worker. `message` is what its executor raised, or that it took too long."""

    def __init__(self, job_id: int, told: str) -> None:
        super().__init__(job_id, "failed", None, {"message": told})
        self.message = told
        self.args = (job_id, told)


class ItemCancelled(JobFailed):
    """The awaited item is gone without a result: somebody has cancelled it, or nobody executed it in time. `state` is
    'cancelled', or 'gone' when nothing is known of it any more.
    """

    def __init__(self, job_id: int, state: str = "cancelled") -> None:
        super().__init__(job_id, state)
        self.message = f"item {job_id} was cancelled" if state == "cancelled" else f"item {job_id} is gone"
        self.args = (job_id, state)


class ScriptFailed(JobFailed):
    """The awaited script failed or was cancelled. `report` is what `script_report` says of it."""

    def __init__(self, job_id: int, state: str, reason: str | None, report: dict[str, Any]) -> None:
        super().__init__(job_id, state, reason)
        self.message = f"script {job_id} {state}" + (f": {reason}" if reason else "")
        self.args = (job_id, state, reason, report)
        self.report = report


class QueryFailed(JobFailed):
    """The query failed. `sqlstate`, `message`, `detail`, `hint` and `position` (of the character in the text, from 1)
    are the server's, where it has said something.
    """

    def __init__(self, job_id: int, state: str, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        super().__init__(job_id, state, reason, error)
        told = error or {}
        self.message = str(told.get("message") or f"query {job_id} {state}" + (f" ({reason})" if reason else ""))
        self.hint = told.get("hint")
        self.sqlstate = told.get("sqlstate")
        self.detail: str | None = told.get("detail")
        self.position: int | None = told.get("position")

    def __str__(self) -> str:
        notes = [("Detail", self.detail), ("Hint", self.hint)]
        return "\n".join(
            [f"query {self.job_id} failed: {self.message}", *(f"{name}: {text}" for name, text in notes if text)]
        )


class ResultTooLarge(QueryFailed):
    """The query's result went past max_rows or max_bytes; nothing of it is kept."""


_BY_STATE: dict[str, type[PgQueueError]] = {
    "PQ001": InvalidArgument,
    "PQ002": UnknownJob,
    "PQ003": UnknownWorker,
    "PQ004": StaleLease,
    "PQ005": Conflict,
    "PQ006": SchemaError,
    "PQ008": QueueFull,
    "3F000": SchemaMissing,
    "42883": SchemaOutdated,
    "42P01": SchemaOutdated,
    "42703": SchemaOutdated,
    "42501": PermissionDenied,
    "57P01": ConnectionLost,
    "57P02": ConnectionLost,
    "57P03": ConnectionLost,
    "57P04": ConnectionLost,
    "57P05": ConnectionLost,
    "53300": ConnectionLost,
    "25006": ConnectionLost,
    "40001": Busy,
    "40P01": Busy,
    "55P03": Busy,
    "57014": Busy,
    "54000": InvalidArgument,
    "2D000": Conflict,
}
_BY_CLASS: dict[str, type[PgQueueError]] = {"08": ConnectionLost, "22": InvalidArgument, "28": PermissionDenied}

# Where the server has no hint of its own that fits what the caller can do.
_HINTS: dict[str, str] = {
    "3F000": "install the schema: pgqueue schema upgrade",
    "42883": "bring the schema up to this library's version: pgqueue schema upgrade",
    "42P01": "bring the schema up to this library's version: pgqueue schema upgrade",
    "42703": "bring the schema up to this library's version: pgqueue schema upgrade",
    "42501": "grant this user the role it needs: the schema's _producer, _worker, _operator or _reader",
    "25006": "a standby? name every host in the DSN and add target_session_attrs=read-write",
    "25P02": "an earlier statement of this transaction failed: roll it back",
    "2D000": "this call commits between its polls: make it on an autocommit connection, outside a transaction",
}


def note(error: BaseException, text: str) -> None:
    """Adds a note, which is part of every traceback, unless it is there: an exception may be raised many times."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def translate(error: psycopg.Error) -> PgQueueError:
    """The PgQueueError for what psycopg raised, by SQLSTATE; use as `raise translate(error) from error`.

    Errors that have no SQLSTATE come from the client side: a psycopg OperationalError (connection, pool) is
    ConnectionLost, a DataError (a NUL character in a text, say) is InvalidArgument.
    """
    import psycopg

    state = error.sqlstate
    diagnosis = error.diag
    message = diagnosis.message_primary or str(error).strip() or type(error).__name__
    hint = diagnosis.message_hint or _HINTS.get(state or "")
    if state is None:
        kind: type[PgQueueError] = PgQueueError
        if isinstance(error, psycopg.OperationalError):
            kind = ConnectionLost
        elif isinstance(error, psycopg.DataError):
            kind = InvalidArgument
        return kind(message, hint)
    if state in ("42883", "42P01", "42703"):
        hint = _HINTS[state]
    return (_BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or PgQueueError)(message, hint, state)
