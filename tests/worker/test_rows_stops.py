"""Rows when something ends: init blocks, batches, workers."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pgqueue import AlreadyRegistered, App, InvalidArgument
from pgqueue.rows import Row, queue_of
from tests.support.cluster import Database
from tests.worker.harness import until
from tests.worker.rowjobs import RowJobs


@pytest.fixture
def rows(pg: Database, tmp_path: Path) -> RowJobs:
    return RowJobs(pg, tmp_path)


# -- registering --------------------------------------------------------------------------------------------------


def test_registering_twice_is_refused() -> None:
    app = App()
    app.processor("a", "b")(lambda row: None)
    app.processor("a", "c")(lambda row: None)
    app.processor("ab", "")  # nothing is registered yet
    app.slow_query("a", "b")(lambda row: None)
    app.initializer("a")(lambda: None)
    with pytest.raises(AlreadyRegistered, match="'a' has a batch processor of 'B'"):
        app.processor("a", "B")(lambda row: None)
    with pytest.raises(AlreadyRegistered):
        app.slow_query("a", "B")(lambda row: None)
    with pytest.raises(AlreadyRegistered, match="'a' has an initializer"):
        app.initializer("a")(lambda: None)
    with pytest.raises(InvalidArgument, match="op is ''"):
        app.processor("ab", "")(lambda row: None)
    with pytest.raises(InvalidArgument, match="cannot be a processor"):
        app.processor("ab", "c")(5)  # type: ignore[type-var]
    assert app.queues() == ["a/b", "a/c"]


@pytest.mark.parametrize(("app", "op"), [("a", "B"), ("a/b", "c"), ("a%2F", "b%"), ("ä", "Ö")])
def test_queues_are_named_as_the_server_names_them(app: str, op: str, rows: RowJobs) -> None:
    batch = rows.batches.submit(app, op, {}, [(1, 1)])
    query = "select queue from pgqueue.batch where id = %s"
    assert rows.connection.execute(query, (batch,)).fetchone() == (queue_of(app, op),)


# -- init blocks --------------------------------------------------------------------------------------------------


class Block:
    """Dies after some uses."""

    made: ClassVar[list[Block]] = []

    def __init__(self, uses: int) -> None:
        self.left = uses
        self.thread = threading.get_ident()
        self.closed_in: int | None = None
        Block.made.append(self)

    def is_alive(self) -> bool:
        self.left -= 1
        if self.left == -2:
            raise OSError("asked once too often")
        return self.left > 0

    def close(self) -> None:
        self.closed_in = threading.get_ident()


class AsyncBlock(Block):
    async def is_alive(self) -> bool:  # type: ignore[override]
        return super().is_alive()

    async def close(self) -> None:  # type: ignore[override]
        super().close()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("is_async_init", [False, True])
def test_init_blocks_are_kept_asked_and_closed(is_async: bool, is_async_init: bool, rows: RowJobs) -> None:
    app = App()
    Block.made = []
    seen: list[Any] = []

    if is_async_init:

        @app.initializer("tests")
        async def amake() -> AsyncBlock:
            return AsyncBlock(4)
    else:

        @app.initializer("tests")
        def make(name: str) -> Block:
            assert name == "tests"
            return Block(4)

    def look(row: Row) -> None:
        seen.append(row.init)

    async def alook(row: Row) -> None:
        seen.append(row.init)

    app.processor("tests", "init")(alook if is_async else look)
    batch = rows.submit("init", range(60), slice_size=3)
    with rows.worker(app, concurrency=1):
        assert rows.over(batch).succeeded == 60
    assert len(Block.made) == 5  # of twenty slices each serves four
    assert list(dict.fromkeys(map(id, seen))) == list(map(id, Block.made))
    if not is_async_init and not is_async:
        assert [block.closed_in for block in Block.made] == [block.thread for block in Block.made]
    assert all(block.closed_in is not None for block in Block.made)


def test_each_thread_has_its_own_block(rows: RowJobs) -> None:
    app = App()
    together = threading.Barrier(3)
    blocks: set[int] = set()

    @app.initializer("tests")
    def make() -> object:
        return object()

    @app.processor("tests", "init")
    def process(row: Row) -> None:
        together.wait(10)
        blocks.add(id(row.init))

    batch = rows.submit("init", range(3), slice_size=1)
    with rows.worker(app, concurrency=3):
        assert rows.over(batch).succeeded == 3
    assert len(blocks) == 3


@pytest.mark.parametrize("is_async", [False, True])
def test_an_initializer_that_fails_is_tried_again(is_async: bool, rows: RowJobs) -> None:
    app = App()
    rows.client.configure_queue("tests/init", {"backoff": {"base": 0.05, "cap": 0.1}})
    attempts: list[str] = []

    @app.initializer("tests")
    def make(name: str) -> str:
        attempts.append(name)
        if len(attempts) < 3:
            raise ConnectionError("not yet")
        return "block"

    async def aprocess(row: Row) -> Any:
        return row.init

    app.processor("tests", "init")(aprocess if is_async else lambda row: row.init)
    batch = rows.submit("init", [1])
    with rows.worker(app):
        assert rows.over(batch).succeeded == 1
    assert rows.rows(batch)[0].result == "block"


def test_an_initializer_that_never_works_fails_the_rows(rows: RowJobs) -> None:
    app = App()
    rows.client.configure_queue("tests/init", {"backoff": {"base": 0.05, "cap": 0.1}})

    @app.initializer("tests")
    def make() -> None:
        raise ConnectionError("never")

    @app.processor("tests", "init")
    def process(row: Row) -> None: ...

    batch = rows.submit("init", [1, 2])
    with rows.worker(app):
        assert (info := rows.over(batch)).failed == 2, info
    for row in rows.rows(batch):
        assert (row.messages[0]["msgid"], row.messages[0]["errcode"]) == (5, "configerror")
        assert row.messages[0]["vals"] == ["the initializer of 'tests' failed: ConnectionError: never"]


# -- aborting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["slow", "aslow"])
def test_aborting_a_batch_stops_its_rows(op: str, rows: RowJobs) -> None:
    batch = rows.submit(op, range(40), slice_size=10)
    with rows.worker(concurrency=2):
        rows.until_noted("1 ")
        rows.until_noted("11 ")
        ended = rows.batches.abort(batch, why="enough")
        assert (ended.status, ended.aborted, ended.changed) == ("aborted", 40, True)
        rows.until_noted("stopped 1", 2)
        rows.until_noted("done")
        assert rows.batches.abort(batch).changed is False
    assert sorted(rows.lines()) == [1, 11]
    assert rows.over(batch).aborted == 40
    assert {row.status for row in rows.rows(batch)} == {"aborted"}


def test_aborting_a_slow_query(rows: RowJobs) -> None:
    app = App()
    started, stopped = threading.Event(), threading.Event()

    @app.slow_query("tests", "long")
    def process(row: Row) -> str:
        started.set()
        until(lambda: row.cancelled, "to be stopped")
        stopped.set()
        return "late"

    query = rows.batches.submit_slow_query("tests", "long")
    with rows.worker(app):
        assert started.wait(20)
        assert rows.batches.abort_slow_query(query).status == "aborted"
        assert stopped.wait(20)
    status = rows.batches.slow_query_status(query)
    assert (status.status, status.result, status.messages) == ("aborted", None, None)


# -- workers that leave -------------------------------------------------------------------------------------------


def test_a_stopped_worker_hands_in_what_is_done(rows: RowJobs) -> None:
    batch = rows.submit("slow", range(5), slice_size=5)
    rows.gate.touch()
    app = App()
    inside = threading.Event()

    @app.processor("tests", "slow")
    def process(row: Row) -> int:
        if row.line == 3:
            inside.set()
            until(lambda: row.cancelled, "the worker to be in a hurry")
        return row.line

    with rows.worker(app, grace=0.1):
        assert inside.wait(20)
    info = rows.batches.status(batch)
    assert (info.succeeded, info.pending) == (3, 2)
    with rows.worker():
        assert rows.over(batch).succeeded == 5
    assert sorted(rows.lines()) == [4, 5]


@pytest.mark.slow
def test_a_killed_worker_loses_no_row(rows: RowJobs) -> None:
    rows.client.configure({"lost_after": "1 second"})
    batch = rows.submit("slow", range(30), slice_size=5)
    with rows.process(concurrency=2) as victim:
        rows.until_noted("1 ")
        rows.kill(victim)
    rows.gate.touch()
    with rows.process():
        info = rows.over(batch)
        rows.until_noted("done")
    assert (info.status, info.succeeded) == ("succeeded", 30)
    assert [row.line for row in rows.rows(batch)] == list(range(1, 31))
    assert set(rows.lines()) == set(range(1, 31))


@pytest.mark.slow
def test_a_row_that_kills_workers_takes_no_other_along(rows: RowJobs) -> None:
    rows.client.configure({"lost_after": "1 second"})
    batch = rows.submit("killer", ["kill" if n == 7 else "" for n in range(1, 11)])
    crew = []
    try:
        while not (info := rows.batches.status(batch)).is_final:
            worker = rows.process(concurrency=1)
            crew.append(worker)
            until(
                lambda worker=worker: worker.popen.poll() is not None or rows.batches.status(batch).is_final,
                "the end of the worker or of the batch",
                60,
            )
            assert len(crew) < 12
    finally:
        for worker in crew:
            if worker.popen.poll() is None:
                worker.signal(signal.SIGTERM)
                worker.exit_code()
            worker.__exit__(None, None, None)
    assert (info.status, info.succeeded, info.failed) == ("failed", 9, 1), rows.rows(batch)
    (failed,) = [row for row in rows.rows(batch) if row.status == "failed"]
    assert (failed.line, failed.messages[0]["errcode"]) == (7, "worker_lost")
