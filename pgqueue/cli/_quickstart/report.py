"""What a person reads at the end, and the one query behind the table."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli._output import Column, table
from pgqueue.cli._quickstart.app import KIND
from pgqueue.cli._quickstart.audit import Findings
from pgqueue.cli._quickstart.place import Place
from pgqueue.cli._quickstart.run import Course, connection_of

if TYPE_CHECKING:
    from pgqueue import Client

QUERY = """\
with file as (
  select o.result from {schema}.job j join {schema}.outcome o on o.job_id = j.id
  where j.queue = '{queue}' and j.kind = '{kind}' and o.state = 'succeeded')
(select 'largest modules, lines' as list, result->>'module' as name, (result->>'lines')::int as n
   from file order by n desc, name limit 6)
union all
(select 'most imported, files', name, count(*)::int
   from file, jsonb_array_elements_text(result->'imported') name group by name order by count(*) desc, name limit 6)"""

LATENCY = (
    "from the call of enqueue() to the first line of the handler; {} single jobs, each to an idle worker, on one clock"
)


def query(place: Place, course: Course) -> str:
    """The SQL over the results, ready to be pasted into psql. The names in it are ours: quoting is no question."""
    return QUERY.format(schema=place.schema, queue=course.queue, kind=KIND)


def psql_lines(place: Place, course: Course) -> list[str]:
    """Three shell lines that show the same queue from SQL; after --rm, what they would be without it."""
    s, q = place.schema if place.lasts else "pgqueue", course.queue
    statements = [
        f"select * from {s}.queues()",
        f"select state, count(*) from {s}.jobs(queue => '{q}', max => 10000) group by state",
        f"select j.args->>'file' as file, j.error->>'message' as error"
        f" from {s}.jobs(queue => '{q}', state => 'failed') f, {s}.job(f.id) j",
    ]
    return [f"{place.psql} -c {_double_quoted(statement)}" for statement in statements]


def _double_quoted(statement: str) -> str:
    """For the shell; statements hold single quotes, and nothing that means something between double ones."""
    assert not set(statement) & set('"$`\\!')
    return f'"{statement}"' if "'" in statement else shlex.quote(statement)


def as_json(findings: Findings, place: Place, course: Course, skipped: int, total_seconds: float) -> dict[str, Any]:
    """The `--json` line."""
    accident = course.accident
    return {
        "files": findings.files,
        "succeeded": findings.succeeded,
        "failed": findings.failed,
        "recovered": findings.recovered,
        "lost": findings.lost,
        "duplicated": findings.duplicated,
        "seconds": findings.seconds,
        "jobs_per_s": findings.jobs_per_s,
        "p50_ms": findings.p50_ms,
        "p99_ms": findings.p99_ms,
        "latency": LATENCY.format(len(course.pickups)),
        "enqueue_p50_ms": findings.enqueue_p50_ms,
        "run_p50_ms": findings.run_p50_ms,
        "run_p99_ms": findings.run_p99_ms,
        "killed_pid": accident.pid if accident else None,
        "killed_holding": len(accident.held) if accident else 0,
        "started_twice": findings.started_twice,
        "skipped": skipped,
        "enqueue_seconds": round(course.enqueue_seconds, 3),
        "total_seconds": round(total_seconds, 3),
        "queue": course.queue,
        "schema": place.schema,
        "server": place.what,
        "root": str(course.root),
    }


def show(client: Client, findings: Findings, place: Place, course: Course) -> None:
    """The whole report, on stdout."""
    statement = query(place, course)
    click.secho("\nOne query over the results:\n", bold=True)
    click.secho(statement, dim=True)
    rows: list[tuple[str, str, int]] = list(connection_of(client).execute(statement.encode()))
    columns: list[Column[tuple[str, str, int]]] = [
        Column("LIST", lambda r: r[0]),
        Column("NAME", lambda r: r[1]),
        Column("N", lambda r: f"{r[2]:,}", right=True),
    ]
    click.echo()
    table(rows, columns)
    _tell(findings, course)
    if place.lasts:
        click.secho("\nThe same queue from SQL:", bold=True)
    else:
        click.secho(
            "\nAll this run made is gone (--rm). Without --rm, lines like these show the queue from SQL:", bold=True
        )
    for line in psql_lines(place, course):
        click.echo(f"  {line}")


def _tell(findings: Findings, course: Course) -> None:
    f, accident = findings, course.accident
    good = f.lost == 0 and f.duplicated == 0
    click.echo()
    _line("files", f"{f.files:,} jobs, enqueued in one transaction in {course.enqueue_seconds * 1000:.0f} ms")
    _line("ended", f"{f.succeeded:,} succeeded, {f.failed:,} failed (could not be parsed; each keeps its error)")
    if accident is not None:
        held = len(accident.held)
        _line(
            "killed", f"worker process {accident.pid}, after {accident.done:,} jobs, with {held} claimed ones in hand"
        )
        _line(
            "recovered",
            f"{f.recovered:,} of these, by the other worker; {f.started_twice:,} had been started and ran again",
        )
    _line(
        "checked",
        f"{f.lost} lost, {f.duplicated} counted twice (queue, results and the workers' own ledgers compared)",
        "green" if good else "red",
    )
    _line("speed", f"{f.jobs_per_s:,.0f} jobs/s: {f.seconds:.1f} s from the enqueueing to the last outcome,")
    _line("", "the start of the workers and the death of one included")
    if f.run_p50_ms is not None and f.run_p99_ms is not None:
        _line("", f"a file took p50 {f.run_p50_ms:.1f} ms, p99 {f.run_p99_ms:.1f} ms from claim to outcome")
    if f.p50_ms is not None and f.p99_ms is not None:
        _line("latency", f"p50 {f.p50_ms:.2f} ms, p99 {f.p99_ms:.2f} ms")
        _line("", f"{LATENCY.format(len(course.pickups))};")
        _line("", f"{f.enqueue_p50_ms:.2f} ms of it (p50) are the enqueue itself, its commit to disk included")


def _line(name: str, text: str, colour: str | None = None) -> None:
    click.secho(f"{name:<10}", dim=True, nl=False)
    click.secho(text, fg=colour)
