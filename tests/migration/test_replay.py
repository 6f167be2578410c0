"""Replaying the revisions gives what sql/ says, the way down leaves nothing, and the comparison sees what it should
see.
"""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from pgqueue import _migrate, schema
from pgqueue._sqlfiles import revisions, source_files
from tests.support.cluster import Database, Server, fresh_database
from tests.support.tools import ROOT, catalogue


def applied_fresh(server: Server) -> dict[str, str]:
    with fresh_database(server, template=None) as database:
        connection = database.connect()
        with connection.transaction():
            _migrate.execute_script(connection, schema.source_sql(), "sql/")
        return catalogue.snapshot(connection)


def test_replay_equals_source(pg: Database, server: Server) -> None:
    assert catalogue.differences(catalogue.snapshot(pg.connect()), applied_fresh(server)) == {}


def test_freeze_check_is_green(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "alembic/freeze.py", "--check", "--dsn", server.dsn()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_up_down_up(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        before = everything(connection)
        assert schema.upgrade(empty_database).ok
        first = catalogue.snapshot(connection)
        assert schema.downgrade(empty_database).state == "missing"
        assert everything(connection) == before
        assert schema.upgrade(empty_database).ok
        assert catalogue.snapshot(connection) == first


def everything(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """Every schema, relation, type and routine of the database that is not the server's own."""
    return connection.execute(
        """select 'schema', nspname, '' from pg_namespace where nspname !~ '^pg_'
           union all
           select 'relation', n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname !~ '^pg_'
           union all
           select 'type', n.nspname, t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace
           where n.nspname !~ '^pg_'
           union all
           select 'routine', n.nspname, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
           where n.nspname !~ '^pg_'
           order by 1, 2, 3"""
    ).fetchall()


def test_nothing_is_made_outside_the_schema(pg: Database, empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        before = everything(connection)
    assert [
        row
        for row in everything(pg.connect())
        if row not in before and row[1] != "pgqueue" and row != ("schema", "pgqueue", "")
    ] == []


def test_the_way_down_spares_what_is_not_ours(pg: Database) -> None:
    connection = pg.connect()
    connection.execute("create table pgqueue.mine (a int)")
    assert schema.downgrade(connection).state == "missing"
    assert connection.execute(
        "select relname from pg_class where relnamespace = 'pgqueue'::regnamespace"
    ).fetchall() == [("mine",)]


def test_the_way_down_drops_roles_nobody_else_needs(empty_database: str) -> None:
    roles = "select count(*) from pg_roles where rolname like 'lonely\\_%'"
    with psycopg.connect(empty_database, autocommit=True) as connection:
        schema.upgrade(connection, "lonely")
        assert connection.execute(roles).fetchone() == (4,)
        connection.execute("create table kept (); grant select on kept to lonely_reader")
        schema.downgrade(connection, "lonely")
        assert connection.execute("select rolname from pg_roles where rolname like 'lonely\\_%'").fetchall() == [
            ("lonely_reader",)
        ]
        connection.execute("drop table kept; drop role lonely_reader")


def test_the_list_of_revisions_is_alembics_own() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == revisions()


def test_every_function_has_its_file(pg: Database) -> None:
    """One function, one file, file name = function name."""
    found = (
        pg.connect()
        .execute("select proname from pg_proc where pronamespace = 'pgqueue'::regnamespace order by 1")
        .fetchall()
    )
    names = [
        file.name.rpartition("/")[2].removesuffix(".sql")
        for file in source_files()
        if file.name.startswith("functions/")
    ]
    assert [name for (name,) in found] == sorted(names)


@pytest.mark.parametrize(
    ("change", "objects"),
    [
        ("alter table pgqueue.config add column new int", ["column config.new", "rows of config"]),
        ("alter table pgqueue.config alter column retention set default '1 day'", ["column config.retention"]),
        ("alter table pgqueue.config add constraint c check (max_crashes > 0)", ["constraint c on config"]),
        ("alter table pgqueue.ready set (fillfactor = 42)", ["table ready"]),
        ("create index extra on pgqueue.ready (job_id)", ["index extra on ready"]),
        ("alter type pgqueue.final_state add value 'lost'", ["enum final_state"]),
        ("alter sequence pgqueue.job_id cache 7", ["sequence job_id"]),
        ("comment on function pgqueue.version is 'x'", ["comment on function pgqueue.version()"]),
        ("grant execute on function pgqueue.version to public", ["acl of routine version()"]),
        ("grant select on pgqueue.config to pgqueue_reader", ["acl of relation config"]),
        ("grant create on schema pgqueue to pgqueue_reader", ["acl of the schema"]),
        ("alter function pgqueue.version volatile cost 7", ["function version()"]),
        ("update pgqueue.config set max_crashes = 9", ["rows of config"]),
    ],
)
def test_the_comparison_sees(pg: Database, change: str, objects: list[str]) -> None:
    connection = pg.connect()
    before = catalogue.snapshot(connection)
    connection.execute(change.encode())
    assert list(catalogue.differences(before, catalogue.snapshot(connection))) == objects
