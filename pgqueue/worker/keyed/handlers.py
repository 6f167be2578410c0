"""The handler of keyed.item.

An execution is a task of its own, and a runner waits for it. When it has to stop, async executors are cancelled, sync
ones see `item.cancelled`; and in both cases `on_cancel` is called at once, beside what still runs, because to end a
query on some other server may be all that lets the executor return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pgqueue._hooks import AppHooks
from pgqueue._json import JsonText, dumps_lossy
from pgqueue._running import run_item
from pgqueue.errors import PgQueueError
from pgqueue.keyed import Executor, KeyedExecutors, KeyedItem, Merge, is_async
from pgqueue.outcomes import OutcomeName, Settlement, error_document
from pgqueue.worker.executors.handlers import context_of, settlement_of_exception
from pgqueue.worker.job import Job
from pgqueue.worker.link import describe
from pgqueue.worker.rows.blocks import Blocks, awaited_by
from pgqueue.worker.rows.pool import Pool, uncancel
from pgqueue.worker.sql import Engine
from pgqueue.worker.sql.turn import TROUBLES

__all__ = ["KeyedHandler"]

logger = logging.getLogger("pgqueue.worker")

_PAUSE = 1.0
"""Seconds before an item is given back that somebody else has to execute: it comes again at once."""


class _Merge(Merge):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()

    def now(self, id: int, text: str) -> bool:
        return asyncio.run_coroutine_threadsafe(self.soon(id, text), self._loop).result()

    async def soon(self, id: int, text: str) -> bool:
        return await self._engine.call(self._engine.calls.keyed_merge_extra(id=id, extra=text))


class KeyedHandler:
    """To the executors, the task of the kind keyed.item. `engine` has the connections to the queue. Raises
    InvalidArgument when a middleware cannot go around all of the executors.

    Args:
        arm: watches a job's timeout.
        on_executed: an item has ended here.
    """

    is_async = True
    is_sql = False
    patience: float | None = None

    def __init__(
        self,
        executors: KeyedExecutors,
        engine: Engine,
        hooks: AppHooks,
        *,
        arm: Callable[[Job], None],
        on_executed: Callable[[], None],
    ) -> None:
        hooks.check_run(executors)
        loop = asyncio.get_running_loop()
        self._hooks = hooks
        self._executors = executors
        self._engine = engine
        self._arm = arm
        self._on_executed = on_executed
        self._merge = _Merge(engine)
        self._pool = Pool(lambda: Blocks({}, awaited_by(loop)))

    def encode(self, value: Any) -> JsonText | None:
        """What `run` gives is JSON already."""
        text: JsonText | None = value
        return text

    async def run(self, job: Job) -> JsonText | Settlement | None:
        """Raises nothing but CancelledError."""
        executor = self._executors.find(job.queue)
        if executor is None:
            logger.warning("an item without an executor here is given back", extra=_facts(job))
            return await _given_back()
        try:
            found = await self._engine.call(self._engine.calls.keyed_get(id=job.id))
        except TROUBLES as error:
            logger.error("an item is given back: %s", describe(error), extra=_facts(job))
            return await _given_back()
        if found is None:
            return Settlement("release")  # cancelled meanwhile: refused
        try:
            item = executor.item(found, job.attempt, lambda: job.stop is not None, self._merge)
        except PgQueueError as error:
            return _failed(error, "discard")
        if executor.timeout is not None:
            job.timeout = executor.timeout
            self._arm(job)
        try:
            return await self._execute(job, executor, item)
        finally:
            self._on_executed()

    async def _execute(self, job: Job, executor: Executor, item: KeyedItem) -> JsonText | Settlement:
        function = executor.fn
        if self._hooks.at_run:
            context = context_of(job)
            function = lambda item: run_item(self._hooks, executor, item, context)  # noqa: E731
        task = asyncio.create_task(self._call(function, item, executor.is_async), name=f"pgqueue item {item.id}")
        telling: asyncio.Task[None] | None = None
        while not (task.done() and (telling is None or telling.done())):
            try:
                await asyncio.wait({task} if telling is None else {task, telling})
            except asyncio.CancelledError:
                if executor.is_async:
                    task.cancel()
                if job.stop is None:  # the worker leaves
                    raise
                uncancel()
                if telling is None:
                    telling = asyncio.create_task(self.tell_cancelled(executor, item))
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if job.stop is not None and (error is not None or job.stop != "shutdown"):
            return settlement_of_exception(job, error or asyncio.CancelledError())
        if error is not None:
            logger.warning("an executor raised", exc_info=error, extra=_facts(job))
            return _failed(error, "failed")
        try:
            return executor.result(task.result())
        except PgQueueError as unfit:
            return _failed(unfit, "discard")

    async def tell_cancelled(self, executor: Executor, item: KeyedItem) -> None:
        """Calls `on_cancel`. Does not raise."""
        if executor.on_cancel is None:
            return
        try:
            await self._call(executor.on_cancel, item, is_async(executor.on_cancel))
        except Exception as error:
            logger.warning("on_cancel of an item raised", exc_info=error, extra={"job_id": item.id, "key": item.key})

    async def _call(self, function: Callable[[KeyedItem], Any], item: KeyedItem, on_loop: bool) -> Any:
        return await (function(item) if on_loop else self._pool.run(lambda blocks: function(item)))

    async def close(self) -> None:
        """Lets threads that have nothing to do end. Does not raise."""
        await self._pool.close()


def _failed(error: BaseException, outcome: OutcomeName) -> Settlement:
    """The message is what callers get: never an empty one."""
    document = error_document(error)
    return Settlement(outcome, error=dumps_lossy({**document, "message": document["message"] or document["type"]}))


def _facts(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "queue": job.queue, "attempt": job.attempt}


async def _given_back() -> Settlement:
    await asyncio.sleep(_PAUSE)
    return Settlement("release")
