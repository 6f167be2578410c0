"""`pgqueue script`: SQL texts one after the other, followed to their end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from pgqueue.cli._errors import NO
from pgqueue.cli._following import Line, interruptible, number, session_options, settings_of
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, Column, emit, span, table, to_json
from pgqueue.cli._params import parse_json
from pgqueue.cli._session import session

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5

_Query = dict[str, Any]


@click.command(
    short_help="Run SQL texts in the background, one after the other.",
    epilog=examples(
        "pgqueue script nightly.json                     # Ctrl-C cancels it",
        "pgqueue script vacuum.sql --role maintenance",
        """echo '["analyze a", "analyze b"]' | pgqueue script - --detach""",
        "pgqueue script nightly.json --depends-on 41     # a job, query or script that must end first",
        "pgqueue script 42                               # follow script 42",
        "pgqueue script 42 --status --json",
    ),
)
@click.argument("source", metavar="FILE|ID")
@click.option("--status", is_flag=True, help="Of ID: show its report, and do not wait.")
@click.option("--cancel", is_flag=True, help="Of ID: cancel it.")
@session_options("scripts")
@common
@pass_settings
def script(
    settings: Settings, /, source: str, status: bool, cancel: bool, detach: bool, pairs: tuple[str, ...], **given: Any
) -> None:
    """Run the script in FILE on a worker and show what became of each query. FILE is JSON, or with the ending .sql one
    SQL text; - is stdin, for either. Given the ID of a script, follow that one.

    Exit code 0 only if it succeeded.
    """
    id = number(source)
    if (status or cancel) and id is None:
        raise click.UsageError("--status and --cancel go with the ID of a script.")
    document = None if id is not None else _document(source)
    given["depends_on"] = given["depends_on"] or None
    with session(settings) as client:
        handle = (
            client.script(document, settings=settings_of(pairs), **given)
            if document is not None
            else client.script_handle(id or 0, owner=given["owner"])
        )
        if detach:
            emit(settings, {"id": handle.id}, f"script {handle.id}")
            return
        if cancel:
            report = handle.cancel()
        elif status:
            report = handle.report()
        else:
            with interruptible(f"script {handle.id}", lambda: _cancel(settings, handle.id), ours=id is None):
                with Line() as line:
                    report = _follow(handle.report, line)
    emit(settings, report, lambda: _show(report))
    if not (status or cancel) and report["status"] != "succeeded":
        click.get_current_context().exit(NO)


def _document(source: str) -> Any:
    """The script in a file. Raises click.BadParameter."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"cannot read {source}: {error.strerror}.", param_hint="FILE") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{source} is not UTF-8.", param_hint="FILE") from error
    if source.endswith(".sql") or (source == "-" and text.lstrip()[:1] not in ("{", "[", '"')):
        return text
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(
            f"{source} is not JSON: {error}. A file with the ending .sql is one SQL text.", param_hint="FILE"
        ) from error


def _cancel(settings: Settings, id: int) -> str:
    # The connection of the command may be in the middle of an answer.
    with session(settings) as client:
        return f"is {client.cancel_script(id, why='Ctrl-C')['status']}"


def _follow(report: Any, line: Line) -> dict[str, Any]:
    """Tells of each query that ends, until nothing is left to run."""
    told = 0
    pause = _FIRST_PAUSE
    while True:
        found: dict[str, Any] = report()
        queries: list[_Query] = found["queries"]
        while told < len(queries) and _is_over(queries[told]):
            line.say(f"{told + 1}/{len(queries)} {_outcome(queries[told])}")
            told += 1
            pause = _FIRST_PAUSE
        if found.get("ended_at"):
            return found
        line.show(f"script {found['id']} {found['status']}, {told} of {len(queries)} done")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _is_over(query: _Query) -> bool:
    return query["status"] not in ("queued", "running") and query.get("fallback_status") not in ("queued", "running")


def _outcome(query: _Query) -> str:
    error = query.get("failed_reason")
    return f"{query['status']}{': ' + error if error else ''}  {_first_words(query)}"


def _first_words(query: _Query) -> str:
    text = " ".join(str(query["query"]).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _took(query: _Query) -> str:
    from datetime import datetime

    if not query.get("started_at") or not query.get("ended_at"):
        return ""
    return span(datetime.fromisoformat(query["ended_at"]) - datetime.fromisoformat(query["started_at"]))


def _show(report: dict[str, Any]) -> None:
    colour = STATE_COLOURS.get(report["status"])
    click.secho(f"script {report['id']} {report['status']}", fg=colour, bold=True)
    numbered = list(enumerate(report["queries"], 1))
    columns: list[Column[tuple[int, _Query]]] = [
        Column("N", lambda q: q[0], right=True),
        Column("STATUS", lambda q: q[1]["status"], colour=lambda q: STATE_COLOURS.get(q[1]["status"])),
        Column("FALLBACK", lambda q: q[1].get("fallback_status")),
        Column("TOOK", lambda q: _took(q[1]), right=True),
        Column("QUERY", lambda q: _first_words(q[1])),
        Column("ERROR", lambda q: q[1].get("failed_reason") or q[1].get("fallback_error")),
    ]
    table(numbered, columns)
    if report.get("fallback_status"):
        error = report.get("fallback_error")
        click.echo(f"fallback {report['fallback_status']}" + (f": {to_json(error)}" if error else ""))
