"""Jobs that wait for others stall nobody: sessions inside open transactions, beside workers and upkeep.

Every call here runs with a lock timeout far below the test's patience: had it to wait, it would fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller

Session = Callable[[], Caller]


@pytest.fixture
def user(session: Session) -> Caller:
    return session()


@pytest.fixture
def q(q: Caller) -> Caller:
    q.sql("set lock_timeout = '100ms'")
    return q


def looked(q: Caller) -> None:
    assert [row["error"] for row in q("maintain", duties=["dependents"])] == [None]


@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
def test_a_child_enqueued_in_an_open_transaction_stalls_its_parent_nowhere(
    q: Caller, user: Caller, outcome: str
) -> None:
    """Claimed, settled, and gone before the child is committed: upkeep tells it."""
    worker = q.worker()
    parent, marked = q.enqueue(), q.enqueue()
    q.enqueue(depends_on=[marked], queue="other")
    looked(q)
    with user.connection.transaction():
        children = [user.enqueue(depends_on=[job], queue="other") for job in (parent, marked)]
        looked(q)
        q.settle(q.claim(worker), outcome)
        looked(q)
    assert q.states(children) == ["held"] * 2
    looked(q)
    assert q.states(children) == ["queued" if outcome == "succeeded" else "cancelled"] * 2
    assert q.sql("select * from pgqueue.parent_look") == []


def test_a_child_enqueued_while_its_parent_is_settled(q: Caller, user: Caller) -> None:
    """The enqueue does not see the outcome, the settle does not see the child."""
    worker = q.worker()
    parent = q.enqueue()
    taken = q.claim(worker)
    with user.connection.transaction():
        user.settle(taken)
        child = q.enqueue(depends_on=[parent], queue="other")
        looked(q)
    assert q.state(child) == "held"
    looked(q)
    assert q.state(child) == "queued"


def test_two_parents_settled_at_once(q: Caller, user: Caller) -> None:
    worker = q.worker()
    parents = [q.enqueue(), q.enqueue()]
    child = q.enqueue(depends_on=parents, queue="other")
    looked(q)
    first, second = q.claim(worker, 1), q.claim(worker, 1)
    with user.connection.transaction():
        user.settle(first)
        assert q.settle(second) == []
        looked(q)
        assert q.state(child) == "held"
    looked(q)
    assert q.state(child) == "queued"
    assert q.sql("select * from pgqueue.parent_look") == []


@pytest.mark.parametrize("commits", [True, False])
def test_a_child_cancelled_in_a_long_transaction(q: Caller, user: Caller, commits: bool) -> None:
    worker = q.worker()
    parents = [q.enqueue() for _ in range(3)]
    child, other = q.enqueue(depends_on=parents, queue="o"), q.enqueue(depends_on=parents[:1], queue="o")
    looked(q)
    with user.connection.transaction(force_rollback=not commits):
        user("cancel", id=child)
        assert q.settle(q.claim(worker)) == []
        looked(q)
        assert q.state(other) == "queued"
        assert q.value("next_due") is None
    assert q.state(child) == ("cancelled" if commits else "held")
    looked(q)
    assert q.state(child) == ("cancelled" if commits else "queued")
    assert q.sql("select * from pgqueue.parent_look") == []


def test_a_parent_cancelled_in_a_long_transaction(q: Caller, user: Caller) -> None:
    """It takes its children along; other parents of theirs end meanwhile."""
    worker = q.worker()
    gone, parent = q.enqueue(priority=-5), q.enqueue()
    child = q.enqueue(depends_on=[gone, parent], queue="o")
    looked(q)
    with user.connection.transaction():
        user("cancel", id=gone)
        assert q.settle(q.claim(worker)) == []
        looked(q)
    assert q.state(child) == "cancelled"
    looked(q)
    assert q.state(child) == "cancelled"
    assert q.sql("select * from pgqueue.parent_look") == []


def test_a_parent_retried_while_a_child_that_waits_for_it_is_enqueued(q: Caller, user: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    q.settle(q.claim(worker), "discard")
    with user.connection.transaction():
        user("retry", id=parent)
        child = q.enqueue(depends_on=[parent], on_parent_failure="wait", queue="o")
        looked(q)
    looked(q)
    q.settle(q.claim(worker))
    looked(q)
    assert q.state(child) == "queued"


def test_a_child_rescheduled_or_of_another_priority_in_an_open_transaction(q: Caller, user: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    child = q.enqueue(depends_on=[parent], queue="o")
    looked(q)
    with user.connection.transaction():
        user("reschedule", id=child, run_at="2100-01-01")
        user("set_priority", id=child, priority=3)
        assert q.settle(q.claim(worker)) == []
    looked(q)
    assert (q.state(child), q.one("job", id=child)["priority"]) == ("scheduled", 3)


def test_savepoints(q: Caller) -> None:
    """A parent of a subtransaction is not known as one's own; a mark goes with the savepoint it was made in."""
    worker = q.worker()
    with q.connection.transaction():
        with q.connection.transaction():
            parent = q.enqueue()
        with q.connection.transaction(force_rollback=True):
            q.enqueue(depends_on=[parent])
        child = q.enqueue(depends_on=[parent], queue="o")
    looked(q)
    q.settle(q.claim(worker))
    assert q.state(child) == "queued"
    with q.connection.transaction():
        parent = q.enqueue()
        with q.connection.transaction(force_rollback=True):
            q.enqueue(depends_on=[parent])
    assert q.sql("select traits from pgqueue.ready where job_id = %s", parent) == [(0,)]


def test_repeatable_read(q: Caller, user: Caller) -> None:
    """An old snapshot shows a parent as waiting that has ended long ago."""
    worker = q.worker()
    parent = q.enqueue()
    with user.connection.transaction():
        user.sql("set transaction isolation level repeatable read")
        user.sql("select 1 from pgqueue.job limit 1")
        q.settle(q.claim(worker))
        child = user.enqueue(depends_on=[parent], queue="o")
    looked(q)
    assert q.state(child) == "queued"


def test_nobody_deadlocks(session: Session) -> None:
    """Workers, cancels of parents and children in any order, and upkeep, over one dense graph."""
    q = session()
    worker = q.worker()
    layers: list[list[int]] = []
    for _ in range(6):
        jobs = [
            {"kind": "n", **({"depends_on": layers[-1], "on_parent_failure": "run"} if layers else {})}
            for _ in range(30)
        ]
        layers.append([row["id"] for row in q("enqueue_many", jobs=Jsonb(jobs))])
    failures: list[BaseException] = []

    def work(caller: Caller) -> None:
        for _ in range(60):
            caller.settle(caller.claim(worker, 3))

    def cancel(caller: Caller) -> None:
        for layer in layers[1:]:
            for job in layer[::3]:
                caller("cancel", id=job)

    def upkeep(caller: Caller) -> None:
        for _ in range(60):
            assert [row["error"] for row in caller("maintain", duties=["dependents", "rescue"]) if row["error"]] == []

    def guarded(run: Callable[[Caller], None], caller: Caller) -> None:
        try:
            run(caller)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=[run, session()]) for run in (work, work, cancel, upkeep)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for _ in range(100):
        looked(q)
        taken = q.claim(worker)
        q.settle(taken)
        if not taken:
            break
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain", duties=["tidy"])
    assert q.places() == {}
    assert q.sql("select * from pgqueue.parent_look") == []
