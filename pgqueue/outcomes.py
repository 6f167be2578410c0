"""What a handler may return besides a result, and how any ending of a handler becomes the arguments of `settle`.

Outcomes are values, not exceptions: `return Retry(delay=30)`. A handler that raises has failed, and is tried again by
its retry policy.
"""

from __future__ import annotations

import traceback as _traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pgqueue._json import JsonText, dumps_lossy
from pgqueue.models import JSON

__all__ = [
    "Cancel",
    "Discard",
    "Outcome",
    "OutcomeName",
    "Retry",
    "Seconds",
    "Settlement",
    "Snooze",
    "error_document",
    "settlement_of_error",
    "settlement_of_outcome",
    "to_timedelta",
]

Seconds: TypeAlias = float | timedelta
OutcomeName: TypeAlias = Literal["succeeded", "failed", "timeout", "retry", "snooze", "release", "cancelled", "discard"]

# A traceback is for a reader; past this length its middle tells nobody anything and only fills the table.
_TRACEBACK_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Retry:
    """This attempt has failed: try again after `delay` (seconds or timedelta; None = the job's backoff) while attempts
    are left.
    """

    delay: Seconds | None = None
    error: str | BaseException | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: run again after `delay` (seconds or timedelta). No attempt is spent."""

    delay: Seconds


@dataclass(frozen=True, slots=True)
class Cancel:
    """The job is not to be done: it ends as cancelled (reason cancelled_by_worker)."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """The job has failed and trying again is useless: it fails now, whatever attempts are left."""

    error: str | BaseException | None = None


Outcome: TypeAlias = Retry | Snooze | Cancel | Discard


@dataclass(frozen=True, slots=True)
class Settlement:
    """One job's element of the arrays of `settle`: outcome, result and error as JSON text (None = SQL null), delay."""

    outcome: OutcomeName
    result: JsonText | None = None
    error: JsonText | None = None
    delay: timedelta | None = None


def to_timedelta(value: Seconds) -> timedelta:
    """Seconds or timedelta as timedelta. Raises OverflowError or ValueError for what is no finite time span."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def settlement_of_outcome(outcome: Outcome) -> Settlement:
    """How to settle a job whose handler returned an outcome value."""
    if isinstance(outcome, Snooze):
        return Settlement("snooze", delay=to_timedelta(outcome.delay))
    if isinstance(outcome, Cancel):
        return Settlement("cancelled", error=_told("Cancel", outcome.reason))
    if isinstance(outcome, Discard):
        return Settlement("discard", error=_told("Discard", outcome.error))
    if outcome.delay is None:
        return Settlement("failed", error=_told("Retry", outcome.error))
    return Settlement("retry", error=_told("Retry", outcome.error), delay=to_timedelta(outcome.delay))


def settlement_of_error(error: BaseException, outcome: OutcomeName = "failed") -> Settlement:
    """How to settle a job whose handler raised."""
    return Settlement(outcome, error=dumps_lossy(error_document(error)))


def error_document(error: BaseException) -> dict[str, JSON]:
    """An exception as the object kept with the attempt: type, message, traceback text."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception as broken:
        message = f"<{type(broken).__name__} while reading the message of this exception>"
    text = "".join(_traceback.format_exception(error))
    if len(text) > _TRACEBACK_LIMIT:
        half = _TRACEBACK_LIMIT // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
    return {"type": name, "message": message[:_TRACEBACK_LIMIT], "traceback": text}


def _told(kind: str, error: str | BaseException | None) -> JsonText | None:
    if error is None:
        return None
    if isinstance(error, BaseException):
        return dumps_lossy(error_document(error))
    return dumps_lossy({"type": kind, "message": error, "traceback": None})
