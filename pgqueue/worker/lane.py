"""A connection that claims, or settles and claims: one turn after another, without a task while all goes well.

The statement leaves in the call that begins the turn, and its answer is taken in by the socket's callback: that is
what an idle worker's latency is made of. Only trouble gets a task, which connects again or waits until the statement
may be tried anew; until it is over the lane is not free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import psycopg

from pgqueue.errors import Busy, ConnectionLost, InvalidArgument, PgQueueError, UnknownWorker
from pgqueue.worker.background import Crash, background
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.job import Job
from pgqueue.worker.line import Line
from pgqueue.worker.link import Link, describe
from pgqueue.worker.plan import Turn
from pgqueue.worker.wire import Problem, Wire

__all__ = ["Lane"]

logger = logging.getLogger("pgqueue.worker")


class Lane:
    """Takes turns.

    Args:
        settles: whether it may settle as well as claim. A lane whose commits do not wait for the disk must not.
        worker: the worker's id.
        on_answer: the turn is over, with what was not accepted and what was claimed.
        on_failure: the turn has come to nothing: neither has the batch been taken in nor anything been claimed that
            will reach us (the heartbeat gives such jobs back); the error says why. The lane is not free yet.
        on_unknown: the server does not know this worker any more; returns when it is registered again.
        on_restored: there is a connection again.
        on_free: trouble is over.
        on_crash: called with a sentence should the lane itself fail.
    """

    def __init__(
        self,
        link: Link,
        wire: Wire,
        *,
        settles: bool,
        worker: Callable[[], int],
        on_answer: Callable[[Turn, list[Problem], list[Job]], None],
        on_failure: Callable[[Turn, PgQueueError], None],
        on_unknown: Callable[[int], Awaitable[None]],
        on_restored: Callable[[], None],
        on_free: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        self.settles = settles
        self.is_free = True
        self.link = link
        self._wire = wire
        self._worker = worker
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._on_unknown = on_unknown
        self._on_restored = on_restored
        self._on_free = on_free
        self._on_crash = on_crash
        self._turn: Turn | None = None
        self._asked_as = 0
        self._line: Line | None = None
        self._backoff = Backoff(first=0.05, most=5.0)
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        link.on_lost = self._lost

    def begin(self, turn: Turn) -> None:
        """Take this turn; the lane must be free."""
        self.is_free = False
        self._turn = turn
        if self.link.connection is None:
            self._in_background(self._open())
        else:
            self._send(turn)

    async def stop(self) -> None:
        """Whatever is under way comes to nothing and is told to nobody."""
        self._is_over = True
        was_free, self.is_free = self.is_free, False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        elif not was_free:
            await self.link.cancel()

    # -- the straight way -----------------------------------------------------------------------------------------

    def _send(self, turn: Turn) -> None:
        batch, group, n, urgent = turn
        wire = self._wire
        self._asked_as = worker = self._worker()
        if group is None:
            statement, params = wire.settle, wire.settlement(batch)
        else:
            statement, params = wire.claim, wire.demand(worker, group.literal, n, urgent)
            if batch:
                statement = wire.settle_and_claim
                params.update(wire.settlement(batch))
        try:
            self._line = self.link.send(statement, params, self._answered)
        except PgQueueError as error:
            self._failed(error)

    def _answered(self, rows: list[tuple[Any, ...]], error: psycopg.Error | None) -> None:
        turn, line = self._turn, self._line
        if self._is_over or turn is None or line is None:
            return
        try:
            if error is not None:
                self._failed(self.link.reason(error, line))
                return
            problems: list[Problem] = []
            jobs: list[Job] = []
            if turn.group is None:
                problems = self._wire.problems(rows)
            elif turn.batch:
                problems, jobs = self._wire.turn(rows)
            else:
                jobs = self._wire.jobs(rows)
            self._turn = None
            self._backoff.reset()
            self.is_free = True
            self._on_answer(turn, problems, jobs)
        except Exception as crash:
            logger.critical("a lane has crashed", exc_info=crash)
            self._on_crash(f"a lane has crashed: {crash!r}")

    # -- trouble --------------------------------------------------------------------------------------------------

    def _in_background(self, what: Coroutine[Any, Any, None]) -> None:
        self._task = background(what, f"{self.link.role} lane", self._on_crash)

    async def _open(self) -> None:
        try:
            await self.link.open()
        except PgQueueError as error:
            self._failed(error)
            return
        self._task = None
        if self._turn is not None:
            self._send(self._turn)

    def _lost(self, error: PgQueueError) -> None:
        """The connection went while nothing was under way."""
        if self.is_free and not self._is_over:
            self.is_free = False
            self._in_background(self._mend(error))

    def _failed(self, error: PgQueueError) -> None:
        turn, self._turn = self._turn, None
        pause = True
        if turn is not None:
            self._on_failure(turn, error)
            pause = turn.group is not None or not isinstance(error, InvalidArgument)
        self._in_background(self._mend(error, pause))

    async def _mend(self, error: PgQueueError, pause: bool = True) -> None:
        if isinstance(error, ConnectionLost):
            if self._backoff.failed:
                # connecting works and nothing else does: a server that takes no writes, say
                await asyncio.sleep(self._backoff.delay())
            self._backoff.failed = True
            try:
                await self.link.restore(error)
            except ConnectionLost:
                return  # the worker ends
            self._on_restored()
        elif isinstance(error, UnknownWorker) and self._asked_as:
            await self._on_unknown(self._asked_as)
        elif pause:
            await self._wait_out(error)
        self._task = None
        self.is_free = True
        self._on_free()

    async def _wait_out(self, error: PgQueueError) -> None:
        delay = self._backoff.delay()
        level = logging.INFO if isinstance(error, Busy) else logging.ERROR
        logger.log(level, "trying again in %.2f s: %s", delay, describe(error), extra={"sqlstate": error.sqlstate})
        await asyncio.sleep(delay)
