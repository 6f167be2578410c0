"""What the next statement should be.

A turn settles what has ended, or claims what can start soon, or both in one statement where a lane may do both.
Outcomes are handed in when a batch is full, when nothing is left to start, or when one has waited a few milliseconds;
jobs are asked for when there is room for them and the last claim was filled, somebody woke us, or a poll is due.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

from pgqueue.worker.hands import Group, Hands
from pgqueue.worker.job import Job
from pgqueue.worker.settings import QueueSpec, Settings, queue_limits
from pgqueue.worker.wire import Wire, texts

__all__ = ["Plan", "Turn", "make_groups"]


def make_groups(queues: Iterable[QueueSpec], hands: Hands) -> list[Group]:
    """What is claimed together. Queues with a limit come first: they cannot take every slot."""
    limits = queue_limits(queues)
    free = [name for name, limit in limits.items() if limit is None]
    limited = [Group([name], texts([name]), limit) for name, limit in limits.items() if limit is not None]
    for group in limited:
        hands.limit(group)
    return [*limited, Group(free, texts(free), None)] if free else limited


class Turn(NamedTuple):
    """One statement: outcomes to hand in (may be none), and a group to claim n jobs of (may be None)."""

    batch: list[Job]
    group: Group | None = None
    n: int = 0
    urgent: bool = False


class Plan:
    """Hands out turns. A turn is under way from then on: `hands` and the group have it booked.

    Args:
        has_waiting: whether jobs in hand are still to be started.
        is_asleep: whether enqueues call us.
    """

    def __init__(
        self,
        settings: Settings,
        hands: Hands,
        groups: list[Group],
        has_waiting: Callable[[], bool],
        is_asleep: Callable[[], bool],
    ) -> None:
        self.claiming = False
        self.has_wake_lane = False
        """Whether there is a lane that only claims."""
        self.isolated: deque[list[Job]] = deque()
        """Batches that must travel alone."""
        self.groups = deque(groups)
        self._settings = settings
        self._hands = hands
        self._has_waiting = has_waiting
        self._is_asleep = is_asleep
        self._flush_at = math.inf

    def next(self, *, settles: bool) -> Turn | None:
        """The turn for a lane that may claim, and, with `settles`, hand in outcomes as well.

        A lane that only claims is for who was woken: a poll may have to sweep for long, and a wake-up must not
        wait for it.
        """
        if not settles:
            return self._with_claim([], self._urgent() if self.claiming else None)
        now = monotonic()
        if self.isolated:
            batch = self.isolated.popleft()
            self._hands.settling.update([job.lease for job in batch])
            return Turn(batch)
        hands = self._hands
        ended = hands.due()
        if not ended:
            self._flush_at = math.inf  # what has ended must wait for the turn that is under way
        is_dry = not self._has_waiting()
        is_time = ended > 0 and (is_dry or ended >= self._settings.batch or now >= self._flush_at)
        group = self._due(now, is_dry, is_time) if self.claiming else None
        if group is None and not is_time:
            return None
        return self._with_claim(self._collect(now) if ended else [], group)

    def _with_claim(self, batch: list[Job], group: Group | None) -> Turn | None:
        # asked only now: collecting has measured anew how much should be in hand
        hands = self._hands
        n = min(hands.want(group), self._settings.batch) if group is not None else 0
        if group is not None and self.has_wake_lane and not (group.eager or group.urgent):
            n = (n + 1) // 2  # leaves room for who is woken meanwhile
        if group is None or n <= 0:
            return Turn(batch) if batch else None
        hands.expected += n
        group.expected += n
        urgent, group.urgent = group.urgent, False
        return Turn(batch, group, n, urgent)

    def _collect(self, now: float) -> list[Job]:
        batch = self._hands.collect(self._settings.batch)
        fits = Wire.fitting(batch)
        if fits < len(batch):
            # what is left of the same lease waits for this turn, and other leases for none
            rest, batch = batch[fits:], batch[:fits]
            self._hands.put_back(rest)
            travelling = {job.lease for job in batch}
            self._hands.settled([job for job in rest if job.lease not in travelling])
        self._flush_at = now + self._settings.flush_after if self._hands.finished else math.inf
        return batch

    def _urgent(self) -> Group | None:
        """A group that somebody woke us for, though a poll of it may be under way."""
        for group in self.groups:
            if group.urgent and self._hands.want(group) > 0:
                return group
        return None

    def _due(self, now: float, is_dry: bool, settles: bool) -> Group | None:
        """The next group to ask for, in rotation."""
        hands = self._hands
        groups = self.groups
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
            elif group.urgent or now >= group.poll_at:
                return group
            elif settles and not (group.seen_empty and self._is_asleep()):
                # A claim that brought something, though less than asked for, may have met a limit which what is settled
                # now makes room under; nobody calls for that.
                return group
        return None

    def can_wait(self) -> bool:
        """Whether what has ended may wait for more to travel with; then it has a time by which it goes."""
        if not self._has_waiting() or len(self._hands.finished) >= self._settings.batch:
            return False
        if self._flush_at == math.inf and self._hands.finished:
            self._flush_at = monotonic() + self._settings.flush_after
        return True

    def due_at(self) -> float:
        """When to ask again, should nothing happen before; infinity for never."""
        due = self._flush_at
        if self.claiming:
            for group in self.groups:
                if not group.eager and group.poll_at < due and not group.expected and self._hands.want(group) > 0:
                    due = group.poll_at
        return due
