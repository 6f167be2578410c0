"""Being woken, sleeping, and doing without either."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.harness import Inside, Jobs, until
from tests.worker.proxy import DeafWire
from tests.worker.tasks import app, gates

if TYPE_CHECKING:
    from tests.support.cluster import Database


def session_locks(jobs: Jobs) -> int:
    count = jobs.one(
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()"
        " where l.locktype = 'advisory' and l.pid <> pg_backend_pid()"
    )
    return int(count)


def test_an_idle_worker_is_woken(pg: Database, jobs: Jobs) -> None:
    """Polls are a minute apart, so only a notification can be that quick."""
    with Inside(app, pg.dsn, poll_interval=60, upkeep=False) as worker:
        worker.wait("asleep")
        worker.wait("idle")
        waits = []
        for _ in range(15):
            id = jobs.add("nothing")
            waits.append(jobs.until(id, "succeeded", seconds=5))
        times = [(job["claimed_at"] - job["created_at"]).total_seconds() for job in waits]
    assert statistics.median(times) < 0.1


def test_every_queue_wakes(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, poll_interval=60, upkeep=False, queues=["a", ("b", 1), ("c", 2)]) as worker:
        worker.wait("asleep")
        worker.wait("idle")
        for queue in ("a", "b", "c", "b", "a"):
            jobs.until(jobs.add("nothing", queue=queue), "succeeded", seconds=5)


def test_a_busy_worker_does_not_sleep(pg: Database, jobs: Jobs) -> None:
    listener = pg.connect()
    listener.execute("listen pgqueue_wake")
    with Inside(app, pg.dsn, poll_interval=60, concurrency=1, upkeep=False) as worker:
        worker.wait("asleep")
        id = jobs.add("gate", {"name": "busy"})
        worker.wait("job_started", job_id=id)
        worker.wait("awake")
        list(listener.notifies(timeout=0))
        jobs.add("nothing")
        jobs.many("nothing", 5)
        assert list(listener.notifies(timeout=0)) == []
        gates["busy"].set()
        worker.wait("job_ended", count=7)


def test_what_was_enqueued_silently_is_found_by_polling(pg: Database, jobs: Jobs) -> None:
    """A transaction that looked for sleepers before there were any commits after the worker fell asleep."""
    early = pg.connect(autocommit=False)
    with Inside(app, pg.dsn, poll_interval=0.3, upkeep=False) as worker:
        early.execute("select pgqueue.enqueue('nothing')")
        worker.wait("asleep")
        early.commit()
        worker.wait("job_ended")


def test_polling_only(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, listen=False, poll_interval=0.05) as worker:
        worker.wait("idle")
        for _ in range(3):
            jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
        # upkeep without a leader
        jobs.until(jobs.add("nothing", delay="0.1 seconds"), "succeeded")
        assert session_locks(jobs) == 0
        assert not worker.seen("asleep")


def test_behind_a_pooler_it_says_so_once_and_polls(pg: Database, jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    with DeafWire(pg.dsn) as wire, Inside(app, wire.dsn, poll_interval=0.05) as worker:
        worker.wait("polling")
        for _ in range(3):
            jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
        jobs.until(jobs.add("nothing", delay="0.1 seconds"), "succeeded")
        assert wire.eaten > 0
        assert session_locks(jobs) == 0
        assert jobs.one("select count(*) from pg_stat_activity where application_name like 'pgqueue listen%'") == 0
    assert len([r for r in caplog.records if "notifications do not arrive" in r.message]) == 1


def test_a_direct_listen_dsn_beside_a_pooler(pg: Database, jobs: Jobs) -> None:
    with DeafWire(pg.dsn) as wire:
        with Inside(app, wire.dsn, listen_dsn=pg.dsn, poll_interval=60, upkeep=False) as worker:
            worker.wait("asleep")
            worker.wait("idle")
            jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded", seconds=5)
            assert worker.worker._links.prepare is False


def test_prepared_statements_that_vanish_are_done_without(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, listen=False, poll_interval=0.05) as worker:
        jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")

        forgotten: list[asyncio.Future[Any]] = []
        forget = "do $$ begin execute 'deallocate all'; end $$"
        worker.call(lambda: forgotten.append(asyncio.ensure_future(worker.worker._link.fetch(forget))))
        for _ in range(3):
            jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")
        assert worker.worker._link.prepare is False


def test_the_listening_connection_comes_back(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, poll_interval=60, upkeep=False) as worker:
        worker.wait("asleep")
        jobs.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgqueue listen%'"
        )
        worker.wait("listening", count=2)
        worker.wait("asleep", count=2)
        jobs.until(jobs.add("nothing"), "succeeded", seconds=5)


def test_sleeping_locks_are_gone_after_the_end(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn) as worker:
        worker.wait("asleep")
        worker.wait("leading")
        assert session_locks(jobs) > 0
    until(lambda: session_locks(jobs) == 0, "the locks to go")
