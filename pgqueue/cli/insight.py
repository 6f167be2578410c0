"""`pgqueue job log`, `pgqueue job timeline` and `pgqueue throughput`: what became of jobs, and of how many."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from time import sleep as pause
from typing import TYPE_CHECKING

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, ago, emit, emit_rows, moment, printable, span, to_json
from pgqueue.cli._params import DURATION, JOB_ID, NAME
from pgqueue.cli._session import session
from pgqueue.models import FINAL_STATES

if TYPE_CHECKING:
    from pgqueue import Client
    from pgqueue.models import LogLine, Throughput, TimelineEvent

_PAGE = 1000
_LOOK_EVERY = 0.5
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}


@click.command(epilog=examples("pgqueue job log 42", "pgqueue job log 42 --follow --json | jq -r .message"))
@click.argument("id", type=JOB_ID)
@click.option("--follow", "-f", is_flag=True, help="Show further lines as they come, until the job has ended.")
@common
@pass_settings
def log(settings: Settings, id: int, follow: bool) -> None:
    """What a job has logged, all its attempts, one line each."""
    with session(settings) as client:
        any_line = False
        for line in _lines(client, id, follow):
            any_line = True
            emit(settings, line, partial(_print, line))
    if not any_line and not settings.json:
        click.echo(f"job {id} has logged nothing", err=True)


def _lines(client: Client, id: int, follow: bool) -> Iterator[LogLine]:
    after = 0
    while True:
        # asked first: what the job logs before it ends is there when it has ended
        is_over = not follow or client.result(id).state in FINAL_STATES
        while page := client.job_log(id, after, _PAGE):
            after = page[-1].line
            yield from page
        if is_over:
            return
        pause(_LOOK_EVERY)


def _print(line: LogLine) -> None:
    text = "\n  ".join(printable(part) for part in line.message.splitlines()) or "-"
    facts = "".join(f" {printable(key)}={printable(_plain(value))}" for key, value in (line.fields or {}).items())
    click.secho(f"{moment(line.at)} {line.attempt} ", nl=False, dim=True)
    click.secho(f"{printable(line.level):<7} ", nl=False, fg=_COLOURS.get(line.level))
    click.echo(f"{text}{facts}")


def _plain(value: object) -> str:
    return value if isinstance(value, str) and value and not value.isspace() else to_json(value)


def _events() -> list[Column[TimelineEvent]]:
    return [
        Column("WHEN", lambda e: moment(e.at)),
        Column("", lambda e: ago(e.at), right=True),
        Column("EVENT", lambda e: e.event),
        Column("DETAIL", lambda e: e.detail),
    ]


@click.command(epilog=examples("pgqueue job timeline 42", "pgqueue job timeline 42 --json"))
@click.argument("id", type=JOB_ID)
@common
@pass_settings
def timeline(settings: Settings, id: int) -> None:
    """The life of a job in order: what has happened to it, and what is to come."""
    with session(settings) as client:
        found = client.job_timeline(id)
    emit_rows(settings, found, _events(), empty="nothing is known")


def _columns(by_kind: bool) -> list[Column[Throughput]]:
    columns: list[Column[Throughput]] = [Column("FROM", lambda t: moment(t.at)), Column("QUEUE", lambda t: t.queue)]
    if by_kind:
        columns.append(Column("KIND", lambda t: t.kind))
    return [
        *columns,
        Column("SUCCEEDED", lambda t: t.succeeded, right=True),
        Column("FAILED", lambda t: t.failed, right=True, colour=lambda t: "red" if t.failed else None),
        Column("CANCELLED", lambda t: t.cancelled, right=True),
        Column("WAIT P50", lambda t: span(t.wait_p50), right=True),
        Column("P95", lambda t: span(t.wait_p95), right=True),
        Column("MAX", lambda t: span(t.wait_max), right=True),
        Column("RUN P50", lambda t: span(t.run_p50), right=True),
        Column("P95", lambda t: span(t.run_p95), right=True),
        Column("MAX", lambda t: span(t.run_max), right=True),
    ]


@click.command(
    short_help="Count what has ended, by time and queue.",
    epilog=examples(
        "pgqueue throughput",
        "pgqueue throughput --queue mail --since 1d --step 1h",
        "pgqueue throughput --by-kind --json | jq 'select(.failed > 0)'",
    ),
)
@click.option("--queue", "-q", type=NAME)
@click.option("--kind", "-k", type=NAME)
@click.option("--since", type=DURATION, default="1h", show_default=True, help="How far back.")
@click.option("--step", type=DURATION, default="5m", show_default=True, help="Whole minutes to a row.")
@click.option("--by-kind", is_flag=True, help="A row for each kind.")
@common
@pass_settings
def throughput(
    settings: Settings, queue: str | None, kind: str | None, since: timedelta, step: timedelta, by_kind: bool
) -> None:
    """What has ended and how long jobs waited and ran, step by step. Upkeep counts it, some seconds later; jobs of
    queues that keep no history are not counted.
    """
    with session(settings) as client:
        found = client.throughput(queue, kind, datetime.now(UTC) - since, None, step, by_kind)
    emit_rows(settings, found, _columns(by_kind or kind is not None), empty="nothing has ended")
