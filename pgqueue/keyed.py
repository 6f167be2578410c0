"""Keyed queues as their executors see them.

    app = App()

    @app.keyed("reports", concurrency=2, timeout=600)
    def report(item: KeyedItem) -> dict:
        return {"rows": run(item.payload["sql"])}

    app.keyed_queue("reports").get_or_run("report 7", {"sql": "…"}, timeout=30)

An executor gets one KeyedItem at a time and returns its result, any JSON. One that raises has failed the item: whoever
waits for it gets the message.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pgqueue._json import JsonText, dumps
from pgqueue._keyedtext import decoded, encoded
from pgqueue.errors import AlreadyRegistered, InvalidArgument
from pgqueue.models import JSON, KeyedItemInfo, KeyedReaped

__all__ = ["KIND", "Executor", "KeyedExecutors", "KeyedItem", "Merge", "line_of", "seconds"]

KIND = "keyed.item"
"""The kind of the jobs that items are."""


def line_of(queue: str, process_id: str | None = None) -> str:
    """The queue of jobs in which items of a keyed queue stand; exclusive ones in that of their process."""
    name = queue if process_id is None else f"{queue}@{process_id}"
    if len(name) <= 200:
        return name
    return f"{name[:130]}~{hashlib.sha256(name.encode()).hexdigest()}"


def _never() -> bool:
    return False


class Merge:
    """How `merge_extra` reaches the queue; whoever runs the executor has one."""

    def now(self, id: int, text: str) -> bool:
        """From sync executors. Whether the item is there."""
        raise NotImplementedError

    async def soon(self, id: int, text: str) -> bool:
        """From async executors."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class KeyedItem:
    """What an executor gets. `attempt` counts from 1; `extra` is what has been merged so far, also by an earlier
    attempt.
    """

    id: int
    queue: str
    key: str
    payload: Any
    extra: dict[str, Any]
    attempt: int = 1
    _is_stopped: Callable[[], bool] = field(default=_never, repr=False)
    _merge: Merge = field(default_factory=Merge, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the item was cancelled, its time is up, or the worker is in a hurry to end. A sync executor
        that takes long looks here now and then; an async one is cancelled where it awaits.
        """
        return self._is_stopped()

    def merge_extra(self, values: Mapping[str, JSON]) -> bool:
        """Stores values with the item, for whoever looks at it or has to cancel it: the handle of a query, say. From
        sync executors. False: the item is gone. Raises NotSerialisable. SQL function: keyed_merge_extra.
        """
        self.extra.update(values)
        return self._merge.now(self.id, encoded(dict(values), "extra"))

    async def amerge_extra(self, values: Mapping[str, JSON]) -> bool:
        """The same from async executors."""
        self.extra.update(values)
        return await self._merge.soon(self.id, encoded(dict(values), "extra"))


@dataclass(frozen=True, slots=True)
class Executor:
    """A function registered for a keyed queue, and how it is to be run. Times are seconds."""

    queue: str
    fn: Callable[[KeyedItem], Any]
    timeout: float | None = None
    concurrency: int | None = None
    orphan: float | None = 120.0
    on_cancel: Callable[[KeyedItem], Any] | None = None
    text: bool = False
    process_id: str | None = None

    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", is_async(self.fn))

    @property
    def lines(self) -> list[str]:
        """The queues of jobs that have items for it."""
        own = [] if self.process_id is None else [line_of(self.queue, self.process_id)]
        return [line_of(self.queue), *own]

    def item(
        self,
        found: KeyedItemInfo | KeyedReaped,
        attempt: int = 1,
        is_stopped: Callable[[], bool] = _never,
        merge: Merge | None = None,
    ) -> KeyedItem:
        """What the function is called with. Raises InvalidArgument when the payload is no JSON."""
        payload = found.payload if self.text else decoded(found.payload, f"the payload of item {found.id}")
        extra = decoded(found.extra, f"the extra of item {found.id}") or {}
        return KeyedItem(found.id, self.queue, found.key, payload, extra, attempt, is_stopped, merge or Merge())

    def result(self, value: Any) -> JsonText:
        """What the function returned, as the JSON string that holds the result's text. Raises NotSerialisable."""
        if self.text:
            if not isinstance(value, str):
                raise InvalidArgument(
                    f"the executor of {self.queue!r} returned {type(value).__name__}", "with text=True it returns text"
                )
            return dumps(value, "the result")
        return dumps(encoded(value, "the result"), "the result")


class KeyedExecutors:
    """The executors of an App."""

    def __init__(self) -> None:
        self._by_line: dict[str, Executor] = {}
        self._all: dict[str, Executor] = {}

    def __iter__(self) -> Iterator[Executor]:
        return iter(self._all.values())

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, executor: Executor) -> None:
        """Raises AlreadyRegistered, and InvalidArgument for what cannot be an executor."""
        _check(executor)
        if executor.queue in self._all:
            raise AlreadyRegistered(f"the keyed queue {executor.queue!r} has an executor already", "it has one")
        self._all[executor.queue] = executor
        self._by_line.update(dict.fromkeys(executor.lines, executor))

    def find(self, line: str) -> Executor | None:
        """By the queue of a job."""
        return self._by_line.get(line)

    def lines(self) -> list[str]:
        """The queues of jobs that have items for these executors."""
        return list(self._by_line)


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; objects with an async `__call__` count."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def seconds(name: str, value: float | timedelta | None) -> float | None:
    """Raises InvalidArgument for what is no time span of more than 0."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e9):
        raise InvalidArgument(f"{name} is {value!r}", "it is a number of seconds, more than 0")
    return number


def _check(executor: Executor) -> None:
    if not isinstance(executor.queue, str) or not 1 <= len(executor.queue) <= 1000:
        raise InvalidArgument(f"queue is {executor.queue!r}", "it is a text of 1 to 1000 characters")
    for what, fn in (("executor", executor.fn), ("on_cancel", executor.on_cancel)):
        if fn is not None and (not callable(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)):
            raise InvalidArgument(f"{fn!r} cannot be an {what}", "give a function, sync or async")
    concurrency = executor.concurrency
    if concurrency is not None and (
        isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1
    ):
        raise InvalidArgument(f"concurrency is {concurrency!r}", "it is how many items run at a time, at least 1")
