"""The root command: names, one-line helps and sections of all commands, and where their exceptions end."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from pgqueue.cli._errors import EXIT_CODES, INTERRUPTED, CliError, explain, unexpected
from pgqueue.cli._options import Settings, common, examples


class Lazy(NamedTuple):
    """A command that is not imported yet: where it lives and what the list of commands says about it."""

    target: str
    help: str


SECTIONS: Mapping[str, Mapping[str, Lazy]] = {
    "Start here": {
        "quickstart": Lazy("quickstart:quickstart", "See real work done, a crash included."),
        "up": Lazy("embedded:up", "Start this folder's own server."),
        "down": Lazy("embedded:down", "Stop this folder's own server."),
        "status": Lazy("embedded:status", "Say what this folder's own server does."),
    },
    "Jobs": {
        "enqueue": Lazy("enqueue:enqueue", "Put one job into a queue."),
        "jobs": Lazy("jobs:jobs", "List jobs, cancel, retry, move or delete many."),
        "job": Lazy("job:job", "Show, edit, cancel, retry, explain or await a job."),
        "failures": Lazy("failures:failures", "Sum up what failed, by kind and error."),
        "query": Lazy("query:query", "Run a query in the background, show or save its result."),
        "script": Lazy("script:script", "Run SQL texts in the background, one after the other."),
        "batch": Lazy("batch:batch", "Submit rows of a file, follow them, read what became of them."),
        "schedule": Lazy("schedule:schedule", "Enqueue jobs at given times."),
        "queues": Lazy("queues:queues", "List queues: depth, age, rates."),
        "throughput": Lazy("insight:throughput", "Count what has ended, by time and queue."),
        "queue": Lazy("queues:queue", "Pause, resume or set a queue."),
    },
    "Workers": {
        "worker": Lazy("worker:worker", "Run a worker."),
        "workers": Lazy("workers:workers", "List registered workers."),
        "maintain": Lazy("workers:maintain", "Do one pass of upkeep."),
    },
    "Installation": {
        "schema": Lazy("schema:schema", "Install, upgrade, check or print the schema."),
        "doctor": Lazy("doctor:doctor", "Find what is wrong and how to fix it."),
        "bench": Lazy("bench:bench", "Measure it against what the database can do."),
        "completion": Lazy("completion:completion", "Print the completion script of a shell."),
    },
}
COMMANDS: Mapping[str, Lazy] = {name: lazy for section in SECTIONS.values() for name, lazy in section.items()}


class ErrorBoundary(click.Group):
    """A group whose commands show a traceback only with --debug, and a message, a hint and an exit code always."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a message, a hint and an exit code."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            self._trace(ctx, error.__cause__)
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            self._trace(ctx, error)
            raise (explain(error) or unexpected(error)) from error

    @staticmethod
    def _trace(ctx: click.Context, error: BaseException | None) -> None:
        settings = ctx.find_object(Settings)
        if error is not None and settings is not None and settings.debug:
            traceback.print_exception(error)


class LazyGroup(ErrorBoundary):
    """The root group: imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the sections."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None when there is none of that name."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.target.partition(":")
        command = getattr(import_module(f"pgqueue.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and name the command that was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per stage of a reader, without importing a single command."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(12), lazy.help) for name, lazy in commands.items()])


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from pgqueue.cli._checks import own_version

        click.echo(f"pgqueue {own_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "pgqueue quickstart",
        "pgqueue worker shop.jobs:app -q mail -c 20",
        "pgqueue enqueue send_mail to=ada@example.org --wait",
    )
    + f"\n\nExit codes: {EXIT_CODES}",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@common
def cli() -> None:
    """A PostgreSQL job queue: everything is a SQL function, and this is a way to call them.

    The database is --dsn, else $PGQUEUE_DSN, else libpq's own variables ($PGHOST, $PGSERVICE, …), else the server that
    `pgqueue up` or `pgqueue quickstart` started in this folder. `pgqueue COMMAND --help` shows examples.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script. Exit codes: see `pgqueue --help`."""
    for stream in (sys.stdout, sys.stderr):
        # A name with an emoji must not be able to break a listing on a terminal that cannot show it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=None if argv is None else list(argv), prog_name="pgqueue", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(result if isinstance(result, int) else 0)
