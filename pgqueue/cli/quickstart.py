"""`pgqueue quickstart`: real work on a real PostgreSQL, a crash included, and the proof that nothing was lost or
counted twice.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import sysconfig
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from pgqueue.cli._errors import NO, CliError
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import span, to_json

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first signal ends the run; what follows must not cut short the cleaning up, which takes a few seconds at
    most.
    """
    _deaf()
    raise KeyboardInterrupt


def _deaf() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _say(text: str) -> None:
    click.secho(text, dim=True, err=True)


@click.command(
    short_help="See real work done, a crash included.",
    epilog=examples(
        "pgqueue quickstart                            # with a PostgreSQL of its own, in ./.pgqueue",
        "pgqueue quickstart --rm                       # leave nothing behind",
        "pgqueue quickstart --dir ~/src/project --json",
        "pgqueue quickstart --dsn postgresql://localhost/test",
    ),
)
@click.option(
    "--dir",
    "root",
    type=click.Path(exists=True, file_okay=False, readable=True, path_type=Path),
    help="Index this tree of Python files. Default: the standard library of the Python that runs this.",
)
@click.option("--rm", is_flag=True, help="Leave nothing behind: no server, no folder, no schema.")
@common
@pass_settings
def quickstart(settings: Settings, root: Path | None, rm: bool) -> None:
    """Index the Python standard library: one job a file, two worker processes, one of them killed on the way.

    Needs no PostgreSQL on the machine: without --dsn (or $PGQUEUE_DSN, or libpq's variables) a server is started in
    ./.pgqueue, which stays up until `pgqueue down`. A database that was named gets the schema if it has none, and a
    queue of this run's own.

    Exit code 0 only if nothing was lost and nothing was counted twice. With --json one line on stdout: files,
    succeeded, failed, recovered, lost, duplicated, seconds, jobs_per_s, p50_ms, p99_ms, latency (what these two
    measure), and more.
    """
    from pgqueue.cli._quickstart import run

    started = time.monotonic()
    tree = (root or Path(sysconfig.get_paths()["stdlib"])).resolve()
    files, skipped = run.python_files(tree)
    if not files:
        raise CliError(f"there is no Python file below {tree}", "Name another tree with --dir.")
    with ExitStack() as stack:
        for each in SIGNALS:
            stack.callback(signal.signal, each, signal.signal(each, _interrupted))
        good = _run(settings, stack, tree, files, skipped, rm, started)
    if not good:
        click.get_current_context().exit(NO)


def _run(
    settings: Settings, stack: ExitStack, tree: Path, files: list[str], skipped: int, rm: bool, started: float
) -> bool:
    from pgqueue import Client
    from pgqueue.cli._progress import progress
    from pgqueue.cli._quickstart import audit, report, run
    from pgqueue.cli._quickstart.crew import Crew
    from pgqueue.cli._quickstart.place import place
    from pgqueue.cli._session import open_connection

    where = stack.enter_context(place(settings, rm=rm, say=_say))
    folder = Path(tempfile.mkdtemp(prefix="pgqueue-ledgers-"))
    if settings.debug:
        _say(f"ledgers and logs of the workers stay in {folder}")
    else:
        stack.callback(shutil.rmtree, folder)
    connection = stack.enter_context(open_connection(where.dsn, application_name="pgqueue quickstart"))
    client = stack.enter_context(Client(connection=connection, schema=where.schema))
    course = run.Course(queue=f"quickstart-{secrets.token_hex(3)}", root=tree, files=files)
    lost_after = stack.enter_context(run.losses_noticed_soon(client, where.ours))
    crew = Crew(folder, dsn=where.dsn, schema=where.schema, queue=course.queue)
    stack.callback(crew.stop)
    stack.callback(_deaf)  # runs first when the stack unwinds

    run.enqueue_all(client, course)
    _say(
        f"{len(files):,} files of {tree} enqueued in one transaction; a worker counts as lost after {span(lost_after)}"
    )
    with progress("indexing", len(files)) as bar:
        run.work_through(client, crew, course, lost_after, bar)
    pickups = run.pickups_of(course)
    with progress("latency ", pickups + run.WARM_UP) as bar:
        course.pickups = run.measure_pickup(client, course.queue, pickups, bar)
    crew.stop()
    findings = audit.examine(client, crew, course)
    if settings.json:
        click.echo(to_json(report.as_json(findings, where, course, skipped, time.monotonic() - started)))
    else:
        report.show(client, findings, where, course)
        if where.lasts:
            _say("\nThe server stays up until `pgqueue down`." if where.ours else "")
    if course.accident is None:
        _say("No worker held a job at any moment a kill was tried: this run shows no recovery.")
    return findings.lost == 0 and findings.duplicated == 0
