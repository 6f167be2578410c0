"""`pgqueue doctor`: what is wrong and the fix. The server's half is the SQL function health(); this is the client's
half, and the report.
"""

from __future__ import annotations

import click

from pgqueue.cli._checks import Examination
from pgqueue.cli._errors import NO
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import printable, to_json
from pgqueue.models import HealthItem


def _print(item: HealthItem, column: int) -> None:
    click.secho("ok   " if item.ok else "BAD  ", fg="green" if item.ok else "red", bold=not item.ok, nl=False)
    click.echo(f"{printable(item.item).ljust(column)}  {printable(item.detail)}")
    if not item.ok and item.fix:
        click.secho(" " * (5 + column + 2) + "fix: ", fg="yellow", nl=False)
        click.echo(printable(item.fix))


@click.command(
    short_help="Find what is wrong and how to fix it.",
    epilog=examples("pgqueue doctor", "pgqueue doctor --json | jq 'select(.ok | not)'"),
)
@common
@pass_settings
def doctor(settings: Settings) -> None:
    """Look at everything a queue needs: connection, server version, schema, notifications, clocks, autovacuum, old
    snapshots, lost workers, …

    Each line says what was found and, where it is bad, the fix. Exit code 0 when all is well, 3 when there is no
    connection, 4 when the schema does not fit, else 1.
    """
    column = len("prepared transactions")
    code = 0
    for item in (examination := Examination(settings)).items():
        if settings.json:
            click.echo(to_json(item))
        else:
            _print(item, column)
        code = code or (0 if item.ok else NO)
    click.get_current_context().exit(examination.code or code)
