"""Tasks enqueued for real: on the App's connections, on the caller's, one and many."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import App, Backoff, InvalidArgument, JobHandle, NotSerialisable, UnknownTask
from pgqueue._bulk import aslices, slices
from tests.support.cluster import Database


@dataclass
class Order:
    number: int
    when: datetime


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn)

    @app.task(
        queue="orders", priority=2, backoff=Backoff("constant", base=1), unique_key=lambda order: str(order.number)
    )
    def ship(order: Order) -> Order:
        return order

    @app.task
    def note(text: str, loud: bool = False) -> None: ...

    yield app
    app.close()


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_enqueue_commits_on_its_own(app: App) -> None:
    handle = app.tasks["ship"].enqueue(Order(7, NOW))
    again = app.tasks["ship"].enqueue(Order(7, NOW))
    assert (handle.created, again.created, handle.id) == (True, False, again.id)
    job = handle.job()
    assert (job.kind, job.queue, job.priority, job.unique_key) == ("ship", "orders", 2, "7")
    assert job.args == {"order": {"number": 7, "when": "2026-01-02T00:00:00+00:00"}}
    assert handle.status() == "queued"
    assert handle.cancel("no").state == "cancelled"


def test_options_of_one_call(app: App) -> None:
    task = app.tasks["note"].options(
        queue="other", delay=60, group_key=lambda text, **_: text[:1], max_attempts=2, timeout=timedelta(seconds=3)
    )
    job = task.enqueue("hello", loud=True).job()
    assert (job.queue, job.state, job.group_key, job.max_attempts) == ("other", "scheduled", "h", 2)
    assert job.timeout == timedelta(seconds=3)
    assert task.options(run_at=NOW).enqueue("a").job().state == "queued"
    with pytest.raises(InvalidArgument, match="unique_key function of task 'note'"):
        task.options(unique_key=lambda: "x").enqueue("a")


def test_enqueue_in_the_caller_s_transaction(app: App, pg: Database) -> None:
    note = app.tasks["note"]
    with pg.connect(autocommit=False) as connection:
        kept = note.on(connection).enqueue("kept")
        connection.commit()
        gone = note.on(connection).enqueue("gone")
        note.on(connection).enqueue_many([("gone",)] * 5)
        connection.rollback()
        with connection.transaction():
            inside = note.on(connection).enqueue("inside")
    assert [job.id for job in app.client.jobs()] == [inside.id, kept.id]
    assert gone.id not in (inside.id, kept.id)


def test_the_wrong_kind_of_connection_is_named(app: App, pg: Database) -> None:
    note = app.tasks["note"]

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
            with pytest.raises(InvalidArgument, match="AsyncConnection: await task"):
                note.on(connection).enqueue("a")
        with pg.connect() as sync, pytest.raises(InvalidArgument, match="Connection: task"):
            await note.on(sync).aenqueue("a")

    asyncio.run(main())


@pytest.mark.parametrize("bad", [{1}, b"x", "a\0", float("nan"), {1: 2}, object(), NOW])
def test_what_json_cannot_carry_is_refused_and_nothing_is_stored(app: App, bad: Any) -> None:
    with pytest.raises(NotSerialisable, match="argument 'text'"):
        app.tasks["note"].enqueue(bad)
    with pytest.raises(NotSerialisable, match="argument 'text'"):
        app.tasks["note"].enqueue_many([("fine",), (bad,)])
    assert app.client.jobs() == []


def test_many(app: App) -> None:
    handles = app.tasks["note"].enqueue_many((str(n), True) if n % 2 else {"text": str(n)} for n in range(2_500))
    assert len(handles) == handles.created == 2_500
    assert len(set(handles.ids)) == 2_500
    assert handles[-1].job().args == {"text": "2499", "loud": True}
    assert [handle.id for handle in handles[10:12]] == list(handles.ids[10:12])
    assert isinstance(handles[0], JobHandle)
    assert app.tasks["note"].enqueue_many([]).created == 0
    with pytest.raises(InvalidArgument, match="tuples or mappings"):
        app.tasks["note"].enqueue_many(["text"])  # type: ignore[list-item]


def test_many_with_keys_join_the_jobs_that_live(app: App) -> None:
    ship = app.tasks["ship"]
    first = ship.enqueue(Order(1, NOW))
    handles = ship.enqueue_many([(Order(n, NOW),) for n in (1, 2, 2)])
    assert handles.created == 1
    assert handles[0].id == first.id
    assert handles[1].id == handles[2].id


def test_many_are_all_or_none(app: App) -> None:
    def calls() -> Iterator[tuple[str]]:
        for n in range(1_500):
            yield (str(n),)
        raise RuntimeError("the source has failed")

    with pytest.raises(RuntimeError):
        app.tasks["note"].enqueue_many(calls())
    assert app.client.jobs() == []


def test_slices_are_bounded_by_number_and_by_size() -> None:
    small = list(slices(range(2_500), lambda n: (str(n), None, None)))  # type: ignore[arg-type, return-value]
    assert [len(part) for part in small] == [1_000, 1_000, 500]
    large = list(slices(range(5), lambda n: ("x" * 2_500_000, None, None)))  # type: ignore[arg-type, return-value]
    assert [len(part) for part in large] == [2, 2, 1]

    async def numbers() -> AsyncIterator[int]:
        for n in range(2_001):
            yield n

    async def lengths(source: Any) -> list[int]:
        return [len(part) async for part in aslices(source, lambda n: (str(n), None, None))]  # type: ignore[arg-type, return-value]

    assert asyncio.run(lengths(numbers())) == asyncio.run(lengths(range(2_001))) == [1_000, 1_000, 1]


def test_async_enqueues(app: App, pg: Database) -> None:
    note = app.tasks["note"]

    async def calls() -> AsyncIterator[tuple[str]]:
        for n in range(10):
            yield (str(n),)

    async def main() -> None:
        handle = await note.aenqueue("a")
        assert await handle.astatus() == "queued"
        assert (await handle.ajob()).args == {"text": "a"}
        assert (await handle.acancel()).state == "cancelled"
        assert (await note.aenqueue_many(calls())).created == 10
        assert (await app.aenqueue("elsewhere", {"x": 1})).created
        async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
            await note.on(connection).aenqueue("b")
            await note.on(connection).aenqueue_many([("c",)])
            await connection.rollback()
        assert len(await app.aclient.jobs()) == 12
        await app.aclose()

    asyncio.run(main())
    asyncio.run(main_again(app))


async def main_again(app: App) -> None:
    """Another event loop is another client."""
    await app.tasks["note"].aenqueue("again")
    await app.aclose()


def test_kinds_without_code_here(app: App) -> None:
    handle = app.enqueue("made.elsewhere", {"n": 1}, queue="other", unique_key="u")
    assert app.handle(handle.id).job().kind == "made.elsewhere"
    with pytest.raises(NotSerialisable):
        app.enqueue("made.elsewhere", {"n": NOW})
    with pytest.raises(InvalidArgument, match="strings"):
        app.enqueue("made.elsewhere", unique_key=str)
    with pytest.raises(UnknownTask, match="registered: note, ship"):
        app.find("made.elsewhere")


def test_a_forked_child_makes_connections_of_its_own(app: App) -> None:
    app.client.version()
    child = os.fork()
    if child == 0:
        try:
            app.tasks["note"].enqueue("from the child")
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(app.client.jobs()) == 1


def test_another_schema_is_asked_for_by_name(pg: Database) -> None:
    with pytest.raises(InvalidArgument):
        App(schema="No Such")
    app = App(pg.dsn, schema="other")
    with pytest.raises(Exception, match='schema "other" does not exist'):
        app.client.version()
    app.close()
