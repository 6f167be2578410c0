"""Async handlers: a few long-lived runners instead of a task per job.

A runner is a task that takes jobs from the deque and awaits their handlers one after another. A handler that never
really waits costs little more than its call. One that does wait keeps its runner until it ends; meanwhile
`Executors.between` gives what is left to other runners. `asyncio.current_task()` inside a handler is its runner's
task, which belongs to it for as long as it runs: `asyncio.timeout`, task groups and cancellation behave as in a task
of the handler's own.

Jobs share no context variables either: a runner whose context a handler has changed is replaced by a fresh one.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING

from pgqueue.context import ContextHooks
from pgqueue.outcomes import settlement_of_error
from pgqueue.worker.background import background
from pgqueue.worker.executors.handlers import OUTCOMES, running_job, settlement_of_exception, settlement_of_value
from pgqueue.worker.job import DONE, RUNNING, Job

if TYPE_CHECKING:
    from pgqueue.worker.executors import Executors

__all__ = ["Runner", "Runners"]

_SLICE = 0.005
"""Handlers that never wait share the event loop this often, in seconds."""


class Runner:
    """One slot's worth of async handlers."""

    __slots__ = ("hooks", "is_lost", "job", "task", "wake")

    def __init__(self, hooks: ContextHooks) -> None:
        self.hooks = hooks
        self.job: Job | None = None
        self.is_lost = False
        """Its job is stuck and has been given up; it ends when the handler returns after all."""
        self.wake: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None]


class Runners:
    """The runners of one worker; made when first needed."""

    def __init__(self, executors: Executors, hooks: ContextHooks) -> None:
        self._executors = executors
        self._hooks = hooks
        self._idle: list[Runner] = []
        self._all: set[Runner] = set()
        self._closing = False
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Let one runner begin; the caller has taken a slot for it."""
        while self._idle:
            runner = self._idle.pop()
            if runner.wake is not None and not runner.wake.done():
                runner.wake.set_result(None)
                return
        self._start()

    def _start(self) -> None:
        runner = Runner(self._hooks)
        self._all.add(runner)
        crash = self._executors.on_gave_up
        runner.task = background(self._run(runner), "runner", crash, context=self._context.copy())

    @property
    def busy(self) -> int:
        """Runners in the middle of a handler, those given up not counted."""
        return sum(1 for runner in self._all if runner.job is not None and not runner.is_lost)

    async def close(self) -> None:
        """Cancel everything and wait no longer than for one more turn of the loop."""
        self._closing = True
        for runner in self._all:
            runner.task.cancel()
        await asyncio.sleep(0)

    async def _run(self, runner: Runner) -> None:
        try:
            await self._take_jobs(runner)
        finally:
            self._all.discard(runner)

    async def _take_jobs(self, runner: Runner) -> None:
        """Until the worker ends, the runner is lost, or a handler has changed its context."""
        executors = self._executors
        hands = executors.hands
        ready = hands.ready
        finished = hands.finished
        handlers = executors.handlers
        reporter = executors.reporter
        full = executors.full
        verbose = reporter.is_verbose
        now = began = monotonic()
        while not self._closing:
            if not ready:
                await self._rest(runner)
                verbose = reporter.is_verbose
                now = began = monotonic()
                continue
            job = ready.popleft()
            handler = handlers[job.kind]
            if handler is None:
                executors.end(job, handlers.unknown(job))
                continue
            if not handler.is_async:
                executors.threads.put(job)
                continue
            job.started = now  # which is when the one before ended: a clock less to read
            job.state = RUNNING
            job.runner = runner
            runner.job = job
            running_job.set(job)
            if verbose:
                reporter.started(job)
            if job.timeout is not None and not handler.is_sql:
                executors.arm(job)
            if not executors.is_turning:
                executors.turn_soon()
            turn = executors.turn
            before = copy_context()
            try:
                value = await handler.run(job)
            except BaseException as error:
                self._raised(runner, job, error)
            else:
                if job.stop is None and type(value) not in OUTCOMES:
                    # The straight way of a plain success, in place: this is where a busy worker spends its time.
                    try:
                        job.result = None if value is None else handler.encode(value)
                    except Exception as error:
                        executors.end(job, settlement_of_error(error, "discard"), error)
                    else:
                        job.outcome = "succeeded"
                        job.error = job.delay = None
                        job.state = DONE
                        finished.append(job)
                        if job.timer is not None:
                            job.timer.cancel()
                            job.timer = None
                        if verbose:
                            reporter.ended(job)
                elif job.state == RUNNING:
                    executors.end(job, settlement_of_value(job, value, handler))
            runner.job = None
            now = monotonic()
            if turn != executors.turn:  # it has waited for something
                hands.run_time += now - job.started
                hands.is_sorted = False
                began = now
                executors.on_ended()
            if runner.is_lost:
                executors.found_again(job.id)
                return
            if copy_context() != before:
                if not self._closing:
                    self._start()  # in this one's place, with its slot
                return
            if len(finished) >= full or now - began > _SLICE:
                executors.on_ended()
                await asyncio.sleep(0)
                now = began = monotonic()

    async def _rest(self, runner: Runner) -> None:
        runner.wake = self._loop.create_future()
        self._idle.append(runner)
        self._executors.slot_free()
        await runner.wake

    def _raised(self, runner: Runner, job: Job, error: BaseException) -> None:
        """The handler raised, or was cancelled."""
        if isinstance(error, asyncio.CancelledError):
            while runner.task.cancelling():
                runner.task.uncancel()
        if not self._closing and job.state == RUNNING:
            self._executors.end(job, settlement_of_exception(job, error), error)
