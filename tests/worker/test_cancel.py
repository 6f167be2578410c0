"""A user cancels what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worker.harness import Inside, Jobs
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def cancel(jobs: Jobs, id: int) -> tuple[str, bool]:
    state, changed = jobs.one("select state, changed from pgqueue.cancel(%s)", id)
    return state, changed


def test_running_async_handler(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("cleanup", {"name": "cleaned"})
    # by notification: a heartbeat would come too late
    with Inside(app, pg.dsn, heartbeat_interval=600) as worker:
        worker.wait("job_started", job_id=id)
        assert cancel(jobs, id) == ("running", True)
        jobs.until(id, "cancelled")
        assert gates["cleaned"].is_set()
    assert jobs.state(id) == ("cancelled", "cancelled_by_user")


def test_running_sync_handler_sees_the_flag(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("polite")
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_started", job_id=id)
        assert gates["polite"].wait(20)
        cancel(jobs, id)
        worker.wait("cancelling", job_id=id, why="cancel")
        job = jobs.until(id, "succeeded", "cancelled")
    # it ended by itself, with a result: that counts
    assert (job["state"], job["result"]) == ("succeeded", "stopped politely")


def test_without_notifications_the_heartbeat_tells(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("hang")
    with Inside(app, pg.dsn, listen=False) as worker:
        worker.wait("job_started", job_id=id)
        cancel(jobs, id)
        jobs.until(id, "cancelled")


def test_claimed_but_not_started(pg: Database, jobs: Jobs) -> None:
    """One slot is taken; the sync job behind it was claimed ahead."""
    with Inside(app, pg.dsn, concurrency=1, give_back_after=600) as worker:
        for _ in range(30):
            jobs.add("nothing")
        worker.wait("job_ended", count=30)
        # the look-ahead is warm now
        ids = [jobs.add("gate", {"name": "open"}) for _ in range(2)]
        worker.wait("job_started", job_id=ids[0])
        assert cancel(jobs, ids[1])[1]
        jobs.until(ids[1], "cancelled")
        gates["open"].set()
        jobs.until(ids[0], "succeeded")
    assert not worker.seen("job_started", job_id=ids[1])


def test_a_cancelled_job_that_raises_is_not_retried(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("stubborn", {"name": "never"}, max_attempts=5)
    with Inside(app, pg.dsn, patience=0.1) as worker:
        worker.wait("job_started", job_id=id)
        cancel(jobs, id)
        jobs.until(id, "cancelled")
        worker.wait("stuck", job_id=id)
        gates["never"].set()
        worker.wait("unstuck")
