"""Queries: what is stored of a result, in which pieces, and while the query still runs."""

from __future__ import annotations

import json
import resource
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.harness import until
from tests.worker.sqljobs import SqlJobs, worker

if TYPE_CHECKING:
    pass

# Every character that COPY has a word for, and some it has none for.
SPECIAL = "a\\b\tc\nd\re\bf\vg\fh'i\"j\x01kü€"


def copied(sql: SqlJobs, statement: str) -> str:
    """What COPY itself writes."""
    with sql.connection.cursor().copy(f"copy ({statement}) to stdout".encode()) as rows:
        return b"".join(bytes(row) for row in rows).decode()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("select n, n::text, null, n / 3.0, now() > 'epoch' from generate_series(1, 10) n", "SELECT 10"),
        ("select 1 where false", "SELECT 0"),
        ("values (1, 'a'), (2, null)", "SELECT 2"),
        ("table pg_am order by oid", None),
        ("with n as (select 1 as a) select * from n; -- that is all", "SELECT 1"),
        ("insert into t values (7), (8) returning a, a + 1;", "INSERT 0 2"),
        ("update t set a = a + 1 returning a", "UPDATE 2"),
        ("/* a */ -- b\n (select a from t)", "SELECT 2"),
        ("delete from t returning *", "DELETE 2"),
    ],
)
def test_results_are_copys_lines(text: str, command: str | None, sql: SqlJobs) -> None:
    sql.run("create table t (a int); create table u (a int); insert into u values (1), (2)")
    if not text.startswith("insert"):
        sql.run("insert into t values (1), (2)")
    is_read = not text.startswith(("insert", "update", "delete"))
    id = sql.query(text)
    status = sql.done(id)
    assert status["state"] == "succeeded", status
    if is_read:
        assert sql.text(id) == copied(sql, text.partition(";")[0])
    if command is not None:
        assert status["command"] == command
    assert status["row_count"] == sql.text(id).count("\n")
    assert status["byte_count"] == len(sql.text(id).encode())


@pytest.mark.parametrize(
    ("text", "columns", "command"),
    [
        ("show server_version_num", ["server_version_num"], "SHOW"),
        ("explain select 1", ["QUERY PLAN"], "EXPLAIN"),
        ("call give(null)", ["given"], "CALL"),
        ("create table made as select 1 as a", [], "SELECT 1"),
        ("vacuum t", [], "VACUUM"),
        ("set work_mem = '1MB'", [], "SET"),
    ],
)
def test_statements_that_copy_does_not_take(text: str, columns: list[str], command: str, sql: SqlJobs) -> None:
    sql.run("create table t (a int)")
    sql.run(
        f"create procedure give(inout given text) language plpgsql as $$ begin given := {_literal(SPECIAL)}; end $$"
    )
    id = sql.query(text)
    status = sql.done(id)
    assert status["state"] == "succeeded", status
    assert [column["name"] for column in status["columns"]] == columns
    assert status["command"] == command
    if text.startswith("call"):
        assert sql.text(id) == copied(sql, f"select {_literal(SPECIAL)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_parameters_and_types(sql: SqlJobs) -> None:
    sql.run("create type mood as enum ('sad', 'glad'); create domain small as int check (value < 9)")
    text = (
        "select $1::text as a, $2::int as b, $3::mood as c, $4::char as d, $5::varchar(3) as e, "
        "$6::numeric(6, 2) as f, $7::int[] as g, $8::jsonb as h, $9::bit(3) as i, $10 as j, '$1' as k, "
        "null::small as l where $11"
    )
    params = [SPECIAL.replace("\x01", ""), 5, "glad", "xyz", "abcd", "3.14159", [1, 2], {"a": [1]}, "101", "last", True]
    id = sql.query(text, params=params)
    status = sql.done(id)
    assert status["state"] == "succeeded", status
    assert {column["name"]: column["type"] for column in status["columns"]} == {
        "a": "text", "b": "integer", "c": "mood", "d": "character(1)", "e": "character varying(3)",
        "f": "numeric(6,2)", "g": "integer[]", "h": "jsonb", "i": "bit(3)", "j": "text", "k": "text", "l": "integer",
    }  # fmt: skip
    (row,) = json.loads(sql.value("select data from pgqueue.query_batch(%s, 0)", id))
    assert row.pop("g") in ([1, 2], "{1,2}")
    assert row == {
        "a": params[0], "b": 5, "c": "glad", "d": "x", "e": "abc", "f": 3.14, "h": {"a": [1]}, "i": "101", "j": "last",
        "k": "$1", "l": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("select 1 frm x y", {}, {"sqlstate": "42601", "position": 14}),
        ("select nothing", {}, {"sqlstate": "42703", "position": 8}),
        ("select 1 / (n - 3) from generate_series(1, 5) n", {}, {"sqlstate": "22012", "message": "division by zero"}),
        ("select $1::int", {"params": ["x"]}, {"sqlstate": "22P02"}),
        ("select $1", {}, {"sqlstate": "PQ001"}),
        ("create table t ()", {"read_only": True}, {"sqlstate": "25006"}),
        (
            "with x as (insert into u values (1) returning 1) select * from x",
            {"read_only": True},
            {"sqlstate": "25006"},
        ),
        (
            "select set_config('transaction_read_only', 'off', false), nextval('s')",
            {"read_only": True},
            {"sqlstate": "25001"},
        ),
        ("select 1", {"role": "no_such_role"}, {"sqlstate": "22023"}),
    ],
)
def test_failures_say_why(text: str, options: dict[str, Any], error: dict[str, Any], sql: SqlJobs) -> None:
    sql.run("create table u (a int); create sequence s")
    status = sql.done(sql.query(text, **options))
    assert (status["state"], status["reason"]) == ("failed", "error")
    assert error.items() <= status["error"].items(), status["error"]


def test_how_results_are_written_does_not_depend_on_the_database(own_sql: SqlJobs) -> None:
    name = own_sql.value("select current_database()")
    for setting in ("datestyle = 'German'", "intervalstyle = 'iso_8601'", "bytea_output = 'escape'"):
        own_sql.run(f"alter database {name} set {setting}")
    text = "select date '2026-01-31', interval '1 day', bytea 'a', 0.1::float8 + 0.2"
    with worker(own_sql.dsn):
        plain, asked = own_sql.query(text), own_sql.query(text, settings={"DateStyle": "German"})
        own_sql.done(plain)
        own_sql.done(asked)
    assert own_sql.text(plain) == "2026-01-31\t1 day\t\\\\x61\t0.30000000000000004\n"
    assert own_sql.text(asked).startswith("31.01.2026\t")


def test_chunks_of_so_many_rows(sql: SqlJobs) -> None:
    id = sql.query("select n from generate_series(1, 2500) n", batch_rows=1000)
    status = sql.done(id)
    assert [sql.chunk(id, n)["row_count"] for n in range(status["batches"])] == [1000, 1000, 500]
    assert sql.text(id) == "".join(f"{n}\n" for n in range(1, 2501))


def test_chunks_by_size_and_rows_larger_than_any(sql: SqlJobs) -> None:
    sizes = [10, 5_000_000, 10, 300_000, 300_000, *[1000] * 5000, 9_000_000]
    id = sql.query("select repeat('x', s::int) from unnest($1::int[]) s", params=[sizes])
    status = sql.done(id, 60)
    as_told = sql.query("select repeat('x', s::int) from unnest($1::int[]) s", params=[sizes], batch_rows=10_000)
    by_rows = sql.done(as_told, 60)
    for done, query in ((status, id), (by_rows, as_told)):
        assert done["state"] == "succeeded", done
        chunks = [sql.chunk(query, n) for n in range(done["batches"])]
        lengths = [len(line) for chunk in chunks for line in chunk["data"].splitlines()]
        assert lengths == sizes
        for chunk in chunks:
            assert len(chunk["data"]) <= 4 * 1024 * 1024 or chunk["row_count"] == 1
    assert status["batches"] > 10


def test_rows_can_be_read_while_more_come(sql: SqlJobs) -> None:
    """As soon as the server has sent them, that is: it sends 8 kB at a time."""
    row = "select n, repeat('x', 10000), pg_sleep(case when n > 3 then 60 else 0 end) from generate_series(1, 5) n"
    id = sql.query(row)
    until(lambda: sql.chunk(id, 0)["data"], "the first chunk")
    assert [line[:3] for line in sql.chunk(id, 0)["data"].splitlines()][:2] == ["1\tx", "2\tx"]
    assert sql.status(id)["state"] == "running"
    sql.value("select pgqueue.cancel_query(%s)", id)
    sql.done(id)


@pytest.mark.parametrize(("options", "hint"), [({"max_rows": 1000}, "max_rows"), ({"max_bytes": 100_000}, "max_bytes")])
def test_results_too_large_fail_loudly(options: dict[str, int], hint: str, sql: SqlJobs) -> None:
    id = sql.query("select generate_series(1, 100000000), repeat('x', 100)", **options)
    status = sql.done(id)
    just = sql.done(sql.query("select n from generate_series(1, 1000) n", max_rows=1000))
    until(lambda: not sql.sessions(f"pgqueue query {id}"), "its session to be gone")
    assert (status["state"], status["error"]["sqlstate"]) == ("failed", "PQ007")
    assert status["error"]["type"] == "ResultTooLarge"
    assert hint in status["error"]["hint"]
    assert just["state"] == "succeeded"


def test_a_store_that_is_slow_holds_the_query_up(own_sql: SqlJobs) -> None:
    """The worker, in this very process, has two chunks in hand and no more, while the store takes none."""
    with worker(own_sql.dsn, lock_timeout=60, statement_timeout=60):
        own_sql.done(own_sql.query("select 1"))
        holder = own_sql.connect(autocommit=False)
        holder.execute("lock pgqueue.query_chunk in access exclusive mode")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        id = own_sql.query("select n, repeat('x', 1000) from generate_series(1, 200000) n")
        waits = "select count(*) > 0 from pg_stat_activity where application_name = %s and wait_event = 'ClientWrite'"
        until(lambda: own_sql.value(waits, f"pgqueue query {id}"), "the query to be held up")
        held_up = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        holder.rollback()
        status = own_sql.done(id, 60)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (status["state"], status["row_count"]) == ("succeeded", 200_000)
    assert held_up < 30_000, f"{held_up} kB"
    assert grown < 60_000, f"{grown} kB for 200 MB of rows"


def test_notices_of_queries_are_kept(sql: SqlJobs) -> None:
    sql.run("create function f() returns int language plpgsql as $$ begin raise notice 'here'; return 1; end $$")
    status = sql.done(sql.query("select f()"))
    assert [notice["message"] for notice in status["notices"]] == ["here"]
