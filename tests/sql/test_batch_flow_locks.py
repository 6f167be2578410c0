"""Batches that wait for jobs, beside sessions that hold locks: no settle, no upkeep and no user waits for another.

Every call of `q` runs with a lock timeout far below the test's patience: had it to wait, it would fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import QUEUE, append, balanced, counts, said, status, submit, take, work
from tests.sql.calls import Caller
from tests.sql.test_dependencies import end, looked
from tests.sql.test_follow_ups import BOTH, followers

Session = Callable[[], Caller]


@pytest.fixture
def user(session: Session) -> Caller:
    return session()


@pytest.fixture
def q(q: Caller) -> Caller:
    q.sql("set lock_timeout = '100ms'")
    return q


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
def test_an_append_in_an_open_transaction_holds_up_its_own_batch_alone(
    q: Caller, user: Caller, outcome: str, commits: bool
) -> None:
    """The parent is settled meanwhile, upkeep passes by, another batch of the same parent goes."""
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch, other = submit(q, 1, depends_on=[parent], hold=True), submit(q, 1, depends_on=[parent])
    looked(q)
    with user.connection.transaction(force_rollback=not commits):
        append(user, batch, 2)
        end(q, worker, parent, outcome=outcome)
        for _ in range(3):
            looked(q)
        assert status(q, batch)["waits_for"] == ["release", "parents"]
        assert status(q, other)["status"] == ("queued" if outcome == "succeeded" else "aborted")
        assert "upkeep has yet to count them" in q.value("why", id=batch)
        assert q.value("next_due") is None, "nobody hurries"
    looked(q)
    rows = 3 if commits else 1
    if outcome == "succeeded":
        assert status(q, batch)["waits_for"] == ["release"]
        assert q.value("batch_release", id=batch) == rows
        assert sorted(work(q, mine)) == [batch, other]
        assert counts(q, batch) == ("succeeded", rows, 0, 0, 0)
    else:
        assert counts(q, batch) == ("aborted", 0, 0, rows, 0)
        assert sorted(work(q, mine)) == [batch, other]
    assert q.sql("select * from pgqueue.parent_look") == []
    assert balanced(q)


@pytest.mark.parametrize("commits", [True, False])
def test_an_abort_in_an_open_transaction(q: Caller, user: Caller, commits: bool) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 12, depends_on=[parent])
    looked(q)
    with user.connection.transaction(force_rollback=not commits):
        user("batch_abort", id=batch)
        end(q, worker, parent)
        looked(q)
        assert status(q, batch)["status"] == "held"
    looked(q)
    assert status(q, batch)["status"] == ("aborted" if commits else "queued")
    assert work(q, mine) == [batch]
    assert balanced(q)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("how", ["settle", "cancel"])
def test_a_parent_that_ends_in_an_open_transaction(q: Caller, user: Caller, how: str, commits: bool) -> None:
    """It has the gate and the batch. Workers of other batches, and a settle of the other parent, go on."""
    worker, mine = q.worker(), q.worker(QUEUE)
    parent, second = q.enqueue(), q.enqueue(queue="second")
    batch = submit(q, 3, depends_on=[parent, second], on_parent_failure="run")
    looked(q)
    taken = q.claim(worker) if how == "settle" else []
    free = submit(q, 3)
    with user.connection.transaction(force_rollback=not commits):
        if how == "settle":
            user.settle(taken)
        else:
            user("cancel", id=parent)
        end_second = q.claim(q.worker("second"), queues=["second"])
        assert q.settle(end_second) == []
        looked(q)
        assert work(q, mine) == [free]
    if not commits:
        if how == "settle":
            q.settle(taken)
        else:
            q("cancel", id=parent)
    looked(q)
    assert status(q, batch)["status"] == "queued"
    assert work(q, mine) == [batch]
    assert balanced(q)


@pytest.mark.parametrize("commits", [True, False])
def test_a_batch_submitted_in_an_open_transaction_stalls_its_parents_nowhere(
    q: Caller, user: Caller, commits: bool
) -> None:
    worker, mine = q.worker(), q.worker(QUEUE, "app/first")
    parent, first = q.enqueue(), submit(q, 3, op="first")
    with user.connection.transaction(force_rollback=not commits):
        batch = submit(user, 3, depends_on=[parent, first])
        looked(q)
        end(q, worker, parent)
        assert work(q, mine, said, "app/first") == [first]
        looked(q)
    looked(q)
    assert work(q, mine) == ([batch] if commits else [])
    assert q.sql("select count(*) from pgqueue.parent_look where parked") == [(0,)]


def test_a_child_of_a_batch_that_ends_at_that_moment(q: Caller, user: Caller) -> None:
    """Neither sees the other: upkeep finds it."""
    mine = q.worker(QUEUE)
    batch = submit(q, 1)
    (slice,) = take(q, mine)
    with user.connection.transaction():
        user.settle([slice], result=[said(row) for row in slice["args"]["rows"]])
        child = q.enqueue("child", depends_on=[batch], queue="c")
        looked(q)
    assert q.state(child) == "held"
    looked(q)
    assert q.state(child) == "queued"


def test_a_child_that_is_locked_is_told_by_upkeep(q: Caller, user: Caller) -> None:
    mine = q.worker(QUEUE)
    batch = submit(q, 1)
    child = q.enqueue("child", depends_on=[batch], queue="c")
    looked(q)
    with user.connection.transaction(force_rollback=True):
        user("cancel", id=child)
        assert work(q, mine) == [batch]
    looked(q)
    assert q.state(child) == "queued"


def test_a_follow_up_whose_key_is_being_taken(q: Caller, user: Caller) -> None:
    """The batch ends all the same; upkeep enqueues it when the other transaction is over."""
    keyed: dict[str, Any] = {"on_success": Jsonb({**BOTH["on_success"], "unique_key": "u"})}
    submit(q, 1, **keyed)
    mine = q.worker(QUEUE)
    with user.connection.transaction(force_rollback=True):
        user.enqueue(unique_key="u")
        assert len(work(q, mine)) == 1
        looked(q)
        assert followers(q) == []
    looked(q)
    assert [row["kind"] for row in followers(q)] == ["good"]
    assert q.sql("select * from pgqueue.late_follow_up") == []


@pytest.mark.parametrize("commits", [True, False])
def test_a_slice_that_is_locked_while_its_batch_is_let_go(q: Caller, user: Caller, commits: bool) -> None:
    """It comes when its lock is gone, in another walk."""
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 5001, depends_on=[parent], slice_size=100)
    looked(q)
    end(q, worker, parent)
    ((slice,),) = q.sql("select min(job_id) from pgqueue.held")
    with user.connection.transaction(force_rollback=not commits):
        user.sql("delete from pgqueue.held where job_id = %s", slice)
        looked(q)
        looked(q)
        assert q.sql("select job_id from pgqueue.held") == [(slice,)]
        assert q.sql("select batch_id, after from pgqueue.batch_leaving") == [(batch, batch)]
    looked(q)
    assert q.sql("select * from pgqueue.held") == q.sql("select * from pgqueue.batch_leaving") == []
    assert q.sql("select count(*) from pgqueue.ready where traits = 512") == [(50 if commits else 51,)]


def test_upkeep_cancels_no_gate_of_a_batch_that_is_locked(q: Caller, user: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent], on_parent_failure="wait", hold=True)
    looked(q)
    end(q, worker, parent, outcome="discard")
    q("delete_jobs", filter={"ids": [parent]})
    with user.connection.transaction():
        append(user, batch, 1)
        assert [row["error"] for row in q("maintain", duties=["tidy"])] == [None]
        assert status(q, batch)["status"] == "held"
    assert [row["error"] for row in q("maintain", duties=["tidy"])] == [None]
    assert counts(q, batch) == ("aborted", 0, 0, 4, 0)


def test_a_large_batch_with_few_slices_is_aborted_past_the_many_of_another(q: Caller) -> None:
    """One slice is all that upkeep aborts in a pass; of others it passes thousands."""
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 0, slice_size=10_000, hold=True, depends_on=[parent])
    other = submit(q, 300, slice_size=1, hold=True)
    append(q, batch, 6000)
    looked(q)
    end(q, worker, parent, outcome="discard")
    for _ in range(3):
        looked(q)
    assert counts(q, batch) == ("aborted", 0, 0, 6000, 0)
    assert counts(q, other) == ("held", 0, 0, 0, 300)
    assert q.sql("select * from pgqueue.batch_leaving") == []
    assert balanced(q)


@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
@pytest.mark.parametrize("bulk", [True, False])
def test_a_batch_whose_slices_are_cancelled_singly_takes_its_gate_along(q: Caller, bulk: bool, outcome: str) -> None:
    """Else the gate of a batch that is over and forgotten would wait for good, and its parent be looked at in vain."""
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 3, slice_size=2, depends_on=[parent])
    child = q.enqueue(depends_on=[batch], on_parent_failure="run", queue="next")
    looked(q)
    slices = [slice for (slice,) in q.sql("select job_id from pgqueue.held")]
    if bulk:
        assert q.one("cancel_jobs", filter={"ids": slices})["done"] == 2
    else:
        for slice in slices:
            q("cancel", id=slice)
    assert counts(q, batch) == ("aborted", 0, 0, 3, 0)
    looked(q)
    assert q.state(child) == "queued"
    assert q.sql("select * from pgqueue.dependent") == []
    assert q.value("batch_purge", older_than="0") == 1
    end(q, worker, parent, outcome=outcome)
    looked(q)
    assert q.sql("select * from pgqueue.parent_look") == []


def test_the_gate_of_a_forgotten_batch_is_let_go(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent])
    looked(q)
    gate = q.sql("select gate from pgqueue.batch where id = %s", batch)[0][0]
    q.sql("delete from pgqueue.batch_slice where job_id = %s", gate)
    end(q, worker, parent)
    looked(q)
    assert q.state(gate) == "succeeded"
    assert q.sql("select * from pgqueue.parent_look") == []
