"""Calls that end slices of several batches, in any order of their leases: nobody is the victim of a deadlock, and
upkeep is not held up by who keeps one batch locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sql.batches import balanced, counts, said, submit, take, work
from tests.sql.calls import Caller, Row
from tests.sql.test_batch_locks import Started

Session = Callable[[], Caller]
QUEUES = ["a/o", "b/o"]


def submit_both(q: Caller) -> dict[str, int]:
    return {queue: submit(q, 3, queue[0], "o", slice_size=1) for queue in QUEUES}


def take_both(q: Caller, worker: int, *queues: str) -> list[Row]:
    """A lease of each, in this order."""
    return [job for queue in queues for job in take(q, worker, 1, queue)]


def settle_all(jobs: list[Row]) -> Callable[[Caller], Any]:
    return lambda q: q.settle(jobs, result=[said(row) for job in jobs for row in job["args"]["rows"]])


@contextmanager
def locked(q: Caller, batch: int) -> Iterator[None]:
    with q.connection.transaction():
        q.sql("select from pgqueue.batch_count where batch_id = %s for no key update", batch)
        yield


def rescue(q: Caller) -> int:
    (row,) = q("maintain", duties=["rescue"])
    assert row["error"] is None
    return int(row["done"])


def lose(q: Caller, worker: int) -> None:
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", worker)


# Calls that end slices of a worker whose cancel was asked for: the worker has a lease of either batch.
ENDINGS: dict[str, Callable[[Caller, int], Any]] = {
    "deregister": lambda q, worker: q("deregister_worker", worker=worker),
    "rescue": lambda q, _: rescue(q),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_slices_that_are_given_back_and_a_settle(q: Caller, session: Session, how: str) -> None:
    """Both meet at the second batch's lock."""
    batches = submit_both(q)
    one, two, third = session(), session(), session()
    leaving, staying = one.worker(*QUEUES), two.worker(*QUEUES)
    given_back, settled = take_both(one, leaving, "b/o", "a/o"), take_both(two, staying, "a/o", "b/o")
    for job in given_back:
        q("cancel", id=job["id"])
    if how == "rescue":
        lose(q, leaving)
    with locked(third, batches["b/o"]):
        calls = [Started(one, lambda q: ENDINGS[how](q, leaving)).waits(q), Started(two, settle_all(settled)).waits(q)]
    assert [call.ended().error for call in calls] == [None, None]
    assert [counts(q, batch)[1:] for batch in batches.values()] == [(1, 0, 1, 1)] * 2
    assert balanced(q)


def test_a_worker_that_leaves_while_it_settles(q: Caller, session: Session) -> None:
    """The settle holds its lease and waits for the batch; who leaves must not hold the batch and wait for the lease."""
    batch = submit(q, 3, "a", "o", slice_size=1)
    one, two, third = session(), session(), session()
    worker = one.worker(*QUEUES)
    first, second = take_both(one, worker, "a/o", "a/o")
    q("cancel", id=first["id"])
    with locked(third, batch):
        leaves = Started(one, lambda q: q("deregister_worker", worker=worker)).waits(q)
        settles = Started(two, settle_all([second])).ended()
        assert settles.answer == [{"lease": second["lease"], "job_id": second["id"], "problem": "busy"}]
    assert leaves.ended().error is None
    assert counts(q, batch) == ("running", 0, 0, 1, 2)
    first, second = take_both(one, worker := one.worker(*QUEUES), "a/o", "a/o")
    q("cancel", id=first["id"])
    with locked(third, batch):
        settles = Started(two, settle_all([second])).waits(q)
        leaves = Started(one, lambda q: q("deregister_worker", worker=worker)).waits(q)
    assert [call.ended().error for call in (settles, leaves)] == [None, None]
    assert counts(q, batch) == ("aborted", 1, 0, 2, 0)
    assert balanced(q)


def test_a_heartbeat_waits_for_no_batch(q: Caller, session: Session) -> None:
    """It would not be heard meanwhile. What it could not give back goes with the next."""
    batches, third = submit_both(q), session()
    worker = q.worker(*QUEUES)
    taken = take_both(q, worker, "b/o", "a/o")
    for slice in taken:
        q("cancel", id=slice["id"])
    q.sql("update pgqueue.lease set claimed_at = '2020-01-01'")
    with locked(third, batches["b/o"]):
        q("worker_heartbeat", worker=worker, leases=[])
        assert [q.state(slice["id"]) for slice in taken] == ["running", "cancelled"]
    q("worker_heartbeat", worker=worker, leases=[])
    assert [counts(q, batch)[1:] for batch in batches.values()] == [(0, 0, 1, 2)] * 2
    assert balanced(q)


def test_a_rescue_is_not_held_up_by_a_batch_somebody_keeps_locked(q: Caller, session: Session) -> None:
    batches, third = submit_both(q), session()
    job, worker = q.enqueue(), q.worker("default", *QUEUES)
    taken = [*take_both(q, worker, "b/o", "a/o"), *q.claim(worker)]
    for slice in taken[:2]:
        q("cancel", id=slice["id"])
    lose(q, worker)
    with locked(third, batches["b/o"]):
        rescue(q)
        assert q.state(job) == "queued"
        assert [q.state(slice["id"]) for slice in taken[:2]] == ["running", "cancelled"]
    rescue(q)
    assert [counts(q, batch)[1:] for batch in batches.values()] == [(0, 0, 1, 2)] * 2
    assert work(q, q.worker(*QUEUES), said, *QUEUES) == [*batches.values()]
    assert balanced(q)


def test_overdue_slices_of_a_batch_somebody_keeps_locked_wait_for_another_pass(q: Caller, session: Session) -> None:
    batches, third = submit_both(q), session()
    for queue in QUEUES:
        q("configure_queue", queue=queue, settings={"timeout": "1 second", "backoff": {"base": 0}})
    taken = take_both(q, q.worker(*QUEUES), "b/o", "a/o")
    for slice in taken:
        q("cancel", id=slice["id"])
    q.sql("update pgqueue.lease set claimed_at = '2020-01-01'")
    with locked(third, batches["b/o"]):
        assert rescue(q) == 1
        assert [q.state(slice["id"]) for slice in taken] == ["running", "cancelled"]
    assert rescue(q) == 1
    assert [counts(q, batch)[1:] for batch in batches.values()] == [(0, 0, 1, 2)] * 2
    assert balanced(q)


def test_a_batch_somebody_has_in_hand_is_forgotten_another_time(q: Caller, session: Session) -> None:
    batches, third = submit_both(q), session()
    for batch in batches.values():
        q("batch_abort", id=batch)
    q.sql("update pgqueue.batch set expires_at = '2020-01-01'")
    with locked(third, batches["a/o"]):
        assert q("maintain", duties=["results"]) == [{"duty": "results", "done": 1, "error": None}]
        assert q.value("batch_purge", older_than="0") == 0
    assert q.value("batch_purge", older_than="0") == 1


def test_duties_are_done_in_their_own_order(q: Caller) -> None:
    done = q("maintain", duties=["tidy", "promote", "rescue", "promote"])
    assert [row["duty"] for row in done] == ["rescue", "promote", "tidy"]
