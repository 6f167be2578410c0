"""Bulk operations, edits and failures of the clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import AsyncClient, BulkResult, Client, Conflict, InvalidArgument, JobFilter
from pgqueue._json import dumps
from tests.support.cluster import Database


@pytest.fixture
def client(pg: Database) -> Iterator[Client]:
    with Client(pg.dsn) as client:
        yield client


def fail(client: Client, queue: str = "default") -> list[int]:
    worker = client.register_worker("w", [queue])
    jobs = client.claim(worker, [queue], 1000)
    client.settle(
        [job.lease for job in jobs],
        [job.id for job in jobs],
        ["discard"] * len(jobs),
        errors=[dumps({"type": "Boom", "message": "no"})] * len(jobs),
    )
    return [job.id for job in jobs]


def test_every_operation_goes_to_the_end(client: Client) -> None:
    jobs = [job.id for job in client.enqueue_each("k", [{"n": n} for n in range(25)], queue="a")]
    steps: list[tuple[int, int]] = []
    assert client.count_jobs(JobFilter(queue="a"), "move") == 25
    moved = client.move_jobs(JobFilter(queue="a"), "b", batch=10, progress=lambda *at: steps.append(at))
    assert moved == BulkResult(25, 0)
    assert steps == [(10, 0), (20, 0), (25, 0)]
    assert client.set_priority_of_jobs({"queue": "b", "args": {"n": 3}}, 5) == BulkResult(1, 0)
    assert client.set_priority_of_jobs({"queue": "b"}, 5, batch=7) == BulkResult(24, 1)
    assert client.cancel_jobs(JobFilter(ids=iter(jobs)), batch=10) == BulkResult(25, 0)
    assert client.retry_jobs(JobFilter(state=["failed", "cancelled"], kind="k"), batch=10) == BulkResult(25, 0)
    fail(client, "b")
    (failure,) = client.failures(queue="b", since=datetime.now(UTC) - timedelta(hours=1))
    assert (failure.kind, failure.error_type, failure.message, failure.jobs) == ("k", "Boom", "no", 25)
    assert client.failures(kind="other") == []
    assert client.delete_jobs(JobFilter(error_type="Boom", created_before=datetime.now(UTC))) == BulkResult(25, 0)
    assert client.jobs() == []


def test_a_redrive_with_a_rate_is_spread_over_its_batches(client: Client) -> None:
    client.enqueue_each("k", [{}] * 9)
    fail(client)
    start = datetime.now(UTC) + timedelta(hours=1)
    done = client.retry_jobs(
        JobFilter(state="failed"), rate_limit=2, rate_period=timedelta(minutes=1), starts_at=start, batch=4
    )
    assert done == BulkResult(9, 0)
    due = sorted(job.run_at for job in client.jobs() if job.run_at is not None)
    assert [round((at - start).total_seconds()) for at in due] == [30 * n for n in range(9)]


def test_one_batch_is_a_call_like_any_other(client: Client) -> None:
    client.enqueue_each("k", [{}] * 3)
    step = client.run(client.calls.cancel_jobs(JobFilter(kind="k"), max=2))
    assert (step.done, step.skipped, step.more) == (2, 0, True)
    step = client.run(client.calls.cancel_jobs(JobFilter(kind="k"), max=2, after=step.last))
    assert (step.done, step.more) == (1, False)


def test_on_a_connection_all_batches_are_one_transaction(pg: Database, client: Client) -> None:
    client.enqueue_each("k", [{}] * 30)
    with pg.connect() as connection, connection.transaction(force_rollback=True):
        assert client.on(connection).cancel_jobs(JobFilter(kind="k"), batch=10) == BulkResult(30, 0)
    assert client.count_jobs(JobFilter(kind="k"), "cancel") == 30


def test_the_async_client_does_the_same(pg: Database) -> None:
    async def main() -> list[Any]:
        async with AsyncClient(pg.dsn) as client:
            (job,) = await client.enqueue_each("k", [{"a": 1}])
            changed = await client.edit_job(job.id, args={"a": 2})
            counted = await client.count_jobs(JobFilter(args={"a": 2}), "cancel")
            done = await client.cancel_jobs(JobFilter(args={"a": 2}))
            return [changed.changed, counted, done]

    assert asyncio.run(main()) == [True, 1, BulkResult(1, 0)]


def test_an_edit_before_a_retry(client: Client) -> None:
    job = client.enqueue("k", {"to": "x"}).id
    fail(client)
    assert client.edit_job(job, {"to": "y"}, {"by": "ada"}).changed
    client.retry(job)
    found = client.job(job)
    assert (found.args, found.headers) == ({"to": "y"}, {"by": "ada"})
    worker = client.register_worker("w", ["default"])
    client.claim(worker, ["default"])
    with pytest.raises(Conflict):
        client.edit_job(job, {})


@pytest.mark.parametrize(
    "filter",
    [
        JobFilter(),
        {},
        {"queu": "a"},
        {"queue": None},
        "queue=a",
        JobFilter(created_before=datetime(2030, 1, 1)),
        JobFilter(state="done"),
        JobFilter(ids=["x"]),  # type: ignore[list-item]
    ],
)
def test_bad_filters(client: Client, filter: Any) -> None:
    with pytest.raises(InvalidArgument):
        client.cancel_jobs(filter)
