"""What a worker has in hand, and how much more it should ask for. Plain data of the event loop's thread; no I/O.

A claim is never larger than what can start soon: the free slots, and ahead of them as many jobs as were lately done
in `horizon` seconds. So a handler that takes a second is given nothing ahead, and one that takes a microsecond
hundreds. The look-ahead follows what is measured between settlements while there was work, falls at once, and grows
at most fourfold per batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from pgqueue.outcomes import Settlement
from pgqueue.worker.job import DONE, GONE, Job

__all__ = ["Group", "Hands"]


class Group:
    """Queues that are claimed together: all those without a limit of their own, or a single one that has one."""

    __slots__ = ("eager", "expected", "limit", "literal", "misses", "open", "poll_at", "queues", "seen_empty", "urgent")

    def __init__(self, queues: list[str], literal: str, limit: int | None) -> None:
        self.queues = queues
        self.literal = literal
        """The queues as an array literal."""
        self.limit = limit
        self.open = 0
        """Claimed and not yet handed in; kept for limited groups only."""
        self.expected = 0
        """Asked for by claims under way."""
        self.eager = True
        """The last claim was filled: there is probably more."""
        self.urgent = False
        """Something woke us for these queues."""
        self.seen_empty = False
        """The last sweep found nothing."""
        self.misses = 0
        self.poll_at = 0.0


class Hands:
    """Jobs from claim to accepted outcome.

    `ready` are not started, `finished` have an outcome that is to be handed in, `held` has them all, by job id.
    """

    __slots__ = (
        "_limited",
        "_mark",
        "done",
        "expected",
        "finished",
        "held",
        "horizon",
        "is_sorted",
        "last_end",
        "most",
        "open",
        "prefetch",
        "ready",
        "run_time",
        "settling",
        "slots",
        "unsent",
        "when_held_back",
    )

    def __init__(self, slots: int, horizon: float, most: int) -> None:
        self.ready: deque[Job] = deque()
        self.finished: list[Job] = []
        self.held: dict[int, Job] = {}
        self.slots = slots
        self.horizon = horizon
        self.most = most
        self.is_sorted = True
        """Whether what is finished stands in the order of the claims."""
        self.open = 0
        """Claimed and not yet collected for settlement."""
        self.expected = 0
        """Asked for by claims under way."""
        self.settling: set[int] = set()
        """Leases that a settlement under way is at work on."""
        self.prefetch = 0
        self.done = 0
        """Outcomes handed in since the start."""
        self.last_end = monotonic()
        self.run_time = 0.0
        """Seconds that jobs ended since the last measurement took; those that never waited for anything are left out.
        """
        self.unsent: dict[int, Any] = {}
        """Jobs, by id, with log lines that the server does not have yet: those go before the outcome."""
        self.when_held_back: Callable[[], None] = _nothing
        """Called when an outcome waits for lines."""
        self._mark = 0.0
        self._limited: dict[str, Group] = {}

    def limit(self, group: Group) -> None:
        """Count the jobs of this group's only queue."""
        self._limited[group.queues[0]] = group

    @property
    def unfinished(self) -> int:
        """Jobs that wait or run here."""
        return self.open - len(self.finished)

    def take(self, jobs: list[Job], group: Group) -> list[Job]:
        """Newly claimed jobs, in the order to start them.

        Returns those we had already under another lease: that one must have been lost, or the server would not have
        given them out again.
        """
        if not self.open:
            self._mark = self.last_end = monotonic()
        self.open += len(jobs)
        if group.limit is not None:
            group.open += len(jobs)
        held = self.held
        again = [held[job.id] for job in jobs if job.id in held]
        for job in jobs:
            held[job.id] = job
        self.ready.extend(jobs)
        return again

    def want(self, group: Group) -> int:
        """How many jobs of the group to ask for now."""
        want = min(self.most, self.slots + self.prefetch) - self.unfinished - self.expected
        if group.limit is not None:
            want = min(want, group.limit - group.open - group.expected)
        return want

    def end(self, job: Job, settlement: Settlement) -> None:
        """This is how the job ended; it is handed in with the next settlement."""
        job.settle_as(settlement)
        job.state = DONE
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        self.finished.append(job)
        self.is_sorted = False

    def abandon(self, job: Job) -> None:
        """An unfinished job is no longer ours: nothing about it will be handed in. The caller has stopped or dequeued
        it.
        """
        if self.held.get(job.id) is job:
            del self.held[job.id]
        self._left((job,))
        job.state = GONE

    def due(self) -> int:
        """How many outcomes can be handed in now.

        Not those of a lease that another settlement is at work on: the server would only say that it is busy. Nor those
        of jobs with unsent log lines.
        """
        if not self.settling and not self.unsent:
            return len(self.finished)
        return len(self._due())

    def _due(self) -> list[Job]:
        settling, unsent = self.settling, self.unsent
        due = [job for job in self.finished if job.lease not in settling]
        if unsent:
            ready = [job for job in due if job.id not in unsent]
            if len(ready) < len(due):
                self.when_held_back()
            return ready
        return due

    def collect(self, most: int) -> list[Job]:
        """Outcomes for one settlement; `settled` must follow.

        One lease alone when many of its jobs are there: the server has a short way for a lease that is settled whole.
        """
        finished = self.finished
        if not self.is_sorted:
            finished.sort(key=_claim_order)
            self.is_sorted = True
        due = self._due() if self.settling or self.unsent else finished
        batch = due[:most]
        if batch and batch[-1].lease != batch[0].lease:
            same = sum(1 for job in batch if job.lease == batch[0].lease)
            if same > most // 8:
                batch = batch[:same]
        if due is finished:
            del finished[: len(batch)]
        else:
            chosen = set(batch)
            finished[:] = [job for job in finished if job not in chosen]
        self.settling.update([job.lease for job in batch])
        self._left(batch)
        if batch:
            self._measure(len(batch))
        return batch

    def settled(self, batch: list[Job]) -> None:
        """The settlement of this batch is no longer under way, whatever came of it."""
        self.settling.difference_update([job.lease for job in batch])

    def put_back(self, batch: Iterable[Job]) -> None:
        """A settlement that could not be made: to be made again."""
        for job in batch:
            if job.state == DONE:
                self.finished.append(job)
                self.is_sorted = False
                self.open += 1
                if self._limited and (group := self._limited.get(job.queue)) is not None:
                    group.open += 1

    def accepted(self, batch: list[Job]) -> None:
        """The server has these outcomes."""
        self.done += len(batch)
        self.refused(batch)

    def refused(self, batch: list[Job]) -> None:
        """The server does not want these outcomes."""
        held = self.held
        for job in batch:
            job.state = GONE
            if held.get(job.id) is job:
                del held[job.id]

    def _left(self, jobs: Iterable[Job]) -> None:
        if self._limited:
            for job in jobs:
                if (group := self._limited.get(job.queue)) is not None:
                    group.open -= 1
                self.open -= 1
        else:
            self.open -= sum(1 for _ in jobs)

    def _measure(self, count: int) -> None:
        # Slow jobs may end in bunches: what they took, spread over the slots, is then the better measure than when
        # they ended.
        now = monotonic()
        elapsed = max(now - self._mark, self.run_time / self.slots, 1e-6)
        self.last_end = self._mark = now
        self.run_time = 0.0
        ahead = min(int(count / elapsed * self.horizon), self.most)
        self.prefetch = ahead if ahead <= self.prefetch else max(self.prefetch, min(ahead, 4 * count))


def _nothing() -> None:
    pass


def _claim_order(job: Job) -> tuple[int, int]:
    return job.lease, job.id
