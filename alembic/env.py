"""Alembic's entry for pgqueue's revisions, online and offline.

`pgqueue.schema` runs it with a connection and a schema in the attributes of a Config built in code. An application's
own Alembic may point a second environment here as well: then the database comes from `-x dsn=…` or PGQUEUE_DSN, and the
schema from `-x schema=…`.
"""

from __future__ import annotations

import os
from typing import Any

import psycopg
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from pgqueue._migrate import LEAVE_SCHEMA, VERSION_TABLE, create_schema, execute_script, locked
from pgqueue._sqlfiles import DEFAULT_SCHEMA, render, validate_schema

config = context.config
arguments = context.get_x_argument(as_dictionary=True)
schema = validate_schema(config.attributes.setdefault("schema", arguments.get("schema", DEFAULT_SCHEMA)))
options: dict[str, Any] = {
    "version_table": VERSION_TABLE,
    "version_table_schema": schema,
    "transactional_ddl": True,
    "transaction_per_migration": True,
}


def offline() -> None:
    context.configure(dialect_name="postgresql", as_sql=True, **options)
    write = context.get_context().impl.static_output
    leave = config.attributes.get("leave", False)
    if not leave:
        write(create_schema(schema))
    with context.begin_transaction():
        context.run_migrations()
    if leave:
        write(render(LEAVE_SCHEMA, schema))


def online(connection: Connection, ours: bool) -> None:
    """`ours`: we may commit. Then every revision is a transaction of its own; else all is part of the caller's."""
    leave = config.attributes.get("leave", False)
    if not leave:
        execute_script(connection.connection, create_schema(schema), "sql/schema.sql")
    if ours:
        connection.commit()
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()
    if leave:
        connection.exec_driver_sql(render(LEAVE_SCHEMA, schema))
    if ours:
        connection.commit()


if context.is_offline_mode():
    offline()
elif "connection" in config.attributes:
    online(config.attributes["connection"], config.attributes["ours"])
else:
    dsn = arguments.get("dsn") or os.environ.get("PGQUEUE_DSN", "")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    with engine.connect() as own, locked(own, schema, ours=True):
        online(own, True)
