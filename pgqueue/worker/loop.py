"""Claiming and settling: the lanes that do it, and what their answers mean for what is in hand.

A few lanes settle and claim, both in one statement where there is cause for both; their commits wait for the disk.
Beside them one lane only claims, for who waits: a worker that is woken. Its commits do not wait: a claim that
a crash of the server undoes leaves its jobs in their queue, and what this worker then says of them is refused. There is
no such lane where it is not sure that a connection is ours alone (a pooler).

What the next statement is, `plan` decides; how it travels and what is done about trouble is in `lane`. How often to ask
a queue that has run dry, and when to sleep, is the business of `idle`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from pgqueue.errors import InvalidArgument, PgQueueError
from pgqueue.worker.background import Crash
from pgqueue.worker.events import Teller
from pgqueue.worker.hands import Group, Hands
from pgqueue.worker.idle import Pace
from pgqueue.worker.job import Job
from pgqueue.worker.lane import Lane
from pgqueue.worker.link import Link
from pgqueue.worker.notify import Listener
from pgqueue.worker.plan import Plan, Turn
from pgqueue.worker.settings import Settings
from pgqueue.worker.settling import Settling
from pgqueue.worker.wire import Problem, Wire

__all__ = ["ClaimLoop"]


class ClaimLoop:
    """All traffic of claims and settlements of one worker.

    Args:
        make_link: opens one more lane.
        has_waiting: whether jobs in hand are still to be started.
        on_jobs: new jobs are in hand.
        on_unknown: the server does not know this worker any more; returns when it is registered again.
        on_superseded: these jobs were claimed again, so the leases we had them under are lost.
        on_unsuccessful: jobs have been handed in that may run again at some time.
        on_asked: a claim has been answered, whether it brought jobs or not.
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
        on_asked: Callable[[], None],
        on_idle: Callable[[], None],
        on_crash: Crash,
    ) -> None:
        self.worker_id: int | None = None
        self.claims_under_way = 0
        self.listener: Listener | None = None
        self._settings = settings
        self._wire = wire
        self._hands = hands
        self._groups = groups
        self._tell = tell
        self._make_link = make_link
        self._on_jobs = on_jobs
        self._on_unknown = on_unknown
        self._on_superseded = on_superseded
        self._on_asked = on_asked
        self._on_idle = on_idle
        self._on_crash = on_crash
        self._plan = Plan(settings, hands, groups, has_waiting, self._is_asleep)
        self._settling = Settling(hands, self._plan, tell, on_unsuccessful=on_unsuccessful, on_more=self.poke)
        self._pace = Pace(settings.poll_interval)
        self._lanes: list[Lane] = []
        self._own: list[Link] = []
        """Links of lanes opened here."""
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._ending = False
        self._loop = asyncio.get_running_loop()

    # -- life -----------------------------------------------------------------------------------------------------

    @property
    def claiming(self) -> bool:
        """Whether anything may be claimed."""
        return self._plan.claiming

    @claiming.setter
    def claiming(self, wanted: bool) -> None:
        self._plan.claiming = wanted

    def start(self, link: Link, claim_link: Link | None = None) -> None:
        """Claim and settle. `link` is open; `claim_link`, if there is one, does not wait for the disk and only
        claims.
        """
        self.claiming = True
        if claim_link is not None:
            self._own.append(claim_link)
            self._plan.has_wake_lane = True
            # Its first claim: so it is connected, and its plans are made, before anybody wakes us.
            for group in self._groups:
                group.urgent = True
            self._add_lane(claim_link, settles=False)
        self._add_lane(link, settles=True)
        self.poke()

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
        """End at once; what is not handed in stays unsaid. The link given to `start` is left open."""
        self.claiming = False
        if self._timer is not None:
            self._timer.cancel()
        if self._lanes:
            await asyncio.wait([asyncio.ensure_future(lane.stop()) for lane in self._lanes], timeout=within)
        for link in self._own:
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

    def more_to_come(self, queue: str) -> None:
        """What is being handed in will be there to be claimed again: ask for it in the same statement."""
        for group in self._groups:
            if queue in group.queues:
                group.seen_empty = False

    def look_again(self) -> None:
        """Poll now: jobs may have come unheard (just asleep, or connected again)."""
        for group in self._groups:
            group.misses = 0
            group.seen_empty = False
            group.poll_at = 0.0
        self.poke()

    def ended(self) -> None:
        """Some jobs have ended, or slots are free."""
        if self._plan.can_wait():
            self._arm()
        else:
            self.poke()

    def poke(self) -> None:
        """Give free lanes what is due."""
        work = 0
        is_free = False
        for lane in self._lanes:
            work += lane.settles
            if lane.is_free and not self._give(lane):
                is_free = is_free or lane.settles
        if not is_free and 0 < work < self._settings.connections:
            self._maybe_another_lane()
        self._arm()

    def _give(self, lane: Lane) -> bool:
        turn = self._plan.next(settles=lane.settles)
        if turn is not None:
            self._begin(lane, turn)
        return turn is not None

    def _begin(self, lane: Lane, turn: Turn) -> None:
        self._under_way += 1
        if turn.group is not None:
            self.claims_under_way += 1
        lane.begin(turn)

    def _maybe_another_lane(self) -> None:
        turn = self._plan.next(settles=True)
        if turn is not None:
            link = self._make_link()
            self._own.append(link)
            self._begin(self._add_lane(link, settles=True), turn)

    def _arm(self) -> None:
        """One timer for whatever is due next by the clock; none when nobody could see to it: the lane that is free next
        looks by itself, and until then a time that is past would be due in every turn of the event loop.
        """
        due = self._plan.due_at() if self._can_begin() else math.inf
        if self._timer is not None:
            if self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = self._loop.call_at(due, self._due_now)

    def _can_begin(self) -> bool:
        """Whether a lane that settles is free, or one more may be opened."""
        lanes = [lane for lane in self._lanes if lane.settles]
        return len(lanes) < self._settings.connections or any(lane.is_free for lane in lanes)

    def _due_now(self) -> None:
        self._timer = None
        self.poke()

    def _is_asleep(self) -> bool:
        return self.listener is not None and self.listener.asleep

    # -- lanes ----------------------------------------------------------------------------------------------------

    def _add_lane(self, link: Link, *, settles: bool) -> Lane:
        lane = Lane(
            link,
            self._wire,
            settles=settles,
            worker=lambda: self.worker_id or 0,
            on_answer=self._answered,
            on_failure=self._failed,
            on_unknown=self._on_unknown,
            on_restored=self.look_again,
            on_free=self._after,
            on_crash=self._on_crash,
        )
        self._lanes.append(lane)
        return lane

    def _answered(self, turn: Turn, problems: list[Problem], jobs: list[Job]) -> None:
        again = self._over(turn, jobs)
        if again:
            self._on_superseded(again)
        if jobs:
            self._on_jobs()
            if turn.urgent and not turn.batch:
                # first the handler somebody waits for, which has just been called for; then our books
                self._loop.call_soon(self._books, turn, problems, jobs)
                return
        self._books(turn, problems, jobs)

    def _books(self, turn: Turn, problems: list[Problem], jobs: list[Job]) -> None:
        if turn.batch:
            self._settling.answered(turn.batch, problems)
        if turn.group is not None:
            self._pace.claimed(turn.group, turn.n, jobs, urgent=turn.urgent, asleep=self._is_asleep())
            if jobs:
                self._tell("claimed", jobs=len(jobs))
            self._on_asked()
            if self.listener is not None:
                self.listener.rest(self.claiming and self._pace.should_sleep(self._hands, self._groups))
        self._after()

    def _failed(self, turn: Turn, error: PgQueueError) -> None:
        self._over(turn, [])
        if not isinstance(error, InvalidArgument):
            self._hands.put_back(turn.batch)
        elif turn.group is None:
            self._settling.isolate(turn.batch, error)
        elif turn.batch:
            # whose fault it is shows when the outcomes travel alone
            self._plan.isolated.append(turn.batch)

    def _over(self, turn: Turn, jobs: list[Job]) -> list[Job]:
        """The turn is no longer under way. Returns what `hands.take` does."""
        again: list[Job] = []
        self._under_way -= 1
        self._hands.settled(turn.batch)
        if turn.group is not None:
            self._hands.expected -= turn.n
            turn.group.expected -= turn.n
            if jobs:
                again = self._hands.take(jobs, turn.group)
            # last: the heartbeat's thread must never see neither the claim nor its leases
            self.claims_under_way -= 1
        return again

    def _after(self) -> None:
        """A lane is free, and what it brought has been dealt with."""
        self.poke()
        if self._ending:
            if self._is_settled():
                self._settled.set()
        elif all(group.seen_empty for group in self._groups) and self._is_settled():
            self._on_idle()

    def _is_settled(self) -> bool:
        hands = self._hands
        return not (hands.open or hands.finished or self._under_way or self._plan.isolated or self._settling.postponed)
