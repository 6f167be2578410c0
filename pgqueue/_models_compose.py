"""What jobs that depend on each other answer; `pgqueue.models` shows it with the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["ChildJob", "GroupStatus", "OnDuplicate", "OnParentFailure", "ParentResult", "UniqueUntil"]

UniqueUntil: TypeAlias = Literal["finish", "start"]
OnDuplicate: TypeAlias = Literal["return", "replace", "debounce", "raise"]
OnParentFailure: TypeAlias = Literal["cancel", "run", "wait"]


@dataclass(frozen=True, slots=True)
class ParentResult:
    """A job that another one depends on, and how it ended: of a live one only the state is known. One that is
    forgotten, its queue keeping no history, counted as succeeded: its kind is None, and so is its result.
    """

    id: int
    kind: str | None
    state: str
    reason: str | None
    result: Any
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ChildJob:
    """A job that depends on another one."""

    id: int
    kind: str | None
    state: str


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """How many jobs there are in a group, how many of them are not final yet, and how the others ended."""

    total: int
    pending: int
    succeeded: int
    failed: int
    cancelled: int
