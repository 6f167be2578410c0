"""Waiting for results: by notification, by polling, through failures."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from pgqueue import App, Cancel, Client, Discard, JobFailed, ResultTimeout, Retry, UnknownJob, _waiting
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database, wait_for


@dataclass
class Report:
    day: date
    lines: int


def make(pg: Database, **options: Any) -> App:
    app = App(pg.dsn, **options)

    @app.task(max_attempts=1)
    def report(day: date) -> Report | Discard:
        return Report(day, 3)

    @app.task(max_attempts=1)
    async def fail(how: str) -> int | Cancel | Discard | Retry:
        match how:
            case "cancel":
                return Cancel("not wanted")
            case "discard":
                return Discard("useless")
            case "retry":
                return Retry(error=RuntimeError("again"))
        raise ValueError("broken")

    return app


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = make(pg)
    yield app
    app.close()


def waiters(pg: Database) -> int:
    with pg.connect() as connection:
        [count] = connection.execute("select count(*) from pgqueue.waiter").fetchone() or (0,)
    return int(count)


DAY = date(2026, 1, 2)


@pytest.mark.parametrize("listen", [True, False])
def test_result_blocks_until_the_job_has_ended(pg: Database, listen: bool) -> None:
    app = make(pg, listen=listen)
    handle = app.tasks["report"].enqueue(DAY)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(handle.result(30)))
    thread.start()
    if listen:
        wait_for(lambda: waiters(pg), "the waiter's registration")
    drain(app, pg.dsn)
    thread.join(30)
    assert found == [Report(DAY, 3)]
    assert (waiters(pg) > 0) == listen
    assert handle.result(0) == Report(DAY, 3)
    app.close()


@pytest.mark.parametrize("listen", [True, False])
def test_aresult_for_many(pg: Database, listen: bool) -> None:
    app = make(pg, listen=listen)

    async def main() -> None:
        handles = await app.tasks["report"].aenqueue_many([(DAY,)] * 20)
        waiting = [asyncio.create_task(handle.aresult(30)) for handle in handles]
        if listen:
            await asyncio.to_thread(wait_for, lambda: waiters(pg) == 20, "the registrations")
        await adrain(app, pg.dsn)
        assert await asyncio.gather(*waiting) == [Report(DAY, 3)] * 20
        sessions = "select count(*) from pg_stat_activity where query ilike 'listen%' or query ilike '%pgqueue.watch%'"
        with pg.connect() as connection:
            assert connection.execute(f"{sessions} and pid <> pg_backend_pid()".encode()).fetchone() == (int(listen),)
        await app.aclose()

    asyncio.run(main())


def test_a_notification_beats_the_poll(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_POLL", "_FIRST_POLL_LISTENING", "_LONGEST_POLL"):
        monkeypatch.setattr(_waiting, name, 60.0)
    app = make(pg)
    handle = app.tasks["report"].enqueue(DAY)

    async def main() -> None:
        waiting = asyncio.create_task(handle.aresult())
        await asyncio.to_thread(wait_for, lambda: waiters(pg), "the registration")
        await asyncio.to_thread(drain, app, pg.dsn)
        assert await asyncio.wait_for(waiting, 20) == Report(DAY, 3)
        # One that ended before it was asked for, and one that is asked for while the listener is there already.
        assert await handle.aresult(5) == Report(DAY, 3)
        later = await app.tasks["report"].aenqueue(DAY)
        waiting = asyncio.create_task(later.aresult())
        await asyncio.to_thread(wait_for, lambda: waiters(pg) == 2, "the second registration")
        await adrain(app, pg.dsn)
        assert await asyncio.wait_for(waiting, 20) == Report(DAY, 3)
        await app.aclose()

    asyncio.run(main())
    handle = app.tasks["report"].enqueue(DAY)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(handle.result()))
    thread.start()
    wait_for(lambda: waiters(pg) == 3, "the sync registration")
    drain(app, pg.dsn)
    thread.join(20)
    assert found == [Report(DAY, 3)]
    app.close()


@pytest.mark.parametrize(
    ("how", "state", "words"),
    [
        ("raise", "failed", "ValueError: broken"),
        ("retry", "failed", "RuntimeError: again"),
        ("discard", "failed", "useless"),
        ("cancel", "cancelled", "cancelled_by_worker"),
    ],
)
def test_a_job_that_failed_raises(app: App, pg: Database, how: str, state: str, words: str) -> None:
    handle = app.tasks["fail"].enqueue(how)
    drain(app, pg.dsn)
    with pytest.raises(JobFailed, match=words) as caught:
        handle.result(5)
    error = caught.value
    assert (error.job_id, error.state) == (handle.id, state)
    if how == "raise":
        assert error.error is not None
        assert 'raise ValueError("broken")' in error.error["traceback"]


def test_time_runs_out(app: App) -> None:
    handle = app.tasks["report"].enqueue(DAY)
    with pytest.raises(ResultTimeout, match="has not ended within"):
        handle.result(0.05)

    async def main() -> None:
        with pytest.raises(ResultTimeout):
            await handle.aresult(0.05)
        await app.aclose()

    asyncio.run(main())


def test_a_job_that_was_never_committed(app: App, pg: Database) -> None:
    with pg.connect(autocommit=False) as connection:
        handle = app.tasks["report"].on(connection).enqueue(DAY)
        with pytest.raises(UnknownJob):
            handle.result(5)

        async def main() -> None:
            with pytest.raises(UnknownJob):
                await handle.aresult(5)
            await app.aclose()

        asyncio.run(main())
        connection.rollback()


def test_a_result_that_does_not_fit_the_annotation_any_more(app: App) -> None:
    handle = app.tasks["report"].enqueue(DAY)
    client = app.client
    worker = client.register_worker("w", ["default"])
    [job] = client.claim(worker, ["default"])
    client.settle([job.lease], [job.id], ["succeeded"], ['{"dia": 1}'])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="does not fit the function's return annotation"):
        handle.result(5)
    assert app.handle(handle.id).result(5) == {"dia": 1}


def test_more_threads_than_listening_slots_poll(app: App, pg: Database) -> None:
    handles = app.tasks["report"].enqueue_many([(DAY,)] * 6)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda handle=handle: found.append(handle.result(30))) for handle in handles]
    for thread in threads:
        thread.start()
    wait_for(lambda: waiters(pg) == 2, "two listeners")
    drain(app, pg.dsn)
    for thread in threads:
        thread.join(30)
    assert len(found) == 6


CUT = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where application_name = 'pgqueue' and datname = current_database() and pid <> pg_backend_pid()
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_waiting_survives_the_loss_of_every_connection(app: App, pg: Database, kind: str, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "pgqueue.results")
    handle = app.tasks["report"].enqueue(DAY)

    async def wait() -> Any:
        try:
            return await handle.aresult(30)
        finally:
            await app.aclose()

    found: list[Any] = []

    def get() -> None:
        found.append(handle.result(30) if kind == "sync" else asyncio.run(wait()))

    thread = threading.Thread(target=get)
    thread.start()
    wait_for(lambda: waiters(pg), "the registration")
    with pg.connect() as connection:
        assert connection.execute(CUT).fetchall()
    wait_for(lambda: caplog.records, "the loss being noticed")
    with Client(pg.dsn) as client:
        worker = client.register_worker("w", ["default"])
        [job] = client.claim(worker, ["default"])
        client.settle([job.lease], [job.id], ["succeeded"], ['{"day": "2026-01-02", "lines": 3}'])  # type: ignore[list-item]
    thread.join(30)
    assert found == [Report(DAY, 3)]


def test_one_lost_job_does_not_disturb_the_others(app: App, pg: Database) -> None:
    async def main() -> None:
        client = app.aclient
        await client.configure_queue("forgetful", {"history": "none"})
        gone = await app.tasks["report"].options(queue="forgetful").aenqueue(DAY)
        kept = await app.tasks["report"].aenqueue(DAY)
        waiting = [asyncio.create_task(handle.aresult(30)) for handle in (gone, kept)]
        await asyncio.to_thread(wait_for, lambda: waiters(pg) == 2, "the registrations")
        await adrain(app, pg.dsn, queues=["forgetful", "default"])
        lost, found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(lost, UnknownJob)
        assert found == Report(DAY, 3)
        await app.aclose()

    asyncio.run(main())


def test_the_listener_goes_when_nobody_waits(app: App, pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_waiting, "_LINGER", 0.05)

    async def main() -> None:
        handle = await app.tasks["report"].aenqueue(DAY)
        waiting = asyncio.create_task(handle.aresult(30))
        await asyncio.to_thread(wait_for, lambda: waiters(pg), "the registration")
        await adrain(app, pg.dsn)
        await waiting
        task = app.aclient.results()._task
        assert task is not None
        await asyncio.wait_for(task, 10)
        await app.aclose()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 20


def test_a_final_state_never_comes_without_its_result(pg: Database) -> None:
    """One session settles job after job while another asks for each: whatever the moment, succeeded means with a
    result.
    """
    with pg.connect() as mine, pg.connect() as theirs:
        settling, asking = Client(connection=mine), Client(connection=theirs)
        worker = settling.register_worker("w", ["default"])
        for _ in range(15):
            settling.enqueue_each("k", [{}] * 20)
            jobs = settling.claim(worker, ["default"], 20)

            def settle(jobs: list[Any] = jobs) -> None:
                for job in jobs:
                    settling.settle([job.lease], [job.id], ["succeeded"], ["1"])  # type: ignore[list-item]

            thread = threading.Thread(target=settle)
            thread.start()
            seen = []
            for job in jobs:
                while not (result := asking.result(job.id)).is_final:
                    pass
                seen.append(result.result)
            thread.join()
            assert seen == [1] * 20
