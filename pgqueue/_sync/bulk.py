# Generated from pgqueue/_async/bulk.py by pgqueue/_async/generate.py: change it there.
"""Sending the slices of enqueue_many: all or nothing, several under way at once where the connection is ours alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgqueue._bulk import MOST_CHARACTERS, Bulk, Slice, located
from pgqueue._sync.client import Client
from pgqueue.errors import InvalidArgument, translate

__all__ = ["send_slices"]

_MOST_UNDER_WAY = 4

_Report = Callable[[int], object]
_Sync = Callable[[], None]


def send_slices(
    client: Client, parts: Iterator[Slice], bulk: Bulk, report: _Report
) -> None:
    """Sends all slices in one transaction (on the caller's connection: in a savepoint) and reports how many jobs
    the server has taken, after each.

    Raises the exceptions of pgqueue.errors; what the input or `report` raises is left as it is. Nothing stays then.
    """
    opening = [
        part for part in (next(parts, None), next(parts, None)) if part is not None
    ]
    if not opening:
        return
    if len(opening) == 1 and client.connection is None:
        # One statement is all or nothing by itself, and saves the round trips of a transaction.
        _send_one(client, opening[0], bulk, report)
        return
    given = client.connection
    if (
        given is not None
        and not given.autocommit
        and given.info.transaction_status == TransactionStatus.IDLE
    ):
        # psycopg would take the savepoint for the transaction, and commit it: it is the caller's to commit. A call that
        # enqueues nothing begins it as any other call would.
        client.run(bulk.call([]))
    with client.transaction() as inside:
        connection = inside.connection
        if given is None and connection is not None and _may_pipeline(connection):
            _pipelined(connection, opening, parts, bulk, report)
        else:
            while part := _next(opening, parts):
                _send_one(inside, part, bulk, report)


def _next(opening: list[Slice], parts: Iterator[Slice]) -> Slice | None:
    return opening.pop(0) if opening else next(parts, None)


def _send_one(client: Client, part: Slice, bulk: Bulk, report: _Report) -> None:
    try:
        rows = client.run(bulk.call(part))
    except InvalidArgument as error:
        raise located(error, bulk.jobs, len(part)) from error
    bulk.take(rows)
    report(bulk.jobs)


def _may_pipeline(connection: Connection[Any]) -> bool:
    """Not with an old libpq, nor where prepared statements are unwanted: that is the sign of a pooler, and not every
    pooler can do it.

    Never on a connection of the caller's: the input may be reading from it, with a server-side cursor say, which a
    pipeline forbids.
    """
    return connection.prepare_threshold is not None and psycopg.Pipeline.is_supported()


@dataclass
class _UnderWay:
    cursor: Cursor[tuple[Any, ...]]
    jobs: int
    size: int

    @property
    def is_answered(self) -> bool:
        return self.cursor.pgresult is not None


def _pipelined(
    connection: Connection[Any],
    opening: list[Slice],
    parts: Iterator[Slice],
    bulk: Bulk,
    report: _Report,
) -> None:
    """The next slice is read and encoded while the server works on those before it.

    Answers are picked up as they come in, with the next slice sent; it waits for them only when too many slices, or too
    large ones, are under way.
    """
    waiting: deque[_UnderWay] = deque()
    ended = False
    try:
        with connection.pipeline() as pipeline:
            try:
                while part := _next(opening, parts):
                    _send(connection, pipeline.sync, part, waiting, bulk)
                    del part
                    _take_answers(waiting, bulk, report)
                _wait(pipeline.sync, waiting, bulk)
                _take_answers(waiting, bulk, report)
            except BaseException:
                if connection.info.transaction_status == TransactionStatus.ACTIVE:
                    # The input has failed, or somebody has pressed Ctrl-C: leaving the pipeline would wait for slices
                    # that nobody wants any more, for as long as they wait for a lock, say.
                    with suppress(psycopg.Error):
                        connection.cancel_safe(timeout=5)
                        pipeline.sync()
                raise
            ended = True
    except psycopg.Error as error:
        if ended:
            raise translate(error) from error
        raise


def _send(
    connection: Connection[Any],
    sync: _Sync,
    part: Slice,
    waiting: deque[_UnderWay],
    bulk: Bulk,
) -> None:
    call = bulk.call(part)
    sent = _UnderWay(
        Cursor(connection, row_factory=tuple_row),
        len(part),
        len(call.params["args"] or ""),
    )
    if (
        len(waiting) >= _MOST_UNDER_WAY
        or sum([other.size for other in waiting]) + sent.size > MOST_CHARACTERS
    ):
        _wait(sync, waiting, bulk)
    waiting.append(sent)
    try:
        sent.cursor.execute(call.sql, call.params, binary=True)
        # Without it the server would keep the end of its answer until its buffer is full.
        connection.pgconn.send_flush_request()
        connection.pgconn.flush()
    except psycopg.Error as error:
        raise _refusal(error, waiting, bulk, sync) from error


def _wait(sync: _Sync, waiting: deque[_UnderWay], bulk: Bulk) -> None:
    """Until every slice under way is answered."""
    try:
        sync()
    except psycopg.Error as error:
        raise _refusal(error, waiting, bulk, sync) from error


def _take_answers(waiting: deque[_UnderWay], bulk: Bulk, report: _Report) -> None:
    while waiting and waiting[0].is_answered:
        bulk.take(waiting.popleft().cursor.fetchall())
        report(bulk.jobs)


def _refusal(
    error: psycopg.Error, waiting: deque[_UnderWay], bulk: Bulk, sync: _Sync
) -> Exception:
    """What to raise for the first slice without an answer: the server answers in order, and nothing after an error."""
    refused = translate(error)
    sent = bulk.jobs
    for part in waiting:
        if not part.is_answered:
            if isinstance(refused, InvalidArgument):
                refused = located(refused, sent, part.jobs)
            break
        sent += part.jobs
    with suppress(psycopg.Error):
        sync()  # the slices behind it are refused as well, which says nothing new
    return refused
