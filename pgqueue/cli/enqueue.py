"""`pgqueue enqueue`: one job from a shell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from pgqueue.cli._errors import NO
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import to_json
from pgqueue.cli._params import DURATION, JOB_ID, KEY, MOMENT, NAME, NAMES, json_object, pairs_to_object
from pgqueue.cli._session import session
from pgqueue.cli._waiting import outcome_line, wait_for

_ALREADY = dict.fromkeys((None, "return"), "was there already (same unique key), nothing was added") | dict.fromkeys(
    ("replace", "debounce"), "was there already (same unique key); if it had not started, it has the new arguments now"
)


@click.command(
    short_help="Put one job into a queue.",
    epilog=examples(
        "pgqueue enqueue send_mail to=ada@example.org retries=3",
        """pgqueue enqueue report --args '{"month": "2030-01"}' --queue slow --priority 10 --delay 1h30m""",
        "pgqueue enqueue sync --unique-key sync:42 --wait --timeout 30s",
        "pgqueue enqueue report month=7 --unique-by month --on-duplicate debounce --delay 1m",
        "pgqueue enqueue publish --depends-on 42 --depends-on 43",
        "make-report | pgqueue enqueue import --args -",
    ),
)
@click.argument("kind", type=NAME)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--args", "document", metavar="JSON", help="Arguments as a JSON object; @FILE reads a file, - stdin.")
@click.option("--queue", "-q", type=NAME, default="default", show_default=True)
@click.option("--priority", type=click.IntRange(-32768, 32767), default=0, show_default=True, help="Higher runs first.")
@click.option("--delay", type=DURATION, help="Run no sooner than in this time: 90, 10m, 1h30m.")
@click.option("--run-at", type=MOMENT, help="Run no sooner than at this time, ISO 8601; local time without a zone.")
@click.option(
    "--unique-key", type=KEY, help="No second live job of this key in the queue: the first one's id is printed instead."
)
@click.option(
    "--unique-by",
    type=NAMES,
    metavar="NAME[,NAME]...",
    help="Instead: a key made of KIND and these arguments; '*' for all of them.",
)
@click.option(
    "--unique-until", type=click.Choice(["finish", "start"]), help="When the key is given up.  [default: finish]"
)
@click.option(
    "--unique-for", type=DURATION, help="Hold the key for this long from now on, whatever becomes of the job."
)
@click.option(
    "--on-duplicate",
    type=click.Choice(["return", "replace", "debounce", "raise"]),
    help="When the key is held: print the holder's id, replace its arguments while it waits, replace and move it to "
    "the new time, or fail.  [default: return]",
)
@click.option("--depends-on", type=JOB_ID, multiple=True, metavar="ID", help="A job that must end first; repeatable.")
@click.option(
    "--on-parent-failure",
    type=click.Choice(["cancel", "run", "wait"]),
    help="When such a job fails or is cancelled: cancel this one, run it all the same, or wait until that one has been "
    "retried.  [default: cancel]",
)
@click.option("--group-key", type=KEY, help="The group whose limit counts this job.")
@click.option("--max-attempts", type=click.IntRange(1, 32767), help="Default: the queue's, else 5.")
@click.option("--job-timeout", "timeout", type=DURATION, help="Fail an attempt that runs longer.")
@click.option("--expires-in", type=DURATION, help="Fail the job if it has not started by then (reason queue_timeout).")
@click.option("--wait", is_flag=True, help="Wait for the end and print the result; exit code 1 unless it succeeded.")
@click.option("--timeout", "patience", type=DURATION, default="5m", show_default=True, help="Longest wait with --wait.")
@common
@pass_settings
def enqueue(
    settings: Settings,
    /,
    kind: str,
    pairs: tuple[str, ...],
    document: str | None,
    queue: str,
    delay: timedelta | None,
    run_at: datetime | None,
    wait: bool,
    patience: timedelta,
    **options: Any,
) -> None:
    """Put one job of KIND into a queue and print its id.

    Arguments of the job are KEY=VALUE words: a value that is JSON is taken as JSON (42, true, null, [1, 2]), anything
    else as text; to send the text 42, write key='"42"'.
    """
    if document is not None and pairs:
        raise click.UsageError("Give the arguments either as KEY=VALUE or with --args, not both.")
    if delay is not None and run_at is not None:
        raise click.UsageError("Give either --delay or --run-at, not both.")
    args = pairs_to_object(pairs) if document is None else json_object(document, option="--args")
    if options["unique_key"] is not None and options["unique_by"] is not None:
        raise click.UsageError("Give either --unique-key or --unique-by, not both.")
    if options["unique_until"] is not None and options["unique_for"] is not None:
        raise click.UsageError("Give either --unique-until or --unique-for, not both.")
    given = {name: value for name, value in options.items() if value is not None and name != "depends_on"}
    if options["depends_on"]:
        given["depends_on"] = options["depends_on"]
    with session(settings) as client:
        made = client.enqueue(kind, args, queue=queue, delay=delay, run_at=run_at, **given)
        if not wait:
            if settings.json:
                click.echo(to_json(made))
            else:
                click.echo(f"job {made.id} " + ("enqueued" if made.created else _ALREADY[options["on_duplicate"]]))
            return
        ended = wait_for(client, made.id, patience)
        click.echo(
            to_json({"id": made.id, "created": made.created, **ended.as_dict()})
            if settings.json
            else outcome_line(ended)
        )
        if ended.state != "succeeded":
            click.get_current_context().exit(NO)
