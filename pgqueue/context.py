"""What a running job knows of itself."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, Protocol

from pgqueue.models import JSON

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


class Context:
    """Given to a handler that has a parameter annotated `pgqueue.Context`.

    `attempt` counts from 1; `crashes` says how often a worker was lost while it ran this job; `deadline` is when the
    job's timeout will strike (aware, None without a timeout); `logger` carries job id, kind, queue and attempt as
    `extra`.
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
        self.logger: logging.Logger | logging.LoggerAdapter[logging.Logger] = logger or logging.LoggerAdapter(
            _logger, {"job_id": job.id, "kind": job.kind, "queue": job.queue, "attempt": job.attempt}
        )

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
        return self._job.headers or {}

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
