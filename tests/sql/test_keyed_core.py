"""Items of keyed queues are jobs: what the rest of the schema says of them and does to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sql.calls import Caller
from tests.sql.keyed import (
    ack,
    add,
    added,
    by_id,
    cancel,
    claim,
    ended,
    keys,
    nothing_left,
    run,
    running,
    state,
)
from tests.sql.support import refused

Session = Callable[[], Caller]


# Looking


def test_a_job_like_any_other(q: Caller) -> None:
    waits, runs = added(q, "waits", priority=3), running(q, "runs")
    job = q.one("job", id=waits)
    assert (job["kind"], job["queue"], job["unique_key"], job["state"]) == ("keyed.item", "q", "waits", "queued")
    assert (job["args"], job["max_attempts"], job["priority"]) == ({}, 1, 3)
    job = q.one("job", id=runs)
    assert (job["state"], job["worker_id"], job["attempt"]) == ("running", 0, 1)
    assert [(row["id"], row["state"]) for row in q("jobs", queue="q")] == [(runs, "running"), (waits, "queued")]
    assert [row["id"] for row in q("jobs", kind="keyed.item", state="running")] == [runs]
    (row,) = (row for row in q("queues") if row["queue"] == "q")
    assert (row["queued"], row["running"]) == (1, 1)
    assert "pending" in q.value("why", id=waits) and "one is active" in q.value("why", id=waits)
    assert "active: a client claimed it" in q.value("why", id=runs)
    assert [row for row in q("health") if not row["ok"]] == [], "items need no worker"
    ack(q, runs)
    found = q.one("result", id=runs)
    assert (found["state"], found["result"]) == ("succeeded", None), "its result is text, and kept apart"
    assert "final" in q.value("why", id=runs)


def test_why_while_it_waits(q: Caller) -> None:
    item = added(q)
    q("configure_queue", queue="q", settings={"max_running": 1})
    running(q, "other")
    assert "max_running is 1" in q.value("why", id=item)
    q("pause_queue", queue="q")
    assert "paused" in q.value("why", id=item)


# Changing


@pytest.mark.parametrize("active", [True, False])
def test_cancel_of_the_core(q: Caller, session: Session, active: bool) -> None:
    item = running(q) if active else added(q)
    client = session()
    client.connection.execute("listen pgqueue_keyed")
    assert q("cancel", id=item) == [{"state": "cancelled", "changed": True}]
    assert (state(q, item), keys(q), ack(q, item)) == ("cancelled", [], False)
    if active:
        assert [n.payload for n in client.connection.notifies(timeout=10, stop_after=1)] == [str(item)]
    assert q("cancel", id=item) == [{"state": "cancelled", "changed": False}]
    assert q.sql("select count(*) from pgqueue.cancel_request") == [(0,)]
    nothing_left(q)


def test_set_priority(q: Caller) -> None:
    item = added(q, "a")
    added(q, "b", priority=1)
    q("set_priority", id=item, priority=2)
    assert [(row["key"], row["priority"]) for row in q("keyed_pending", queue="q")] == [("a", 2), ("b", 1)]
    assert q.one("keyed_claim_next", queue="q")["key"] == "a"
    with refused(q, "PQ005"):
        q("set_priority", id=item, priority=2)


def test_reschedule_puts_it_off(q: Caller) -> None:
    item = added(q)
    q("reschedule", id=item, run_at="2100-01-01")
    assert claim(q)["refused"] == "busy"
    assert q("keyed_claim_next", queue="q") == []
    assert keys(q, "keyed_pending") == ["k"]
    assert run(q, concurrency=5)["payload"] is None
    assert (cancel(q, item) or {})["status"] == "pending"
    nothing_left(q)


@pytest.mark.parametrize("end", ["ack", "cancel", "live"])
def test_retry_is_refused(q: Caller, end: str) -> None:
    item = running(q)
    if end != "live":
        assert ack(q, item) if end == "ack" else cancel(q, item)
    with refused(q, "PQ005"):
        q("retry", id=item)


def test_pause_queue(q: Caller) -> None:
    item = added(q)
    q("pause_queue", queue="q")
    assert claim(q)["refused"] == "paused"
    assert q("keyed_claim_next", queue="q") == []
    assert run(q, concurrency=5)["payload"] is None
    found = run(q, "new", concurrency=5)
    assert (found["created"], found["payload"]) == (True, None)
    assert q.claim(q.worker("q"), queues=["q"]) == []
    q("resume_queue", queue="q")
    assert claim(q)["id"] == item


@pytest.mark.parametrize("history", ["none", "failed", "all"])
def test_history(q: Caller, history: str) -> None:
    q("configure_queue", queue="q", settings={"history": history})
    done, gone = ended(q, "done"), running(q, "gone")
    cancel(q, gone)
    waits = added(q, "waits")
    cancel(q, waits)
    assert (state(q, done), by_id(q, done)) == ("succeeded", '{"result":1}')
    assert {state(q, gone), state(q, waits)} == {"gone" if history == "none" else "cancelled"}
    kept = {"none": [], "failed": [waits, gone], "all": [waits, gone, done]}[history]
    assert [row["id"] for row in q("jobs", queue="q")] == kept
    nothing_left(q)


def test_retention_leaves_live_items(q: Caller) -> None:
    q("configure", settings={"retention": 0, "block_size": 1000, "blocks_ahead": 3})
    item = added(q)
    q.sql("select setval('pgqueue.job_id', 1000000)")
    for _ in range(4):
        assert [row for row in q("maintain") if row["error"]] == []
    assert keys(q) == ["k"]
    assert claim(q)["id"] == item
    assert ack(q, item)
    assert by_id(q, item) == '{"result":1}'


def test_a_job_with_the_key_is_no_item(q: Caller) -> None:
    job = q.enqueue(queue="q", unique_key="k")
    with refused(q, "PQ005", "no item"):
        add(q)
    with refused(q, "PQ005", "no item"):
        run(q)
    assert claim(q)["refused"] == "unknown"
    assert q("keyed_get", queue="q", key="k") == q("keyed_cancel", queue="q", key="k") == []
    assert q.value("keyed_ack", queue="q", key="k", result="x") is False
    assert state(q, job) == "gone"
    added(q, "other")
    assert q.enqueue(queue="q", unique_key="other") == q.one("keyed_get", queue="q", key="other")["id"]
