"""The options that choose jobs for `pgqueue jobs cancel` and its like, and what these share: count, ask, go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgqueue.cli._options import Settings
from pgqueue.cli._output import emit, plain
from pgqueue.cli._params import DURATION, JOB_ID, KEY, MOMENT, NAME, Text, json_object
from pgqueue.cli._progress import progress
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue import BulkResult, Client
    from pgqueue._calls_bulk import Filter

F = TypeVar("F", bound=Callable[..., Any])
Act = Callable[["Client", "Filter", Callable[[int, int], object]], "BulkResult"]


def chosen(*states: str) -> Callable[[F], F]:
    """Adds the options of a filter, with the states the command is about, and --dry-run and --yes. The command gets
    them as keyword arguments, for `act`.
    """
    options = (
        click.option("--queue", "-q", type=NAME),
        click.option("--kind", "-k", type=NAME),
        click.option("--state", "-s", "states", type=click.Choice(states), multiple=True, help="Several are allowed."),
        click.option("--error-type", type=Text(), help="Of the last failed attempt, such as TimeoutError."),
        click.option("--reason", type=Text(), help="As `pgqueue jobs` shows it."),
        click.option("--group-key", type=KEY),
        click.option("--unique-key", type=KEY),
        click.option("--args", "json_args", metavar="JSON", help="Contained in their arguments. @file, - for stdin."),
        click.option("--headers", "json_headers", metavar="JSON", help="Contained in their headers."),
        click.option("--id", "ids", type=JOB_ID, multiple=True, help="Several are allowed."),
        click.option("--older-than", type=DURATION, help="Made longer ago than this."),
        click.option("--newer-than", type=DURATION, help="Made since then."),
        click.option("--ended-before", type=MOMENT),
        click.option("--ended-after", type=MOMENT),
        click.option("--batch", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Jobs a step."),
        click.option("--dry-run", is_flag=True, help="Only count them."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _filter(given: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)

    def back(span: timedelta | None) -> datetime | None:
        return None if span is None else now - span

    def document(text: str | None, option: str) -> Any:
        return None if text is None else json_object(text, option=option)

    found = {
        **{name: given[name] for name in ("queue", "kind", "error_type", "reason", "group_key", "unique_key")},
        "state": list(given["states"]) or None,
        "args": document(given["json_args"], "--args"),
        "headers": document(given["json_headers"], "--headers"),
        "ids": list(given["ids"]) or None,
        "created_before": back(given["older_than"]),
        "created_after": back(given["newer_than"]),
        "finished_before": given["ended_before"],
        "finished_after": given["ended_after"],
    }
    return {name: value for name, value in found.items() if value is not None}


def act(settings: Settings, action: str, done: str, given: dict[str, Any], do: Act) -> None:
    """Counts what matches, asks, and goes through it. `action`: as count_jobs knows it; `done`: what is said of the
    jobs then.
    """
    wanted = _filter(given)
    if not wanted:
        raise click.UsageError("say which jobs: give at least one of --queue, --kind, --state, --id and so on.")
    with session(settings) as client:
        count = client.count_jobs(wanted, action)
        if count == 0 or given["dry_run"]:
            emit(settings, {"jobs": count}, f"{_jobs(count)} would be {done}" if count else "no job matches")
            return
        if not given["yes"]:
            click.confirm(f"{_jobs(count)} will be {done}. Go on?", abort=True, err=True)
        with progress(done, count) as bar:
            result = do(client, wanted, lambda d, s: bar.update(min(d + s, count), f"{s} skipped" if s else ""))
    human = f"{_jobs(result.done)} {done}"
    if result.skipped:
        human += f", {result.skipped} skipped: pgqueue job show ID says where one stands"
    emit(settings, plain(result), human)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
