"""enqueue: what is stored, unique keys, and who waits for whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import DOORS, NOON, contents, many, pid

Session = Callable[[], Caller]
AT_NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
doors = pytest.mark.parametrize("door", DOORS)


def only(rows: list[Any]) -> Any:
    (row,) = rows
    return row


# What is stored


@doors
def test_defaults(q: Caller, door: str) -> None:
    q.clock(NOON)
    job, created = only(DOORS[door](q, kind="mail"))
    assert created is True
    assert q.one("job", id=job) == {
        "id": job,
        "queue": "default",
        "kind": "mail",
        "state": "queued",
        "reason": None,
        "priority": 0,
        "args": {},
        "attempt": 0,
        "max_attempts": 5,
        "crashes": 0,
        "run_at": None,
        "created_at": AT_NOON,
        "claimed_at": None,
        "finished_at": None,
        "worker_id": None,
        "unique_key": None,
        "group_key": None,
        "timeout": None,
        "expires_at": None,
        "heartbeat": None,
        "headers": None,
        "progress": None,
        "cancel_requested": False,
        "result": None,
        "error": None,
    }


@doors
def test_options_are_stored_and_reach_the_worker(q: Caller, door: str) -> None:
    q.clock(NOON)
    job, _ = only(
        DOORS[door](
            q,
            kind="mail",
            args={"to": ["ada", None, 1.5, {"nested": True}]},
            queue="letters",
            priority=-7,
            unique_key="ada/1",
            group_key="ada",
            max_attempts=3,
            timeout="90 seconds",
            expires_in="1 hour",
            heartbeat="10 seconds",
            headers={"trace": "abc"},
        )
    )
    stored = q.one("job", id=job)
    asked = {
        "kind": "mail",
        "args": {"to": ["ada", None, 1.5, {"nested": True}]},
        "queue": "letters",
        "priority": -7,
        "unique_key": "ada/1",
        "group_key": "ada",
        "max_attempts": 3,
        "timeout": timedelta(seconds=90),
        "heartbeat": timedelta(seconds=10),
        "headers": {"trace": "abc"},
        "created_at": AT_NOON,
    }
    assert {name: stored[name] for name in asked} == asked
    assert stored["expires_at"] == AT_NOON + timedelta(hours=1)
    (taken,) = q.claim(q.worker("letters"), queues=["letters"])
    assert {name: taken[name] for name in asked} == asked
    assert (taken["id"], taken["attempt"], taken["crashes"]) == (job, 1, 0)


@doors
@pytest.mark.parametrize(
    ("when", "state", "due"),
    [
        ({"delay": "90 seconds"}, "scheduled", AT_NOON + timedelta(seconds=90)),
        ({"delay": "0"}, "queued", None),
        ({"run_at": "2024-05-01 14:00:00+02"}, "queued", None),
        ({"run_at": "2024-05-01 12:00:00.000001+00"}, "scheduled", AT_NOON + timedelta(microseconds=1)),
        ({"run_at": "1999-12-31"}, "queued", None),
        ({"delay": "1 year", "group_key": "g"}, "scheduled", datetime(2025, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_when_it_is_due(q: Caller, door: str, when: dict[str, str], state: str, due: datetime | None) -> None:
    q.clock(NOON)
    job, _ = only(DOORS[door](q, kind="k", **when))
    assert (q.one("job", id=job)["state"], q.one("job", id=job)["run_at"]) == (state, due)
    assert q.value("next_due") == due
    assert bool(q.claim(q.worker())) == (state == "queued")


@doors
def test_a_retry_waits_by_the_backoff_the_job_brought(q: Caller, door: str) -> None:
    q.clock(NOON)
    job, _ = only(DOORS[door](q, kind="k", backoff={"strategy": "linear", "base": 30, "jitter": 0}))
    q.settle(q.claim(q.worker()), "failed")
    assert q.one("job", id=job)["run_at"] == AT_NOON + timedelta(seconds=30)


@doors
def test_what_a_job_does_not_bring_is_the_queues(q: Caller, door: str) -> None:
    q("configure_queue", queue="strict", settings={"max_attempts": 2, "timeout": 60})
    plain, _ = only(DOORS[door](q, kind="k", queue="strict"))
    own, _ = only(DOORS[door](q, kind="k", queue="strict", max_attempts=9, timeout="5 minutes"))
    assert [(job["max_attempts"], job["timeout"]) for job in (q.one("job", id=plain), q.one("job", id=own))] == [
        (2, timedelta(minutes=1)),
        (9, timedelta(minutes=5)),
    ]


def test_ids_rise_in_the_order_of_enqueueing(q: Caller) -> None:
    jobs = [q.enqueue(f"k{i}") for i in range(20)]
    assert jobs == sorted(set(jobs))
    assert [job["id"] for job in q.claim(q.worker())] == jobs


# Unique keys


@doors
def test_a_live_duplicate_gets_the_first_ones_id_and_changes_nothing(q: Caller, door: str) -> None:
    job, _ = only(DOORS[door](q, kind="k", unique_key="u", args={"n": 1}))
    before = contents(q)
    for other in DOORS.values():
        again = other(
            q,
            kind="other",
            unique_key="u",
            args={"n": 2},
            priority=9,
            delay="1 hour",
            expires_in="1 hour",
            group_key="g",
        )
        assert again == [(job, False)]
    assert contents(q) == before


@doors
def test_a_key_is_held_through_every_live_state_and_free_after_the_end(q: Caller, door: str) -> None:
    def again() -> tuple[int, bool]:
        found: tuple[int, bool] = only(DOORS[door](q, kind="k", unique_key="u", delay="1 hour"))
        return found

    q.clock(NOON)
    job, created = again()
    assert created
    assert again() == (job, False), "scheduled"
    q("reschedule", id=job, run_at=NOON)
    assert again() == (job, False), "queued"
    worker = q.worker()
    taken = q.claim(worker)
    assert again() == (job, False), "running"
    q.settle(taken, "retry", delay=60)
    assert again() == (job, False), "to be tried again"
    q.clock("2024-05-01 13:00:00+00")
    q("worker_heartbeat", worker=worker)
    q("maintain", duties=["promote"])
    q.settle(q.claim(worker))
    second, created = again()
    assert created, "succeeded"
    q("cancel", id=second)
    assert again()[1], "cancelled"


def test_a_key_belongs_to_its_queue(q: Caller) -> None:
    (one,), (two,) = (many(q, {"kind": "k", "queue": queue, "unique_key": "u"}) for queue in ("a", "b"))
    assert one[0] != two[0]
    assert (one[1], two[1]) == (True, True)


@doors
def test_keys_are_compared_byte_by_byte(q: Caller, door: str) -> None:
    keys = ["Key", "key", "key ", " key", "a\u0308", "ä", "1", "01"]
    assert all(only(DOORS[door](q, kind="k", unique_key=key))[1] for key in keys)


# Two sessions, one key


@doors
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_second_of_a_key_waits_for_the_first_transaction(
    q: Caller, session: Session, door: str, ending: str
) -> None:
    first, second = session(), session()
    first.sql("begin")
    job, created = only(DOORS[door](first, kind="k", unique_key="u"))
    assert created
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(DOORS[door], second, kind="k", unique_key="u")
        try:
            wait_until(lambda: blocked(q, pid(second)), "the second enqueue waits")
            assert q.sql("select pg_blocking_pids(%s)", pid(second)) == [([pid(first)],)]
        finally:
            first.sql(ending)
        got, made = only(waiting.result(20))
    assert (got == job, made) == ((True, False) if ending == "commit" else (False, True))
    assert q.sql("select id from pgqueue.jobs()") == [(got,)]
    assert q.sql("select job_id from pgqueue.job_key") == [(got,)]


def test_of_many_callers_of_one_key_one_makes_the_job(q: Caller, session: Session) -> None:
    sessions = [session() for _ in range(6)]
    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            calls = [
                pool.submit(door, caller, kind="k", unique_key="u")
                for caller, door in zip(sessions, [*DOORS.values()] * 2, strict=True)
            ]
            got = [only(call.result(20)) for call in calls]
        (job,) = {job for job, _ in got}
        assert [created for _, created in got].count(True) == 1
        q("cancel", id=job)
    assert q.places() == {}


def test_batches_that_share_keys_in_another_order_do_not_deadlock(q: Caller, session: Session) -> None:
    one, two = session(), session()
    one.sql("begin")
    (x,) = many(one, {"kind": "k", "unique_key": "x"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(many, two, {"kind": "k", "unique_key": "y"}, {"kind": "k", "unique_key": "x"})
        try:
            wait_until(lambda: blocked(q, pid(two)), "the second batch waits")
            (y,) = many(one, {"kind": "k", "unique_key": "y"})
        finally:
            one.sql("commit")
        assert waiting.result(20) == [(y[0], False), (x[0], False)]


@doors
@pytest.mark.parametrize("again", DOORS)
def test_a_key_enqueued_twice_in_one_transaction_is_one_job(q: Caller, door: str, again: str) -> None:
    with q.connection.transaction():
        job, created = only(DOORS[door](q, kind="k", unique_key="u"))
        assert created
        assert DOORS[again](q, kind="k", unique_key="u") == [(job, False)]


# Nobody else waits


@doors
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"unique_key": "other"},
        {"group_key": "g"},
        {"group_key": "g", "unique_key": "other"},
        {"delay": "1 hour"},
        {"expires_in": "1 hour"},
    ],
    ids=lambda options: "+".join(options) or "plain",
)
def test_an_open_enqueue_stalls_no_other(session: Session, door: str, options: dict[str, Any]) -> None:
    """Nor does a new lane, a new group or a first use of the queue; and it stalls no worker."""
    busy, other = session(), session()
    other.sql("set lock_timeout = '1ms'")
    busy.sql("begin")
    DOORS[door](busy, kind="k", queue="new", priority=3, unique_key="u", group_key="g")
    DOORS[door](busy, kind="k", queue="new", priority=3)
    job, created = only(DOORS[door](other, kind="k", queue="new", priority=3, **options))
    assert created
    worker = other.worker("new")
    claimed = [taken["id"] for taken in other.claim(worker, queues=["new"])]
    assert claimed == ([] if "delay" in options else [job])
    other("maintain")
    busy.sql("commit")
    assert len(other.claim(worker, queues=["new"])) == 2


# Snapshots that last


@doors
def test_repeatable_read_refuses_a_key_that_was_taken_meanwhile(q: Caller, session: Session, door: str) -> None:
    """Its snapshot cannot see the other's job, so there is no right id to return: the usual 40001, begin again."""
    old = session()
    old.sql("begin isolation level repeatable read")
    old.sql("select 1 from pgqueue.job limit 1")
    job, _ = only(DOORS[door](q, kind="k", unique_key="u"))
    with pytest.raises(psycopg.errors.SerializationFailure):
        DOORS[door](old, kind="k", unique_key="u")
    old.sql("rollback")
    assert DOORS[door](old, kind="k", unique_key="u") == [(job, False)]


@doors
def test_repeatable_read_joins_a_live_job_it_can_see(q: Caller, session: Session, door: str) -> None:
    job, _ = only(DOORS[door](q, kind="k", unique_key="u"))
    old = session()
    old.sql("begin isolation level repeatable read")
    assert DOORS[door](old, kind="k", unique_key="u") == [(job, False)]
    assert only(DOORS[door](old, kind="k"))[1]
    old.sql("commit")


@doors
def test_repeatable_read_does_not_join_a_job_that_has_ended_meanwhile(q: Caller, session: Session, door: str) -> None:
    """Its snapshot still shows the job alive; joining it would lose the work."""
    job, _ = only(DOORS[door](q, kind="k", unique_key="u"))
    old = session()
    old.sql("begin isolation level repeatable read")
    old.sql("select 1 from pgqueue.job limit 1")
    q("cancel", id=job)
    got, created = only(DOORS[door](old, kind="k", unique_key="u"))
    again = [way(old, kind="k", unique_key="u") for way in DOORS.values()]
    old.sql("commit")
    assert created
    assert got != job
    assert again == [[(got, False)]] * 3
    assert q.state(got) == "queued"


# The caller's transaction


@doors
@pytest.mark.parametrize("scope", ["transaction", "savepoint"])
def test_what_is_rolled_back_was_never_there(q: Caller, door: str, scope: str) -> None:
    before = contents(q)
    q.sql("begin")
    if scope == "savepoint":
        q.sql("savepoint s")
    for options in ({}, {"unique_key": "u", "expires_in": "1 hour"}, {"group_key": "g"}, {"delay": "1 hour"}):
        only(DOORS[door](q, kind="k", queue="new", priority=4, **options))
    assert contents(q) != before
    q.sql("rollback to s" if scope == "savepoint" else "rollback")
    assert contents(q) == before
    q.sql("commit")
    assert contents(q) == before


@doors
def test_nobody_is_woken_for_what_is_rolled_back(session: Session, door: str) -> None:
    sleeper, producer = session(), session()
    sleeper.sql("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["gone", "here"])
    producer.sql("begin")
    DOORS[door](producer, kind="k", queue="gone")
    producer.sql("rollback")
    DOORS[door](producer, kind="k", queue="here")
    (note,) = sleeper.connection.notifies(timeout=20, stop_after=1)
    assert note.payload == "here"


def test_a_job_is_invisible_until_its_transaction_commits(q: Caller, session: Session) -> None:
    producer = session()
    producer.sql("begin")
    job = producer.enqueue()
    worker = q.worker()
    assert q.claim(worker) == []
    producer.sql("commit")
    assert [taken["id"] for taken in q.claim(worker)] == [job]
