"""Aborts, and what comes too late; workers that are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.batches import (
    QUEUE,
    UNBALANCED,
    append,
    balanced,
    counts,
    crash,
    hand_in,
    said,
    slow,
    status,
    submit,
    take,
    work,
)
from tests.sql.calls import Caller
from tests.sql.support import contents, refused

Session = Callable[[], Caller]


def abort(q: Caller, batch: int, **more: Any) -> tuple[Any, ...]:
    return tuple(q.one("batch_abort", id=batch, **more).values())


def abort_slow(q: Caller, query: int, **more: Any) -> tuple[Any, ...]:
    return tuple(q.one("slow_query_abort", id=query, **more).values())


# What an abort does


def test_abort_of_a_batch_that_waits(q: Caller) -> None:
    batch, other = submit(q, 25), submit(q, 2)
    assert abort(q, batch, why="enough") == ("aborted", 0, 0, 25, True)
    assert counts(q, batch) == ("aborted", 0, 0, 25, 0)
    found = status(q, batch)
    assert (found["try_later"], found["files"], found["done_at"] is None) == (False, {}, False)
    assert all(found["submitted_at"] < row["done_at"] <= found["done_at"] for row in q("batch_rows", id=batch))
    assert work(q, q.worker(QUEUE)) == [batch, other], "none of its slices ran"
    assert q.sql("select distinct state, reason from pgqueue.outcome where state <> 'succeeded'") == [
        ("cancelled", "cancelled_by_user")
    ]
    assert q.places() == {}
    assert balanced(q)


@pytest.mark.parametrize("history", ["all", "failed", "none"])
def test_abort_in_the_middle(q: Caller, history: str) -> None:
    """Rows that are done stay, with their files; one slice runs, one is put off, one was given back, the rest waits."""
    q("configure_queue", queue=QUEUE, settings={"history": history})
    batch = submit(q, 100)
    worker = q.worker(QUEUE)
    jobs = take(q, worker, 6)
    hand_in(q, jobs[0], lambda row: said(row, output={"f": str(row[1])}))
    hand_in(q, jobs[1], lambda row: said(row, "failed" if row[1] % 2 else "later", delay=60 * (row[1] % 4)))
    q.settle(jobs[2:3], "release")
    q.settle(jobs[3:4], "snooze", delay=60)
    assert counts(q, batch) == ("running", 10, 5, 0, 85)
    assert abort(q, batch) == ("aborted", 10, 5, 85, True)
    assert abort(q, batch) == ("aborted", 10, 5, 85, False)
    directives = q("worker_heartbeat", worker=worker, leases=[job["lease"] for job in jobs])
    assert [(row["action"], row["job_id"]) for row in directives] == [
        ("cancel", jobs[4]["id"]),
        ("cancel", jobs[5]["id"]),
    ]
    hand_in(q, jobs[4], lambda row: said(row, output={"f": "late"}, result="late"))
    assert q.settle(jobs[5:], "cancelled") == []
    assert work(q, worker) == [batch]
    assert counts(q, batch) == ("aborted", 10, 5, 85, 0)
    assert status(q, batch)["files"] == {"f": {"lines": 10, "chars": 21}}
    assert q.one("output_file", id=batch, name="f")["data"] == "".join(f"{n}\n" for n in range(1, 11))
    assert "late" not in [row["result"] for row in q("batch_rows", id=batch)]
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain")
    assert q.places() == {}
    assert q.sql(UNBALANCED) == []


@pytest.mark.parametrize("rows", [0, 15])
def test_abort_of_a_held_batch(q: Caller, rows: int) -> None:
    batch = submit(q, rows, hold=True)
    assert abort(q, batch) == ("aborted", 0, 0, rows, True)
    assert abort(q, batch) == ("aborted", 0, 0, rows, False)
    for act in (lambda: append(q, batch), lambda: q("batch_release", id=batch)):
        with refused(q, "PQ005", "aborted"):
            act()
    assert work(q, q.worker(QUEUE)) == [batch]
    assert q.places() == {}
    assert balanced(q)


@pytest.mark.parametrize("final", ["succeeded", "failed", "aborted"])
def test_abort_of_a_final_batch_changes_nothing(q: Caller, final: str) -> None:
    batch, query = submit(q, 2), slow(q)
    work(q, q.worker(QUEUE), lambda row: said(row, final))
    before = contents(q)
    assert abort(q, batch) == (final, *(2 * (name == final) for name in ("succeeded", "failed", "aborted")), False)
    assert abort_slow(q, query) == (final, False)
    assert contents(q) == before


@pytest.mark.parametrize("then", ["late", "cancelled", "failed", "discard", "release", "lost", "nothing"])
def test_a_slow_query_aborted_while_it_runs(q: Caller, then: str) -> None:
    query = slow(q)
    worker = q.worker(QUEUE)
    (job,) = take(q, worker)
    assert abort_slow(q, query, why="enough") == ("aborted", True)
    for _ in range(2):
        found = q.one("slow_query_status", id=query)
        assert [found[name] for name in ("status", "try_later", "result", "messages")] == ["aborted", False, None, None]
        if then == "late":
            hand_in(q, job, lambda row: said(row, result="late", messages=[{"msgid": 1}], output={"f": "late"}))
        elif then == "lost":
            crash(q)
            worker = q.worker(QUEUE)
        elif then != "nothing":
            assert q.settle([job], then, **({"error": {"type": "E"}} if then in ("failed", "discard") else {})) == []
        then = "nothing" if then != "nothing" else then
    assert abort_slow(q, query) == ("aborted", False)
    assert work(q, worker) == [query]
    assert q.one("slow_query_status", id=query)["files"] == {}
    assert balanced(q)


def test_abort_finds_slices_whose_priority_was_changed_or_that_were_cancelled(q: Caller) -> None:
    batch = submit(q, 30)
    first, second, _ = (job for (job,) in q.sql("select job_id from pgqueue.batch_slice order by 1"))
    q("set_priority", id=first, priority=9)
    q("cancel", id=second)
    assert counts(q, batch) == ("running", 0, 0, 10, 20)
    assert abort(q, batch) == ("aborted", 0, 0, 30, True)
    assert work(q, q.worker(QUEUE)) == [batch]
    assert q.places() == {}
    assert balanced(q)


def test_a_batch_whose_slices_are_all_cancelled_is_over(q: Caller) -> None:
    batch = submit(q, 15)
    for (job,) in q.sql("select job_id from pgqueue.batch_slice"):
        q("cancel", id=job)
    assert counts(q, batch) == ("aborted", 0, 0, 15, 0)
    assert work(q, q.worker(QUEUE)) == [batch]
    assert balanced(q)


# Lost workers


def test_rows_of_a_lost_worker_run_again_and_those_done_stay(q: Caller) -> None:
    batch = submit(q, 30)
    lost = q.worker(QUEUE)
    jobs = take(q, lost)
    hand_in(q, jobs[0])
    crash(q)
    assert counts(q, batch) == ("running", 10, 0, 0, 20)
    assert len(q.settle(jobs[1:], result=[])) == 2, "stale"
    assert work(q, q.worker(QUEUE)) == [batch]
    assert counts(q, batch) == ("succeeded", 30, 0, 0, 0)
    assert q.places() == {}
    assert balanced(q)


def test_a_slice_from_a_crash_is_split_into_rows(q: Caller) -> None:
    batch = submit(q, 12)
    take(q, q.worker(QUEUE))
    crash(q)
    worker = q.worker(QUEUE)
    jobs = take(q, worker)
    assert [job["args"]["rows"] for job in jobs] == [[[n, n + 1, {"n": n + 1}]] for n in range(12)]
    for job in jobs:
        hand_in(q, job)
    assert work(q, worker) == [batch]
    assert counts(q, batch) == ("succeeded", 12, 0, 0, 0)
    assert sorted({reason for (reason,) in q.sql("select reason from pgqueue.outcome where reason is not null")}) == [
        "split"
    ]
    assert balanced(q)


def test_a_poison_row_fails_alone(q: Caller) -> None:
    """Its worker dies of it each time. The others succeed; it is given up after so many crashes."""
    q("configure", settings={"max_crashes": 3})
    batch = submit(q, 25)
    worker, crashes, done = q.worker(QUEUE), 0, []
    while taken := take(q, worker):
        if any(row[1] == 13 for job in taken for row in job["args"].get("rows", [])):
            crashes += 1
            crash(q)
            worker = q.worker(QUEUE)
            continue
        for job in taken:
            if job["kind"] == "rows.done":
                done.append(job["args"]["batch"])
                q.settle([job])
            else:
                hand_in(q, job)
    assert crashes == 4  # in its slice of ten, then three times as a row
    assert done == [batch]
    assert counts(q, batch) == ("failed", 24, 1, 0, 0)
    (bad,) = (row for row in q("batch_rows", id=batch) if row["status"] == "failed")
    assert (bad["line"], bad["messages"][0]["msgid"], bad["messages"][0]["errcode"]) == (13, 10, "worker_lost")
    assert q.places() == {}
    assert balanced(q)


def test_a_slow_query_that_kills_its_workers(q: Caller) -> None:
    q("configure", settings={"max_crashes": 2})
    query = slow(q)
    for _ in range(2):
        assert q.one("slow_query_status", id=query)["try_later"]
        (_job,) = take(q, q.worker(QUEUE))
        crash(q)
    found = q.one("slow_query_status", id=query)
    assert (found["status"], found["messages"][0]["errcode"]) == ("failed", "worker_lost")
    assert work(q, q.worker(QUEUE)) == [query]


@pytest.mark.parametrize("size", [1, 10])
def test_nothing_of_an_aborted_batch_runs_again_after_a_crash(q: Caller, size: int) -> None:
    batch = submit(q, 10, slice_size=size)
    take(q, q.worker(QUEUE))
    abort(q, batch)
    crash(q)
    assert work(q, q.worker(QUEUE)) == [batch]
    assert counts(q, batch) == ("aborted", 0, 0, 10, 0)
    assert q.places() == {}
    assert balanced(q)


def test_an_abort_ends_slices_that_were_given_back_or_put_off_all_at_once(q: Caller) -> None:
    """Each by itself, as those few that are elsewhere, a thousand took seconds."""
    worker = q.worker(QUEUE)
    batch = submit(q, 12, slice_size=1)
    jobs = take(q, worker, 8)
    q.settle(jobs[:3], "release")
    q.settle(jobs[3:6], "retry", delay=60)
    q.settle(jobs[6:], "release")
    q.sql("create table public.wrote (n serial)")
    q.sql(
        "create function public.note() returns trigger language plpgsql as"
        " 'begin insert into public.wrote default values; return null; end'"
    )
    q.sql("create trigger note after insert on pgqueue.outcome for each statement execute function public.note()")
    before = q.sql("select job_id, attempt from pgqueue.scheduled order by 1")
    assert [attempt for _, attempt in before] == [1, 1, 1]
    assert q.one("batch_abort", id=batch)["aborted"] == 12
    assert q.sql("select count(*) from public.wrote") == [(1,)]
    assert counts(q, batch) == ("aborted", 0, 0, 12, 0)
    assert {q.one("job", id=job["id"])["attempt"] for job in jobs[3:6]} == {1}
    assert {q.state(job["id"]) for job in jobs} == {"cancelled"}
    assert balanced(q)
