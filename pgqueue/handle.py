"""JobHandle: what enqueue gives back, and the way to a job's result."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast, overload

from pgqueue.errors import InvalidArgument, JobFailed
from pgqueue.models import Change, Job, Result

if TYPE_CHECKING:
    from pgqueue._clients import Clients
    from pgqueue.convert import Converter

__all__ = ["JobCount", "JobHandle", "JobHandles"]

R = TypeVar("R")


class JobHandle(Generic[R]):
    """One enqueued job. `created` is False when a live job with the same unique key was there already; `id` is then
    that job's.

    Its methods use connections of the App's own, never the caller's: ask for a result when the transaction that
    enqueued the job has been committed. Each has an awaitable variant that begins with a.
    """

    __slots__ = ("_clients", "_returns", "created", "id")

    def __init__(self, clients: Clients, id: int, created: bool, returns: Converter | None = None) -> None:
        self._clients = clients
        self._returns = returns
        self.id = id
        self.created = created

    def __repr__(self) -> str:
        return f"JobHandle(id={self.id}, created={self.created})"

    def result(self, timeout: float | None = None) -> R:
        """Waits up to `timeout` seconds (None: for ever) and returns what the function returned, as its return
        annotation says.

        Listens on a connection of the App's pool while it waits, or polls when too many threads do; no thread is
        started. Raises JobFailed when the job failed or was cancelled, ResultTimeout, UnknownJob (not committed yet, or
        gone by retention), CannotUnseal. SQL functions: result, watch.
        """
        return self._value(self._clients.client.results().wait(self.id, timeout))

    async def aresult(self, timeout: float | None = None) -> R:
        """`result` for async code: however many wait, one connection of the process listens. Raises what `result`
        raises.
        """
        return self._value(await self._clients.aclient.results().wait(self.id, timeout))

    def status(self) -> str:
        """The job's state. Raises UnknownJob. SQL function: result."""
        return self._clients.client.result(self.id).state

    async def astatus(self) -> str:
        return (await self._clients.aclient.result(self.id)).state

    def job(self) -> Job:
        """Everything about the job. Raises UnknownJob. SQL function: job."""
        return self._clients.hooks.opened(self._clients.client.job(self.id))

    async def ajob(self) -> Job:
        return self._clients.hooks.opened(await self._clients.aclient.job(self.id))

    def cancel(self, why: str | None = None) -> Change:
        """Cancels the job at once when it waits; asks its worker to stop it when it runs. SQL function: cancel."""
        return self._clients.client.cancel(self.id, why)

    async def acancel(self, why: str | None = None) -> Change:
        return await self._clients.aclient.cancel(self.id, why)

    def _value(self, result: Result) -> R:
        sealer = self._clients.hooks.sealer
        if result.state != "succeeded":
            raise JobFailed(self.id, result.state, result.reason, sealer.open_error(result.error))
        opened = sealer.open(result.result)
        if self._returns is None:
            return cast(R, opened)
        try:
            return cast(R, self._returns.decode(opened))
        except Exception as error:
            raise InvalidArgument(
                f"the result of job {self.id} does not fit the function's return annotation: {error}",
                "was the job done by another version of the code? its JSON is handle.job().result",
            ) from error


class JobHandles(Sequence[JobHandle[R]]):
    """The handles of many jobs in the order of the input, nine bytes each: a handle is made when it is asked for."""

    def __init__(self, clients: Clients, returns: Converter | None) -> None:
        self._clients = clients
        self._returns = returns
        self._ids = array("q")
        self._created = bytearray()

    def add(self, rows: Iterable[tuple[int, bool]]) -> None:
        for id, created in rows:
            self._ids.append(id)
            self._created.append(created)

    @property
    def ids(self) -> Sequence[int]:
        return self._ids

    @property
    def created(self) -> int:
        """How many were new; the others joined a live job with their unique key."""
        return sum(self._created)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> JobHandle[R]: ...
    @overload
    def __getitem__(self, index: slice) -> list[JobHandle[R]]: ...
    def __getitem__(self, index: int | slice) -> JobHandle[R] | list[JobHandle[R]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return JobHandle(self._clients, self._ids[index], bool(self._created[index]), self._returns)

    def __repr__(self) -> str:
        return f"<JobHandles: {len(self)} jobs, {self.created} new>"


class JobCount(NamedTuple):
    """What enqueue_many did when it was told to keep no handles."""

    jobs: int
    """How many elements there were."""
    created: int
    """How many made a new job; the others joined a live job with their unique key."""
