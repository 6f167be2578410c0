"""max_running and groups: exact, whoever holds a claim open."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, Row, blocked, wait_until

Session = Callable[[], Caller]


def test_max_running_holds_over_all_workers(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_running": 3})
    jobs = [q.enqueue() for _ in range(5)]
    first, second = q.worker(), q.worker()
    held = q.claim(first, 2)
    rest = q.claim(second, 5)
    assert (len(held), len(rest)) == (2, 1)
    assert q.claim(first) == q.claim(second) == []
    assert "max_running" in q.value("why", id=jobs[4])
    q.settle(held[:1])
    assert [job["id"] for job in q.claim(second)] == [jobs[3]]
    q("configure_queue", queue="default", settings={"max_running": None})
    assert [job["id"] for job in q.claim(second)] == [jobs[4]]


def test_max_running_zero_stops_a_queue_and_spares_others(q: Caller) -> None:
    q("configure_queue", queue="a", settings={"max_running": 0})
    q.enqueue(queue="a", priority=9)
    b = q.enqueue(queue="b")
    assert [job["id"] for job in q.claim(q.worker("a", "b"), queues=["a", "b"])] == [b]


def test_a_claim_held_open_counts(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"max_running": 3})
    for _ in range(10):
        q.enqueue()
    worker, other = q.worker(), q.worker()
    holder, waiting = session(), session()
    with holder.connection.transaction():
        assert len(holder.claim(worker, 2)) == 2
        taken: list[Row] = []
        thread = threading.Thread(target=lambda: taken.extend(waiting.claim(other, 10)))
        thread.start()
        wait_until(lambda: blocked(q, waiting.connection.info.backend_pid), "the second claim waits for the limiter")
    thread.join()
    assert len(taken) == 1


def test_crashed_jobs_count_too(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_running": 1})
    q.enqueue()
    q.enqueue()
    lost = q.worker()
    q.claim(lost)
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    worker = q.worker()
    assert len(q.claim(worker)) == 1
    assert q.claim(worker) == []


def test_crashed_jobs_without_room_spare_those_of_other_queues(q: Caller) -> None:
    lost = q.worker("full", "other")
    jobs = [q.enqueue(queue=queue) for queue in ["full"] * 12 + ["other"] * 2]
    q.claim(lost, 100, ["full", "other"])
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    q("configure_queue", queue="full", settings={"max_running": 0})
    worker = q.worker("full", "other")
    claims = [q.claim(worker, 100, ["full", "other"]) for _ in range(3)]
    assert [[job["id"] for job in claim] for claim in claims] == [[jobs[12]], [jobs[13]], []]


@pytest.mark.parametrize("limit", [1, 2])
def test_a_group_takes_turns_in_order(q: Caller, limit: int) -> None:
    q("configure_queue", queue="default", settings={"group_limit": limit})
    a = [q.enqueue(group_key="a") for _ in range(5)]
    b = [q.enqueue(group_key="b") for _ in range(2)]
    plain = q.enqueue()
    worker = q.worker()
    order: list[int] = []
    running: list[Row] = []
    while len(order) < 8:
        running += q.claim(worker)
        for key in "ab":
            assert sum(job["group_key"] == key for job in running) <= limit
        done = running.pop(0)
        order.append(done["id"])
        q.settle([done])
    assert [job for job in order if job in a] == a
    assert [job for job in order if job in b] == b
    assert order.index(b[0]) < order.index(a[limit])  # the small group did not wait for the big one
    assert plain in order
    assert q.places() == {}


def test_a_blocked_job_is_held_and_says_so(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    (taken,) = q.claim(q.worker())
    assert q.states([first, second]) == ["running", "held"]
    assert "group g" in q.value("why", id=second)
    assert [job["id"] for job in q("jobs", state="held")] == [second]
    q.settle([taken])
    assert q.state(second) == "queued"


@pytest.mark.parametrize("end", ["failed", "snooze", "retry", "discard", "cancelled", "timeout"])
def test_every_way_out_hands_the_slot_on(q: Caller, end: str) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), end, **({"delay": 60} if end in ("snooze", "retry") else {}))
    assert [job["id"] for job in q.claim(worker)] == [second]
    assert q.state(first) in ("scheduled", "failed", "cancelled")


def test_a_released_job_keeps_its_slot(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), "release")
    assert q.states([first, second]) == ["queued", "held"]
    assert [job["id"] for job in q.claim(worker)] == [first]


def test_a_lost_worker_keeps_the_slot_with_the_job(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    q.claim(q.worker())
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    worker = q.worker()
    taken = q.claim(worker)
    assert ([job["id"] for job in taken], q.state(second)) == ([first], "held")
    q.settle(taken)
    assert [job["id"] for job in q.claim(worker)] == [second]


def test_a_raised_or_cleared_limit_frees_the_blocked(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    for _ in range(6):
        q.enqueue(group_key="g")
    worker = q.worker()
    assert len(q.claim(worker)) == 1
    q("configure_queue", queue="default", settings={"group_limit": 3})
    assert len(q.claim(worker)) == 2
    q("configure_queue", queue="default", settings={"group_limit": None})
    assert len(q.claim(worker)) == 3


def test_a_slot_freed_while_another_session_admits_is_not_forgotten(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    taken = q.claim(worker)
    holder = session()
    with holder.connection.transaction():
        # holds the lock of the group until it commits
        holder.sql("select pgqueue._admit_groups('default', array['g'], 1, false)")
        q.settle(taken)  # does not wait for it
        assert q.states([first, second]) == ["succeeded", "held"]
        assert q.claim(worker) == []
    assert [job["id"] for job in q.claim(worker)] == [second]


def test_a_freed_slot_overtakes_nobody_who_came_before(q: Caller) -> None:
    """The next of its group is behind more in the inbox than one claim looks at."""
    q("configure_queue", queue="default", settings={"group_limit": 1})
    jobs = [q.enqueue(group_key=key) for key in ("g", *(f"g{n}" for n in range(120)), "g")]
    worker = q.worker()
    (first,) = q.claim(worker, 1)
    assert q.sql("select count(*) from pgqueue.arrival") == [(22,)]  # so the others were not looked at
    q.settle([first])
    done = [first]
    while taken := q.claim(worker, 1):
        q.settle(taken)
        done += taken
    assert [job["id"] for job in done] == jobs
    assert q.places() == {}


def test_a_freed_slot_wakes_a_worker_for_the_inbox(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    for key in ("g", *(f"g{n}" for n in range(120)), "g"):
        q.enqueue(group_key=key)
    taken = q.claim(q.worker(), 100)
    q.enqueue(group_key="g")
    sleeper = session()
    sleeper.sql("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["default"])
    q.settle(taken[:1])
    assert [notify.channel for notify in sleeper.connection.notifies(timeout=20, stop_after=1)] == ["pgqueue_wake"]


def test_groups_under_many_sessions_are_exact_and_in_order(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    q("enqueue_each", kind="noop", args=[{"n": n} for n in range(300)], group_keys=[f"g{n % 10}" for n in range(300)])
    order: list[tuple[str, int]] = []
    together: list[str] = []
    lock = threading.Lock()
    running: set[str] = set()

    def work(caller: Caller) -> None:
        worker = caller.worker()
        idle = 0
        while idle < 50:
            taken = caller.claim(worker, 5)
            idle = 0 if taken else idle + 1
            with lock:
                for job in taken:
                    if job["group_key"] in running:
                        together.append(job["group_key"])
                    running.add(job["group_key"])
                    order.append((job["group_key"], job["args"]["n"]))
            with lock:
                running.difference_update(job["group_key"] for job in taken)
            if taken:
                caller.settle(taken)

    threads = [threading.Thread(target=work, args=[session()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == []
    assert len(order) == 300
    for key in {key for key, _ in order}:
        turns = [n for k, n in order if k == key]
        assert turns == sorted(turns)
    assert q.places() == {}
