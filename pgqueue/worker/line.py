"""An open connection, driven straight from the event loop: libpq's own calls in the socket's callbacks.

psycopg connects and reads the rows (its Transformer, in C). What is left out is what stands between a statement and
its answer when a cursor waits for it: a lock, a generator, a future, a task to wake and a reader to register each
time. That is a third of a millisecond, which an idle worker's latency cannot afford and a busy one pays in processor
time. One reader stays registered, so notifications come in by the same way at any time.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import count
from time import monotonic
from typing import Any, TypeAlias

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

__all__ = ["Answer", "Line", "Statement", "numbered"]

Answer: TypeAlias = Callable[[list[tuple[Any, ...]], psycopg.Error | None], None]
"""Called once, on the event loop: with the rows, or with what went wrong. Must not raise."""

_NAMED = re.compile(r"%\((\w+)\)s")
_numbers = count(1)


class Statement:
    """A statement with numbered parameters, and the name it is prepared under."""

    __slots__ = ("name", "names", "text")

    def __init__(self, sql: str) -> None:
        names = list(dict.fromkeys(_NAMED.findall(sql)))
        self.names = names
        """Of the parameters, in order."""
        self.text = _NAMED.sub(lambda match: f"${names.index(match[1]) + 1}", sql).encode()
        self.name = f"pgqueue_{next(_numbers)}".encode()

    def values(self, params: Mapping[str, str | None]) -> list[bytes | None]:
        """Parameters on the wire. Raises psycopg.DataError."""
        values: list[bytes | None] = []
        for name in self.names:
            value = params[name]
            if value is None:
                values.append(None)
                continue
            try:
                data = value.encode()
            except UnicodeEncodeError as error:
                raise psycopg.DataError(f"a text cannot be sent as UTF-8: {error}") from error
            if b"\0" in data:
                raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            values.append(data)
        return values


@cache
def numbered(sql: str) -> Statement:
    """The Statement of a text with parameters like %(name)s; for texts of the program's own, which are few."""
    return Statement(sql)


class Line:
    """Runs statements one after another; each answer goes to the callback it was sent with.

    The connection is in autocommit, speaks UTF-8, and is nobody else's from the first statement on.

    Args:
        limit: seconds after which a statement without an answer means that the connection is lost.
        prepare: whether statements are prepared when first used.
        on_notice: a notification: channel and payload.
        on_lost: the connection is gone; called before the statements under way are told.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        *,
        limit: float,
        prepare: bool,
        on_notice: Callable[[str, str], None] | None,
        on_lost: Callable[[psycopg.Error], None],
    ) -> None:
        self.is_closed = False
        self._pgconn = connection.pgconn
        self._limit = limit
        self._prepare = prepare
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._rows = Transformer(connection)
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        self._is_writing = False
        self._known: set[bytes] = set()
        """Names of prepared statements."""
        self._answer: Answer | None = None
        self._since = 0.0
        self._result: PGresult | None = None
        self._prepared: tuple[Statement, Sequence[bytes | None]] | None = None
        """What is to be run once it is prepared."""
        self._queue: deque[tuple[Statement, Sequence[bytes | None], Answer]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._answer is not None

    def attach(self) -> None:
        """Begin to hear; done by the first statement as well."""
        if self._descriptor is None and not self.is_closed:
            self._descriptor = descriptor = int(self._pgconn.socket)
            self._loop.add_reader(descriptor, self._readable)

    def send(self, statement: Statement, params: Mapping[str, str | None], answer: Answer) -> None:
        """Run it as soon as those before it are done. Raises psycopg.DataError for a text that cannot be sent;
        everything else goes to `answer`, which is never called from in here.
        """
        values = statement.values(params)
        if self.is_closed:
            self._loop.call_soon(answer, [], psycopg.OperationalError("the connection is closed"))
        elif self._answer is not None or self._queue:
            self._queue.append((statement, values, answer))
        else:
            self._begin(statement, values, answer)

    def close(self) -> None:
        """No more of this; the connection itself is left to the caller. Who still waits is told so."""
        if not self.is_closed:
            self._end(psycopg.OperationalError("the connection was closed"))

    # -- out ------------------------------------------------------------------------------------------------------

    def _begin(self, statement: Statement, values: Sequence[bytes | None], answer: Answer) -> None:
        self._answer = answer
        self._since = monotonic()
        try:
            if self._descriptor is None:
                self.attach()
            self._execute(statement, values)
        except psycopg.Error as error:
            self._lost(error)
            return
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit, self._overdue)

    def _execute(self, statement: Statement, values: Sequence[bytes | None]) -> None:
        if not self._prepare:
            self._pgconn.send_query_params(statement.text, values, None, None, Format.BINARY)
        elif statement.name in self._known:
            self._pgconn.send_query_prepared(statement.name, values, None, Format.BINARY)
        else:
            self._prepared = statement, values
            self._pgconn.send_prepare(statement.name, statement.text)
        self._flush()

    def _flush(self) -> None:
        wants = bool(self._pgconn.flush())
        if wants is not self._is_writing and self._descriptor is not None:
            self._is_writing = wants
            if wants:
                self._loop.add_writer(self._descriptor, self._writable)
            else:
                self._loop.remove_writer(self._descriptor)

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._lost(error)

    # -- in -------------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            if self._is_writing:
                self._flush()  # the server may wait for the rest before it says more
            if self._on_notice is not None:
                while (notice := pgconn.notifies()) is not None:
                    self._on_notice(notice.relname.decode(), notice.extra.decode())
            while self._answer is not None and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is not None:
                    self._result = result
                elif pgconn.status == ConnStatus.BAD:
                    error = None if self._result is None else _error(self._result)
                    self._lost(error or psycopg.OperationalError("the connection is lost"))
                else:
                    self._answered()
        except psycopg.Error as error:
            self._lost(error)

    def _answered(self) -> None:
        """The statement is over; on to the next."""
        result, self._result = self._result, None
        error = None if result is None else _error(result)
        if self._prepared is not None:
            (statement, values), self._prepared = self._prepared, None
            if error is None:
                self._known.add(statement.name)
                self._execute(statement, values)
                return
        answer, self._answer = self._answer, None
        rows: list[tuple[Any, ...]] = []
        if error is None and result is not None and result.status == ExecStatus.TUPLES_OK:
            try:
                self._rows.set_pgresult(result)
                rows = self._rows.load_rows(0, result.ntuples, tuple)
            except psycopg.Error as unreadable:
                error = unreadable
        if answer is not None:
            answer(rows, error)
        if self._queue and self._answer is None:
            self._begin(*self._queue.popleft())

    # -- the end --------------------------------------------------------------------------------------------------

    def _overdue(self) -> None:
        self._timer = None
        if self._answer is None:
            return
        left = self._since + self._limit - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._overdue)
        else:
            self._lost(psycopg.OperationalError(f"no answer within {self._limit:.0f} s"))

    def _lost(self, error: psycopg.Error) -> None:
        if not self.is_closed:
            self._end(error)
            self._on_lost(error)

    def _end(self, error: psycopg.Error) -> None:
        self.is_closed = True
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            if self._is_writing:
                self._loop.remove_writer(self._descriptor)
            self._descriptor = None
        if self._timer is not None:
            self._timer.cancel()
        waiting = [answer for _, _, answer in self._queue]
        self._queue.clear()
        if self._answer is not None:
            waiting.insert(0, self._answer)
            self._answer = None
        for answer in waiting:
            self._loop.call_soon(answer, [], error)


def _error(result: PGresult) -> psycopg.Error | None:
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY):
        return None
    return error_from_result(result)
