"""Many queues and lanes: claims stay in order and exact, and look no further than they must."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sql.calls import Caller
from tests.sql.test_cursor import pages

Session = Callable[[], Caller]

QUEUES = [f"q{n:03d}" for n in range(60)]


def fill(q: Caller, queues: list[str], count: int, **options: object) -> None:
    for queue in queues:
        q("enqueue_each", kind="noop", args=[{}] * count, queue=queue, **options)


def expire_window(q: Caller) -> None:
    key = "split_part(current_setting('pgqueue.view'), E'\\x1e', 1)"
    q.sql(f"select set_config('pgqueue.view', {key} || E'\\x1e0', false)")


def keep_window(q: Caller) -> None:
    """Puts the expiry of the window far away."""
    q.sql(
        """select set_config('pgqueue.view', array_to_string(v[:1] || '99999999999'::text || v[3:], E'\\x1e'), false)
           from string_to_array(current_setting('pgqueue.view', true), E'\\x1e') v where cardinality(v) > 2"""
    )


@pytest.mark.parametrize("n", [1, 7, 100])
def test_queues_are_served_in_the_order_they_are_named(q: Caller, n: int) -> None:
    fill(q, QUEUES, 5)
    worker, named, taken = q.worker(), QUEUES[::-1], []
    while jobs := q.claim(worker, n, named):
        taken += jobs
        assert q.settle(jobs) == []
    assert [job["queue"] for job in taken] == [queue for queue in named for _ in range(5)]
    assert len({job["id"] for job in taken}) == 300
    assert q.sql("select count(*) from pgqueue.outcome") == [(300,)]


@pytest.mark.parametrize("queues", [["only"], ["only", "other"]])
def test_priorities_without_number(q: Caller, queues: list[str]) -> None:
    for priority in range(100):
        fill(q, queues, 3, priority=priority)
    worker, taken = q.worker(), []
    while jobs := q.claim(worker, 10, queues):
        keep_window(q)
        taken += jobs
    assert [job["priority"] for job in taken] == sorted((job["priority"] for job in taken), reverse=True)
    assert len(taken) == 300 * len(queues)


def test_better_work_outside_of_the_window_is_found_when_it_expires(q: Caller) -> None:
    fill(q, QUEUES, 5)
    worker = q.worker()
    q.claim(worker, 1, QUEUES)
    keep_window(q)
    urgent = q.enqueue(queue=QUEUES[7], priority=9)
    assert q.claim(worker, 1, QUEUES)[0]["priority"] == 0
    expire_window(q)
    assert q.claim(worker, 1, QUEUES)[0]["id"] == urgent


def test_who_is_urgent_looks_at_all(q: Caller) -> None:
    fill(q, QUEUES, 5)
    worker = q.worker()
    q.claim(worker, 1, QUEUES)
    keep_window(q)
    urgent = q.enqueue(queue=QUEUES[7], priority=9)
    assert q.claim(worker, 1, QUEUES, urgent=True)[0]["id"] == urgent


def test_an_empty_window_is_not_an_empty_queue(q: Caller, session: Session) -> None:
    fill(q, QUEUES, 2)
    worker, other = q.worker(), session()
    q.claim(worker, 1, QUEUES)
    keep_window(q)
    assert len(other.claim(worker, 1000, QUEUES)) == 119
    late = q.enqueue(queue="late")
    assert [job["id"] for job in q.claim(worker, 5, [*QUEUES, "late"])] == [late]
    again = q.enqueue(queue=QUEUES[0])
    assert [job["id"] for job in q.claim(worker, 5, QUEUES)] == [again]


def test_a_queue_paused_or_limited_inside_the_window(q: Caller) -> None:
    fill(q, QUEUES, 5)
    worker = q.worker()
    q.claim(worker, 1, QUEUES)
    keep_window(q)
    q("pause_queue", queue=QUEUES[0])
    assert {job["queue"] for job in q.claim(worker, 5, QUEUES)} == {QUEUES[1]}
    keep_window(q)
    q("configure_queue", queue=QUEUES[2], settings={"max_running": 2})
    assert [job["queue"] for job in q.claim(worker, 5, QUEUES)] == [QUEUES[2]] * 2 + [QUEUES[3]] * 3
    q("resume_queue", queue=QUEUES[0])
    assert {job["queue"] for job in q.claim(worker, 4, QUEUES)} == {QUEUES[0]}


def test_a_filled_claim_does_not_touch_the_other_lanes(q: Caller) -> None:
    fill(q, [f"many{n}" for n in range(1000)], 1)
    fill(q, QUEUES, 20)
    worker = q.worker()
    names = ",".join([*QUEUES, *(f"many{n}" for n in range(1000))])
    claim = f"select count(*) from pgqueue.claim({worker}, '{{{names}}}', 10)"
    assert pages(q, claim) > 30  # all lanes are listed
    keep_window(q)
    first = [pages(q, f"select count(*) from pgqueue.claim({worker}, array['{QUEUES[-1]}'], 10)") for _ in range(2)]
    assert pages(q, claim) < 1.5 * max(first)


def test_a_lane_is_not_taken_for_known_when_it_is_gone(q: Caller) -> None:
    """Sessions remember which lanes they have seen; what was rolled back or truncated they have not."""
    worker = q.worker()
    with pytest.raises(ZeroDivisionError), q.connection.transaction():
        q.enqueue(queue="new")
        raise ZeroDivisionError
    job = q.enqueue(queue="new")
    assert [taken["id"] for taken in q.claim(worker, queues=["new"])] == [job]
    q.sql("truncate pgqueue.lane")
    job = q.enqueue(queue="new")
    assert [taken["id"] for taken in q.claim(worker, queues=["new"])] == [job]
    with q.connection.transaction():
        q.enqueue(queue="newer")
        with pytest.raises(ZeroDivisionError), q.connection.transaction():
            q.enqueue(queue="newest")
            raise ZeroDivisionError
        job = q.enqueue(queue="newest")
    assert [taken["id"] for taken in q.claim(worker, queues=["newest"])] == [job]


def test_leases_have_numbers_that_do_not_come_again(q: Caller) -> None:
    """An asynchronous commit may be lost in a crash together with what it drew from the sequence."""
    worker = q.worker()
    fill(q, ["default"], 40)
    first = [q.claim(worker, 1)[0]["lease"] for _ in range(20)]
    q.sql("select setval('pgqueue.lease_id', 1, false)")
    again = [q.claim(worker, 1)[0]["lease"] for _ in range(20)]
    assert first == sorted(first)
    assert [lease >> 16 for lease in first] == [lease >> 16 for lease in again]
    assert not set(first) & set(again)
