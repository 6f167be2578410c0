"""Batches and slow queries, from their rows to their completion. The worker here knows how each row goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import (
    QUEUE,
    append,
    balanced,
    counts,
    hand_in,
    lines,
    said,
    slow,
    status,
    statuses,
    submit,
    take,
    work,
)
from tests.sql.calls import Caller, Row
from tests.sql.support import refused

Session = Callable[[], Caller]


# Rows to the worker


def test_rows_reach_the_worker_in_slices_and_in_order(q: Caller) -> None:
    batch = submit(q, lines(25), context=Jsonb({"c": 1}), priority=3)
    jobs = take(q, q.worker(QUEUE))
    assert [(job["kind"], job["priority"], len(job["args"]["rows"])) for job in jobs] == [
        ("rows.slice", 3, size) for size in (10, 10, 5)
    ]
    assert [row for job in jobs for row in job["args"]["rows"]] == [[n, n + 1, {"n": n + 1}] for n in range(25)]
    assert {tuple(job["args"][key] for key in ("batch", "app", "op")) for job in jobs} == {(batch, "app", "op")}
    assert q.value("batch_context", id=batch) == {"c": 1}


@pytest.mark.parametrize("size", [1, 3, 10000])
def test_the_slice_size(q: Caller, size: int) -> None:
    submit(q, 7, slice_size=size)
    sizes = [len(job["args"]["rows"]) for job in take(q, q.worker(QUEUE))]
    assert sizes == [min(size, 7 - at) for at in range(0, 7, size)]


def test_batches_come_first_in_first_out_and_by_priority(q: Caller) -> None:
    first, second, urgent = submit(q, 11), submit(q, 11), submit(q, 11, priority=1)
    jobs = take(q, q.worker(QUEUE))
    assert [job["args"]["batch"] for job in jobs] == [urgent, urgent, first, first, second, second]


def test_a_hundred_thousand_rows_in_one_call(q: Caller) -> None:
    n = 100_000
    batch = q.sql(
        """select pgqueue.batch_submit_each('app', 'op', '{}', array_agg(n), array_agg(to_jsonb(n)), slice_size => 1000)
           from generate_series(1, %s) n""",
        n,
    )[0][0]
    worker = q.worker(QUEUE)
    hand_in(q, take(q, worker, 1)[0])
    assert counts(q, batch) == ("running", 1000, 0, 0, n - 1000)
    q("batch_abort", id=batch)
    assert counts(q, batch) == ("aborted", 1000, 0, n - 1000, 0)
    assert work(q, worker) == [batch]
    assert balanced(q)


def test_op_is_lower_cased_everywhere(q: Caller) -> None:
    batch, query = submit(q, op="MyOp"), slow(q, op="MYOP")
    assert status(q, batch)["op"] == "myop"
    assert {job["args"]["op"] for job in take(q, q.worker("app/myop"), 10, "app/myop")} == {"myop"}
    assert [row["id"] for row in q("batch_list", app="app", op="mYoP")] == [query, batch]


def test_an_app_and_an_op_do_not_run_together(q: Caller) -> None:
    """("ab", "c") is not ("a", "bc"), nor does a slash or a percent sign make one of two."""
    pairs = [("ab", "c"), ("a", "bc"), ("a/b", "c"), ("a", "b/c"), ("a%2fb", "c"), ("a%2Fb", "c"), ("a%", "2fb/c")]
    for app, op in pairs:
        submit(q, 1, app, op)
    queues = q.sql("select queue, app, op from pgqueue.batch order by id")
    assert [(app, op) for _, app, op in queues] == pairs
    assert len({queue for queue, _, _ in queues}) == len(pairs)
    worker = q.worker(*(queue for queue, _, _ in queues))
    for queue, app, op in queues:
        (job,) = take(q, worker, 10, queue)
        assert (job["args"]["app"], job["args"]["op"]) == (app, op)


def test_nobody_is_given_rows_for_another_processor(q: Caller) -> None:
    batch = submit(q, 3)
    assert take(q, q.worker("app/other", "else/op"), 100, "app/other", "else/op") == []
    assert counts(q, batch) == ("queued", 0, 0, 0, 3)


# How rows end

STATUSES = [
    (["succeeded"] * 3, ("succeeded", 3, 0, 0, 0)),
    (["succeeded", "succeeded", "failed", "failed"], ("failed", 2, 2, 0, 0)),
    (["succeeded", "succeeded", "aborted", "aborted"], ("aborted", 2, 0, 2, 0)),
    (["failed", "aborted", "succeeded"], ("aborted", 1, 1, 1, 0)),
    (["failed"], ("failed", 0, 1, 0, 0)),
]


@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize(("given", "expected"), STATUSES)
def test_the_final_status(q: Caller, given: list[str], expected: tuple[Any, ...], size: int) -> None:
    batch = submit(q, len(given), slice_size=size)
    assert work(q, q.worker(QUEUE), lambda row: said(row, given[row[1] - 1])) == [batch]
    assert counts(q, batch) == expected
    assert statuses(q, batch) == list(enumerate(given, 1))
    found = status(q, batch)
    assert (found["try_later"], found["files"]) == (False, {})
    assert found["submitted_at"] <= found["released_at"] <= found["done_at"]
    assert balanced(q)


def test_result_and_messages_are_both_kept(q: Caller) -> None:
    messages = [{"msgid": 4, "errcode": "e", "field": "f", "vals": ["a"]}]
    batch = submit(q, 4)
    given = [{"result": {"r": 1}, "messages": messages}, {"result": [1]}, {"result": "x", "messages": []}, {}]
    work(q, worker := q.worker(QUEUE), lambda row: said(row, "failed", **given[row[0]]))
    rows = q("batch_rows", id=batch)
    assert [row["result"] for row in rows] == [{"r": 1}, [1], "x", None]
    assert [row["messages"] for row in rows] == [messages, [], [], []]
    assert q.sql("select distinct worker_id from pgqueue.row_outcome") == [(worker,)]


def nonsense() -> list[Any]:
    """What a slice may say that is no answer."""
    return [
        *(None, 5, "done", {}, [], [5], [[]], [None], ["succeeded"], [{}]),
        *(
            [{"row": "zero", "status": "succeeded"}],
            [{"row": 7, "status": "succeeded"}],
            [{"row": 0.5, "status": "failed"}],
        ),
        *([{"row": 1e30, "status": "succeeded"}], [{"row": None, "status": "succeeded"}], [{"row": [], "status": 1}]),
        *([{"row": 0}], [{"row": 0, "status": None}], [{"row": 0, "status": "queued"}], [{"row": 0, "status": "wait"}]),
        *(
            [{"row": 0, "status": {"succeeded": 1}}],
            [{"row": 0, "status": "Succeeded"}],
            [{"row": 0, "status": "x" * 9999}],
        ),
        [{"row": 0, "status": "succeeded", "output": {"n" * 501: "line"}}],
        [{"row": 0, "status": "succeeded"}, 5],
    ]


@pytest.mark.parametrize("given", nonsense(), ids=lambda given: str(given)[:40])
def test_a_row_of_which_nothing_sensible_is_said_has_failed(q: Caller, given: object) -> None:
    """And the slice is over: it must not come back for ever."""
    batch = submit(q, 1)
    (job,) = take(q, worker := q.worker(QUEUE))
    assert q.settle([job], result=given) == []
    assert counts(q, batch) == ("failed", 0, 1, 0, 0)
    (row,) = q("batch_rows", id=batch)
    (message,) = row["messages"]
    assert (message["msgid"], message["errcode"]) == (10, "processing_error")
    assert len(message["vals"][0]) < 200
    assert work(q, worker) == [batch]


@pytest.mark.parametrize(
    "more",
    [
        {"output": "text"},
        {"output": ["a"]},
        {"output": 5},
        {"output": {}},
        {"messages": "m"},
        {"delay": "soon"},
        {"delay": -1},
        {"line": 99, "id": 7},
    ],
)
def test_odd_ornaments_of_an_answer_do_no_harm(q: Caller, more: Row) -> None:
    batch = submit(q, 1)
    work(q, q.worker(QUEUE), lambda row: said(row, **more))
    assert counts(q, batch) == ("succeeded", 1, 0, 0, 0)
    assert status(q, batch)["files"] == {}
    assert statuses(q, batch) == [(1, "succeeded")]


def test_of_two_answers_for_a_row_the_first_counts(q: Caller) -> None:
    batch = submit(q, 1)
    (job,) = take(q, q.worker(QUEUE))
    q.settle([job], result=[said([0], "succeeded", result=1), said([0], "failed", result=2)])
    assert q.one("batch_rows", id=batch)["result"] == 1
    assert balanced(q)


def test_slices_of_several_batches_and_completions_in_one_call(q: Caller) -> None:
    worker = q.worker(QUEUE, "else/op")
    old = submit(q, 1)
    hand_in(q, take(q, worker)[0])
    batches = [submit(q, 12), submit(q, 1, "else"), submit(q, 3)]
    jobs = q.claim(worker, 100, [QUEUE, "else/op"])
    assert Counter(job["kind"] for job in jobs) == {"rows.slice": 4, "rows.done": 1}
    answers = [[said(row) for row in job["args"].get("rows", [])] or {"told": True} for job in jobs]
    refusals = q.sql(
        "select * from pgqueue.settle(%s::bigint[], %s::bigint[], %s, %s)",
        [job["lease"] for job in jobs],
        [job["id"] for job in jobs],
        ["succeeded"] * len(jobs),
        [Jsonb(answer) for answer in answers],
    )
    assert refusals == []
    assert [counts(q, batch)[:2] for batch in batches] == [("succeeded", 12), ("succeeded", 1), ("succeeded", 3)]
    (done,) = (job for job in jobs if job["kind"] == "rows.done")
    assert (done["args"]["batch"], q.one("result", id=done["id"])["result"]) == (old, {"told": True})
    assert all(q.one("result", id=job["id"])["result"] is None for job in jobs if job is not done), "kept twice"
    assert balanced(q)


@pytest.mark.parametrize("history", ["all", "failed", "none"])
def test_a_queue_without_history_counts_all_the_same(q: Caller, history: str) -> None:
    q("configure_queue", queue=QUEUE, settings={"history": history})
    batch = submit(q, 25)
    judge = lambda row: said(row, "failed" if row[1] % 5 == 0 else "succeeded", output={"f": str(row[1])})  # noqa: E731
    assert work(q, q.worker(QUEUE), judge) == [batch]
    assert counts(q, batch) == ("failed", 20, 5, 0, 0)
    assert status(q, batch)["files"] == {"f": {"lines": 25, "chars": 9 * 2 + 16 * 3}}


# Later


def test_a_row_that_is_later_goes_on_alone(q: Caller) -> None:
    batch = submit(q, 3)
    worker = q.worker(QUEUE)
    hand_in(q, take(q, worker)[0], lambda row: said(row, "later" if row[1] == 2 else "succeeded"))
    assert counts(q, batch) == ("running", 2, 0, 0, 1)
    (job,) = take(q, worker)
    assert job["args"]["rows"] == [[1, 2, {"n": 2}, 1]]
    hand_in(q, job, lambda row: said(row, "later"))
    (job,) = take(q, worker)
    assert job["args"]["rows"] == [[1, 2, {"n": 2}, 2]], "how often it was put off"
    hand_in(q, job)
    assert counts(q, batch) == ("succeeded", 3, 0, 0, 0)
    assert balanced(q)


def test_later_waits_for_its_time(q: Caller) -> None:
    q.clock("2026-01-01 12:00")
    batch = submit(q, 3)
    worker = q.worker(QUEUE)
    delays = {1: 60, 2: 3600, 3: 1e300}
    hand_in(q, take(q, worker)[0], lambda row: said(row, "later", delay=delays[row[1]]))
    assert counts(q, batch) == ("queued", 0, 0, 0, 3)
    done = []
    for at in ("12:00:59", "12:01:01", "12:59:59", "13:00:01"):
        q.clock(f"2026-01-01 {at}")
        q("worker_heartbeat", worker=worker)
        q("maintain", duties=["promote"])
        for job in take(q, worker):
            done.append((at, job["args"]["rows"][0][1]))
            hand_in(q, job)
    assert done == [("12:01:01", 1), ("13:00:01", 2)]
    assert counts(q, batch) == ("running", 2, 0, 0, 1)
    assert q.one("batch_abort", id=batch)["aborted"] == 1
    assert q.sql("select count(*) from pgqueue.scheduled") == [(0,)]


# Held


def test_a_held_batch_is_appended_to_and_released(q: Caller) -> None:
    batch = submit(q, 2, hold=True)
    worker = q.worker(QUEUE)
    assert take(q, worker) == []
    found = status(q, batch)
    assert (found["status"], found["released_at"], found["try_later"]) == ("held", None, True)
    assert append(q, batch, lines(1, 3)) == 3
    assert q.value("batch_append_each", id=batch, lines=[4, 5], inputs=[{"n": 4}, {"n": 5}]) == 5
    assert take(q, worker) == []
    assert append(q, batch, lines(2, 6), hold=False) == 7
    jobs = take(q, worker)
    assert [row for job in jobs for row in job["args"]["rows"]] == [[n, n + 1, {"n": n + 1}] for n in range(7)]
    for job in jobs:
        hand_in(q, job)
    assert counts(q, batch) == ("succeeded", 7, 0, 0, 0)
    assert balanced(q)


def test_release(q: Caller) -> None:
    batch = submit(q, 4, hold=True)
    assert q.value("batch_release", id=batch) == 4
    released = status(q, batch)["released_at"]
    assert q.value("batch_release", id=batch) == 4, "a second time it does nothing"
    worker = q.worker(QUEUE)
    take(q, worker)
    assert q.value("batch_release", id=batch) == 4, "nor while it runs"
    assert status(q, batch)["released_at"] == released
    for act in (lambda: append(q, batch, 1), lambda: append(q, batch, 1, hold=False)):
        with refused(q, "PQ005", "queued"):
            act()


def test_nothing_changes_a_batch_that_is_over(q: Caller) -> None:
    batch = submit(q, 1)
    work(q, q.worker(QUEUE))
    with refused(q, "PQ005", "succeeded"):
        append(q, batch, 1)
    with refused(q, "PQ005", "succeeded"):
        q("batch_release", id=batch)


@pytest.mark.parametrize("how", ["release", "append nothing"])
def test_an_empty_batch_succeeds_when_it_is_released(q: Caller, how: str) -> None:
    batch = submit(q, 0, hold=True)
    assert append(q, batch, 0) == 0
    assert counts(q, batch) == ("held", 0, 0, 0, 0)
    if how == "release":
        assert q.value("batch_release", id=batch) == 0
    else:
        assert append(q, batch, 0, hold=False) == 0
    assert counts(q, batch) == ("succeeded", 0, 0, 0, 0)
    assert work(q, q.worker(QUEUE)) == [batch]
    assert balanced(q)


def test_a_slice_that_is_held_is_not_let_go_behind_its_batch(q: Caller) -> None:
    batch = submit(q, 1, hold=True)
    ((job,),) = q.sql("select job_id from pgqueue.held")
    assert q.state(job) == "held"
    assert f"release of batch {batch}" in q.value("why", id=job)
    assert [row["id"] for row in q("jobs", state="held", queue=QUEUE)] == [job]
    assert [row["held"] for row in q("queues") if row["queue"] == QUEUE] == [1]
    with refused(q, "PQ005", "held"):
        q("set_priority", id=job, priority=5)
    with refused(q, "PQ005", "held"):
        q("reschedule", id=job, run_at="2020-01-01")
    q("cancel", id=job)
    assert counts(q, batch)[0] == "aborted"
    assert statuses(q, batch) == [(1, "aborted")]


# Lines


def test_lines_may_be_doubled_and_have_gaps(q: Caller) -> None:
    given = [{"line": line, "input": n} for n, line in enumerate([7, 2, 7, 2147483647, 2])]
    batch = submit(q, given, slice_size=2)
    work(q, q.worker(QUEUE), lambda row: said(row, result=row[2]))
    rows = q("batch_rows", id=batch)
    assert [(row["line"], row["row_id"], row["result"]) for row in rows] == [
        *((2, 1, 1), (2, 4, 4), (7, 0, 0), (7, 2, 2)),
        (2147483647, 3, 3),
    ]


@pytest.mark.parametrize("given", [None, 5, "x", [], {"a": [None]}, True])
def test_any_json_is_an_input_a_result_and_a_context(q: Caller, given: object) -> None:
    batch = submit(q, [{"line": 1, "input": given}], context=Jsonb(given))
    query = slow(q, given)
    work(q, q.worker(QUEUE), lambda row: said(row, result=row[2]))
    assert q.value("batch_context", id=batch) == given
    assert [row["result"] for row in q("batch_rows", id=batch)] == [given]
    assert q.one("slow_query_status", id=query)["result"] == given
