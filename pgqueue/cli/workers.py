"""`pgqueue workers` and `pgqueue maintain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pgqueue.cli._errors import NO
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, ago, emit_rows
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import Duty, WorkerInfo

DUTIES = [
    "rescue",
    "promote",
    "schedules",
    "expire",
    "dependents",
    "admit",
    "tidy",
    "results",
    "metrics",
    "retention",
    "blocks",
]


def _columns() -> list[Column[WorkerInfo]]:
    return [
        Column("ID", lambda w: w.id, right=True),
        Column("NAME", lambda w: w.name),
        Column("", lambda w: "LOST" if w.lost else "", colour=lambda w: "red"),
        Column("QUEUES", lambda w: " ".join(w.queues)),
        Column("RUNNING", lambda w: w.running, right=True),
        Column("OF", lambda w: w.concurrency, right=True),
        Column("HEARTBEAT", lambda w: ago(w.heartbeat_at), right=True),
        Column("STARTED", lambda w: ago(w.started_at), right=True),
        Column("PID", lambda w: (w.info or {}).get("pid"), right=True),
        Column("HOST", lambda w: (w.info or {}).get("host") or (w.info or {}).get("hostname")),
    ]


@click.command(
    short_help="List registered workers.",
    epilog=examples("pgqueue workers", "pgqueue workers --json | jq 'select(.lost)'"),
)
@common
@pass_settings
def workers(settings: Settings) -> None:
    """List registered workers: what they hold, and when they were last heard of."""
    with session(settings) as client:
        found = list(client.workers())
    emit_rows(settings, found, _columns(), empty="no workers")


@click.command(
    short_help="Do one pass of upkeep.",
    epilog=examples(
        "pgqueue maintain", "* * * * * pgqueue maintain --dsn service=shop    # crontab, where no worker of ours runs"
    ),
)
@click.option(
    "--duty", "duties", multiple=True, type=click.Choice(DUTIES), help="Only this duty; may be repeated. Default: all."
)
@common
@pass_settings
def maintain(settings: Settings, duties: tuple[str, ...]) -> None:
    """Do one pass of upkeep: give back what lost workers held, start what is due, end what has expired, make and drop
    partitions.

    Workers do this by themselves. Run it from cron where jobs are claimed by programs that do not. Doing it twice harms
    nothing. Exit code 1 if a duty failed.
    """
    with session(settings) as client:
        done: list[Duty] = list(client.maintain(list(duties) or None))
    columns: list[Column[Duty]] = [
        Column("DUTY", lambda d: d.duty),
        Column("DONE", lambda d: d.done, right=True),
        Column("ERROR", lambda d: d.error, colour=lambda d: "red"),
    ]
    emit_rows(settings, done, columns, empty="another pass is running; nothing was done here")
    if any(d.error for d in done):
        click.get_current_context().exit(NO)
