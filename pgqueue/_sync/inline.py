# Generated from pgqueue/_async/inline.py by pgqueue/_async/generate.py: change it there.
"""Working through queues in the calling code instead of a worker: what `pgqueue.testing` offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from pgqueue import _running
from pgqueue._running import run_handler
from pgqueue._sync.client import Client
from pgqueue.errors import PgQueueError, UnknownJob
from pgqueue.keyed import KIND
from pgqueue.models import ClaimedJob, Job
from pgqueue.outcomes import Settlement

if TYPE_CHECKING:
    from pgqueue._sync.rowdrain import RowDrain
    from pgqueue.registry import App

__all__ = ["client_for", "drain", "find", "waiting"]


@contextmanager
def client_for(app: App, where: Connection[Any] | str | None) -> Iterator[Client]:
    """A client on a connection, on a DSN, or on the App's own connections."""
    if isinstance(where, str):
        with Client(where, schema=app.schema) as client:
            yield client
    elif where is None:
        yield app.client
    else:
        yield Client(connection=where, schema=app.schema)


def drain(
    app: App,
    where: Connection[Any] | str | None,
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
    with client_for(app, where) as client:
        worker = client.register_worker("pgqueue.testing", chosen, 1)
        hooks = _running.Hooks(client, app)
        rows = _rows(app, client, hooks)
        runs = 0
        is_dry = False
        try:
            while True:
                if due:
                    client.maintain(["promote", "dependents", "admit"])
                jobs = client.claim(worker, chosen, 1 if until_empty else at_most)
                for job in jobs:
                    runs += 1
                    if runs > at_most:
                        raise PgQueueError(
                            f"{at_most} jobs have run and there are more",
                            "is there a job that enqueues itself? see at_most",
                        )
                    seen[job.id] = None
                    _run(app, client, job, hooks, rows, reraise)
                if not until_empty:
                    break
                if jobs:
                    is_dry = False
                elif is_dry or client.next_due() is None:
                    break
                else:  # jobs may wait for others that have ended without knowing of them
                    client.maintain(["dependents"])
                    is_dry = True
        finally:
            if rows is not None:
                rows.close()
            client.deregister_worker(worker)
        return [app.hooks.opened(job) for job in find(client, seen)]


def _rows(app: App, client: Client, hooks: _running.Hooks) -> RowDrain | None:
    if not app.processors:
        return None
    from pgqueue._sync.rowdrain import RowDrain  # half of the worker comes with it

    return RowDrain(app, client, hooks)


def _run(
    app: App,
    client: Client,
    job: ClaimedJob,
    hooks: _running.Hooks,
    rows: RowDrain | None,
    reraise: bool,
) -> None:
    failure: BaseException | None = None
    try:
        if job.kind == KIND:
            found = client.keyed_get(id=job.id)
            executor, call = _running.prepare_item(
                app, job, found, _running.Merging(client), hooks
            )
            settlement = Settlement(
                "succeeded", executor.result(run_handler(executor, call))
            )
        elif rows is not None and rows.knows(job.kind):
            settlement, failure = rows.run(job)
        else:
            parents = hooks.parents(job) if _running.wants_parents(job) else []
            task, call = _running.prepare(app, job, hooks, parents)
            settlement = _running.settlement_of_value(
                app, task, run_handler(task, call)
            )
    except Exception as error:
        failure = error
        settlement = _running.settlement_of_exception(error)
    hooks.sent()
    if job.kind in app.tasks:
        settlement = app.hooks.sealed(settlement, failure)
    client.settle(
        [job.lease],
        [job.id],
        [settlement.outcome],
        [settlement.result],
        [settlement.error],
        [settlement.delay],
    )
    if failure is not None and reraise:
        raise failure


def find(client: Client, ids: Sequence[int] | dict[int, None]) -> list[Job]:
    """These jobs as they are now, without those of which the queue keeps no history."""
    found = []
    for id in ids:
        try:
            found.append(client.job(id))
        except UnknownJob:
            continue
    return found


def waiting(
    client: Client,
    matches: Callable[[Job], bool],
    queue: str | None,
    kind: str | None,
    opened: Callable[[Job], Job] | None = None,
) -> list[Job]:
    """The jobs that are not final and match, oldest first."""
    found: list[Job] = []
    before: int | None = None
    while page := client.jobs(queue, kind, None, before, 500):
        before = page[-1].id
        for line in page:
            if line.state not in ("succeeded", "failed", "cancelled"):
                jobs = find(client, [line.id])
                found += [
                    job
                    for job in (map(opened, jobs) if opened else jobs)
                    if matches(job)
                ]
    return found[::-1]
