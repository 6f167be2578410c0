"""PostgreSQL as a job queue.

    from pgqueue import App

    app = App()

    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    handle = add.enqueue(1, 2)      # a worker does it: pgqueue worker module:app
    handle.result(timeout=10)       # 3

Names are loaded when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing it from typing would cost more than all the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from pgqueue import codec as codec
    from pgqueue import flow as flow
    from pgqueue import keyed as keyed
    from pgqueue import middleware as middleware
    from pgqueue import rows as rows
    from pgqueue import testing as testing
    from pgqueue._async.batches import AsyncBatches as AsyncBatches
    from pgqueue._async.client import AsyncClient as AsyncClient
    from pgqueue._async.keyed import AsyncKeyedQueue as AsyncKeyedQueue
    from pgqueue._async.query import AsyncQueryHandle as AsyncQueryHandle
    from pgqueue._async.script import AsyncScriptHandle as AsyncScriptHandle
    from pgqueue._sync.batches import Batches as Batches
    from pgqueue._sync.client import Client as Client
    from pgqueue._sync.keyed import KeyedQueue as KeyedQueue
    from pgqueue._sync.query import QueryHandle as QueryHandle
    from pgqueue._sync.script import ScriptHandle as ScriptHandle
    from pgqueue.codec import Codec as Codec
    from pgqueue.context import Context as Context
    from pgqueue.errors import AlreadyRegistered as AlreadyRegistered
    from pgqueue.errors import Busy as Busy
    from pgqueue.errors import CannotUnseal as CannotUnseal
    from pgqueue.errors import Conflict as Conflict
    from pgqueue.errors import ConnectionLost as ConnectionLost
    from pgqueue.errors import InvalidArgument as InvalidArgument
    from pgqueue.errors import ItemCancelled as ItemCancelled
    from pgqueue.errors import ItemFailed as ItemFailed
    from pgqueue.errors import JobFailed as JobFailed
    from pgqueue.errors import NotConfigured as NotConfigured
    from pgqueue.errors import NotSerialisable as NotSerialisable
    from pgqueue.errors import PermissionDenied as PermissionDenied
    from pgqueue.errors import PgQueueError as PgQueueError
    from pgqueue.errors import QueryFailed as QueryFailed
    from pgqueue.errors import QueueFull as QueueFull
    from pgqueue.errors import ResultRestarted as ResultRestarted
    from pgqueue.errors import ResultTimeout as ResultTimeout
    from pgqueue.errors import ResultTooLarge as ResultTooLarge
    from pgqueue.errors import SchemaError as SchemaError
    from pgqueue.errors import SchemaMissing as SchemaMissing
    from pgqueue.errors import SchemaOutdated as SchemaOutdated
    from pgqueue.errors import SchemaTooNew as SchemaTooNew
    from pgqueue.errors import ScriptFailed as ScriptFailed
    from pgqueue.errors import StaleLease as StaleLease
    from pgqueue.errors import UnknownJob as UnknownJob
    from pgqueue.errors import UnknownTask as UnknownTask
    from pgqueue.errors import UnknownWorker as UnknownWorker
    from pgqueue.flow import chain as chain
    from pgqueue.flow import error as error
    from pgqueue.flow import group as group
    from pgqueue.flow import result as result
    from pgqueue.flowhandle import FlowHandle as FlowHandle
    from pgqueue.handle import JobCount as JobCount
    from pgqueue.handle import JobHandle as JobHandle
    from pgqueue.handle import JobHandles as JobHandles
    from pgqueue.keyed import KeyedItem as KeyedItem
    from pgqueue.middleware import JobRun as JobRun
    from pgqueue.middleware import Middleware as Middleware
    from pgqueue.middleware import NewJob as NewJob
    from pgqueue.models import BulkResult as BulkResult
    from pgqueue.models import JobFilter as JobFilter
    from pgqueue.options import Backoff as Backoff
    from pgqueue.outcomes import Cancel as Cancel
    from pgqueue.outcomes import Discard as Discard
    from pgqueue.outcomes import Retry as Retry
    from pgqueue.outcomes import Snooze as Snooze
    from pgqueue.registry import App as App
    from pgqueue.task import Task as Task

_WHERE = {
    "App": "registry",
    "Task": "task",
    "Backoff": "options",
    "BulkResult": "models",
    "JobFilter": "models",
    "Codec": "codec",
    "Context": "context",
    **dict.fromkeys(("chain", "error", "group", "result"), "flow"),
    "FlowHandle": "flowhandle",
    "JobHandle": "handle",
    "JobCount": "handle",
    "JobHandles": "handle",
    "Client": "_sync.client",
    "AsyncClient": "_async.client",
    "Batches": "_sync.batches",
    "AsyncBatches": "_async.batches",
    "KeyedQueue": "_sync.keyed",
    "AsyncKeyedQueue": "_async.keyed",
    "KeyedItem": "keyed",
    "QueryHandle": "_sync.query",
    "AsyncQueryHandle": "_async.query",
    "ScriptHandle": "_sync.script",
    "AsyncScriptHandle": "_async.script",
    **dict.fromkeys(("JobRun", "Middleware", "NewJob"), "middleware"),
    **dict.fromkeys(("Retry", "Snooze", "Cancel", "Discard"), "outcomes"),
    **dict.fromkeys(
        (
            "AlreadyRegistered",
            "Busy",
            "CannotUnseal",
            "Conflict",
            "ConnectionLost",
            "InvalidArgument",
            "ItemCancelled",
            "ItemFailed",
            "JobFailed",
            "NotConfigured",
            "NotSerialisable",
            "PermissionDenied",
            "PgQueueError",
            "QueryFailed",
            "QueueFull",
            "ResultRestarted",
            "ResultTimeout",
            "ResultTooLarge",
            "SchemaError",
            "SchemaMissing",
            "SchemaOutdated",
            "SchemaTooNew",
            "ScriptFailed",
            "StaleLease",
            "UnknownJob",
            "UnknownTask",
            "UnknownWorker",
        ),
        "errors",
    ),
}
_MODULES = (
    "codec",
    "config",
    "errors",
    "flow",
    "keyed",
    "middleware",
    "models",
    "rows",
    "schema",
    "stores",
    "testing",
    "worker",
)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _WHERE:
        value = getattr(import_module(f"pgqueue.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"pgqueue.{name}")
    raise AttributeError(f"module 'pgqueue' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_MODULES})
