"""`pgqueue batch …`: row batches from files, and what became of them."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from pgqueue.cli._errors import NO
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, ago, emit, emit_rows, record, to_json
from pgqueue.cli._params import DURATION, JOB_ID, KEY, NAME, parse_json
from pgqueue.cli._progress import progress
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from datetime import timedelta

    from pgqueue.models import BatchInfo, RowOutcome

_COLOURS = {"succeeded": "green", "failed": "red", "aborted": "yellow", "running": "cyan", "held": "magenta"}
_CHUNK = 5_000

_id = click.argument("id", type=click.IntRange(min=1))
_owner = click.option("--owner", type=KEY, help="Only if it belongs to this owner.")


@click.group(
    short_help="Submit rows of a file, follow them, read what became of them.",
    epilog=examples(
        "pgqueue batch submit people.csv --app crm --op import --wait",
        "pgqueue batch status 42",
        "pgqueue batch rows 42 --status failed",
        "pgqueue batch files 42 rejected.csv > rejected.csv",
    ),
)
@common
def batch() -> None:
    """Row batches: each row of a file is processed by an application's operation, on whatever worker has it."""


@batch.command(
    short_help="Submit the rows of a file.",
    epilog=examples(
        "pgqueue batch submit people.csv --app crm --op import",
        'pgqueue batch submit people.jsonl --app crm --op import --context \'{"country": "IN"}\' --wait',
        "pgqueue batch submit - --app crm --op import --hold < more.jsonl      # released later",
        "pgqueue batch submit people.csv --app crm --op import --depends-on 42 --on-parent-failure run",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--app", required=True, type=NAME, help="The application whose processor takes them.")
@click.option("--op", required=True, type=NAME, help="Its operation.")
@click.option("--context", metavar="JSON", help="What the processor gets with every row. Default: {}.")
@click.option("--hold", is_flag=True, help="Let nothing run until `pgqueue batch release`.")
@click.option("--slice-size", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Rows at a time.")
@click.option("--priority", type=click.IntRange(-32768, 32767), default=0, show_default=True)
@click.option("--owner", type=KEY, help="Who it belongs to. Default: the database user.")
@click.option("--depends-on", type=JOB_ID, multiple=True, metavar="ID", help="A job that must end first; repeatable.")
@click.option(
    "--on-parent-failure",
    type=click.Choice(["cancel", "run", "wait"]),
    help="When such a job fails or is cancelled: abort the batch, run it all the same, or wait until that one has been "
    "retried.  [default: cancel]",
)
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 0 only if it succeeded.")
@common
@pass_settings
def submit(settings: Settings, /, file: str, context: str | None, wait: bool, **given: Any) -> None:
    """Submit the rows of FILE: CSV with a header (each row an object of texts), or JSON, one value a line, for .jsonl
    and - (stdin). A row's line is its line in the file. Nothing is kept of a file that cannot be read to its end.
    """
    document = {} if context is None else _json("--context", context)
    if wait and given["hold"]:
        raise click.UsageError("--wait and --hold do not go together: what is held does not end.")
    with session(settings) as client:
        with _read(file) as stream, progress("rows", 0) as bar:

            def tell(done: int) -> None:
                bar.total = done
                bar.update(done)

            rows = _csv(stream, file) if file.endswith(".csv") else _jsonl(stream, file)
            id = client.batches.submit_many(rows=rows, context=document, chunk=_CHUNK, on_progress=tell, **given)
        info = _follow(client, id) if wait else client.batches.status(id)
    if wait:
        _show(settings, info)
    else:
        emit(settings, info, f"batch {id}, {info.rows:,} rows, {info.status}")


@batch.command(
    short_help="Say where a batch stands.",
    epilog=examples("pgqueue batch status 42", "pgqueue batch status 42 --wait --json"),
)
@_id
@_owner
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 0 only if it succeeded.")
@common
@pass_settings
def status(settings: Settings, id: int, owner: str | None, wait: bool) -> None:
    """Show the counts of a batch, now or at its end."""
    with session(settings) as client:
        info = client.batches.status(id, owner=owner)
        if wait:
            info = _follow(client, id)
    if wait:
        _show(settings, info)
    else:
        emit(settings, info, lambda: _record(info))


@batch.command(
    short_help="List the rows that are done.",
    epilog=examples("pgqueue batch rows 42", "pgqueue batch rows 42 --status failed --json"),
)
@_id
@_owner
@click.option("--status", type=click.Choice(["succeeded", "failed", "aborted"]), help="Only these.")
@common
@pass_settings
def rows(settings: Settings, id: int, owner: str | None, status: str | None) -> None:
    """List the rows of a batch that are done so far, by line: status, result, messages."""
    columns: list[Column[RowOutcome]] = [
        Column("LINE", lambda r: r.line, right=True),
        Column("STATUS", lambda r: r.status, colour=lambda r: _COLOURS.get(r.status)),
        Column("RESULT", lambda r: "" if r.result is None else to_json(r.result)),
        Column("MESSAGES", lambda r: "; ".join(_message(message) for message in r.messages)),
    ]
    with session(settings) as client:
        found = client.batches.rows(id, owner=owner)
        wanted = (row for row in found if status is None or row.status == status)
        emit_rows(settings, wanted, columns, empty="no such row is done yet")


@batch.command(short_help="Abort a batch.", epilog=examples("pgqueue batch abort 42 --why 'wrong file'"))
@_id
@_owner
@click.option("--why", type=NAME, help="For those who look at its jobs.")
@common
@pass_settings
def abort(settings: Settings, id: int, owner: str | None, why: str | None) -> None:
    """End a batch: rows that are not done are aborted. Exit code 1 if it was over already."""
    with session(settings) as client:
        ended = client.batches.abort(id, owner=owner, why=why)
    counts = f"{ended.succeeded:,} succeeded, {ended.failed:,} failed, {ended.aborted:,} aborted"
    emit(settings, ended, f"batch {id} {'is' if ended.changed else 'was already'} {ended.status}: {counts}")
    if not ended.changed:
        click.get_current_context().exit(NO)


@batch.command(short_help="Let a held batch run.", epilog=examples("pgqueue batch release 42"))
@_id
@common
@pass_settings
def release(settings: Settings, id: int) -> None:
    """Let a held batch run; one that runs already is left alone."""
    with session(settings) as client:
        count = client.batches.release(id)
    emit(settings, {"id": id, "rows": count}, f"batch {id} is released, {count:,} rows")


@batch.command(
    "list",
    short_help="List batches and slow queries, newest first.",
    epilog=examples("pgqueue batch list --app crm", "pgqueue batch list --status failed --age '7 days'"),
)
@click.option("--app", type=NAME, help="Only of this application.")
@click.option("--op", type=NAME, help="Only of this operation.")
@click.option("--kind", type=click.Choice(["batch", "slow_query"]), help="Only of this kind.")
@click.option("--status", type=click.Choice(["held", "queued", "running", "succeeded", "failed", "aborted"]))
@click.option("--owner", type=KEY, help="Only of this owner.")
@click.option("--age", "max_age", type=DURATION, help="Submitted no longer ago.")
@click.option("--limit", "max", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--before", type=click.IntRange(min=1), help="The next page: before this id.")
@common
@pass_settings
def list_(settings: Settings, /, max_age: timedelta | None, **filters: Any) -> None:
    """List batches and slow queries, newest first."""
    columns: list[Column[BatchInfo]] = [
        Column("ID", lambda b: b.id, right=True),
        Column("APP", lambda b: b.app),
        Column("OP", lambda b: b.op),
        Column("KIND", lambda b: b.kind),
        Column("STATUS", lambda b: b.status, colour=lambda b: _COLOURS.get(b.status)),
        Column("ROWS", lambda b: b.rows, right=True),
        Column("PENDING", lambda b: b.pending, right=True),
        Column("FAILED", lambda b: b.failed, right=True),
        Column("SUBMITTED", lambda b: ago(b.submitted_at)),
        Column("OWNER", lambda b: b.owner),
    ]
    with session(settings) as client:
        found = client.batches.list(max_age=max_age, **filters)
    emit_rows(settings, found, columns, empty="no batches")


@batch.command(
    short_help="List the output files of a batch, or print one.",
    epilog=examples("pgqueue batch files 42", "pgqueue batch files 42 rejected.csv > rejected.csv"),
)
@_id
@click.argument("name", required=False)
@_owner
@common
@pass_settings
def files(settings: Settings, id: int, name: str | None, owner: str | None) -> None:
    """List the output files of a batch or slow query that is over; with NAME print that file."""
    with session(settings) as client:
        if name is not None:
            for piece in client.batches.open_file(id, name, owner=owner):
                click.echo(piece, nl=False)
            return
        found = [{"name": file, **about} for file, about in sorted(client.batches.files(id, owner=owner).items())]
    columns: list[Column[dict[str, Any]]] = [
        Column("FILE", lambda f: f["name"]),
        Column("LINES", lambda f: f["lines"], right=True),
        Column("CHARS", lambda f: f["chars"], right=True),
    ]
    emit_rows(settings, found, columns, empty="no output files")


# -- reading ------------------------------------------------------------------------------------------------------


@contextmanager
def _read(file: str) -> Iterator[IO[str]]:
    """Raises click.BadParameter for what is no UTF-8."""
    try:
        if file == "-":
            yield sys.stdin
        else:
            with open(file, encoding="utf-8-sig", newline="") as stream:
                yield stream
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file} is not UTF-8.", param_hint="FILE") from error


def _csv(stream: IO[str], name: str) -> Iterator[tuple[int, Any]]:
    """Each record under the line on which it begins."""
    reader = csv.DictReader(stream, strict=True)
    before = 1
    try:
        before = reader.line_num if reader.fieldnames else 0
        for row in reader:
            if None in row or None in row.values():
                raise click.BadParameter(
                    f"line {before + 1} of {name} has not {len(reader.fieldnames or ())} fields.", param_hint="FILE"
                )
            yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        raise click.BadParameter(f"line {before + 1} of {name} is not CSV: {error}.", param_hint="FILE") from error


def _jsonl(stream: IO[str], name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, _json("FILE", line, f"line {number} of {name}")


def _json(where: str, text: str, what: str = "what was given") -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{what} is not JSON: {error}.", param_hint=where) from error


# -- showing ------------------------------------------------------------------------------------------------------


def _follow(client: Any, id: int) -> BatchInfo:
    pause = 0.02
    info: BatchInfo = client.batches.status(id)
    with progress(f"batch {id}", info.rows) as bar:
        while True:
            bar.update(info.rows - info.pending, f"{info.failed:,} failed" if info.failed else "")
            if info.is_final:
                return info
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            info = client.batches.status(id)


def _show(settings: Settings, info: BatchInfo) -> None:
    emit(settings, info, lambda: _record(info))
    if info.status != "succeeded":
        click.get_current_context().exit(NO)


def _record(info: BatchInfo) -> None:
    record(
        [
            ("batch", info.id),
            ("of", f"{info.app} {info.op}"),
            ("status", info.status),
            ("waits for", ", ".join(info.waits_for or ())),
            ("rows", info.rows),
            ("pending", info.pending),
            ("succeeded", info.succeeded),
            ("failed", info.failed),
            ("aborted", info.aborted),
            ("owner", info.owner),
            ("submitted", ago(info.submitted_at)),
            ("done", ago(info.done_at)),
            ("files", ", ".join(sorted(info.files or {}))),
        ]
    )


def _message(message: dict[str, Any]) -> str:
    vals = ", ".join(str(value) for value in message.get("vals") or ())
    field = message.get("field")
    return f"{message.get('errcode')}{f' ({field})' if field else ''}{f': {vals}' if vals else ''}"
