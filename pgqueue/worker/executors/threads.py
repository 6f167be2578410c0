"""Sync handlers: threads that take jobs from a shared deque, and hand back what has ended in bunches.

Handing over costs an append and a pop; there is no future per job and no wake-up per job. A thread works until the
deque is empty, then says so and waits for a token. What has ended goes into another deque, and the event loop is
called once for all that is there when it looks.

A thread cannot be cancelled. When a job's timeout strikes, the job is settled as timed out at once, the thread is
left alone with it and a new one takes its place; should the handler return after all, its result is dropped and the
thread ends. How many such threads there may be is limited: see `Executors`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from pgqueue._json import JsonText
from pgqueue.context import ContextHooks
from pgqueue.outcomes import Settlement, settlement_of_error
from pgqueue.worker.executors.handlers import (
    OUTCOMES,
    AnyHandler,
    running_job,
    settlement_of_exception,
    settlement_of_value,
)
from pgqueue.worker.job import DONE, RUNNING, Job

if TYPE_CHECKING:
    from pgqueue.worker.executors import Executors

__all__ = ["Thread", "Threads"]


class Thread:
    """One slot's worth of sync handlers.

    `current` holds the job it runs. The thread takes it out when the handler has returned, the event loop when it
    gives the handler up: whoever succeeds has decided, and no lock is needed to say that a thread is lost.
    """

    __slots__ = ("current", "hooks", "thread")

    def __init__(self, hooks: ContextHooks) -> None:
        self.hooks = hooks
        self.current: list[Job] = []
        self.thread: threading.Thread

    def give_up(self) -> bool:
        """Leave the thread alone with its job; False when the handler has returned just now."""
        try:
            self.current.pop()
        except IndexError:
            return False
        return True

    def stack(self) -> str:
        """Where it is now."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame is not None else ""


class Started(NamedTuple):
    """Says that a job has begun. It travels with the jobs that have ended, so that it is told before its own end is."""

    job: Job


class Threads:
    """The threads of one worker; made when first needed. Everything but `_work` runs on the event loop."""

    def __init__(self, executors: Executors, hooks: ContextHooks) -> None:
        self.waiting: deque[Job] = deque()
        """Not started. Whoever pops a job, thread or event loop, has it."""
        self._executors = executors
        self._hooks = hooks
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._ended: deque[Job | Thread | Started] = deque()
        """Jobs that have ended (in `job.ended`), threads that have nothing more to do."""
        self._told = False
        self._idle = 0
        self._made = 0
        self._all: set[Thread] = set()
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()

    def put(self, job: Job) -> None:
        """For the next thread that is free; `wake` sees to it that there is one."""
        if job.timeout is not None:
            self._executors.arm(job)
        self.waiting.append(job)

    def take_back(self, job: Job) -> bool:
        """Whether the job had not been started; then it will not be."""
        try:
            self.waiting.remove(job)
        except ValueError:
            return False
        return True

    def wake(self, count: int) -> None:
        """Let so many threads begin; the caller has taken slots for them."""
        for _ in range(count):
            if self._idle:
                self._idle -= 1
                self._tokens.put(True)
            else:
                self._made += 1
                worker = Thread(self._hooks)
                worker.thread = threading.Thread(
                    target=self._work, args=(worker,), name=f"pgqueue-thread-{self._made}", daemon=True
                )
                self._all.add(worker)
                worker.thread.start()

    @property
    def busy(self) -> int:
        """Threads that run a handler now, those left alone with it not counted."""
        return sum(1 for worker in self._all if worker.current)

    def close(self) -> None:
        """Idle threads end; those with a handler are daemons and end with the process."""
        for _ in self._all:
            self._tokens.put(False)

    # -- in the threads -------------------------------------------------------------------------------------------

    def _work(self, worker: Thread) -> None:
        """The life of a thread. Jobs share no context variables: a context that a handler has changed is not used
        again.
        """
        while (step := self._context.copy().run(self._take_jobs, worker)) != "end":
            if step == "rest":
                self._hand_back(worker)
                if not self._tokens.get():
                    return

    def _take_jobs(self, worker: Thread) -> Literal["rest", "renew", "end"]:
        waiting = self.waiting
        reporter = self._executors.reporter
        current = worker.current
        while True:
            try:
                job = waiting.popleft()
            except IndexError:
                return "rest"
            current.append(job)
            job.runner = worker
            job.state = RUNNING
            job.started = monotonic()
            running_job.set(job)
            if reporter.has_hook:
                self._hand_back(Started(job))
            before = copy_context()
            settlement, result, job.cause = self._run(job)
            job.took = monotonic() - job.started
            try:
                current.pop()
            except IndexError:
                self._on_loop(self._came_back, worker, job)
                return "end"
            job.ended = settlement
            if settlement is None:
                job.outcome = "succeeded"
                job.result = result
                job.error = job.delay = None
            self._hand_back(job)
            if copy_context() != before:
                return "renew"

    def _run(self, job: Job) -> tuple[Settlement | None, JsonText | None, BaseException | None]:
        """The job's settlement and its cause; None for a plain success, which has a result."""
        handler: AnyHandler | None = self._executors.handlers[job.kind]
        if handler is None:
            return self._executors.handlers.unknown(job), None, None
        try:
            value = handler.run(job)
        except BaseException as error:
            return settlement_of_exception(job, error), None, error
        if job.stop is not None or type(value) in OUTCOMES:
            return settlement_of_value(job, value, handler), None, None
        try:
            return None, None if value is None else handler.encode(value), None
        except Exception as error:
            return settlement_of_error(error, "discard"), None, error

    def _hand_back(self, item: Job | Thread | Started) -> None:
        self._ended.append(item)
        if not self._told:
            self._told = True
            self._on_loop(self._collect)

    def _on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return  # the loop has closed: the process is ending, and the outcome with it

    # -- back on the event loop -----------------------------------------------------------------------------------

    def _collect(self) -> None:
        self._told = False
        executors = self._executors
        ended = self._ended
        hands = executors.hands
        hands.is_sorted = False
        finished = hands.finished
        verbose = executors.reporter.is_verbose
        while ended:
            item = ended.popleft()
            if type(item) is Thread:
                self._idle += 1
                executors.active -= 1
                continue
            if type(item) is Started:
                executors.reporter.started(item.job)
                continue
            job = cast("Job", item)
            hands.run_time += job.took
            if job.state != RUNNING or job.stop == "lost":
                continue
            if job.ended is not None:
                executors.end(job, job.ended, job.cause)
                continue
            job.state = DONE
            finished.append(job)
            if job.timer is not None:
                job.timer.cancel()
                job.timer = None
            if verbose:
                executors.reporter.ended(job)
        executors.kick()
        executors.on_ended()

    def _came_back(self, worker: Thread, job: Job) -> None:
        self._all.discard(worker)
        self._executors.found_again(job.id)
