"""Handing outcomes in when the server does not take them at once, or at all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pgqueue import App, Task
from pgqueue.worker.loop import ClaimLoop
from tests.worker.harness import Inside, Jobs, until
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def test_a_lease_that_is_locked_is_settled_later(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("gate", {"name": "open"})
    other = pg.connect(autocommit=False)
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_started", job_id=id)
        other.execute("select from pgqueue.lease for update")
        gates["open"].set()
        worker.wait("settled", jobs=0)
        assert jobs.state(id)[0] == "running"
        other.rollback()
        jobs.until(id, "succeeded")
        assert len(worker.seen("job_ended", job_id=id)) == 1


def test_an_outcome_nobody_wants_any_more_is_dropped(
    pg: Database, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    id = jobs.add("gate", {"name": "open"})
    with Inside(app, pg.dsn, heartbeat_interval=600) as worker:
        worker.wait("job_started", job_id=id)
        jobs.connection.execute("delete from pgqueue.lease")
        gates["open"].set()
        worker.wait("refused", job_id=id, problem="stale")
        ended = worker.stop()
    assert ended is not None
    assert ended.jobs == 0
    assert "outcomes refused" in caplog.text


def test_an_outcome_the_server_cannot_store_fails_its_own_job_only(
    pg: Database, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library lets no such thing through; should it ever, it must not stop everybody else's outcomes."""
    broken = App()

    @broken.task
    async def raw(text: str) -> str:
        return text

    monkeypatch.setattr(Task, "encode_result", lambda self, value: value)
    good = [jobs.add("raw", {"text": "1"}) for _ in range(20)]
    bad = jobs.add("raw", {"text": "{"})
    good += [jobs.add("raw", {"text": "2"}) for _ in range(20)]
    with Inside(broken, pg.dsn, concurrency=50) as worker:
        job = jobs.until(bad, "failed")
        assert "json" in job["error"]["message"]
        for id in good:
            jobs.until(id, "succeeded")
        assert len(worker.seen("job_ended", job_id=bad)) == 1


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_large_args_and_results(pg: Database, jobs: Jobs, size: int) -> None:
    large = App()

    @large.task
    def echo(text: str) -> str:
        return text

    ids = [jobs.add("echo", {"text": "x" * size}) for _ in range(4)]
    with Inside(large, pg.dsn):
        for id in ids:
            assert len(jobs.until(id, "succeeded")["result"]) == size


def test_locks_held_by_others_delay_but_do_not_stop(pg: Database, jobs: Jobs) -> None:
    """Claims that run into their lock timeout are tried again."""
    other = pg.connect(autocommit=False)
    with Inside(app, pg.dsn, lock_timeout=0.05, upkeep=False) as worker:
        worker.wait("asleep")
        other.execute("lock table pgqueue.ready in access exclusive mode")
        adder = pg.connect()
        thread = threading.Thread(target=adder.execute, args=("select pgqueue.enqueue('nothing')",))
        thread.start()
        worker.wait("heartbeat", count=len(worker.seen("heartbeat")) + 3)
        other.rollback()
        thread.join(10)
        until(lambda: jobs.counts() == {"succeeded": 1}, "the job to succeed")


def test_a_worker_whose_lanes_are_all_busy_rests(pg: Database, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due meanwhile, here a poll, is left to the lane that is free first."""
    pokes: list[None] = []
    poke = ClaimLoop.poke
    monkeypatch.setattr(ClaimLoop, "poke", lambda self: (pokes.append(None), poke(self))[1])
    id = jobs.add("gate", {"name": "open"})
    other = pg.connect(autocommit=False)
    settings = {"queues": ["default", ("other", 5)], "poll_interval": 0.01, "heartbeat_interval": 0.1}
    with Inside(app, pg.dsn, connections=1, upkeep=False, **settings) as worker:
        worker.wait("job_started", job_id=id)
        other.execute("lock table pgqueue.outcome in access exclusive mode")
        gates["open"].set()
        blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%settle%%'"
        until(lambda: jobs.one(blocked) > 0, "the settlement to be blocked")
        pokes.clear()
        worker.wait("heartbeat", count=len(worker.seen("heartbeat")) + 5)
        assert len(pokes) < 20
        other.rollback()
        jobs.until(id, "succeeded")
