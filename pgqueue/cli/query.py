"""`pgqueue query`: one statement, and its result as a table or a file."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from pgqueue.cli._errors import CliError
from pgqueue.cli._following import Line, interruptible, number, session_options, settings_of
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, Column, ago, emit, record, span, table, to_json
from pgqueue.cli._params import DURATION, Text
from pgqueue.cli._session import session
from pgqueue.errors import QueryFailed

if TYPE_CHECKING:
    from pgqueue import Client, QueryHandle
    from pgqueue.models import QueryStatus

_NULL = "\\N"
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


@click.command(
    short_help="Run a query in the background, show or save its result.",
    epilog=examples(
        'pgqueue query "select * from orders where id = $1" -p 42',
        'pgqueue query "table orders" orders.csv --csv --timeout 2h     # Ctrl-C cancels it',
        'pgqueue query "table orders" --arrow > orders.arrow',
        'pgqueue query "refresh materialized view sales" --detach       # prints the id',
        "pgqueue query @report.sql report.csv --csv                     # - is stdin",
        'pgqueue query "table totals" --depends-on 41                    # a job, query or script that must end first',
        "pgqueue query 42                                               # attach to query 42",
        "pgqueue query 42 --status --json",
    ),
)
@click.argument("sql", metavar="SQL|ID", type=Text())
@click.argument("file", metavar="[FILE]", default="-")
@click.option("--param", "-p", "params", multiple=True, help=f"The next of $1, $2, …, as text; {_NULL} is null.")
@click.option("--csv", "form", flag_value="csv", help="The result as CSV, into FILE or to stdout.")
@click.option("--arrow", "form", flag_value="arrow", help="The result as an Arrow stream, into FILE or to stdout.")
@click.option("--max", "most", type=click.IntRange(1), default=1000, show_default=True, help="Rows of the table.")
@click.option("--timeout", type=DURATION, help="How long it may run. Default: the queue's.")
@click.option("--wait-timeout", type=DURATION, help="Fail it if it has not started by then (reason queue_timeout).")
@click.option("--max-age", type=DURATION, help="A result of the same query that is not older will do.")
@click.option("--ttl", type=DURATION, help="How long the result is kept. Default: the installation's result_ttl.")
@click.option("--max-rows", type=click.IntRange(0), help="Fail it if there are more.")
@click.option("--read-only", is_flag=True, help="Let it change nothing.")
@click.option("--status", is_flag=True, help="Of ID: show how far it is, and do not wait.")
@click.option("--cancel", is_flag=True, help="Of ID: cancel it, for all who wait for it.")
@session_options("queries")
@common
@pass_settings
def query(
    settings: Settings, /, sql: str, file: str, form: str | None, status: bool, cancel: bool, detach: bool, **given: Any
) -> None:
    """Run one statement on a worker and show its result, or write it to FILE with --csv, --json or --arrow. Given the
    ID of a query, show the result of that one. @FILE is a file with the statement, - stdin.

    An identical query that runs already is joined, but with --depends-on. Exit code 0 only if it succeeded.
    """
    sql = _text(sql)
    id = number(sql)
    most = given.pop("most")
    if (status or cancel) and id is None:
        raise click.UsageError("--status and --cancel go with the ID of a query.")
    with session(settings) as client:
        handle = _submit(client, sql, given) if id is None else client.query_handle(id, owner=given["owner"])
        if cancel:
            gone = client.cancel_query(handle.id, given["owner"])
            emit(settings, {"id": id, "state": gone.state, "changed": gone.changed}, f"query {id} {gone.state}")
        elif status:
            found = handle.status()
            emit(settings, found, lambda: _describe(found))
        elif detach:
            made = {"id": handle.id, "created": handle.created, "reused": handle.reused}
            emit(settings, made, f"query {handle.id}{_how(handle, id is None)}")
        else:
            with _stopping(settings, handle, ours=id is None), Line() as line:
                _result(settings, handle, line, form or ("json" if settings.json else "table"), file, most)


def _text(given: str) -> str:
    """What is given, or is in the file that is. Raises click.BadParameter."""
    try:
        text = sys.stdin.read() if given == "-" else Path(given[1:]).read_text("utf-8") if given[0] == "@" else given
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {given[1:]}: {error}", param_hint="SQL") from error
    return Text().convert(text, None, None)


def _submit(client: Client, sql: str, given: dict[str, Any]) -> QueryHandle:
    params = [None if param == _NULL else Text().convert(param, None, None) for param in given.pop("params")]
    options = {name: value for name, value in given.items() if value not in (None, ()) and name != "pairs"}
    return client.query(sql, params or None, settings=settings_of(given["pairs"]), **options)


def _how(handle: QueryHandle, submitted: bool) -> str:
    if not submitted or handle.created:
        return ""
    return ", its result is there already" if handle.reused else ", which runs already, joined"


@contextmanager
def _stopping(settings: Settings, handle: QueryHandle, *, ours: bool) -> Iterator[None]:
    def cancel() -> str:
        # The connection may be in the middle of an answer.
        with session(settings) as client:
            owner = client.user() if ours and handle.owner is None else handle.owner
            gone = client.cancel_query(handle.id, owner, "Ctrl-C")
        return f"goes on for {gone.others} more" if gone.others else "is cancelled"

    try:
        with interruptible(f"query {handle.id}", cancel, ours=ours):
            yield
    except QueryFailed as error:
        where = f" (at character {error.position})" if error.position else ""
        detail = f"\n{error.detail}" if error.detail else ""
        raise CliError(f"query {handle.id} failed: {error.message}{where}{detail}", error.hint) from error


def _result(settings: Settings, handle: QueryHandle, line: Line, form: str, file: str, most: int) -> None:
    if _first_rows(handle, line, whole=form == "table").is_final:
        handle.wait()  # before a file is opened: a query that failed leaves alone what was there
    with ExitStack() as stack:
        out = _open(stack, file, binary=form == "arrow", line=line)
        if form == "csv":
            rows = handle.to_csv(out)
        elif form == "json":
            rows = handle.to_json(out, lines=True)
        elif form == "arrow":
            rows = _to_arrow(handle, out)
        elif file != "-":
            raise click.UsageError("Say in what form to write FILE: --csv, --json or --arrow.")
        else:
            line.clear()
            rows = _to_table(handle, most)
    status = handle.wait()
    took = span(status.ended_at - status.started_at) if status.ended_at and status.started_at else ""
    said = f"{rows} row{'' if rows == 1 else 's'}" if status.columns else status.command or "done"
    line.say(f"query {handle.id}: {said} in {took}" + (f", {ago(status.ended_at)}" if handle.reused else ""))


def _first_rows(handle: QueryHandle, line: Line, *, whole: bool) -> QueryStatus:
    """Shows how far it is until there are rows to be had; with `whole`, until there is nothing to wait for."""
    pause = _FIRST_PAUSE
    while True:
        status = handle.status()
        if status.is_final or (status.batches and not whole):
            return status
        rows = f", {status.row_count:,} rows" if status.row_count else ""
        line.show(f"query {handle.id} {status.state}{rows}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


class _Told(io.RawIOBase):
    """Tells how much is written to a file. Closing it, as Arrow's writer does, leaves the file open."""

    def __init__(self, file: IO[bytes], line: Line | None) -> None:
        super().__init__()
        self._file = file
        self._line = line
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        written = self._file.write(data)
        self._size += written
        if self._size and self._line is not None:
            self._line.show(f"writing, {self._size / 1e6:,.1f} MB")
        return written


def _open(stack: ExitStack, file: str, *, binary: bool, line: Line) -> _Told:
    if file != "-":
        return _Told(stack.enter_context(Path(file).open("wb")), line)
    if binary and sys.stdout.isatty():
        raise click.UsageError("An Arrow stream is not for a terminal: give a FILE.")
    return _Told(sys.stdout.buffer, None)


def _to_arrow(handle: QueryHandle, file: Any) -> int:
    from pgqueue._copyarrow import stream

    return stream(handle.record_batches(), file)


def _to_table(handle: QueryHandle, most: int) -> int:
    """Prints up to `most` rows; returns how many there are."""
    rows = list(islice(handle.rows(), most))
    status = handle.wait()
    columns = status.columns or []
    if columns:
        table(rows, [_column(at, column) for at, column in enumerate(columns)])
    count = status.row_count or 0
    if count > len(rows):
        click.echo(f"… and {count - len(rows)} more: --max, or --csv, --json, --arrow for all", err=True)
    return count


def _column(at: int, column: dict[str, Any]) -> Column[tuple[Any, ...]]:
    numeric = column["type"].startswith(("integer", "bigint", "smallint", "numeric", "double", "real"))
    return Column(column["name"], lambda row: _shown(row[at]), right=numeric)


def _shown(value: object) -> object:
    if isinstance(value, dict | list):
        return to_json(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value) if isinstance(value, timedelta) else value


def _describe(found: QueryStatus) -> None:
    colour = STATE_COLOURS.get(found.state)
    click.secho(
        f"query {found.id} {found.state}" + (f" ({found.reason})" if found.reason else ""), fg=colour, bold=True
    )
    error = found.error or {}
    record(
        [
            ("owner", found.owner),
            ("rows", found.row_count if found.columns else None),
            ("bytes", found.byte_count if found.columns else None),
            ("columns", ", ".join(f"{c['name']} {c['type']}" for c in found.columns or []) or None),
            ("command", found.command),
            ("error", error.get("message")),
            ("hint", error.get("hint")),
            ("run", found.run if (found.run or 0) > 1 else None),
            ("submitted", f"{found.submitted_at.isoformat()}  {ago(found.submitted_at)}"),
            ("started", found.started_at and f"{found.started_at.isoformat()}  {ago(found.started_at)}"),
            ("ended", found.ended_at and f"{found.ended_at.isoformat()}  {ago(found.ended_at)}"),
            ("expires", found.expires_at and f"{found.expires_at.isoformat()}  {ago(found.expires_at)}"),
        ]
    )
