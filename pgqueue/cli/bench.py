"""`pgqueue bench`: figures beside what the same database can do at most. All the work is `pgqueue.bench`'s; this reads
the words of the command line and prints.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, emit_rows, table, to_json
from pgqueue.cli._params import DURATION, NAME

if TYPE_CHECKING:
    from datetime import timedelta

    from pgqueue.bench import Figure, Workload
    from pgqueue.cli._progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first signal ends the run; what follows must not cut short the dropping of what was made."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@click.command(
    short_help="Measure it against what the database can do.",
    epilog=examples(
        "pgqueue bench --quick                          # two minutes, on a server of its own",
        "pgqueue bench claim latency                    # two workloads at full size",
        "pgqueue bench --dsn postgresql://localhost/test --json > figures.jsonl",
        "pgqueue bench pinned soak --plot pictures",
    ),
)
@click.argument("workload_names", metavar="[WORKLOAD]...", nargs=-1, type=NAME)
@click.option("--list", "just_list", is_flag=True, help="List the workloads and end.")
@click.option("--quick", is_flag=True, help="A tenth of everything: to see that it works, not to publish.")
@click.option(
    "--jobs",
    type=click.IntRange(100, 10_000_000),
    help="Jobs in one round, in hundreds. Default: 200000; with --quick 20000.",
)
@click.option("--seconds", type=DURATION, help="Length of what runs for a time. Default: 10s; with --quick 3s.")
@click.option(
    "--plot",
    "pictures",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write SVG pictures into this folder (needs matplotlib: the extra bench).",
)
@click.option("--force", is_flag=True, help="Drop first what an earlier bench left under these names.")
@common
@pass_settings
def bench(
    settings: Settings,
    workload_names: tuple[str, ...],
    just_list: bool,
    quick: bool,
    jobs: int | None,
    seconds: timedelta | None,
    pictures: Path | None,
    force: bool,
) -> None:
    """Measure pgqueue and, in between, what the same database can do at most: a bare table with SKIP LOCKED.

    Without WORKLOAD all of them, in a quarter of an hour. Runs on a PostgreSQL of its own that is gone afterwards, or,
    only if --dsn is given (variables are not read), in that database: in a schema of its own, --schema (by default
    pgqueue_bench), and in one with _limit added to that name. Neither may exist; both are dropped at the end.

    Every round is checked by counts: exit code 1 when a job was lost, doubled or left over. A floor that is missed is
    shown, and is no failure.
    """
    from pgqueue.bench import Sizes, available, run

    if just_list:
        columns: list[Column[Workload]] = [
            Column("workload", lambda w: w.name),
            Column("measures", lambda w: w.summary),
        ]
        if settings.json:
            for each in available():
                click.echo(to_json({"workload": each.name, "summary": each.summary}))
        else:
            table(available(), columns)
        return
    if pictures is not None:
        from pgqueue.bench._plot import require

        require()
    chosen = available(workload_names)
    sizes = Sizes(jobs, None if seconds is None else seconds.total_seconds(), quick)
    from pgqueue.cli._progress import progress

    with ExitStack() as stack:
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, _interrupted))
        bar = stack.enter_context(progress("workloads", len(chosen)))
        talk = _Talk(settings, bar)
        figures = run(
            [each.name for each in chosen],
            dsn=settings.dsn,
            schema=_schema(settings),
            sizes=sizes,
            force=force,
            say=talk.say,
            began=talk.began,
            each=talk.figure,
        )
        bar.update(len(chosen))
    if not settings.json:
        emit_rows(settings, figures, _columns(), empty="nothing was measured")
    if pictures is not None:
        from pgqueue.bench._plot import draw

        for path in draw(figures, pictures):
            click.secho(f"wrote {path}", dim=True, err=True)


def _schema(settings: Settings) -> str:
    """That of --schema; $PGQUEUE_SCHEMA names where jobs live, which is no place for a bench."""
    from pgqueue.bench._place import SCHEMA

    chosen = settings.chosen_schema
    return SCHEMA if chosen is None or chosen == os.environ.get("PGQUEUE_SCHEMA") else chosen


class _Talk:
    """What is said while it runs."""

    def __init__(self, settings: Settings, bar: Progress) -> None:
        self.settings, self.bar = settings, bar
        self.done = -1

    def say(self, text: str) -> None:
        """What goes on."""
        self.bar.say(f"  {text}")

    def began(self, workload: Workload) -> None:
        """The next workload."""
        self.done += 1
        self.bar.update(self.done, workload.name)
        self.bar.say(f"{workload.name}: {workload.summary}")

    def figure(self, figure: Figure) -> None:
        """A figure, for whoever waits for it: a line of JSON, or of text."""
        if self.settings.json:
            click.echo(to_json(as_json(figure)))
        ratio = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.of}"
        self.bar.say(f"  {figure.name}: {number(figure.value)} {figure.unit}{ratio}")


def as_json(figure: Figure) -> dict[str, object]:
    """A figure without its points, which are for pictures."""
    return {
        "workload": figure.workload,
        "figure": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "limit": figure.limit,
        "ratio": figure.ratio,
        "of": figure.of if figure.ratio is not None else None,
        "floor": figure.floor,
        "at_most": figure.at_most,
        "holds": figure.holds,
        "details": figure.details,
    }


def number(value: float | None) -> str:
    """Three digits that mean something, and separators of thousands."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _holds(figure: Figure) -> str:
    return {True: "yes", False: "NO", None: ""}[figure.holds]


def _floor(figure: Figure) -> str:
    if figure.floor is None:
        return ""
    return f"{'≤' if figure.at_most else '≥'} {number(figure.floor)}"


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return ""
    return f"{figure.ratio:.2f}" if figure.of == "limit" else f"{figure.ratio:.2f} of {figure.of}"


def _columns() -> list[Column[Figure]]:
    return [
        Column("workload", lambda f: f.workload),
        Column("figure", lambda f: f.name),
        Column("value", lambda f: number(f.value), right=True),
        Column("unit", lambda f: f.unit),
        Column("limit", lambda f: number(f.limit), right=True),
        Column("ratio", _ratio),
        Column("floor", _floor, right=True),
        Column("holds", _holds, colour=lambda f: {True: "green", False: "red", None: None}[f.holds]),
    ]
