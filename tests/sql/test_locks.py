"""Users' transactions never stall workers, nor each other: two sessions, one of them inside an open transaction.

Every call here runs with a lock timeout far below the test's patience: had it to wait, it would fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from tests.sql.calls import Caller, Row, blocked, wait_until

Session = Callable[[], Caller]


@pytest.fixture
def user(session: Session) -> Caller:
    return session()


@pytest.fixture
def q(q: Caller) -> Caller:
    q.sql("set lock_timeout = '100ms'")
    return q


def test_enqueues_of_an_open_transaction_stall_nothing(q: Caller, user: Caller) -> None:
    worker = q.worker()
    with user.connection.transaction():
        user.enqueue(unique_key="a", group_key="g", priority=7)
        user("enqueue_each", kind="noop", args=[{}, {}], queue="new")
        user("enqueue_many", jobs=psycopg.types.json.Jsonb([{"kind": "x", "queue": "newer", "delay": 5}]))
        other = q.enqueue(unique_key="b", group_key="g", priority=7)
        q.enqueue(queue="new")
        taken = q.claim(worker)
        assert [job["id"] for job in taken] == [other]
        q.settle(taken, "failed", error={})
        q("maintain")
        q("worker_heartbeat", worker=worker, leases=[])
    assert len(q.claim(worker, queues=["default", "new"])) == 4


def test_a_claim_held_open_is_skipped(q: Caller, user: Caller) -> None:
    jobs = [q.enqueue() for _ in range(4)]
    worker, other = q.worker(), q.worker()
    with user.connection.transaction():
        assert [job["id"] for job in user.claim(other, 2)] == jobs[:2]
        assert [job["id"] for job in q.claim(worker)] == jobs[2:]


def test_a_claim_rolled_back_gives_its_jobs_back(q: Caller, user: Caller) -> None:
    jobs = [q.enqueue() for _ in range(3)]
    worker = q.worker()
    with user.connection.transaction(force_rollback=True):
        user.claim(worker)
    assert [job["id"] for job in q.claim(worker)] == jobs


def test_a_settle_held_open_makes_the_lease_busy_not_stale(q: Caller, user: Caller) -> None:
    jobs = [q.enqueue() for _ in range(2)]
    worker = q.worker()
    taken = q.claim(worker)
    with user.connection.transaction():
        user.settle(taken[:1])
        assert [row["problem"] for row in q.settle(taken[1:])] == ["busy"]
        q("worker_heartbeat", worker=worker, leases=[taken[0]["lease"]])
        q("maintain")
    assert q.settle(taken[1:]) == []
    assert q.states(jobs) == ["succeeded"] * 2


def test_a_cancel_held_open_stalls_neither_claim_nor_settle(q: Caller, user: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 2})
    jobs = [q.enqueue(group_key="g") for _ in range(4)]
    worker = q.worker()
    taken = q.claim(worker)
    with user.connection.transaction():
        user("cancel", id=jobs[0])  # runs
        user("cancel", id=jobs[3])  # blocked
        q.settle(taken[1:])
        q.settle(q.claim(worker))
        q.settle(taken[:1])
    while more := q.claim(worker):
        q.settle(more)
    assert q.states(jobs) == ["succeeded", "succeeded", "succeeded", "cancelled"]
    q.clock("2100-01-01")
    q("maintain", duties=["tidy"])
    assert q.places() == {}


def test_an_operators_open_transaction_stalls_no_worker(q: Caller, user: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_running": 5})
    q.enqueue()
    worker = q.worker()
    with user.connection.transaction():
        user("configure_queue", queue="default", settings={"max_running": 1, "retention": "1 day"})
        user("pause_queue", queue="default")
        user("configure", settings={"lost_after": 60})
        q.enqueue()
        assert len(q.claim(worker)) == 2


def test_two_settles_of_crossed_groups_do_not_deadlock(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    for n in range(200):
        q.enqueue(group_key=f"g{n % 4}")
    failures: list[BaseException] = []

    def work(caller: Caller) -> None:
        worker = caller.worker()
        try:
            for _ in range(80):
                caller.settle(list(reversed(caller.claim(worker, 3))))
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[session()]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_two_enqueues_of_one_key_meet(q: Caller, user: Caller, session: Session, end: str) -> None:
    waiting = session()
    answer: list[Row] = []
    user.sql("begin")
    first = user.enqueue(unique_key="k")
    thread = threading.Thread(target=lambda: answer.append(waiting.one("enqueue", kind="noop", unique_key="k")))
    thread.start()
    wait_until(
        lambda: blocked(q, waiting.connection.info.backend_pid), "the second enqueue waits for the first's transaction"
    )
    user.sql(end)
    thread.join()
    if end == "commit":
        assert answer == [{"id": first, "created": False}]
    else:
        assert answer[0]["created"] is True
    assert q.sql("select job_id from pgqueue.ready") == [(answer[0]["id"],)]


def test_batches_that_share_keys_in_other_orders_do_not_deadlock(q: Caller, session: Session) -> None:
    failures: list[BaseException] = []

    def enqueue(caller: Caller, keys: list[str]) -> None:
        try:
            for turn in range(30):
                caller(
                    "enqueue_each", kind="noop", args=[{} for _ in keys], unique_keys=[f"{turn} {key}" for key in keys]
                )
        except psycopg.Error as error:
            failures.append(error)

    keys = [f"k{n}" for n in range(40)]
    threads = [threading.Thread(target=enqueue, args=[session(), order]) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert q.sql("select count(*) from pgqueue.job") == [(30 * 40,)]
    assert q.sql("select count(*) from pgqueue.ready") == [(30 * 40,)]
