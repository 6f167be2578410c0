"""libpq, one statement at a time, awaited: results as they arrive, rows as they come, nothing gathered.

psycopg connects. Its cursors are not for this: they send one statement in a transaction of their own making and hold
the whole result, while a user's text may be several statements, may manage its transactions itself, and may answer
with more rows than memory holds.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

__all__ = ["Driver", "error_of", "texts_of"]

_ROWS_AT_A_TIME = 32
"""Few: rows may be large, and those of one result are in memory together."""
_BUNCH = 128 * 1024
"""Bytes of rows after which other tasks of the event loop get their turn."""
_JOINED = 256
"""Rows to join at once: thousands of small buffers are what the collector of garbage would spend its time on."""
_HAS_CHUNKS = pq.version() >= 170000
_FINE = (
    ExecStatus.EMPTY_QUERY,
    ExecStatus.COMMAND_OK,
    ExecStatus.TUPLES_OK,
    ExecStatus.SINGLE_TUPLE,
    ExecStatus.TUPLES_CHUNK,
    ExecStatus.COPY_OUT,
    ExecStatus.COPY_IN,
    ExecStatus.COPY_BOTH,
)


class Driver:
    """A connection that nobody else uses."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._copied = False
        """The last row of a COPY has been handed out."""

    @property
    def is_idle(self) -> bool:
        """Whether the session is well, in no transaction, and no statement is under way."""
        return bool(self._pgconn.transaction_status == TransactionStatus.IDLE)

    @property
    def has_left_open(self) -> bool:
        """Whether what was run has left a transaction open that nothing has failed in."""
        return bool(self._pgconn.transaction_status == TransactionStatus.INTRANS)

    async def send(self, sql: bytes) -> None:
        """Begins a text of any number of statements; `next` gives the results. Raises psycopg.OperationalError."""
        self._pgconn.send_query(sql)
        if _HAS_CHUNKS:
            self._pgconn.set_chunked_rows_mode(_ROWS_AT_A_TIME)
        else:
            self._pgconn.set_single_row_mode()
        await self._flush()

    async def next(self) -> PGresult | None:
        """The next result, None after the last. When the connection breaks, what the server said last comes first."""
        pgconn = self._pgconn
        while pgconn.is_busy():
            await self._readable(None)
            try:
                pgconn.consume_input()
            except psycopg.OperationalError:
                break  # get_result tells of it, after what had arrived before
        self._copied = False
        return pgconn.get_result()

    async def fetch(self, sql: bytes, params: Sequence[bytes | None] = ()) -> list[list[str | None]]:
        """Runs one small statement with numbered parameters; values as text. Raises psycopg.Error."""
        self._pgconn.send_query_params(sql, params or None, None, None, Format.TEXT)
        return texts_of(await self._only())

    async def script(self, sql: bytes) -> list[list[str | None]]:
        """Runs a few small statements; the rows of the one that has any. Raises psycopg.Error."""
        self._pgconn.send_query(sql)
        await self._flush()
        rows: list[list[str | None]] = []
        failed: psycopg.Error | None = None
        while (result := await self.next()) is not None:
            failed = failed or error_of(result)
            rows = texts_of(result) or rows
        if failed is not None:
            raise failed
        return rows

    async def prepare(self, sql: bytes) -> PGresult:
        """Prepares one statement, without a name, and returns its description. Raises psycopg.Error."""
        self._pgconn.send_prepare(b"", sql)
        await self._only()
        self._pgconn.send_describe_prepared(b"")
        return await self._only()

    async def copy_lines(self, within: float | None = None) -> bytes | None:
        """Rows of a COPY TO STDOUT that have come, each a line: at least one, unless `within` seconds are over; None
        after the last, and when the connection breaks: `next` says how it ended.
        """
        if self._copied:
            return None
        pgconn = self._pgconn
        get = pgconn.get_copy_data
        rows: list[Any] = []
        lines: list[bytes] = []
        size = 0
        has_waited = is_fresh = is_lost = False
        while size < _BUNCH:
            try:
                length, row = get(1)
            except psycopg.OperationalError:
                self._copied = True
                break
            try:
                if length > 0:
                    size += length
                    rows.append(row)
                    is_fresh = False
                    if len(rows) == _JOINED:
                        lines.append(b"".join(rows))
                        rows.clear()
                elif length < 0 or is_lost:
                    self._copied = True
                    break
                elif not is_fresh:
                    # libpq takes in little at a time: more may be there already
                    pgconn.consume_input()
                    is_fresh = True
                elif size:
                    break
                elif await self._readable(within):
                    has_waited = True
                    pgconn.consume_input()
                else:
                    return b""
            except psycopg.OperationalError:
                is_lost = True  # what came before is still there to be read, the server's reason at its end
        if not has_waited:
            await asyncio.sleep(0)
        lines.append(b"".join(rows))
        return b"".join(lines) if size else None

    def refuse_copy(self) -> None:
        """Answers a COPY FROM STDIN, which then fails."""
        self._pgconn.put_copy_end(b"there is nobody to send the rows")

    def sever(self) -> None:
        """Whoever waits for the server sees the end of the connection."""
        try:
            with socket.socket(fileno=os.dup(self._pgconn.socket)) as other:
                other.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.OperationalError):
            return  # it has ended by itself

    # -- the socket -----------------------------------------------------------------------------------------------

    async def _only(self) -> PGresult:
        await self._flush()
        last: PGresult | None = None
        failed: psycopg.Error | None = None
        while (result := await self.next()) is not None:
            last = result
            failed = failed or error_of(result)
        if failed is not None:
            raise failed
        if last is None:
            raise psycopg.OperationalError("the connection is lost")
        return last

    async def _flush(self) -> None:
        while self._pgconn.flush():
            if await self._writable():
                self._pgconn.consume_input()

    async def _readable(self, within: float | None) -> bool:
        """Whether there is something to read; False when the time is over."""
        descriptor = self._pgconn.socket
        future: asyncio.Future[bool] = self._loop.create_future()
        timer = None if within is None else self._loop.call_later(within, _tell, future, False)
        self._loop.add_reader(descriptor, _tell, future, True)
        try:
            return await future
        finally:
            self._loop.remove_reader(descriptor)
            if timer is not None:
                timer.cancel()

    async def _writable(self) -> bool:
        """Returns when more can be written, or, with True, when there is something to read: the server may take no
        more before it has been heard.
        """
        descriptor = self._pgconn.socket
        future: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_reader(descriptor, _tell, future, True)
        self._loop.add_writer(descriptor, _tell, future, False)
        try:
            return await future
        finally:
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)


def _tell(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def error_of(result: PGresult) -> psycopg.Error | None:
    """What the result says went wrong."""
    return None if result.status in _FINE else error_from_result(result)


def texts_of(result: PGresult) -> list[list[str | None]]:
    """The rows of a result in text format."""
    return [[_text(result.get_value(row, column)) for column in range(result.nfields)] for row in range(result.ntuples)]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
