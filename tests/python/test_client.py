"""Client and AsyncClient on a real schema."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg.rows
import psycopg_pool
import pytest

from pgqueue import AsyncClient, Client, Conflict, InvalidArgument, QueueFull, UnknownJob, UnknownWorker
from pgqueue._json import dumps
from pgqueue.models import Enqueued
from tests.support.cluster import Database


@pytest.fixture
def client(pg: Database) -> Iterator[Client]:
    with Client(pg.dsn) as client:
        yield client


def test_the_life_of_a_job(client: Client) -> None:
    due = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    job = client.enqueue(
        "k", {"a": [1, "ü\\\"'", None]}, queue="q", priority=-3, run_at=due, unique_key="u", max_attempts=2,
        timeout=1.5, expires_in=timedelta(days=400), heartbeat=30, backoff={"base": 1}, headers={"h": {}},
    )  # fmt: skip
    assert job == Enqueued(job.id, True)
    assert client.enqueue("k", queue="q", unique_key="u") == Enqueued(job.id, False)
    seen = client.job(job.id)
    assert (seen.state, seen.run_at, seen.priority, seen.timeout) == ("scheduled", due, -3, timedelta(seconds=1.5))
    assert seen.args == {"a": [1, "ü\\\"'", None]}
    assert client.reschedule(job.id, datetime.now(UTC)).changed
    client.maintain(["promote"])

    worker = client.register_worker("w", ["q"])
    [claimed] = client.claim(worker, ["q"], 5)
    assert (claimed.id, claimed.args, claimed.headers, claimed.timeout) == (job.id, seen.args, {"h": {}}, seen.timeout)
    beat = client.job_heartbeat(claimed.lease, claimed.id, {"done": 0.5})
    assert (beat.alive, beat.cancel_requested) == (True, False)
    assert client.job(job.id).progress == {"done": 0.5}
    assert client.cancel(job.id, "because").changed
    assert [d.action for d in client.worker_heartbeat(worker, [claimed.lease])] == ["cancel"]
    assert client.settle([claimed.lease], [claimed.id], ["succeeded"], [dumps({"r": '"'})]) == []
    assert client.settle([claimed.lease], [claimed.id], ["succeeded"])[0].problem == "stale"
    result = client.result(job.id)
    assert (result.state, result.result, result.is_final) == ("succeeded", {"r": '"'}, True)
    assert client.deregister_worker(worker) == 0
    with pytest.raises(UnknownWorker):
        client.claim(worker, ["q"])
    with pytest.raises(Conflict):
        client.retry(job.id)


def test_settle_and_claim_in_one_turn(client: Client) -> None:
    ids = [answer.id for answer in client.enqueue_each("k", [{"n": n} for n in range(3)])]
    worker = client.register_worker("w", ["default"], 2, {"pid": 1})
    [first] = client.claim(worker, ["default"], 1)
    turn = client.settle_and_claim(
        worker, [first.lease, first.lease], [first.id, ids[2]], ["failed", "succeeded"], [None, None],
        [dumps({"type": "E", "message": "m", "traceback": "t"}), None], [None, None], ["default"], 10,
    )  # fmt: skip
    assert [(problem.job_id, problem.problem) for problem in turn.problems] == [(ids[2], "stale")]
    assert [job.id for job in turn.jobs] == ids[1:]
    [attempt] = client.attempts(first.id)
    assert attempt.error == {"type": "E", "message": "m", "traceback": "t"}
    [shown] = client.workers()
    assert (shown.name, shown.queues, shown.concurrency, shown.info, shown.running) == (
        "w",
        ["default"],
        2,
        {"pid": 1},
        2,
    )


def test_looking_around(client: Client) -> None:
    ids = [
        answer.id
        for answer in client.enqueue_many(
            [
                {"kind": "a"},
                {"kind": "b", "delay": timedelta(hours=1), "timeout": 5},
                {"kind": "c", "run_at": datetime(2031, 1, 1, tzinfo=UTC)},
            ]
        )
    ]
    assert [job.id for job in client.jobs(max=2)] == ids[:0:-1]
    assert [job.id for job in client.jobs(before=ids[1])] == ids[:1]
    assert [job.kind for job in client.jobs(state="scheduled")] == ["c", "b"]
    [queue] = [line for line in client.queues() if line.queue != "scripts"]
    assert (queue.queue, queue.queued, queue.scheduled, queue.paused) == ("default", 1, 2, False)
    assert client.pause_queue("default")
    assert "paused" in client.why(ids[0])
    assert client.resume_queue("default")
    settings = client.configure_queue("default", {"max_running": 3, "timeout": timedelta(seconds=90)})
    assert settings["max_running"] == 3
    assert client.configure_group("default", "g", {"rate_period": timedelta(seconds=90), "weight": 2})["weight"] == 2
    assert [(group.group_key, group.blocked_by) for group in client.groups("default")] == [("g", None)]
    assert not client.unblock_group("default", "g")
    assert client.configure_group("default", "g", {"rate_period": None, "weight": None}) == {}
    client.configure_queue("full", {"max_queued": 0})
    with pytest.raises(QueueFull):
        client.enqueue("a", queue="full")
    assert client.configure({"lost_after": timedelta(seconds=40)})["lost_after"]
    due = client.next_due()
    assert due is not None
    assert due > datetime.now(UTC)
    assert client.version()
    assert all(item.item for item in client.health())
    assert client.wait(ids[0], 0.01).state == "queued"
    assert client.cancel(ids[0]).state == "cancelled"
    assert client.wait(ids[0], 5).reason == "cancelled_by_user"
    with pytest.raises(UnknownJob):
        client.job(10**15)


def test_a_rolled_back_enqueue_leaves_nothing(pg: Database) -> None:
    with pg.connect(autocommit=False) as connection:
        client = Client(connection=connection)
        client.enqueue("k", unique_key="u")
        client.enqueue_many([{"kind": "k", "group_key": "g"}])
        client.enqueue_each("k", [{}] * 10)
        assert len(client.jobs()) == 12
        connection.rollback()
        assert client.jobs() == []
        assert client.enqueue("k", unique_key="u").created


def test_the_caller_s_connection_may_be_as_odd_as_it_likes(pg: Database) -> None:
    with pg.connect(row_factory=psycopg.rows.dict_row, cursor_factory=psycopg.ClientCursor) as connection:
        id = Client().on(connection).enqueue("k", {"a": 1}).id
        assert Client(connection=connection).job(id).args == {"a": 1}
    with pg.connect(cursor_factory=psycopg.RawCursor, prepare_threshold=0, client_encoding="latin1") as connection:
        client = Client(connection=connection)
        assert client.enqueue("ü", {"a": "ü"}).id
        with pytest.raises(InvalidArgument, match="encoding"):
            client.enqueue("\N{SNOWMAN}")


def test_a_pool_of_the_caller_s(pg: Database) -> None:
    with psycopg_pool.ConnectionPool(pg.dsn, min_size=1, max_size=1) as pool:
        with Client(pool) as client:
            id = client.enqueue("k").id
        assert Client(pool).job(id).state == "queued"


def test_session_functions_want_a_session(client: Client, pg: Database) -> None:
    for call in (client.try_lead, client.worker_wake, client.unwatch, lambda: client.watch([1])):
        with pytest.raises(InvalidArgument, match=r"on client\.on"):
            call()
    with pg.connect() as one, pg.connect() as two:
        assert client.on(one).try_lead()
        assert not client.on(two).try_lead()
        assert client.on(one).stop_leading()
        client.on(one).worker_sleep(["default"])
        client.on(one).worker_wake()
        id = client.enqueue("k").id
        assert client.on(one).watch([id]) == {id: "queued"}
        client.on(one).unwatch()


BAD: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("k" * 201, {}),
    ("k\0", {}),
    ("k", {"queue": ""}),
    ("k", {"queue": "q" * 1000}),
    ("k", {"args": [1]}),
    ("k", {"args": {"a": "\0"}}),
    ("k", {"args": {"a": {1, 2}}}),
    ("k", {"priority": 40_000}),
    ("k", {"priority": "high"}),
    ("k", {"max_attempts": 0}),
    ("k", {"max_attempts": 10**12}),
    ("k", {"delay": -1}),
    ("k", {"delay": timedelta.max}),
    ("k", {"delay": float("inf")}),
    ("k", {"timeout": 0}),
    ("k", {"run_at": datetime(2020, 1, 1)}),
    ("k", {"run_at": datetime(2020, 1, 1, tzinfo=UTC), "delay": 1}),
    ("k", {"unique_key": ""}),
    ("k", {"unique_key": "u" * 501}),
    ("k", {"backoff": {"base": "soon"}}),
    ("k", {"backoff": {"nonsense": 1}}),
    ("k", {"headers": [1]}),
]


@pytest.mark.parametrize(("kind", "options"), BAD, ids=[str(options)[:40] for _, options in BAD])
def test_bad_input_stores_nothing(client: Client, kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        client.enqueue(kind, **options)
    assert client.jobs() == []


@pytest.mark.parametrize(
    "name", ["'; drop schema pgqueue cascade; --", 'a"b', "%s %(x)s {}", ":name", "\N{SNOWMAN}\N{PILE OF POO}"]
)
def test_odd_names_are_just_names(client: Client, name: str) -> None:
    id = client.enqueue(name, {name: name}, queue=name, unique_key=name, group_key=name, headers={name: name}).id
    seen = client.job(id)
    assert (seen.kind, seen.queue, seen.unique_key, seen.group_key) == (name, name, name, name)
    assert seen.args == {name: name}


def test_ten_megabytes_of_arguments(client: Client) -> None:
    big = "x" * 10_000_000
    id = client.enqueue("k", {"big": big}).id
    assert client.job(id).args == {"big": big}


def test_async_is_the_same(pg: Database) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn, max_size=2) as client:
            answers = await asyncio.gather(*(client.enqueue("k", {"n": n}) for n in range(8)))
            assert len({answer.id for answer in answers}) == 8
            async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
                on = client.on(connection)
                await on.enqueue("k")
                assert len(await on.jobs()) == 9
                await connection.rollback()
                assert len(await on.jobs()) == 8
            with pytest.raises(UnknownJob):
                await client.job(10**15)
            with pytest.raises(InvalidArgument, match=r"on client\.on"):
                await client.try_lead()

    asyncio.run(main())


def test_a_transaction_of_several_calls(client: Client, pg: Database) -> None:
    with client.transaction() as tx:
        ids = [tx.enqueue("k").id, tx.enqueue("k").id]
        assert client.jobs() == []
    with pytest.raises(RuntimeError), client.transaction() as tx:
        tx.enqueue("k")
        raise RuntimeError
    with pg.connect(autocommit=False) as connection:
        with pytest.raises(UnknownJob), client.on(connection).transaction() as tx:
            tx.enqueue("gone")
            tx.job(10**15)
        client.on(connection).enqueue("k")
    assert [job.kind for job in client.jobs()] == ["k"] * 3
    assert [job.id for job in client.jobs()][1:] == ids[::-1]


def test_a_closed_client_opens_again(client: Client) -> None:
    client.version()
    client.close()
    assert client.version()
