"""`pgqueue schedule …`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, emit, emit_rows, moment, to_json
from pgqueue.cli._params import DURATION, KEY, MOMENT, NAME, NAMES, Text, json_object, pairs_to_object
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import Schedule


def _columns() -> list[Column[Schedule]]:
    return [
        Column("NAME", lambda s: s.name),
        Column("CRON", lambda s: s.cron),
        Column("ZONE", lambda s: s.time_zone),
        Column("KIND", lambda s: s.kind),
        Column("QUEUE", lambda s: s.queue),
        Column("NEXT", lambda s: "paused" if s.paused else moment(s.next_run, s.time_zone) or "never"),
        Column("LAST", lambda s: moment(s.last_run, s.time_zone)),
        Column("JOB", lambda s: s.last_job, right=True),
        Column("ERROR", lambda s: s.last_error, colour=lambda s: "red"),
    ]


@click.group(
    short_help="Enqueue jobs at given times.",
    epilog=examples(
        "pgqueue schedule list",
        "pgqueue schedule add report '30 7 * * mon-fri' make_report --time-zone Europe/Berlin",
        "pgqueue schedule next '0 3 * * sun'",
    ),
)
def schedule() -> None:
    """List, add, remove, pause and preview schedules."""


@schedule.command(name="list", epilog=examples("pgqueue schedule list", "pgqueue schedule list --json"))
@common
@pass_settings
def list_(settings: Settings) -> None:
    """List schedules: what they enqueue, their next and last runs, what is wrong with them."""
    with session(settings) as client:
        found = client.schedules()
    emit_rows(settings, found, _columns(), empty="no schedules: pgqueue schedule add makes one, so does @app.cron")


@schedule.command(
    epilog=examples(
        "pgqueue schedule add report '30 7 * * mon-fri' make_report month=1 --time-zone Europe/Berlin",
        "pgqueue schedule add poll 'every 90 seconds' poll --unique-key poll --missed skip",
        """pgqueue schedule add totals '0 3 * * *' sql.query sql='select count(*) from sales' owner=ada""",
        "pgqueue schedule add load @hourly load_all --unique-by '*' --on-error '{\"kind\": \"page_me\"}'",
    )
)
@click.argument("name", type=NAME)
@click.argument("cron", type=Text(1000))
@click.argument("kind", type=NAME)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--args", "document", metavar="JSON", help="Arguments as a JSON object; @FILE reads a file, - stdin.")
@click.option("--time-zone", type=NAME, default="UTC", show_default=True, help="Whose clock CRON means.")
@click.option("--queue", "-q", type=NAME, help="Default: default; queries for sql.query, scripts for sql.script.")
@click.option(
    "--missed",
    type=click.Choice(["skip", "one", "all"]),
    default="one",
    show_default=True,
    help="What becomes of ticks more than a minute late.",
)
@click.option("--priority", type=click.IntRange(-32768, 32767), default=0, show_default=True, help="Higher runs first.")
@click.option("--unique-key", type=KEY, help="No further job while one with this key lives in the queue.")
@click.option("--group-key", type=KEY, help="The group whose limit counts the jobs.")
@click.option("--max-attempts", type=click.IntRange(1, 32767), help="Default: the queue's, else 5.")
@click.option("--job-timeout", "timeout", type=DURATION, help="Fail an attempt that runs longer.")
@click.option("--expires-in", type=DURATION, help="Fail a job if it has not started by then (reason queue_timeout).")
@click.option(
    "--unique-by",
    type=NAMES,
    metavar="NAME[,NAME]...",
    help="Instead of --unique-key: a key made of KIND and these arguments; '*' for all of them.",
)
@click.option(
    "--unique-until", type=click.Choice(["finish", "start"]), help="When the key is given up.  [default: finish]"
)
@click.option("--unique-for", type=DURATION, help="Hold the key for this long from each job on.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["return", "replace", "debounce", "raise"]),
    help="When a tick finds the key held: pass it over, replace the holder's arguments and headers while it waits, so "
    "that it is the new tick's, or pass it over and show that in `list`.  [default: return]",
)
@click.option(
    "--on-success",
    multiple=True,
    metavar="JSON",
    help="A job to enqueue when one has succeeded: an object as enqueue_many takes it; repeatable.",
)
@click.option("--on-error", multiple=True, metavar="JSON", help="The same when one fails or is cancelled; repeatable.")
@click.option("--starts-at", type=MOMENT, help="No tick before, ISO 8601; local time without a zone.")
@click.option("--ends-at", type=MOMENT, help="No tick after.")
@common
@pass_settings
def add(
    settings: Settings,
    /,
    name: str,
    cron: str,
    kind: str,
    pairs: tuple[str, ...],
    document: str | None,
    **options: Any,
) -> None:
    """Enqueue a job of KIND at each tick of CRON; replaces the schedule NAME.

    CRON is five fields (minute, hour, day of the month, month, day of the week), a word such as @daily, or "every 10
    minutes". Quote it for the shell. With KIND sql.query or sql.script each tick hands in a query or
    script: the arguments are those of submit_query or submit_script, such as document='["vacuum a", "vacuum b"]'.
    """
    if document is not None and pairs:
        raise click.UsageError("Give the arguments either as KEY=VALUE or with --args, not both.")
    args = pairs_to_object(pairs) if document is None else json_object(document, option="--args")
    if options["unique_key"] is not None and options["unique_by"] is not None:
        raise click.UsageError("Give either --unique-key or --unique-by, not both.")
    if options["unique_until"] is not None and options["unique_for"] is not None:
        raise click.UsageError("Give either --unique-until or --unique-for, not both.")
    for key, option in (("on_success", "--on-success"), ("on_error", "--on-error")):
        options[key] = [json_object(each, option=option) for each in options[key]] or None
    given = {key: value for key, value in options.items() if value is not None}
    with session(settings) as client:
        made = client.schedule(name, cron, kind, args, **given)
    emit(
        settings,
        {"name": name, "changed": made.changed, "next_run": made.next_run},
        f"{name}: next run {moment(made.next_run, options['time_zone']) or 'never, or paused'}"
        + ("" if made.changed else " (as it was)"),
    )


@schedule.command(epilog=examples("pgqueue schedule remove report"))
@click.argument("name", type=NAME)
@common
@pass_settings
def remove(settings: Settings, name: str) -> None:
    """Remove a schedule. Its jobs stay. One that an App declares comes back with its next worker: pause it instead."""
    with session(settings) as client:
        changed = client.unschedule(name)
    emit(settings, {"name": name, "changed": changed}, f"{name} is removed" if changed else f"there was no {name}")


@schedule.command(epilog=examples("pgqueue schedule pause report"))
@click.argument("name", type=NAME)
@common
@pass_settings
def pause(settings: Settings, name: str) -> None:
    """Stop a schedule until it is resumed, through restarts."""
    with session(settings) as client:
        changed = client.pause_schedule(name)
    emit(
        settings,
        {"name": name, "paused": True, "changed": changed},
        f"{name} is paused" + ("" if changed else " (it was already)"),
    )


@schedule.command(epilog=examples("pgqueue schedule resume report"))
@click.argument("name", type=NAME)
@common
@pass_settings
def resume(settings: Settings, name: str) -> None:
    """Let a paused schedule go on with its next tick."""
    with session(settings) as client:
        changed = client.resume_schedule(name)
    emit(
        settings,
        {"name": name, "paused": False, "changed": changed},
        f"{name} goes on" + ("" if changed else " (it was not paused)"),
    )


@schedule.command(epilog=examples("pgqueue schedule run report"))
@click.argument("name", type=NAME)
@common
@pass_settings
def run(settings: Settings, name: str) -> None:
    """Enqueue a schedule's job now, out of turn."""
    with session(settings) as client:
        id = client.run_schedule(name)
    emit(settings, {"name": name, "id": id}, f"job {id}")


@schedule.command(
    name="next",
    epilog=examples(
        "pgqueue schedule next '0 3 * * sun' --time-zone Europe/Berlin", "pgqueue schedule next @monthly -n 12"
    ),
)
@click.argument("cron", type=Text(1000))
@click.option("--time-zone", type=NAME, default="UTC", show_default=True, help="Whose clock CRON means.")
@click.option("-n", "n", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@click.option("--after", type=MOMENT, help="Default: now.")
@common
@pass_settings
def next_(settings: Settings, cron: str, time_zone: str, n: int, after: datetime | None) -> None:
    """Print the next ticks of an expression. Nothing is stored."""
    with session(settings) as client:
        found = client.next_runs(cron, time_zone, n, after)
    for tick in found:
        click.echo(to_json({"tick": tick}) if settings.json else moment(tick, time_zone))
