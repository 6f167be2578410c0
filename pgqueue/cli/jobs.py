"""`pgqueue jobs`: a page of jobs, and what can be done to many at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pgqueue.cli._filter import act, chosen
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, Column, ago, emit_rows
from pgqueue.cli._params import DURATION, JOB_ID, MOMENT, NAME, Text
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import JobSummary

STATES = ("held", "scheduled", "queued", "running", "succeeded", "failed", "cancelled")


def _when(job: JobSummary) -> str:
    """The one time that matters in the state the job is in."""
    if job.finished_at is not None:
        return f"ended {ago(job.finished_at)}"
    if job.state == "running":
        return f"claimed {ago(job.claimed_at)}"
    if job.state == "scheduled" and job.run_at is not None:
        return f"due {ago(job.run_at)}"
    return f"made {ago(job.created_at)}"


def _columns() -> list[Column[JobSummary]]:
    return [
        Column("ID", lambda j: j.id, right=True),
        Column("QUEUE", lambda j: j.queue),
        Column("KIND", lambda j: j.kind),
        Column("STATE", lambda j: j.state, colour=lambda j: STATE_COLOURS.get(j.state)),
        Column("REASON", lambda j: j.reason),
        Column("TRY", lambda j: f"{j.attempt}/{j.max_attempts}", right=True),
        Column("PRIO", lambda j: j.priority, right=True),
        Column("WORKER", lambda j: j.worker_id, right=True),
        Column("WHEN", _when),
        Column("KEY", lambda j: j.unique_key),
    ]


@click.group(
    invoke_without_command=True,
    short_help="List jobs, cancel, retry, move or delete many.",
    epilog=examples(
        "pgqueue jobs --queue mail --state failed",
        "pgqueue jobs --max 500 --before 120034            # the next page: older than job 120034",
        "pgqueue jobs retry --queue mail --error-type TimeoutError --rate 10",
        "pgqueue jobs cancel --queue mail --args '{\"customer\": 7}' --dry-run",
    ),
)
@click.option("--queue", "-q", type=NAME)
@click.option("--kind", "-k", type=NAME)
@click.option("--state", "-s", type=click.Choice(STATES))
@click.option("--before", type=JOB_ID, help="Only jobs older than this id.")
@click.option(
    "--max", "most", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Length of the page."
)
@common
@pass_settings
@click.pass_context
def jobs(
    context: click.Context,
    settings: Settings,
    queue: str | None,
    kind: str | None,
    state: str | None,
    before: int | None,
    most: int,
) -> None:
    """List jobs, live and ended, newest first; with --json one object a line. Or do something to many at once."""
    if context.invoked_subcommand is not None:
        for name in ("queue", "kind", "state", "before", "most"):
            # Meant for the command, and there it would not count: more jobs would be hit than were meant.
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                word = {"most": "max"}.get(name, name)
                raise click.UsageError(f"give --{word} after {context.invoked_subcommand}, not before it.")
        return
    with session(settings) as client:
        found = client.jobs(queue=queue, kind=kind, state=state, before=before, max=most)
    emit_rows(settings, found, _columns(), empty="no jobs")
    if len(found) == most and not settings.json:
        click.echo(f"more: --before {found[-1].id}", err=True)


@jobs.command(
    short_help="Cancel jobs that match.",
    epilog=examples(
        "pgqueue jobs cancel --queue mail --older-than 1d",
        "pgqueue jobs cancel --kind resize --args '{\"customer\": 7}' --dry-run",
    ),
)
@chosen("held", "scheduled", "queued", "running")
@click.option("--why", type=Text(), help="Kept with the request to those that run.")
@common
@pass_settings
def cancel(settings: Settings, /, why: str | None, **given: Any) -> None:
    """Cancel jobs: those that wait end at once, the workers of those that run are told."""
    act(
        settings,
        "cancel",
        "cancelled",
        given,
        lambda client, wanted, tell: client.cancel_jobs(wanted, why=why, batch=given["batch"], progress=tell),
    )


@jobs.command(
    short_help="Run failed or cancelled jobs again.",
    epilog=examples(
        "pgqueue jobs retry --queue mail --error-type TimeoutError",
        "pgqueue jobs retry --state failed --ended-after 2030-01-31T09:00 --rate 50 --yes",
        "pgqueue jobs retry --kind import --rate 100 --per 1m --starts-at 2030-01-31T22:00",
    ),
)
@chosen("failed", "cancelled")
@click.option("--rate", type=click.IntRange(min=1), help="So many start a --per, spread evenly.")
@click.option("--per", type=DURATION, default="1s", show_default=True)
@click.option("--starts-at", type=MOMENT, help="When the first of them starts, with --rate.")
@common
@pass_settings
def retry(settings: Settings, /, rate: int | None, per: timedelta, starts_at: datetime | None, **given: Any) -> None:
    """Run failed or cancelled jobs again, with all their attempts: at once, or at a rate."""
    act(
        settings,
        "retry",
        "put back into their queues",
        given,
        lambda client, wanted, tell: client.retry_jobs(
            wanted, rate_limit=rate, rate_period=per, starts_at=starts_at, batch=given["batch"], progress=tell
        ),
    )


@jobs.command(
    short_help="Move waiting jobs to another queue.",
    epilog=examples(
        "pgqueue jobs move slow --queue mail --kind newsletter",
        'pgqueue jobs move mail --queue dead --headers \'{"dead_letter": {"queue": "mail"}}\'',
    ),
)
@click.argument("to", type=NAME, metavar="TO_QUEUE")
@chosen("held", "scheduled", "queued")
@common
@pass_settings
def move(settings: Settings, /, to: str, **given: Any) -> None:
    """Move waiting jobs to another queue. Those that would meet a job with their unique key there are skipped."""
    act(
        settings,
        "move",
        "moved",
        given,
        lambda client, wanted, tell: client.move_jobs(wanted, to, batch=given["batch"], progress=tell),
    )


@jobs.command(
    short_help="Give waiting jobs another priority.",
    epilog=examples(
        "pgqueue jobs priority 10 --queue mail --group-key customer-7", "pgqueue jobs priority --queue mail -- -5"
    ),
)
@click.argument("to", type=click.IntRange(-32768, 32767), metavar="PRIORITY")
@chosen("held", "scheduled", "queued")
@common
@pass_settings
def priority(settings: Settings, /, to: int, **given: Any) -> None:
    """Give waiting jobs another priority: higher first. They go to the end of those that have it."""
    act(
        settings,
        "set_priority",
        "given the priority",
        given,
        lambda client, wanted, tell: client.set_priority_of_jobs(wanted, to, batch=given["batch"], progress=tell),
    )


@jobs.command(
    short_help="Delete the history of jobs that have ended.",
    epilog=examples("pgqueue jobs delete --state failed --queue mail --older-than 30d"),
)
@chosen("succeeded", "failed", "cancelled")
@common
@pass_settings
def delete(settings: Settings, /, **given: Any) -> None:
    """Delete the history of jobs that have ended: nobody knows them any more. Those that live are never deleted."""
    act(
        settings,
        "delete",
        "deleted",
        given,
        lambda client, wanted, tell: client.delete_jobs(wanted, batch=given["batch"], progress=tell),
    )
