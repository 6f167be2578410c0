"""Batches as those who had them elsewhere expect them, with worker processes: several at once, held ones, aborted ones,
and what must not hold up what.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.rows import BatchDone, Row
from tests.support.cluster import Database
from tests.worker.harness import until
from tests.worker.rowjobs import RowJobs

pytestmark = pytest.mark.slow


@pytest.fixture
def rows(pg: Database, tmp_path: Path) -> RowJobs:
    return RowJobs(pg, tmp_path)


def test_three_workers_and_three_batches(rows: RowJobs) -> None:
    batches = [rows.submit("note", range(100), hold=True) for _ in range(3)]
    with rows.process(concurrency=2), rows.process(concurrency=2), rows.process(concurrency=2):
        rows.connection.execute("begin")
        for batch in batches:
            rows.batches.release(batch)
        rows.connection.execute("commit")
        ended = [rows.over(batch) for batch in batches]
        rows.until_noted("done", 3)
    assert [(info.status, info.succeeded, info.failed, info.aborted, info.pending) for info in ended] == [
        ("succeeded", 100, 0, 0, 0)
    ] * 3
    assert all(info.done_at is not None for info in ended)
    assert sorted(rows.lines()) == sorted([*range(1, 101)] * 3)


def test_rows_run_side_by_side_in_several_processes(rows: RowJobs) -> None:
    batch = rows.submit("slow", range(4), slice_size=1)
    with rows.process(concurrency=2) as one, rows.process(concurrency=2) as two:
        until(lambda: len(rows.lines()) == 4, "four rows to be begun at once")
        rows.gate.touch()
        assert rows.over(batch).succeeded == 4
        assert {int(note.split()[1]) for note in rows.notes() if note[0].isdigit()} == {one.pid, two.pid}


def test_a_held_batch_that_is_appended_to(rows: RowJobs) -> None:
    batch = rows.submit("note", range(2), hold=True)
    beside = rows.submit("note", range(1))
    with rows.process():
        assert rows.over(beside).succeeded == 1
        assert rows.batches.status(batch).status == "held"
        assert rows.batches.append(batch, [(3, 3), (4, 4)], hold=False) == 4
        assert rows.over(batch).succeeded == 4
    assert sorted(rows.lines()) == [1, 1, 2, 3, 4]


def test_an_aborted_batch_with_slow_rows(rows: RowJobs) -> None:
    """Its rows stop at once, in every worker; who did them is free for others; the callback comes once."""
    batch = rows.submit("slow", range(100), slice_size=5)
    with rows.process(concurrency=2), rows.process(concurrency=2):
        until(lambda: len(rows.lines()) == 4, "four slices to be begun")
        ended = rows.batches.abort(batch, why="enough")
        assert (ended.status, ended.changed) == ("aborted", True)
        assert ended.succeeded + ended.failed + ended.aborted == 100
        rows.until_noted("stopped", 4)
        rows.until_noted("done")
        beside = rows.submit("note", range(200))
        assert rows.over(beside).succeeded == 200
        rows.until_noted("done", 2)
    info = rows.batches.status(batch)
    assert (info.status, info.succeeded, info.failed, info.aborted, info.pending) == ("aborted", 0, 0, 100, 0)
    outcomes = rows.rows(batch)
    assert [(row.line, row.status) for row in outcomes] == [(n, "aborted") for n in range(1, 101)]
    assert [note for note in rows.notes() if note.startswith(f"done {batch} ")] == [f"done {batch} aborted 0/0/100"]


def test_workers_that_live_lose_nothing(rows: RowJobs) -> None:
    """However long their rows take, and whoever looks after the others meanwhile."""
    rows.client.configure({"lost_after": "1 second"})
    batch = rows.submit("slow", range(2), slice_size=1)
    with (
        rows.process(concurrency=1, heartbeat_interval=0.2) as one,
        rows.process(concurrency=1, heartbeat_interval=0.2) as two,
    ):
        until(lambda: len(rows.lines()) == 2, "both rows to be begun")
        for worker in (one, two):
            worker.wait("heartbeat", count=10)
        assert len(rows.client.workers()) == 2
        rows.gate.touch()
        assert rows.over(batch).succeeded == 2
    assert sorted(rows.lines()) == [1, 2]


@pytest.mark.parametrize("by", ["priority", "limit"])
def test_a_large_batch_need_not_starve_a_small_one_of_another_application(by: str, rows: RowJobs) -> None:
    """First in, first out, unless it has priority, or the worker keeps some of its slots from the large one."""
    app = App()

    @app.processor("large", "op")
    def large(row: Row) -> None:
        until(lambda: row.cancelled or rows.gate.exists(), "the gate")

    @app.processor("small", "op")
    def small(row: Row) -> None: ...

    first = rows.submit("op", range(1000), app="large")
    second = rows.submit("op", range(100), app="small", priority=int(by == "priority"))
    queues = [("large/op", 1), "small/op"] if by == "limit" else ["large/op", "small/op"]
    with rows.worker(app, concurrency=2, queues=queues):
        assert rows.over(second).succeeded == 100
        assert rows.batches.status(first).pending == 1000
        rows.batches.abort(first)


def test_a_callback_that_takes_long_holds_up_nobody(rows: RowJobs) -> None:
    app = App()
    inside, free = threading.Event(), threading.Event()

    def finish(done: BatchDone) -> None:
        inside.set()
        assert free.wait(20)

    @app.processor("tests", "ends", mark_done=finish)
    def process(row: Row) -> int:
        return row.line

    @app.processor("tests", "beside")
    def beside(row: Row) -> int:
        return row.line

    batch = rows.submit("ends", range(3))
    with rows.worker(app, concurrency=2):
        assert inside.wait(20)
        first = rows.batches.status(batch)
        assert (first.status, first.succeeded) == ("succeeded", 3)
        assert rows.over(rows.submit("beside", range(30))).succeeded == 30
        assert rows.batches.abort(batch).changed is False
        free.set()
    assert rows.batches.status(batch) == first  # the same answer every time


def test_a_slow_query_that_fails_keeps_its_files_and_is_told(rows: RowJobs) -> None:
    from pgqueue.rows import Failed, Message

    app = App()
    told: list[BatchDone] = []

    @app.slow_query("tests", "long", mark_done=told.append)
    def process(row: Row) -> Failed:
        return Failed(messages=[Message(3, "no_data")], output={"so far.txt": ["", " a "]})

    query = rows.batches.submit_slow_query("tests", "long")
    with rows.worker(app):
        status = rows.batches.wait_slow_query(query, 20)
        until(lambda: told, "the callback")
    assert (status.status, status.messages) == ("failed", [{"msgid": 3, "errcode": "no_data"}])
    assert "".join(rows.batches.open_file(query, "so far.txt")) == "\n a \n"
    assert (told[0].failed, told[0].files["so far.txt"].lines) == (1, 2)
    assert rows.batches.slow_query_status(query) == status
