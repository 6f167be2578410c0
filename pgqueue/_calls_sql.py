"""The functions of scripts and queries, as `pgqueue._calls.Calls` offers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict
from uuid import UUID

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Seconds, many, one, plain_settings, value
from pgqueue._calls_compose import FollowUps, plain_follow_ups
from pgqueue._literals import ENCODERS
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON

if TYPE_CHECKING:
    from pgqueue import options

__all__ = [
    "BatchFormat",
    "Document",
    "OnWaitTimeout",
    "QueryCalls",
    "QueryOptions",
    "ScriptCalls",
    "ScriptOptions",
]

Document: TypeAlias = str | Sequence[str | Mapping[str, JSON]] | Mapping[str, JSON]
"""A script: one text, several (texts, or objects with query, onsuccess, onerror, timeout …), or an object with those
under `query` and its own onsuccess and onerror.
"""
BatchFormat: TypeAlias = Literal["json", "arrays", "csv", "text"]
OnWaitTimeout: TypeAlias = Literal["continue", "cancel"]


class ScriptOptions(TypedDict, total=False):
    """The options of `submit_script`. `depends_on` takes handles as well, of anything that runs; `on_success` and
    `on_error` take calls of tasks: `task.s(pgqueue.result)`.
    """

    owner: str | None
    queue: str
    priority: int
    datasource: str | None
    role: str | None
    settings: Mapping[str, str] | None
    depends_on: options.Parents | None
    on_parent_failure: models.OnParentFailure | None
    on_success: options.FollowUps | FollowUps | None
    on_error: options.FollowUps | FollowUps | None


class QueryOptions(ScriptOptions, total=False):
    """The options of `submit_query`."""

    timeout: Seconds | None
    wait_timeout: Seconds | None
    max_age: Seconds | None
    unique: bool
    read_only: bool
    batch_rows: int | None
    max_rows: int | None
    max_bytes: int | None
    ttl: Seconds | None


class ScriptCalls(BaseCalls):
    """Scripts: SQL texts run one after the other, with fallbacks."""

    def submit_script(
        self,
        document: Document,
        owner: str | None = None,
        queue: str = "scripts",
        priority: int = 0,
        datasource: str | None = None,
        role: str | None = None,
        settings: Mapping[str, str] | None = None,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[int]:
        """Returns the script's id. Owner None: the database user. `depends_on` and what follows: as of `enqueue`.

        Raises InvalidArgument for a document that is none or too large, UnknownJob for an unknown id in depends_on,
        Conflict when too many of the owner's scripts wait, QueueFull.
        """
        return self._call("submit_script", value, _composed(locals()))

    def script_report(self, id: int, as_owner: str | None = None) -> Call[dict[str, JSON]]:
        """The document with each query's status, times and error. Raises UnknownJob, for another owner's too."""
        return self._call("script_report", value, locals())

    def scripts(
        self,
        owner: str | None = None,
        state: str | None = None,
        queue: str | None = None,
        before: int | None = None,
        max: int = 50,
    ) -> Call[list[models.ScriptSummary]]:
        """Newest first; the next page begins `before` the last id of this one."""
        return self._call("scripts", many(models.ScriptSummary), locals())

    def cancel_script(self, id: int, as_owner: str | None = None, why: str | None = None) -> Call[dict[str, JSON]]:
        """Cancels a script and returns its report: what runs is ended, what comes after it skipped. Raises Conflict for
        one that has ended.
        """
        return self._call("cancel_script", value, locals())

    def scripts_running(self, queue: str | None = None) -> Call[list[models.OwnerScripts]]:
        return self._call("scripts_running", many(models.OwnerScripts), locals())

    def configure_owner(self, owner: str, settings: Mapping[str, JSON]) -> Call[dict[str, JSON]]:
        """Patches an owner's limits (timeout, max_waiting; None clears one) and returns all of them."""
        return self._call("configure_owner", value, {"owner": owner, "settings": plain_settings(settings)})

    def script_begin(
        self, lease: int, job: int, backend_pid: int | None, backend_start: datetime | None
    ) -> Call[models.ScriptOrders]:
        """For workers: begins the next turn on this backend, or on none, when no connection could be had. Raises
        StaleLease.
        """
        return self._call("script_begin", one(models.ScriptOrders), locals())

    def script_end(
        self,
        lease: int,
        job: int,
        error: Mapping[str, JSON] | None = None,
        notices: Sequence[JSON] | None = None,
    ) -> Call[models.ScriptVerdict]:
        """For workers: how the turn has ended. Raises StaleLease."""
        return self._call("script_end", one(models.ScriptVerdict), locals())


class QueryCalls(BaseCalls):
    """Queries: one statement whose result is stored."""

    def submit_query(
        self,
        sql: str,
        params: Sequence[Any] | None = None,
        owner: str | None = None,
        queue: str = "queries",
        datasource: str | None = None,
        role: str | None = None,
        settings: Mapping[str, str] | None = None,
        timeout: Seconds | None = None,
        wait_timeout: Seconds | None = None,
        max_age: Seconds | None = None,
        unique: bool = True,
        read_only: bool = False,
        batch_rows: int | None = None,
        max_rows: int | None = None,
        max_bytes: int | None = None,
        ttl: Seconds | None = None,
        priority: int = 0,
        depends_on: Iterable[int] | None = None,
        on_parent_failure: models.OnParentFailure | None = None,
        on_success: FollowUps | None = None,
        on_error: FollowUps | None = None,
    ) -> Call[models.SubmittedQuery]:
        """One statement with parameters $1, $2 …. An identical live query is joined, and with `max_age` a result not
        older than that is reused. Owner None: the database user. `depends_on` and what follows: as of `enqueue`; such a
        query always runs, and nobody joins it.

        Raises InvalidArgument, UnknownJob for an unknown id in depends_on, QueueFull.
        """
        values = dict(_composed(locals()), params=None if params is None else _plain_params(params))
        return self._call("submit_query", one(models.SubmittedQuery), values)

    def query_status(self, id: int, as_owner: str | None = None) -> Call[models.QueryStatus]:
        """Raises UnknownJob, for another owner's query too."""
        return self._call("query_status", one(models.QueryStatus), locals())

    def query_columns(self, id: int, as_owner: str | None = None) -> Call[list[models.QueryColumn]]:
        """Raises Conflict while the columns are unknown, because the query has not begun."""
        return self._call("query_columns", many(models.QueryColumn), locals())

    def query_batch(
        self, id: int, n: int, format: BatchFormat = "json", as_owner: str | None = None
    ) -> Call[models.QueryBatch]:
        """The n-th chunk, from 0, as soon as it is stored. Raises Conflict when the query has failed, UnknownJob when
        its result has expired.
        """
        return self._call("query_batch", one(models.QueryBatch), locals())

    def cancel_query(self, id: int, as_owner: str | None = None, why: str | None = None) -> Call[models.Withdrawal]:
        """Takes one caller's interest back, with the last of which the query ends; without owner ends it at once."""
        return self._call("cancel_query", one(models.Withdrawal), locals())

    def query_begin(
        self, lease: int, job: int, backend_pid: int | None, backend_start: datetime | None
    ) -> Call[models.QueryOrders]:
        """For workers: begins a run on this backend, or on none, when no connection could be had. Raises StaleLease."""
        return self._call("query_begin", one(models.QueryOrders), locals())

    def query_describe(
        self, lease: int, job: int, columns: Sequence[Mapping[str, JSON]], param_types: Sequence[str]
    ) -> Call[models.QueryPlan]:
        """For workers: what preparing the statement has told. Raises StaleLease."""
        return self._call("query_describe", one(models.QueryPlan), locals())

    def query_put(self, lease: int, job: int, n: int, row_count: int, data: str) -> Call[bool]:
        """For workers: stores the n-th chunk, lines of COPY's text format. Returns whether the query is to be
        cancelled. Raises StaleLease.
        """
        return self._call("query_put", value, locals())

    def query_end(
        self,
        lease: int,
        job: int,
        command: str | None,
        error: Mapping[str, JSON] | None = None,
        notices: Sequence[JSON] | None = None,
    ) -> Call[models.QueryVerdict]:
        """For workers: how the run has ended. Raises StaleLease."""
        return self._call("query_end", one(models.QueryVerdict), locals())


def _composed(values: dict[str, Any]) -> dict[str, Any]:
    follow_ups = {name: values[name] for name in ("on_success", "on_error") if values[name] is not None}
    return {**values, **{name: plain_follow_ups(name, given) for name, given in follow_ups.items()}}


def _plain_params(params: Sequence[Any]) -> list[JSON]:
    """Parameters as JSON. What JSON has no word for travels as the text that PostgreSQL reads it from."""
    if isinstance(params, str | bytes | Mapping):
        raise InvalidArgument(
            f"params must be a list of values, not {type(params).__name__}", "the first of them is $1 in the text"
        )
    return [_plain_param(param) for param in params]


def _plain_param(param: Any) -> JSON:
    if isinstance(param, datetime | date | time):
        return param.isoformat()
    if isinstance(param, Decimal | UUID):
        return str(param)
    if isinstance(param, timedelta):
        return ENCODERS["interval"]("params", param)
    if isinstance(param, bytes | bytearray | memoryview):
        return "\\x" + bytes(param).hex()
    return param
