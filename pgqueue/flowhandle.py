"""FlowHandle: what enqueuing a flow gives back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pgqueue.handle import JobHandle
from pgqueue.models import FINAL_STATES, GroupStatus

if TYPE_CHECKING:
    from pgqueue._clients import Clients
    from pgqueue._flowplan import Plan

__all__ = ["FlowHandle"]

_AT_ONCE = 10_000

R = TypeVar("R", covariant=True)


class FlowHandle(Generic[R]):
    """The jobs of a flow, in the order of its steps. `ids`: theirs. `created`: how many were new; the others joined a
    job that holds their unique key.

    Its methods use connections of the App's own: call them when the transaction that enqueued it has been committed.
    Each has an awaitable variant that begins with a.
    """

    def __init__(self, clients: Clients, plan: Plan) -> None:
        self._clients = clients
        self._converters = plan.converters
        self._created = plan.created
        self._end = plan.end.results
        self._is_many = plan.end.is_many
        self._gathered = plan.gathered
        self.ids: Sequence[int] = plan.ids

    def __repr__(self) -> str:
        return f"<FlowHandle: {len(self.ids)} jobs, the last {self.ids[-1] if self.ids else None}>"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> JobHandle[Any]:
        """One of the jobs."""
        return JobHandle(self._clients, self.ids[position], bool(self._created[position]), self._converters[position])

    @property
    def created(self) -> int:
        return sum(self._created)

    @property
    def last(self) -> list[JobHandle[Any]]:
        """The jobs of the last step, of which the result is."""
        return [self[position] for position in self._end]

    def result(self, timeout: float | None = None) -> R:
        """Waits up to `timeout` seconds (None: for ever) and returns the result of the last step: of a group, the list
        of its members' results.

        Raises what `JobHandle.result` raises: JobFailed when a job of the last step failed, or was cancelled because
        one before it did.
        """
        deadline = _deadline(timeout)
        results = [self[position].result(_left(deadline)) for position in self._end]
        return cast(R, results if self._is_many else results[0])

    async def aresult(self, timeout: float | None = None) -> R:
        """`result` for async code."""
        deadline = _deadline(timeout)
        results = [await self[position].aresult(_left(deadline)) for position in self._end]
        return cast(R, results if self._is_many else results[0])

    def status(self) -> str:
        """The state of the last step: of one job, its own; of several, "running" until all are final, then the worst of
        theirs. Asks once for each job of the last step. Raises UnknownJob. SQL function: result.
        """
        return _together([self[position].status() for position in self._end])

    async def astatus(self) -> str:
        return _together([await self[position].astatus() for position in self._end])

    def group_status(self) -> GroupStatus:
        """How far the members of the flow's last group are; without a group, all its jobs. One call when a job comes
        after the group, else one for each member. SQL functions: group_status, result.
        """
        client = self._clients.client
        completion = self._completion
        if completion is not None:
            return client.group_status(completion)
        return _counted([client.result(id).state for id in self._members])

    async def agroup_status(self) -> GroupStatus:
        client = self._clients.aclient
        completion = self._completion
        if completion is not None:
            return await client.group_status(completion)
        return _counted([(await client.result(id)).state for id in self._members])

    def cancel(self, why: str | None = None) -> int:
        """Cancels what waits and asks workers to stop what runs. One statement for all jobs, up to ten thousand: none
        starts because another one is cancelled. Of a larger flow the last jobs come first.

        Returns how many it cancelled or asked by themselves: a job that goes because one before it was cancelled is not
        counted. What other sessions have locked at this moment is left alone. SQL function: cancel_jobs.
        """
        client = self._clients.client
        steps = [client.cancel_jobs({"ids": ids}, why=why, batch=_AT_ONCE) for ids in self._from_the_end()]
        return sum(step.done for step in steps)

    async def acancel(self, why: str | None = None) -> int:
        """`cancel` for async code."""
        client = self._clients.aclient
        steps = [await client.cancel_jobs({"ids": ids}, why=why, batch=_AT_ONCE) for ids in self._from_the_end()]
        return sum(step.done for step in steps)

    def _from_the_end(self) -> Iterator[list[int]]:
        for end in range(len(self.ids), 0, -_AT_ONCE):
            yield list(self.ids[max(0, end - _AT_ONCE) : end])

    @property
    def _completion(self) -> int | None:
        if self._gathered is None or self._gathered[1] is None:
            return None
        return self.ids[self._gathered[1]]

    @property
    def _members(self) -> Iterable[int]:
        if self._gathered is None:
            return self.ids
        return [self.ids[position] for position in self._gathered[0]]


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _together(states: Sequence[str]) -> str:
    if len(states) == 1:
        return states[0]
    if not FINAL_STATES.issuperset(states):
        return "running"
    return next((state for state in ("failed", "cancelled") if state in states), "succeeded")


def _counted(states: Sequence[str]) -> GroupStatus:
    counts = Counter(states)
    final = {state: counts[state] for state in ("succeeded", "failed", "cancelled")}
    return GroupStatus(len(states), len(states) - sum(final.values()), **final)
