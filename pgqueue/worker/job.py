"""One claimed job while it is in this process.

A worker makes one of these for every job, a hundred thousand times a second when handlers are trivial: slots, no
defaults that are not needed, no properties on the way. `READY → RUNNING → DONE → GONE`; a job that is given back goes
from READY to DONE, an abandoned one to GONE.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import asyncio

    from pgqueue.outcomes import Settlement

__all__ = ["COLUMNS", "DONE", "GONE", "READY", "RUNNING", "Job", "StopReason"]

READY, RUNNING, DONE, GONE = range(4)

StopReason: TypeAlias = Literal["cancel", "timeout", "shutdown", "lost"]

COLUMNS = (
    "lease",
    "id",
    "queue",
    "kind",
    "args",
    "attempt",
    "max_attempts",
    "timeout",
    "headers",
    "crashes",
)
"""What the worker reads of `claim`'s columns, in the order of Job's constructor."""


class Job:
    """A claimed job. `args` and `headers` are the raw JSON: decoding them is part of running the job, so that a
    document which cannot be decoded fails its own job and not the whole claim.
    """

    __slots__ = (
        "args",
        "attempt",
        "cause",
        "context",
        "crashes",
        "delay",
        "ended",
        "error",
        "headers",
        "id",
        "kind",
        "lease",
        "max_attempts",
        "outcome",
        "queue",
        "result",
        "runner",
        "started",
        "state",
        "stop",
        "timeout",
        "timer",
        "took",
    )

    context: Any
    """What handlers see of it: made when one asks."""
    runner: Any
    """The runner or thread that has it, once it runs."""
    outcome: str
    result: str | None
    error: str | None
    delay: timedelta | None
    ended: Settlement | None
    """How it ended in a thread unless that is a plain success, until the event loop has seen it; so are the next two.
    """
    cause: BaseException | None
    took: float
    timeout: float | None
    """Seconds."""
    timer: asyncio.TimerHandle | None
    started: float

    def __init__(self, row: tuple[Any, ...]) -> None:
        (
            self.lease,
            self.id,
            self.queue,
            self.kind,
            self.args,
            self.attempt,
            self.max_attempts,
            self.timeout,
            self.headers,
            self.crashes,
        ) = row
        self.state = READY
        self.stop: StopReason | None = None
        self.context = self.timer = self.runner = None
        self.started = 0.0

    def settle_as(self, settlement: Settlement) -> None:
        """Take over the four elements of `settle`'s arrays."""
        self.outcome = settlement.outcome
        self.result = settlement.result
        self.error = settlement.error
        self.delay = settlement.delay

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.kind} lease {self.lease} {('ready', 'running', 'done', 'gone')[self.state]}>"
