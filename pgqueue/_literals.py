"""Python values as the text PostgreSQL reads them from.

Every parameter travels as text without a type and is cast in the statement. So a function has one statement text and
one list of parameter types, hence one prepared statement, whatever the values; and the arrays of a batch are one string
each, joined here, which is several times cheaper than dumping them element by element. Each function raises
InvalidArgument naming the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import index
from typing import Any

from pgqueue._json import dumps
from pgqueue.errors import InvalidArgument

__all__ = ["ENCODERS", "Encoder"]

Encoder = Callable[[str, Any], str | None]

_MICROSECOND = timedelta(microseconds=1)
_INT8 = 2**63


def integer(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        raise InvalidArgument(f"{name} must be an integer, not {value}")
    try:
        number = index(value)
    except TypeError:
        raise InvalidArgument(f"{name} must be an integer, not {type(value).__name__}") from None
    if not -_INT8 <= number < _INT8:
        raise InvalidArgument(f"{name} must fit in 64 bits")
    return str(number)


def text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a string, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidArgument(f"{name} contains a NUL character, which PostgreSQL cannot store in text")
    try:
        # psycopg would raise a bare UnicodeEncodeError later
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} contains a lone surrogate, which is no character of UTF-8") from None
    return value


def boolean(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} must be true or false, not {type(value).__name__}")
    return "true" if value else "false"


def interval(name: str, value: Any) -> str | None:
    """Seconds or timedelta, exactly: sent as microseconds, so that a day is 24 hours in every time zone."""
    if value is None:
        return None
    if isinstance(value, timedelta):
        return f"{value // _MICROSECOND} microseconds"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"{name} must be seconds or a timedelta, not {type(value).__name__}")
    if not math.isfinite(value):
        raise InvalidArgument(f"{name} must be a finite number of seconds, not {value}")
    return f"{round(value * 1_000_000)} microseconds"


def timestamp(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{name} must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidArgument(
            f"{name} must be an aware datetime",
            "give it a time zone: datetime.now(timezone.utc), or value.astimezone()",
        )
    return value.isoformat()


def document(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name == "args" and isinstance(value, str):
        return value
    return dumps(value, "argument" if name == "args" and isinstance(value, Mapping) else name)


def integers(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        # ids come from the server: the join is the check that they are what str() prints as a number
        return "{" + ",".join(map(str, map(index, value))) + "}"
    except TypeError:
        raise InvalidArgument(f"{name} must be integers") from None


def _array(items: Iterable[str | None]) -> str:
    return (
        "{"
        + ",".join(
            ["NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items]
        )
        + "}"
    )


def texts(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise InvalidArgument(f"{name} must be a list of strings, not one string")
    return _array([text(f"an element of {name}", item) for item in value])


def intervals(name: str, value: Any) -> str | None:
    if value is None:
        return None
    return _array([interval(f"an element of {name}", item) for item in value])


def documents(name: str, value: Any) -> str | None:
    """Only enqueue_each has an array of documents to be made: the args of its jobs. Inputs of rows come as text."""
    if value is None:
        return None
    return _array(
        [None if item is None else item if isinstance(item, str) else dumps(item, "argument") for item in value]
    )


def made_documents(name: str, value: Any) -> str | None:
    if value is None:
        return None
    return _array(value)


ENCODERS: dict[str, Encoder] = {
    "bigint": integer,
    "int": integer,
    "text": text,
    "boolean": boolean,
    "interval": interval,
    "timestamptz": timestamp,
    "jsonb": document,
    "bigint[]": integers,
    "integer[]": integers,
    "text[]": texts,
    "interval[]": intervals,
    "jsonb[]": documents,
}
