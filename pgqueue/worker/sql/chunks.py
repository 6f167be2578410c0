"""A query's rows on their way into the store: gathered into chunks, written in order while more rows come.

One chunk is being written, and the next gathered; a third is not begun before the first is stored. So a fast query is
held up by the store, through the server's own flow control, and memory holds two chunks whatever the result's size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeAlias

from pgqueue.errors import PgQueueError
from pgqueue.worker.sql.failures import SqlFailure

__all__ = ["Chunks", "Put"]

Put: TypeAlias = Callable[[int, int, str], Awaitable[None]]
"""Stores chunk n, of so many rows: lines as COPY writes them."""

_TARGET = 512 * 1024
_MOST = 4 * 1024 * 1024
_LARGE = 1024 * 1024
_LINGER = 0.5
"""Seconds after which the rows of a slow query can be read."""


class Chunks:
    """Takes rows; `rows` and `size` (bytes) have been taken so far.

    Args:
        batch_rows: rows of each chunk; None: as many as make half a megabyte, or come in half a second.
        max_rows, max_bytes: of the whole result.
    """

    def __init__(self, put: Put, *, batch_rows: int | None, max_rows: int | None, max_bytes: int | None) -> None:
        self.rows = 0
        self.size = 0
        self._put = put
        self._batch_rows = batch_rows
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._gathered: list[bytes] = []
        self._gathered_rows = 0
        self._gathered_size = 0
        self._since = 0.0
        self._next = 0
        self._writing: asyncio.Task[None] | None = None

    def due_in(self) -> float | None:
        """Seconds until what is gathered should be stored even though nothing more comes."""
        if self._batch_rows is not None or not self._gathered:
            return None
        return max(0.0, self._since + _LINGER - monotonic())

    async def add(self, lines: bytes) -> None:
        """More rows, each a line; with none, time has passed. Raises SqlFailure when they are too many for the result,
        and what storing an earlier chunk has raised.
        """
        if not lines:
            if self.due_in() == 0.0:
                await self._write()
            return
        count = lines.count(b"\n")
        self.rows += count
        self.size += len(lines)
        self._check_size()
        if self._batch_rows is None and len(lines) < _LARGE:
            self._gather(lines, count)
        else:
            for line in lines.splitlines(keepends=True):
                await self._add_one(line)
        if self._batch_rows is None and (self._gathered_size >= _TARGET or self.due_in() == 0.0):
            await self._write()

    async def _add_one(self, line: bytes) -> None:
        if self._gathered and self._gathered_size + len(line) > _MOST:
            await self._write()
        self._gather(line, 1)
        if self._batch_rows is not None and self._gathered_rows >= self._batch_rows:
            await self._write()

    def _gather(self, lines: bytes, count: int) -> None:
        if not self._gathered:
            self._since = monotonic()
        self._gathered.append(lines)
        self._gathered_rows += count
        self._gathered_size += len(lines)

    def _check_size(self) -> None:
        if self._max_rows is not None and self.rows > self._max_rows:
            raise _too_large(f"more than {self._max_rows} rows", "max_rows")
        if self._max_bytes is not None and self.size > self._max_bytes:
            raise _too_large(f"more than {self._max_bytes} bytes", "max_bytes")

    async def _write(self) -> None:
        gathered, count = self._gathered, self._gathered_rows
        self._gathered, self._gathered_rows, self._gathered_size = [], 0, 0
        try:
            data = b"".join(gathered).decode()
        except UnicodeDecodeError as error:
            raise SqlFailure(
                f"the result holds bytes that are not UTF-8 ({error.reason} at {error.start})",
                "Is the database's encoding SQL_ASCII? Convert the text in the query.",
                "22021",
            ) from error
        n, self._next = self._next, self._next + 1
        await self._written()
        self._writing = asyncio.create_task(self._store(n, count, data), name="pgqueue chunk")

    async def _store(self, n: int, count: int, data: str) -> None:
        await self._put(n, count, data)

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def close(self) -> None:
        """There are no more rows; returns when all are stored. Raises what storing raises."""
        if self._gathered:
            await self._write()
        await self._written()

    async def abandon(self) -> None:
        """Returns when nothing is being written any more; what has not been is left."""
        self._gathered.clear()
        try:
            await self._written()
        except (PgQueueError, SqlFailure):
            return  # whoever abandons has a reason already


def _too_large(what: str, setting: str) -> SqlFailure:
    return SqlFailure(
        f"the result has {what}",
        f"Ask for less (LIMIT, fewer columns), or submit the query with a larger {setting}.",
        "PQ007",
        type="ResultTooLarge",
    )
