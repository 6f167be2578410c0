"""One leader at a time, and another one when it dies."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.worker.harness import Inside, Jobs, Process
from tests.worker.tasks import app

if TYPE_CHECKING:
    from tests.support.cluster import Database


@pytest.mark.slow
def test_leader_is_killed_and_another_follows(pg: Database, jobs: Jobs) -> None:
    jobs.configure(lost_after="1 second")
    with Process(pg.dsn) as first:
        first.wait("leading")
        with Process(pg.dsn) as second:
            second.wait("heartbeat")
            assert not second.seen("leading")
            first.signal(signal.SIGKILL)
            first.exit_code()
            second.wait("leading")
            # upkeep goes on: a retry comes due, the dead worker is noticed
            id = jobs.add("flaky", {"good_at": 2}, backoff='{"strategy": "constant", "base": 0.1}')
            jobs.until(id, "succeeded")


def test_a_leader_that_loses_its_connection_follows_and_stands_again(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn) as worker:
        worker.wait("leading")
        jobs.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgqueue listen%'"
        )
        worker.wait("following")
        worker.wait("leading", count=2)


def test_scheduled_jobs_start_when_they_are_due(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn) as worker:
        worker.wait("leading")
        id = jobs.add("add", {"a": 1, "b": 1}, delay="0.3 seconds")
        job = jobs.until(id, "succeeded")
    assert 0.3 <= (job["claimed_at"] - job["created_at"]).total_seconds() < 2


def test_without_upkeep_nobody_leads(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, upkeep=False) as worker:
        worker.wait("heartbeat", count=2)
        assert not worker.seen("leading")
