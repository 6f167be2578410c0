"""A handler that blocks the event loop: noticed, survived for a while, and given up in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.worker.harness import Inside, Jobs, until
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def test_heartbeats_go_on_and_the_stack_is_logged(pg: Database, jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    id = jobs.add("block_on", {"name": "free"})
    beat = "select max(heartbeat_at) from pgqueue.worker"
    with Inside(app, pg.dsn, block_warning=0.2, heartbeat_interval=0.1) as worker:
        worker.wait("job_started", job_id=id)
        for _ in range(3):
            last = jobs.one(beat)
            until(lambda last=last: jobs.one(beat) > last, "a heartbeat")  # type: ignore[misc]
        until(lambda: [r for r in caplog.records if "has been blocked" in r.getMessage()], "the warning")
        gates["free"].set()
        assert jobs.until(id, "succeeded")["result"] == "blocked"
        worker.wait("unblocked")
    (warning, *_) = [r for r in caplog.records if "has been blocked" in r.getMessage()]
    assert "gates[name].wait(30)" in warning.getMessage()


def test_after_the_limit_heartbeats_stop_and_others_get_the_job(pg: Database, jobs: Jobs) -> None:
    jobs.configure(lost_after="0.6 seconds")
    id = jobs.add("block_on", {"name": "free"})
    settings = {"block_warning": 0.1, "heartbeat_interval": 0.1}
    with Inside(app, pg.dsn, block_limit=0.3, **settings) as first:
        first.wait("job_started", job_id=id)
        with Inside(app, pg.dsn, block_limit=60, **settings) as second:
            second.wait("job_started", job_id=id)
            gates["free"].set()
            job = jobs.until(id, "succeeded")
            assert job["worker_id"] == second.worker_id
            assert jobs.one("select a.reason from pgqueue.attempts(%s) a", id) == "worker_lost"
            # the first one wakes up to find itself forgotten
            first.wait("registered", count=2)
            jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
    assert jobs.one("select count(*) from pgqueue.outcome where job_id = %s", id) == 1
