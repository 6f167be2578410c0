"""What handlers know and say about themselves, and that they share nothing by accident."""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from pgqueue import App, Context
from pgqueue.worker import current_context
from tests.worker.harness import Inside, Jobs, until
from tests.worker.tasks import app as shared

if TYPE_CHECKING:
    from tests.support.cluster import Database

leak: ContextVar[str] = ContextVar("leak", default="clean")


def test_progress_is_stored(pg: Database, jobs: Jobs) -> None:
    first = jobs.add("report", {"steps": 3}, headers=json.dumps({"trace": "abc"}))
    second = jobs.add("sync_report", {"steps": 3})
    with Inside(shared, pg.dsn):
        job = jobs.until(first, "succeeded")
        jobs.until(second, "succeeded")
    assert job["result"] == {"headers": {"trace": "abc"}, "queue": "default", "kind": "report"}


def test_progress_shows_while_it_runs(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    async def steps(context: Context) -> None:
        context.progress({"percent": 50})
        await asyncio.sleep(3600)

    id = jobs.add("steps")
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_started", job_id=id)
        until(lambda: jobs.get(id)["progress"] == {"percent": 50}, "the progress")
        worker.stop(hard=True)


def test_progress_of_a_lost_lease_stops_the_job(pg: Database, jobs: Jobs) -> None:
    app = App()
    flags: list[bool] = []

    @app.task
    def steps(context: Context) -> None:
        # somebody else has it by now
        jobs.connection.execute("delete from pgqueue.lease")
        context.progress(1)
        flags.append(context.cancelled)

    jobs.add("steps")
    with Inside(app, pg.dsn) as worker:
        worker.wait("cancelling", why="lost")
        worker.wait("heartbeat")
    assert flags == [True]


@pytest.mark.parametrize("is_async", [True, False])
def test_context_variables_do_not_leak_into_the_next_job(pg: Database, jobs: Jobs, is_async: bool) -> None:
    app = App()

    def look() -> str:
        found = leak.get()
        leak.set(f"set by {current_context().job_id}")
        return found

    if is_async:

        @app.task("look")
        async def look_async(wait: bool) -> list[str]:
            first = look()
            if wait:
                await asyncio.sleep(0)
            return [first, leak.get()]

    else:

        @app.task("look")
        def look_sync(wait: bool) -> list[str]:
            return [look(), leak.get()]

    ids = [jobs.add("look", {"wait": wait}) for wait in (False, True, False, True)]
    with Inside(app, pg.dsn, concurrency=1):
        results = {id: jobs.until(id, "succeeded")["result"] for id in ids}
    assert results == {id: ["clean", f"set by {id}"] for id in ids}


def test_current_context_needs_a_job() -> None:
    with pytest.raises(LookupError, match="no job runs here"):
        current_context()


def test_asyncio_tools_work_in_handlers(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    async def tools() -> list[str]:
        said = []
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)
        except TimeoutError:
            said.append("timeout")
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "child"))
        said.append(child.result())
        said.append("current" if asyncio.current_task() is not None else "none")
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            said.append("wait_for")
        said.append(str(current_context().attempt))
        return said

    ids = [jobs.add("tools") for _ in range(5)]
    with Inside(app, pg.dsn, concurrency=2):
        for id in ids:
            assert jobs.until(id, "succeeded")["result"] == ["timeout", "child", "current", "wait_for", "1"]


def test_a_handler_that_cancels_itself_has_failed(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    async def selfish() -> None:
        raise asyncio.CancelledError

    @app.task
    async def awaits_cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    ids = [jobs.add("selfish", max_attempts=1), jobs.add("awaits_cancelled", max_attempts=1)]
    with Inside(app, pg.dsn, concurrency=1):
        for id in ids:
            assert jobs.until(id, "failed")["error"]["type"] == "asyncio.exceptions.CancelledError"
