"""Plain or JSON lines from the standard `logging` module. The worker only ever logs with `extra=`; how a line looks
is decided here.

Nothing is configured on import: an application that has its own logging keeps it. `configure` is what the command
line calls.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO, Any

__all__ = ["JsonFormatter", "PlainFormatter", "configure"]

# What every LogRecord carries anyway: the rest of its attributes came in through `extra`.
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime", "taskName"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD and value is not None}


def _stamp(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


class PlainFormatter(logging.Formatter):
    """`time level message key=value ...`, tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        facts = "".join(f" {key}={_plain(value)}" for key, value in _extras(record).items())
        line = f"{_stamp(record)} {record.levelname.lower():<7} {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        if record.stack_info:
            line += "\n" + self.formatStack(record.stack_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and everything given as `extra` under its own name."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; what JSON cannot carry goes in as its repr."""
        line: dict[str, Any] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=repr, ensure_ascii=False)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() or c in '"=' for c in text) else text


def configure(
    *, json_lines: bool = False, level: int | str = logging.INFO, stream: IO[str] | None = None
) -> logging.Handler:
    """Send the logs of `pgqueue` to `stream` (standard error by default); other loggers are left alone. Returns the
    handler.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if json_lines else PlainFormatter())
    root = logging.getLogger("pgqueue")
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False
    return handler
