"""Scripts: what can be run, in what kind of session, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.harness import until
from tests.worker.sqljobs import SqlJobs, worker

if TYPE_CHECKING:
    pass


def see(expression: str) -> str:
    return f"insert into seen (what) select ({expression})::text"


def seen(sql: SqlJobs) -> list[str]:
    return sql.values("select what from seen order by n")


@pytest.mark.parametrize(
    "text",
    [
        "vacuum seen",
        "create index concurrently on seen (n)",
        "do $$ begin insert into seen (what) values ('a'); commit; insert into seen (what) values ('b'); end $$",
        "begin; insert into seen (what) values ('a'); commit; insert into seen (what) values ('b')",
        "select 1; select 2; select 3",
        "select n, repeat('x', 100) from generate_series(1, 100000) n",
    ],
)
def test_what_can_be_run(text: str, sql: SqlJobs) -> None:
    report = sql.ended(sql.script(text))
    assert report["status"] == "succeeded", report


def test_the_session_of_each_query_is_clean(sql: SqlJobs) -> None:
    leaks = {
        "set work_mem = '1234kB'": "current_setting('work_mem') = '1234kB'",
        "set search_path = nowhere": "current_setting('search_path') = 'nowhere'",
        "create temp table mine ()": "to_regclass('pg_temp.mine') is not null",
        "select pg_advisory_lock(7)": "not pg_try_advisory_lock(7)",
        "prepare mine as select 1": "exists (select from pg_prepared_statements)",
        "begin; declare mine cursor with hold for select 1; commit": "exists (select from pg_cursors)",
        "begin; insert into seen (what) values ('open')": "exists (select from public.seen where what = 'open')",
        "set role pg_monitor": "current_user <> session_user",
    }
    document = [step for leak, question in leaks.items() for step in (leak, see(question))]
    report = sql.ended(sql.script(document))
    assert report["status"] == "succeeded", report
    assert seen(sql) == ["false"] * len(leaks)
    assert report["queries"][12]["notices"][0]["severity"] == "WARNING"


def test_the_next_query_does_not_meet_the_sessions_end(sql: SqlJobs) -> None:
    # closing alone would leave locks behind for as long as the server takes to notice
    document = ["select pg_advisory_lock(7); create temp table mine as select generate_series(1, 5000)"] * 20
    report = sql.ended(sql.script([{"query": text, "timeout": 2000} for text in document]))
    assert report["status"] == "succeeded", report


def test_role_and_settings(sql: SqlJobs) -> None:
    sql.run("drop role if exists sql_tenant; create role sql_tenant; grant insert on seen to sql_tenant; "
            "grant usage on sequence seen_n_seq to sql_tenant")  # fmt: skip
    settings = {"work_mem": "1MB", "my.word": "a \\ b'c", "enable_sort": False}
    document = [
        see("current_user"),
        see("current_setting('work_mem') || current_setting('my.word') || current_setting('enable_sort')"),
        "reset role; " + see("current_user"),
        see("current_setting('application_name')"),
        see("current_setting('client_connection_check_interval')"),
    ]
    id = sql.script(document, role="sql_tenant", settings=settings)
    report = sql.ended(id)
    refused = sql.ended(sql.script("select * from pg_authid", role="sql_tenant"))
    assert report["status"] == "succeeded", report
    assert seen(sql) == ["sql_tenant", "1MBa \\ b'coff", "sql_tenant", f"pgqueue script {id}", "200ms"]
    assert "permission denied" in refused["failed_reason"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"role": "no_such_role"}, 'role "no_such_role" does not exist'),
        ({"settings": {"work_mem": "much"}}, 'invalid value for parameter "work_mem": "much"'),
        ({"settings": {"no_such_setting": "1"}}, 'unrecognized configuration parameter "no_such_setting"'),
    ],
)
def test_a_session_that_cannot_be_had(options: dict[str, Any], reason: str, sql: SqlJobs) -> None:
    report = sql.ended(sql.script(["select 1", "select 2"], **options))
    assert (report["status"], report["failed_reason"]) == ("failed", reason)
    assert [query["status"] for query in report["queries"]] == ["failed", "skipped"]


def test_notices_are_kept_and_bounded(sql: SqlJobs) -> None:
    few = sql.ended(sql.script("do $$ begin raise warning 'careful' using detail = 'why', hint = 'how'; end $$"))
    many = sql.ended(sql.script("do $$ begin for i in 1..5000 loop raise notice 'no %', i; end loop; end $$"))
    assert few["queries"][0]["notices"] == [
        {"severity": "WARNING", "message": "careful", "detail": "why", "hint": "how", "sqlstate": "01000"}
    ]
    notices = many["queries"][0]["notices"]
    assert notices[0]["message"] == "no 1"
    assert notices[-1]["message"] == "4900 more notices were left out"
    assert len(notices) == 101


@pytest.mark.parametrize("text", ["copy seen from stdout", "copy seen to stdin", "select 1; copy seen from stdout"])
def test_copy_with_the_client_that_shows_itself_late(text: str, sql: SqlJobs) -> None:
    # the grammar takes stdin and stdout for each other
    report = sql.ended(sql.script(["insert into seen (what) values ('here')", text]))
    assert sql.ended(sql.script("select 1"))["status"] == "succeeded"
    assert "COPY could take rows from" in report["failed_reason"]


def test_a_text_that_left_its_transaction_open_is_undone(sql: SqlJobs) -> None:
    report = sql.ended(sql.script(["begin; insert into seen (what) values ('a')", see("'b'")]))
    assert report["status"] == "succeeded"
    assert seen(sql) == ["b"]
    assert "rolled back" in report["queries"][0]["notices"][0]["message"]


def test_rows_are_let_go(sql: SqlJobs) -> None:
    """A result that memory would not hold passes through; the worker is in this very process."""
    import resource

    sql.ended(sql.script("select 1"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = sql.ended(sql.script("select repeat('x', 100000) from generate_series(1, 5000)"), 60)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert report["status"] == "succeeded"
    assert grown < 100_000, f"{grown} kB for 500 MB of rows"


def test_turns_of_other_kinds_have_no_part_in_a_timeout_of_the_queue(own_sql: SqlJobs) -> None:
    # the core's timeout of jobs is not for SQL, which has limits of its own
    own_sql.run("select pgqueue.configure_queue('scripts', '{\"timeout\": 0.2}')")
    with worker(own_sql.dsn) as running:
        report = own_sql.ended(own_sql.script("select pg_sleep(0.6)"))
    assert report["status"] in ("succeeded", "failed")
    assert not running.seen("cancelling", why="timeout")


def test_a_job_that_says_it_is_a_script_and_is_none(sql: SqlJobs) -> None:
    with sql.connection.transaction():
        id = sql.script("select 1")
        sql.run(f"delete from pgqueue.script where job_id = {id}")
    until(lambda: sql.value("select state from pgqueue.job(%s)", id) == "failed", "it to fail for good")
