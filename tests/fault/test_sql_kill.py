"""Workers killed in the middle of SQL: what runs again, what does not, and how often its effects are there."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

from tests.worker.harness import Jobs, Process, until
from tests.worker.sqljobs import SqlJobs, worker, worker_process

if TYPE_CHECKING:
    from tests.support.cluster import Database

pytestmark = pytest.mark.slow

# Without this the server itself ends a statement as soon as it notices that its client is gone.
DEAF = "set client_connection_check_interval = 0; "
QUICK = {"heartbeat_interval": 0.3, "poll_interval": 0.2}


@pytest.fixture
def sql(pg: Database) -> SqlJobs:
    jobs = SqlJobs(pg).cleared()
    Jobs(jobs.connection).configure(lost_after="1 second")
    return jobs


def kill(sql: SqlJobs, worker: Process) -> None:
    """Returns when the server has noticed."""
    worker.signal(signal.SIGKILL)
    worker.exit_code()
    rescued(sql)


def rescued(sql: SqlJobs) -> None:
    lost = "select coalesce(sum(done), 0)::int from pgqueue.maintain('{rescue}')"
    until(lambda: sql.value(lost), "the dead worker's jobs to be rescued")


def gone(sql: SqlJobs, pid: int) -> bool:
    return not sql.value("select count(*) from pg_stat_activity where pid = %s", pid)


def test_in_a_script(sql: SqlJobs) -> None:
    """Finished queries do not run again; the interrupted one does, once its old backend is gone: its effect is there
    once.
    """
    slow = DEAF + "insert into seen (what) select 'q2' from pg_sleep(3)"
    id = sql.script(["insert into seen (what) values ('q1')", slow, "insert into seen (what) values ('q3')"])
    with worker_process(sql.dsn, **QUICK) as killed:
        sql.running(id, 1)
        old = sql.active(f"pgqueue script {id}")
        kill(sql, killed)
    assert not gone(sql, old)
    with worker(sql.dsn, **QUICK):
        until(lambda: gone(sql, old), "the old backend to be ended")
        report = sql.ended(id, 30)
    assert report["status"] == "succeeded"
    assert sql.values("select what from seen order by n") == ["q1", "q2", "q3"]


def test_an_old_backend_that_has_ended_is_no_obstacle(sql: SqlJobs) -> None:
    id = sql.script("insert into seen (what) select 'a' from pg_sleep(2)")
    with worker_process(sql.dsn, **QUICK) as killed:
        sql.running(id)
        old = sql.active(f"pgqueue script {id}")
        kill(sql, killed)
    until(lambda: gone(sql, old), "the server to notice that its client is gone")
    with worker(sql.dsn, **QUICK):
        assert sql.ended(id, 30)["status"] == "succeeded"
    assert sql.values("select what from seen") == ["a"]


def test_in_a_query(sql: SqlJobs) -> None:
    """The second run begins anew: the chunks of the first are not mixed into its result."""
    text = "select n, repeat('x', 2000), pg_sleep(0.0005) from generate_series(1, 3000) n"
    id = sql.query(text, settings={"work_mem": "1MB"})
    with worker_process(sql.dsn, **QUICK) as killed:
        until(lambda: (sql.status(id)["batches"] or 0) >= 3, "a few chunks")
        old = sql.active(f"pgqueue query {id}")
        kill(sql, killed)
    with worker(sql.dsn, **QUICK):
        until(lambda: sql.status(id)["run"] == 2, "the second run")
        assert gone(sql, old)
        status = sql.done(id, 60)
    assert (status["state"], status["row_count"]) == ("succeeded", 3000)
    numbers = [int(line.partition("\t")[0]) for line in sql.text(id).splitlines()]
    assert numbers == list(range(1, 3001))


def test_in_a_chunk(sql: SqlJobs) -> None:
    """Killed while the server writes a chunk down: it is there once, or not at all."""
    id = sql.query("select n, repeat('x', 1000) from generate_series(1, 5000) n")
    holder = sql.connect(autocommit=False)
    with worker_process(sql.dsn, lock_timeout=60, statement_timeout=60, **QUICK) as killed:
        waits = "select count(*) > 0 from pg_stat_activity where query like '%query_put%' and wait_event_type = 'Lock'"
        holder.execute("lock pgqueue.query_chunk in access exclusive mode")
        until(lambda: sql.value(waits), "a chunk to wait for the table")
        killed.signal(signal.SIGKILL)
        killed.exit_code()
        holder.rollback()
    rescued(sql)
    with worker(sql.dsn, **QUICK):
        status = sql.done(id, 60)
    assert (status["state"], status["row_count"]) == ("succeeded", 5000)
    numbers = [int(line.partition("\t")[0]) for line in sql.text(id).splitlines()]
    assert numbers == list(range(1, 5001))


def test_cancelled_while_nobody_runs_it(sql: SqlJobs) -> None:
    """Its worker is dead, and nobody knows yet: the cancel counts all the same, and nothing runs again."""
    id = sql.script([DEAF + "insert into seen (what) select 'q1' from pg_sleep(1)", "select 2"])
    with worker_process(sql.dsn, **QUICK) as killed:
        sql.running(id)
        killed.signal(signal.SIGKILL)
        killed.exit_code()
    assert sql.value("select pgqueue.cancel_script(%s)", id)["status"] == "cancelled"
    rescued(sql)
    with worker(sql.dsn, **QUICK):
        until(lambda: sql.value("select state from pgqueue.job(%s)", id) == "cancelled", "the job to be cancelled", 30)
    assert [query["status"] for query in sql.report(id)["queries"]] == ["cancelled", "skipped"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_at_random(sql: SqlJobs) -> None:
    """Workers are killed at random while scripts and queries run. Every query of every script has its effect, in
    order. One that ends in the moment its worker dies is there and will run again all the same, at most the four of
    them that ran.
    """
    chance = random.Random(number := random.randrange(1_000_000))
    print(f"seed {number}")
    Jobs(sql.connection).configure(lost_after="1 second", max_crashes=1000)
    sql.run("create table step (script int, step int, n serial)")
    scripts = [
        sql.script(
            [f"select pg_sleep({0.2 + chance.random() / 3:.3f}); insert into step values ({n}, {k})" for k in range(8)],
            owner=f"o{n % 5}",
        )
        for n in range(30)
    ]
    text = "select n, repeat('{}', 500) from generate_series(1, 20000) n"
    queries = [sql.query(text.format(q), owner=f"o{q % 5}") for q in range(20)]
    kills = 0
    for _ in range(12):
        with worker_process(sql.dsn, **QUICK) as victim:
            victim.wait("settled", count=chance.randint(1, 25))
            victim.signal(signal.SIGKILL)
            victim.exit_code()
            kills += 1
    with worker(sql.dsn, **QUICK):
        reports = [sql.ended(id, 300) for id in scripts]
        statuses = [sql.done(id, 300) for id in queries]
    assert {report["status"] for report in reports} == {"succeeded"}
    assert {status["state"] for status in statuses} == {"succeeded"}
    ran = sql.connection.execute("select script, step, count(*) from step group by 1, 2").fetchall()
    assert len(ran) == 30 * 8
    for n in range(30):
        steps = sql.connection.execute("select step from step where script = %s order by n", (n,)).fetchall()
        assert [step for (step,) in steps] == sorted(step for (step,) in steps)
    for id in queries:
        numbers = [int(line.partition("\t")[0]) for line in sql.text(id).splitlines()]
        assert numbers == list(range(1, 20_001))
    again = sum(count - 1 for *_, count in ran)
    print(f"{kills} killed, {again} steps took effect twice")
    assert again <= kills * 4


def test_in_a_flow(sql: SqlJobs) -> None:
    """What waits for a script is let go once, when it has really ended, and what follows it is enqueued once."""
    slow = DEAF + "insert into seen (what) select 'q2' from pg_sleep(3)"
    follow = {"kind": "told", "queue": "told", "pass_as": "report"}
    first = sql.query("insert into seen (what) values ('q1')", on_success=follow)
    script = sql.script(["select 1", slow], depends_on=f"{{{first}}}", on_success=follow, on_error=follow)
    count = "select count(*) from seen where what like 'q%'"
    last = sql.query(count, depends_on=f"{{{first},{script}}}", on_success=follow)
    with worker_process(sql.dsn, **QUICK) as killed:
        sql.running(script, 1)
        kill(sql, killed)
    assert sql.status(last)["state"] == "held"
    with worker(sql.dsn, **QUICK):
        assert sql.done(last, 30)["state"] == "succeeded"
    assert sql.text(last) == "2\n"
    told = "select headers -> 'parent' ->> 'job' from pgqueue.job where kind = 'told' order by id"
    assert sql.values(told) == [str(first), str(script), str(last)]
    assert (
        sql.value("select args -> 'report' ->> 'status' from pgqueue.job where kind = 'told' offset 1 limit 1")
        == "succeeded"
    )
    assert sql.values("select job_id from pgqueue.dependent") == []
