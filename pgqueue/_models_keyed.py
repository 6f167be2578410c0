"""What the functions of keyed queues answer; `pgqueue.models` shows them with the others.

`payload`, `extra` and results are text here. A `KeyedQueue` gives the same objects with JSON decoded, unless it was
asked for text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "KeyedAdded",
    "KeyedAddedClaim",
    "KeyedClaim",
    "KeyedItemInfo",
    "KeyedLine",
    "KeyedListed",
    "KeyedNext",
    "KeyedReaped",
    "KeyedRef",
    "KeyedResult",
    "KeyedStage",
]


@dataclass(frozen=True, slots=True)
class KeyedAdded:
    """Answer of `keyed_add`. `created` False: the item was there and this request joined it, or, with `reuse`, there is
    a result nobody has read. `pending`: how many items of the queue wait now.
    """

    id: int
    created: bool
    pending: int


@dataclass(frozen=True, slots=True)
class KeyedAddedClaim:
    """Answer of `keyed_add_and_claim`: `payload` is None unless the item is claimed; `active`: the keys that are."""

    id: int
    created: bool
    pending: int
    active: list[str]
    payload: Any
    extra: Any

    @property
    def is_claimed(self) -> bool:
        return self.payload is not None


@dataclass(frozen=True, slots=True)
class KeyedClaim:
    """Answer of `keyed_claim`. `refused`: None when the claim is made, else paused, budget, unknown, active, exclusive
    or busy; then there is no id, payload or extra.
    """

    id: int | None
    payload: Any
    extra: Any
    pending: int
    active: list[str]
    refused: str | None


@dataclass(frozen=True, slots=True)
class KeyedNext:
    """An item that `keyed_claim_next` has claimed."""

    id: int
    key: str
    payload: Any
    extra: Any
    pending: int
    active: list[str]


@dataclass(frozen=True, slots=True)
class KeyedItemInfo:
    """An item as it is, or was when it was cancelled. `status`: pending or active."""

    id: int
    payload: Any
    extra: Any
    status: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyedLine:
    """An item in a list, without its payload."""

    key: str
    id: int
    status: str
    priority: int
    extra: Any


@dataclass(frozen=True, slots=True)
class KeyedListed:
    """An item in a list, with its payload."""

    key: str
    id: int
    status: str
    priority: int
    extra: Any
    payload: Any


@dataclass(frozen=True, slots=True)
class KeyedRef:
    """Which item is meant."""

    key: str
    id: int


@dataclass(frozen=True, slots=True)
class KeyedReaped:
    """An item that was removed, or put back, because nobody executed it (`why`: stalled) or asked for it (orphaned)."""

    id: int
    key: str
    payload: Any
    extra: Any
    why: str


@dataclass(frozen=True, slots=True)
class KeyedResult:
    """The result of an item; `state` succeeded, or failed with the payload {"error": message} when a worker gave up."""

    id: int
    payload: Any
    state: str


@dataclass(frozen=True, slots=True)
class KeyedStage:
    """How far an item is: `stage` active, or pending with its `position` from 1; `elapsed_ms` since it was claimed, or
    added.
    """

    id: int
    stage: str
    position: int | None
    elapsed_ms: int
