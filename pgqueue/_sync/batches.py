# Generated from pgqueue/_async/batches.py by pgqueue/_async/generate.py: change it there.
"""Batches and slow queries from the caller's side: what takes several calls of their functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pgqueue._batchflow import FollowUps, Parents, follow_ups, parent_ids
from pgqueue._calls_base import Seconds
from pgqueue._rowinput import RowInput, columns
from pgqueue.errors import InvalidArgument, PgQueueError, ResultTimeout
from pgqueue.models import (
    JSON,
    BatchAborted,
    BatchInfo,
    OnParentFailure,
    RowOutcome,
    SlowQueryAborted,
    SlowQueryStatus,
)

if TYPE_CHECKING:
    from pgqueue._sync.client import Client

__all__ = ["Batches"]


class Batches:
    """`app.batches` and `client.batches`. Rows are given as (line, input) pairs, or as objects of line and input; lines
    are whole numbers from 1 that mean something to the caller.

    With an `owner`, methods see only what is that owner's: another's raises UnknownJob.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    # -- submitting -----------------------------------------------------------------------------------------------

    def submit(
        self,
        app: str,
        op: str,
        context: JSON = None,
        rows: Iterable[RowInput] = (),
        *,
        hold: bool = False,
        owner: str | None = None,
        priority: int = 0,
        slice_size: int = 10,
        depends_on: Parents | None = None,
        on_parent_failure: OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> int:
        """Submits rows in one call and returns the batch's id. `hold`: nothing runs until it is released. `slice_size`:
        how many rows a worker takes at a time, and redoes if it dies.

        `depends_on`: jobs, queries and batches that must end first, ids or handles. `on_parent_failure`: when one of
        them fails or is cancelled, "cancel" (abort this batch, the default), "run" it all the same, or "wait" until
        that one has been retried. `on_success`, `on_error`: calls that are enqueued when it succeeds, or fails or is
        aborted: `mail.s(pgqueue.result)` gets the counts, `alarm.s(pgqueue.error)` what became of it.

        Raises InvalidArgument, UnknownJob for an unknown id in depends_on: nothing is stored then. SQL function:
        batch_submit_each.
        """
        lines, inputs = columns(rows)
        return self._client.batch_submit_each(
            app,
            op,
            context,
            lines,
            inputs,
            hold,
            owner,
            priority,
            slice_size,
            parent_ids(depends_on),
            on_parent_failure,
            follow_ups("on_success", on_success),
            follow_ups("on_error", on_error),
        )

    def submit_many(
        self,
        app: str,
        op: str,
        context: JSON,
        rows: Iterable[RowInput],
        *,
        hold: bool = False,
        owner: str | None = None,
        priority: int = 0,
        slice_size: int = 10,
        depends_on: Parents | None = None,
        on_parent_failure: OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
        chunk: int = 10_000,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """`submit` from an iterator of any length: `chunk` rows at a time go into a held batch, which is released at
        the end unless `hold`. `on_progress` is called with how many there are so far. When the iterator or the server
        raises, what was stored is aborted, and so `on_error` follows. SQL functions: batch_submit_each,
        batch_append_each, batch_release.
        """
        if chunk < 1:
            raise InvalidArgument(
                f"chunk is {chunk}", "it is a number of rows, at least 1"
            )
        left = iter(rows)
        batch = self.submit(
            app,
            op,
            context,
            islice(left, chunk),
            hold=True,
            owner=owner,
            priority=priority,
            slice_size=slice_size,
            depends_on=depends_on,
            on_parent_failure=on_parent_failure,
            on_success=on_success,
            on_error=on_error,
        )
        try:
            total = (self.status(batch)).rows
            while True:
                if on_progress is not None:
                    on_progress(total)
                some = list(islice(left, chunk))
                if not some:
                    break
                total = self.append(batch, some)
            if not total and not hold:
                raise InvalidArgument(
                    "the batch has no rows",
                    "give some, or hold the batch and append them",
                )
            if not hold:
                self.release(batch)
        except BaseException:
            with suppress(PgQueueError):
                self.abort(batch, why="submitting it was broken off")
            raise
        return batch

    def append(self, id: int, rows: Iterable[RowInput], *, hold: bool = True) -> int:
        """Adds rows to a held batch and returns how many it has now; hold=False releases it. Raises UnknownJob,
        Conflict when it is not held. SQL function: batch_append_each.
        """
        lines, inputs = columns(rows)
        return self._client.batch_append_each(id, lines, inputs, hold)

    def release(self, id: int) -> int:
        """Lets a held batch run; returns how many rows it has. SQL function: batch_release."""
        return self._client.batch_release(id)

    # -- looking --------------------------------------------------------------------------------------------------

    def status(self, id: int, *, owner: str | None = None) -> BatchInfo:
        """Where it stands, with counts of this moment. SQL function: batch_status."""
        return self._client.batch_status(id, owner)

    def wait(
        self, id: int, timeout: float | None = None, *, owner: str | None = None
    ) -> BatchInfo:
        """Returns the status when the batch is over, however it ended. Raises ResultTimeout after `timeout` seconds
        (None: waits for ever); the batch goes on. Listens as `JobHandle.result` does. SQL functions: batch_status,
        watch, result.
        """
        status = self._client.batch_status(id, owner)
        if status.is_final:
            return status
        self._over("batch", id, timeout)
        return self._client.batch_status(id, owner)

    def _over(self, what: str, id: int, timeout: float | None) -> None:
        try:
            self._client.results().wait(id, timeout)
        except ResultTimeout:
            raise ResultTimeout(
                f"{what} {id} is not over after {timeout or 0:g} s",
                "it goes on; is there a worker for it?",
            ) from None

    def rows(
        self, id: int, *, owner: str | None = None, page: int = 1000
    ) -> Iterator[RowOutcome]:
        """The rows that are done, in the order of their lines, read `page` at a time. SQL function: batch_rows."""
        line: int | None = None
        row: int | None = None
        while True:
            some = self._client.batch_rows(id, line, page, row, owner)
            for each in some:
                yield each
            if len(some) < page:
                return
            line, row = some[-1].line, some[-1].row_id

    def abort(
        self, id: int, *, owner: str | None = None, why: str | None = None
    ) -> BatchAborted:
        """Ends it: rows that are not done are aborted. SQL function: batch_abort."""
        return self._client.batch_abort(id, owner, why)

    def list(
        self,
        app: str | None = None,
        op: str | None = None,
        *,
        max_age: Seconds | None = None,
        kind: str | None = None,
        status: str | None = None,
        owner: str | None = None,
        max: int = 50,
        before: int | None = None,
    ) -> list[BatchInfo]:
        """Batches and slow queries, newest first. SQL function: batch_list."""
        return self._client.batch_list(
            app, op, max_age, kind, status, max, before, owner
        )

    # -- output files ---------------------------------------------------------------------------------------------

    def files(self, id: int, *, owner: str | None = None) -> Mapping[str, Any]:
        """Output files of a batch that is over: name → lines and chars; empty before. SQL function: batch_status."""
        return (self._client.batch_status(id, owner)).files or {}

    def open_file(
        self, id: int, name: str, *, owner: str | None = None, chars: int = 1_000_000
    ) -> Iterator[str]:
        """The text of an output file of a batch or slow query, in pieces of whole lines. Raises UnknownJob when there
        is none of that name, Conflict while the batch is not over. SQL function: output_file.
        """
        line: int | None = None
        row: int | None = None
        while True:
            piece = self._client.output_file(id, name, line, row, chars, owner)
            if piece.data:
                yield piece.data
            if piece.is_last:
                return
            line, row = piece.next_line, piece.next_row

    # -- slow queries ---------------------------------------------------------------------------------------------

    def submit_slow_query(
        self,
        app: str,
        op: str,
        context: JSON = None,
        input: JSON = None,
        *,
        owner: str | None = None,
        priority: int = 0,
        depends_on: Parents | None = None,
        on_parent_failure: OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> int:
        """One input for the slow-query processor of this operation; returns an id. What it waits for and what follows
        it: as in `submit`; `pgqueue.result` is what the processor gave. SQL function: slow_query_submit.
        """
        return self._client.slow_query_submit(
            app,
            op,
            context,
            input,
            owner,
            priority,
            parent_ids(depends_on),
            on_parent_failure,
            follow_ups("on_success", on_success),
            follow_ups("on_error", on_error),
        )

    def slow_query_status(
        self, id: int, *, owner: str | None = None
    ) -> SlowQueryStatus:
        """Status, result and messages. SQL function: slow_query_status."""
        return self._client.slow_query_status(id, owner)

    def wait_slow_query(
        self, id: int, timeout: float | None = None, *, owner: str | None = None
    ) -> SlowQueryStatus:
        """The same when it is over, however it ended. Raises ResultTimeout. SQL functions: slow_query_status, watch,
        result.
        """
        status = self._client.slow_query_status(id, owner)
        if status.is_final:
            return status
        self._over("slow query", id, timeout)
        return self._client.slow_query_status(id, owner)

    def abort_slow_query(
        self, id: int, *, owner: str | None = None, why: str | None = None
    ) -> SlowQueryAborted:
        """Ends it, unless it is over. SQL function: slow_query_abort."""
        return self._client.slow_query_abort(id, owner, why)
