"""How a task's jobs are queued and retried: the options of `@app.task(...)` and `task.options(...)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, cast

from pgqueue._markers import ERROR, RESULT
from pgqueue.errors import InvalidArgument
from pgqueue.handle import JobHandles
from pgqueue.models import JSON, OnDuplicate, OnParentFailure, UniqueUntil

if TYPE_CHECKING:
    from pgqueue.flow import BoundCall

__all__ = ["Backoff", "FollowUps", "Key", "OptionValues", "Parents", "Seconds", "TaskOptions"]

Seconds: TypeAlias = float | timedelta
Key: TypeAlias = str | Callable[..., str | None] | None
"""A key, or a function of the task's own arguments that returns one (None: no key)."""


class HasId(Protocol):
    """A handle: of a job, a query, a script."""

    @property
    def id(self) -> int: ...


Parents: TypeAlias = int | HasId | Iterable[int | HasId]
"""Jobs of any kind that must end first: one or several, ids or handles."""
FollowUps: TypeAlias = "BoundCall[Any] | Sequence[BoundCall[Any]]"
"""What is enqueued when a job ends: `task.s(...)`, or several."""


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
    unique_by: Sequence[str] | None
    unique_until: UniqueUntil | None
    unique_for: Seconds | None
    on_duplicate: OnDuplicate | None
    depends_on: Parents | None
    on_parent_failure: OnParentFailure | None
    on_success: FollowUps | None
    on_error: FollowUps | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """`queue`: where jobs go. `priority`: -32768..32767, higher first. `delay` (seconds or timedelta) or `run_at`
    (aware datetime): not before.

    `unique_key`: while a job with this key lives in the queue, enqueue returns it instead of making another.
    `unique_by`: the key is made of the kind and these arguments, () meaning all of them. `unique_until`: the key is
    given up when the job has ended ("finish") or when it first starts ("start"). `unique_for` (seconds or timedelta):
    instead, it is held for so long from the enqueue on, whatever becomes of the job. `on_duplicate`: what an enqueue of
    a held key does: "return" the holder's id, "replace" its arguments while it waits, "debounce" (replace, and run at
    the new call's time), "raise" Conflict.

    `depends_on`: jobs that must end first. `on_parent_failure`: when one of them fails or is cancelled, "cancel" this
    job too, "run" it all the same, or "wait" until that one has been retried. `on_success`, `on_error`: calls that are
    enqueued when the job succeeds, or fails or is cancelled: `notify.s(pgqueue.result)`.

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
    unique_by: Sequence[str] | None = None
    unique_until: UniqueUntil | None = None
    unique_for: Seconds | None = None
    on_duplicate: OnDuplicate | None = None
    depends_on: Parents | None = None
    on_parent_failure: OnParentFailure | None = None
    on_success: FollowUps | None = None
    on_error: FollowUps | None = None

    def __post_init__(self) -> None:
        if self.unique_by is not None:
            if isinstance(self.unique_by, str):
                raise InvalidArgument("unique_by is one string", f"give names of arguments: ({self.unique_by!r},)")
            object.__setattr__(self, "unique_by", tuple(self.unique_by))
        if self.depends_on is not None and _id(self.depends_on) is None:
            object.__setattr__(self, "depends_on", _several(self.depends_on))
        for name in ("on_success", "on_error"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _follow_ups(name, given))

    def changed(self, changes: Mapping[str, Any]) -> TaskOptions:
        """A copy with other values. Raises InvalidArgument for a name that is no option."""
        unknown = changes.keys() - _NAMES
        if unknown:
            raise InvalidArgument(
                f"{sorted(unknown)[0]!r} is no option of a task", f"options: {', '.join(sorted(_NAMES))}"
            )
        # A job has one of the two: naming one takes back the other.
        for one, other in _EITHER:
            if one in changes and other not in changes:
                changes = {**changes, other: None}
            elif other in changes and one not in changes:
                changes = {**changes, one: None}
        return replace(self, **changes)

    def parent_ids(self) -> Sequence[int] | None:
        """The ids in `depends_on`."""
        return None if self.depends_on is None else _parent_ids(self.depends_on)

    def shared(self, hooked: bool = True) -> dict[str, Any]:
        """The parameters of `enqueue` that do not depend on a job's arguments. `hooked`: follow-ups have passed by the
        App's middleware and codec.
        """
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
            "unique_by": self.unique_by,
            "unique_until": self.unique_until,
            "unique_for": self.unique_for,
            "on_duplicate": self.on_duplicate,
            "depends_on": None if self.depends_on is None else self.parent_ids(),
            "on_parent_failure": self.on_parent_failure,
            "on_success": None if self.on_success is None else _documents(self.on_success, "on_success", hooked),
            "on_error": None if self.on_error is None else _documents(self.on_error, "on_error", hooked),
        }


_NAMES = frozenset(field.name for field in fields(TaskOptions))
_EITHER = (("run_at", "delay"), ("unique_key", "unique_by"), ("unique_until", "unique_for"))


def composed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a query or script as the SQL functions take them: ids for handles, documents for calls of tasks.
    Raises InvalidArgument.
    """
    made = dict(options)
    if made.get("depends_on") is not None:
        made["depends_on"] = _parent_ids(made["depends_on"])
    for name in ("on_success", "on_error"):
        given = made.get(name)
        if given is not None and not isinstance(given, Mapping) and not _are_documents(given):
            made[name] = _documents(_follow_ups(name, given), name)
    return made


def _are_documents(given: Any) -> bool:
    return isinstance(given, list | tuple) and any(isinstance(each, Mapping) for each in given)


def _id(given: Any) -> int | None:
    id = given if isinstance(given, int) else getattr(given, "id", None)
    return id if isinstance(id, int) else None


def _parent_ids(given: Any) -> tuple[int, ...]:
    if isinstance(given, tuple):
        return _several(given)
    id = _id(given)
    return _several(given) if id is None else (id,)


def _several(given: Any) -> tuple[int, ...]:
    if isinstance(given, JobHandles):
        return tuple(given.ids)
    try:
        ids = tuple(_id(each) for each in given)
    except TypeError:
        ids = (None,)
    if any(id is None for id in ids):
        raise InvalidArgument("depends_on takes ids and handles of jobs", "of a flow: depends_on=flow.last")
    return cast("tuple[int, ...]", ids)


def _follow_ups(name: str, given: Any) -> tuple[BoundCall[Any], ...]:
    from pgqueue.flow import BoundCall

    calls: tuple[Any, ...] = (given,) if not isinstance(given, list | tuple) else tuple(given)
    if not all(isinstance(call, BoundCall) for call in calls):
        raise InvalidArgument(f"{name} takes calls of tasks", f"{name}=notify.s(...), or several in a list")
    for call in calls:
        call.check_follow_up(name, RESULT if name == "on_success" else ERROR)
    return calls


def _documents(calls: Any, name: str, hooked: bool = True) -> list[dict[str, JSON]] | None:
    return [call.as_follow_up(name, hooked) for call in calls] or None
