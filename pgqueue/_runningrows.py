"""Running what users have written for rows where we are: what `pgqueue.testing` shares between its doors.

Blocking code has it all in its own thread, with an event loop at hand for what is async. On an event loop what is sync
runs in threads beside it. Either keeps one init block for each application, until it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pgqueue.worker.rows.blocks import Blocks, LoopBlocks, awaited
from pgqueue.worker.rows.done import stored

if TYPE_CHECKING:
    from pgqueue._async.batches import AsyncBatches
    from pgqueue._json import JsonText
    from pgqueue._sync.batches import Batches
    from pgqueue.outcomes import Settlement
    from pgqueue.rows import BatchDone
    from pgqueue.stores import ObjectStore
    from pgqueue.worker.rows.hooked import HookedSlice
    from pgqueue.worker.rows.slices import Slice

__all__ = ["AsyncHere", "Here", "Unstopped"]


class Unstopped:
    """A job that nobody stops."""

    stop = None


class Here:
    """For blocking code."""

    def __init__(self, initializers: Mapping[str, Callable[[str], Any]]) -> None:
        self._runner = asyncio.Runner()
        self._blocks = Blocks(initializers, lambda value: self._runner.run(awaited(value)))

    def init(self, app: str) -> Any:
        """The init block of an application. Raises InitFailed."""
        return self._blocks.get(app)

    def rows(self, work: Slice | HookedSlice, init: Any, *, is_async: bool) -> JsonText | Settlement:
        return self._runner.run(work.arun(init)) if is_async else work.run(init)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's returns, awaited if need be."""
        return self._blocks.call(function, *args)

    def store(self, store: ObjectStore, done: BatchDone, batches: Batches) -> BatchDone:
        """See `stored`."""
        return stored(store, done, lambda name: batches.open_file(done.id, name))

    def close(self) -> None:
        self._blocks.close()
        self._runner.close()


class AsyncHere:
    """For code on an event loop."""

    def __init__(self, initializers: Mapping[str, Callable[[str], Any]]) -> None:
        self._blocks = LoopBlocks(initializers, asyncio.to_thread)

    async def init(self, app: str) -> Any:
        """The init block of an application. Raises InitFailed."""
        return await self._blocks.get(app)

    async def rows(self, work: Slice | HookedSlice, init: Any, *, is_async: bool) -> JsonText | Settlement:
        return await (work.arun(init) if is_async else asyncio.to_thread(work.run, init))

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's returns, awaited if need be."""
        return await self._blocks.call(function, *args)

    async def store(self, store: ObjectStore, done: BatchDone, batches: AsyncBatches) -> BatchDone:
        """See `stored`."""
        loop = asyncio.get_running_loop()

        def read(name: str) -> Iterator[str]:
            pieces = batches.open_file(done.id, name)
            while (piece := asyncio.run_coroutine_threadsafe(awaited(anext(pieces, None)), loop).result()) is not None:
                yield piece

        return await asyncio.to_thread(stored, store, done, read)

    async def aclose(self) -> None:
        await self._blocks.close()
