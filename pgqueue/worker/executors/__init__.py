"""Running what is in hand: slots, and who gets them.

A slot is held by a runner (async handlers) or a thread (sync handlers) from the moment it is woken until it has found
nothing more to do, so never more than `concurrency` handlers run, whatever their mix. The jobs in hand are started in
the order in which they were claimed; sync ones at the head move on to the threads' deque.

Stuck handlers. A sync handler that is past its timeout cannot be stopped; an async one may refuse to be. Either is
settled all the same and loses its slot to a new runner or thread. When more of them are stuck than `most_stuck`, the
process is beyond mending: `on_gave_up`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic

from pgqueue.context import ContextHooks
from pgqueue.outcomes import Settlement
from pgqueue.registry import App
from pgqueue.worker.events import Teller
from pgqueue.worker.executors.coroutines import Runner, Runners
from pgqueue.worker.executors.handlers import AnyHandler, Handlers, Reporter, current_context, settlement_of_stuck
from pgqueue.worker.executors.threads import Thread, Threads
from pgqueue.worker.hands import Hands
from pgqueue.worker.job import DONE, READY, RUNNING, Job, StopReason
from pgqueue.worker.settings import Settings

__all__ = ["Executors", "current_context"]

logger = logging.getLogger("pgqueue.worker")


class Executors:
    """Everything that runs handlers in this worker.

    Args:
        ours: handlers that need no task.
        on_ended: something has ended, or slots are free: see to settling and claiming.
        on_gave_up: too many handlers are stuck.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        hands: Hands,
        hooks: ContextHooks,
        tell: Teller,
        *,
        on_ended: Callable[[], None],
        on_gave_up: Callable[[str], None],
        ours: Mapping[str, AnyHandler] | None = None,
    ) -> None:
        self.hands = hands
        self.full = settings.batch
        self.active = 0
        """Slots taken."""
        self.stuck = 0
        self.turn = 0
        """Counts turns of the event loop, as far as handlers run in them."""
        self.is_turning = False
        self.handlers = Handlers(app, ours)
        self._app = app
        self._sealed = app.hooks.sealed if app.hooks.seals_errors else None
        self.reporter = Reporter(tell, frozenset(ours or ()))
        self.on_ended = on_ended
        self.runners = Runners(self, hooks)
        self.threads = Threads(self, hooks)
        self._settings = settings
        self._tell = tell
        self.on_gave_up = on_gave_up
        self._loop = asyncio.get_running_loop()

    # -- starting -------------------------------------------------------------------------------------------------

    def has_waiting(self) -> bool:
        """Whether something in hand is not started."""
        return bool(self.hands.ready or self.threads.waiting)

    def kick(self) -> None:
        """Give free slots to what waits."""
        ready = self.hands.ready
        handlers = self.handlers
        threads = self.threads
        while ready and (handler := handlers[ready[0].kind]) is not None and not handler.is_async:
            threads.put(ready.popleft())
        free = self.hands.slots - self.active
        if free <= 0:
            return
        if ready:
            self.active += 1
            free -= 1
            self.runners.wake()
        count = min(free, len(threads.waiting))
        if count > 0:
            self.active += count
            threads.wake(count)

    def turn_soon(self) -> None:
        """Called before an async handler runs: should it wait for something, others get to work at the event loop's
        next turn.
        """
        self.is_turning = True
        self._loop.call_soon(self._between)

    def _between(self) -> None:
        self.is_turning = False
        self.turn += 1
        if self.has_waiting():
            self.kick()
        if self.hands.finished:
            self.on_ended()

    def slot_free(self) -> None:
        """A runner has found nothing more to do."""
        self.active -= 1
        self.kick()
        self.on_ended()

    def withdraw(self) -> list[Job]:
        """Everything that is not started; none of it will be."""
        jobs = list(self.hands.ready)
        self.hands.ready.clear()
        waiting = self.threads.waiting
        while waiting:
            try:
                jobs.append(waiting.popleft())
            except IndexError:
                break
        return jobs

    # -- ending ---------------------------------------------------------------------------------------------------

    def end(self, job: Job, settlement: Settlement, error: BaseException | None = None) -> None:
        """The job has its outcome."""
        if self._sealed is not None and settlement.error is not None and job.kind in self._app.tasks:
            settlement = self._sealed(settlement, error)
        self.hands.end(job, settlement)
        self.reporter.ended(job, error)

    def stop(self, job: Job, why: StopReason) -> None:
        """Make an unfinished job end: at once when it is not started, else as soon as its handler lets us."""
        if job.state == READY and self._take_back(job):
            job.stop = why
            if why == "lost":
                self.hands.abandon(job)
            else:
                self.end(job, Settlement("cancelled" if why == "cancel" else "release"))
            self.on_ended()
            return
        if job.state > RUNNING or (job.stop is not None and why != "lost"):
            return
        job.stop = why
        self._tell("cancelling", job_id=job.id, why=why)
        if job.context is not None:
            job.context.mark_cancelled()
        if why == "lost":
            self.hands.abandon(job)
        runner = job.runner
        if isinstance(runner, Runner):
            runner.task.cancel()
            handler = self.handlers[job.kind]
            patience = None if handler is None else handler.patience
            self._loop.call_later(
                self._settings.patience if patience is None else patience, self._see_whether_ended, job, runner
            )

    def interrupt_sql(self) -> None:
        """Jobs of SQL that run are given back as soon as the server has ended their statements."""
        for job in list(self.hands.held.values()):
            handler = self.handlers[job.kind]
            if job.state == RUNNING and handler is not None and handler.is_sql:
                self.stop(job, "shutdown")

    def _take_back(self, job: Job) -> bool:
        try:
            self.hands.ready.remove(job)
        except ValueError:
            return self.threads.take_back(job)
        return True

    # -- time -----------------------------------------------------------------------------------------------------

    def arm(self, job: Job) -> None:
        """Watch the job's timeout."""
        if job.timeout is not None:
            job.timer = self._loop.call_later(job.timeout, self._overdue, job)

    def _overdue(self, job: Job) -> None:
        if job.state == DONE or job.timeout is None:
            return
        # a sync job may have waited for its thread: its time counts from its start
        left = job.started + job.timeout - monotonic() if job.started else job.timeout
        if left > 0:
            job.timer = self._loop.call_later(left, self._overdue, job)
            return
        self.stop(job, "timeout")
        if isinstance(job.runner, Thread):
            self._give_up(job, job.runner)

    def _see_whether_ended(self, job: Job, runner: Runner) -> None:
        if runner.job is job and not runner.is_lost:
            self._give_up(job, runner)

    def _give_up(self, job: Job, runner: Runner | Thread) -> None:
        """The handler does not end: settle its job without it, and give its slot to another."""
        where = ""
        if isinstance(runner, Thread):
            where = runner.stack()
            if not runner.give_up():
                return
        else:
            runner.is_lost = True
        self.active -= 1
        self.stuck += 1
        logger.error(
            "a handler does not stop; its slot goes to another",
            extra={"job_id": job.id, "kind": job.kind, "stuck": self.stuck, "most_stuck": self._settings.stuck_limit},
        )
        if job.state == RUNNING:
            self.end(job, settlement_of_stuck(job, where))
        self._tell("stuck", job_id=job.id, kind=job.kind)
        if self.stuck > self._settings.stuck_limit:
            self.on_gave_up(f"{self.stuck} handlers are stuck")
        self.kick()
        self.on_ended()

    def found_again(self, job_id: int) -> None:
        """A stuck handler has returned after all."""
        self.stuck -= 1
        logger.info("a handler that was stuck has returned", extra={"job_id": job_id, "stuck": self.stuck})
        self._tell("unstuck", job_id=job_id)

    @property
    def still_running(self) -> int:
        """Handlers that have not returned, stuck ones among them."""
        return self.stuck + self.threads.busy + self.runners.busy

    async def close(self) -> None:
        """Stop running anything. Handlers in threads cannot be stopped and end with the process."""
        await self.runners.close()
        self.threads.close()
