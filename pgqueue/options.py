"""How a task's jobs are queued and retried: the options of `@app.task(...)` and `task.options(...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON

__all__ = ["Backoff", "Key", "OptionValues", "Seconds", "TaskOptions"]

Seconds: TypeAlias = float | timedelta
Key: TypeAlias = str | Callable[..., str | None] | None
"""A key, or a function of the task's own arguments that returns one (None: no key)."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed job waits for its next attempt: seconds; what is None is the server's default.

    constant: base · linear: base * attempt · exponential: base * 2 ** (attempt - 1); never more than `cap`; `jitter`
    0..1 is the share that is random.
    """

    strategy: Literal["constant", "linear", "exponential"] | None = None
    base: float | None = None
    cap: float | None = None
    jitter: float | None = None

    def to_json(self) -> dict[str, JSON]:
        return {key: value for key, value in asdict(self).items() if value is not None}


class OptionValues(TypedDict, total=False):
    """Keyword arguments of `task.options(...)`; see TaskOptions."""

    queue: str
    priority: int
    delay: Seconds | None
    run_at: datetime | None
    unique_key: Key
    group_key: Key
    max_attempts: int | None
    timeout: Seconds | None
    backoff: Backoff | None
    expires_in: Seconds | None
    heartbeat: Seconds | None
    headers: Mapping[str, JSON] | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """`queue`: where jobs go. `priority`: -32768..32767, higher first. `delay` (seconds or timedelta) or `run_at`
    (aware datetime): not before.

    `unique_key`: while a job with this key lives in the queue, enqueue returns it instead of making another.
    `group_key`: jobs of a group take turns and share the queue's group_limit. `max_attempts`, `timeout` (running,
    seconds or timedelta), `backoff`: None = the queue's. `expires_in`: fails with reason queue_timeout when not started
    by then. `heartbeat`: the handler promises to report progress at least this often, else its worker counts as lost.
    `headers`: JSON that travels with the job, for the handler's Context.
    """

    queue: str = "default"
    priority: int = 0
    delay: Seconds | None = None
    run_at: datetime | None = None
    unique_key: Key = None
    group_key: Key = None
    max_attempts: int | None = None
    timeout: Seconds | None = None
    backoff: Backoff | None = None
    expires_in: Seconds | None = None
    heartbeat: Seconds | None = None
    headers: Mapping[str, JSON] | None = None

    def changed(self, changes: Mapping[str, Any]) -> TaskOptions:
        """A copy with other values. Raises InvalidArgument for a name that is no option."""
        unknown = changes.keys() - _NAMES
        if unknown:
            raise InvalidArgument(
                f"{sorted(unknown)[0]!r} is no option of a task", f"options: {', '.join(sorted(_NAMES))}"
            )
        # A job has one of the two: naming one takes back the other.
        if "run_at" in changes and "delay" not in changes:
            changes = {**changes, "delay": None}
        elif "delay" in changes and "run_at" not in changes:
            changes = {**changes, "run_at": None}
        return replace(self, **changes)

    def shared(self) -> dict[str, Any]:
        """The parameters of `enqueue` that do not depend on a job's arguments."""
        return {
            "queue": self.queue,
            "priority": self.priority,
            "run_at": self.run_at,
            "delay": self.delay,
            "max_attempts": self.max_attempts,
            "timeout": self.timeout,
            "expires_in": self.expires_in,
            "heartbeat": self.heartbeat,
            "backoff": None if self.backoff is None else self.backoff.to_json(),
            "headers": self.headers,
        }


_NAMES = frozenset(field.name for field in fields(TaskOptions))
