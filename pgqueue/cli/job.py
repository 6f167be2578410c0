"""`pgqueue job …`: one job, or a few by id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pgqueue.cli import _family
from pgqueue.cli._errors import NO, CliError
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, ago, content, emit, plain, printable, record, span, to_json
from pgqueue.cli._params import DURATION, JOB_ID, Text, json_object
from pgqueue.cli._session import session
from pgqueue.cli._waiting import outcome_line, wait_for
from pgqueue.cli.insight import log, timeline
from pgqueue.errors import Conflict, UnknownJob

if TYPE_CHECKING:
    from pgqueue import Client
    from pgqueue.models import Attempt, Change, ChildJob, Job, ParentResult


@click.group(
    short_help="Show, edit, cancel, retry, explain or await a job.",
    epilog=examples("pgqueue job show 42", "pgqueue job why 42"),
)
def job() -> None:
    """Show, edit, cancel, retry, explain or await a job."""


job.add_command(log)
job.add_command(timeline)


job.add_command(_family.parents)
job.add_command(_family.children)


@job.command(epilog=examples("pgqueue job show 42", "pgqueue job show 42 --json | jq .error.traceback -r"))
@click.argument("id", type=JOB_ID)
@common
@pass_settings
def show(settings: Settings, id: int) -> None:
    """Everything about one job: arguments, times, result or error, and every failed attempt."""
    with session(settings) as client:
        found = client.job(id)
        attempts = list(client.attempts(id))
        parents = client.parents(id, max=_family.SHOWN + 1)
        children = client.children(id, max=_family.SHOWN + 1)
    emit(settings, {**plain(found), "attempts": attempts}, lambda: _print(found, attempts, parents, children))


def _print(found: Job, attempts: list[Attempt], parents: list[ParentResult], children: list[ChildJob]) -> None:
    colour = STATE_COLOURS.get(found.state)
    click.secho(f"job {found.id} {found.state}" + (f" ({found.reason})" if found.reason else ""), fg=colour, bold=True)
    record(
        [
            ("kind", found.kind),
            ("queue", found.queue),
            ("priority", found.priority or None),
            ("args", content(found.args)),
            (
                "attempt",
                f"{found.attempt} of {found.max_attempts}" + (f", {found.crashes} crashes" if found.crashes else ""),
            ),
            ("unique key", found.unique_key),
            ("group", found.group_key),
            ("parents", _family.summary(parents)),
            ("children", _family.summary(children)),
            ("made", f"{found.created_at.isoformat()}  {ago(found.created_at)}"),
            ("due", found.run_at and f"{found.run_at.isoformat()}  {ago(found.run_at)}"),
            ("claimed", found.claimed_at and f"{found.claimed_at.isoformat()}  by worker {found.worker_id}"),
            ("ended", found.finished_at and f"{found.finished_at.isoformat()}  {ago(found.finished_at)}"),
            ("timeout", span(found.timeout)),
            ("expires", found.expires_at and found.expires_at.isoformat()),
            ("headers", to_json(found.headers) if found.headers else None),
            ("progress", None if found.progress is None else to_json(found.progress)),
            ("cancel", "requested" if found.cancel_requested else None),
            ("result", content(found.result) if found.state == "succeeded" else None),
        ]
    )
    for attempt in attempts:
        error = attempt.error or {}
        click.secho(f"\nattempt {attempt.attempt}: {printable(attempt.reason)}, {ago(attempt.failed_at)}", bold=True)
        click.echo(_error_text(error))
    if found.error and not attempts:
        click.secho("\nerror", bold=True)
        click.echo(_error_text(found.error))


def _error_text(error: dict[str, object]) -> str:
    """The traceback if there is one (it ends with the message), else type and message; lines stay lines."""
    trace = error.get("traceback")
    if isinstance(trace, str) and trace.strip():
        return "\n".join(printable(line) for line in trace.strip().splitlines())
    return f"{printable(error.get('type'))}: {printable(error.get('message'))}"


def _each(
    settings: Settings, ids: tuple[int, ...], call: Callable[[Client, int], Change], said: Callable[[Change], str]
) -> None:
    """Do the same to every id; go on after a refusal, and exit with 1 if there was one."""
    refused = False
    with session(settings) as client:
        for id in ids:
            try:
                change = call(client, id)
            except (UnknownJob, Conflict) as error:
                refused = True
                CliError(error.message, error.hint).show()
                continue
            refused |= not change.changed
            emit(
                settings,
                {"id": id, **plain(change)},
                f"job {id} " + (said(change) if change.changed else f"{change.state}: nothing to do"),
            )
    if refused:
        click.get_current_context().exit(NO)


def _cancelled(change: Change) -> str:
    return "running: its worker is told to stop it" if change.state == "running" else change.state


@job.command(epilog=examples("pgqueue job cancel 42", "pgqueue job cancel 42 43 44 --why 'wrong customer'"))
@click.argument("ids", type=JOB_ID, nargs=-1, required=True, metavar="ID...")
@click.option("--why", type=Text(), help="Kept with the job.")
@common
@pass_settings
def cancel(settings: Settings, ids: tuple[int, ...], why: str | None) -> None:
    """Cancel jobs: a waiting one ends at once, the worker of a running one is told. Exit code 1 if one could not be
    cancelled.
    """
    _each(settings, ids, lambda client, id: client.cancel(id, why=why), _cancelled)


@job.command(
    epilog=examples("pgqueue job retry 42", "pgqueue jobs --state failed --json | jq -r .id | xargs pgqueue job retry")
)
@click.argument("ids", type=JOB_ID, nargs=-1, required=True, metavar="ID...")
@common
@pass_settings
def retry(settings: Settings, ids: tuple[int, ...]) -> None:
    """Run failed or cancelled jobs again, with all their attempts. Exit code 1 if one is in another state."""
    _each(settings, ids, lambda client, id: client.retry(id), lambda change: f"{change.state} again")


@job.command(
    epilog=examples(
        'pgqueue job edit 42 --args \'{"to": "ada@example.com"}\' && pgqueue job retry 42',
        "pgqueue job show 42 --json | jq .args > args.json; $EDITOR args.json; pgqueue job edit 42 --args @args.json",
    )
)
@click.argument("id", type=JOB_ID)
@click.option("--args", "json_args", metavar="JSON", help="All its arguments. @file reads a file, - stdin.")
@click.option("--headers", "json_headers", metavar="JSON", help="All its headers.")
@common
@pass_settings
def edit(settings: Settings, id: int, json_args: str | None, json_headers: str | None) -> None:
    """Give a job that waits, failed or was cancelled other arguments or headers; retry it to run it again."""
    if json_args is None and json_headers is None:
        raise click.UsageError("give --args or --headers.")
    with session(settings) as client:
        change = client.edit_job(
            id,
            args=None if json_args is None else json_object(json_args, option="--args"),
            headers=None if json_headers is None else json_object(json_headers, option="--headers"),
        )
    emit(
        settings,
        {"id": id, **plain(change)},
        f"job {id} {change.state}: " + ("changed" if change.changed else "that is what it has"),
    )


@job.command(epilog=examples("pgqueue job why 42"))
@click.argument("id", type=JOB_ID)
@common
@pass_settings
def why(settings: Settings, id: int) -> None:
    """One plain sentence: why this job is not running yet."""
    with session(settings) as client:
        sentence = client.why(id)
    emit(settings, {"id": id, "why": sentence}, printable(sentence))


@job.command(epilog=examples("pgqueue job wait 42 --timeout 30s && echo done"))
@click.argument("id", type=JOB_ID)
@click.option("--timeout", "patience", type=DURATION, default="5m", show_default=True, help="Longest wait.")
@common
@pass_settings
def wait(settings: Settings, id: int, patience: timedelta) -> None:
    """Wait for the end of a job and print its result. Exit code 0 only if it succeeded."""
    with session(settings) as client:
        ended = wait_for(client, id, patience)
    emit(settings, ended.as_dict(), outcome_line(ended))
    if ended.state != "succeeded":
        click.get_current_context().exit(NO)
