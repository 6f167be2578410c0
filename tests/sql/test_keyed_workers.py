"""Workers that execute items of keyed queues, beside clients: results, rescue, and one budget for both."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.calls import Caller
from tests.sql.keyed import (
    ACTIVE,
    ASTRAY,
    ack,
    add,
    added,
    by_id,
    cancel,
    claim,
    keys,
    lapsed,
    later,
    lose_workers,
    nothing_left,
    result,
    run,
    running,
    settle,
    state,
    tidy,
)
from tests.sql.support import refused

Session = Callable[[], Caller]


# Workers


def test_a_worker_executes_items(q: Caller) -> None:
    first, second = added(q, "a", payload="what"), added(q, "b")
    worker = q.worker("q")
    jobs = q.claim(worker, 10, ["q"])
    assert [(job["id"], job["kind"], job["unique_key"], job["args"]) for job in jobs] == [
        (first, "keyed.item", "a", {}),
        (second, "keyed.item", "b", {}),
    ]
    assert len({job["lease"] for job in jobs}) == 2, "each may be lost alone"
    found = q.one("keyed_get", id=first)
    assert (found["payload"], found["status"], found["key"]) == ("what", "active", "a")
    assert keys(q, "keyed_active") == ["a", "b"]
    assert claim(q, "a", concurrency=9)["refused"] == "active"
    assert q.sql(ASTRAY) == []
    text = '{"a":"\\u0000", "n":1.50}'
    assert settle(q, jobs[0], answer=text) == []
    assert by_id(q, first, hide=False) == text == result(q, "a")
    assert q.one("result", id=first)["result"] is None
    assert settle(q, jobs[1]) == []
    assert by_id(q, second) is None, "no result, and who waits gets nothing"
    nothing_left(q)


def test_items_and_jobs_of_one_queue_in_one_claim(q: Caller) -> None:
    """Those that come first are started first; and plain jobs share a lease as ever."""
    made = [q.enqueue(queue="q") if n % 3 else added(q, f"k{n}") for n in range(7)]
    urgent = added(q, "urgent", priority=5)
    taken = q.claim(q.worker("q"), 10, ["q"])
    assert {job["id"] for job in taken} == {urgent, *made}
    assert taken[0]["id"] == urgent
    items = [job for job in taken if job["kind"] == "keyed.item"]
    assert len({job["lease"] for job in items}) == 4
    assert q.sql(ASTRAY) == []
    assert q.settle(taken, result="x") == []
    assert [by_id(q, job["id"]) for job in items] == ["x"] * 4
    nothing_left(q)


def test_a_failed_item_is_a_result_too(q: Caller, session: Session) -> None:
    item = added(q)
    waiter = session()
    waiter.connection.execute("listen pgqueue_done")
    waiter("watch", jobs=[item])
    (job,) = q.claim(q.worker("q"), queues=["q"])
    assert settle(q, job, "failed", error={"type": "Boom", "message": 'no "such" table'}) == []
    assert [n.payload for n in waiter.connection.notifies(timeout=10, stop_after=1)] == [str(item)]
    found = waiter.one("keyed_result_by_id", id=item)
    assert found["state"] == "failed"
    assert json.loads(found["payload"]) == {"error": 'no "such" table'}
    assert state(q, item) == "failed"
    nothing_left(q)


@pytest.mark.parametrize("outcome", ["timeout", "discard"])
def test_other_failures(q: Caller, outcome: str) -> None:
    item = added(q, max_attempts=5)
    for turn in range(1, 6):
        (job,) = q.claim(q.worker("q"), queues=["q"])
        assert settle(q, job, outcome, error={"message": f"{outcome} of it"}) == []
        later(q, 10**6 * turn)
        q("maintain", duties=["promote"])
        if state(q, item) != "pending":
            break
    assert state(q, item) == "failed"
    q.clock("")
    ((text,),) = q.sql("select result from pgqueue.keyed_result")
    assert json.loads(text) == {"error": f"{outcome} of it"}
    nothing_left(q)


def test_attempts_of_workers_and_a_clients_ack(q: Caller) -> None:
    item = added(q, max_attempts=3)
    (job,) = q.claim(q.worker("q"), queues=["q"])
    assert settle(q, job, "failed", error={"message": "no"}) == []
    assert state(q, item) == "pending"
    assert claim(q)["refused"] == "busy", "it waits for its retry"
    later(q, 10**6)
    q("maintain", duties=["promote"])
    assert claim(q)["id"] == item
    assert q.one("job", id=item)["attempt"] == 2
    assert ack(q, item)
    nothing_left(q)


@pytest.mark.parametrize("outcome", ["release", "snooze", "cancelled"])
def test_outcomes_that_are_no_end(q: Caller, outcome: str) -> None:
    item = added(q)
    (job,) = q.claim(q.worker("q"), queues=["q"])
    assert settle(q, job, outcome, delay="1 hour" if outcome == "snooze" else None) == []
    assert state(q, item) == ("cancelled" if outcome == "cancelled" else "pending")
    assert q.sql(ASTRAY) == []
    assert by_id(q, item) is None


@pytest.mark.parametrize("how", ["cancel", "ack", "reap", "release", "truncate"])
def test_what_is_taken_from_a_worker_is_lost_alone(q: Caller, session: Session, how: str) -> None:
    item = added(q)
    other = added(q, "other")
    worker = q.worker("q")
    jobs = q.claim(worker, 10, ["q"])
    listener = session()
    listener.connection.execute("listen pgqueue_worker")
    if how == "cancel":
        assert cancel(q, item)
    elif how == "ack":
        assert ack(q, item)
    elif how == "truncate":
        assert q.value("keyed_truncate", queue="q") == 2
    else:
        later(q, 1000)
        q("keyed_heartbeat", id=other)
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        assert len(q("keyed_reap", queue="q", heartbeat_ms=900_000, release=how == "release")) == 1
        q.clock("")
    if how != "ack":
        assert {n.payload for n in listener.connection.notifies(timeout=0.5, stop_after=1)} == {str(worker)} or (
            how == "release"
        )
    lost = {row["lease"] for row in beat(q, worker, jobs) if row["action"] == "lost"}
    assert lost == ({job["lease"] for job in jobs} if how == "truncate" else {jobs[0]["lease"]})
    assert [row["problem"] for row in settle(q, jobs[0], answer="late")] == ["stale"]
    assert by_id(q, item) == ('{"result":1}' if how == "ack" else None)
    if how != "truncate":
        assert settle(q, jobs[1], answer="x") == []


def beat(q: Caller, worker: int, jobs: list[Any]) -> list[Any]:
    return q("worker_heartbeat", worker=worker, leases=[job["lease"] for job in jobs])


def test_a_cancel_of_the_core_asks_the_worker(q: Caller) -> None:
    item = added(q)
    (job,) = q.claim(q.worker("q"), queues=["q"])
    assert q("cancel", id=item) == [{"state": "running", "changed": True}]
    assert state(q, item) == "active"
    assert settle(q, job, "cancelled") == []
    assert state(q, item) == "cancelled"
    nothing_left(q)


def test_a_lost_workers_items_are_rescued(q: Caller) -> None:
    item = added(q, payload="what")
    q.claim(q.worker("q"), queues=["q"])
    q("keyed_merge_extra", id=item, extra='{"kept":1}')
    for crashes in range(1, 5):
        lose_workers(q)
        assert state(q, item) == "pending"
        assert q.sql(ASTRAY) == []
        assert q.one("job", id=item)["crashes"] == crashes
        assert lapsed(q, heartbeat_ms=0) == []
        (job,) = q.claim(q.worker("q"), queues=["q"])
        assert (job["crashes"], job["attempt"]) == (crashes, 1)
        assert q.one("keyed_get", id=item)["extra"] == '{"kept":1}'
    lose_workers(q)
    assert state(q, item) == "failed"
    assert "lost" in json.loads(by_id(q, item) or "")["error"]
    nothing_left(q)


def test_a_rescued_item_is_a_clients_too(q: Caller) -> None:
    item = added(q)
    q.claim(q.worker("q"), queues=["q"])
    lose_workers(q)
    assert claim(q)["id"] == item
    assert ack(q, item)
    nothing_left(q)


def test_upkeep_leaves_what_clients_hold(q: Caller) -> None:
    item = running(q)
    later(q, 3000)
    lose_workers(q)
    for _ in range(2):
        assert [row for row in q("maintain") if row["error"]] == []
    assert state(q, item) == "active"
    assert [row["error"] for row in q("maintain", duties=["rescue"])] == [None]
    with refused(q, "PQ003"):
        q("deregister_worker", worker=0)


def test_a_beating_worker_keeps_all_it_holds(q: Caller) -> None:
    added(q, "a")
    worker = q.worker("q")
    q.claim(worker, queues=["q"])
    later(q, 1000)
    assert lapsed(q, heartbeat_ms=120_000) == ["a"]
    q("worker_heartbeat", worker=worker)
    assert lapsed(q, heartbeat_ms=120_000) == []


# One budget


def test_clients_and_workers_share_one_budget(q: Caller) -> None:
    q("configure_queue", queue="q", settings={"max_running": 3})
    items = [added(q, f"k{n}") for n in range(6)]
    assert claim(q, "k0", concurrency=None)["id"] == items[0]
    worker = q.worker("q")
    jobs = q.claim(worker, 10, ["q"])
    assert len(jobs) == 2
    assert claim(q, "k5", concurrency=9)["refused"] == "budget"
    assert q("keyed_claim_next", queue="q") == []
    assert run(q, "new")["payload"] is None
    assert settle(q, jobs[0]) == []
    assert claim(q, "k5", concurrency=9)["id"] == items[5]
    assert q.claim(worker, 10, ["q"]) == []
    assert ack(q, items[0])
    assert len(q.claim(worker, 10, ["q"])) == 1
    assert q.sql(ACTIVE, "q") == [(3,)]


def test_exclusive_items_take_a_place_that_workers_count(q: Caller) -> None:
    q("configure_queue", queue="q", settings={"max_running": 2})
    running(q, "own", exclusive=True, process_id="one")
    assert run(q, "own too", exclusive=True, process_id="one")["payload"] == "{}"
    added(q, "k")
    assert q.claim(q.worker("q"), 10, ["q"]) == []
    assert ack(q, q.one("keyed_get", queue="q", key="own")["id"])
    assert len(q.claim(q.worker("q"), 10, ["q"])) == 1


def test_an_ack_wakes_workers_that_found_no_place(q: Caller, session: Session) -> None:
    q("configure_queue", queue="q", settings={"max_running": 1})
    item, _ = running(q, "runs"), added(q, "waits")
    sleeper = session()
    sleeper.connection.execute("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["q"])
    assert ack(q, item)
    assert [n.payload for n in sleeper.connection.notifies(timeout=10, stop_after=1)] == ["q"]


def test_an_add_wakes_workers(q: Caller, session: Session) -> None:
    sleeper = session()
    sleeper.connection.execute("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["q"])
    added(q)
    assert [n.payload for n in sleeper.connection.notifies(timeout=10, stop_after=1)] == ["q"]


def test_what_ended_leaves_nothing(q: Caller) -> None:
    for key, end in (("a", ack), ("b", cancel), ("c", ack)):
        for external_id in (None, "e"):
            item = running(q, key, external_id=external_id)
            add(q, key, external_id="f", priority=9)
            end(q, item)
    nothing_left(q)
    tidy(q)
    for table in ("keyed_request", "keyed_result", "crash", "changed_priority", "job_key"):
        assert q.sql(f"select count(*) from pgqueue.{table}") == [(0,)], table
