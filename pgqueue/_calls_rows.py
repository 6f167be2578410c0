"""The functions of row batches and slow queries, as `pgqueue._calls.Calls` offers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Seconds, many, one, value
from pgqueue._calls_compose import FollowUps, plain_follow_ups
from pgqueue._json import dumps
from pgqueue.models import JSON

__all__ = ["RowCalls"]


class RowCalls(BaseCalls):
    """Batches of rows, and slow queries, which are batches of one row."""

    def batch_submit(
        self,
        app: str,
        op: str,
        context: JSON = None,
        rows: Sequence[Mapping[str, JSON]] = (),
        hold: bool = False,
        owner: str | None = None,
        priority: int = 0,
        slice_size: int = 10,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[int]:
        """Rows as objects of line and input. Returns the batch's id. Context None is {}. Raises InvalidArgument, also
        for no rows unless held, and UnknownJob for an unknown id in depends_on.
        """
        return self._call("batch_submit", value, {**_plain(locals()), "rows": list(rows)})

    def batch_submit_each(
        self,
        app: str,
        op: str,
        context: JSON,
        lines: Sequence[int],
        inputs: Iterable[JSON],
        hold: bool = False,
        owner: str | None = None,
        priority: int = 0,
        slice_size: int = 10,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[int]:
        """`batch_submit` for many rows, as two lists of the same length."""
        return self._call("batch_submit_each", value, {**_plain(locals()), "inputs": _texts(inputs)})

    def batch_append(self, id: int, rows: Sequence[Mapping[str, JSON]], hold: bool = True) -> Call[int]:
        """Adds rows to a held batch and returns how many it has now. Raises UnknownJob, and Conflict when it is not
        held.
        """
        return self._call("batch_append", value, {**locals(), "rows": list(rows)})

    def batch_append_each(self, id: int, lines: Sequence[int], inputs: Iterable[JSON], hold: bool = True) -> Call[int]:
        """`batch_append` for many rows, as two lists of the same length."""
        return self._call("batch_append_each", value, {**locals(), "inputs": _texts(inputs)})

    def batch_release(self, id: int) -> Call[int]:
        """Lets a held batch run; returns how many rows it has. Raises UnknownJob, and Conflict when it is over."""
        return self._call("batch_release", value, locals())

    def batch_status(self, id: int, as_owner: str | None = None) -> Call[models.BatchInfo]:
        """Raises UnknownJob, for another owner's batch too."""
        return self._call("batch_status", one(models.BatchInfo), locals())

    def batch_rows(
        self,
        id: int,
        after_line: int | None = None,
        max: int = 1000,
        after_row: int | None = None,
        as_owner: str | None = None,
    ) -> Call[list[models.RowOutcome]]:
        """The rows that are done so far, by line; the next page begins after line and row of the last one."""
        return self._call("batch_rows", many(models.RowOutcome), locals())

    def batch_abort(self, id: int, as_owner: str | None = None, why: str | None = None) -> Call[models.BatchAborted]:
        """Ends a batch: what is not done is aborted. Raises UnknownJob."""
        return self._call("batch_abort", one(models.BatchAborted), locals())

    def batch_list(
        self,
        app: str | None = None,
        op: str | None = None,
        max_age: Seconds | None = None,
        kind: str | None = None,
        status: str | None = None,
        max: int = 50,
        before: int | None = None,
        owner: str | None = None,
    ) -> Call[list[models.BatchInfo]]:
        """Batches and slow queries, newest first; the next page begins `before` the last id of this one."""
        return self._call("batch_list", many(models.BatchInfo), locals())

    def batch_context(self, id: int) -> Call[JSON]:
        """For workers: the context of a batch or slow query. Raises UnknownJob."""
        return self._call("batch_context", value, locals())

    def batch_purge(self, older_than: Seconds, app: str | None = None) -> Call[int]:
        """Forgets what ended longer ago than that, at most 1000 batches; returns how many."""
        return self._call("batch_purge", value, locals())

    def slow_query_submit(
        self,
        app: str,
        op: str,
        context: JSON = None,
        input: JSON = None,
        owner: str | None = None,
        priority: int = 0,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[int]:
        """Returns an id to ask after. Context and input None are {}."""
        return self._call("slow_query_submit", value, {**_plain(locals()), "input": {} if input is None else input})

    def slow_query_status(self, id: int, as_owner: str | None = None) -> Call[models.SlowQueryStatus]:
        """Raises UnknownJob, for another owner's too."""
        return self._call("slow_query_status", one(models.SlowQueryStatus), locals())

    def slow_query_abort(
        self, id: int, as_owner: str | None = None, why: str | None = None
    ) -> Call[models.SlowQueryAborted]:
        """Ends a slow query. Raises UnknownJob."""
        return self._call("slow_query_abort", one(models.SlowQueryAborted), locals())

    def output_file(
        self,
        id: int,
        name: str,
        after_line: int | None = None,
        after_row: int | None = None,
        chars: int = 1_000_000,
        as_owner: str | None = None,
    ) -> Call[models.FilePiece]:
        """A piece of an output file of a batch that is over. Raises UnknownJob, and Conflict while it is not over."""
        return self._call("output_file", one(models.FilePiece), locals())


def _texts(inputs: Iterable[JSON]) -> list[str]:
    return [dumps(each, "input") for each in inputs]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("on_success", "on_error"):
        values[name] = plain_follow_ups(name, values[name])
    return values
