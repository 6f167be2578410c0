"""The threads of sync processors. Each has its own init blocks, which it closes itself.

They are apart from the executors' threads because a slice is first looked at on the event loop: whose it is, and what
its batch's context is, may have to be asked. There are never more of them at work than slots, since each works for a
runner that waits for it; one whose processor never returns is left alone, and ends with the process.

A thread works until nothing waits any more, and only then calls the event loop, for all that has come back. While
something waits, the loop looks by itself every moment: it collects, and wakes one thread more. So a processor that
takes long has as many threads as it can use within milliseconds, and one that takes microseconds runs in few, without
handing the lock of the interpreter around for every slice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from pgqueue.worker.job import Job
from pgqueue.worker.rows.blocks import Blocks

__all__ = ["Pool", "uncancel"]

_MOMENT = 0.005
_CLOSING = 2.0
"""Seconds that closing the blocks may take."""


class _Call:
    """What a thread is to do, and who waits for it."""

    __slots__ = ("error", "function", "future", "result")

    def __init__(self, function: Callable[[Blocks], Any], future: asyncio.Future[None]) -> None:
        self.function = function
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Pool:
    """Threads, made when needed. Everything but `_work` runs on the event loop."""

    def __init__(self, make_blocks: Callable[[], Blocks]) -> None:
        self._make_blocks = make_blocks
        self._waiting: deque[_Call] = deque()
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._back: deque[_Call | None] = deque()
        """Calls that have come back; None for a thread that has nothing more to do."""
        self._told = False
        self._loop = asyncio.get_running_loop()
        self._idle = 0
        self._awake = 0
        self._is_watching = False
        self._made = 0
        self._under_way = 0
        """Calls that have not come back, those of stuck threads among them."""
        self._closed: asyncio.Event | None = None
        self._to_close = 0

    async def run(self, function: Callable[[Blocks], Any], job: Job | None = None) -> Any:
        """What the function gives or raises, called in a thread. A thread cannot be stopped: who is cancelled meanwhile
        waits for it, if that is because `job` is to stop, and is not cancelled any more then.
        """
        call = _Call(function, self._loop.create_future())
        self._waiting.append(call)
        self._under_way += 1
        if not self._awake:
            self._wake()
        elif not self._is_watching:
            self._is_watching = True
            self._loop.call_later(_MOMENT, self._look)
        while True:
            try:
                await call.future
            except asyncio.CancelledError:
                if job is None or job.stop is None:
                    raise
                uncancel()
                if call.future.cancelled():
                    call.future = self._loop.create_future()
                    continue
            if call.error is not None:
                raise call.error
            return call.result

    def _look(self) -> None:
        """A moment after something has had to wait."""
        self._collect()
        self._is_watching = bool(self._waiting)
        if self._is_watching:
            self._wake()
            self._loop.call_later(_MOMENT, self._look)

    def _wake(self) -> None:
        if self._idle:
            self._idle -= 1
            self._awake += 1
            self._tokens.put(True)
        elif self._made < self._under_way:
            # else a thread has just come back, and sees to this one: itself, or when it says that it has nothing to do
            self._made += 1
            self._awake += 1
            threading.Thread(target=self._work, name=f"pgqueue-rows-{self._made}", daemon=True).start()

    async def close(self) -> None:
        """Lets idle threads close their blocks and end; the others end with the process."""
        self._to_close, self._idle = self._idle, 0
        if not self._to_close:
            return
        self._closed = asyncio.Event()
        for _ in range(self._to_close):
            self._tokens.put(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await self._closed.wait()

    # -- in the threads -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        blocks = self._make_blocks()
        while True:
            self._take_calls(blocks)
            self._back.append(None)
            self._tell()
            if not self._tokens.get():
                break
        blocks.close()
        self._on_loop(self._one_closed)

    def _take_calls(self, blocks: Blocks) -> None:
        while True:
            try:
                call = self._waiting.popleft()
            except IndexError:
                return
            try:
                call.result = call.function(blocks)
            except BaseException as error:
                call.error = error
            self._back.append(call)
            if not self._waiting:
                self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._on_loop(self._collect)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has closed: the process is ending
            self._loop.call_soon_threadsafe(callback)

    # -- back on the event loop -----------------------------------------------------------------------------------

    def _collect(self) -> None:
        self._told = False
        while self._back:
            call = self._back.popleft()
            if call is None:
                self._rested()
                continue
            self._under_way -= 1
            if not call.future.done():
                call.future.set_result(None)
            elif call.future.cancelled():
                # whoever waits may not have noticed yet, and will wait again: for a future that is done
                self._loop.call_soon(self._late, call)

    def _rested(self) -> None:
        if self._waiting:
            self._tokens.put(True)
        else:
            self._idle += 1
            self._awake -= 1

    def _late(self, call: _Call) -> None:
        if not call.future.done():
            call.future.set_result(None)

    def _one_closed(self) -> None:
        self._to_close -= 1
        if not self._to_close and self._closed is not None:
            self._closed.set()


def uncancel() -> None:
    """The running task is not to be cancelled any more."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
