"""Waiting for a job, for `job wait` and `enqueue --wait`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pgqueue.cli._output import content, printable

if TYPE_CHECKING:
    from pgqueue import Client


@dataclass(frozen=True)
class Ended:
    """How the wait ended; `state` is a live state when the job had not ended in time."""

    id: int
    state: str
    reason: str | None
    result: Any
    error: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """For --json: the columns of result() beside the id."""
        return {"id": self.id, "state": self.state, "reason": self.reason, "result": self.result, "error": self.error}


def wait_for(client: Client, job_id: int, patience: timedelta) -> Ended:
    """Wait until the job ends or patience runs out. Calls wait() and result(); raises pgqueue.UnknownJob."""
    client.wait(job_id, timeout=patience)
    found = client.result(job_id)
    return Ended(job_id, found.state, found.reason, found.result, found.error)


def outcome_line(ended: Ended) -> str:
    """The end of a job in one line for people."""
    said = f"job {ended.id} {ended.state}" + (f" ({ended.reason})" if ended.reason else "")
    if ended.state == "succeeded":
        return f"{said}: {content(ended.result)}"
    if ended.error:
        return f"{said}: {printable(ended.error.get('type'))}: {printable(ended.error.get('message'))}"
    if ended.state in ("failed", "cancelled"):
        return said
    return f"job {ended.id} has not ended in time: {ended.state}. `pgqueue job why {ended.id}` says what it waits for."
