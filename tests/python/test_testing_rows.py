"""`pgqueue.testing.drain` and rows: batches, slow queries and callbacks without a worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgqueue import App, AsyncClient, Client, InvalidArgument, UnknownTask
from pgqueue.rows import BatchDone, Failed, Message, Row, Success, TryLater
from pgqueue.stores import FileStore
from pgqueue.testing import adrain, drain, fake_clock
from tests.support.cluster import Database


class Block:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True


class Import:
    """An app, and what its processors and callbacks have seen."""

    def __init__(self, folder: Path) -> None:
        self.app = App()
        self.done: list[BatchDone] = []
        self.blocks: list[Block] = []
        self.threads: set[int] = set()
        app, store = self.app, FileStore(folder)
        app.initializer("crm")(self._connect)
        app.processor("crm", "Import", mark_done=self.done.append, store=store)(self._process)
        app.processor("crm", "aimport", mark_done=self._adone, store=store)(self._aprocess)
        app.slow_query("crm", "report", mark_done=self.done.append)(lambda row: {"year": row.input["year"]})

    async def _connect(self, name: str) -> Block:
        self.blocks.append(Block(name))
        return self.blocks[-1]

    def _process(self, row: Row) -> Any:
        self.threads.add(threading.get_ident())
        if row.input == "bad":
            return Failed(messages=[Message(7, "bad")])
        if row.input == "raise":
            raise LookupError(f"line {row.line}")
        if row.input == "later":
            return TryLater(60) if row.tries == 0 else row.tries
        return Success({"line": row.line, **row.context, "init": row.init.name}, output={"out.txt": str(row.input)})

    async def _aprocess(self, row: Row) -> Any:
        await asyncio.sleep(0)
        return self._process(row)

    async def _adone(self, done: BatchDone) -> None:
        await asyncio.sleep(0)
        self.done.append(done)


@pytest.fixture
def work(tmp_path: Path) -> Import:
    return Import(tmp_path)


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    """As in a user's tests: one transaction that is rolled back."""
    with pg.connect(autocommit=False) as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize("op", ["import", "aimport"])
def test_a_batch_with_all_that_follows(op: str, work: Import, connection: psycopg.Connection[Any]) -> None:
    batches = Client(connection=connection).batches
    inputs = ["good", "bad", "raise", *range(10)]
    batch = batches.submit("crm", op, {"source": "fair"}, enumerate(inputs, 1), slice_size=5)
    jobs = drain(work.app, connection)
    assert [(job.kind, job.state) for job in jobs] == [("rows.slice", "succeeded")] * 3 + [("rows.done", "succeeded")]
    info = batches.status(batch)
    assert (info.status, info.succeeded, info.failed) == ("failed", 11, 2)
    rows = list(batches.rows(batch))
    assert rows[0].result == {"line": 1, "source": "fair", "init": "crm"}
    assert rows[1].messages == [{"msgid": 7, "errcode": "bad"}]
    assert rows[2].messages[0]["vals"] == ["LookupError: line 3"]
    [done] = work.done
    assert (done.id, done.status, done.init) == (batch, "failed", work.blocks[0])
    location = done.files["out.txt"].location
    assert location is not None
    assert Path(location).read_text().splitlines() == ["good", *map(str, range(10))]
    assert work.threads == {threading.get_ident()}
    assert [block.is_closed for block in work.blocks] == [True]


def test_a_slow_query(work: Import, connection: psycopg.Connection[Any]) -> None:
    batches = Client(connection=connection).batches
    query = batches.submit_slow_query("crm", "report", {"c": 1}, {"year": 2026})
    assert [job.kind for job in drain(work.app, connection)] == ["rows.slow", "rows.done"]
    assert batches.slow_query_status(query).result == {"year": 2026}
    assert [(done.id, done.kind, done.context, done.succeeded) for done in work.done] == [
        (query, "slow_query", {"c": 1}, 1)
    ]


def test_rows_that_come_again(work: Import, connection: psycopg.Connection[Any]) -> None:
    batches = Client(connection=connection).batches
    with fake_clock(connection, datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        batch = batches.submit("crm", "import", rows=[(1, "later"), (2, "x")])
        drain(work.app, connection, due=True)
        assert (batches.status(batch).pending, work.done) == (1, [])
        clock.advance(61)
        drain(work.app, connection, due=True)
        assert (batches.status(batch).status, len(work.done)) == ("succeeded", 1)
        assert next(iter(batches.rows(batch))).result == 1


def test_a_held_batch_waits(work: Import, connection: psycopg.Connection[Any]) -> None:
    batches = Client(connection=connection).batches
    batch = batches.submit("crm", "import", rows=[(1, "x")], hold=True)
    assert drain(work.app, connection) == []
    batches.abort(batch)
    assert [job.kind for job in drain(work.app, connection)] == ["rows.done"]
    assert work.done[0].status == "aborted"


def test_what_a_processor_raises_is_raised(work: Import, connection: psycopg.Connection[Any]) -> None:
    batches = Client(connection=connection).batches
    batch = batches.submit("crm", "import", rows=[(1, "raise"), (2, "x")])
    with pytest.raises(LookupError, match="line 1"):
        drain(work.app, connection, reraise=True)
    assert batches.status(batch).failed == 1  # recorded all the same


def test_what_fails_around_the_rows(connection: psycopg.Connection[Any]) -> None:
    app, batches = App(), Client(connection=connection).batches

    @app.initializer("a")
    def connect() -> None:
        raise ConnectionError("no")

    def broken(done: BatchDone) -> None:
        raise ValueError("not now")

    app.processor("a", "init")(lambda row: row.init)
    app.processor("b", "done", mark_done=broken)(lambda row: None)
    batches.submit("a", "init", rows=[(1, 1)])
    batches.submit("b", "done", rows=[(1, 1)])
    initialised, processed, told = drain(app, connection)
    assert (initialised.state, processed.state, told.state) == ("scheduled", "succeeded", "scheduled")
    assert initialised.error is not None
    assert initialised.error["type"] == "InitFailed"
    assert told.error is not None
    assert told.error["message"] == "not now"
    batches.submit("b", "done", rows=[(1, 1)])
    with pytest.raises(ValueError, match="not now"):
        drain(app, connection, reraise=True)


def test_an_operation_nobody_knows(work: Import, connection: psycopg.Connection[Any]) -> None:
    Client(connection=connection).batches.submit("crm", "other", rows=[(1, 1)])
    assert drain(work.app, connection) == []
    with pytest.raises(UnknownTask, match="'crm' has no batch processor of 'other' here"):
        drain(work.app, connection, queues=["crm/other"], reraise=True)


def test_adrain(pg: Database, work: Import) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
            batches = AsyncClient(connection=connection).batches
            for op in ("import", "aimport"):
                await batches.submit("crm", op, {}, enumerate("abc", 1))
            await batches.submit_slow_query("crm", "report", input={"year": 1})
            jobs = await adrain(work.app, connection)
            assert {job.state for job in jobs} == {"succeeded"}
            assert len(jobs) == 6
            with pytest.raises(InvalidArgument, match="await adrain"), pg.connect() as sync:
                drain(work.app, sync)

    asyncio.run(main())
    assert sorted(done.kind for done in work.done) == ["batch", "batch", "slow_query"]
    texts = [Path(str(done.files["out.txt"].location)).read_text() for done in work.done if done.kind == "batch"]
    assert texts == ["a\nb\nc\n"] * 2
    assert [block.is_closed for block in work.blocks] == [True]
    assert len(work.threads) == 2  # the event loop's, and one beside it
