"""Jobs, scripts and queries that wait for each other, run by worker processes."""

from __future__ import annotations

import json

from tests.worker.harness import DEADLINE, Process, until
from tests.worker.sqljobs import QUEUES, SqlJobs

TASKS = "tests.worker.sqlflowapp:app"
ENDED = "from pgqueue.job j join pgqueue.outcome o on o.job_id = j.id where j.kind = 'told'"


def test_a_report(own_sql: SqlJobs) -> None:
    """A script loads, a query sums up, a job reads what it found, and another is told what that made of it; beside them
    what fails takes with it what waits for it.
    """
    sql = own_sql
    sql.run("create table sold (amount int)")
    told = json.dumps({"kind": "told", "pass_as": "what"})
    loaded = sql.script(["insert into sold select generate_series(1, 4)", "insert into sold values (90)"])
    total = sql.query("select sum(amount) from sold", depends_on=f"{{{loaded}}}")
    enqueue = "select id from pgqueue.enqueue(%s, %s::jsonb, depends_on => %s::bigint[], on_success => %s::jsonb)"
    read = sql.value(enqueue, "read", json.dumps({"dsn": sql.dsn}), [total], told)
    broken = sql.query("select 1 / 0", on_error={"kind": "told", "pass_as": "what"})
    spoilt = sql.script("insert into sold values (1000)", depends_on=f"{{{broken}}}")
    anyway = sql.query("select 7", depends_on=f"{{{broken},{spoilt}}}", on_parent_failure="run")
    settings = {"app": TASKS, "queues": [*QUEUES, "default"]}
    with Process(sql.dsn, **settings), Process(sql.dsn, **settings):
        until(lambda: sql.value(f"select count(*) {ENDED}") == 2, "both to be told", DEADLINE)
        assert sql.done(anyway)["state"] == "succeeded"
    assert sql.value("select result from pgqueue.result(%s)", read) == [[100]]
    assert sql.report(spoilt)["status"] == "cancelled"
    assert sql.values("select amount from sold where amount > 90") == []
    failed, passed = sql.values(f"select o.result {ENDED} order by o.result = '[[100]]'")
    assert failed["error"]["message"] == "division by zero"
    assert passed == [[100]]
