"""Lines of a job's log: how they are made, and the logger that writes to that log too."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgqueue._json import dumps_lossy, loads
from pgqueue.models import JSON

if TYPE_CHECKING:
    from pgqueue.context import Context

__all__ = ["JobLogger", "made_line"]


def made_line(message: object, level: str | int, fields: Mapping[str, Any]) -> dict[str, JSON]:
    """A line as `log_lines` takes it, as things are now. What cannot be stored is made readable: to log something must
    not fail a job.
    """
    try:
        line = {"message": str(message), "level": _word(level), "fields": dict(fields) or None}
        made: dict[str, JSON] = loads(dumps_lossy(line))
    except Exception as error:  # the str() of something, or a document without an end
        made = {"message": f"a line that cannot be written: {type(error).__name__}", "level": "warning", "fields": None}
    made["at"] = datetime.now(UTC).isoformat()
    return made


def _word(level: str | int) -> str:
    """`logging.INFO`, "INFO" and "info" are the same."""
    name = logging.getLevelName(level) if isinstance(level, int) else str(level)
    return name.lower()[:32] or "info"


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """What `Context.logger` is with `App(job_logs=True)`: records go where those of the logger go, and from INFO on to
    the job's log as well, whatever the logger's level.
    """

    def __init__(self, logger: logging.Logger, extra: Mapping[str, object], context: Context) -> None:
        super().__init__(logger, extra)
        self._context = context

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """As any logger's."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *args, **kwargs)
        if level >= logging.INFO or self.isEnabledFor(level):
            self._context.log(_formatted(msg, args), _word(level), **_fields(kwargs))

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """The job's own facts, and the record's `extra` with them."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def _formatted(msg: object, args: tuple[Any, ...]) -> str:
    try:
        return logging.LogRecord("", 0, "", 0, msg, args, None).getMessage()
    except Exception:  # as logging itself: a wrong format is no reason to fail
        return f"{msg!s} {args!r}"


def _fields(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    fields = {str(key): value for key, value in (kwargs.get("extra") or {}).items()}
    fields.pop("level", None)
    error = kwargs.get("exc_info")
    if error:
        if not isinstance(error, BaseException):
            error = error[1] if isinstance(error, tuple) else sys.exc_info()[1]
        if error is not None:
            fields["exception"] = "".join(traceback.format_exception(error))
    return fields
