"""Cancelling SQL at every moment, and what happens when somebody else ends its statement."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.worker.harness import until
from tests.worker.sqljobs import SqlJobs, worker

if TYPE_CHECKING:
    pass

STUBBORN = "do $$ begin loop begin perform pg_sleep(9); exception when query_canceled then null; end; end loop; end $$"


def cancelled(sql: SqlJobs, id: int) -> dict[str, Any]:
    """Cancels the script; returns its report when its session is gone and its job final."""
    report = sql.value("select pgqueue.cancel_script(%s)", id)
    until(lambda: sql.value("select state from pgqueue.job(%s)", id) == "cancelled", "the job to be cancelled")
    until(lambda: not sql.sessions(f"pgqueue script {id}"), "its session to be gone")
    return dict(report)


@pytest.mark.parametrize("text", ["select pg_sleep(60)", "begin; select 1; select pg_sleep(60); commit", STUBBORN])
def test_while_it_runs(text: str, own_sql: SqlJobs) -> None:
    with worker(own_sql.dsn, heartbeat_interval=600):
        id = own_sql.script(
            [f"insert into seen (what) values ('a'); {text}" if "begin" not in text else text, "select 2"]
        )
        own_sql.running(id)
        report = cancelled(own_sql, id)
        assert report["status"] == "cancelled"
        assert report["queries"] == own_sql.report(id)["queries"]
        assert [query["status"] for query in own_sql.report(id)["queries"]] == ["cancelled", "skipped"]
        assert own_sql.values("select what from seen") == []
        assert own_sql.ended(own_sql.script("select 1"))["status"] == "succeeded"


def test_while_it_waits_for_a_lock(sql: SqlJobs) -> None:
    holder = sql.connect(autocommit=False)
    holder.execute("lock seen")
    id = sql.script("insert into seen (what) values ('a')")
    sql.running(id)
    cancelled(sql, id)
    holder.rollback()
    assert sql.values("select what from seen") == []


@pytest.mark.parametrize("key", ["onsuccess", "onerror"])
def test_in_a_fallback(key: str, sql: SqlJobs) -> None:
    first = "select 1" if key == "onsuccess" else "select 1/0"
    id = sql.script({"query": [{"query": first, key: "select pg_sleep(60)"}, "select 2"], key: "select 3"})
    sql.running(id, key="fallback_status")
    cancelled(sql, id)
    report = sql.report(id)
    assert (report["status"], report["fallback_status"]) == ("cancelled", "skipped")
    assert report["queries"][0]["fallback_status"] == "cancelled"
    assert report["queries"][1]["status"] == "skipped"


def test_in_the_scripts_own_fallback(sql: SqlJobs) -> None:
    id = sql.script({"query": ["select 1"], "onsuccess": "select pg_sleep(60)"})
    until(lambda: sql.report(id)["fallback_status"] == "running", "the fallback to run")
    sql.active(f"pgqueue script {id}")
    sql.value("select pgqueue.cancel_script(%s)", id)
    until(lambda: not sql.sessions(f"pgqueue script {id}"), "its session to be gone")
    report = sql.report(id)
    assert (report["status"], report["fallback_status"]) == ("succeeded", "cancelled")


def test_while_it_connects(own_sql: SqlJobs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        dsn = f"host=127.0.0.1 port={deaf.getsockname()[1]} user=x dbname=x connect_timeout=60"
        with worker(own_sql.dsn, datasources={"deaf": dsn}) as running:
            id = own_sql.script("select 1", datasource="deaf")
            running.wait("job_started", job_id=id)
            deaf.accept()
            cancelled(own_sql, id)
    assert own_sql.report(id)["status"] == "cancelled"


def test_at_any_time(own_sql: SqlJobs) -> None:
    """At moments spread over the life of a script; whatever comes of each, it is what the report says, for good."""
    moments = 24
    with worker(own_sql.dsn, concurrency=4):
        for moment in range(moments):
            mark = f"at {moment}"
            id = own_sql.script([f"insert into seen (what) values ('{mark}')"] * 2)
            until(lambda at=moment, of=id: _steps(own_sql, of) >= at % 6, f"script {id} to go on", 5)
            try:
                own_sql.value("select pgqueue.cancel_script(%s)", id)
                expected = "cancelled"
            except psycopg.Error as error:
                expected = str(error).split()[4]  # Cannot set status from succeeded to cancelled
            assert own_sql.report(id)["status"] == expected
            until(lambda of=id: not own_sql.sessions(f"pgqueue script {of}"), "its session to be gone")
            report = own_sql.report(id)
            count = own_sql.value("select count(*) from seen where what = %s", mark)
            done = sum(query["status"] == "succeeded" for query in report["queries"])
            # the effects of a query that was cancelled in the instant of its commit stay
            assert done <= count <= done + (report["status"] == "cancelled"), (report, count)
            until(
                lambda of=id, to=expected: own_sql.value("select state from pgqueue.job(%s)", of) == to,
                "the job to end",
            )


def _steps(sql: SqlJobs, id: int) -> int:
    """How far a script of two queries is: 0 to 5."""
    statuses = [query["status"] for query in sql.report(id)["queries"]]
    return sum({"queued": 0, "running": 1, "succeeded": 2}.get(status, 0) for status in statuses) + (
        sql.report(id)["status"] == "succeeded"
    )


def test_a_query(sql: SqlJobs) -> None:
    for text in ("select pg_sleep(60)", "select n, pg_sleep(0.01) from generate_series(1, 100000) n"):
        id = sql.query(text)
        sql.active(f"pgqueue query {id}")
        assert sql.value("select state from pgqueue.cancel_query(%s)", id) in ("running", "cancelled")
        assert sql.done(id)["state"] == "cancelled"
        until(lambda of=id: not sql.sessions(f"pgqueue query {of}"), "its session to be gone")
    assert sql.done(sql.query("select 1"))["state"] == "succeeded"


def test_somebody_else_cancels_the_statement(sql: SqlJobs) -> None:
    onerror = "insert into seen (what) values ('e')"
    id = sql.script([{"query": "select pg_sleep(60)", "onerror": onerror}, "select 2"])
    sql.running(id)
    sql.value("select pg_cancel_backend(%s)", sql.active(f"pgqueue script {id}"))
    report = sql.ended(id)
    assert (report["status"], report["failed_reason"]) == ("failed", "canceling statement due to user request")
    assert sql.values("select what from seen") == ["e"]


def test_somebody_else_terminates_the_backend(sql: SqlJobs) -> None:
    id = sql.script(["select pg_sleep(60)", "select 2"])
    sql.running(id)
    sql.value("select pg_terminate_backend(%s)", sql.active(f"pgqueue script {id}"))
    report = sql.ended(id)
    query = sql.query("select pg_sleep(60)")
    sql.value("select pg_terminate_backend(%s)", sql.active(f"pgqueue query {query}"))
    status = sql.done(query)
    assert sql.ended(sql.script("select 1"))["status"] == "succeeded"
    assert (report["status"], report["failed_reason"]) == (
        "failed",
        "terminating connection due to administrator command",
    )
    assert (status["state"], status["error"]["sqlstate"]) == ("failed", "57P01")
