"""Dead letter queues, and the summary of what failed."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import refused

ERROR = {"type": "Boom", "message": "no"}


def name_dead(q: Caller, queue: str = "default", dead: str | None = "dead", **settings: Any) -> dict[str, Any]:
    return dict(q.value("configure_queue", queue=queue, settings={"dead_letter_queue": dead, **settings}))


def letters(q: Caller, queue: str = "dead") -> list[Row]:
    return [q.one("job", id=job) for (job,) in q.sql("select id from pgqueue.job where queue = %s order by id", queue)]


def discard(q: Caller, worker: int, *queues: str) -> None:
    jobs = q.claim(worker, queues=list(queues) or ["default"])
    assert q.settle(jobs, "discard", error=ERROR) == []


def test_a_job_that_fails_for_good_leaves_a_letter(q: Caller) -> None:
    assert name_dead(q)["dead_letter_queue"] == "dead"
    worker = q.worker()
    job = q.enqueue(
        "mail", args={"to": "ada"}, headers={"tenant": 7}, group_key="g", unique_key="u", priority=3, max_attempts=2
    )
    q.settle(q.claim(worker), "failed", error=ERROR)
    assert letters(q) == []
    q.clock("2100-01-01")
    q("maintain", duties=["promote"])
    q.settle(q.claim(worker), "failed", error=ERROR)
    assert q.state(job) == "failed"
    (letter,) = letters(q)
    dead = {"job": job, "queue": "default", "reason": "error", "error": ERROR, "attempts": 2, "path": ["default"]}
    assert letter["headers"] == {"tenant": 7, "dead_letter": dead}
    wanted = {"kind": "mail", "args": {"to": "ada"}, "group_key": "g", "unique_key": None, "priority": 3}
    assert {name: letter[name] for name in wanted} == wanted
    assert letter["max_attempts"] == 5
    assert letter["state"] == "queued"
    (claimed,) = q.claim(q.worker("dead"), queues=["dead"])
    assert claimed["id"] == letter["id"]
    assert q.sql("select event from pgqueue.job_event where job_id = %s", job) == [("dead-lettered",)]


def test_other_ends_leave_none(q: Caller) -> None:
    name_dead(q)
    worker = q.worker()
    q("cancel", id=q.enqueue())
    q.enqueue()
    q.settle(q.claim(worker))
    q.enqueue()
    q.settle(q.claim(worker), "cancelled")
    q.enqueue(queue="other")
    discard(q, worker, "other")
    assert letters(q) == []


def test_whatever_makes_it_fail(q: Caller) -> None:
    name_dead(q)
    worker = q.worker()
    q.enqueue("late", expires_in="1 second")
    q.enqueue("slow", max_attempts=1)
    q.settle(q.claim(worker, queues=["default"])[1:], "timeout")
    q.clock("2100-01-01")
    q("maintain")  # the worker is lost, and its other job waits again, no more under its queue timeout
    q.enqueue("expired", expires_in="1 second")
    q.clock("2100-01-02")
    q("maintain", duties=["expire"])
    reasons = {letter["kind"]: letter["headers"]["dead_letter"]["reason"] for letter in letters(q)}
    assert reasons == {"slow": "timeout", "expired": "queue_timeout"}
    assert {letter["headers"]["dead_letter"]["error"] for letter in letters(q)} == {None}


@pytest.mark.parametrize("history", ["none", "failed"])
def test_a_queue_without_history_has_letters_too(q: Caller, history: str) -> None:
    name_dead(q, history=history)
    job = q.enqueue(args={"n": 1})
    discard(q, q.worker())
    (letter,) = letters(q)
    assert letter["args"] == {"n": 1}
    assert letter["headers"]["dead_letter"]["job"] == job


def test_a_job_has_one_letter_however_often_it_is_retried(q: Caller) -> None:
    name_dead(q)
    worker = q.worker()
    job = q.enqueue()
    discard(q, worker)
    q("retry", id=job)
    discard(q, worker)
    assert q.state(job) == "failed"
    assert len(letters(q)) == 1


def test_a_ring_of_queues_comes_to_an_end(q: Caller) -> None:
    for queue, dead in (("a", "b"), ("b", "c"), ("c", "a")):
        name_dead(q, queue, dead)
    first = q.enqueue(queue="a")
    worker = q.worker("a", "b", "c")
    for queue in ("a", "b", "c"):
        discard(q, worker, queue)
    assert q.claim(worker, queues=["a", "b", "c"]) == []
    (last,) = letters(q, "c")
    assert last["headers"]["dead_letter"]["path"] == ["a", "b"]
    assert [letter["id"] for letter in letters(q, "a")] == [first]


def test_a_letter_that_is_moved_back_and_fails_again_is_one_again(q: Caller) -> None:
    name_dead(q)
    q.enqueue()
    worker = q.worker()
    discard(q, worker)
    assert q.one("move_jobs", filter={"queue": "dead"}, queue="default")["done"] == 1
    discard(q, worker)
    (letter,) = letters(q)
    assert letter["headers"]["dead_letter"]["path"] == ["default"]


def test_many_fail_at_once(q: Caller) -> None:
    name_dead(q)
    jobs = [q.enqueue(args={"n": n}, group_key="g" if n % 3 else None) for n in range(30)]
    worker = q.worker()
    taken = q.claim(worker)
    q.settle(taken[:10])
    q.settle(taken[10:], "discard", error=ERROR)
    found = letters(q)
    assert [letter["headers"]["dead_letter"]["job"] for letter in found] == sorted(job["id"] for job in taken[10:])
    assert {letter["args"]["n"] for letter in found} == {jobs.index(job["id"]) for job in taken[10:]}


def test_rooms_of_their_own_leave_none(q: Caller) -> None:
    for queue in ("scripts", "queries", "a/o", "k"):
        name_dead(q, queue)
    q.value("submit_script", document=Jsonb({"query": "select 1"}), owner="o")
    q.one("submit_query", sql="select 1")
    q.value("batch_submit", app="a", op="o", rows=Jsonb([{"line": 1, "input": {}}]))
    q.one("keyed_add", queue="k", key="x", payload="p")
    worker = q.worker()
    for queue in ("scripts", "queries", "a/o", "k"):
        discard(q, worker, queue)
    assert letters(q) == []


def test_its_own_dead_letter_queue_is_refused(q: Caller) -> None:
    for given in ("default", "", 3, ["a"], "a\x01b"):
        with refused(q):
            q("configure_queue", queue="default", settings={"dead_letter_queue": given})
    name_dead(q)
    assert name_dead(q, dead=None)["dead_letter_queue"] is None
    q.enqueue()
    discard(q, q.worker())
    assert letters(q) == []


# What failed


def failures(q: Caller, **options: Any) -> list[tuple[Any, ...]]:
    return [
        (row["queue"], row["kind"], row["reason"], row["error_type"], row["jobs"]) for row in q("failures", **options)
    ]


def test_failures_by_kind_and_error(q: Caller) -> None:
    worker = q.worker()
    for n, (kind, queue, type) in enumerate(
        [("a", "x", "Boom"), ("a", "x", "Boom"), ("b", "x", "Boom"), ("a", "x", "Crash"), ("a", "y", None)]
    ):
        q.clock(f"2030-01-01 12:0{n}:00+00")
        q.enqueue(kind, queue=queue)
        q.settle(
            q.claim(worker, queues=[queue]), "discard", error={"type": type, "message": f"no {n}"} if type else None
        )
    q("cancel", id=q.enqueue())
    last, *_, first = rows = q("failures")
    assert failures(q) == [
        ("y", "a", "error", None, 1),
        ("x", "a", "error", "Crash", 1),
        ("x", "b", "error", "Boom", 1),
        ("x", "a", "error", "Boom", 2),
    ]
    assert last["message"] is None
    assert first["message"] == "no 1"
    assert (first["first_at"].minute, first["last_at"].minute) == (0, 1)
    assert first["last_job"] == 2
    assert len(rows) == 4
    assert failures(q, queue="y") == [("y", "a", "error", None, 1)]
    assert failures(q, kind="b") == [("x", "b", "error", "Boom", 1)]
    assert len(failures(q, since="2030-01-01 12:03:00+00")) == 2
    assert failures(q, max=1) == [("y", "a", "error", None, 1)]
    q("retry_jobs", filter={"kind": "a", "error_type": "Boom"})
    assert len(failures(q)) == 3
