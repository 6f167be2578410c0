"""How many handlers run at a time, and how many jobs are in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.worker import tasks
from tests.worker.harness import Inside, Jobs, until
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


@pytest.mark.parametrize("kinds", [["gate"], ["sync_gate"], ["gate", "sync_gate"]])
def test_never_more_than_concurrency(pg: Database, jobs: Jobs, kinds: list[str]) -> None:
    names = {jobs.add(kinds[n % len(kinds)], {"name": f"step {n}"}): f"step {n}" for n in range(24)}
    with Inside(app, pg.dsn, concurrency=4, give_back_after=600) as worker:
        for number in range(24):
            worker.wait("job_started", count=min(number + 4, 24))
            # one of those that run
            gates[names[worker.seen("job_started")[number].facts["job_id"]]].set()
            worker.wait("job_ended", count=number + 1)
    assert tasks.most_running == 4
    assert jobs.counts() == {"succeeded": 24}


def test_slow_handlers_are_given_nothing_ahead(pg: Database, jobs: Jobs) -> None:
    jobs.many("gate", 30, {"name": "open"})
    with Inside(app, pg.dsn, concurrency=3) as worker:
        worker.wait("job_started", count=3)
        worker.wait("heartbeat", count=2)
        assert jobs.one("select sum(cardinality(job_ids)) from pgqueue.lease") == 3
        gates["open"].set()
        worker.wait("job_ended", count=30)


def test_what_was_claimed_ahead_of_slow_handlers_is_given_back(pg: Database, jobs: Jobs) -> None:
    """Quick jobs make the worker look far ahead; then slow ones come."""
    jobs.many("nothing", 2000)
    slow = jobs.many("gate", 200, {"name": "open"})
    with Inside(app, pg.dsn, concurrency=2, give_back_after=0.3) as worker:
        worker.wait("job_ended", count=2002)
        until(lambda: jobs.one("select sum(cardinality(job_ids)) from pgqueue.lease") == 2, "the rest to be given back")
        assert {jobs.get(id)["attempt"] for id in slow} <= {0, 1}
        gates["open"].set()
        until(lambda: jobs.counts() == {"succeeded": 2200}, "all to succeed")
    assert {jobs.get(id)["attempt"] for id in slow[::20]} == {1}


def test_limit_of_a_queue(pg: Database, jobs: Jobs) -> None:
    jobs.many("gate", 10, {"name": "limited"}, queue="limited")
    jobs.many("gate", 10, {"name": "free"}, queue="free")
    with Inside(app, pg.dsn, concurrency=8, queues=["free", ("limited", 2)]) as worker:
        worker.wait("job_started", count=8)
        assert jobs.one("select sum(cardinality(job_ids)) from pgqueue.lease where queue = 'limited'") == 2
        gates["free"].set()
        worker.wait("job_ended", count=10)
        worker.wait("heartbeat", count=len(worker.seen("heartbeat")) + 2)
        assert jobs.one("select sum(cardinality(job_ids)) from pgqueue.lease") == 2
        gates["limited"].set()
        worker.wait("job_ended", count=20)


def test_room_under_max_running_is_used_at_once(pg: Database, jobs: Jobs) -> None:
    """A claim that a limit cut short is followed by another with the next settlement, not only by the poll: here that
    would be 250 polls, and they come seconds apart.
    """
    pg.connect().execute("select pgqueue.configure_queue('default', '{\"max_running\": 2}')")
    jobs.many("nothing", 500)
    with Inside(app, pg.dsn, concurrency=10, poll_interval=5.0) as worker:
        worker.wait("job_ended", count=500)
        assert len(worker.seen("claimed")) >= 250


@pytest.mark.parametrize("kind", ["nothing", "sync_nothing"])
def test_first_come_first_served(pg: Database, jobs: Jobs, kind: str) -> None:
    ids = jobs.many(kind, 3000)
    with Inside(app, pg.dsn, concurrency=1, give_back_after=600) as worker:
        worker.wait("job_ended", count=3000)
        assert [e.facts["job_id"] for e in worker.seen("job_started")] == ids


def test_priorities_and_order(pg: Database, jobs: Jobs) -> None:
    low = [jobs.add("sync_add", {"a": 1, "b": 1}) for _ in range(3)]
    high = [jobs.add("sync_add", {"a": 1, "b": 1}, priority=5) for _ in range(3)]
    with Inside(app, pg.dsn, concurrency=1) as worker:
        worker.wait("job_started", count=6)
        assert [e.facts["job_id"] for e in worker.seen("job_started")] == [*high, *low]


def test_an_async_job_is_not_starved_by_sync_ones(pg: Database, jobs: Jobs) -> None:
    jobs.many("sync_nothing", 500)
    id = jobs.add("nothing")
    jobs.many("sync_nothing", 1500)
    with Inside(app, pg.dsn, concurrency=1) as worker:
        worker.wait("job_ended", job_id=id)
        worker.wait("job_ended", count=2001)
        order = [e.facts["job_id"] for e in worker.seen("job_ended")]
        assert order.index(id) < 1600
