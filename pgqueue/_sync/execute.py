# Generated from pgqueue/_async/execute.py by pgqueue/_async/generate.py: change it there.
"""Running a Call on a connection, and the pools of clients. The sync counterpart of every file here but generate.py is
generated.
"""

from __future__ import annotations

import select
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from pgqueue._calls import Call
from pgqueue.errors import InvalidArgument, translate

__all__ = ["execute", "make_pool"]

T = TypeVar("T")


def execute(connection: Connection[Any], call: Call[T]) -> T:
    """Runs a Call in whatever transaction the connection is in. The connection's own row and cursor factories are left
    out of it.

    Raises the exceptions of pgqueue.errors.
    """
    try:
        with Cursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(call.sql, call.params, binary=True)
            return call.decode(cursor.fetchall())
    except psycopg.Error as error:
        raise translate(error) from error
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            f"a text cannot be sent in the connection's encoding: {error}",
            "use client_encoding=UTF8",
        ) from error


def make_pool(
    dsn: str, *, max_size: int, timeout: float, prepare_threshold: int | None
) -> ConnectionPool[Connection[Any]]:
    """An open pool that keeps no connection while nothing is done and waits `timeout` seconds for one.

    Raises psycopg.OperationalError at once when no connection can be had at all: a pool by itself would only say, when
    its time is up, that it has none.
    """
    options: dict[str, Any] = {
        "autocommit": True,
        "prepare_threshold": prepare_threshold,
        "client_encoding": "UTF8",
        "fallback_application_name": "pgqueue",
    }
    with Connection.connect(dsn, **options):
        pass
    pool: ConnectionPool[Connection[Any]] = ConnectionPool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=timeout,
        kwargs=options,
        check=_check,
        open=False,
        name="pgqueue",
    )
    pool.open()
    return pool


def _check(connection: Connection[Any]) -> None:
    """Finds out without a round trip that the server has closed an idle connection: there is something to read, namely
    its end. Raises psycopg.OperationalError then, and the pool takes another.
    """
    while _readable(connection.fileno()):
        connection.pgconn.consume_input()


def _readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()  # select() cannot do descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
