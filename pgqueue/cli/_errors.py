"""Errors as a person meets them: one line what happened, one line what to do, an exit code a script can rely on.

Nothing here imports psycopg: an exception of its can only arrive when somebody has imported it already, so it is looked
up among the loaded modules, and a command that never connects never pays for the driver.
"""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from pgqueue.errors import (
    ConnectionLost,
    InvalidArgument,
    NotConfigured,
    PgQueueError,
    SchemaError,
    UnknownTask,
    translate,
)

OK = 0
NO = 1
USAGE = 2
UNREACHABLE = 3
SCHEMA = 4
INTERRUPTED = 130

EXIT_CODES = """\
0 done, or the answer is yes; 1 failed, or the answer is no; 2 wrong arguments; 3 cannot connect; 4 the schema is
missing or of another version; 130 interrupted."""

# Root last: the first class that fits decides.
_CODES: tuple[tuple[type[PgQueueError], int], ...] = (
    (SchemaError, SCHEMA),
    (UnknownTask, USAGE),
    (InvalidArgument, USAGE),
    (ConnectionLost, UNREACHABLE),
    (NotConfigured, UNREACHABLE),
    (PgQueueError, NO),
)


class CliError(click.ClickException):
    """What a command says when it cannot do what was asked.

    Args:
        message: what happened, one line.
        hint: what to do next; may be None.
        code: the exit code.
    """

    def __init__(self, message: str, hint: str | None = None, code: int = NO) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance, and types it as the class's

    def show(self, file: IO[Any] | None = None) -> None:
        """Print `error:` and `hint:` lines on stderr (or `file`)."""
        click.secho("error: ", fg="red", nl=False, err=True, file=file)
        click.echo(self.message, err=True, file=file)
        if self.hint:
            click.secho("hint: ", fg="yellow", nl=False, err=True, file=file)
            click.echo(self.hint, err=True, file=file)


def explain(error: Exception) -> CliError | None:
    """The error a person should read for this exception, or None when it is a bug of ours and deserves its name."""
    if "psycopg" in sys.modules:
        import psycopg

        if isinstance(error, psycopg.Error):
            error = translate(error)
    for cls, code in _CODES:
        if isinstance(error, cls):
            return CliError(error.message, error.hint, code)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return CliError(f"{error.strerror}{where}")
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def unexpected(error: Exception) -> CliError:
    """The last resort: still no traceback, but how to get one."""
    return CliError(
        f"{type(error).__name__}: {_first_line(error)}",
        "This is a bug. Run the command again with --debug for the traceback.",
        NO,
    )
