# Generated from pgqueue/_async/query.py by pgqueue/_async/generate.py: change it there.
"""The handle of a query: its state, and its result in the form the caller wants, from the first rows on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue._calls_sql import OnWaitTimeout
from pgqueue._pausing import Patience, sleep
from pgqueue._reading import Restarts, failure, timed_out
from pgqueue._sink import Sink, Target
from pgqueue.errors import (
    Conflict,
    ConnectionLost,
    InvalidArgument,
    ResultRestarted,
    ResultTimeout,
    UnknownJob,
)
from pgqueue.models import QueryBatch, QueryColumn, QueryStatus, Withdrawal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pgqueue._sync.client import Client

__all__ = ["QueryHandle"]

T = TypeVar("T")
_log = logging.getLogger("pgqueue.results")


class QueryHandle:
    """One query. `created`: it is a new run; `reused`: its result was there; neither: it has joined a live run.

    The result can be read as often as wanted until it expires, from any process, and while the query still runs. In
    every method `timeout` is how many seconds to wait for the server (None: for ever); then it raises ResultTimeout,
    and the query goes on or is cancelled, as `on_wait_timeout` says. A query that failed raises QueryFailed
    (ResultTooLarge when its result went past a limit), a cancelled one JobFailed, a result that is gone UnknownJob; one
    that had to start again after some of its rows had been handed out, ResultRestarted.
    """

    def __init__(
        self,
        client: Client,
        id: int,
        created: bool,
        reused: bool,
        *,
        owner: str | None = None,
        asked: bool = True,
        on_wait_timeout: OnWaitTimeout = "continue",
    ) -> None:
        if on_wait_timeout not in ("continue", "cancel"):
            raise InvalidArgument(
                f"on_wait_timeout is {on_wait_timeout!r}",
                'it is "continue" or "cancel"',
            )
        self._client = client
        self._asked = asked
        self.owner = owner
        self.id = id
        self.created = created
        self.reused = reused
        self.on_wait_timeout = on_wait_timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id}, created={self.created}, reused={self.reused})"

    def status(self) -> QueryStatus:
        """How far it is. SQL function: query_status."""
        return self._client.query_status(self.id, self.owner)

    def wait(self, timeout: float | None = None) -> QueryStatus:
        """Waits until the query has succeeded. SQL functions: query_status, result, watch."""
        status = self.status()
        if not status.is_final:
            # What is looked at is the query: it outlives its job, of which its queue may keep nothing at all.
            with suppress(ResultTimeout, UnknownJob):
                self._client.results().wait(self.id, timeout)
            status = self.status()
        if not status.is_final:
            self._give_up(timeout)
        if status.state != "succeeded":
            raise failure(status)
        return status

    def cancel(self, why: str | None = None) -> Withdrawal:
        """Takes this caller's interest back: the query ends if nobody else has asked for it. A handle for a known id
        without an owner ends it for everybody. SQL function: cancel_query.
        """
        owner = (
            self._client.user() if self.owner is None and self._asked else self.owner
        )
        return self._client.cancel_query(self.id, owner, why)

    def columns(self, timeout: float | None = None) -> list[QueryColumn]:
        """The columns of the result, as soon as the query has begun. SQL function: query_columns."""
        patience = Patience(timeout)
        while True:
            try:
                return self._client.query_columns(self.id, self.owner)
            except Conflict:
                status = self.status()
                if status.is_final and status.state != "succeeded":
                    raise failure(status) from None
            self._pause(patience)

    # -- the result -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.rows()

    def rows(self, timeout: float | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows, as tuples of the Python values psycopg has for their types."""
        for batch in self.batches(timeout):
            for row in batch:
                yield row

    def batches(self, timeout: float | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """The rows as `rows` gives them, a list of them for each stored chunk: with `batch_rows`, of that many rows."""
        from pgqueue._copyrows import Rows

        def reader(
            columns: list[QueryColumn],
        ) -> Callable[[str], list[tuple[Any, ...]]]:
            return Rows(
                [column.name for column in columns],
                [column.type_oid for column in columns],
            ).read

        for rows in self._read(reader, timeout):
            if rows:
                yield rows

    def to_csv(
        self, file: Target, *, header: bool = True, timeout: float | None = None
    ) -> int:
        """Writes the result as CSV, as COPY would: null is nothing, an empty text is quoted. `file` is a path, or open,
        for text (with newline="") or bytes. Returns how many rows there were.
        """
        from pgqueue._copytext import csv_header, csv_lines

        with Sink(file) as sink:

            def reader(columns: list[QueryColumn]) -> Callable[[str], str]:
                sink.write(
                    csv_header([column.name for column in columns])
                    if header and columns
                    else ""
                )
                return lambda text: csv_lines(text, len(columns))

            rows = 0
            for batch, lines in self._read_batches(reader, timeout):
                sink.write(lines)
                rows += batch.row_count or 0
            return rows

    def to_json(
        self, file: Target, *, lines: bool = False, timeout: float | None = None
    ) -> int:
        """Writes the result as a JSON array of objects, or one object a line. `file` as for `to_csv`. Returns how many
        rows there were.
        """
        from pgqueue._copyjson import Objects

        def reader(columns: list[QueryColumn]) -> Callable[[str], list[str]]:
            return Objects(
                [column.name for column in columns],
                [column.type_oid for column in columns],
            ).read

        between = "\n" if lines else ",\n"
        rows = 0
        with Sink(file) as sink:
            for objects in self._read(reader, timeout):
                if objects:
                    sink.write(
                        (between if rows else "" if lines else "[\n")
                        + between.join(objects)
                    )
                    rows += len(objects)
            end = "\n" if lines else "\n]\n"
            sink.write(end if rows else "" if lines else "[]\n")
        return rows

    def record_batches(self, timeout: float | None = None) -> Iterator[pa.RecordBatch]:
        """The result as Arrow record batches, at least one. Needs the extra `arrow`; numeric without a precision is
        text.
        """
        from pgqueue._copyarrow import RecordBatches

        def reader(columns: list[QueryColumn]) -> Callable[[str], pa.RecordBatch]:
            kinds = [column.type for column in columns]
            return RecordBatches(
                [column.name for column in columns],
                kinds,
                [c.type_oid for c in columns],
            ).read

        some = False
        for batch in self._read(reader, timeout):
            if batch.num_rows or not some:
                some = True
                yield batch

    def to_arrow(self, timeout: float | None = None) -> pa.Table:
        """The whole result as an Arrow table. Needs the extra `arrow`."""
        from pgqueue._copyarrow import table

        while True:
            with suppress(
                ResultRestarted
            ):  # nothing of it has been handed out: read it again
                return table([batch for batch in self.record_batches(timeout)])

    def to_pandas(self, timeout: float | None = None) -> pd.DataFrame:
        """The whole result as a data frame. Needs the extra `pandas`."""
        from pgqueue._copyarrow import frame

        return frame(self.to_arrow(timeout))

    # -- within ---------------------------------------------------------------------------------------------------

    def _read(
        self,
        reader: Callable[[list[QueryColumn]], Callable[[str], T]],
        timeout: float | None,
    ) -> Iterator[T]:
        for _, made in self._read_batches(reader, timeout):
            yield made

    def _read_batches(
        self,
        reader: Callable[[list[QueryColumn]], Callable[[str], T]],
        timeout: float | None,
    ) -> Iterator[tuple[QueryBatch, T]]:
        """Each chunk, and what the function that `reader` makes for the columns makes of it. There is at least one,
        which may be empty.
        """
        read: Callable[[str], T] | None = None
        patience = Patience(timeout)
        restarts = Restarts(self.id)
        n = 0
        reached = False
        while True:
            try:
                batch = self._client.query_batch(self.id, n, "text", self.owner)
            except Conflict:
                raise failure(self.status()) from None
            except ConnectionLost as error:
                if not reached or self._client.connection is not None:
                    raise
                _log.warning("cannot read query %s, trying on: %s", self.id, error)
                self._pause(patience)
                continue
            reached = True
            restarts.look(batch)
            if batch.data is None:
                self._pause(patience)
                continue
            patience.found()
            if read is None:
                read = reader(self.columns(timeout))
            yield batch, read(batch.data)
            if batch.is_last:
                return
            n += 1

    def _pause(self, patience: Patience) -> None:
        pause = patience.missed()
        if pause is None:
            self._give_up(patience.timeout)
        else:
            sleep(pause)

    def _give_up(self, timeout: float | None) -> None:
        cancels = self.on_wait_timeout == "cancel"
        if cancels:
            self.cancel("the wait for its result timed out")
        raise timed_out(self.id, timeout, cancels)
