"""What the async and the sync handle of a query have in common, without I/O."""

from __future__ import annotations

from pgqueue.errors import JobFailed, QueryFailed, ResultRestarted, ResultTimeout, ResultTooLarge
from pgqueue.models import QueryBatch, QueryStatus

__all__ = ["Restarts", "failure", "timed_out"]


class Restarts:
    """Notices that the query began again after the first chunk of another run was seen."""

    def __init__(self, id: int) -> None:
        self._id = id
        self._run: int | None = None

    def look(self, batch: QueryBatch) -> None:
        """Raises ResultRestarted."""
        if self._run is not None and batch.run != self._run:
            raise ResultRestarted(
                f"query {self._id} lost its worker and runs again, after {batch.batch} chunks had been read",
                "read the result again from its beginning",
            )
        if batch.data is not None:
            self._run = batch.run


def failure(status: QueryStatus) -> JobFailed:
    """What to raise for a query that ended without a result: a plain JobFailed when it was cancelled."""
    if status.state != "failed":
        return JobFailed(status.id, status.state, status.reason)
    error = status.error or {}
    kind = ResultTooLarge if error.get("sqlstate") == "PQ007" else QueryFailed
    return kind(status.id, status.state, status.reason, error)


def timed_out(id: int, timeout: float | None, cancelled: bool) -> ResultTimeout:
    """What to raise when the caller's time is up."""
    hint = "it is cancelled, unless others wait for it" if cancelled else "it goes on; ask again, or cancel it"
    return ResultTimeout(f"query {id} has not answered within {timeout or 0:g} s", hint)
