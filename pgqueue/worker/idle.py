"""When to ask for jobs again after a claim that was not filled, and whether to sleep meanwhile.

Polls follow after 5, 20, 80, 320 ms and then every poll_interval, because an enqueue that looked for sleepers before
we slept stays silent. Sleeping (see `notify`) begins at once unless jobs have lately been coming fast: then a wake-up
call per enqueue would cost the enqueuers more than our polls cost the server. It ends when there is no room for more
jobs, or when they come fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from time import monotonic

from pgqueue.worker.backoff import jittered
from pgqueue.worker.hands import Group, Hands
from pgqueue.worker.job import Job

__all__ = ["Pace"]

_DECAY = (0.005, 0.02, 0.08, 0.32)
_HEAT_LASTS = 0.02
_HOT = 40.0
"""Two thousand jobs a second, for as long as that takes to show in an average over 20 ms."""


class Pace:
    """How fast jobs come, and what follows from it."""

    __slots__ = ("_heat", "_heat_at", "_poll_interval")

    def __init__(self, poll_interval: float) -> None:
        self._poll_interval = poll_interval
        self._heat = 0.0
        self._heat_at = 0.0

    def claimed(self, group: Group, asked: int, jobs: list[Job], *, urgent: bool, asleep: bool) -> None:
        """A claim has been answered."""
        now = monotonic()
        count = len(jobs)
        self._heat = min(self.heat(now) + count, 2 * _HOT)
        self._heat_at = now
        # A job that has been in a crash comes alone, however many wait behind it.
        group.eager = count >= asked or (count > 0 and jobs[-1].crashes > 0)
        if count:
            group.seen_empty = False
            if not asleep:
                group.misses = 0
        elif not urgent:
            group.seen_empty = True
        if not group.eager:
            wait = _DECAY[group.misses] if group.misses < len(_DECAY) else self._poll_interval
            group.poll_at = now + jittered(wait)
            group.misses += 1

    def heat(self, now: float) -> float:
        """Jobs claimed lately."""
        return self._heat * math.exp((self._heat_at - now) / _HEAT_LASTS)

    def should_sleep(self, hands: Hands, groups: Iterable[Group]) -> bool:
        """Whether enqueues should call us: there is room, nothing is known to be left, and jobs do not come fast."""
        hungry = [group for group in groups if hands.want(group) > 0]
        return bool(hungry) and not any(group.eager for group in hungry) and self.heat(monotonic()) < _HOT
