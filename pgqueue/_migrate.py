"""Running Alembic on pgqueue's own revisions. Imported only while migrating: Alembic and SQLAlchemy cost 0.7 s at
import.

Three kinds of target, one way through: a DSN (we connect), the caller's psycopg connection, the caller's SQLAlchemy
connection. A connection that is in a transaction, or would open one by itself, keeps it: we neither commit nor roll
back what is the caller's.
"""

from __future__ import annotations

import io
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from alembic import command, context, op
from alembic.config import Config
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import StaticPool

from pgqueue._sqlfiles import render, resource

logger = logging.getLogger("pgqueue.schema")

# Alembic keeps the migration under way in module globals: one a process. Always taken after the lock in the database.
_one_at_a_time = threading.Lock()

Target = str | psycopg.Connection[Any] | Connection

# Read by env.py: one row per installation, in the schema itself, so that several installations and the application's
# own Alembic never meet.
VERSION_TABLE = "schema_version"

# The last step of a way back to base: Alembic has emptied its table by then, or dropped it (older ones, offline).
# Whatever the schema holds beside it is not ours, and stays.
LEAVE_SCHEMA = """\
do $$
begin
  if to_regclass('pgqueue.schema_version') is not null then
    if exists (select from pgqueue.schema_version) then
      return;
    end if;
    drop table pgqueue.schema_version;
  end if;
  drop schema if exists pgqueue;
exception
  when dependent_objects_still_exist then
    drop table if exists pgqueue.schema_version;
    raise warning 'schema pgqueue is kept: it holds objects that pgqueue did not make';
  when insufficient_privilege then
    drop table if exists pgqueue.schema_version;
    raise warning 'schema pgqueue is kept: it belongs to another role';
end $$;"""


class _Borrowed:
    """A psycopg connection whose transaction belongs to somebody else: SQLAlchemy may use it, but not end its
    transaction or its life.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self, *args: Any, **kwargs: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        cursor: psycopg.Cursor[tuple[Any, ...]] = self._connection.cursor(*args, **{**kwargs, "row_factory": tuple_row})
        return cursor

    def add_notice_handler(self, handler: object) -> None:
        """SQLAlchemy adds its own on connect; the caller's connection must not keep it."""

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class _Lent(_Borrowed):
    """An idle psycopg connection: its transactions are ours for the time, its life is not."""

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


def upgrade(target: Target, schema: str, revision: str) -> None:
    """Brings the installation `schema` up to `revision`, under a lock that makes concurrent callers wait for one
    another.
    """
    with _connected(target) as (connection, ours):
        _migrate(connection, ours, schema, lambda config: command.upgrade(config, revision))


def downgrade(target: Target, schema: str, revision: str) -> None:
    """Takes the installation back to `revision`; back to base nothing of it is left."""
    with _connected(target) as (connection, ours):
        _migrate(connection, ours, schema, lambda config: command.downgrade(config, revision), leave=revision == "base")


def offline(schema: str, start: str, end: str, *, down: bool) -> str:
    """The SQL of the same steps as text, complete for psql."""
    out = io.StringIO()
    config = _config(schema, leave=down and end == "base", output_buffer=out)
    with _one_at_a_time, _outer_migration_kept():
        (command.downgrade if down else command.upgrade)(config, f"{start}:{end}", sql=True)
    return out.getvalue()


@contextmanager
def locked(connection: Connection, schema: str, ours: bool) -> Iterator[None]:
    """Holds the advisory lock under which an installation is migrated: for the block, or until the caller's transaction
    ends.
    """
    key = f"hashtextextended('pgqueue schema {schema}', 0)"
    connection.exec_driver_sql(f"select pg_advisory{'' if ours else '_xact'}_lock({key})")
    try:
        if ours:
            connection.commit()
        yield
    finally:
        if ours and not connection.invalidated:
            connection.rollback()
            connection.exec_driver_sql(f"select pg_advisory_unlock({key})")
            connection.commit()


def create_schema(schema: str) -> str:
    """SQL that makes the schema if it is missing: Alembic's own table needs it before the first revision runs."""
    text = (resource("sql") / "schema.sql").read_text(encoding="utf-8")
    without_essay = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    return render(without_essay.strip(), schema)


def run_frozen(revision_file: str, suffix: str) -> None:
    """Called by a revision: runs the frozen SQL beside it (`0001_initial.sql` for `0001_initial.py`), rendered for this
    installation.

    It goes to the driver as it is. Alembic's `op.execute` would read `:name` in a body as a parameter and choke on `%`.
    """
    path = Path(revision_file).with_suffix(suffix)
    migration = op.get_context()
    config = migration.config
    assert config is not None
    sql = render(path.read_text(encoding="utf-8"), config.attributes["schema"])
    if migration.as_sql:
        migration.impl.static_output(sql)
    else:
        execute_script(op.get_bind().connection, sql, path.name)


def execute_script(connection: Any, sql: str, name: str) -> None:
    """Runs a script of many statements in one round trip; an error says in which line, and in which source file, it
    arose.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
        except psycopg.Error as error:
            position = error.diag.statement_position
            if position is not None:
                before = sql[: int(position)]
                sources = re.findall(r"^-- source: (.+)$", before, re.MULTILINE)
                error.add_note(f"{name}, line {before.count(chr(10)) + 1}" + (f" ({sources[-1]})" if sources else ""))
            raise


def _config(schema: str, *, leave: bool, **kwargs: Any) -> Config:
    config = Config(stdout=io.StringIO(), **kwargs)
    config.set_main_option("script_location", str(resource("alembic")).replace("%", "%%"))
    config.attributes.update(schema=schema, leave=leave)
    return config


def _migrate(
    connection: Connection, ours: bool, schema: str, step: Callable[[Config], None], *, leave: bool = False
) -> None:
    config = _config(schema, leave=leave)
    config.attributes["connection"] = connection
    config.attributes["ours"] = ours
    with locked(connection, schema, ours), _one_at_a_time, _outer_migration_kept():
        step(config)


@contextmanager
def _outer_migration_kept() -> Iterator[None]:
    """Called from a revision or env.py of the application's own Alembic, ours would leave it without its `op` and
    `context`: Alembic keeps the migration under way in those modules and clears them at the end of any.
    """
    outer = [proxy for module in (op, context) if (proxy := vars(module).get("_proxy")) is not None]
    try:
        yield
    finally:
        for proxy in outer:
            proxy._install_proxy()


@contextmanager
def _connected(target: Target) -> Iterator[tuple[Connection, bool]]:
    """An SQLAlchemy connection to the target, and whether its transactions are ours to end."""
    if isinstance(target, Connection):
        yield target, not target.in_transaction()
    elif isinstance(target, psycopg.Connection):
        idle = target.autocommit and target.info.transaction_status == TransactionStatus.IDLE
        if not idle:
            with _wrapped(_Borrowed(target)) as connection:
                yield connection, False
            return
        target.autocommit = False
        try:
            with _wrapped(_Lent(target)) as connection:
                yield connection, True
        finally:
            if not target.closed:
                target.rollback()
                target.autocommit = True
    else:
        with psycopg.connect(target, fallback_application_name="pgqueue schema") as own:
            own.add_notice_handler(_log_notice)
            with _wrapped(_Lent(own)) as connection:
                yield connection, True


@contextmanager
def _wrapped(dbapi_connection: _Borrowed) -> Iterator[Connection]:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: dbapi_connection, poolclass=StaticPool, use_native_hstore=False
    )
    with engine.connect() as connection:
        yield connection


def _log_notice(diagnostic: psycopg.errors.Diagnostic) -> None:
    level = logging.WARNING if diagnostic.severity_nonlocalized == "WARNING" else logging.INFO
    logger.log(level, "%s", diagnostic.message_primary)
