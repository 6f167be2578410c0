"""Items nobody executes or asks for any more, how far an item is, numbers; and what goes beyond Cube's store."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
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
    lapsed,
    later,
    lose_workers,
    nothing_left,
    result,
    run,
    running,
    state,
    tidy,
)

Session = Callable[[], Caller]
DEFAULTS = {"heartbeat_ms": 120_000, "orphan_ms": 120_000}

# Stalled and orphaned


def test_nothing_to_cancel_right_after_add_or_claim(q: Caller) -> None:
    added(q, "waits")
    running(q, "runs")
    assert lapsed(q, **DEFAULTS) == []


def test_an_item_claimed_long_after_its_add_is_not_stalled_at_once(q: Caller) -> None:
    added(q)
    later(q, 3600)
    claim(q)
    assert lapsed(q, **DEFAULTS) == []


def test_active_without_a_heartbeat_is_stalled_and_one_rescues_it(q: Caller) -> None:
    first, second = running(q, "a"), running(q, "b")
    later(q, 121)
    q("keyed_heartbeat", id=second)
    assert lapsed(q, "keyed_stalled", heartbeat_ms=120_000) == ["a"]
    q("keyed_heartbeat", queue="q", key="a")
    assert lapsed(q, "keyed_stalled", heartbeat_ms=120_000) == []
    later(q, 250)
    assert lapsed(q, "keyed_stalled", heartbeat_ms=120_000) == ["a", "b"], "both listed once both lapse"
    assert [row["id"] for row in q("keyed_stalled", queue="q", heartbeat_ms=120_000)] == [first, second]


def test_pending_past_the_timeout_is_orphaned(q: Caller) -> None:
    added(q, "default")
    added(q, "own", orphan_ms=60_000 * 60)
    added(q, "short", orphan_ms=2_000)
    later(q, 2.5)
    assert lapsed(q, "keyed_orphaned", orphan_ms=120_000) == ["short"]
    later(q, 121)
    assert lapsed(q, "keyed_orphaned", orphan_ms=120_000) == ["default", "short"]
    assert lapsed(q, "keyed_orphaned", orphan_ms=600_000) == ["short"]


def test_active_is_never_orphaned_and_pending_never_stalled(q: Caller) -> None:
    added(q, "waits")
    running(q, "runs", orphan_ms=0)
    later(q, 1000)
    assert lapsed(q, "keyed_orphaned", orphan_ms=0) == ["waits"]
    assert lapsed(q, "keyed_stalled", heartbeat_ms=0) == ["runs"]
    assert sorted(lapsed(q, heartbeat_ms=0, orphan_ms=0)) == ["runs", "waits"], "to_cancel is the union"
    assert lapsed(q, heartbeat_ms=0) == ["runs"]
    assert lapsed(q, orphan_ms=0) == ["waits"]
    assert lapsed(q) == []
    assert lapsed(q, queue="other", heartbeat_ms=0, orphan_ms=0) == []


def test_asking_again_extends_a_pending_deadline_and_never_shortens_it(q: Caller) -> None:
    item = added(q, orphan_ms=10_000)
    later(q, 5)
    assert add(q, orphan_ms=10_000)["id"] == item
    later(q, 12)
    assert lapsed(q, orphan_ms=0) == []
    add(q, orphan_ms=1)
    later(q, 14)
    assert lapsed(q, orphan_ms=0) == []
    assert run(q, concurrency=0, orphan_ms=60_000)["id"] == item
    later(q, 60)
    assert lapsed(q, orphan_ms=0) == []
    assert q.value("keyed_extend", id=item, orphan_ms=60_000) is True, "who waits asks, too"
    later(q, 119)
    assert lapsed(q, orphan_ms=0) == []
    later(q, 121)
    assert lapsed(q, orphan_ms=0) == ["k"]


def test_asking_again_without_a_deadline(q: Caller) -> None:
    added(q)
    later(q, 100)
    add(q)
    later(q, 130)
    assert lapsed(q, orphan_ms=120_000) == []
    later(q, 221)
    assert lapsed(q, orphan_ms=120_000) == ["k"]


def test_extend_of_what_is_gone(q: Caller) -> None:
    item = ended(q)
    assert q.value("keyed_extend", id=item, orphan_ms=5) is False
    assert q.value("keyed_extend", id=987654321, orphan_ms=None) is False


# Reap


def test_reap_removes_and_returns_each_to_one_caller(q: Caller, session: Session) -> None:
    waits, runs = added(q, "waits", payload="one", orphan_ms=0), running(q, "runs", payload="two")
    q("keyed_merge_extra", id=runs, extra='{"handle":1}')
    added(q, "fresh", orphan_ms=10**7)
    later(q, 1000)
    assert q("keyed_reap", queue="q", heartbeat_ms=0, orphan_ms=0) == [
        {"id": waits, "key": "waits", "payload": "one", "extra": None, "why": "orphaned"},
        {"id": runs, "key": "runs", "payload": "two", "extra": '{"handle":1}', "why": "stalled"},
    ]
    assert session()("keyed_reap", queue="q", heartbeat_ms=0, orphan_ms=0) == []
    assert keys(q) == ["fresh"]
    assert [state(q, item) for item in (waits, runs)] == ["cancelled", "cancelled"]
    assert [q.one("job", id=item)["reason"] for item in (waits, runs)] == ["orphaned", "worker_lost"]
    assert not ack(q, runs), "the late ack"
    assert added(q, "waits") != waits, "the key is usable again"


def test_reap_takes_up_to_max(q: Caller) -> None:
    for n in range(5):
        added(q, f"k{n}", orphan_ms=0)
    later(q, 1)
    assert [row["key"] for row in q("keyed_reap", queue="q", orphan_ms=0, max=3)] == ["k0", "k1", "k2"]
    assert len(q("keyed_reap", queue="q", orphan_ms=0, max=3)) == 2
    nothing_left(q)


def test_reap_leaves_the_half_that_is_null(q: Caller) -> None:
    added(q, "waits", orphan_ms=0)
    running(q, "runs")
    later(q, 1000)
    assert q("keyed_reap", queue="q") == []
    assert [row["key"] for row in q("keyed_reap", queue="q", heartbeat_ms=0)] == ["runs"]
    assert [row["key"] for row in q("keyed_reap", queue="q", orphan_ms=0)] == ["waits"]


def test_a_node_dies_holding_a_claim(q: Caller, session: Session) -> None:
    """Another takes it away after four heartbeats' time, and the key runs again; one that beats survives."""
    dead, alive = running(q, "dead"), running(q, "alive")
    other = session()
    for seconds in (40, 80, 119, 121):
        later(other, seconds)
        assert other.value("keyed_heartbeat", id=alive)
    assert [row["id"] for row in other("keyed_reap", queue="q", heartbeat_ms=120_000)] == [dead]
    assert run(other, "dead", concurrency=2)["payload"] == "{}"
    assert state(q, alive) == "active"


def test_reap_may_release_what_is_stalled(q: Caller) -> None:
    item = running(q, payload="what", max_attempts=1)
    q("keyed_merge_extra", id=item, extra='{"kept":1}')
    for turn in range(1, 5):
        later(q, 1000 * turn)
        (row,) = q("keyed_reap", queue="q", heartbeat_ms=60_000, release=True)
        assert (row["id"], row["why"]) == (item, "stalled")
        assert state(q, item) == "pending"
        assert q.sql("select heartbeat_at, claimed_at from pgqueue.keyed_item") == [(None, None)]
        found = claim(q) if turn % 2 else q.one("keyed_claim_next", queue="q")
        assert (found["id"], found["payload"], found["extra"]) == (item, "what", '{"kept":1}')
    later(q, 10_000)
    assert len(q("keyed_reap", queue="q", heartbeat_ms=60_000, release=True)) == 1
    assert state(q, item) == "failed", "in max_crashes of them"
    assert "worker" in (by_id(q, item) or "")
    q.clock("")
    tidy(q)
    nothing_left(q)


@pytest.mark.parametrize("place", ["scheduled", "suspect"])
def test_orphaned_wherever_it_waits(q: Caller, session: Session, place: str) -> None:
    item = added(q, orphan_ms=0)
    if place == "scheduled":
        q("reschedule", id=item, run_at="2100-01-01")
    else:
        q.claim(q.worker("q"), queues=["q"])
        lose_workers(q)
    assert q.places()[place] == 1
    other = session()
    later(q, 10)
    with other.connection.transaction():
        cancel(other, item) if place == "scheduled" else claim(other)
        q.sql("set lock_timeout = '50ms'")
        assert q("keyed_reap", queue="q", orphan_ms=0) == [], "another session is at it"
        raise psycopg.Rollback
    assert [row["id"] for row in q("keyed_reap", queue="q", orphan_ms=0)] == [item]
    nothing_left(q)


# How far an item is


def test_stage(q: Caller) -> None:
    assert q("keyed_stage", queue="q", stage_key="s") == []
    added(q, "first", priority=5)
    item = added(q, "a", stage_key="s", priority=1)
    added(q, "second", priority=1)
    late = added(q, "b", stage_key="t", priority=1)
    found = q.one("keyed_stage", queue="q", stage_key="s")
    assert (found["id"], found["stage"], found["position"]) == (item, "pending", 2)
    assert q.one("keyed_stage", queue="q", stage_key="s", priority=1)["position"] == 1, "#1 within the filter"
    assert q.one("keyed_stage", queue="q", stage_key="t")["position"] == 4
    assert q.one("keyed_stage", queue="q", stage_key="t", priority=1)["id"] == late
    assert q("keyed_stage", queue="q", stage_key="s", priority=2) == []
    claim(q, "a")
    later(q, 10)
    found = q.one("keyed_stage", queue="q", stage_key="s")
    assert (found["stage"], found["position"]) == ("active", None)
    assert 9_000 < found["elapsed_ms"] < 60_000
    ack(q, item)
    assert q("keyed_stage", queue="q", stage_key="s") == [], "undefined afterwards"


# Beyond parity


def test_priority_of_a_joined_item_is_the_highest_of_its_requesters(q: Caller) -> None:
    item = added(q, "a", priority=-1)
    added(q, "b", priority=5)
    assert add(q, "a", priority=10)["id"] == item
    assert add(q, "a", priority=3)["id"] == item
    assert [(row["key"], row["priority"]) for row in q("keyed_pending", queue="q")] == [("a", 10), ("b", 5)]
    assert q.one("job", id=item)["priority"] == 10
    (job,) = q.claim(q.worker("q"), 1, ["q"])
    assert job["id"] == item
    assert q.one("keyed_claim_next", queue="q")["key"] == "b"


def test_stored_concurrency_holds_whatever_a_caller_says(q: Caller) -> None:
    q("configure_queue", queue="q", settings={"max_running": 2})
    for key in "abc":
        added(q, key)
    assert len(q("keyed_claim_next", queue="q", concurrency=9, n=9)) == 2
    assert claim(q, "c", concurrency=None)["refused"] == "budget"
    assert run(q, "c", concurrency=9)["payload"] is None
    q("configure_queue", queue="q", settings={"max_running": 3})
    assert claim(q, "c", concurrency=2)["refused"] == "budget"
    assert claim(q, "c", concurrency=None)["refused"] is None


def test_truncate_empties_one_queue(q: Caller) -> None:
    waits, runs, done = added(q, "waits"), running(q, "runs"), ended(q, "done", external_id="e")
    other = ended(q, "done", "Q")
    added(q, "k", "Q")
    assert q.value("keyed_truncate", queue="q") == 2
    assert [state(q, item) for item in (waits, runs)] == ["cancelled", "cancelled"]
    assert (keys(q), by_id(q, done), result(q, "done", external_id="e")) == ([], None, None)
    assert (keys(q, queue="Q"), by_id(q, other)) == (["k"], '{"result":1}')
    assert q.value("keyed_truncate", queue="q") == 0


def test_numbers(q: Caller, session: Session) -> None:
    from concurrent.futures import ThreadPoolExecutor

    assert [q.value("next_number", name=name) for name in ("a", "a", "A", "a:b")] == [1, 2, 1, 1]
    sessions = [session() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda s: [s.value("next_number", name="n") for _ in range(20)], sessions)
    assert sorted(number for each in found for number in each) == list(range(1, 81))


@pytest.mark.parametrize("touched", ["never", "asked again", "active", "beating"])
def test_the_last_net(q: Caller, touched: str) -> None:
    """Items nobody has touched for hours go, though nobody reaps."""
    item = running(q) if touched in ("active", "beating") else added(q)
    later(q, 3 * 3600)
    if touched == "asked again":
        add(q)
    elif touched == "beating":
        q("keyed_heartbeat", id=item)
    later(q, 5 * 3600)
    for _ in range(3):
        assert q.one("maintain", duties=["results"])["error"] is None
    assert (keys(q) == []) is (touched in ("never", "active"))
    later(q, 9 * 3600)
    for _ in range(3):
        q("maintain", duties=["results"])
    assert (keys(q), state(q, item)) == ([], "cancelled")
    assert cancel(q, item) is None
