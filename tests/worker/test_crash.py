"""Workers that die, servers that go away, connections that break: nothing is lost, nothing counts twice."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgqueue import App
from tests.worker import tasks
from tests.worker.harness import Inside, Jobs, Process, until
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database, DurableServer


def test_killed_process_loses_nothing(pg: Database, jobs: Jobs, tmp_path: Path) -> None:
    jobs.configure(lost_after="1 second")
    ledger = tmp_path / "ledger"
    ids = jobs.many("note", 60, {"file": str(ledger), "wait": 0.05})
    with Process(pg.dsn, concurrency=5) as victim:
        victim.wait("job_ended", count=10)
        victim.signal(signal.SIGKILL)
        assert victim.exit_code() == -signal.SIGKILL
    # what it had sent before it died may still be carried out
    sessions = "select count(*) from pg_stat_activity where application_name like 'pgqueue %'"
    until(lambda: jobs.one(sessions) == 0, "its sessions to end")
    held = jobs.one("select coalesce(sum(cardinality(job_ids)), 0) from pgqueue.lease")
    assert held > 0
    with Inside(app, pg.dsn, concurrency=20) as worker:
        until(lambda: jobs.counts() == {"succeeded": 60}, "all jobs to succeed")
        assert worker.worker_id != victim.wait("registered").facts["worker_id"]
    recovered = jobs.one("select count(*) from pgqueue.attempt_error where reason = 'worker_lost'")
    assert recovered == held
    assert {jobs.get(id)["attempt"] for id in ids} == {1}
    ran = Counter(int(line) for line in ledger.read_text().split())
    # what had run to its end without having been handed in ran again: at most what was held
    assert set(ran) == set(ids)
    assert sum(ran.values()) - len(ids) <= held


@pytest.mark.slow
def test_a_job_that_kills_its_process_fails_in_the_end(pg: Database, jobs: Jobs) -> None:
    jobs.configure(lost_after="0.5 seconds", max_crashes=2)
    id = jobs.add("crash")
    for _ in range(2):
        with Process(pg.dsn) as worker:
            assert worker.exit_code() == -signal.SIGKILL
    with Inside(app, pg.dsn):
        job = jobs.until(id, "failed")
    assert (job["reason"], job["attempt"]) == ("worker_lost", 1)


def test_a_worker_declared_lost_drops_what_it_has_and_registers_again(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("cleanup", {"name": "dropped"})
    with Inside(app, pg.dsn, heartbeat_interval=600) as worker:
        worker.wait("job_started", job_id=id)
        first = worker.worker_id
        # what the leader does to a worker whose heartbeat has run out
        jobs.connection.execute("select pgqueue._lose_worker(%s)", (first,))
        jobs.connection.execute("select pg_notify('pgqueue_worker', %s)", (str(first),))
        worker.wait("lost", worker_id=first)
        assert gates["dropped"].wait(20)
        worker.wait("registered", count=2)
        worker.wait("job_started", count=2, job_id=id)
        assert worker.worker_id != first
    job = jobs.get(id)
    assert (job["state"], job["crashes"], job["attempt"]) == ("queued", 1, 0)


def test_an_idle_worker_that_was_forgotten_registers_again(pg: Database, jobs: Jobs) -> None:
    """It learns so from its next claim, long before its next heartbeat."""
    with Inside(app, pg.dsn, heartbeat_interval=600) as worker:
        worker.wait("asleep")
        jobs.connection.execute("select pgqueue.deregister_worker(%s)", (worker.worker_id,))
        id = jobs.add("add", {"a": 1, "b": 1})
        worker.wait("registered", count=2)
        assert jobs.until(id, "succeeded")["worker_id"] == worker.worker_id


def test_a_lost_lease_is_dropped(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("cleanup", {"name": "dropped"})
    with Inside(app, pg.dsn, heartbeat_interval=0.2) as worker:
        worker.wait("job_started", job_id=id)
        jobs.connection.execute("delete from pgqueue.lease")
        worker.wait("lost")
        assert gates["dropped"].wait(20)


def test_a_job_that_comes_again_supersedes_its_lost_lease(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("cleanup", {"name": "dropped"})
    with Inside(app, pg.dsn, heartbeat_interval=600) as worker:
        worker.wait("job_started", job_id=id)
        # as if it had been rescued unnoticed
        jobs.connection.execute("select pgqueue._give_back(l) from pgqueue.lease l")
        worker.wait("lost")
        assert gates["dropped"].wait(20)
        worker.wait("job_started", count=2, job_id=id)
        worker.stop(hard=True)
    assert jobs.state(id)[0] == "queued"


def test_a_claim_whose_answer_was_lost_is_given_back(pg: Database, jobs: Jobs) -> None:
    """The server believes this worker holds a job it has never heard of."""
    with Inside(app, pg.dsn, heartbeat_interval=0.2, queues=["default"]) as worker:
        id = jobs.add("add", {"a": 1, "b": 1}, queue="other")
        jobs.one("select id from pgqueue.claim(%s, array['other'])", worker.worker_id)
        jobs.connection.execute("update pgqueue.lease set claimed_at = claimed_at - interval '10 seconds'")
        jobs.until(id, "queued")
    assert jobs.get(id)["attempt"] == 0


def test_connections_cut_in_the_middle_of_work(pg: Database, jobs: Jobs, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ids = jobs.many("note", 400, {"file": str(ledger), "wait": 0.001})
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'pgqueue%%' and datname = %s"
    )
    with Inside(app, pg.dsn, drain=True, concurrency=4) as worker:
        for count in (20, 80, 150):
            worker.wait("job_ended", count=count)
            jobs.connection.execute(cut, (pg.name,))
        worker.join()
    assert worker.seen("disconnected")
    assert jobs.counts() == {"succeeded": 400}
    assert jobs.one("select count(*) from pgqueue.lease") == 0
    ran = Counter(int(line) for line in ledger.read_text().split())
    assert set(ran) == set(ids)


def test_outcomes_are_kept_over_a_reconnection(pg: Database, jobs: Jobs) -> None:
    """The handler ends while there is no connection; its outcome is handed in afterwards, once."""
    id = jobs.add("gate", {"name": "ends"})
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_started", job_id=id)
        jobs.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgqueue%%'"
        )
        gates["ends"].set()
        assert jobs.until(id, "succeeded")["result"] == "ends"
        assert len(worker.seen("job_ended", job_id=id)) == 1


@pytest.mark.timeout(180)
def test_server_restarts_during_work(durable_server: Callable[[], DurableServer], tmp_path: Path) -> None:
    tasks.reset()
    server = durable_server()
    dsn = server.dsn(server.create_database())
    ledger = tmp_path / "ledger"
    with psycopg.connect(dsn, autocommit=True) as connection:
        ids = Jobs(connection).many("note", 300, {"file": str(ledger), "wait": 0.01})
    with Inside(app, dsn, concurrency=4) as worker:
        worker.wait("job_ended", count=20)
        server.restart()
        worker.wait("connected")
        worker.wait("listening", count=2)
        worker.wait("job_ended", count=100)
        server.kill()
        server.start()
        with psycopg.connect(dsn, autocommit=True) as connection:
            jobs = Jobs(connection)
            until(lambda: jobs.counts() == {"succeeded": 300}, "all jobs to succeed", 60)
            until(lambda: not jobs.one("select count(*) from pgqueue.lease"), "the last settlement")
    ran = Counter(int(line) for line in ledger.read_text().split())
    assert set(ran) == set(ids)


def test_no_server_at_the_start_is_said_at_once() -> None:
    from pgqueue.errors import ConnectionLost

    worker = Inside(App(), "host=127.0.0.1 port=1 dbname=none connect_timeout=2")
    with pytest.raises(ConnectionLost), worker:
        pass


def test_schema_missing_is_said_at_once(empty_database: str) -> None:
    from pgqueue.errors import SchemaMissing

    with pytest.raises(SchemaMissing, match="pgqueue schema upgrade"), Inside(app, empty_database):
        pass


def test_a_server_that_takes_no_writes_is_waited_for(pg: Database, jobs: Jobs) -> None:
    """As after a failover to a server that is not promoted yet: connecting works, nothing else does."""

    def read_only(value: str) -> None:
        jobs.connection.execute(f"alter database {pg.name} set default_transaction_read_only = {value}".encode())
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgqueue%'"
        jobs.connection.execute(cut.encode())

    with Inside(app, pg.dsn, drain=False) as worker:
        worker.wait("asleep")
        read_only("on")
        id = jobs.add("add", {"a": 1, "b": 1})  # a claim that finds nothing may well be possible
        worker.wait("disconnected", count=6)
        read_only("off")
        assert jobs.until(id, "succeeded")["result"] == 2
