"""Enqueueing any number of jobs of one kind: what is sent in a statement, what is kept of the answers, which element is
to blame. No I/O; the sending is `pgqueue._async.bulk`.

The input is cut into slices of bounded number and size, so that memory stays constant however long it is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pgqueue._calls import Call, Row
from pgqueue._json import JsonText
from pgqueue.errors import InvalidArgument

if TYPE_CHECKING:
    from pgqueue.models import Enqueued

__all__ = [
    "MOST_CHARACTERS",
    "Bulk",
    "BulkItem",
    "HookedItem",
    "Slice",
    "aslices",
    "aslices_alike",
    "located",
    "slices",
    "slices_alike",
]

HookedItem: TypeAlias = "tuple[JsonText, str | None, str | None, dict[str, Any]]"
"""The same, and the other parameters of its enqueue: middleware may give each job its own."""
BulkItem: TypeAlias = "tuple[JsonText, str | None, str | None] | HookedItem"
"""A job's args, unique key and group key."""
Slice: TypeAlias = "list[BulkItem]"

_MOST_JOBS: Final = 1_000
MOST_CHARACTERS: Final = 4_000_000


@dataclass
class Bulk:
    """One enqueue_many under way: how a slice is sent, and who is told what came of it."""

    statement: Callable[[Slice], Call[list[Enqueued]]]
    keep: Callable[[list[Row]], object] | None
    """Gets the rows (id, created) of every slice."""
    jobs: int = 0
    created: int = 0

    def call(self, part: Slice) -> Call[list[Row]]:
        """The statement for a slice. Its rows are left as they are: a model for each would cost a tenth of it all."""
        call = self.statement(part)
        return Call(call.sql, call.params, _unchanged)

    def take(self, rows: list[Row]) -> None:
        """Counts what the server has answered."""
        self.jobs += len(rows)
        self.created += sum([row[1] for row in rows])
        if self.keep is not None:
            self.keep(rows)


class _Cutter:
    """Converts items and gathers them until they are worth a statement, or as large as one may be."""

    def __init__(self, convert: Callable[[Any], BulkItem]) -> None:
        self._convert = convert
        self._taken = 0
        self._size = 0
        self.part: Slice = []

    def add(self, item: Any) -> bool:
        """Whether the slice is full now."""
        try:
            converted = self._convert(item)
        except InvalidArgument as error:
            raise _in_element(self._taken + len(self.part) + 1, error) from error
        except Exception as error:
            error.add_note(f"in element {self._taken + len(self.part) + 1} of enqueue_many")
            raise
        self.part.append(converted)
        self._size += len(converted[0])
        return len(self.part) >= _MOST_JOBS or self._size >= MOST_CHARACTERS

    def cut(self) -> Slice:
        part, self.part = self.part, []
        self._taken += len(part)
        self._size = 0
        return part


def slices(items: Iterable[Any], convert: Callable[[Any], BulkItem]) -> Iterator[Slice]:
    """Converted items in lists that are worth a statement and no larger than it may be. What `convert` raises names the
    element, counted from 1.
    """
    cutter = _Cutter(convert)
    for item in items:
        if cutter.add(item):
            yield cutter.cut()
    if cutter.part:
        yield cutter.cut()


async def aslices(
    items: Iterable[Any] | AsyncIterable[Any], convert: Callable[[Any], BulkItem]
) -> AsyncGenerator[Slice, None]:
    """`slices` for input that may itself be asynchronous."""
    if not isinstance(items, AsyncIterable):
        for part in slices(items, convert):
            yield part
        return
    cutter = _Cutter(convert)
    async for item in items:
        if cutter.add(item):
            yield cutter.cut()
    if cutter.part:
        yield cutter.cut()


def slices_alike(parts: Iterable[Slice]) -> Iterator[Slice]:
    """Slices of HookedItems, cut where neighbours differ in what they would share."""
    for part in parts:
        yield from _alike(part)


async def aslices_alike(parts: AsyncGenerator[Slice, None]) -> AsyncGenerator[Slice, None]:
    """The same; closes what it reads from."""
    async with aclosing(parts):
        async for part in parts:
            for piece in _alike(part):
                yield piece


def _alike(part: Slice) -> Iterator[Slice]:
    # as text: 1 and True are equal, and not the same
    shared = [repr(item[3:]) for item in part]
    begin = 0
    for at in range(1, len(part)):
        if shared[at] != shared[at - 1]:
            yield part[begin:at]
            begin = at
    yield part[begin:]


def located(error: InvalidArgument, sent: int, jobs: int) -> InvalidArgument:
    """The server's refusal of a slice, its elements counted from the beginning of the whole input, of which `sent` came
    before this slice of `jobs`.
    """
    named = re.match(r"element (\d+): ", error.message)
    if named:
        message = f"element {sent + int(named[1])}: {error.message[named.end() :]}"
    elif error.sqlstate == "PQ001":  # an option, which all elements share
        return error
    else:
        message = f"elements {sent + 1} to {sent + jobs}: {error.message}"
    return type(error)(message, error.hint, error.sqlstate)


def _in_element(number: int, error: InvalidArgument) -> InvalidArgument:
    return type(error)(f"element {number}: {error.message}", error.hint, error.sqlstate)


def _unchanged(rows: list[Row]) -> list[Row]:
    return rows
