"""Time limits of scripts and queries: on the server's clock, within a tenth of a second, for the whole of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.worker.sqljobs import SqlJobs, took

if TYPE_CHECKING:
    pass

MESSAGE = "canceling statement due to statement timeout"
# What a busy machine may add to the tenth of a second that is promised.
SLACK = 0.4


@pytest.mark.parametrize(
    "text",
    [
        "select pg_sleep(20)",
        # each statement alone is quick enough for the server's own limit
        "select pg_sleep(0.3); select pg_sleep(0.3); select pg_sleep(0.3); select pg_sleep(20)",
        "set statement_timeout = 0; select pg_sleep(20)",
        "do $$ begin loop perform pg_sleep(0.05); commit; end loop; end $$",
    ],
)
def test_a_query_of_a_script(text: str, sql: SqlJobs) -> None:
    report = sql.ended(sql.script([{"query": text, "timeout": 500}]))
    (query,) = report["queries"]
    assert (report["status"], query["failed_reason"]) == ("failed", MESSAGE)
    assert 0.5 <= took(query) < 0.6 + SLACK


def test_a_text_that_will_not_be_cancelled(sql: SqlJobs) -> None:
    text = "do $$ begin loop begin perform pg_sleep(1); exception when query_canceled then null; end; end loop; end $$"
    id = sql.script([{"query": text, "timeout": 200}, "select 1"])
    report = sql.ended(id)
    assert sql.sessions(f"pgqueue script {id}") == 0
    assert report["queries"][0]["failed_reason"] == MESSAGE
    assert took(report["queries"][0]) < 1.25 + 0.1 + 2 * SLACK


def test_fallbacks_have_the_owners_limit_not_their_querys(sql: SqlJobs) -> None:
    sql.run("""select pgqueue.configure_owner('ada', '{"timeout": 0.3}')""")
    report = sql.ended(
        sql.script([{"query": "select 1/0", "timeout": 50, "onerror": "select pg_sleep(0.15)"}], owner="ada")
    )
    slow = sql.ended(sql.script([{"query": "select 1", "onsuccess": "select pg_sleep(9)"}], owner="ada"))
    assert report["queries"][0]["fallback_status"] == "succeeded"
    assert (slow["status"], slow["queries"][0]["fallback_error"]) == ("succeeded", MESSAGE)


@pytest.mark.parametrize(
    "text",
    [
        "select pg_sleep(20)",
        "select n, pg_sleep(0.01) from generate_series(1, 100000) n",
        "call forever()",
        "select * from slow_to_plan",
    ],
)
def test_a_query(text: str, sql: SqlJobs) -> None:
    if text.startswith("call"):
        sql.run(
            "create procedure forever() language plpgsql as 'begin loop perform pg_sleep(0.05); commit; end loop; end'"
        )
    holder = sql.connect(autocommit=False)
    if "slow_to_plan" in text:
        # it cannot even be prepared while somebody holds the table
        sql.run("create table slow_to_plan ()")
        holder.execute("lock slow_to_plan")
    status = sql.done(sql.query(text, timeout="500 milliseconds"))
    holder.rollback()
    assert (status["state"], status["error"]["sqlstate"]) == ("failed", "57014")
    assert (status["error"]["message"], status["error"]["type"]) == (MESSAGE, "Timeout")
    assert 0.5 <= took(status) < 0.6 + SLACK


def test_no_limit_is_left_behind(sql: SqlJobs) -> None:
    for timeout in ("100 milliseconds", "1 hour", "100 years"):
        status = sql.done(sql.query("select current_setting('statement_timeout')", timeout=timeout))
        assert status["state"] == "succeeded", status
