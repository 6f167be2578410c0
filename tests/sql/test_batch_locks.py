"""Two sessions at one batch: who waits for whom, and what is so then. Nobody is the victim of a deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.sql.batches import (
    QUEUE,
    append,
    balanced,
    counts,
    crash,
    hand_in,
    lines,
    slow,
    status,
    submit,
    take,
    work,
)
from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import contents, pid

Session = Callable[[], Caller]


def abort(q: Caller, batch: int, **more: Any) -> tuple[Any, ...]:
    return tuple(q.one("batch_abort", id=batch, **more).values())


# In transactions


@pytest.mark.parametrize("commits", [True, False])
def test_all_of_it_is_the_callers_transaction(q: Caller, session: Session, commits: bool) -> None:
    batch = submit(q, 5, hold=True)
    before = contents(q)
    with q.connection.transaction(force_rollback=not commits):
        submit(q, 3)
        slow(q)
        append(q, batch, lines(3))
        q("batch_release", id=batch)
        aborted = submit(q, 3)
        abort(q, aborted)
        other = session()
        assert counts(other, batch) == ("held", 0, 0, 0, 5), "nobody waits to look"
        assert take(other, other.worker(QUEUE)) == []
    if commits:
        assert counts(q, batch) == ("queued", 0, 0, 0, 8)
    else:
        q.sql("delete from pgqueue.worker"), q.sql("delete from pgqueue.lane")
        after = contents(q)
        assert {name for name in after if after[name] != before[name]} <= {"worker", "lane"}
    assert balanced(q)


CHANGES: dict[str, Callable[[Caller, int], Any]] = {
    "append": lambda q, batch: append(q, batch, lines(2)),
    "append and release": lambda q, batch: append(q, batch, lines(2), hold=False),
    "release": lambda q, batch: q("batch_release", id=batch),
    "abort": abort,
}


class Started:
    """A call in a thread of its own, on a session of its own."""

    def __init__(self, q: Caller, act: Callable[[Caller], Any]) -> None:
        self.q, self.error, self.answer = q, None, None
        self.thread = threading.Thread(target=self._run, args=[act])
        self.thread.start()

    error: psycopg.Error | None

    def _run(self, act: Callable[[Caller], Any]) -> None:
        try:
            self.answer = act(self.q)
        except psycopg.Error as error:
            self.error = error

    def waits(self, observer: Caller) -> Started:
        wait_until(lambda: blocked(observer, pid(self.q)), "the call waits for the other session")
        return self

    def ended(self) -> Started:
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self


@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
def test_two_changes_of_one_batch_at_once(q: Caller, session: Session, first: str, second: str) -> None:
    """The second waits for the first, and goes by what is so then."""
    batch = submit(q, 5, hold=True)
    a, b = session(), session()
    with a.connection.transaction():
        CHANGES[first](a, batch)
        other = Started(b, lambda q: CHANGES[second](q, batch)).waits(q)
    other.ended()
    refusal = other.error.sqlstate if other.error else None
    if first == "append" or second == "abort":
        assert refusal is None
    elif first == "abort":
        assert refusal == "PQ005"
    else:  # released
        assert refusal == (None if second == "release" else "PQ005")
    rows = 5 + 2 * first.startswith("append") + 2 * (second.startswith("append") and refusal is None)
    found = status(q, batch)
    assert (found["rows"], found["pending"] + found["aborted"]) == (rows, rows)
    worker = q.worker(QUEUE)
    if found["status"] == "held":
        assert take(q, worker) == []
    else:
        assert work(q, worker) == [batch]
        assert counts(q, batch)[0] == ("aborted" if "abort" in (first, second) else "succeeded")
    assert balanced(q)


def test_an_abort_waits_for_a_worker_that_is_at_its_last_rows(q: Caller, session: Session) -> None:
    """The worker then ends the batch, which is the abort's: one of them would be the victim of a deadlock, were not
    one lock taken for both.
    """
    batch = submit(q, 20)
    worker, user = session(), session()
    first, last = take(worker, worker.worker(QUEUE))
    with worker.connection.transaction():
        hand_in(worker, first)
        late = Started(user, lambda q: abort(q, batch)).waits(q)
        hand_in(worker, last)
    assert late.ended().answer == ("succeeded", 20, 0, 0, False)
    assert counts(q, batch) == ("succeeded", 20, 0, 0, 0)
    assert balanced(q)


def test_a_worker_waits_for_an_abort_and_is_discarded(q: Caller, session: Session) -> None:
    batch = submit(q, 20)
    worker, user = session(), session()
    jobs = take(worker, worker.worker(QUEUE))
    with user.connection.transaction():
        assert abort(user, batch) == ("aborted", 0, 0, 20, True)
        late = Started(worker, lambda q: hand_in(q, jobs[0])).waits(q)
    assert late.ended().error is None
    assert counts(q, batch) == ("aborted", 0, 0, 20, 0)
    assert balanced(q)


def test_an_abort_finds_what_is_being_claimed(q: Caller, session: Session) -> None:
    batch = submit(q, 20)
    worker, user = session(), session()
    number = worker.worker(QUEUE)
    with worker.connection.transaction():
        jobs = take(worker, number)
        late = Started(user, lambda q: abort(q, batch)).waits(q)
    assert late.ended().answer == ("aborted", 0, 0, 20, True)
    told = worker("worker_heartbeat", worker=number, leases=[job["lease"] for job in jobs])
    assert [row["job_id"] for row in told] == [job["id"] for job in jobs]
    for job in jobs:
        hand_in(worker, job)
    assert work(q, number) == [batch]
    assert balanced(q)


def test_a_cancel_of_a_slice_beside_an_abort(q: Caller, session: Session) -> None:
    """Either wants the counters and the waiting slice."""
    batch = submit(q, 20)
    first, _ = (job for (job,) in q.sql("select job_id from pgqueue.batch_slice order by 1"))
    one, two = session(), session()
    with one.connection.transaction():
        one("cancel", id=first)
        late = Started(two, lambda q: abort(q, batch)).waits(q)
        one("cancel", id=first)
    assert late.ended().answer == ("aborted", 0, 0, 20, True)
    batch = submit(q, 20)
    _, last = (job for (job,) in q.sql("select job_id from pgqueue.batch_slice where batch_id = %s order by 1", batch))
    with one.connection.transaction():
        one.sql("select from pgqueue.batch_count where batch_id = %s for no key update", batch)
        late = Started(two, lambda q: q("cancel", id=last)).waits(q)
        abort(one, batch)
    assert late.ended().answer == [{"state": "cancelled", "changed": False}]
    assert balanced(q)


def test_looking_waits_for_nobody(q: Caller, session: Session) -> None:
    batch, query = submit(q, 20), slow(q)
    worker = session()
    jobs = take(worker, worker.worker(QUEUE))
    with worker.connection.transaction():
        for job in jobs:
            hand_in(worker, job)
        q.sql("set lock_timeout = '1ms'")
        assert counts(q, batch) == ("running", 0, 0, 0, 20)
        assert (q("batch_rows", id=batch), q.one("slow_query_status", id=query)["try_later"]) == ([], True)
        assert [row["status"] for row in q("batch_list")] == ["running", "running"]
    assert counts(q, batch) == ("succeeded", 20, 0, 0, 0)


def test_nobody_waits_to_claim_from_a_batch_another_works_on(q: Caller, session: Session) -> None:
    submit(q, 30)
    one, two = session(), session()
    first, second = one.worker(QUEUE), two.worker(QUEUE)
    with one.connection.transaction():
        (job,) = take(one, first, 1)
        hand_in(one, job)
        two.sql("set lock_timeout = '1ms'")
        assert len(take(two, second)) == 2


def test_two_workers_of_several_batches_do_not_wait_for_each_other(q: Caller, session: Session) -> None:
    """Each has a lease of either batch, in another order. Both meet at the second batch's lock."""
    batches = {"a/o": submit(q, 2, "a", "o", slice_size=1), "b/o": submit(q, 2, "b", "o", slice_size=1)}
    one, two, third = session(), session(), session()
    number, other = one.worker(*batches), two.worker(*batches)
    jobs = [job for queue in ("b/o", "a/o") for job in take(one, number, 1, queue)]
    more = [job for queue in ("a/o", "b/o") for job in take(two, other, 1, queue)]

    def all_of(jobs: list[Any], said: str) -> Callable[[Caller], Any]:
        return lambda q: q.sql(
            "select * from pgqueue.settle(%s::bigint[], %s::bigint[], %s)",
            [job["lease"] for job in jobs],
            [job["id"] for job in jobs],
            [said] * len(jobs),
        )

    with third.connection.transaction():
        third.sql("select from pgqueue.batch_count where batch_id = %s for no key update", batches["b/o"])
        calls = [Started(one, all_of(jobs, "cancelled")).waits(q), Started(two, all_of(more, "succeeded")).waits(q)]
    assert [call.ended().error for call in calls] == [None, None]
    assert [counts(q, batch)[0] for batch in batches.values()] == ["aborted", "aborted"]
    assert balanced(q)


def test_an_abort_beside_a_rescue_finds_what_a_slice_was_split_into(q: Caller, session: Session) -> None:
    batch = submit(q, 10)
    take(q, q.worker(QUEUE))
    upkeep, user = session(), session()
    with upkeep.connection.transaction():
        crash(upkeep)
        late = Started(user, lambda q: abort(q, batch)).waits(q)
    assert late.ended().answer == ("aborted", 0, 0, 10, True)
    assert work(q, q.worker(QUEUE)) == [batch]
    assert q.places() == {}
    assert balanced(q)


def test_a_rescue_beside_an_abort_gives_nothing_on(q: Caller, session: Session) -> None:
    batch = submit(q, 10)
    take(q, q.worker(QUEUE))
    upkeep, user = session(), session()
    with user.connection.transaction():
        abort(user, batch)
        late = Started(upkeep, crash).waits(q)
    assert late.ended().error is None
    assert work(q, q.worker(QUEUE)) == [batch]
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain", duties=["tidy"])
    assert q.places() == {}
    assert balanced(q)
