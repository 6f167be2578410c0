"""What this library knows of the public SQL functions: arguments with their types, and the result columns it reads.

A test compares it with pg_proc.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, LiteralString

from pgqueue import models

__all__ = ["FUNCTIONS", "Function", "literal"]

_Arguments = dict[LiteralString, LiteralString]

_RESERVED: Final = frozenset({"position", "unique"})  # words of SQL that are names here


def literal(text: str) -> LiteralString:
    """Vouches for a text that holds nothing from outside: a name of ours, or a schema name that passed
    `validate_schema`.
    """
    return text  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Function:
    """One public function. Without columns it returns a single value, read as the only column, or void."""

    name: LiteralString
    arguments: _Arguments
    columns: tuple[LiteralString, ...] = ()
    is_procedure: bool = False

    def statement(self, schema: LiteralString) -> LiteralString:
        """Names every argument and column: a newer schema, which adds its own last, serves this library unchanged."""
        arguments: LiteralString = ", ".join(
            [f"{_quoted(name)} => %({name})s::{kind}" for name, kind in self.arguments.items()]
        )
        call: LiteralString = f"{schema}.{self.name}({arguments})"
        if self.is_procedure:
            return f"call {call}"
        columns: LiteralString = ", ".join([_quoted(name) for name in self.columns]) or "*"
        return f"select {columns} from {call}"


def _quoted(name: LiteralString) -> LiteralString:
    return f'"{name}"' if name in _RESERVED else name


def _columns(model: type) -> tuple[LiteralString, ...]:
    return tuple(literal(field.name) for field in fields(model))


_POLICY: Final[_Arguments] = {
    "max_attempts": "int",
    "timeout": "interval",
    "expires_in": "interval",
    "heartbeat": "interval",
    "backoff": "jsonb",
    "headers": "jsonb",
}
_COMPOSED: Final[_Arguments] = {
    "depends_on": "bigint[]",
    "on_parent_failure": "text",
    "on_success": "jsonb",
    "on_error": "jsonb",
}
_FLOW: Final[_Arguments] = {
    "unique_by": "text[]",
    "unique_until": "text",
    "unique_for": "interval",
    "on_duplicate": "text",
    **_COMPOSED,
}
_PAGE: Final[_Arguments] = {"id": "bigint", "after": "bigint", "max": "int"}
_SETTLED: Final[_Arguments] = {
    "leases": "bigint[]",
    "jobs": "bigint[]",
    "outcomes": "text[]",
    "results": "jsonb[]",
    "errors": "jsonb[]",
    "delays": "interval[]",
}
_OF_OWNER: Final[_Arguments] = {"id": "bigint", "as_owner": "text"}
_SESSION: Final[_Arguments] = {"datasource": "text", "role": "text", "settings": "jsonb"}
_LEASED: Final[_Arguments] = {"lease": "bigint", "job": "bigint"}
_BACKEND: Final[_Arguments] = {**_LEASED, "backend_pid": "int", "backend_start": "timestamptz"}
_BATCH: Final[_Arguments] = {"hold": "boolean", "owner": "text", "priority": "int", "slice_size": "int", **_COMPOSED}
_KEYED: Final[_Arguments] = {"queue": "text", "key": "text", "id": "bigint"}
_ITEM: Final[_Arguments] = {
    "queue": "text",
    "key": "text",
    "payload": "text",
    "priority": "int",
    "orphan_ms": "bigint",
    "process_id": "text",
    "exclusive": "boolean",
    "external_id": "text",
}
_ITEM_ENDS: Final[_Arguments] = {"stage_key": "text", "reuse": "boolean", "max_attempts": "int"}
_OF_PROCESS: Final[_Arguments] = {"queue": "text", "process_id": "text"}
_FILTER: Final[_Arguments] = {"filter": "jsonb"}
_BATCHED: Final[_Arguments] = {"max": "int", "after": "bigint"}
_STEP: Final = ("done", "skipped", "last", "more")
_CLAIMED: Final = _columns(models.ClaimedJob)
_ENQUEUED: Final = _columns(models.Enqueued)
_CHANGE: Final = _columns(models.Change)

_ALL: Final = [
    Function(
        "enqueue",
        {
            "kind": "text",
            "args": "jsonb",
            "queue": "text",
            "priority": "int",
            "run_at": "timestamptz",
            "delay": "interval",
            "unique_key": "text",
            "group_key": "text",
            **_POLICY,
            **_FLOW,
        },
        _ENQUEUED,
    ),
    Function(
        "enqueue_each",
        {
            "kind": "text",
            "args": "jsonb[]",
            "queue": "text",
            "priority": "int",
            "run_at": "timestamptz",
            "delay": "interval",
            "unique_keys": "text[]",
            "group_keys": "text[]",
            **_POLICY,
            **_FLOW,
        },
        _ENQUEUED,
    ),
    Function("enqueue_many", {"jobs": "jsonb"}, _ENQUEUED),
    Function("parents", _PAGE, _columns(models.ParentResult)),
    Function("children", _PAGE, _columns(models.ChildJob)),
    Function("group_status", {"id": "bigint"}, _columns(models.GroupStatus)),
    Function("register_worker", {"name": "text", "queues": "text[]", "concurrency": "int", "info": "jsonb"}),
    Function("worker_heartbeat", {"worker": "bigint", "leases": "bigint[]"}, _columns(models.Directive)),
    Function("deregister_worker", {"worker": "bigint"}),
    Function("claim", {"worker": "bigint", "queues": "text[]", "n": "int", "urgent": "boolean"}, _CLAIMED),
    Function("settle", {**_SETTLED}, _columns(models.Problem)),
    Function(
        "settle_and_claim",
        {"worker": "bigint", **_SETTLED, "queues": "text[]", "n": "int", "urgent": "boolean"},
        ("problem", *_CLAIMED),
    ),
    Function("job_heartbeat", {"lease": "bigint", "job": "bigint", "progress": "jsonb"}, _columns(models.Heartbeat)),
    Function("cancel", {"id": "bigint", "why": "text"}, _CHANGE),
    Function("retry", {"id": "bigint"}, _CHANGE),
    Function("reschedule", {"id": "bigint", "run_at": "timestamptz"}, _CHANGE),
    Function("set_priority", {"id": "bigint", "priority": "int"}, _CHANGE),
    Function("pause_queue", {"queue": "text"}),
    Function("resume_queue", {"queue": "text"}),
    Function("configure_queue", {"queue": "text", "settings": "jsonb"}),
    Function("configure_group", {"queue": "text", "group_key": "text", "settings": "jsonb"}),
    Function("groups", {"queue": "text", "after": "text", "max": "int"}, _columns(models.GroupInfo)),
    Function("unblock_group", {"queue": "text", "group_key": "text"}),
    Function("configure", {"settings": "jsonb"}),
    Function("result", {"id": "bigint"}, _columns(models.Result)),
    Function("watch", {"jobs": "bigint[]", "lasting": "interval", "listening": "boolean"}, ("job_id", "state")),
    Function("unwatch", {}),
    Function("wait", {"id": "bigint", "timeout": "interval"}, ("state", "reason", "result"), is_procedure=True),
    Function("worker_sleep", {"queues": "text[]"}),
    Function("worker_wake", {}),
    Function("try_lead", {}),
    Function("stop_leading", {}),
    Function("maintain", {"duties": "text[]"}, _columns(models.Duty)),
    Function("next_due", {}),
    Function("job", {"id": "bigint"}, _columns(models.Job)),
    Function(
        "jobs",
        {"queue": "text", "kind": "text", "state": "text", "before": "bigint", "max": "int"},
        _columns(models.JobSummary),
    ),
    Function("attempts", {"id": "bigint"}, _columns(models.Attempt)),
    Function("log_lines", {**_LEASED, "lines": "jsonb"}),
    Function("job_log", {"id": "bigint", "after": "bigint", "max": "int"}, _columns(models.LogLine)),
    Function("job_timeline", {"id": "bigint"}, _columns(models.TimelineEvent)),
    Function(
        "throughput",
        {
            "queue": "text",
            "kind": "text",
            "since": "timestamptz",
            "until": "timestamptz",
            "step": "interval",
            "by_kind": "boolean",
        },
        _columns(models.Throughput),
    ),
    Function("queues", {}, _columns(models.QueueInfo)),
    Function("workers", {}, _columns(models.WorkerInfo)),
    Function("why", {"id": "bigint"}),
    Function("health", {}, _columns(models.HealthItem)),
    Function("version", {}),
    Function(
        "submit_script",
        {"document": "jsonb", "owner": "text", "queue": "text", "priority": "int", **_SESSION, **_COMPOSED},
        ("id",),
    ),
    Function("script_report", _OF_OWNER),
    Function(
        "scripts",
        {"owner": "text", "state": "text", "queue": "text", "before": "bigint", "max": "int"},
        _columns(models.ScriptSummary),
    ),
    Function("cancel_script", {**_OF_OWNER, "why": "text"}),
    Function("scripts_running", {"queue": "text"}, _columns(models.OwnerScripts)),
    Function("configure_owner", {"owner": "text", "settings": "jsonb"}),
    Function("script_begin", _BACKEND, _columns(models.ScriptOrders)),
    Function("script_end", {**_LEASED, "error": "jsonb", "notices": "jsonb"}, _columns(models.ScriptVerdict)),
    Function(
        "submit_query",
        {
            "sql": "text",
            "params": "jsonb",
            "owner": "text",
            "queue": "text",
            **_SESSION,
            "timeout": "interval",
            "wait_timeout": "interval",
            "max_age": "interval",
            "unique": "boolean",
            "read_only": "boolean",
            "batch_rows": "int",
            "max_rows": "bigint",
            "max_bytes": "bigint",
            "ttl": "interval",
            "priority": "int",
            **_COMPOSED,
        },
        _columns(models.SubmittedQuery),
    ),
    Function("query_status", _OF_OWNER, _columns(models.QueryStatus)),
    Function("query_columns", _OF_OWNER, _columns(models.QueryColumn)),
    Function(
        "query_batch", {"id": "bigint", "n": "int", "format": "text", "as_owner": "text"}, _columns(models.QueryBatch)
    ),
    Function("cancel_query", {**_OF_OWNER, "why": "text"}, _columns(models.Withdrawal)),
    Function("query_begin", _BACKEND, _columns(models.QueryOrders)),
    Function("query_describe", {**_LEASED, "columns": "jsonb", "param_types": "text[]"}, _columns(models.QueryPlan)),
    Function("query_put", {**_LEASED, "n": "int", "row_count": "int", "data": "text"}, ("cancel_requested",)),
    Function(
        "query_end",
        {**_LEASED, "command": "text", "error": "jsonb", "notices": "jsonb"},
        _columns(models.QueryVerdict),
    ),
    Function(
        "batch_submit",
        {"app": "text", "op": "text", "context": "jsonb", "rows": "jsonb", **_BATCH},
    ),
    Function(
        "batch_submit_each",
        {"app": "text", "op": "text", "context": "jsonb", "lines": "integer[]", "inputs": "jsonb[]", **_BATCH},
    ),
    Function("batch_append", {"id": "bigint", "rows": "jsonb", "hold": "boolean"}),
    Function("batch_append_each", {"id": "bigint", "lines": "integer[]", "inputs": "jsonb[]", "hold": "boolean"}),
    Function("batch_release", {"id": "bigint"}),
    Function("batch_status", _OF_OWNER, _columns(models.BatchInfo)),
    Function(
        "batch_rows",
        {"id": "bigint", "after_line": "int", "max": "int", "after_row": "int", "as_owner": "text"},
        _columns(models.RowOutcome),
    ),
    Function("batch_abort", {**_OF_OWNER, "why": "text"}, _columns(models.BatchAborted)),
    Function(
        "batch_list",
        {
            "app": "text",
            "op": "text",
            "max_age": "interval",
            "kind": "text",
            "status": "text",
            "max": "int",
            "before": "bigint",
            "owner": "text",
        },
        _columns(models.BatchInfo),
    ),
    Function("batch_context", {"id": "bigint"}),
    Function("batch_purge", {"older_than": "interval", "app": "text"}),
    Function(
        "slow_query_submit",
        {
            "app": "text",
            "op": "text",
            "context": "jsonb",
            "input": "jsonb",
            "owner": "text",
            "priority": "int",
            **_COMPOSED,
        },
    ),
    Function("slow_query_status", _OF_OWNER, _columns(models.SlowQueryStatus)),
    Function("slow_query_abort", {**_OF_OWNER, "why": "text"}, _columns(models.SlowQueryAborted)),
    Function(
        "output_file",
        {
            "id": "bigint",
            "name": "text",
            "after_line": "int",
            "after_row": "int",
            "chars": "int",
            "as_owner": "text",
        },
        _columns(models.FilePiece),
    ),
    Function(
        "schedule",
        {
            "name": "text",
            "cron": "text",
            "kind": "text",
            "args": "jsonb",
            "time_zone": "text",
            "queue": "text",
            "missed": "text",
            "priority": "int",
            "unique_key": "text",
            "group_key": "text",
            **_POLICY,
            "starts_at": "timestamptz",
            "ends_at": "timestamptz",
            **{name: type for name, type in _FLOW.items() if name not in ("depends_on", "on_parent_failure")},
        },
        _columns(models.ScheduleChange),
    ),
    Function("unschedule", {"name": "text"}),
    Function("pause_schedule", {"name": "text"}),
    Function("resume_schedule", {"name": "text"}),
    Function("run_schedule", {"name": "text"}),
    Function("schedules", {}, _columns(models.Schedule)),
    Function("next_runs", {"cron": "text", "time_zone": "text", "n": "int", "after": "timestamptz"}),
    Function("sync_schedules", {"app": "text", "declared": "jsonb"}, _columns(models.SyncedSchedule)),
    Function("cancel_jobs", {**_FILTER, **_BATCHED, "why": "text"}, _STEP),
    Function(
        "retry_jobs",
        {**_FILTER, **_BATCHED, "rate_limit": "int", "rate_period": "interval", "starts_at": "timestamptz"},
        (*_STEP, "next_at"),
    ),
    Function("set_priority_of_jobs", {**_FILTER, "priority": "int", **_BATCHED}, _STEP),
    Function("move_jobs", {**_FILTER, "queue": "text", **_BATCHED}, _STEP),
    Function("delete_jobs", {**_FILTER, **_BATCHED}, _STEP),
    Function("count_jobs", {**_FILTER, "action": "text", **_BATCHED}, ("jobs", "last", "more")),
    Function("edit_job", {"id": "bigint", "args": "jsonb", "headers": "jsonb"}, _CHANGE),
    Function(
        "failures",
        {"queue": "text", "kind": "text", "since": "timestamptz", "max": "int"},
        _columns(models.Failure),
    ),
    Function("keyed_add", {**_ITEM, **_ITEM_ENDS}, _columns(models.KeyedAdded)),
    Function("keyed_add_and_claim", {**_ITEM, "concurrency": "int", **_ITEM_ENDS}, _columns(models.KeyedAddedClaim)),
    Function("keyed_claim", {**_KEYED, "concurrency": "int", "process_id": "text"}, _columns(models.KeyedClaim)),
    Function(
        "keyed_claim_next",
        {"queue": "text", "concurrency": "int", "process_id": "text", "n": "int"},
        _columns(models.KeyedNext),
    ),
    Function("keyed_get", _KEYED, _columns(models.KeyedItemInfo)),
    Function("keyed_cancel", _KEYED, _columns(models.KeyedItemInfo)),
    Function("keyed_heartbeat", _KEYED),
    Function("keyed_merge_extra", {**_KEYED, "extra": "text"}),
    Function("keyed_extend", {"id": "bigint", "orphan_ms": "bigint"}),
    Function("keyed_ack", {**_KEYED, "result": "text", "ttl": "interval"}),
    Function("keyed_result", {"queue": "text", "key": "text", "external_id": "text"}, _columns(models.KeyedResult)),
    Function(
        "keyed_result_by_id", {"id": "bigint", "external_id": "text", "hide": "boolean"}, _columns(models.KeyedResult)
    ),
    Function("keyed_wait", {"id": "bigint", "timeout": "interval"}, ("payload", "state"), is_procedure=True),
    Function("keyed_state", {"id": "bigint"}, ("state",)),
    Function("keyed_list", _OF_PROCESS, _columns(models.KeyedListed)),
    Function("keyed_keys", _OF_PROCESS, _columns(models.KeyedLine)),
    Function("keyed_pending", _OF_PROCESS, _columns(models.KeyedLine)),
    Function("keyed_active", _OF_PROCESS, _columns(models.KeyedLine)),
    Function("keyed_stalled", {"queue": "text", "heartbeat_ms": "bigint"}, _columns(models.KeyedRef)),
    Function("keyed_orphaned", {"queue": "text", "orphan_ms": "bigint"}, _columns(models.KeyedRef)),
    Function(
        "keyed_to_cancel", {"queue": "text", "heartbeat_ms": "bigint", "orphan_ms": "bigint"}, _columns(models.KeyedRef)
    ),
    Function(
        "keyed_reap",
        {"queue": "text", "heartbeat_ms": "bigint", "orphan_ms": "bigint", "max": "int", "release": "boolean"},
        _columns(models.KeyedReaped),
    ),
    Function("keyed_stage", {"queue": "text", "stage_key": "text", "priority": "int"}, _columns(models.KeyedStage)),
    Function("keyed_truncate", {"queue": "text"}),
    Function("next_number", {"name": "text"}),
]

FUNCTIONS: Final[dict[str, Function]] = {function.name: function for function in _ALL}
