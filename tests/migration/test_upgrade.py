"""Upgrading: at once from several sides, inside the caller's transaction, with few privileges."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row

from pgqueue import schema
from pgqueue._sqlfiles import revisions
from pgqueue.errors import InvalidArgument
from tests.support.cluster import Database, Server

LOCKS = """
  select count(*) from pg_locks l join pg_database d on d.oid = l.database
  where l.locktype = 'advisory' and d.datname = current_database()"""


def test_three_at_once(empty_database: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert [status.ok for status in pool.map(schema.upgrade, [empty_database] * 3)] == [True, True, True]
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select version_num from pgqueue.schema_version").fetchall() == [(revisions()[-1],)]


def test_three_processes_at_once(empty_database: str) -> None:
    code = "import sys; from pgqueue import schema; sys.exit(not schema.upgrade(sys.argv[1]).ok)"
    started = [subprocess.Popen([sys.executable, "-c", code, empty_database]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]


def test_different_databases_at_once(server: Server) -> None:
    """Roles belong to the cluster, and the lock to a database: the second comer finds roles that it did not see when it
    looked.
    """
    names = [server.create_database(template=None) for _ in range(3)]
    try:
        with ThreadPoolExecutor(3) as pool:
            assert all(status.ok for status in pool.map(lambda name: schema.upgrade(server.dsn(name), "rushed"), names))
    finally:
        for name in names:
            schema.downgrade(server.dsn(name), "rushed")
            server.drop_database(name)


def test_an_upgrade_that_is_not_needed_does_not_import_alembic(pg: Database) -> None:
    code = "import sys; from pgqueue import schema; schema.upgrade(sys.argv[1]); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, pg.dsn], check=False).returncode == 0


def test_an_idle_autocommit_connection_is_lent(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database, autocommit=True, row_factory=dict_row) as connection,
        psycopg.connect(empty_database) as other,
    ):
        assert schema.upgrade(connection).ok
        assert schema.check(other).ok
        assert connection.autocommit
        assert connection.row_factory is dict_row
        assert other.execute(LOCKS).fetchone() == (0,)


def test_inside_the_callers_transaction(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database, row_factory=dict_row) as connection,
        psycopg.connect(empty_database, autocommit=True) as other,
    ):
        connection.execute("create table mine (a int)")
        assert schema.upgrade(connection).ok
        assert not schema.check(other).ok
        connection.rollback()
        assert other.execute("select to_regnamespace('pgqueue'), to_regclass('mine')").fetchone() == (None, None)
        assert other.execute(LOCKS).fetchone() == (0,)

        connection.execute("create table mine (a int)")
        schema.upgrade(connection)
        connection.commit()
        assert schema.check(other).ok

        schema.downgrade(connection)
        assert other.execute("select to_regclass('pgqueue.job') is not null").fetchone() == (True,)
        connection.rollback()
        assert schema.check(other).ok
        schema.downgrade(connection)
        connection.commit()
        assert schema.check(other).state == "missing"


def test_inside_a_savepoint(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection, connection.transaction():
        with connection.transaction(force_rollback=True):
            assert schema.upgrade(connection).ok
        assert schema.check(connection).state == "missing"


def test_on_an_sqlalchemy_connection(empty_database: str) -> None:
    engine = sqlalchemy.create_engine(empty_database.replace("postgresql:", "postgresql+psycopg:"))
    with psycopg.connect(empty_database, autocommit=True) as other:
        with engine.begin() as connection:
            connection.exec_driver_sql("create table mine (a int)")
            assert schema.upgrade(connection).ok
            connection.rollback()
        assert other.execute("select to_regnamespace('pgqueue'), to_regclass('mine')").fetchone() == (None, None)
        with engine.begin() as connection:
            assert schema.upgrade(connection).ok
        assert schema.check(other).ok
        with engine.connect() as connection:  # idle: its transactions are lent
            assert schema.downgrade(connection).state == "missing"
            assert not connection.in_transaction()
        assert schema.check(other).state == "missing"
    engine.dispose()


def test_a_failed_upgrade_leaves_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("create schema pgqueue; create table pgqueue.outcome ()")
        with pytest.raises(psycopg.errors.DuplicateTable):
            schema.upgrade(empty_database)
        tables = connection.execute(
            "select relname from pg_class where relnamespace = 'pgqueue'::regnamespace and relkind = 'r'"
        ).fetchall()
        assert {name for (name,) in tables} <= {"outcome", "schema_version"}
        assert schema.check(connection).state == "missing"
        assert connection.execute(LOCKS).fetchone() == (0,)


def test_an_installer_with_few_privileges(server: Server, empty_database: str) -> None:
    """A schema made by a DBA, an installer that may not create roles or schemas: functions work for the installer, and
    nothing else is asked.
    """
    name = empty_database.rpartition("/")[2]
    with psycopg.connect(empty_database, autocommit=True) as dba:
        dba.execute("create role modest login")
        try:
            dba.execute("create schema confined authorization modest")
            with psycopg.connect(server.dsn(name, "modest"), autocommit=True) as connection:
                assert schema.upgrade(connection, "confined").ok
                assert connection.execute("select created from confined.enqueue(kind => 'k')").fetchone() == (True,)
                assert schema.downgrade(connection, "confined").state == "missing"
        finally:
            dba.execute("drop owned by modest")
            dba.execute("drop role modest")


def test_a_schema_that_belongs_to_another(server: Server, empty_database: str) -> None:
    """Usage and create are enough."""
    name = empty_database.rpartition("/")[2]
    with psycopg.connect(empty_database, autocommit=True) as dba:
        dba.execute("create role guest login")
        try:
            dba.execute("create schema lent; grant usage, create on schema lent to guest")
            with psycopg.connect(server.dsn(name, "guest"), autocommit=True) as connection:
                assert schema.upgrade(connection, "lent").ok
                assert schema.downgrade(connection, "lent").state == "missing"
            assert dba.execute("select to_regnamespace('lent') is not null").fetchone() == (True,)
        finally:
            dba.execute("drop owned by guest")
            dba.execute("drop role guest")


def test_unknown_revisions_are_refused(empty_database: str) -> None:
    with pytest.raises(InvalidArgument, match="no revision"):
        schema.upgrade(empty_database, revision="0000")
    with pytest.raises(InvalidArgument, match="no revision"):
        schema.downgrade(empty_database, revision="0000")
    assert schema.downgrade(empty_database).state == "missing"
