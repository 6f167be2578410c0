"""Data sources: where jobs of SQL run when they name a database, and what workers tell of their connection strings."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pgqueue import App
from pgqueue.errors import InvalidArgument
from pgqueue.worker import Worker
from pgqueue.worker.sql import Sources
from pgqueue.worker.sql.failures import SqlFailure
from tests.support.cluster import Server, fresh_database
from tests.worker.sqljobs import SqlJobs, worker

if TYPE_CHECKING:
    from tests.support.cluster import Database

SECRET = "gf7-secret"


@pytest.fixture
def elsewhere(server: Server) -> Iterator[Database]:
    with fresh_database(server, template=None) as database:
        yield database


def test_in_another_database(own_sql: SqlJobs, elsewhere: Database) -> None:
    with worker(own_sql.dsn, datasources={"dwh": elsewhere.dsn}):
        report = own_sql.ended(own_sql.script("create table made_here as select 1 as a", datasource="dwh"))
        id = own_sql.query("select current_database(), a from made_here", datasource="dwh")
        status = own_sql.done(id)
    assert report["status"] == "succeeded", report
    assert status["state"] == "succeeded", status
    assert own_sql.text(id) == f"{elsewhere.name}\t1\n"


def test_a_name_nobody_knows(own_sql: SqlJobs) -> None:
    with worker(own_sql.dsn, App(datasources={"b": "", "a": ""})):
        document = [{"query": "select 1", "onerror": "select 2"}, "select 3"]
        report = own_sql.ended(own_sql.script(document, datasource="nowhere"))
        status = own_sql.done(own_sql.query("select 1", datasource="nowhere"))
    assert report["failed_reason"] == "this worker has no data source 'nowhere'; it has: a, b"
    assert [query["status"] for query in report["queries"]] == ["failed", "skipped"]
    assert report["queries"][0]["fallback_status"] == "failed"
    assert (status["state"], status["error"]["type"]) == ("failed", "UnknownDataSource")


def test_a_server_that_is_not_there(own_sql: SqlJobs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    dsn = f"postgresql://ada:{SECRET}@127.0.0.1:{port}/x"
    with worker(own_sql.dsn, datasources={"gone": dsn}):
        status = own_sql.done(own_sql.query("select 1", datasource="gone"))
    assert (status["state"], status["error"]["sqlstate"]) == ("failed", "08001")
    assert str(port) in status["error"]["message"]
    assert SECRET not in str(status)


def test_where_they_are_looked_for() -> None:
    sources = Sources(
        "dbname=own",
        {"a": "dbname=given"},
        {"PGQUEUE_DATASOURCE_A": "dbname=env", "pgqueue_datasource_b_1": "dbname=env", "PGQUEUE_DATASOURCE_E": ""},
        {"a": "dbname=app", "b-1": "dbname=app", "c": "dbname=app"},
    )
    assert sources.find(None) == "dbname=own"
    assert sources.find("a") == "dbname=given"
    assert sources.find("b-1") == sources.find("B_1") == "dbname=env"
    assert sources.find("c") == "dbname=app"
    with pytest.raises(SqlFailure, match="it has: a, b-1, b_1, c"):
        sources.find("C")


def test_of_the_environment(own_sql: SqlJobs, elsewhere: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQUEUE_DATASOURCE_DWH", elsewhere.dsn)
    with worker(own_sql.dsn):
        id = own_sql.query("select current_database()", datasource="Dwh")
        own_sql.done(id)
    assert own_sql.text(id) == f"{elsewhere.name}\n"


@pytest.mark.parametrize("dsn", [f"postgresql//ada:{SECRET}@host/db", f"host=x password={SECRET} nonsense"])
def test_what_is_no_connection_string_is_not_shown(dsn: str, pg: Database) -> None:
    with pytest.raises(InvalidArgument, match="'dwh' is no connection string") as caught:
        Worker(App(), dsn=pg.dsn, datasources={"dwh": dsn})
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_connection_strings_are_told_to_nobody(
    own_sql: SqlJobs, elsewhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    dsn = f"{elsewhere.dsn}?options=-c%20my.secret%3D{SECRET}"
    with caplog.at_level(logging.DEBUG, "pgqueue"), worker(own_sql.dsn, datasources={"dwh": dsn}) as running:
        id = own_sql.query("select current_setting('my.secret')", datasource="dwh")
        assert own_sql.done(id)["state"] == "succeeded"
        own_sql.done(own_sql.query("select 1 / 0", datasource="dwh"))
        assert SECRET not in repr(running.worker.settings)
    assert SECRET not in caplog.text
    told = own_sql.value("select coalesce(jsonb_agg(to_jsonb(j)), '[]') from pgqueue.job j")
    assert SECRET not in str(told)
