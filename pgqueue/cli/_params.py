"""Arguments with a meaning: durations, times, JSON, names and numbers the server would refuse anyway, refused before
connecting.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

JsonObject = dict[str, Any]

_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)


# ParamType is generic only from click 8.4 on.
class Duration(click.ParamType):  # type: ignore[type-arg]
    """`90`, `1.5s`, `10m`, `1h30m`, `2 days` → timedelta. A bare number is seconds. Never negative."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse, or refuse with the spellings that work."""
        if isinstance(value, timedelta):
            return value
        text = str(value).lower()
        seconds, at = 0.0, 0
        while match := _PART.match(text, at):
            unit = _UNITS.get(match[2])
            if unit is None:
                break
            seconds += float(match[1]) * unit
            at = match.end()
        if at == 0 or at != len(text):
            self.fail(f"{value!r} is not a duration; write 90, 45s, 10m, 1h30m or 2d.", param, ctx)
        try:
            return timedelta(seconds=seconds)
        except OverflowError:
            self.fail(f"{value!r} is longer than can be stored.", param, ctx)


class Moment(click.ParamType):  # type: ignore[type-arg]
    """ISO 8601 → aware datetime; without a zone it is the local time of this machine."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse, or refuse with an example."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value).strip()).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time; write 2030-01-31T09:00, or with a zone 2030-01-31T09:00+01:00.", param, ctx
            )


class Text(click.ParamType):  # type: ignore[type-arg]
    """Text that can be stored: no bytes outside of UTF-8, no NUL, not empty, no longer than `most` characters."""

    name = "text"

    def __init__(self, most: int | None = None) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check; the text itself is never changed."""
        text = str(value)
        if not text:
            self.fail("it must not be empty.", param, ctx)
        if not storable(text):
            self.fail("it is not valid UTF-8 text.", param, ctx)
        if self.most is not None and len(text) > self.most:
            self.fail(f"it has {len(text)} characters; at most {self.most} are allowed.", param, ctx)
        return text


class Names(click.ParamType):  # type: ignore[type-arg]
    """`a,b` → names of arguments; `*` → (), which means all of them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split, or refuse an empty name."""
        if isinstance(value, tuple):
            return value
        if value == "*":
            return ()
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names) or not storable(str(value)):
            self.fail(f"{value!r} is no list of names; write customer,month or '*' for all arguments.", param, ctx)
        return names


DURATION = Duration()
NAMES = Names()
MOMENT = Moment()
NAME = Text(200)
KEY = Text(500)
JOB_ID = click.IntRange(1, 2**63 - 1)


def storable(text: str) -> bool:
    """Whether Postgres can store the text: arguments of a process may hold any bytes, which Python shows as lone
    surrogates.
    """
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are refused. Raises ValueError."""
    return json.loads(text, parse_constant=_no_constant)


def json_object(text: str, *, option: str) -> JsonObject:
    """The object in a --args like option: JSON, `@file` or `-` for stdin."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = parse_json(text)
    except OSError as error:
        raise click.BadParameter(f"cannot read {error.filename}: {error.strerror}.", param_hint=option) from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(
            f'not valid JSON: {error}. Quote it for the shell: {option} \'{{"to": "ada"}}\'.', param_hint=option
        ) from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"it must be a JSON object, not {_json_type(value)}.", param_hint=option)
    return value


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def pairs_to_object(pairs: Iterable[str]) -> JsonObject:
    """`key=value` arguments as an object. A value that is JSON is taken as JSON (42, true, null, [1], "42"), anything
    else as text.
    """
    made: JsonObject = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{pair!r} is not key=value.")
        if key in made:
            raise click.UsageError(f"{key!r} is given twice.")
        if not storable(pair):
            raise click.UsageError(f"{pair!r} is not valid UTF-8 text.")
        try:
            made[key] = parse_json(value)
        except (ValueError, RecursionError):
            made[key] = value
    return made
