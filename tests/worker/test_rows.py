"""Row batches and slow queries in workers: what processors may return, be, and do."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App
from pgqueue.rows import BatchDone, Row, Success
from tests.support.cluster import Database
from tests.worker.harness import until
from tests.worker.rowjobs import RowJobs

KINDS = ["value", "nothing", "success", "failed", "raise", "later", "unfit", "unfit output"]


@pytest.fixture
def rows(pg: Database, tmp_path: Path) -> RowJobs:
    return RowJobs(pg, tmp_path)


# -- outcomes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["kinds", "akinds"])
def test_outcomes_of_every_kind(op: str, rows: RowJobs) -> None:
    batch = rows.submit(op, [{"what": what} for what in KINDS])
    with rows.worker():
        info = rows.over(batch)
    assert (info.status, info.succeeded, info.failed, info.aborted) == ("failed", 4, 4, 0)
    assert info.context == {"file": str(rows.file), "gate": str(rows.gate)}
    by_kind = dict(zip(KINDS, rows.rows(batch), strict=True))
    assert [row.line for row in by_kind.values()] == list(range(1, 9))
    assert by_kind["value"].result == {"line": 1, "context": info.context}
    assert (by_kind["nothing"].status, by_kind["nothing"].result) == ("succeeded", None)
    assert by_kind["success"].result == [1]
    assert by_kind["success"].messages == [{"msgid": 1, "errcode": "fine", "field": "f", "vals": ["v"]}]
    assert by_kind["failed"].messages == [{"msgid": 7, "errcode": "bad", "vals": ["x"]}]
    assert by_kind["raise"].messages == [{"msgid": 10, "errcode": "processing_error", "vals": ["ValueError: line 5"]}]
    assert by_kind["later"].result == {"tries": 2}
    assert "cannot carry" in by_kind["unfit"].messages[0]["vals"][0]
    assert "'int'" in by_kind["unfit output"].messages[0]["vals"][0]
    assert info.files == {"a.csv": {"lines": 1, "chars": 4}, "b.csv": {"lines": 3, "chars": 5}}
    assert "".join(rows.batches.open_file(batch, "a.csv")) == "3;x\n"
    assert "".join(rows.batches.open_file(batch, "b.csv")) == "1\n\n3\n"


def test_an_aborted_row_aborts_its_batch_but_no_other_row(rows: RowJobs) -> None:
    batch = rows.submit("kinds", [{"what": "aborted"}, {"what": "value"}])
    with rows.worker():
        info = rows.over(batch)
    assert (info.status, info.succeeded, info.aborted) == ("aborted", 1, 1)


def test_output_files_stand_in_the_order_of_lines(rows: RowJobs) -> None:
    app = App()

    @app.processor("tests", "files")
    def process(row: Row) -> Success:
        return Success(output={"all.txt": f"{row.line:06}"})

    batch = rows.batches.submit_many("tests", "files", {}, ((n, n) for n in range(2500, 0, -1)), chunk=700)
    with rows.worker(app):
        info = rows.over(batch)
    assert info.files == {"all.txt": {"lines": 2500, "chars": 17500}}
    text = "".join(rows.batches.open_file(batch, "all.txt", chars=1000))
    assert text == "".join(f"{n:06}\n" for n in range(1, 2501))


def test_slow_queries(rows: RowJobs) -> None:
    batches = rows.batches
    good = batches.submit_slow_query("tests", "report", {"file": str(rows.file)}, {"a": 1})
    bad = batches.submit_slow_query("tests", "report", {"file": str(rows.file)}, {"raise": True})
    assert batches.slow_query_status(good).try_later
    with rows.worker():
        answer = batches.wait_slow_query(good, 20)
        failure = batches.wait_slow_query(bad, 20)
        rows.until_noted("done", 2)
    assert (answer.status, answer.result) == ("succeeded", {"line": 0, "a": 1})
    assert answer.files == {"report.txt": {"lines": 2, "chars": 8}}
    assert "".join(batches.open_file(good, "report.txt")) == "one\ntwo\n"
    assert failure.status == "failed"
    assert failure.messages is not None and failure.messages[0]["vals"] == ["ValueError: no report"]
    assert sorted(rows.notes()) == sorted([f"done {good} succeeded 1/0/0", f"done {bad} failed 0/1/0"])


def test_a_row_says_later_with_a_delay(rows: RowJobs) -> None:
    from pgqueue.rows import TryLater

    app = App()
    seen: list[int] = []

    @app.processor("tests", "later")
    def process(row: Row) -> Any:
        seen.append(row.tries)
        return TryLater(0.2) if row.tries == 0 else "done"

    batch = rows.submit("later", [1])
    with rows.worker(app):
        info = rows.over(batch)
    assert info.succeeded == 1
    assert seen == [0, 1]


# -- where processors run -----------------------------------------------------------------------------------------


def test_sync_processors_run_side_by_side_in_threads(rows: RowJobs) -> None:
    app = App()
    together = threading.Barrier(3)
    names: set[str] = set()

    @app.processor("tests", "sync")
    def process(row: Row) -> None:
        together.wait(10)
        names.add(threading.current_thread().name)

    batch = rows.submit("sync", range(3), slice_size=1)
    with rows.worker(app, concurrency=3):
        assert rows.over(batch).succeeded == 3
    assert len(names) == 3


def test_async_processors_share_the_event_loop(rows: RowJobs) -> None:
    app = App()
    waiting: set[int] = set()
    threads: set[str] = set()

    @app.processor("tests", "async")
    async def process(row: Row) -> None:
        waiting.add(row.line)
        threads.add(threading.current_thread().name)
        async with asyncio.timeout(10):
            while len(waiting) < 5:
                await asyncio.sleep(0)

    batch = rows.submit("async", range(5), slice_size=1)
    with rows.worker(app, concurrency=5):
        assert rows.over(batch).succeeded == 5
    assert threads == {"worker under test"}


def test_a_slice_is_processed_in_order(rows: RowJobs) -> None:
    batch = rows.submit("note", range(50), slice_size=50)
    with rows.worker():
        assert rows.over(batch).succeeded == 50
    assert rows.lines() == list(range(1, 51))


def test_a_worker_without_the_processor_leaves_rows_alone(rows: RowJobs) -> None:
    other = App()

    @other.processor("tests", "other")
    def process(row: Row) -> None: ...

    batch = rows.submit("note", range(30))
    beside = rows.batches.submit("tests", "other", {}, [(1, 1)])
    with rows.worker(other):
        assert rows.over(beside).succeeded == 1
        assert rows.batches.status(batch).pending == 30
    with rows.worker(other, queues=["tests/note"]) as worker:
        worker.wait("claimed")
        until(lambda: rows.batches.status(batch).status == "running", "a slice to be claimed")
        assert rows.batches.status(batch).pending == 30
        with rows.worker():
            assert rows.over(batch).succeeded == 30


@pytest.mark.slow
def test_several_workers_share_a_batch(rows: RowJobs) -> None:
    batch = rows.submit("note", range(3000), hold=True)
    with rows.process() as one, rows.process() as two, rows.process() as three:
        rows.batches.release(batch)
        info = rows.over(batch)
        rows.until_noted("done")
        pids = {note.split()[1] for note in rows.notes() if note[0].isdigit()}
        assert pids <= {str(one.pid), str(two.pid), str(three.pid)}
    assert (info.status, info.succeeded) == ("succeeded", 3000)
    assert sorted(rows.lines()) == list(range(1, 3001))
    assert len(pids) > 1
    assert [note for note in rows.notes() if note.startswith("done")] == [f"done {batch} succeeded 3000/0/0"]


# -- the end of a batch -------------------------------------------------------------------------------------------


def test_mark_done_hears_of_every_end(rows: RowJobs) -> None:
    good = rows.submit("kinds", [{"what": "value"}])
    bad = rows.submit("kinds", [{"what": "raise"}, {"what": "value"}])
    stopped = rows.submit("kinds", [{"what": "value"}], hold=True)
    empty = rows.submit("kinds", [], hold=True)
    rows.batches.abort(stopped)
    rows.batches.release(empty)
    with rows.worker():
        rows.until_noted("done", 4)
    assert sorted(rows.notes()) == sorted(
        [
            f"done {good} succeeded 1/0/0",
            f"done {bad} failed 1/1/0",
            f"done {stopped} aborted 0/0/1",
            f"done {empty} succeeded 0/0/0",
        ]
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_mark_done_is_called_again_when_it_fails(is_async: bool, rows: RowJobs) -> None:
    app = App()
    calls: list[BatchDone] = []
    rows.client.configure_queue("tests/ends", {"backoff": {"base": 0.05, "cap": 0.1}})

    def finish(done: BatchDone) -> None:
        calls.append(done)
        if len(calls) < 3:
            raise LookupError("no such row")  # an exception of the queue's own kind is one as any other

    async def afinish(done: BatchDone) -> None:
        finish(done)

    @app.initializer("tests")
    def connect(name: str) -> str:
        return f"block of {name}"

    @app.processor("tests", "ends", mark_done=afinish if is_async else finish)
    def process(row: Row) -> Success:
        return Success(output={"x": "y"})

    batch = rows.submit("ends", [1])
    with rows.worker(app):
        until(lambda: len(calls) == 3, "the callback to be called again")
    assert {call.id for call in calls} == {batch}
    assert calls[-1].init == "block of tests"
    assert (calls[-1].kind, calls[-1].status, calls[-1].rows) == ("batch", "succeeded", 1)
    assert calls[-1].files["x"].lines == 1


def test_output_files_go_to_the_store_first(rows: RowJobs, tmp_path: Path) -> None:
    from pgqueue.stores import FileStore

    app = App()
    done: list[BatchDone] = []

    @app.processor("tests", "stored", mark_done=done.append, store=FileStore(tmp_path / "out"))
    def process(row: Row) -> Success:
        return Success(output={"../list.txt": f"line {row.line}"})

    batch = rows.submit("stored", range(30))
    with rows.worker(app):
        until(lambda: done, "the callback")
    file = done[0].files["../list.txt"]
    assert file.location == str(tmp_path / "out" / "tests" / "stored" / str(batch) / "..%2Flist.txt")
    assert Path(file.location).read_text() == "".join(f"line {n}\n" for n in range(1, 31))
