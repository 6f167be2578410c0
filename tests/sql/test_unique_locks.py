"""Unique keys beside each other: two sessions, one of them inside an open transaction. What must not wait runs with a
lock timeout far below the test's patience; what must wait is seen to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import many, pid
from tests.sql.test_unique import at, keys, put, take
from tests.support.seeds import seeds

Session = Callable[[], Caller]
REPLACE = {"on_duplicate": "replace"}


@pytest.fixture
def user(session: Session) -> Caller:
    return session()


@pytest.fixture
def other(session: Session) -> Caller:
    return session()


def brisk(q: Caller) -> Caller:
    q.sql("set lock_timeout = '300ms'")
    return q


def waiting(q: Caller, caller: Caller, pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Future[Any]:
    """The call, made by that session, which waits for another's lock by now."""
    future = pool.submit(call)
    wait_until(lambda: blocked(q, pid(caller)) or future.done(), "the call waits")
    assert not future.done()
    return future


@pytest.mark.parametrize("policy", ["replace", "debounce"])
@pytest.mark.parametrize("group", [None, "g"])
def test_a_job_that_is_being_replaced_waits_and_nothing_else_does(
    q: Caller, user: Caller, policy: str, group: str | None
) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    options = {"group_key": group} if group else {}
    worker = brisk(q).worker()
    job, _ = put(q, args={"n": 1}, expires_in="1 hour", **options)
    q.claim(worker, 1, queues=["elsewhere"])
    q("maintain", duties=["admit"])
    beside = q.enqueue(**options)
    with user.connection.transaction():
        assert put(user, args={"n": 2}, delay="1 hour", on_duplicate=policy, **options) == (job, False)
        assert put(q) == (job, False)
        q.sql("select set_config('pgqueue.now', (clock_timestamp() + interval '61 minutes')::text, false)")
        assert [row["error"] for row in q("maintain", duties=["promote", "expire", "admit", "tidy"])] == [None] * 4
        q.sql("select set_config('pgqueue.now', '', false)")
        plain = q.enqueue()
        taken = q.claim(worker)
        # One of its group waits for the slot, which is not free before the transaction ends.
        assert [row["id"] for row in taken] == ([plain] if group else [beside, plain])
        assert q.settle(taken, "failed", error={}) == []
    assert q.one("job", id=job)["args"] == {"n": 2}
    assert q.state(job) == ("queued" if policy == "replace" else "scheduled")
    assert [row["id"] for row in q.claim(worker)] == ([job] if policy == "replace" else [beside] if group else [])


def test_a_claim_that_has_the_job_is_waited_for(q: Caller, user: Caller, other: Caller) -> None:
    worker = q.worker()
    job, _ = put(q, args={"n": 1})
    with ThreadPoolExecutor() as pool:
        with user.connection.transaction():
            take(user, worker, job)
            replaced = waiting(q, other, pool, lambda: put(other, args={"n": 2}, **REPLACE))
        new, created = replaced.result(20)
        assert created and keys(q) == {"u": new}
        with user.connection.transaction(force_rollback=True):
            take(user, worker, new)
            replaced = waiting(q, other, pool, lambda: put(other, args={"n": 3}, **REPLACE))
        assert replaced.result(20) == (new, False)
    assert take(q, worker, new)[0]["args"] == {"n": 3}


@pytest.mark.parametrize("rolled_back", [False, True])
def test_two_that_replace_one_job_meet_at_its_key(q: Caller, user: Caller, other: Caller, rolled_back: bool) -> None:
    worker = q.worker()
    job, _ = put(q, args={"n": 1})
    with ThreadPoolExecutor() as pool:
        with user.connection.transaction(force_rollback=rolled_back):
            put(user, args={"n": 2}, **REPLACE)
            replaced = waiting(q, other, pool, lambda: put(other, args={"n": 3}, **REPLACE))
        assert replaced.result(20) == (job, False)
    assert take(q, worker, job)[0]["args"] == {"n": 3}


@pytest.mark.parametrize("rolled_back", [False, True])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_settle_does_not_wait_for_who_takes_its_key_over(
    q: Caller, user: Caller, outcome: str, rolled_back: bool
) -> None:
    worker = brisk(q).worker()
    job, _ = put(q, args={"n": 1}, backoff={"base": 0})
    taken = take(q, worker, job)
    with user.connection.transaction(force_rollback=rolled_back):
        new, created = put(user, args={"n": 2}, **REPLACE)
        assert created
        assert q.settle(taken, outcome) == []
        assert q.state(job) == ("succeeded" if outcome == "succeeded" else "scheduled")
        q("maintain")
    q.sql("select set_config('pgqueue.now', (clock_timestamp() + interval '2 seconds')::text, false)")
    q("maintain", duties=["promote"])
    if not rolled_back:
        assert keys(q) == {"u": new}
        assert q.state(job) == ("succeeded" if outcome == "succeeded" else "cancelled")
        take(q, worker, new)
    elif outcome == "failed":
        assert keys(q) == {"u": job}
        take(q, worker, job)
    else:
        # Its key was left to the one that then was not: nobody holds it.
        assert keys(q) == {"u": job}
        assert put(q)[1]
        assert len(q.claim(worker)) == 1


def test_upkeep_removes_a_key_that_was_left_behind(q: Caller, user: Caller) -> None:
    worker = q.worker()
    jobs = [put(q, key=key)[0] for key in "ab"]
    taken = take(q, worker, *jobs)
    with user.connection.transaction(force_rollback=True):
        for key in "ab":
            put(user, key=key, **REPLACE)
        q.settle(taken, "discard")
    assert keys(q) == dict(zip("ab", jobs, strict=True))
    q("retry", id=jobs[0])  # whose own key it is
    q("maintain", duties=["tidy"])
    assert keys(q) == {"a": jobs[0]}


def test_a_start_key_left_behind_counts_as_free(q: Caller, user: Caller, other: Caller) -> None:
    """A claim leaves the key to an enqueue that has locked it, waits for the job, and is rolled back."""
    worker = q.worker()
    job, _ = put(q, unique_until="start")
    with ThreadPoolExecutor() as pool, other.connection.transaction(force_rollback=True):
        with user.connection.transaction():
            user.sql("select from pgqueue.ready where job_id = %s for update", job)
            replaced = waiting(q, other, pool, lambda: put(other, unique_until="start", **REPLACE))
            taken = take(user, worker, job)
        assert replaced.result(20)[1]
    assert keys(q) == {"u": job}
    new, created = put(q, unique_until="start")
    assert created and keys(q) == {"u": new}
    assert q.settle(taken) == []
    assert keys(q) == {"u": new}


@pytest.mark.parametrize("rolled_back", [False, True])
@pytest.mark.parametrize("way", ["failed", "release", "lost"])
def test_a_job_comes_back_beside_an_open_enqueue_of_its_key(
    q: Caller, user: Caller, way: str, rolled_back: bool
) -> None:
    worker = brisk(q).worker()
    jobs = [put(q, key=f"u{n}", unique_until="start", backoff={"base": 0})[0] for n in range(30)]
    taken = take(q, worker, *jobs)
    with user.connection.transaction(force_rollback=rolled_back):
        new = many(user, *[{"kind": "k", "unique_key": f"u{n}", "unique_until": "start"} for n in range(30)])
        if way == "lost":
            q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
            assert [row["error"] for row in q("maintain", duties=["rescue"])] == [None]
        else:
            assert q.settle(taken, way, error={}) == []
        assert set(q.states(jobs)) == {"scheduled"} and keys(q) == {}
        for seconds in (2, 4):
            q.sql("select set_config('pgqueue.now', (clock_timestamp() + %s * interval '1 s')::text, false)", seconds)
            assert [row["error"] for row in q("maintain", duties=["promote"])] == [None]
            assert set(q.states(jobs)) == {"scheduled"}
    q.sql("select set_config('pgqueue.now', (clock_timestamp() + interval '9 s')::text, false)")
    q("maintain", duties=["promote"])
    assert set(q.states(jobs)) == {"queued" if rolled_back else "cancelled"}
    assert sorted(keys(q).values()) == (jobs if rolled_back else [job for job, _ in new])


def test_a_period_that_is_over_is_taken_by_one_of_two(q: Caller, user: Caller, other: Caller) -> None:
    for caller in (q, user, other):
        at(caller, 0)
    put(q, unique_for="1 minute")
    for caller in (q, user, other):
        at(caller, 60)
    with ThreadPoolExecutor() as pool:
        with user.connection.transaction(force_rollback=True):
            assert put(user, unique_for="1 minute")[1]
            second = waiting(q, other, pool, lambda: put(other, unique_for="1 minute"))
        job, created = second.result(20)
        assert created
        for caller in (q, user, other):
            at(caller, 120)
        with user.connection.transaction():
            new, created = put(user, unique_for="1 minute")
            assert created and new != job
            brisk(q)("maintain", duties=["tidy"])
            second = waiting(q, other, pool, lambda: put(other, unique_for="1 minute"))
        assert second.result(20) == (new, False)


@pytest.mark.parametrize("seed", seeds(range(2)))
def test_batches_that_share_keys_do_not_deadlock(session: Session, q: Caller, seed: int) -> None:
    """Four sessions, 40 batches each, of all policies and kinds of keys, beside a worker that ends what it claims."""
    done = threading.Event()
    worker = q.worker()

    def produce(number: int) -> int:
        caller = session_of[number]
        caller.sql("set deadlock_timeout = '50ms'")
        made = 0
        for turn in range(40):
            elements = [
                {
                    "kind": "k",
                    "args": {"n": turn},
                    "unique_key": f"u{(7 * place + turn + number + seed) % 23}",
                    "on_duplicate": ["return", "replace", "debounce"][(place + turn) % 3],
                    **[{}, {"unique_until": "start"}, {"unique_for": "0.01 s"}][(place + number) % 3],
                }
                for place in range(15)
            ]
            made += sum(created for _, created in many(caller, *elements))
        return made

    def consume() -> None:
        while not done.is_set():
            q.settle(q.claim(worker, 5), "failed" if seed else "succeeded", error={})
            q("maintain", duties=["promote", "tidy"])

    session_of = [session() for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        consumer = pool.submit(consume)
        try:
            assert sum(pool.map(produce, range(4))) > 0
        finally:
            done.set()
        consumer.result(60)
    assert q.sql("select count(*), count(distinct unique_key) from pgqueue.job_key")[0][0] <= 23


def test_the_same_in_one_call_of_json(q: Caller) -> None:
    jobs = Jsonb(
        [{"kind": "k", "unique_by": ["a"], "args": {"a": 1}, "unique_for": 60, "on_duplicate": "debounce"}] * 2
    )
    (one, two) = q.sql("select id, created from pgqueue.enqueue_many(%s)", jobs)
    assert one[1] and two == (one[0], False)
