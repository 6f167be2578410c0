"""Installing, checking and removing the schema in a database.

    from pgqueue import schema
    schema.upgrade("postgresql://localhost/app")

The same from the command line: `pgqueue schema upgrade | downgrade | check | sql`. Checking costs two short queries and
imports nothing; Alembic is imported only when there is something to migrate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.rows import tuple_row

from pgqueue import errors
from pgqueue._sqlfiles import DEFAULT_SCHEMA, render, revisions, source_files, validate_schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection as SqlAlchemyConnection

__all__ = ["Status", "acheck", "arequire", "check", "downgrade", "render_sql", "require", "source_sql", "upgrade"]

State = Literal["current", "missing", "outdated", "too_new"]


@dataclass(frozen=True)
class Status:
    """What a database holds, beside what this version of the library needs.

    `installed` is the revision found, None when there is none; `expected` the one this library was made for.
    """

    schema: str
    installed: str | None
    expected: str

    @property
    def state(self) -> State:
        if self.installed is None:
            return "missing"
        if self.installed == self.expected:
            return "current"
        return "outdated" if self.installed in revisions() else "too_new"

    @property
    def ok(self) -> bool:
        return self.state == "current"

    @property
    def fix(self) -> str | None:
        """What to do about it, None when all is well."""
        option = "" if self.schema == DEFAULT_SCHEMA else f" --schema {self.schema}"
        match self.state:
            case "current":
                return None
            case "too_new":
                return "Install the version of pgqueue that this database was upgraded with, or a newer one."
            case _:
                return f"Run: pgqueue schema upgrade{option}"

    def require(self) -> None:
        """Raises SchemaMissing, SchemaOutdated or SchemaTooNew unless the schema is current."""
        match self.state:
            case "missing":
                raise errors.SchemaMissing(f"this database has no pgqueue schema named {self.schema!r}", hint=self.fix)
            case "outdated":
                raise errors.SchemaOutdated(
                    f"the schema {self.schema!r} is at revision {self.installed}, this pgqueue needs {self.expected}",
                    hint=self.fix,
                )
            case "too_new":
                raise errors.SchemaTooNew(
                    f"the schema {self.schema!r} is at revision {self.installed}, which this pgqueue does not know"
                    f" (it was made for {self.expected})",
                    hint=self.fix,
                )
            case "current":
                pass


def upgrade(
    target: str | psycopg.Connection[Any] | SqlAlchemyConnection, schema: str = DEFAULT_SCHEMA, revision: str = "head"
) -> Status:
    """Installs the schema or brings it up to `revision`; does nothing when it is there already. Returns what then
    holds.

    `target` is a libpq DSN or URL, a psycopg connection or an SQLAlchemy connection. An idle autocommit connection and
    a DSN get one transaction per revision. A connection that is in a transaction (or not in autocommit) gets everything
    in that transaction, and committing is yours: so pgqueue can be installed from a revision of your own migrations.
    Concurrent calls wait for one another under an advisory lock held by the session: connect directly, not through a
    transaction pooler.

    Raises InvalidArgument for a bad schema name or an unknown revision, SchemaTooNew when the database was made by a
    newer pgqueue, and psycopg.Error when the database refuses.
    """
    validate_schema(schema)
    _validate_revision(revision)
    found = _look(target, schema)
    if found.state == "too_new":
        found.require()
    if found.ok and revision == "head":
        return found

    from pgqueue import _migrate

    _migrate.upgrade(target, schema, revision)
    return _look(target, schema)


def downgrade(
    target: str | psycopg.Connection[Any] | SqlAlchemyConnection, schema: str = DEFAULT_SCHEMA, revision: str = "base"
) -> Status:
    """Takes the schema back to `revision`; back to "base" **every job and result in it is gone**. Returns what then
    holds.

    Removes what pgqueue made and nothing else: a schema that holds other objects stays, and so does a role that
    something else depends on (a warning says so). `target`, transactions and errors as for `upgrade`.
    """
    validate_schema(schema)
    _validate_revision(revision)
    found = _look(target, schema)
    if found.state == "missing":
        return found
    if found.state == "too_new":
        found.require()

    from pgqueue import _migrate

    _migrate.downgrade(target, schema, revision)
    return _look(target, schema)


def render_sql(from_: str = "base", to: str = "head", schema: str = DEFAULT_SCHEMA) -> str:
    """The SQL that takes an installation from one revision to another, either way, for `psql -v ON_ERROR_STOP=1 -f` or
    another migrator.

    Raises InvalidArgument for a bad schema name or a revision that does not exist.
    """
    validate_schema(schema)
    order = ("base", *revisions())
    start, end = (order[-1] if name == "head" else name for name in (from_, to))
    for name in (start, end):
        _validate_revision(name)
    if start == end:
        return f"-- schema {schema}: nothing to do from {from_} to {to}\n"

    from pgqueue import _migrate

    head = f"-- pgqueue schema {schema!r}, revision {start} to {end}. Apply with: psql -v ON_ERROR_STOP=1 -f FILE\n\n"
    return head + _migrate.offline(schema, start, end, down=order.index(end) < order.index(start))


def source_sql(schema: str = DEFAULT_SCHEMA) -> str:
    """The files of `sql/` as one script, in the order of installation: the newest state without its history."""
    parts = [f"-- source: sql/{file.name}\n{file.text.strip()}\n" for file in source_files()]
    return render("set local check_function_bodies = off;\n\n" + "\n".join(parts), schema)


def check(connection: psycopg.Connection[Any], schema: str = DEFAULT_SCHEMA) -> Status:
    """Compares what the database holds with what this library needs.

    Calls pgqueue.version(). Raises PermissionDenied when this role may not use the schema.
    """
    exists, version = _queries(schema)
    try:
        with connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(exists).fetchone()
            row = None if row is None or not row[0] else cursor.execute(version).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise _denied(schema, error) from error
    return _status(schema, row)


async def acheck(connection: psycopg.AsyncConnection[Any], schema: str = DEFAULT_SCHEMA) -> Status:
    """`check` on an asynchronous connection."""
    exists, version = _queries(schema)
    try:
        async with connection.cursor(row_factory=tuple_row) as cursor:
            row = await (await cursor.execute(exists)).fetchone()
            row = None if row is None or not row[0] else await (await cursor.execute(version)).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise _denied(schema, error) from error
    return _status(schema, row)


def require(connection: psycopg.Connection[Any], schema: str = DEFAULT_SCHEMA) -> None:
    """Raises SchemaMissing, SchemaOutdated or SchemaTooNew, each naming the command that mends it, unless the schema is
    current.
    """
    check(connection, schema).require()


async def arequire(connection: psycopg.AsyncConnection[Any], schema: str = DEFAULT_SCHEMA) -> None:
    """`require` on an asynchronous connection."""
    (await acheck(connection, schema)).require()


def _queries(schema: str) -> tuple[bytes, bytes]:
    validate_schema(schema)
    return f"select to_regprocedure('{schema}.version()') is not null".encode(), f"select {schema}.version()".encode()


def _status(schema: str, row: tuple[Any, ...] | None) -> Status:
    return Status(schema, row[0] if row is not None else None, revisions()[-1])


def _denied(schema: str, error: psycopg.Error) -> errors.PermissionDenied:
    return errors.PermissionDenied(
        f"this role may not use the schema {schema!r}",
        hint=f"Grant it {schema}_producer, {schema}_worker, {schema}_operator or {schema}_reader.",
        sqlstate=error.sqlstate,
    )


def _look(target: str | psycopg.Connection[Any] | SqlAlchemyConnection, schema: str) -> Status:
    if isinstance(target, str):
        with psycopg.connect(target, autocommit=True) as own:
            return check(own, schema)
    if isinstance(target, psycopg.Connection):
        return check(target, schema)
    idle = not target.in_transaction()
    exists, version = (query.decode() for query in _queries(schema))
    row = target.exec_driver_sql(exists).one()
    found = tuple(target.exec_driver_sql(version).one()) if row[0] else None
    if idle:
        target.rollback()  # looking has begun a transaction; whose it is to be is decided by what the caller had
    return _status(schema, found)


def _validate_revision(revision: str) -> None:
    known = ("base", *revisions(), "head")
    if revision not in known:
        raise errors.InvalidArgument(f"there is no revision {revision!r}", hint=f"Revisions are {', '.join(known)}.")
