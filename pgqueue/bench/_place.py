"""Where a bench runs: a database that was given, with a copy of the schema of the bench's own, or a server for once."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pgqueue import schema as library
from pgqueue._sqlfiles import validate_schema
from pgqueue.bench import _limit
from pgqueue.bench._load import cores
from pgqueue.errors import InvalidArgument, PgQueueError

SCHEMA = "pgqueue_bench"
SERVER = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""The settings of a server for once; all else is PostgreSQL's default, durability included."""

_OURS = "made by pgqueue bench, which drops it at its end"
_SHOWN = ("shared_buffers", "max_wal_size", "synchronous_commit", "fsync")


@dataclass(frozen=True)
class Place:
    """A database with an empty copy of the schema and the limit's tables. `what` is for people: versions, settings."""

    dsn: str
    schema: str
    what: str


@contextmanager
def place(dsn: str | None, schema: str, *, force: bool, say: Callable[[str], None]) -> Iterator[Place]:
    """Install, and remove all of it at the end, whatever happened in between.

    With `force`, what an earlier bench left under these names goes first; what no bench made is never touched. Raises
    InvalidArgument when one of the names is taken, and what connecting, installing and starting a server raise.
    """
    validate_schema(schema)
    if dsn is None:
        with _server(say) as address, _installed(address, schema, force, "throw-away server on disk", say) as made:
            yield made
    else:
        with _installed(dsn, schema, force, "given database", say) as made:
            yield made


@contextmanager
def _server(say: Callable[[str], None]) -> Iterator[str]:
    from pgqueue.embedded import Instance

    # On disk, where a queue lives; /tmp is memory on many systems.
    parent = os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
    folder = Path(tempfile.mkdtemp(prefix="pgqueue-bench-", dir=parent))
    instance = Instance(folder, settings=SERVER, dies_with_caller=True)
    try:
        say(f"starting a PostgreSQL that lasts as long as this run, in {folder} …")
        instance.start()
        yield instance.dsn
    finally:
        instance.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _installed(dsn: str, schema: str, force: bool, what: str, say: Callable[[str], None]) -> Iterator[Place]:
    limit = f"{schema}_limit"
    with _connect(dsn) as connection:
        _clear(connection, schema, limit, force)
        say(f"installing schemas {schema} and {limit} …")
        # First, and with the mark: whatever happens from here on, what lies beside it is known to be ours.
        with connection.transaction():
            _run(connection, f"create schema {limit}")
            _run(connection, f"comment on schema {limit} is '{_OURS}'")
            _run(connection, _limit.install_sql(limit))
    try:
        library.upgrade(dsn, schema)
        with _connect(dsn) as connection:
            described = _describe(connection, what)
        yield Place(dsn, schema, described)
    finally:
        with _connect(dsn) as connection:
            _drop(connection, schema, limit)


def _clear(connection: psycopg.Connection[Any], schema: str, limit: str, force: bool) -> None:
    found = dict(
        connection.execute(
            "select nspname, coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace"
            " where nspname = any (%s)",
            ([schema, limit],),
        ).fetchall()
    )
    if not found:
        return
    names = " and ".join(found)
    if found.get(limit) != _OURS:
        raise InvalidArgument(
            f"this database has {names} already, and not from pgqueue bench", "Choose another name with --schema."
        )
    if not force:
        raise InvalidArgument(
            f"this database has {names} already",
            "Another bench runs here, or one was killed: --force drops what it left.",
        )
    _drop(connection, schema, limit)


def _drop(connection: psycopg.Connection[Any], schema: str, limit: str) -> None:
    _run(connection, "set lock_timeout = '30s'")
    try:
        # Refused for a copy that was left half made; then only the schema itself is there to go.
        with suppress(PgQueueError):
            library.downgrade(connection, schema, "base")
        _run(connection, f"drop schema if exists {schema} cascade")
        _run(connection, f"drop schema if exists {limit} cascade")
    except psycopg.errors.LockNotAvailable as error:
        raise PgQueueError(
            f"the schemas {schema} and {limit} are in use and could not be dropped",
            "Look for sessions named 'pgqueue bench' in pg_stat_activity, then run it again with --force.",
        ) from error


def _describe(connection: psycopg.Connection[Any], what: str) -> str:
    settings = ", ".join(
        f"{name} {value}"
        for name, value in connection.execute(
            "select n, current_setting(n) from unnest(%s::text[]) n", (list(_SHOWN),)
        ).fetchall()
    )
    version = connection.info.parameter_status("server_version")
    return (
        f"PostgreSQL {version}, {what}: {settings}; {cores()} cores here, Python {platform.python_version()},"
        f" psycopg {psycopg.__version__} ({psycopg.pq.__impl__})"
    )


def _connect(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, autocommit=True, application_name="pgqueue bench")


def _run(connection: psycopg.Connection[Any], sql: str) -> None:
    connection.execute(sql.encode())
