"""Everything that can be set about a worker, checked before anything starts. Times are in seconds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeAlias

from pgqueue._sqlfiles import validate_schema
from pgqueue.errors import InvalidArgument

__all__ = ["QueueSpec", "Settings", "default_name", "queue_limits"]

QueueSpec: TypeAlias = str | tuple[str, int | None]
"""A queue's name, or its name and how many of its jobs this worker runs at a time (None: as many as it can)."""


def default_name() -> str:
    """host:pid, which is what one looks for when a worker misbehaves."""
    return f"{socket.gethostname()}:{os.getpid()}"


def queue_limits(queues: Iterable[QueueSpec]) -> dict[str, int | None]:
    """Queue name → this worker's own limit, in the order given. Raises InvalidArgument."""
    limits: dict[str, int | None] = {}
    for spec in queues:
        name, limit = (spec, None) if isinstance(spec, str) else spec
        if not isinstance(name, str) or not 1 <= len(name) <= 200 or "\0" in name:
            raise InvalidArgument(f"{name!r} cannot be the name of a queue", "names have 1 to 200 characters")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise InvalidArgument(f"the limit of queue {name!r} must be a positive integer, not {limit!r}")
        if name in limits:
            raise InvalidArgument(f"queue {name!r} is named twice")
        limits[name] = limit
    if not limits:
        raise InvalidArgument("a worker needs at least one queue")
    return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one worker process. Raises InvalidArgument for what cannot work."""

    dsn: str
    """libpq connection string or URL; "" leaves everything to libpq's own variables."""
    listen_dsn: str | None = None
    """Where to LISTEN and hold session locks, when `dsn` is a transaction pooler."""
    schema: str = "pgqueue"
    queues: Sequence[QueueSpec] = ("default",)
    concurrency: int = 10
    """How many jobs run at a time, async and sync ones together."""
    name: str = ""
    """Shown by `workers()`; host:pid when empty."""
    grace: float = 30.0
    """A soft stop lets running jobs finish for so long; then they are cancelled and given back, the attempt unspent."""
    sql_grace: float = 0.0
    """... but SQL is interrupted after so long, and given back: it needs no worker to end well."""
    datasources: Mapping[str, str] = dataclass_field(default_factory=dict[str, str], repr=False)
    """Databases that scripts and queries may name, by name, beside those of the environment and of the App."""
    drain: bool = False
    """End when nothing is queued or running here any more."""
    listen: bool = True
    """Be woken by notifications; without, the worker only polls."""
    upkeep: bool = True
    """Stand as a candidate for the leader, who does the upkeep."""
    poll_interval: float = 1.0
    """How often an idle worker asks even though nothing woke it."""
    heartbeat_interval: float = 5.0
    """Well below the instance's lost_after (30 s by default)."""
    connections: int = 2
    """Connections that settle and claim; the second is opened when both have something to do at the same time. With 2
    or more there is another one that answers wake-ups, where notifications arrive.
    """
    prepare: bool = True
    """Prepared statements; switched off by itself when a transaction pooler is noticed."""
    batch: int = 1000
    """Most jobs in one claim, most outcomes in one settle."""
    horizon: float = 0.05
    """How many seconds of work to have in hand beyond what is running."""
    most_in_hand: int = 2000
    flush_after: float = 0.005
    """An outcome waits at most so long for others to travel with it."""
    give_back_after: float = 1.0
    """Jobs claimed ahead go back to the queue when nothing here has ended for so long."""
    statement_timeout: float = 30.0
    lock_timeout: float = 2.0
    patience: float = 5.0
    """How long a cancelled async handler may take to end before it counts as stuck."""
    most_stuck: int | None = None
    """With more stuck handlers than this the process gives itself up (None: as many as `concurrency`, at least 4)."""
    block_warning: float = 2.0
    """An event loop that does not move for so long is reported with the stack that blocks it."""
    block_limit: float = 30.0
    """... and after so long the heartbeat stops, so that others take the jobs over."""

    def __post_init__(self) -> None:
        validate_schema(self.schema)
        queue_limits(self.queues)
        for field, least in (("concurrency", 1), ("connections", 1), ("batch", 1), ("most_in_hand", 1)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidArgument(f"{field} must be an integer of at least {least}, not {value!r}")
        if self.concurrency > 10_000 or self.batch > 10_000:
            raise InvalidArgument("concurrency and batch are at most 10000")
        for field in _TIMES:
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
                raise InvalidArgument(f"{field} must be seconds, not {value!r}")
        for field in ("poll_interval", "heartbeat_interval", "statement_timeout", "lock_timeout"):
            if getattr(self, field) <= 0:
                raise InvalidArgument(f"{field} must be more than 0 seconds")
        if not self.name:
            object.__setattr__(self, "name", default_name())

    @property
    def stuck_limit(self) -> int:
        """How many handlers may be stuck before the process gives up."""
        return max(self.concurrency, 4) if self.most_stuck is None else self.most_stuck


_TIMES = (
    "grace",
    "sql_grace",
    "poll_interval",
    "heartbeat_interval",
    "horizon",
    "flush_after",
    "give_back_after",
    "statement_timeout",
    "lock_timeout",
    "patience",
    "block_warning",
    "block_limit",
)
