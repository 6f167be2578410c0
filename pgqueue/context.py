"""What a running job knows of itself."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Protocol

from pgqueue._joblog import JobLogger, made_line
from pgqueue._parents import visible
from pgqueue.models import JSON, ParentResult

__all__ = ["Context", "ContextHooks", "RunningJob"]

_logger = logging.getLogger("pgqueue.job")


class RunningJob(Protocol):
    """What a Context reads of the job; a ClaimedJob has it."""

    @property
    def id(self) -> int: ...
    @property
    def queue(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def headers(self) -> dict[str, JSON] | None: ...
    @property
    def crashes(self) -> int: ...


class ContextHooks(Protocol):
    """What whoever runs the job (worker, testing) provides to its Contexts."""

    def progress(self, job: Any, value: JSON) -> None:
        """Called from the handler's thread."""

    async def aprogress(self, job: Any, value: JSON) -> None:
        """Called on the event loop the handler runs in."""

    def log(self, job: Any, line: dict[str, JSON]) -> None:
        """Called from wherever the handler runs. Must not wait, nor fail."""

    @property
    def job_logs(self) -> bool:
        """Whether `Context.logger` writes to the job's log."""
        ...

    def parents(self, job: Any) -> list[ParentResult]:
        """Called from the handler's thread."""
        ...

    async def aparents(self, job: Any) -> list[ParentResult]:
        """Called on the event loop the handler runs in."""
        ...


class Context:
    """Given to a handler that has a parameter annotated `pgqueue.Context`.

    `attempt` counts from 1; `crashes` says how often a worker was lost while it ran this job; `deadline` is when the
    job's timeout will strike (aware, None without a timeout); `logger` carries job id, kind, queue and attempt as
    `extra`, and with `App(job_logs=True)` writes to the job's log too.
    """

    __slots__ = ("_cancelled", "_hooks", "_job", "deadline", "logger")

    def __init__(
        self,
        job: RunningJob,
        hooks: ContextHooks,
        *,
        deadline: datetime | None = None,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger] | None = None,
    ) -> None:
        self._job = job
        self._hooks = hooks
        self._cancelled = False
        self.deadline = deadline
        self.logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
        if logger is None:
            facts = {"job_id": job.id, "kind": job.kind, "queue": job.queue, "attempt": job.attempt}
            logger = JobLogger(_logger, facts, self) if hooks.job_logs else logging.LoggerAdapter(_logger, facts)
        self.logger = logger

    @property
    def job_id(self) -> int:
        return self._job.id

    @property
    def attempt(self) -> int:
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        return self._job.max_attempts

    @property
    def queue(self) -> str:
        return self._job.queue

    @property
    def kind(self) -> str:
        return self._job.kind

    @property
    def headers(self) -> dict[str, JSON]:
        return visible(self._job.headers or {})

    @property
    def crashes(self) -> int:
        return self._job.crashes

    @property
    def cancelled(self) -> bool:
        """Whether this job should stop: the user has cancelled it, its time is up, its lease is lost or the worker is
        in a hurry to end.

        A sync handler that runs long looks here now and then; an async one is cancelled where it awaits.
        """
        return self._cancelled

    def mark_cancelled(self) -> None:
        """For whoever runs the job: makes `cancelled` true. Safe from any thread."""
        self._cancelled = True

    def parents(self) -> list[ParentResult]:
        """The jobs this one depends on and how they ended, by id; results as plain JSON. For sync handlers.

        Raises CannotUnseal for a result that was sealed with a codec this App does not have. SQL function: parents.
        """
        return self._hooks.parents(self._job)

    async def aparents(self) -> list[ParentResult]:
        """`parents`, for async handlers."""
        return await self._hooks.aparents(self._job)

    def progress(self, value: JSON) -> None:
        """Stores how far the job is, any JSON, for `job(id)` to show, and keeps a promised heartbeat. From sync and
        async handlers.

        Returns at once when called on an event loop (the value is sent soon), else when it is stored. Raises
        NotSerialisable.
        """
        self._hooks.progress(self._job, value)

    async def aprogress(self, value: JSON) -> None:
        """`progress`, awaited until it is stored."""
        await self._hooks.aprogress(self._job, value)

    def log(self, message: object, /, level: str = "info", **fields: Any) -> None:
        """Adds a line to the job's log: `client.job_log(id)`, `pgqueue job log`. From sync and async handlers; returns
        at once, lines are stored together, within a second or so and before the job's outcome.

        `level` is any word; `fields` is what belongs to the message, JSON or what `str` makes of it. Never raises. A
        job keeps a thousand lines (see `configure`: job_log_lines), and lines of a job that has been taken away are
        dropped. SQL function: log_lines.
        """
        self._hooks.log(self._job, made_line(message, level, fields))
