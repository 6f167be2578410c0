"""plpgsql_check: the type checker of SQL. It reads every branch of every function, also those that no test runs."""

from __future__ import annotations

import pytest

from tests.support.cluster import Database

CHECK = """
  select f.oid::regprocedure::text, c.lineno, c.level, c.message, c.detail, c.hint, c.query
  from pg_proc f join pg_language l on l.oid = f.prolang
    cross join plpgsql_check_function_tb(f.oid, extra_warnings => true, security_warnings => true) c
  where f.pronamespace = 'pgqueue'::regnamespace and l.lanname = 'plpgsql'
    -- the argument "unique" of submit_query: quoted, it is as good a name as any
    and c.message <> 'name of parameter "unique" is reserved keyword'
"""


def test_every_function(pg: Database) -> None:
    connection = pg.connect()
    if connection.execute("select from pg_available_extensions where name = 'plpgsql_check'").fetchone() is None:
        pytest.skip("this server has no extension plpgsql_check (Debian: postgresql-15-plpgsql-check)")
    connection.execute("create extension plpgsql_check")
    count = connection.execute(
        """select count(*) from pg_proc f join pg_language l on l.oid = f.prolang
           where f.pronamespace = 'pgqueue'::regnamespace and l.lanname = 'plpgsql'"""
    ).fetchone()
    assert count is not None
    assert count[0] > 20
    complaints = connection.execute(CHECK).fetchall()
    assert complaints == [], "\n".join(str(complaint) for complaint in complaints)


def test_functions_in_sql_have_valid_bodies(pg: Database) -> None:
    """They were created with check_function_bodies off, for the sake of forward references; created again they are
    checked.
    """
    connection = pg.connect()
    rows = connection.execute(
        """select pg_get_functiondef(f.oid) from pg_proc f join pg_language l on l.oid = f.prolang
           where f.pronamespace = 'pgqueue'::regnamespace and l.lanname = 'sql'"""
    ).fetchall()
    for (definition,) in rows:
        connection.execute(definition.encode())
