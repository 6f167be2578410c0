"""Ageing: who has waited long enough is served with the highest priority."""

from __future__ import annotations

from tests.sql.calls import Caller


def test_old_jobs_of_lower_lanes_join_the_highest(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"ageing": "10 minutes"})
    q.clock("2030-01-01 12:00+00")
    low = [q.enqueue(priority=-5) for _ in range(3)]
    middle = q.enqueue()
    q.clock("2030-01-01 12:08+00")
    later = q.enqueue(priority=-5)
    high = [q.enqueue(priority=9) for _ in range(2)]
    q("maintain", duties=["admit"])
    worker = q.worker()
    assert [job["id"] for job in q.claim(worker, 1)] == [high[0]]
    q.clock("2030-01-01 12:11+00")
    q("maintain", duties=["admit"])
    newest = q.enqueue(priority=9)
    taken = [job for _ in range(9) for job in q.claim(worker, 1)]
    assert [job["id"] for job in taken] == [high[1], middle, *low, newest, later]
    assert [job["priority"] for job in taken] == [9] * 6 + [-5]
    q.settle(taken)
    assert q.places() == {"lease": 1}  # the first


def test_nothing_happens_without_the_setting_or_above(q: Caller) -> None:
    q.clock("2030-01-01 12:00+00")
    for priority in (0, 5):
        q.enqueue(priority=priority)
        q.enqueue(priority=priority, queue="other")
    q("configure_queue", queue="other", settings={"ageing": 60})
    q.clock("2030-01-02 12:00+00")
    q.enqueue(priority=7)
    q("maintain", duties=["admit"])
    assert q.places() == {"ready": 5, "changed_priority": 1}
    assert q.sql("select queue, priority from pgqueue.ready order by 1, 2") == [
        ("default", 0),
        ("default", 5),
        ("default", 7),
        ("other", 5),
        ("other", 5),
    ]


def test_a_retried_job_has_waited_since_it_was_retried(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"ageing": "10 minutes"})
    q.clock("2030-01-01 12:00+00")
    first = q.enqueue()
    worker = q.worker()
    taken = q.claim(worker)
    q.clock("2030-01-01 12:30+00")
    q.enqueue(priority=9)
    q.settle(taken, "release")
    q.clock("2030-01-01 12:35+00")
    q.enqueue(priority=9)
    q("maintain", duties=["admit"])
    assert q.one("job", id=first)["priority"] == 0
    q.clock("2030-01-01 12:46+00")
    q("maintain", duties=["admit"])
    assert q.one("job", id=first)["priority"] == 9


def test_many_in_bounded_steps_with_groups_and_locks(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"ageing": 60, "group_limit": 1})
    q.clock("2030-01-01 12:00+00")
    q("enqueue_each", kind="noop", args=[{}] * 1500)
    grouped = [q.enqueue(group_key="g"), q.enqueue(group_key="g")]
    q("maintain", duties=["admit"])
    q.clock("2030-01-01 12:10+00")
    q.enqueue(priority=3)
    for moved in (1000, 500, 0):
        assert q.one("maintain", duties=["admit"])["done"] == moved
    worker = q.worker()
    taken = [job for n in (1000, 1000) for job in q.claim(worker, n)]
    assert len(taken) == 1502 and grouped[0] in [job["id"] for job in taken]
    q.settle(taken)
    assert [job["id"] for job in q.claim(worker)] == [grouped[1]]
