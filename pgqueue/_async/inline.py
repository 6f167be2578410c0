"""Working through queues in the calling code instead of a worker: what `pgqueue.testing` offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from pgqueue import _running
from pgqueue._async.client import AsyncClient
from pgqueue._running import arun_handler
from pgqueue.errors import PgQueueError, UnknownJob
from pgqueue.keyed import KIND
from pgqueue.models import ClaimedJob, Job
from pgqueue.outcomes import Settlement

if TYPE_CHECKING:
    from pgqueue._async.rowdrain import AsyncRowDrain
    from pgqueue.registry import App

__all__ = ["client_for", "drain", "find", "waiting"]


@asynccontextmanager
async def client_for(app: App, where: AsyncConnection[Any] | str | None) -> AsyncIterator[AsyncClient]:
    """A client on a connection, on a DSN, or on the App's own connections."""
    if isinstance(where, str):
        async with AsyncClient(where, schema=app.schema) as client:
            yield client
    elif where is None:
        yield app.aclient
    else:
        yield AsyncClient(connection=where, schema=app.schema)


async def drain(
    app: App,
    where: AsyncConnection[Any] | str | None,
    queues: Sequence[str] | None,
    *,
    until_empty: bool,
    due: bool,
    reraise: bool,
    at_most: int,
) -> list[Job]:
    """See `pgqueue.testing.drain`."""
    chosen = list(queues) if queues is not None else sorted({app.queue, *app.queues()})
    seen: dict[int, None] = {}
    async with client_for(app, where) as client:
        worker = await client.register_worker("pgqueue.testing", chosen, 1)
        hooks = _running.AsyncHooks(client, app)
        rows = _rows(app, client, hooks)
        runs = 0
        is_dry = False
        try:
            while True:
                if due:
                    await client.maintain(["promote", "dependents", "admit"])
                jobs = await client.claim(worker, chosen, 1 if until_empty else at_most)
                for job in jobs:
                    runs += 1
                    if runs > at_most:
                        raise PgQueueError(
                            f"{at_most} jobs have run and there are more",
                            "is there a job that enqueues itself? see at_most",
                        )
                    seen[job.id] = None
                    await _run(app, client, job, hooks, rows, reraise)
                if not until_empty:
                    break
                if jobs:
                    is_dry = False
                elif is_dry or await client.next_due() is None:
                    break
                else:  # jobs may wait for others that have ended without knowing of them
                    await client.maintain(["dependents"])
                    is_dry = True
        finally:
            if rows is not None:
                await rows.aclose()
            await client.deregister_worker(worker)
        return [app.hooks.opened(job) for job in await find(client, seen)]


def _rows(app: App, client: AsyncClient, hooks: _running.AsyncHooks) -> AsyncRowDrain | None:
    if not app.processors:
        return None
    from pgqueue._async.rowdrain import AsyncRowDrain  # half of the worker comes with it

    return AsyncRowDrain(app, client, hooks)


async def _run(
    app: App,
    client: AsyncClient,
    job: ClaimedJob,
    hooks: _running.AsyncHooks,
    rows: AsyncRowDrain | None,
    reraise: bool,
) -> None:
    failure: BaseException | None = None
    try:
        if job.kind == KIND:
            found = await client.keyed_get(id=job.id)
            executor, call = _running.prepare_item(app, job, found, _running.AsyncMerging(client), hooks)
            settlement = Settlement("succeeded", executor.result(await arun_handler(executor, call)))
        elif rows is not None and rows.knows(job.kind):
            settlement, failure = await rows.run(job)
        else:
            parents = await hooks.aparents(job) if _running.wants_parents(job) else []
            task, call = _running.prepare(app, job, hooks, parents)
            settlement = _running.settlement_of_value(app, task, await arun_handler(task, call))
    except Exception as error:
        failure = error
        settlement = _running.settlement_of_exception(error)
    await hooks.sent()
    if job.kind in app.tasks:
        settlement = app.hooks.sealed(settlement, failure)
    await client.settle(
        [job.lease],
        [job.id],
        [settlement.outcome],
        [settlement.result],
        [settlement.error],
        [settlement.delay],
    )
    if failure is not None and reraise:
        raise failure


async def find(client: AsyncClient, ids: Sequence[int] | dict[int, None]) -> list[Job]:
    """These jobs as they are now, without those of which the queue keeps no history."""
    found = []
    for id in ids:
        try:
            found.append(await client.job(id))
        except UnknownJob:
            continue
    return found


async def waiting(
    client: AsyncClient,
    matches: Callable[[Job], bool],
    queue: str | None,
    kind: str | None,
    opened: Callable[[Job], Job] | None = None,
) -> list[Job]:
    """The jobs that are not final and match, oldest first."""
    found: list[Job] = []
    before: int | None = None
    while page := await client.jobs(queue, kind, None, before, 500):
        before = page[-1].id
        for line in page:
            if line.state not in ("succeeded", "failed", "cancelled"):
                jobs = await find(client, [line.id])
                found += [job for job in (map(opened, jobs) if opened else jobs) if matches(job)]
    return found[::-1]
