"""`pgqueue worker`: runs jobs. All the work is `pgqueue.worker`'s; this reads the words of the command line."""

from __future__ import annotations

import re
import traceback
from datetime import timedelta

import click

from pgqueue.cli._errors import USAGE, CliError
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._params import DURATION, NAME
from pgqueue.errors import PgQueueError

_LIMITED = re.compile(r"(.+):([0-9]{1,6})", re.DOTALL)


class Queue(click.ParamType):  # type: ignore[type-arg]  # as in _params
    """`mail` or `mail:5` → (name, most at a time or None). Only a number after the last colon is a limit: `eu:mail` is
    a name.
    """

    name = "queue"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | None]:
        """Split the limit off, if there is one."""
        if isinstance(value, tuple):
            return value
        text = NAME.convert(value, param, ctx)
        limited = _LIMITED.fullmatch(text)
        if limited is None:
            return text, None
        if int(limited[2]) < 1:
            self.fail(f"the limit of queue {limited[1]!r} must be at least 1.", param, ctx)
        return limited[1], int(limited[2])


class Datasource(click.ParamType):  # type: ignore[type-arg]  # as in _params
    """`NAME=DSN` → (name, DSN)."""

    name = "datasource"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first =."""
        if isinstance(value, tuple):
            return value
        name, equals, dsn = str(value).partition("=")
        if not equals or not name or not dsn:
            # what was given is not repeated: it may hold a password
            self.fail("write NAME=DSN, for example dwh=postgresql://reports@dwh.example.org/dwh.", param, ctx)
        return NAME.convert(name, param, ctx), dsn


def _import(path: str) -> None:
    """Import the user's app while an error in it can still be told apart from an error of ours."""
    from pgqueue.worker.appload import load_app

    try:
        load_app(path)
    except PgQueueError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise CliError(
            f"importing {path.partition(':')[0]} failed with {type(error).__name__}: {error}",
            f"It was raised at {frame.filename}:{frame.lineno}; --debug shows the whole traceback.",
            USAGE,
        ) from error


@click.command(
    short_help="Run a worker.",
    epilog=examples(
        "pgqueue worker shop.jobs:app",
        "pgqueue worker shop.jobs:app -q mail -q reports:2 -c 50        # at most 2 reports at a time",
        "pgqueue worker shop.jobs:app -P 4 --json-logs                  # four processes",
        "pgqueue worker shop.jobs:app --drain                           # end when nothing is left",
        "pgqueue worker                                                 # scripts and queries: no module needed",
        "pgqueue worker -q scripts --datasource dwh=service=warehouse",
    ),
)
@click.argument("app", metavar="[MODULE:APP]", type=NAME, required=False)
@click.option(
    "--queue",
    "-q",
    "queues",
    multiple=True,
    type=Queue(),
    metavar="NAME[:N]",
    help="Take jobs from this queue; may be repeated. Default: those of the tasks, else scripts and queries.",
)
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Jobs at a time, per process.",
)
@click.option("--processes", "-P", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--drain", is_flag=True, help="End when nothing is left to do.")
@click.option(
    "--grace",
    type=DURATION,
    default="30s",
    show_default=True,
    help="On SIGTERM let jobs run on for so long, then give them back.",
)
@click.option(
    "--heartbeat", type=DURATION, default="5s", show_default=True, help="Keep it well below the instance's lost_after."
)
@click.option(
    "--listen-dsn", metavar="DSN", help="A direct connection for LISTEN, where --dsn is a transaction pooler."
)
@click.option(
    "--datasource",
    "datasources",
    multiple=True,
    type=Datasource(),
    metavar="NAME=DSN",
    help="A database that scripts and queries may name; may be repeated. Also: $PGQUEUE_DATASOURCE_NAME.",
)
@click.option("--name", type=NAME, help="What `pgqueue workers` shows. Default: host:pid.")
@click.option("--json-logs", is_flag=True, help="One JSON object a line on stderr.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@common
@pass_settings
def worker(
    settings: Settings,
    app: str | None,
    queues: tuple[tuple[str, int | None], ...],
    concurrency: int,
    processes: int,
    drain: bool,
    grace: timedelta,
    heartbeat: timedelta,
    listen_dsn: str | None,
    datasources: tuple[tuple[str, str], ...],
    name: str | None,
    json_logs: bool,
    log_level: str,
) -> None:
    """Run jobs of MODULE:APP, for example shop.jobs:app, until stopped. Scripts and queries are run without it, too.

    SIGTERM or Ctrl-C: finish what runs, within --grace; what does not finish goes back to the queue, its attempt
    unspent. A second signal: stop now.
    """
    from pgqueue.worker import main_for_cli

    if app is not None:
        _import(app)
    code = main_for_cli(
        app,
        dsn=settings.dsn,  # without it the App's own, which its enqueues use too
        listen_dsn=listen_dsn,
        schema=settings.chosen_schema,
        queues=list(queues) or None,
        concurrency=concurrency,
        processes=processes,
        drain=drain,
        grace=grace.total_seconds(),
        heartbeat_interval=heartbeat.total_seconds(),
        name=name,
        datasources=dict(datasources),
        json_logs=json_logs,
        log_level=log_level,
    )
    click.get_current_context().exit(code)
