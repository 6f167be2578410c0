"""`pgqueue schema …`: the tables and functions in the database."""

from __future__ import annotations

import click

from pgqueue.cli._errors import SCHEMA, CliError
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import emit
from pgqueue.cli._session import open_connection, resolve


@click.group(
    short_help="Install, upgrade, check or print the schema.",
    epilog=examples("pgqueue schema upgrade", "pgqueue schema check"),
)
def schema() -> None:
    """Install, upgrade, check or print the schema. A running queue may be upgraded: old workers live through it."""


@schema.command(
    epilog=examples("pgqueue schema upgrade --dsn postgresql://localhost/shop", "pgqueue schema upgrade --schema jobs")
)
@click.option("--to", "revision", default="head", show_default=True, metavar="REVISION")
@common
@pass_settings
def upgrade(settings: Settings, revision: str) -> None:
    """Install the schema, or bring it to the revision of this program. Does nothing when it is there."""
    from pgqueue import schema as library

    with open_connection(resolve(settings).dsn) as connection:
        before = library.check(connection, settings.schema)
        after = library.upgrade(connection, settings.schema, revision)
    said = f"schema {after.schema} is at revision {after.installed}"
    if before.installed == after.installed:
        said += "; nothing to do"
    elif before.installed is None:
        said += ", installed"
    else:
        said += f", upgraded from {before.installed}"
    emit(settings, {"schema": after.schema, "from": before.installed, "to": after.installed}, said)


@schema.command(
    epilog=examples(
        "pgqueue schema downgrade 0001",
        "pgqueue schema downgrade base --yes    # removes the queue and everything in it",
    )
)
@click.argument("revision")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@common
@pass_settings
def downgrade(settings: Settings, revision: str, yes: bool) -> None:
    """Take the schema back to REVISION; back to base, every job and result in it is gone."""
    from pgqueue import schema as library

    with open_connection(resolve(settings).dsn) as connection:
        before = library.check(connection, settings.schema)
        if before.installed is not None and not yes:
            where = f"{connection.info.dbname} on {connection.info.host or 'the local socket'}"
            loss = (
                "ALL ITS JOBS AND RESULTS WILL BE GONE"
                if revision == "base"
                else "what newer revisions hold may be lost"
            )
            click.confirm(
                f"Take schema {before.schema} of {where} from {before.installed} to {revision}? {loss}.",
                abort=True,
                err=True,
            )
        after = library.downgrade(connection, settings.schema, revision)
    now = "is gone" if after.installed is None else f"is at revision {after.installed}"
    emit(
        settings,
        {"schema": after.schema, "from": before.installed, "to": after.installed},
        f"schema {after.schema} {now}",
    )


@schema.command(epilog=examples("pgqueue schema check && systemctl restart workers"))
@common
@pass_settings
def check(settings: Settings) -> None:
    """Compare the database with this program. Exit code 0 when they fit, 4 when the schema is missing or of another
    version.
    """
    from pgqueue import schema as library

    with open_connection(resolve(settings).dsn) as connection:
        status = library.check(connection, settings.schema)
    found = {
        "schema": status.schema,
        "state": status.state,
        "ok": status.ok,
        "installed": status.installed,
        "expected": status.expected,
        "fix": status.fix,
    }
    if settings.json or status.ok:
        emit(settings, found, f"schema {status.schema} is at revision {status.installed}, as this program expects")
        if not status.ok:
            click.get_current_context().exit(SCHEMA)
    else:
        installed = "no such schema" if status.installed is None else f"revision {status.installed}"
        raise CliError(
            f"schema {status.schema}: found {installed}, this program needs {status.expected}", status.fix, SCHEMA
        )


@schema.command(
    epilog=examples(
        "pgqueue schema sql | psql -v ON_ERROR_STOP=1 -d shop      # deploy with nothing but psql",
        "pgqueue schema sql 0001:head > upgrade.sql",
        "pgqueue schema sql --schema jobs > jobs.sql",
    )
)
@click.argument("range_", metavar="[FROM:TO]", default="base:head")
@common
@pass_settings
def sql(settings: Settings, range_: str) -> None:
    """Print the SQL that takes an installation from one revision to another; from nothing to the newest by default.
    Needs no database.
    """
    from pgqueue import schema as library

    from_, colon, to = range_.partition(":")
    if not colon:
        raise click.UsageError("Give FROM:TO, for example base:head or 0001:0002.")
    script = library.render_sql(from_ or "base", to or "head", settings.schema)
    emit(
        settings,
        {"schema": settings.schema, "from": from_ or "base", "to": to or "head", "sql": script},
        script.rstrip("\n"),
    )
