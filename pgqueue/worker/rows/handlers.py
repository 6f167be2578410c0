"""The handlers of rows.slice, rows.slow and rows.done.

All are async to the executors. What is sync of the user's runs in a thread of `Pool`, and the runner that waits for it
cannot be hurried: a row that is being processed is finished, however the slice was stopped. Only when that takes too
long the executors give the slot to others.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from pgqueue._hooks import AppHooks
from pgqueue._json import JsonText
from pgqueue.errors import UnknownJob
from pgqueue.middleware import JobRun
from pgqueue.outcomes import Settlement, settlement_of_error
from pgqueue.rows import BatchDone, Kind, Processor, Processors, is_async
from pgqueue.worker.executors.handlers import context_of
from pgqueue.worker.job import Job
from pgqueue.worker.link import describe
from pgqueue.worker.rows.blocks import Blocks, InitFailed, LoopBlocks, awaited_by, init_failed
from pgqueue.worker.rows.contexts import Contexts
from pgqueue.worker.rows.done import ending_of_batch, ending_of_slow_query, stored
from pgqueue.worker.rows.hooked import HookedSlice
from pgqueue.worker.rows.pool import Pool, uncancel
from pgqueue.worker.rows.slices import Slice
from pgqueue.worker.sql import Engine
from pgqueue.worker.sql.turn import TROUBLES
from pgqueue.worker.wire import JSON_START

__all__ = ["RowHandler", "Rows"]

logger = logging.getLogger("pgqueue.worker")
T = TypeVar("T")

_PAUSE = 1.0
"""Seconds before a job is given back that somebody else has to do: it comes again at once."""
_CHARS = 1_000_000
"""Characters of an output file to read at a time."""


class RowHandler:
    """To the executors, the task of a kind."""

    is_async = True
    is_sql = False
    patience: float | None = None

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def encode(self, value: Any) -> JsonText | None:
        """What `run` gives is JSON already."""
        text: JsonText | None = value
        return text

    async def run(self, job: Job) -> JsonText | Settlement | None:
        """Raises nothing but CancelledError, and what is a mistake here."""
        try:
            return await self._run(job, json.loads(job.args[JSON_START:]))
        except InitFailed as error:
            logger.warning("%s", error, exc_info=error.__cause__, extra={"job_id": job.id, "attempt": job.attempt})
            return init_failed(error)
        except TROUBLES as error:
            logger.error("a job of rows is given back: %s", describe(error), extra={"job_id": job.id})
            return await _given_back()
        except UnknownJob as error:
            return settlement_of_error(error, "discard")  # the batch has been forgotten

    async def _run(self, job: Job, args: dict[str, Any]) -> JsonText | Settlement | None:
        raise NotImplementedError


class SliceHandler(RowHandler):
    """rows.slice, and rows.slow, a slice of one row."""

    def __init__(self, rows: Rows, kind: Kind) -> None:
        super().__init__(rows)
        self._kind: Kind = kind

    async def _run(self, job: Job, args: dict[str, Any]) -> JsonText | Settlement:
        rows = self._rows
        processor = rows.processors.find(self._kind, args["app"], args["op"])
        if processor is None:
            return await _not_ours(job, args)
        plain = Slice(job, processor, await rows.contexts.of(args["batch"]), args)
        hooks = rows.hooks
        work = HookedSlice(plain, hooks, JobRun(args, context_of(job))) if hooks.at_run else plain
        if processor.is_async:
            try:
                return await work.arun(await rows.blocks.get(processor.app))
            finally:
                if job.stop is not None:
                    uncancel()
        heard: JsonText | Settlement = await rows.pool.run(lambda blocks: work.run(blocks.get(processor.app)), job)
        return heard


class DoneHandler(RowHandler):
    """rows.done."""

    async def _run(self, job: Job, args: dict[str, Any]) -> JsonText | Settlement | None:
        rows = self._rows
        processor = rows.processors.find(args["kind"], args["app"], args["op"])
        if processor is None:
            return await _not_ours(job, args)
        if processor.mark_done is None and processor.store is None:
            return None
        done = await self._ending(args)
        try:
            await self._tell(job, processor, done)
        except InitFailed:
            raise
        except Exception as error:
            logger.warning(
                "the callback of a batch failed",
                exc_info=error,
                extra={"job_id": job.id, "batch": done.id, "attempt": job.attempt},
            )
            return settlement_of_error(error)
        return None

    async def _ending(self, args: dict[str, Any]) -> BatchDone:
        """Raises UnknownJob when the batch is forgotten already."""
        engine, batch = self._rows.engine, args["batch"]
        if args["kind"] == "batch":
            return ending_of_batch(await engine.call(engine.calls.batch_status(batch)))
        status = await engine.call(engine.calls.slow_query_status(batch))
        return ending_of_slow_query(args, status, await engine.call(engine.calls.batch_context(batch)))

    async def _tell(self, job: Job, processor: Processor, done: BatchDone) -> None:
        rows = self._rows
        store, mark_done = processor.store, processor.mark_done
        if store is not None and done.files:
            loop = asyncio.get_running_loop()
            told = done
            done = await rows.pool.run(lambda _: stored(store, told, lambda name: self._read(told.id, name, loop)), job)
        if mark_done is None:
            return
        if is_async(mark_done):
            await mark_done(replace(done, init=await rows.blocks.get(done.app)))
        else:
            last = done
            await rows.pool.run(lambda blocks: mark_done(replace(last, init=blocks.get(last.app))), job)

    def _read(self, batch: int, name: str, loop: asyncio.AbstractEventLoop) -> Iterator[str]:
        """The pieces of an output file, in a thread."""
        engine = self._rows.engine
        line: int | None = None
        row: int | None = None
        while True:
            call = engine.calls.output_file(batch, name, line, row, _CHARS)
            piece = asyncio.run_coroutine_threadsafe(engine.call(call), loop).result()
            if piece.data:
                yield piece.data
            if piece.is_last:
                return
            line, row = piece.next_line, piece.next_row


class Rows:
    """One per worker. `engine` has the connections to the queue, `hooks` what goes around slices."""

    def __init__(self, processors: Processors, engine: Engine, hooks: AppHooks) -> None:
        """Raises InvalidArgument when a middleware cannot go around all of the processors."""
        hooks.check_run(processors)
        loop = asyncio.get_running_loop()
        self.processors = processors
        self.hooks = hooks
        self.engine = engine
        self.contexts = Contexts(lambda batch: engine.call(engine.calls.batch_context(batch)))
        self.pool = Pool(lambda: Blocks(processors.initializers, awaited_by(loop)))
        self.blocks = LoopBlocks(processors.initializers, self._call_in_thread)
        self.handlers: dict[str, RowHandler] = {
            "rows.slice": SliceHandler(self, "batch"),
            "rows.slow": SliceHandler(self, "slow_query"),
            "rows.done": DoneHandler(self),
        }

    async def _call_in_thread(self, function: Any) -> Any:
        return await self.pool.run(lambda blocks: function())

    async def close(self) -> None:
        """Closes the init blocks. Does not raise."""
        await self.blocks.close()
        await self.pool.close()


async def _not_ours(job: Job, args: dict[str, Any]) -> Settlement:
    logger.warning(
        "rows without a processor here are given back",
        extra={"job_id": job.id, "kind": job.kind, "app": args["app"], "op": args["op"]},
    )
    return await _given_back()


async def _given_back() -> Settlement:
    await asyncio.sleep(_PAUSE)
    return Settlement("release")
