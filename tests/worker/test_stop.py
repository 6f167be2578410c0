"""Stopping: soft, after the grace period, hard; and draining."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.worker.harness import Inside, Jobs, Process
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def attempts_unspent(jobs: Jobs, id: int) -> None:
    job = jobs.get(id)
    assert (job["state"], job["attempt"], job["crashes"]) == ("queued", 0, 0)


def test_soft_stop_finishes_what_runs(pg: Database, jobs: Jobs) -> None:
    ids = [jobs.add("gate", {"name": "finish"}), jobs.add("sync_gate", {"name": "finish"})]
    with Inside(app, pg.dsn) as worker:
        for id in ids:
            worker.wait("job_started", job_id=id)
        worker.call(worker.worker.stop)
        worker.wait("stopping")
        late = jobs.add("nothing")
        gates["finish"].set()
        ended = worker.join()
    assert ended is not None
    assert (ended.why, ended.exit_code, ended.running) == ("asked", 0, 0)
    assert [jobs.state(id)[0] for id in ids] == ["succeeded", "succeeded"]
    assert jobs.state(late)[0] == "queued"
    assert jobs.one("select count(*) from pgqueue.worker") == 0


def test_soft_stop_gives_back_at_once_what_is_not_started(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, concurrency=1, give_back_after=600) as worker:
        for _ in range(30):
            jobs.add("sync_nothing")
        worker.wait("job_ended", count=30)
        ids = jobs.many("sync_gate", 5, {"name": "finish"})
        worker.wait("job_started", job_id=ids[0])
        worker.call(worker.worker.stop)
        for id in ids[1:]:
            jobs.until(id, "queued")
            attempts_unspent(jobs, id)
        assert jobs.state(ids[0])[0] == "running"
        gates["finish"].set()
        worker.join()
    assert jobs.state(ids[0])[0] == "succeeded"


def test_after_the_grace_period_running_jobs_are_given_back(pg: Database, jobs: Jobs) -> None:
    with_cleanup = jobs.add("cleanup", {"name": "cleaned"}, max_attempts=1)
    polite = jobs.add("polite", max_attempts=1)
    deaf = jobs.add("sync_gate", {"name": "deaf"}, max_attempts=1)
    with Inside(app, pg.dsn, grace=0.1) as worker:
        for id in (with_cleanup, polite, deaf):
            worker.wait("job_started", job_id=id)
        worker.call(worker.worker.stop)
        ended = worker.join()
        attempts_unspent(jobs, with_cleanup)
        attempts_unspent(jobs, deaf)
        # this one saw the flag and ended by itself, with a result
        assert jobs.state(polite)[0] == "succeeded"
        gates["deaf"].set()
    assert gates["cleaned"].is_set()
    assert ended is not None
    assert ended.exit_code == 0


def test_sigterm_is_soft(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("polite")
    with Process(pg.dsn, grace=0.1) as worker:
        worker.wait("job_started", job_id=id)
        worker.signal(signal.SIGTERM)
        worker.wait("stopping", why="SIGTERM")
        assert worker.exit_code() == 0
    assert jobs.state(id)[0] == "succeeded"


def test_sigterm_with_a_thread_that_cannot_be_stopped(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("sync_hang", max_attempts=1)
    with Process(pg.dsn, grace=0.1) as worker:
        worker.wait("job_started", job_id=id)
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 0
    attempts_unspent(jobs, id)


def test_second_signal_is_hard(pg: Database, jobs: Jobs) -> None:
    ids = [jobs.add("sync_hang", max_attempts=1), jobs.add("hang", max_attempts=1)]
    with Process(pg.dsn, grace=600) as worker:
        for id in ids:
            worker.wait("job_started", job_id=id)
        worker.signal(signal.SIGINT)
        worker.wait("stopping", why="SIGINT")
        worker.signal(signal.SIGTERM)
        assert worker.exit_code() == 128 + signal.SIGTERM
    for id in ids:
        attempts_unspent(jobs, id)
    assert jobs.one("select count(*) from pgqueue.worker") == 0


@pytest.mark.parametrize("connections", [1, 2, 3])
def test_drain_does_everything_and_ends(pg: Database, jobs: Jobs, connections: int) -> None:
    jobs.many("add", 300, {"a": 1, "b": 2})
    jobs.many("sync_add", 300, {"a": 1, "b": 2})
    due = jobs.add("nothing", run_at="2000-01-01")
    later = jobs.add("nothing", delay="1 hour")
    with Inside(app, pg.dsn, drain=True, connections=connections) as worker:
        ended = worker.join()
    assert ended is not None
    assert (ended.why, ended.jobs) == ("drained", 601)
    assert jobs.state(due)[0] == "succeeded"
    assert jobs.state(later)[0] == "scheduled"


def test_drain_waits_for_what_runs_here(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("gate", {"name": "slow"})
    with Inside(app, pg.dsn, drain=True) as worker:
        worker.wait("job_started", job_id=id)
        second = jobs.add("nothing")
        jobs.until(second, "succeeded")
        gates["slow"].set()
        worker.join()
    assert jobs.state(id)[0] == "succeeded"


def test_drain_of_an_empty_queue_ends(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, drain=True, queues=["a", ("b", 2)]) as worker:
        ended = worker.join()
    assert ended is not None
    assert ended.jobs == 0
