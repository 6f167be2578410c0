"""pgqueue.testing, on which other people's tests will stand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, InvalidArgument, PgQueueError, Retry, Snooze
from pgqueue.testing import adrain, assert_enqueued, assert_not_enqueued, drain, enqueued, fake_clock
from tests.support.cluster import Database

app = App()
calls: list[Any] = []


@app.task
def parent(n: int, connection: str = "") -> int:
    calls.append(n)
    return n * 2


@app.task(queue="slow")
async def slow(ctx: Context, n: int) -> int:
    await ctx.aprogress({"at": n})
    ctx.progress(n)
    calls.append((ctx.attempt, ctx.queue, ctx.kind, ctx.headers))
    await asyncio.sleep(0)
    return n


@app.task(max_attempts=2)
def twice(ctx: Context) -> str | Retry | Snooze:
    calls.append(ctx.attempt)
    ctx.progress(ctx.attempt)
    return Retry(delay=60, error="not yet") if ctx.attempt == 1 else "done"


@app.task
def broken() -> None:
    raise LookupError("no")


@app.task
def unstorable() -> object:
    return object()


@app.task
def for_ever() -> Snooze:
    return Snooze(0)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    """As in a user's tests: one transaction that is rolled back."""
    with pg.connect(autocommit=False) as connection:
        yield connection
        connection.rollback()


def test_drain_runs_what_is_queued_in_this_transaction(connection: psycopg.Connection[Any]) -> None:
    parent.on(connection).enqueue(1)
    slow.on(connection).options(headers={"h": 1}).enqueue(2)
    parent.on(connection).options(priority=5).enqueue(3)
    jobs = drain(app, connection)
    assert [(job.kind, job.state, job.result) for job in jobs] == [
        ("parent", "succeeded", 6),
        ("parent", "succeeded", 2),
        ("slow", "succeeded", 2),
    ]
    assert calls == [3, 1, (1, "slow", "slow", {"h": 1})]
    assert app.client  # made, but never connected: everything went over the connection given
    assert drain(app, connection) == []


def test_failures_are_recorded_or_raised(connection: psycopg.Connection[Any]) -> None:
    broken.on(connection).options(max_attempts=1).enqueue()
    unstorable.on(connection).enqueue()
    [one, two] = drain(app, connection)
    assert (one.state, one.reason) == ("failed", "error")
    assert one.error is not None
    assert one.error["type"] == "LookupError"
    assert two.state == "failed"
    assert two.error is not None
    assert "result of task 'unstorable' is of type object" in two.error["message"]
    broken.on(connection).enqueue()
    with pytest.raises(LookupError):
        drain(app, connection, reraise=True)


def test_a_kind_nobody_knows_fails(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select pgqueue.enqueue('nobody', max_attempts => 1)")
    connection.execute("select pgqueue.enqueue('nobody')")
    job, again = drain(app, connection)
    assert (job.state, again.state) == ("failed", "scheduled")
    assert job.error is not None
    assert job.error["type"].endswith("UnknownTask")


def test_retries_come_when_the_clock_says_so(connection: psycopg.Connection[Any]) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with fake_clock(connection, start) as clock:
        twice.on(connection).enqueue()
        parent.on(connection).options(run_at=start + timedelta(days=1)).enqueue(1)
        assert [job.state for job in drain(app, connection, due=True)] == ["scheduled"]
        assert calls == [1]
        clock.advance(61)
        [job] = drain(app, connection, due=True)
        assert (job.state, job.result, job.finished_at) == ("succeeded", "done", clock.at)
        clock.set(start + timedelta(days=2))
        assert [job.kind for job in drain(app, connection, due=True)] == ["parent"]
    parent.on(connection).enqueue(2)
    assert enqueued(connection)[-1].created_at.year < 2030
    with pytest.raises(InvalidArgument), fake_clock(connection, datetime(2030, 1, 1)):
        pass


def test_only_what_is_there_now(connection: psycopg.Connection[Any]) -> None:
    for_ever.on(connection).enqueue()
    parent.on(connection).enqueue(1)
    assert len(drain(app, connection, until_empty=False, at_most=10)) == 2
    with pytest.raises(PgQueueError, match="3 jobs have run"):
        drain(app, connection, due=True, at_most=3)


def test_some_queues(connection: psycopg.Connection[Any]) -> None:
    parent.on(connection).enqueue(1)
    slow.on(connection).enqueue(2)
    assert [job.kind for job in drain(app, connection, queues=["slow"])] == ["slow"]


def test_assertions_about_what_is_enqueued(connection: psycopg.Connection[Any]) -> None:
    parent.on(connection).enqueue(1)
    parent.on(connection).options(delay=5).enqueue(2)
    slow.on(connection).enqueue(3)
    assert [job.args for job in enqueued(connection)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [job.args for job in enqueued(connection, parent, args={"n": 2})] == [{"n": 2}]
    assert len(assert_enqueued(connection, "parent", count=2)) == 2
    assert_enqueued(connection, queue="slow")
    assert_not_enqueued(connection, parent, args={"n": 3})
    with pytest.raises(AssertionError, match=r"expected 1 jobs of .*found 2; enqueued is:\n  \d+ parent in default"):
        assert_enqueued(connection, parent, count=1)
    drain(app, connection)
    assert_enqueued(connection, count=1)


def test_adrain(pg: Database) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
            await slow.on(connection).aenqueue(1)
            await twice.on(connection).aenqueue()
            jobs = await adrain(app, connection)
            assert [(job.kind, job.state, job.progress) for job in jobs] == [
                ("twice", "scheduled", 1),
                ("slow", "succeeded", 1),
            ]
            with pytest.raises(InvalidArgument, match="await adrain"), pg.connect() as sync:
                drain(app, sync)

    asyncio.run(main())


def test_a_database_by_its_dsn(pg: Database) -> None:
    with pg.connect() as connection:
        parent.on(connection).enqueue(4)
        assert [job.result for job in drain(app, pg.dsn)] == [8]
        assert connection.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
