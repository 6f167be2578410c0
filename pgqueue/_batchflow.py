"""What batches and slow queries wait for and what follows them, from what callers have to what travels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pgqueue._calls_compose import FollowUps as Documents
from pgqueue.options import TaskOptions, composed

if TYPE_CHECKING:
    from pgqueue.flow import BoundCall

__all__ = ["FollowUps", "HasId", "Parents", "follow_ups", "parent_ids"]


class HasId(Protocol):
    """A handle: of a job, a script, a query."""

    @property
    def id(self) -> int: ...


Parents: TypeAlias = int | HasId | Iterable[int | HasId]
"""What must end first, one or several: ids, those of batches too, and handles."""
FollowUps: TypeAlias = "BoundCall[Any] | Sequence[BoundCall[Any]] | Documents"
"""What is enqueued at the end: `task.s(...)`, or a job as enqueue_many takes it, or several."""


def parent_ids(given: Parents | None) -> list[int] | None:
    """Raises InvalidArgument for what is neither an id nor a handle."""
    if given is None:
        return None
    return list(composed({"depends_on": given})["depends_on"])


def follow_ups(name: str, given: FollowUps | None) -> Documents | None:
    """`name`: on_success or on_error. Raises InvalidArgument, and what a middleware raises."""
    if given is None or isinstance(given, Mapping):
        return given
    several: Any = given if isinstance(given, list | tuple) else (given,)
    if several and all(isinstance(each, Mapping) for each in several):
        return list(several)
    option: Any = {name: several}
    made: Documents | None = TaskOptions(**option).shared()[name]
    return made
