"""`pgqueue jobs`: a page of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, Column, ago, emit_rows
from pgqueue.cli._params import JOB_ID, NAME
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


@click.command(
    short_help="List jobs, newest first.",
    epilog=examples(
        "pgqueue jobs --queue mail --state failed",
        "pgqueue jobs --max 500 --before 120034            # the next page: older than job 120034",
        "pgqueue jobs --state failed --json | jq -r .id | xargs pgqueue job retry",
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
def jobs(
    settings: Settings, queue: str | None, kind: str | None, state: str | None, before: int | None, most: int
) -> None:
    """List jobs, live and ended, newest first. With --json one object a line."""
    with session(settings) as client:
        found = client.jobs(queue=queue, kind=kind, state=state, before=before, max=most)
    emit_rows(settings, found, _columns(), empty="no jobs")
    if len(found) == most and not settings.json:
        click.echo(f"more: --before {found[-1].id}", err=True)
