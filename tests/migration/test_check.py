"""What the library says about a schema that is missing, old, new or closed to it."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgqueue import errors, schema
from pgqueue._sqlfiles import revisions
from tests.support.cluster import Database, Server


def test_missing(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        status = schema.check(connection)
        assert (status.state, status.installed, status.expected, status.ok) == ("missing", None, revisions()[-1], False)
        with pytest.raises(errors.SchemaMissing, match="pgqueue schema upgrade") as caught:
            schema.require(connection)
        assert caught.value.hint == "Run: pgqueue schema upgrade"
        with pytest.raises(errors.SchemaMissing, match="pgqueue schema upgrade --schema other"):
            schema.require(connection, "other")


def test_current(pg: Database) -> None:
    status = schema.check(pg.connect())
    assert (status.state, status.ok, status.fix) == ("current", True, None)
    schema.require(pg.connect())


@pytest.mark.parametrize("revision", ["9999", "from_the_future"])
def test_too_new(pg: Database, revision: str) -> None:
    connection = pg.connect()
    connection.execute("update pgqueue.schema_version set version_num = %s", [revision])
    with pytest.raises(errors.SchemaTooNew, match="newer"):
        schema.require(connection)
    for change in (schema.upgrade, schema.downgrade):
        with pytest.raises(errors.SchemaTooNew):
            change(connection)
    assert connection.execute("select version_num from pgqueue.schema_version").fetchall() == [(revision,)]


def test_outdated(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "revisions", lambda: (*revisions(), "9999"))
    with pytest.raises(errors.SchemaOutdated, match="pgqueue schema upgrade"):
        schema.require(pg.connect())


def test_no_grant(pg: Database, server: Server) -> None:
    admin = pg.connect()
    admin.execute("create role stranger login")
    try:
        with pytest.raises(errors.PermissionDenied, match="pgqueue_producer") as caught:
            schema.require(pg.connect(user="stranger"))
        assert caught.value.sqlstate == "42501"
        admin.execute("grant pgqueue_producer to stranger")
        schema.require(pg.connect(user="stranger"))
    finally:
        admin.execute("drop owned by stranger; drop role stranger")


def test_asynchronous(pg: Database, empty_database: str) -> None:
    async def look(dsn: str) -> schema.Status:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            return await schema.acheck(connection)

    assert asyncio.run(look(pg.dsn)).ok
    assert asyncio.run(look(empty_database)).state == "missing"
