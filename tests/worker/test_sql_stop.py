"""Workers that stop: SQL is interrupted and goes on elsewhere, handlers in Python keep their time."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.worker.harness import Jobs, until
from tests.worker.sqljobs import SqlJobs, worker, worker_process
from tests.worker.tasks import app, gates

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    pass


def test_sql_is_given_back_at_once_and_python_is_waited_for(own_sql: SqlJobs, jobs: Jobs) -> None:
    handler = jobs.add("gate", {"name": "finish"})
    script = own_sql.script(["insert into seen (what) values ('a')", "select pg_sleep(60)", "select 3"])
    query = own_sql.query("select pg_sleep(60)")
    with worker(own_sql.dsn, app, queues=["default", "scripts", "queries"], grace=60) as running:
        running.wait("job_started", job_id=handler)
        own_sql.running(script, 1)
        own_sql.active(f"pgqueue query {query}")
        running.call(running.worker.stop)
        until(lambda: own_sql.report(script)["status"] == "queued", "the script to be given back")
        until(lambda: own_sql.status(query)["state"] == "queued", "the query to be given back")
        assert own_sql.sessions(f"pgqueue script {script}") == 0
        assert jobs.state(handler)[0] == "running"
        gates["finish"].set()
        ended = running.join()
    assert ended is not None
    assert ended.exit_code == 0
    report = own_sql.report(script)
    assert [step["status"] for step in report["queries"]] == ["succeeded", "queued", "queued"]
    assert "started_at" not in report["queries"][2]
    assert [jobs.get(id)["attempt"] for id in (script, query)] == [0, 0]


def test_with_a_grace_for_sql_what_is_quick_ends_well(own_sql: SqlJobs) -> None:
    with worker(own_sql.dsn, grace=30, sql_grace=15) as running:
        quick = own_sql.query("select pg_sleep(0.5)")
        own_sql.active(f"pgqueue query {quick}")
        running.call(running.worker.stop)
        running.join()
    assert own_sql.status(quick)["state"] == "succeeded"


@pytest.mark.parametrize("signals", [1, 2])
def test_a_script_goes_on_where_it_was(signals: int, own_sql: SqlJobs) -> None:
    document = {
        "query": [
            "insert into seen (what) values ('q1')",
            {
                "query": "select pg_sleep(0.6); insert into seen (what) values ('q2')",
                "onsuccess": "select pg_sleep(0.6); insert into seen (what) values ('s2')",
                "onerror": "insert into seen (what) values ('e2')",
            },
        ],
        "onsuccess": "select pg_sleep(0.6); insert into seen (what) values ('S')",
        "onerror": "insert into seen (what) values ('E')",
    }
    id = own_sql.script(document)
    places = [("queries", 1, "status"), ("queries", 1, "fallback_status"), ("fallback_status",)]
    for place in places:
        with worker_process(own_sql.dsn, grace=60) as running:

            def at(path: tuple[str | int, ...] = place) -> bool:
                found: object = own_sql.report(id)
                for key in path:
                    found = found[key] if not isinstance(found, dict) else found.get(key)  # type: ignore[index]
                return found == "running"

            until(at, f"{place} to run")
            own_sql.active(f"pgqueue script {id}")
            for _ in range(signals):
                running.signal(signal.SIGTERM)
            running.exit_code()
            assert own_sql.report(id).get("ended_at") is None
    with worker(own_sql.dsn):
        report = own_sql.ended(id)
    assert (report["status"], report["fallback_status"]) == ("succeeded", "succeeded")
    assert own_sql.values("select what from seen order by n") == ["q1", "q2", "s2", "S"]


def test_drain_ends_when_the_last_turn_is_done(own_sql: SqlJobs) -> None:
    scripts = [own_sql.script(["select 1"] * 4, owner=f"owner {n % 2}") for n in range(6)]
    query = own_sql.query("select 1")
    with worker(own_sql.dsn, drain=True) as running:
        ended = running.join()
    assert ended is not None
    assert ended.why == "drained"
    assert {own_sql.report(id)["status"] for id in scripts} == {"succeeded"}
    assert own_sql.status(query)["state"] == "succeeded"


def test_a_lost_worker_stops_its_sql(own_sql: SqlJobs) -> None:
    """The server has taken the jobs away: what runs here for them is ended, and reported by nobody."""
    with worker(own_sql.dsn, heartbeat_interval=1) as running:
        id = own_sql.script("select pg_sleep(60)")
        own_sql.running(id)
        pid, known_as = own_sql.active(f"pgqueue script {id}"), running.worker_id

        def declared_lost() -> bool:
            own_sql.run(f"update pgqueue.worker set heartbeat_at = 'epoch' where id = {known_as}")
            own_sql.run("select * from pgqueue.maintain('{rescue}')")
            return bool(running.seen("lost", worker_id=known_as))

        until(declared_lost, "the worker to be declared lost")
        until(lambda: not own_sql.value("select count(*) from pg_stat_activity where pid = %s", pid), "it to be gone")
        own_sql.running(id)
        assert own_sql.active(f"pgqueue script {id}") != pid
        own_sql.value("select pgqueue.cancel_script(%s)", id)
    assert own_sql.report(id)["status"] == "cancelled"
