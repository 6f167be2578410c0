"""JSON of keyed queues, stored as text: all that JSON can say, with the numbers and characters that jsonb refuses."""

from __future__ import annotations

import json
from typing import Any, Final

from pgqueue._json import check
from pgqueue.errors import InvalidArgument, ItemCancelled, ItemFailed, NotSerialisable
from pgqueue.models import JSON

__all__ = ["NOTHING", "Nothing", "decoded", "encoded", "raise_for", "to_ms"]


class Nothing:
    """No value at all, as opposed to None, which JSON has."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = Nothing()


def encoded(value: JSON, what: str) -> str:
    """Raises NotSerialisable."""
    check(value, what)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise NotSerialisable(f"{what} cannot be written as JSON: {error}") from error


def decoded(text: str | None, what: str) -> Any:
    """None for no text. Raises InvalidArgument."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidArgument(
            f"{what} is no JSON: {error}", "whoever wrote it has stored plain text: client.keyed(queue, text=True)"
        ) from error


def raise_for(id: int, state: str, text: str | None) -> None:
    """Raises ItemFailed and ItemCancelled for an item that has not succeeded."""
    if state == "failed":
        try:
            told = json.loads(text or "")["error"]
        except (ValueError, TypeError, KeyError):
            told = text
        raise ItemFailed(id, str(told or "failed"))
    if text is None and state != "succeeded":
        raise ItemCancelled(id, state)


def to_ms(name: str, seconds: float | None) -> int | None:
    """Seconds as milliseconds. Raises InvalidArgument."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        raise InvalidArgument(f"{name} is {seconds!r}", "it is a number of seconds, 0 or more")
    return round(seconds * 1000)
