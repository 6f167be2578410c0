"""Handlers that hang past their timeout, and those that do not let themselves be stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worker.harness import Inside, Jobs
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def test_async_handler_is_cancelled_at_its_timeout(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("cleanup", {"name": "cleaned"}, timeout="0.1 seconds", max_attempts=1)
    with Inside(app, pg.dsn, concurrency=1):
        job = jobs.until(id, "failed")
    assert job["reason"] == "timeout"
    assert job["error"]["message"] == "ran longer than its timeout of 0.1 s"
    assert "asyncio.sleep(3600)" in job["error"]["traceback"]
    assert gates["cleaned"].is_set()


def test_a_timeout_of_ages_is_as_good_as_none(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("add", {"a": 1, "b": 1}, timeout="100 years")
    with Inside(app, pg.dsn):
        jobs.until(id, "succeeded")


def test_timeout_is_retried_by_policy(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("hang", timeout="0.05 seconds", max_attempts=2, backoff='{"strategy": "constant", "base": 0}')
    with Inside(app, pg.dsn):
        job = jobs.until(id, "failed")
    assert (job["attempt"], job["reason"]) == (2, "timeout")


def test_sync_handler_is_settled_at_its_timeout_and_its_thread_replaced(pg: Database, jobs: Jobs) -> None:
    stuck = jobs.add("sync_gate", {"name": "stuck"}, timeout="0.1 seconds", max_attempts=1)
    with Inside(app, pg.dsn, concurrency=1) as worker:
        job = jobs.until(stuck, "failed")
        assert job["reason"] == "timeout"
        assert "gates[name].wait" in job["error"]["traceback"]
        worker.wait("stuck", job_id=stuck)
        # the only slot is free again
        jobs.until(jobs.add("sync_add", {"a": 1, "b": 1}), "succeeded")
        jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
        gates["stuck"].set()
        worker.wait("unstuck", job_id=stuck)
    assert jobs.state(stuck) == ("failed", "timeout")


def test_a_sync_job_waiting_for_its_thread_does_not_time_out(pg: Database, jobs: Jobs) -> None:
    first = jobs.add("sync_gate", {"name": "first"})
    second = jobs.add("sync_add", {"a": 1, "b": 1}, timeout="0.3 seconds")
    with Inside(app, pg.dsn, concurrency=1) as worker:
        worker.wait("job_started", job_id=first)
        third = jobs.add("sync_gate", {"name": "third"}, timeout="0.1 seconds", max_attempts=1, priority=5)
        gates["first"].set()
        jobs.until(second, "succeeded")
        jobs.until(third, "failed")
        gates["third"].set()


def test_async_handler_that_refuses_to_be_cancelled(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("stubborn", {"name": "give in"}, timeout="0.05 seconds", max_attempts=1)
    with Inside(app, pg.dsn, concurrency=1) as worker:
        job = jobs.until(id, "failed")
        assert job["reason"] == "timeout"
        worker.wait("stuck", job_id=id)
        jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
        gates["give in"].set()
        worker.wait("unstuck", job_id=id)
    assert jobs.state(id) == ("failed", "timeout")


def test_a_handler_that_swallows_its_cancellation_has_timed_out_all_the_same(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("stubborn", {"name": "later"}, timeout="0.1 seconds", max_attempts=1)
    with Inside(app, pg.dsn, patience=20) as worker:
        worker.wait("job_started", job_id=id)
        worker.wait("cancelling", job_id=id, why="timeout")
        gates["later"].set()
        jobs.until(id, "failed")
        assert not worker.seen("stuck")
    assert jobs.state(id) == ("failed", "timeout")


def test_too_many_stuck_handlers_end_the_process(pg: Database, jobs: Jobs) -> None:
    ids = [jobs.add("sync_gate", {"name": "all"}, timeout="0.05 seconds", max_attempts=1) for _ in range(3)]
    with Inside(app, pg.dsn, concurrency=1, most_stuck=2, grace=1) as worker:
        ended = worker.join()
        gates["all"].set()
    assert ended is not None
    assert (ended.why, ended.exit_code) == ("gave_up", 75)
    assert worker.seen("gave_up")
    assert [jobs.state(id) for id in ids] == [("failed", "timeout")] * 3
