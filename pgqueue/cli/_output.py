"""Everything that is printed: JSON for programs, tables for people.

A table is rich's when rich is installed and stdout is a terminal, else plain aligned text that `awk` and a bug report
both like. What comes out of the database is shown, never obeyed: control characters and bidirectional overrides are
escaped, rich markup is not read.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

import click

from pgqueue.cli._options import Settings
from pgqueue.codec import sealed_with

T = TypeVar("T")

_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
STATE_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "scheduled": "blue",
    "held": "magenta",
}


@dataclasses.dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table for people: its title, how to get its text, its side, a colour for a value."""

    title: str
    value: Callable[[T], object]
    right: bool = False
    colour: Callable[[T], str | None] | None = None


def plain(value: object) -> Any:
    """A value as JSON knows it: times in ISO 8601, intervals in seconds, dataclasses as objects with SQL's column
    names.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def to_json(value: object) -> str:
    """One line of JSON."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def content(value: object) -> str:
    """Args or a result as people read them: one line of JSON, or that it is sealed."""
    name = sealed_with(value)
    return to_json(value) if name is None else f"sealed with the codec {name!r}"


def printable(value: object) -> str:
    """Text that cannot move the cursor, end the line or turn around what follows it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and ord(char) not in _BIDI


def width(text: str) -> int:
    """Columns the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def span(value: timedelta | float | None) -> str:
    """A duration for people: 350ms, 4.2s, 3m 12s, 5h 3m, 2d 4h."""
    if value is None:
        return ""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 0.9995:
        return f"{sign}{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    pairs = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next(i for i, (n, _) in enumerate(pairs) if n)
    return sign + " ".join(f"{n}{unit}" for n, unit in pairs[first : first + 2] if n)


def ago(when: datetime | None) -> str:
    """How long ago, or in how long."""
    if when is None:
        return ""
    past = datetime.now(UTC) - when
    return f"in {span(-past)}" if past < timedelta(0) else f"{span(past)} ago"


def moment(when: datetime | None, zone: str | None = None) -> str:
    """A time to the second with its offset, on the clocks of `zone` when this machine knows it."""
    if when is None:
        return ""
    if zone is not None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        with suppress(ZoneInfoNotFoundError, ValueError):
            when = when.astimezone(ZoneInfo(zone))
    return when.isoformat(sep=" ", timespec="seconds")


def rich_for(stream: Any) -> Any:
    """A rich Console for the stream, or None: rich is not installed or nobody looks."""
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False)


def emit(settings: Settings, value: object, human: Callable[[], object] | str) -> None:
    """One thing: its JSON, or what people read (a text, or a function that prints)."""
    if settings.json:
        click.echo(to_json(value))
    elif isinstance(human, str):
        click.echo(human)
    else:
        human()


def emit_rows(settings: Settings, rows: Iterable[T], columns: Sequence[Column[T]], *, empty: str) -> None:
    """Many things: one JSON object a line, or a table; `empty` is said (on stderr) when there is nothing to show."""
    if settings.json:
        for row in rows:
            click.echo(to_json(row))
        return
    materialised = list(rows)
    if not materialised:
        click.echo(empty, err=True)
        return
    table(materialised, columns)


def table(rows: Sequence[T], columns: Sequence[Column[T]], *, title: str | None = None, err: bool = False) -> None:
    """Print a table on stdout, or on stderr."""
    cells = [[printable(c.value(row)) for c in columns] for row in rows]
    stream = sys.stderr if err else sys.stdout
    console = rich_for(stream)
    if console is None:
        _plain_table(cells, columns, title, err)
    else:
        _rich_table(console, rows, cells, columns, title)


def _plain_table(cells: list[list[str]], columns: Sequence[Column[Any]], title: str | None, err: bool) -> None:
    widths = [max([width(c.title), *(width(line[i]) for line in cells)]) for i, c in enumerate(columns)]
    if title:
        click.echo(title, err=err)
    for line in [[c.title for c in columns], *cells]:
        padded = [
            " " * (w - width(text)) + text if c.right else text + " " * (w - width(text))
            for text, w, c in zip(line, widths, columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip(), err=err)


def _rich_table(
    console: Any, rows: Sequence[T], cells: list[list[str]], columns: Sequence[Column[T]], title: str | None
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=Text(title) if title else None,
        title_justify="left",
        header_style="bold",
    )
    for column in columns:
        grid.add_column(Text(column.title), justify="right" if column.right else "left", overflow="fold")
    for row, line in zip(rows, cells, strict=True):
        styles = [c.colour(row) if c.colour else None for c in columns]
        grid.add_row(*(Text(text, style=style or "") for text, style in zip(line, styles, strict=True)))
    console.print(grid)


def record(pairs: Iterable[tuple[str, object]]) -> None:
    """One thing as lines of name and value; what has no value is left out."""
    shown = [(name, printable(value)) for name, value in pairs if value is not None and value != ""]
    column = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        click.secho(name.ljust(column), dim=True, nl=False)
        click.echo(f"  {text}")
