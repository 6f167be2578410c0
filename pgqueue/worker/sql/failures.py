"""Why SQL of a job has failed, as the object that `script_end` and `query_end` take."""

from __future__ import annotations

import psycopg
from psycopg.errors import Diagnostic

from pgqueue.errors import PgQueueError
from pgqueue.models import JSON

__all__ = [
    "CANCELED",
    "SqlFailure",
    "failure_of",
    "failure_of_call",
    "failure_of_connecting",
    "failure_told",
    "refused_copy",
    "time_is_up",
]

CANCELED = "57014"
_UNREACHABLE = "08001"
_LOST = "08006"


class SqlFailure(Exception):
    """`document` has type, message, and if there are any sqlstate, detail, hint, position (of a character, from 1)."""

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        sqlstate: str | None = None,
        *,
        type: str = "SqlError",
        detail: str | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        document: dict[str, JSON] = {
            "type": type,
            "message": message,
            "sqlstate": sqlstate,
            "detail": detail,
            "hint": hint,
            "position": position,
        }
        self.sqlstate = sqlstate
        self.document = {key: value for key, value in document.items() if value is not None}


def failure_of(error: psycopg.Error, *, shift: int = 0) -> SqlFailure:
    """What the server said; of an error that came from no server, what libpq said. `shift`: how many characters stood
    before the user's text.
    """
    told = error.diag
    if error.sqlstate is None:
        return SqlFailure(_one_line(error), sqlstate=_LOST, type="ConnectionLost")
    position = int(told.statement_position) - shift if told.statement_position else None
    return SqlFailure(
        told.message_primary or _one_line(error),
        told.message_hint,
        error.sqlstate,
        detail=told.message_detail,
        position=position if position is not None and position > 0 else None,
    )


def failure_told(told: Diagnostic) -> SqlFailure:
    """What the server said when it ended the session."""
    return SqlFailure(told.message_primary or "the server has ended the session", told.message_hint, told.sqlstate)


def failure_of_connecting(error: psycopg.Error) -> SqlFailure:
    """No connection to the data source. libpq's message names the server, and never the password."""
    return SqlFailure(
        _one_line(error),
        "Is the server of the data source up, and does it let the worker in?",
        _UNREACHABLE,
        type="ConnectionFailed",
    )


def failure_of_call(error: PgQueueError) -> SqlFailure:
    """The queue's own refusal of what the job asked for."""
    return SqlFailure(error.message, error.hint, error.sqlstate, type=type(error).__name__)


def refused_copy() -> SqlFailure:
    """Most of these are refused at submission; this one was written in a way that only the server has understood."""
    return SqlFailure(
        "there is no client here that COPY could take rows from or send them to",
        "To read rows submit a query, which keeps its result; to write them use INSERT, or COPY with a file of the "
        "server.",
        "0A000",
        type="Refused",
    )


def time_is_up() -> SqlFailure:
    """In the server's own words: its statement_timeout counts each statement, and the worker all of the text."""
    return SqlFailure("canceling statement due to statement timeout", sqlstate=CANCELED, type="Timeout")


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
