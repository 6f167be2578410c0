"""`pgqueue failures`: what failed, summed up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, ago, emit_rows
from pgqueue.cli._params import DURATION, NAME
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import Failure


def _columns() -> list[Column[Failure]]:
    return [
        Column("JOBS", lambda f: f.jobs, right=True),
        Column("QUEUE", lambda f: f.queue),
        Column("KIND", lambda f: f.kind),
        Column("REASON", lambda f: f.reason, colour=lambda f: "red"),
        Column("ERROR", lambda f: f.error_type),
        Column("LAST", lambda f: ago(f.last_at)),
        Column("LAST JOB", lambda f: f.last_job, right=True),
        Column("MESSAGE", lambda f: (f.message or "").partition("\n")[0][:80]),
    ]


@click.command(
    short_help="Sum up what failed, by kind and error.",
    epilog=examples(
        "pgqueue failures --since 1h",
        "pgqueue failures --queue mail --json | jq .message -r",
        "pgqueue jobs retry --queue mail --error-type TimeoutError      # what the summary showed",
    ),
)
@click.option("--queue", "-q", type=NAME)
@click.option("--kind", "-k", type=NAME)
@click.option("--since", type=DURATION, help="Only what failed in the last 30m, 1h, 7d …")
@click.option("--max", "most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Most lines.")
@common
@pass_settings
def failures(settings: Settings, queue: str | None, kind: str | None, since: timedelta | None, most: int) -> None:
    """Failed jobs by queue, kind, reason and type of error, newest first."""
    with session(settings) as client:
        found = client.failures(
            queue=queue, kind=kind, since=None if since is None else datetime.now(UTC) - since, max=most
        )
    emit_rows(settings, found, _columns(), empty="no failed jobs")
