"""The run of a query: one statement whose rows are stored."""

from __future__ import annotations

import re
from types import MappingProxyType

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from pgqueue.errors import PgQueueError, StaleLease
from pgqueue.models import JSON, QueryOrders, QueryPlan
from pgqueue.outcomes import Settlement
from pgqueue.worker.sql import statements
from pgqueue.worker.sql.chunks import Chunks
from pgqueue.worker.sql.driver import error_of
from pgqueue.worker.sql.failures import SqlFailure, failure_of_call
from pgqueue.worker.sql.running import run
from pgqueue.worker.sql.session import Backend, Interrupted, Session
from pgqueue.worker.sql.turn import TROUBLES, Turn, settlement

__all__ = ["QueryTurn", "Reading"]

_SPECIAL = re.compile(rb"[\\\b\f\n\r\t\v]")
_ESCAPES = {b"\\": rb"\\", b"\b": rb"\b", b"\f": rb"\f", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t", b"\v": rb"\v"}


class QueryTurn(Turn[QueryOrders]):
    """Prepares the statement, to know its columns and parameters; then runs it and stores what comes."""

    word = "query"
    # Results are stored as text: who reads it must not need to know how the database or the role writes things.
    settings = MappingProxyType(
        {"datestyle": "ISO", "intervalstyle": "postgres", "bytea_output": "hex", "extra_float_digits": "1"}
    )

    async def _begin(self, backend: Backend | None) -> QueryOrders:
        pid, start = (None, None) if backend is None else (backend.pid, backend.start)
        return await self._engine.call(self._engine.calls.query_begin(self.job.lease, self.job.id, pid, start))

    async def _execute(self, session: Session, orders: QueryOrders) -> str | None:
        sql = orders.sql or ""
        plan = await self._describe(session, sql)
        if plan.mode == "command":
            return await run(session, plan.sql)
        chunks = Chunks(self._put, batch_rows=orders.batch_rows, max_rows=orders.max_rows, max_bytes=orders.max_bytes)
        reading = Reading(session, chunks)
        try:
            if plan.mode == "copy":
                await reading.copy(plan.sql)
                command: str | None = statements.command_of(sql, chunks.rows)
            else:
                command = await reading.rows(plan.sql)
            await chunks.close()
        except SqlFailure as failure:
            if orders.param_count:  # it is of the text with the parameters written in, which nobody has seen
                failure.document.pop("position", None)
            raise
        finally:
            await chunks.abandon()
        return command

    async def _describe(self, session: Session, sql: str) -> QueryPlan:
        with session.statement():
            try:
                told = await session.driver.prepare(sql.encode())
                params = [told.param_type(number) for number in range(told.nparams)]
                columns = [(told.ftype(number), told.fmod(number)) for number in range(told.nfields)]
                types = await session.driver.fetch(
                    statements.TYPES,
                    (
                        _array([*params, *(oid for oid, _ in columns)]),
                        _array([*(-1 for _ in params), *(modifier for _, modifier in columns)]),
                    ),
                )
            except psycopg.Error as error:
                raise session.failure(error) from error
        described: list[dict[str, JSON]] = [
            {"name": (told.fname(number) or b"").decode(), "type": name, "oid": columns[number][0]}
            for number, (_, name, _) in enumerate(types[len(params) :])
        ]
        names = [word or "text" for _, _, word in types[: len(params)]]
        try:
            return await self._engine.call(
                self._engine.calls.query_describe(self.job.lease, self.job.id, described, names)
            )
        except (StaleLease, *TROUBLES):
            raise
        except PgQueueError as error:
            raise failure_of_call(error) from error

    async def _put(self, n: int, count: int, data: str) -> None:
        try:
            asked_to_stop = await self._engine.call(
                self._engine.calls.query_put(self.job.lease, self.job.id, n, count, data)
            )
        except (StaleLease, *TROUBLES):
            raise
        except PgQueueError as error:
            raise failure_of_call(error) from error
        if asked_to_stop:
            self.stop("cancel")

    async def _end(self, command: str | None, error: dict[str, JSON] | None, notices: list[JSON] | None) -> Settlement:
        ended = await self._engine.call(
            self._engine.calls.query_end(self.job.lease, self.job.id, command, error, notices)
        )
        return settlement(ended.verdict, ended.failure, ended.result)


class Reading:
    """A statement's rows, read from the server and given to the chunks. When those take no more, the statement is
    ended; what made them stop is raised. Raises Interrupted when the session was, and rows have been lost by that.
    """

    def __init__(self, session: Session, chunks: Chunks) -> None:
        self._session = session
        self._chunks = chunks
        self._trouble: BaseException | None = None
        self._has_dropped = False

    async def copy(self, sql: str) -> None:
        """By COPY, which streams. Raises SqlFailure, PgQueueError."""
        text, shift = statements.copy_to_stdout(sql)
        await self._read(text, shift)

    async def rows(self, sql: str) -> str | None:
        """As they are, for statements that cannot stand in COPY; the command tag. Raises SqlFailure, PgQueueError."""
        return await self._read(sql.encode(), 0)

    async def _read(self, sql: bytes, shift: int) -> str | None:
        session, driver = self._session, self._session.driver
        failure: SqlFailure | None = None
        command: str | None = None
        with session.statement():
            try:
                await driver.send(sql)
                while (result := await driver.next()) is not None:
                    error = error_of(result)
                    if error is not None:
                        failure = failure or session.failure(error, shift=shift)
                    elif result.status == ExecStatus.COPY_OUT:
                        await self._copied()
                    else:
                        command = (result.command_status or b"").decode() or command
                        await self._take(b"".join([line_of(result, row) for row in range(result.ntuples)]))
            except psycopg.Error as error:
                failure = failure or session.failure(error, shift=shift)
        if self._trouble is not None:
            raise self._trouble
        if failure is not None:
            raise failure
        if self._has_dropped:
            raise Interrupted  # the statement was quicker than its end; its rows are not all here
        return command

    async def _copied(self) -> None:
        while (lines := await self._session.driver.copy_lines(self._chunks.due_in())) is not None:
            await self._take(lines)

    async def _take(self, lines: bytes) -> None:
        if self._session.interrupted is not None:
            self._has_dropped = True  # on its way out
            return
        try:
            await self._chunks.add(lines)
        except (SqlFailure, PgQueueError) as error:
            self._trouble = error
            self._session.interrupt("not wanted")


def line_of(result: PGresult, row: int) -> bytes:
    """A row as COPY writes it."""
    fields = [result.get_value(row, column) for column in range(result.nfields)]
    return b"\t".join([rb"\N" if field is None else _escaped(field) for field in fields]) + b"\n"


def _escaped(field: bytes) -> bytes:
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], field)


def _array(numbers: list[int]) -> bytes:
    return ("{" + ",".join(map(str, numbers)) + "}").encode()
