"""What the functions of row batches and slow queries answer; `pgqueue.models` shows them with the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["BatchAborted", "BatchInfo", "FilePiece", "RowOutcome", "SlowQueryAborted", "SlowQueryStatus"]


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """Where a batch or slow query stands. `status` is held, queued, running, succeeded, failed or aborted; `try_later`:
    it is not final. The counts are of this moment. `files`: name → lines and chars, once it is final. `waits_for`: what
    holds it while it is held, of "release" and "parents".
    """

    id: int
    app: str
    op: str
    kind: str
    owner: str
    status: str
    try_later: bool
    rows: int
    pending: int
    succeeded: int
    failed: int
    aborted: int
    context: Any
    submitted_at: datetime
    released_at: datetime | None
    done_at: datetime | None
    files: dict[str, Any] | None
    waits_for: list[str] | None = None

    @property
    def is_final(self) -> bool:
        return not self.try_later


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row: `status` succeeded, failed or aborted; `messages` as its processor gave them."""

    line: int
    row_id: int
    status: str
    done_at: datetime
    result: Any
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BatchAborted:
    """Answer of `batch_abort`; `changed` False: it was over already."""

    status: str
    succeeded: int
    failed: int
    aborted: int
    changed: bool


@dataclass(frozen=True, slots=True)
class SlowQueryAborted:
    """Answer of `slow_query_abort`; `changed` False: it was over already."""

    status: str
    changed: bool


@dataclass(frozen=True, slots=True)
class SlowQueryStatus:
    """Where a slow query stands; `try_later`: it is not over. An aborted one has neither result nor messages."""

    status: str
    try_later: bool
    result: Any
    messages: list[dict[str, Any]] | None
    files: dict[str, Any] | None
    submitted_at: datetime
    done_at: datetime | None

    @property
    def is_final(self) -> bool:
        return not self.try_later


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A piece of an output file; the next one begins after `next_line` and `next_row`."""

    data: str
    next_line: int | None
    next_row: int | None
    is_last: bool
