"""Claiming and settling: a few lanes (connections), each taking turns, and one plan that says what the next turn is.

A turn settles what has ended, or claims what can start soon, or both in one statement. Outcomes are handed in when a
batch is full, when nothing is left to start, or when one has waited a few milliseconds; jobs are asked for when there
is room for them and the last claim was filled, somebody woke us, or a poll is due. While one lane's turn is under way
the handlers work on what the other lane brought.

How often to ask a queue that has run dry, and when to sleep, is the business of `idle`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NamedTuple

from pgqueue.errors import Busy, ConnectionLost, InvalidArgument, PgQueueError, UnknownWorker
from pgqueue.outcomes import settlement_of_error
from pgqueue.worker.background import Crash, background
from pgqueue.worker.backoff import Backoff, jittered
from pgqueue.worker.events import Teller
from pgqueue.worker.hands import Group, Hands
from pgqueue.worker.idle import Pace
from pgqueue.worker.job import Job
from pgqueue.worker.link import Link, describe
from pgqueue.worker.notify import Listener
from pgqueue.worker.settings import Settings
from pgqueue.worker.wire import Problem, Wire

__all__ = ["ClaimLoop"]

logger = logging.getLogger("pgqueue.worker")

_BUSY_AGAIN = 0.05


class Turn(NamedTuple):
    """One statement: outcomes to hand in (may be none), and a group to claim n jobs of (may be None)."""

    batch: list[Job]
    group: Group | None = None
    n: int = 0
    urgent: bool = False


class ClaimLoop:
    """All traffic of claims and settlements of one worker.

    Args:
        make_link: opens one more lane.
        has_waiting: whether jobs in hand are still to be started.
        on_jobs: new jobs are in hand.
        on_unknown: the server does not know this worker any more; returns when it is registered again.
        on_superseded: these jobs were claimed again, so the leases we had them under are lost.
        on_unsuccessful: jobs have been handed in that may run again at some time.
        on_idle: nothing is in hand and the last sweep of every queue found nothing.
        on_crash: called with a sentence should a lane itself fail.
    """

    def __init__(
        self,
        settings: Settings,
        wire: Wire,
        hands: Hands,
        groups: list[Group],
        tell: Teller,
        *,
        make_link: Callable[[], Link],
        has_waiting: Callable[[], bool],
        on_jobs: Callable[[], None],
        on_unknown: Callable[[int], Awaitable[None]],
        on_superseded: Callable[[list[Job]], None],
        on_unsuccessful: Callable[[], None],
        on_idle: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        self.worker_id: int | None = None
        self.claiming = False
        self.claims_under_way = 0
        self.listener: Listener | None = None
        self._settings = settings
        self._wire = wire
        self._hands = hands
        self._groups = deque(groups)
        self._tell = tell
        self._make_link = make_link
        self._has_waiting = has_waiting
        self._on_jobs = on_jobs
        self._on_unknown = on_unknown
        self._on_superseded = on_superseded
        self._on_unsuccessful = on_unsuccessful
        self._on_idle = on_idle
        self._on_crash = on_crash
        self._lanes: list[asyncio.Task[None]] = []
        self._links: list[Link] = []
        self._waiting: deque[asyncio.Future[Turn]] = deque()
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flush_at = math.inf
        self._pace = Pace(settings.poll_interval)
        self._isolated: deque[list[Job]] = deque()
        self._rewritten: set[int] = set()
        self._postponed = 0
        self._settled = asyncio.Event()
        self._ending = False
        self._loop = asyncio.get_running_loop()

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self, link: Link) -> None:
        """Claim and settle, at first with one lane, whose link is open."""
        self.claiming = True
        self._add_lane(link)

    async def finish(self) -> None:
        """Hand in everything that has ended or will end; returns when the server has it all. The caller has set
        `claiming` false.
        """
        self._ending = True
        self.poke()
        while not self._is_settled():
            self._settled.clear()
            await self._settled.wait()

    async def stop(self, within: float) -> None:
        """End at once; what is not handed in stays unsaid. The first lane's link is left open."""
        self.claiming = False
        if self._timer is not None:
            self._timer.cancel()
        for lane in self._lanes:
            lane.cancel()
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=within)
        for link in self._links[1:]:
            await link.close()

    # -- what happens outside ------------------------------------------------------------------------------------

    def woken(self, queue: str) -> None:
        """Somebody enqueued to this queue and found us asleep."""
        for group in self._groups:
            if queue in group.queues:
                group.urgent = True
                group.seen_empty = False
                self.poke()
                return

    def look_again(self) -> None:
        """Poll now: jobs may have come unheard (just asleep, or connected again)."""
        for group in self._groups:
            group.misses = 0
            group.seen_empty = False
            group.poll_at = 0.0
        self.poke()

    def ended(self) -> None:
        """Some jobs have ended, or slots are free."""
        if self._has_waiting() and len(self._hands.finished) < self._settings.batch:
            if self._flush_at == math.inf and self._hands.finished:
                self._flush_at = monotonic() + self._settings.flush_after
                self._arm()
            return
        self.poke()

    def poke(self) -> None:
        """Give idle lanes what is due."""
        while self._waiting or len(self._lanes) < self._settings.connections:
            turn = self._plan()
            if turn is None:
                self._arm()
                return
            self._under_way += 1
            waiting = self._waiting
            if waiting:
                waiting.popleft().set_result(turn)
            else:
                self._add_lane(self._make_link(), turn)

    # -- the plan -------------------------------------------------------------------------------------------------

    def _plan(self) -> Turn | None:
        if self._isolated:
            batch = self._isolated.popleft()
            self._hands.settling.update([job.lease for job in batch])
            return Turn(batch)
        hands = self._hands
        now = monotonic()
        ended = hands.due()
        if not ended:
            self._flush_at = math.inf  # what has ended must wait for the turn that is under way
        is_dry = not self._has_waiting()
        settles = ended > 0 and (is_dry or ended >= self._settings.batch or now >= self._flush_at)
        group = self._due(now, is_dry, settles) if self.claiming else None
        if group is None and not settles:
            return None
        batch = self._collect(now) if ended else []
        # collecting has measured anew how much should be in hand
        n = min(hands.want(group), self._settings.batch) if group is not None else 0
        if group is None or n <= 0:
            return Turn(batch) if batch else None
        hands.expected += n
        group.expected += n
        urgent, group.urgent = group.urgent, False
        self.claims_under_way += 1
        return Turn(batch, group, n, urgent)

    def _collect(self, now: float) -> list[Job]:
        batch = self._hands.collect(self._settings.batch)
        fits = self._wire.fitting(batch)
        if fits < len(batch):
            # what is left of the same lease waits for this turn
            self._hands.put_back(batch[fits:])
            batch = batch[:fits]
        self._flush_at = now + self._settings.flush_after if self._hands.finished else math.inf
        return batch

    def _due(self, now: float, is_dry: bool, settles: bool) -> Group | None:
        """The next group to ask for, in rotation."""
        hands = self._hands
        groups = self._groups
        for _ in range(len(groups)):
            group = groups[0]
            groups.rotate(-1)
            want = hands.want(group)
            # One claim of a group at a time: two would skip over each other's rows, and bring jobs out of order.
            if want <= 0 or group.expected:
                continue
            if group.eager:
                # not in driblets while there is still something to start
                if is_dry or 2 * want >= min(hands.most, hands.slots + hands.prefetch):
                    return group
            elif group.urgent or now >= group.poll_at or (settles and not self._is_asleep):
                return group
        return None

    def _arm(self) -> None:
        """One timer for whatever is due next by the clock."""
        due = self._flush_at
        if self.claiming:
            for group in self._groups:
                if not group.eager and group.poll_at < due and not group.expected and self._hands.want(group) > 0:
                    due = group.poll_at
        if self._timer is not None:
            if self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = self._loop.call_at(due, self._due_now)

    def _due_now(self) -> None:
        self._timer = None
        self.poke()

    @property
    def _is_asleep(self) -> bool:
        return self.listener is not None and self.listener.asleep

    # -- lanes ----------------------------------------------------------------------------------------------------

    def _add_lane(self, link: Link, first: Turn | None = None) -> None:
        self._links.append(link)
        self._lanes.append(background(self._lane(link, first), f"lane {len(self._links)}", self._on_crash))

    async def _lane(self, link: Link, turn: Turn | None) -> None:
        backoff = Backoff(first=0.05, most=5.0)
        while True:
            turn = turn or await self._next_turn()
            worker = self.worker_id
            try:
                await self._take(link, turn)
                backoff.reset()
            except InvalidArgument as error:
                if turn.group is None:
                    self._isolate(turn.batch, error)
                else:
                    # whose fault it is shows when the outcomes travel alone
                    if turn.batch:
                        self._isolated.append(turn.batch)
                    await self._wait_out(error, backoff)
            except PgQueueError as error:
                self._hands.put_back(turn.batch)
                if not await self._recover(link, error, worker, backoff):
                    return
            turn = None

    async def _next_turn(self) -> Turn:
        turn = self._plan()
        if turn is not None:
            self._under_way += 1
            return turn
        self._arm()
        self._note_end()
        future: asyncio.Future[Turn] = self._loop.create_future()
        self._waiting.append(future)
        return await future

    async def _take(self, link: Link, turn: Turn) -> None:
        """One statement and what its answer means. Raises PgQueueError; then neither has the batch been taken in nor
        anything been claimed that will reach us (the heartbeat gives such jobs back)."""
        batch, group, n, urgent = turn
        wire = self._wire
        problems: list[Problem] = []
        jobs: list[Job] = []
        again: list[Job] = []
        try:
            if link.connection is None:
                await link.open()
            if group is None:
                problems = wire.problems(await link.fetch(wire.settle_sql, wire.settlement(batch)))
            else:
                demand = wire.demand(self.worker_id or 0, group.literal, n, urgent)
                if batch:
                    demand.update(wire.settlement(batch))
                    problems, jobs = wire.turn(await link.fetch(wire.settle_and_claim_sql, demand))
                else:
                    jobs = wire.jobs(await link.fetch(wire.claim_sql, demand))
        finally:
            self._under_way -= 1
            self._hands.settled(batch)
            if group is not None:
                self._hands.expected -= n
                group.expected -= n
                if jobs:
                    again = self._hands.take(jobs, group)
                # last: the heartbeat's thread must never see neither the claim nor its leases
                self.claims_under_way -= 1
        if batch:
            self._accepted(batch, problems)
        if again:
            self._on_superseded(again)
        if group is not None:
            await self._claimed(turn, group, jobs)

    async def _recover(self, link: Link, error: PgQueueError, worker: int | None, backoff: Backoff) -> bool:
        """Whether to go on; not when the worker ends before there is a connection again."""
        if isinstance(error, ConnectionLost):
            if backoff.failed:
                # connecting works and nothing else does: a server that takes no writes, say
                await asyncio.sleep(backoff.delay())
            backoff.failed = True
            try:
                await link.restore(error)
            except ConnectionLost:
                return False
            self.look_again()
        elif isinstance(error, UnknownWorker) and worker is not None:
            await self._on_unknown(worker)
        else:
            await self._wait_out(error, backoff)
        return True

    async def _wait_out(self, error: PgQueueError, backoff: Backoff) -> None:
        delay = backoff.delay()
        level = logging.INFO if isinstance(error, Busy) else logging.ERROR
        logger.log(level, "trying again in %.2f s: %s", delay, describe(error), extra={"sqlstate": error.sqlstate})
        await asyncio.sleep(delay)

    # -- settled --------------------------------------------------------------------------------------------------

    def _accepted(self, batch: list[Job], problems: list[Problem]) -> None:
        if problems:
            self._refused(batch, {(lease, job_id): problem for lease, job_id, problem in problems})
        else:
            self._hands.accepted(batch)
        if [job.outcome for job in batch].count("succeeded") < len(batch):
            self._on_unsuccessful()
        self._tell("settled", jobs=len(batch) - len(problems))

    def _refused(self, batch: list[Job], problems: dict[tuple[int, int], str]) -> None:
        busy = [job for job in batch if problems.get((job.lease, job.id)) == "busy"]
        if busy:
            self._postponed += len(busy)
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
        self._postponed -= len(batch)
        self._hands.put_back(batch)
        self.poke()

    def _isolate(self, batch: list[Job], error: PgQueueError) -> None:
        """Something in this batch cannot be stored. Halves are tried until the one job is found, whose outcome then
        says so.
        """
        if len(batch) > 1:
            middle = len(batch) // 2
            self._isolated.extend((batch[:middle], batch[middle:]))
        elif batch and batch[0].id not in self._rewritten:
            (job,) = batch
            logger.error(
                "the outcome cannot be stored, the job fails: %s",
                describe(error),
                extra={"job_id": job.id, "kind": job.kind},
            )
            self._rewritten.add(job.id)
            job.settle_as(settlement_of_error(error, "discard"))
            self._isolated.append(batch)
        elif batch:
            (job,) = batch
            self._rewritten.discard(job.id)
            logger.error(
                "not even that can be stored, left to the rescue", extra={"job_id": job.id, "lease": job.lease}
            )
            self._hands.accepted(batch)
        self.poke()

    def _is_settled(self) -> bool:
        hands = self._hands
        return not (hands.open or hands.finished or self._under_way or self._isolated or self._postponed)

    def _note_end(self) -> None:
        """A lane has nothing to do."""
        if self._ending:
            if self._is_settled():
                self._settled.set()
        elif all(group.seen_empty for group in self._groups) and self._is_settled():
            self._on_idle()

    # -- claimed --------------------------------------------------------------------------------------------------

    async def _claimed(self, turn: Turn, group: Group, jobs: list[Job]) -> None:
        self._pace.claimed(group, turn.n, jobs, urgent=turn.urgent, asleep=self._is_asleep)
        if jobs:
            self._on_jobs()
            if turn.urgent:
                await asyncio.sleep(0)  # first the handler somebody waits for, then our books
            self._tell("claimed", jobs=len(jobs))
        if self.listener is not None:
            self.listener.rest(self.claiming and self._pace.should_sleep(self._hands, self._groups))
