"""Jobs of rows in the calling code instead of a worker: what `pgqueue.testing.drain` does with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgqueue._runningrows import AsyncHere, Unstopped
from pgqueue.context import Context
from pgqueue.errors import UnknownTask
from pgqueue.middleware import JobRun
from pgqueue.models import JSON, ClaimedJob
from pgqueue.outcomes import Settlement, settlement_of_error
from pgqueue.rows import BatchDone, Kind, Processor
from pgqueue.worker.rows.blocks import InitFailed, init_failed
from pgqueue.worker.rows.done import ending_of_batch, ending_of_slow_query
from pgqueue.worker.rows.hooked import HookedSlice
from pgqueue.worker.rows.slices import Slice

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient
    from pgqueue._running import AsyncHooks
    from pgqueue.registry import App

__all__ = ["AsyncRowDrain"]

_SLICES: dict[str, Kind] = {"rows.slice": "batch", "rows.slow": "slow_query"}
_DONE = "rows.done"


class AsyncRowDrain:
    """Does for one drain what `pgqueue.worker.rows` does for a worker."""

    def __init__(self, app: App, client: AsyncClient, hooks: AsyncHooks) -> None:
        self._processors = app.processors
        self._around = app.hooks
        self._hooks = hooks
        self._client = client
        self._here = AsyncHere(app.processors.initializers)
        self._contexts: dict[int, JSON] = {}

    def knows(self, kind: str) -> bool:
        """Whether these are jobs of rows."""
        return kind in _SLICES or kind == _DONE

    async def run(self, job: ClaimedJob) -> tuple[Settlement, BaseException | None]:
        """How to settle it, and the first thing that was raised."""
        args = dict(job.args)
        kind: Kind = _SLICES.get(job.kind) or args["kind"]
        processor = self._processors.find(kind, args["app"], args["op"])
        if processor is None:
            error = UnknownTask(f"{args['app']!r} has no {kind} processor of {args['op']!r} here")
            return settlement_of_error(error), error
        try:
            if job.kind in _SLICES:
                return await self._process(processor, job, args)
            await self._tell(processor, args)
        except InitFailed as error:
            return init_failed(error), error
        except Exception as error:
            return settlement_of_error(error), error
        return Settlement("succeeded"), None

    async def _process(
        self, processor: Processor, job: ClaimedJob, args: dict[str, Any]
    ) -> tuple[Settlement, BaseException | None]:
        init = await self._here.init(processor.app)
        work = Slice(Unstopped(), processor, await self._context(args["batch"]), args)
        whole: Slice | HookedSlice = work
        if self._around.at_run:
            whole = HookedSlice(work, self._around, JobRun(args, Context(job, self._hooks)))
        heard = await self._here.rows(whole, init, is_async=processor.is_async)
        return heard if isinstance(heard, Settlement) else Settlement("succeeded", heard), work.raised

    async def _tell(self, processor: Processor, args: dict[str, Any]) -> None:
        if processor.mark_done is None and processor.store is None:
            return
        done = await self._ending(args)
        if processor.store is not None and done.files:
            done = await self._here.store(processor.store, done, self._client.batches)
        if processor.mark_done is not None:
            init = await self._here.init(done.app)
            await self._here.call(processor.mark_done, replace(done, init=init))

    async def _ending(self, args: dict[str, Any]) -> BatchDone:
        batch: int = args["batch"]
        if args["kind"] == "batch":
            return ending_of_batch(await self._client.batch_status(batch))
        return ending_of_slow_query(args, await self._client.slow_query_status(batch), await self._context(batch))

    async def _context(self, batch: int) -> JSON:
        if batch not in self._contexts:
            self._contexts[batch] = await self._client.batch_context(batch)
        return self._contexts[batch]

    async def aclose(self) -> None:
        """Closes the init blocks."""
        await self._here.aclose()
