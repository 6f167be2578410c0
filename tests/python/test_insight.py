"""Logs, timelines and throughput from Python: calls, handles, and jobs that tests run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import App, AsyncClient, Client, Context, InvalidArgument, StaleLease, UnknownJob
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn, job_logs=True)

    @app.task
    def work(context: Context, text: str) -> None:
        context.log(text, rows=1)
        context.logger.warning("odd", extra={"why": text})

    @app.task
    async def awork(context: Context) -> None:
        context.log("one")
        await asyncio.sleep(0)
        context.log("two", "error")

    yield app
    app.close()


def test_what_drained_jobs_log_is_kept(app: App, pg: Database) -> None:
    handle = app.tasks["work"].enqueue("begun")
    with pg.connect() as connection:
        drain(app, connection)
    first, second = handle.log()
    assert (first.line, first.attempt, first.level, first.message, first.fields) == (1, 1, "info", "begun", {"rows": 1})
    assert (second.level, second.message, second.fields) == ("warning", "odd", {"why": "begun"})
    assert datetime.now(UTC) - first.at < timedelta(minutes=1)
    assert handle.log(after=1) == [second]
    assert [event.event for event in handle.timeline()] == [
        "enqueued",
        "claimed",
        "logged",
        "succeeded",
        "retention ends",
    ]


def test_the_same_awaited(app: App) -> None:
    async def main() -> None:
        handle = await app.tasks["awork"].aenqueue()
        other = await app.tasks["work"].aenqueue("in a thread")
        await adrain(app)
        assert [(line.level, line.message) for line in await handle.alog()] == [("info", "one"), ("error", "two")]
        assert [line.message for line in await other.alog(1)] == ["odd"]
        assert (await handle.atimeline())[-1].event == "retention ends"
        await app.aclose()

    asyncio.run(main())


def test_calls(pg: Database) -> None:
    with pg.connect() as connection:
        client = Client(connection=connection)
        id = client.enqueue("k").id
        (job,) = client.claim(client.register_worker("w", ["default"]), ["default"])
        lines: list[dict[str, Any]] = [{"message": "a"}, {"message": "b", "level": "debug", "fields": {"x": [1]}}]
        assert client.log_lines(job.lease, id, lines) == 2
        assert [line.message for line in client.job_log(id, max=1)] == ["a"]
        with pytest.raises(InvalidArgument, match="line 1"):
            client.log_lines(job.lease, id, [{"level": "info"}])
        with pytest.raises(StaleLease):
            client.log_lines(job.lease + 1, id, lines)
        for unknown in (client.job_log, client.job_timeline):
            with pytest.raises(UnknownJob):
                unknown(999)
        client.settle([job.lease], [id], ["succeeded"])
        connection.execute("select set_config('pgqueue.now', (now() + interval '1 minute')::text, false)")
        client.maintain(["metrics"])
        since = datetime.now(UTC) - timedelta(hours=1)
        (row,) = client.throughput("default", since=since, step=timedelta(days=1), by_kind=True)
        assert (row.queue, row.kind, row.succeeded, row.failed, row.cancelled) == ("default", "k", 1, 0, 0)
        assert row.wait_max is not None and timedelta(0) < row.wait_max < timedelta(minutes=1)
        with pytest.raises(InvalidArgument, match="step"):
            client.throughput(step=30)


def test_async_calls(pg: Database) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn) as client:
            id = (await client.enqueue("k")).id
            assert await client.job_log(id) == await client.throughput() == []
            assert [event.event for event in await client.job_timeline(id)] == ["enqueued"]

    asyncio.run(main())
