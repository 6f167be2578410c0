"""The one connection of a command: autocommit, named, with a bounded wait, and the schema checked before anything else
is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pgqueue.cli._errors import UNREACHABLE, USAGE, CliError
from pgqueue.cli._options import Settings
from pgqueue.config import EMBEDDED_DSN_FILE, resolve_dsn

if TYPE_CHECKING:
    import psycopg

    from pgqueue import Client
    from pgqueue.config import Dsn

CONNECT_TIMEOUT = 10


def resolve(settings: Settings) -> Dsn:
    """Which database, and who said so. Raises pgqueue.NotConfigured."""
    return resolve_dsn(settings.dsn)


def open_connection(dsn: str, *, application_name: str = "pgqueue") -> psycopg.Connection[Any]:
    """Connect, or say in one line why not (exit code 3; 2 when the DSN itself cannot be read)."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise CliError(
            f"the DSN cannot be read: {str(error).strip()}",
            "Write postgresql://user@host:5432/database or host=… dbname=….",
            USAGE,
        ) from error
    ours: dict[str, str | int] = {"fallback_application_name": application_name}
    if "connect_timeout" not in given and not os.environ.get("PGCONNECT_TIMEOUT"):
        ours["connect_timeout"] = CONNECT_TIMEOUT
    try:
        return psycopg.connect(make_conninfo(dsn, **ours), autocommit=True)
    except psycopg.OperationalError as error:
        raise cannot_connect(error) from error


def cannot_connect(error: Exception) -> CliError:
    """The error of a failed connection attempt, with the likeliest way out."""
    text = " ".join(str(error).split())
    for noise in ("connection failed: ", " Is the server running on that host and accepting TCP/IP connections?"):
        text = text.replace(noise, "")
    return CliError(f"cannot connect: {text}", _hint(text.lower()), UNREACHABLE)


def _hint(text: str) -> str:
    if "password" in text or "authentication" in text or ("role" in text and "does not exist" in text):
        return "The server answers but refuses this user: check user and password (PGPASSWORD, ~/.pgpass)."
    if "database" in text and "does not exist" in text:
        return "The server answers but has no such database: createdb NAME."
    if "resolve" in text or "name or service" in text or "name resolution" in text:
        return "The host name cannot be resolved."
    return f"Is the server up? `pgqueue up` starts the one of this folder (./{EMBEDDED_DSN_FILE.parent})."


@contextmanager
def session(settings: Settings) -> Iterator[Client]:
    """A Client on one connection, after the check that the schema is there and of a version this program knows.

    Raises pgqueue.SchemaMissing, SchemaOutdated, SchemaTooNew (exit code 4), CliError when there is no connection (exit
    code 3).
    """
    from pgqueue import Client
    from pgqueue.schema import require

    with open_connection(resolve(settings).dsn) as connection:
        require(connection, settings.schema)
        yield Client(connection=connection, schema=settings.schema)
