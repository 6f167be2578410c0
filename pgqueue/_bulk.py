"""Enqueueing any number of jobs of one kind in slices, so that memory stays constant however long the input is."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeAlias

from pgqueue._json import JsonText

__all__ = ["BulkItem", "aslices", "slices"]

BulkItem: TypeAlias = "tuple[JsonText, str | None, str | None]"
"""A job's args, unique key and group key."""

_MOST_JOBS = 1_000
_MOST_CHARACTERS = 4_000_000


def slices(items: Iterable[Any], convert: Callable[[Any], BulkItem]) -> Iterator[list[BulkItem]]:
    """Converted items in lists that are worth a statement and no larger than it may be."""
    slice_: list[BulkItem] = []
    size = 0
    for item in items:
        converted = convert(item)
        slice_.append(converted)
        size += len(converted[0])
        if len(slice_) >= _MOST_JOBS or size >= _MOST_CHARACTERS:
            yield slice_
            slice_, size = [], 0
    if slice_:
        yield slice_


async def aslices(
    items: Iterable[Any] | AsyncIterable[Any], convert: Callable[[Any], BulkItem]
) -> AsyncIterator[list[BulkItem]]:
    """`slices` for input that may itself be asynchronous."""
    if not isinstance(items, AsyncIterable):
        for slice_ in slices(items, convert):
            yield slice_
        return
    slice_ = []
    size = 0
    async for item in items:
        converted = convert(item)
        slice_.append(converted)
        size += len(converted[0])
        if len(slice_) >= _MOST_JOBS or size >= _MOST_CHARACTERS:
            yield slice_
            slice_, size = [], 0
    if slice_:
        yield slice_
