"""Slow queries; slices that fail as a whole, completions that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import (
    QUEUE,
    balanced,
    counts,
    hand_in,
    lines,
    said,
    slow,
    submit,
    take,
    work,
)
from tests.sql.calls import Caller
from tests.sql.support import refused

Session = Callable[[], Caller]


# Slow queries


def test_a_slow_query(q: Caller) -> None:
    query = slow(q, {"sum": [1, 2]}, context=Jsonb({"c": 1}))
    worker = q.worker(QUEUE)

    def seen() -> tuple[Any, ...]:
        found = q.one("slow_query_status", id=query)
        return tuple(found[name] for name in ("status", "try_later", "result", "messages", "files"))

    assert seen() == ("queued", True, None, None, None)
    (job,) = take(q, worker)
    assert (job["kind"], job["args"]["rows"]) == ("rows.slow", [[0, 0, {"sum": [1, 2]}]])
    assert seen() == ("running", True, None, None, None)
    message = {"msgid": 1, "errcode": "note", "vals": ["v"]}
    hand_in(q, job, lambda row: said(row, result=[3], messages=[message], output={"out": ["a", "b"]}))
    for _ in range(3):  # the same answer on every poll
        assert seen() == ("succeeded", False, [3], [message], {"out": {"lines": 2, "chars": 4}})
    assert work(q, worker) == [query], "its completion is called back too"
    assert q.one("output_file", id=query, name="out")["data"] == "a\nb\n"
    assert balanced(q)


def test_a_slow_query_that_fails_is_reported_with_its_messages_and_files(q: Caller) -> None:
    query = slow(q)
    message = {"msgid": 9, "errcode": "bad"}
    assert work(q, q.worker(QUEUE), lambda row: said(row, "failed", messages=[message], output={"log": "l"})) == [query]
    found = q.one("slow_query_status", id=query)
    assert (found["status"], found["try_later"], found["messages"]) == ("failed", False, [message])
    assert found["files"] == {"log": {"lines": 1, "chars": 2}}


def test_batches_and_slow_queries_are_told_apart(q: Caller) -> None:
    batch, query = submit(q, hold=True), slow(q)
    for call in ("batch_status", "batch_rows", "batch_abort", "batch_release", "batch_append"):
        for unknown in (query, 10**9, None):
            with refused(q, "PQ002", "unknown"):
                q(call, id=unknown, **({"rows": Jsonb(lines(1))} if call == "batch_append" else {}))
    for call in ("slow_query_status", "slow_query_abort"):
        for unknown in (batch, 10**9, None):
            with refused(q, "PQ002", "unknown"):
                q(call, id=unknown)
    for call in ("batch_context", "output_file"):
        with refused(q, "PQ002", "unknown"):
            q(call, id=10**9, **({"name": "f"} if call == "output_file" else {}))


# Slices that fail as a whole


@pytest.mark.parametrize("outcome", ["failed", "discard", "timeout"])
def test_a_slice_that_fails_for_good_fails_its_rows(q: Caller, outcome: str) -> None:
    q("configure_queue", queue=QUEUE, settings={"backoff": {"base": 0}})
    batch = submit(q, 3)
    worker = q.worker(QUEUE)
    for attempt in (1,) if outcome == "discard" else (1, 2, 3):
        (job,) = take(q, worker)
        assert job["attempt"] == attempt
        q.settle([job], outcome, error={"type": "Boom", "message": f"no {attempt}"})
        q("maintain", duties=["promote"])
    assert counts(q, batch) == ("failed", 0, 3, 0, 0)
    for row in q("batch_rows", id=batch):
        (message,) = row["messages"]
        assert (message["msgid"], message["errcode"], message["vals"]) == (10, "processing_error", [f"no {attempt}"])
    assert work(q, worker) == [batch]
    assert balanced(q)


def test_an_initializer_that_fails_three_times(q: Caller) -> None:
    q("configure_queue", queue=QUEUE, settings={"backoff": {"base": 0}})
    query = slow(q)
    worker = q.worker(QUEUE)
    for _ in range(3):
        assert q.one("slow_query_status", id=query)["try_later"]
        (job,) = take(q, worker)
        q.settle([job], "failed", error={"type": "InitFailed", "message": "no database"})
        q("maintain", duties=["promote"])
    found = q.one("slow_query_status", id=query)
    assert (found["status"], found["messages"]) == (
        "failed",
        [{"msgid": 5, "errcode": "configerror", "vals": ["no database"]}],
    )


@pytest.mark.parametrize("outcome", ["release", "snooze", "retry"])
def test_a_slice_that_is_given_back_comes_whole_again(q: Caller, outcome: str) -> None:
    batch = submit(q, 3)
    worker = q.worker(QUEUE)
    jobs = take(q, worker)
    q.settle(jobs, outcome, **({"delay": 0} if outcome != "release" else {}))
    q("maintain", duties=["promote"])
    assert counts(q, batch) == ("queued", 0, 0, 0, 3)
    assert [job["args"] for job in take(q, worker)] == [job["args"] for job in jobs]


def test_a_completion_that_fails_is_called_again_ten_times(q: Caller) -> None:
    q("configure_queue", queue=QUEUE, settings={"backoff": {"base": 0}})
    batch = submit(q, 1)
    worker = q.worker(QUEUE)
    hand_in(q, take(q, worker)[0])
    tries = 0
    while taken := take(q, worker):
        tries += 1
        q.settle(taken, "failed", error={"type": "E"})
        q("maintain", duties=["promote"])
    assert tries == 10
    assert counts(q, batch) == ("succeeded", 1, 0, 0, 0)


def test_a_slice_is_not_retried(q: Caller) -> None:
    batch = submit(q, 1)
    (job,) = take(q, q.worker(QUEUE))
    q.settle([job], "discard", error={"type": "E"})
    with refused(q, "PQ005", "rows of a batch"):
        q("retry", id=job["id"])
    assert counts(q, batch)[0] == "failed"
