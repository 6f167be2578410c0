"""What becomes of outcomes that have been handed in: taken, not wanted, busy, or impossible to store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pgqueue.errors import PgQueueError
from pgqueue.outcomes import settlement_of_error
from pgqueue.worker.backoff import jittered
from pgqueue.worker.events import Teller
from pgqueue.worker.hands import Hands
from pgqueue.worker.job import Job
from pgqueue.worker.link import describe
from pgqueue.worker.plan import Plan
from pgqueue.worker.wire import Problem

__all__ = ["Settling"]

logger = logging.getLogger("pgqueue.worker")

_BUSY_AGAIN = 0.05
_NOTHING_DUE = ("succeeded", "release", "cancelled", "discard")
"""Outcomes after which a job does not wait for a time."""


class Settling:
    """Reads the answers of settlements.

    Args:
        on_unsuccessful: jobs have been handed in that may run again at some time.
        on_more: there are outcomes to hand in again.
    """

    def __init__(
        self,
        hands: Hands,
        plan: Plan,
        tell: Teller,
        *,
        on_unsuccessful: Callable[[], None],
        on_more: Callable[[], None],
    ) -> None:
        self.postponed = 0
        """Outcomes the server was busy with, to be handed in again in a moment."""
        self._hands = hands
        self._plan = plan
        self._tell = tell
        self._on_unsuccessful = on_unsuccessful
        self._on_more = on_more
        self._rewritten: set[int] = set()
        self._loop = asyncio.get_running_loop()

    def answered(self, batch: list[Job], problems: list[Problem]) -> None:
        """A settlement has been made, but for the problems."""
        if problems:
            self._refused(batch, {(lease, job_id): problem for lease, job_id, problem in problems})
        else:
            self._hands.accepted(batch)
        if any(job.outcome not in _NOTHING_DUE for job in batch):
            self._on_unsuccessful()
        self._tell("settled", jobs=len(batch) - len(problems))

    def _refused(self, batch: list[Job], problems: dict[tuple[int, int], str]) -> None:
        busy = [job for job in batch if problems.get((job.lease, job.id)) == "busy"]
        if busy:
            self.postponed += len(busy)
            self._loop.call_later(jittered(_BUSY_AGAIN), self._busy_no_more, busy)
        stale = [job for job in batch if problems.get((job.lease, job.id), "busy") != "busy"]
        if stale:
            # After a lost connection this is how one learns that the first try had arrived.
            logger.warning(
                "outcomes refused: the lease is no longer ours, or has them already",
                extra={"jobs": len(stale), "job_ids": [job.id for job in stale[:20]]},
            )
        for job in stale:
            self._tell("refused", job_id=job.id, problem="stale")
        self._hands.refused(stale)
        self._hands.accepted([job for job in batch if (job.lease, job.id) not in problems])

    def _busy_no_more(self, batch: list[Job]) -> None:
        self.postponed -= len(batch)
        self._hands.put_back(batch)
        self._on_more()

    def isolate(self, batch: list[Job], error: PgQueueError) -> None:
        """Something in this batch cannot be stored. Halves are tried until the one job is found, whose outcome then
        says so.
        """
        isolated = self._plan.isolated
        if len(batch) > 1:
            middle = len(batch) // 2
            isolated.extend((batch[:middle], batch[middle:]))
        elif batch and batch[0].id not in self._rewritten:
            (job,) = batch
            logger.error(
                "the outcome cannot be stored, the job fails: %s",
                describe(error),
                extra={"job_id": job.id, "kind": job.kind},
            )
            self._rewritten.add(job.id)
            job.settle_as(settlement_of_error(error, "discard"))
            isolated.append(batch)
        elif batch:
            (job,) = batch
            self._rewritten.discard(job.id)
            logger.error(
                "not even that can be stored, left to the rescue", extra={"job_id": job.id, "lease": job.lease}
            )
            self._hands.accepted(batch)
