"""Follow-ups: enqueued once when a job ends, with its result or its error, and never in its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import refused

Session = Callable[[], Caller]

BOTH: dict[str, Any] = {
    "on_success": {"kind": "good", "args": {"a": 1}, "pass_as": "got"},
    "on_error": {"kind": "bad", "pass_as": "why"},
}


def followers(q: Caller) -> list[Row]:
    """Those in the queue, newest first."""
    return [
        {"kind": kind, "args": args, "headers": headers, "queue": queue}
        for kind, args, headers, queue in q.sql(
            """select kind, args, headers, queue from pgqueue.job where headers ? 'parent' order by id desc"""
        )
    ]


def one_ends(q: Caller, worker: int, outcome: str, **more: Any) -> int:
    (taken,) = q.claim(worker)
    assert q.settle([taken], outcome, **more) == []
    return int(taken["id"])


def test_success_passes_the_result(q: Caller) -> None:
    worker = q.worker()
    job = q.enqueue("make", **BOTH)
    one_ends(q, worker, "succeeded", result={"n": [1]})
    parent = {"job": job, "kind": "make", "state": "succeeded"}
    assert followers(q) == [
        {"kind": "good", "args": {"a": 1, "got": {"n": [1]}}, "headers": {"parent": parent}, "queue": "default"}
    ]
    assert [row["kind"] for row in q.claim(worker)] == ["good"]
    assert q.sql("select * from pgqueue.follow_up") == []


@pytest.mark.parametrize(
    ("outcome", "state", "why"),
    [
        ("discard", "failed", "error"),
        ("failed", "failed", "error"),
        ("timeout", "failed", "timeout"),
        ("cancelled", "cancelled", "cancelled_by_worker"),
    ],
)
def test_an_error_passes_what_became_of_it(q: Caller, outcome: str, state: str, why: str) -> None:
    worker = q.worker()
    q.enqueue(max_attempts=1, **BOTH)
    one_ends(q, worker, outcome, error={"message": "no"})
    (follower,) = followers(q)
    assert follower["kind"] == "bad"
    assert follower["args"] == {"why": {"state": state, "reason": why, "error": {"message": "no"}}}


def test_not_for_retries_in_between(q: Caller) -> None:
    worker = q.worker()
    q.enqueue(max_attempts=2, backoff={"base": 0}, **BOTH)
    for outcome in ("failed", "release"):
        one_ends(q, worker, outcome)
        assert followers(q) == []
    one_ends(q, worker, "failed")
    assert [row["kind"] for row in followers(q)] == ["bad"]


def test_a_retried_job_follows_up_again(q: Caller) -> None:
    worker = q.worker()
    job = q.enqueue(**BOTH)
    q("cancel", id=job)
    assert followers(q)[0]["args"] == {"why": {"state": "cancelled", "reason": "cancelled_by_user", "error": None}}
    q("retry", id=job)
    q("cancel", id=followers(q) and q("jobs", kind="bad")[0]["id"])
    one_ends(q, worker, "succeeded")
    assert [row["kind"] for row in followers(q)] == ["good", "bad"]
    assert followers(q)[0]["args"] == {"a": 1, "got": None}


def test_arrays_and_follow_ups_of_follow_ups(q: Caller) -> None:
    worker = q.worker()
    last = {"kind": "last", "queue": "other", "pass_as": "x", "headers": {"h": 1}, "delay": 60}
    q(
        "enqueue_many",
        jobs=Jsonb([{"kind": "first", "on_success": [{"kind": "a"}, {"kind": "b", "on_success": [last]}]}]),
    )
    one_ends(q, worker, "succeeded")
    assert [row["kind"] for row in followers(q)] == ["b", "a"]
    for job in q.claim(worker):
        q.settle([job], result=job["kind"])
    final = followers(q)[0]
    assert (final["kind"], final["queue"], final["args"], final["headers"]["h"]) == ("last", "other", {"x": "b"}, 1)
    assert q.sql("select count(*) from pgqueue.scheduled") == [(1,)]


def test_expired_lost_and_parentless_jobs_follow_up(q: Caller) -> None:
    worker = q.worker()
    q("configure", settings={"max_crashes": 1})
    lost, expired, parent = q.enqueue(**BOTH), q.enqueue(expires_in="1 hour", priority=-1, **BOTH), q.enqueue(queue="p")
    child = q.enqueue(depends_on=[parent], **BOTH)
    assert q.claim(worker, 1)[0]["id"] == lost
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    q.sql("update pgqueue.deadline set expires_at = '2020-01-01'")
    q("maintain", duties=["expire", "dependents"])
    q("cancel", id=parent)
    assert {(row["headers"]["parent"]["job"], row["args"]["why"]["reason"]) for row in followers(q)} == {
        (lost, "worker_lost"),
        (expired, "queue_timeout"),
        (child, "parent_failed"),
    }


@pytest.mark.parametrize("history", ["none", "failed"])
@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
def test_queues_without_history(q: Caller, history: str, outcome: str) -> None:
    worker = q.worker()
    q("configure_queue", queue="default", settings={"history": history})
    q.enqueue(**BOTH)
    one_ends(q, worker, outcome)
    assert [row["kind"] for row in followers(q)] == ["good" if outcome == "succeeded" else "bad"]
    assert followers(q)[0]["headers"]["parent"]["kind"] == "noop"


def test_one_that_cannot_be_enqueued_jams_nothing(q: Caller) -> None:
    worker = q.worker()
    q.enqueue(queue="other", unique_key="u")
    again = {"kind": "x", "queue": "other", "unique_key": "u", "on_duplicate": "raise"}
    q.sql("create function pgqueue.break() returns trigger language plpgsql as $$begin raise 'broken'; end$$")
    q.sql(
        "create trigger t before insert on pgqueue.job for each row"
        " when (new.kind = 'broken') execute function pgqueue.break()"
    )
    job = q.enqueue(on_success=Jsonb([{"kind": "broken"}, {"kind": "fine"}, {**again, "on_duplicate": "return"}]))
    one_ends(q, worker, "succeeded", result=1)
    assert q.one("result", id=job) == {"state": "succeeded", "reason": None, "result": 1, "error": None}
    assert [row["kind"] for row in followers(q)] == ["fine"]
    assert [(row["reason"], row["error"]["message"]) for row in q("attempts", id=job)] == [
        ("follow_up", "broken (P0001)")
    ]
    health = {row["item"]: row for row in q("health")}["follow-ups"]
    assert not health["ok"]
    assert health["detail"] == f"1 could not be enqueued, the last after job {job}: broken (P0001)"
    assert q.one("job", id=job)["error"] is None


def test_a_key_in_an_open_transaction_is_not_waited_for(q: Caller, session: Session) -> None:
    worker, user = q.worker(), session()
    job = q.enqueue(on_success={"kind": "next", "unique_key": "u"})
    q.enqueue(on_success={"kind": "next", "unique_key": "u2"})
    with user.connection.transaction(force_rollback=True):
        user.enqueue(unique_key="u")
        q.settle(q.claim(worker))
        assert len(followers(q)) == 1
        q("maintain", duties=["dependents"])
        assert len(followers(q)) == 1
    q("maintain", duties=["dependents"])
    assert len(followers(q)) == 2
    assert q.sql("select * from pgqueue.late_follow_up") == []
    assert q("attempts", id=job) == []


def test_a_stale_settle_follows_nothing_up(q: Caller) -> None:
    worker = q.worker()
    q.enqueue(**BOTH)
    taken = q.claim(worker)
    q.settle(taken)
    assert [row["problem"] for row in q.settle(taken)] == ["stale"]
    assert len(followers(q)) == 1


def test_rolled_back_with_the_settle(q: Caller) -> None:
    worker = q.worker()
    q.enqueue(**BOTH)
    taken = q.claim(worker)
    with q.connection.transaction(force_rollback=True):
        q.settle(taken)
    assert followers(q) == []
    q.settle(taken)
    assert len(followers(q)) == 1


BAD: list[tuple[Any, str]] = [
    ('"x"', "is string"),
    ("7", "is number"),
    ({}, "kind"),
    ([{"kind": "a"}, {"kind": ""}], "element 2: kind is empty"),
    ([7], "element 1: it is number"),
    ({"kind": "a", "kinds": 1}, "unknown key 'kinds'"),
    ({"kind": "a", "depends_on": [1]}, "key 'depends_on'"),
    ({"kind": "a", "ref": "r"}, "key 'ref'"),
    ({"kind": "a", "pass_as": ""}, "pass_as"),
    ({"kind": "a", "pass_as": 5}, "pass_as"),
    ({"kind": "a", "pass_as": "x" * 201}, "pass_as"),
    ({"kind": "a", "args": []}, "args"),
    ({"kind": "a", "priority": 40000}, "priority"),
    ({"kind": "a", "priority": "high"}, "integer"),
    ({"kind": "a", "delay": "soon"}, "interval"),
    ({"kind": "a", "max_attempts": 0}, "max_attempts"),
    ({"kind": "a", "unique_until": "start"}, "unique_until"),
    ({"kind": "a", "on_success": 5}, "on_success"),
    ({"kind": "a", "on_error": [{"kind": "b", "on_error": {"kind": 5}}]}, "kind is number"),
]


@pytest.mark.parametrize("option", ["on_success", "on_error"])
@pytest.mark.parametrize(("spec", "words"), BAD)
def test_follow_ups_that_are_refused(q: Caller, option: str, spec: Any, words: str) -> None:
    given = spec if isinstance(spec, str) else Jsonb(spec)
    with refused(q, "PQ001", option, *words.split()):
        q.sql(f"select * from pgqueue.enqueue('k', {option} => %s::jsonb)", given)
    with refused(q, "PQ001", option, *words.split()):
        q.sql(f"select * from pgqueue.enqueue_each('k', array['{{}}']::jsonb[], {option} => %s::jsonb)", given)
    with refused(q, "PQ001", "element 1", option, *words.split()):
        q.sql(
            "select * from pgqueue.enqueue_many(jsonb_build_array("
            f"jsonb_build_object('kind', 'k', '{option}', %s::jsonb)))",
            given,
        )


def test_too_deep(q: Caller) -> None:
    spec: dict[str, Any] = {"kind": "k"}
    for _ in range(15):
        spec = {"kind": "k", "on_success": spec}
    q.enqueue(on_success=spec)
    with refused(q, "PQ001", "deep"):
        q.enqueue(on_success={"kind": "k", "on_success": spec})
