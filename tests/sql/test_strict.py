"""Strict order: a job that waits keeps its group's place. Blocked groups: so does one that has failed, until somebody
decides.
"""

from __future__ import annotations

import pytest

from tests.sql.calls import Caller, Row


def strict(q: Caller, **settings: object) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_order": "strict", **settings})


def promote(q: Caller) -> None:
    q.sql("update pgqueue.scheduled set run_at = '2020-01-01'")
    q("maintain", duties=["promote"])


@pytest.mark.parametrize("way", ["failed", "retry", "snooze", "release", "crash"])
@pytest.mark.parametrize("more", [{}, {"fair": True}, {"group_rate_limit": 10000, "group_rate_period": 1}])
def test_nothing_overtakes_a_job_that_is_to_run_again(q: Caller, way: str, more: dict[str, object]) -> None:
    strict(q, **more)
    first, second, third = (q.enqueue(group_key="g") for _ in range(3))
    worker = q.worker()
    taken = q.claim(worker)
    if way == "crash":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
        worker = q.worker()
    else:
        q.settle(taken, way, **({"delay": 60} if way in ("retry", "snooze") else {}))
    q("set_priority", id=third, priority=9)
    if way in ("failed", "retry", "snooze"):
        assert q.claim(worker) == []
        assert f"job {first}, which is to run again first" in q.value("why", id=second)
        promote(q)
    order = []
    for _ in range(6):
        again = q.claim(worker)
        q.settle(again)
        order += [job["id"] for job in again]
    assert order == [first, third, second]
    assert q.places() == {}


def test_a_job_that_waits_can_be_cancelled_and_moved(q: Caller) -> None:
    strict(q)
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), "retry", delay=60)
    q("set_priority", id=first, priority=3)
    q("reschedule", id=first, run_at="2100-01-01")
    assert q.claim(worker) == []
    q("reschedule", id=first, run_at="2020-01-01")
    taken = q.claim(worker)
    assert [job["id"] for job in taken] == [first]
    q.settle(taken, "retry", delay=60)
    q("cancel", id=first)
    assert [job["id"] for job in q.claim(worker)] == [second]


def test_no_longer_strict(q: Caller) -> None:
    strict(q)
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), "retry", delay=60)
    q("configure_queue", queue="default", settings={"group_order": "free"})
    taken = q.claim(worker)
    assert [job["id"] for job in taken] == [second]
    promote(q)
    assert q.claim(worker) == []  # the other runs
    q.settle(taken)
    assert [job["id"] for job in q.claim(worker)] == [first]


def fail(q: Caller, **settings: object) -> tuple[int, int, int, int]:
    """Worker, the job that has failed, and two that it blocks."""
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_failure": "block", "max_attempts": 1})
    q("configure_queue", queue="default", settings=settings)
    jobs = [q.enqueue(group_key="g") for _ in range(3)]
    worker = q.worker()
    q.settle(q.claim(worker), "failed", error={"type": "E"})
    assert q.state(jobs[0]) == "failed"
    assert q.claim(worker) == []
    return worker, *jobs


def ids(jobs: list[Row]) -> list[int]:
    return [job["id"] for job in jobs]


@pytest.mark.parametrize("settings", [{}, {"fair": True}, {"group_rate_limit": 9999}])
def test_a_failed_job_blocks_until_it_is_retried(q: Caller, settings: dict[str, object]) -> None:
    worker, failed, second, third = fail(q, **settings)
    assert f"job {failed}, which has failed and blocks group g" in q.value("why", id=second)
    (row,) = q("groups", queue="default")
    assert (row["blocked_by"], row["waiting"], row["running"]) == (failed, 2, 0)
    q("retry", id=failed)
    taken = q.claim(worker)
    assert ids(taken) == [failed]
    assert q("groups", queue="default")[0]["blocked_by"] is None
    q.settle(taken, "failed", error={"type": "E"})
    assert q.claim(worker) == []
    q("retry", id=failed)
    q.settle(q.claim(worker))
    for job in (second, third):
        taken = q.claim(worker)
        assert ids(taken) == [job]
        q.settle(taken)
    assert q.places() == {}


def test_a_blocked_group_is_let_go(q: Caller) -> None:
    worker, failed, second, third = fail(q)
    assert q.value("unblock_group", queue="default", group_key="other") is False
    assert q.value("unblock_group", queue="default", group_key="g") is True
    assert q.value("unblock_group", queue="default", group_key="g") is False
    taken = q.claim(worker)
    assert ids(taken) == [second]
    q("retry", id=failed)  # stands in line like any other
    q.settle(taken)
    taken = q.claim(worker)
    q.settle(taken)
    assert ids(taken + q.claim(worker)) == [third, failed]


def test_a_setting_lets_all_of_them_go(q: Caller) -> None:
    worker, _, second, _ = fail(q)
    q("configure_queue", queue="default", settings={"group_failure": None})
    assert ids(q.claim(worker)) == [second]


@pytest.mark.parametrize("history", ["none", "purged"])
def test_a_failed_job_that_is_forgotten_leaves_a_way_out(q: Caller, history: str) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_failure": "block", "max_attempts": 1})
    if history == "none":
        q("configure_queue", queue="default", settings={"history": "none"})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), "failed")
    if history == "purged":
        assert {row["item"]: row["ok"] for row in q("health")}["blocked groups"] is True
        q.sql("delete from pgqueue.outcome where job_id = %s", first)
        q.sql("delete from pgqueue.job where id = %s", first)
    assert q.claim(worker) == []
    assert {row["item"]: row["ok"] for row in q("health")}["blocked groups"] is False
    assert q("groups", queue="default")[0]["blocked_by"] == first
    assert f"job {first}, which has failed" in q.value("why", id=second)
    assert q.value("unblock_group", queue="default", group_key="g") is True
    assert ids(q.claim(worker)) == [second]
    assert {row["item"]: row["ok"] for row in q("health")}["blocked groups"] is True


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
def test_only_failures_block(q: Caller, end: str) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_failure": "block", "max_attempts": 1})
    q.enqueue(group_key="g")
    second = q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), end)
    assert ids(q.claim(worker)) == [second]


def test_a_retried_suspect_waits_for_its_group(q: Caller) -> None:
    """A job that was in a crash and is tried again later comes back through its group, not past it."""
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    q.claim(q.worker())
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    worker = q.worker()
    taken = q.claim(worker)
    assert ids(taken) == [first]
    q.settle(taken, "retry", delay=60)
    taken = q.claim(worker)
    assert ids(taken) == [second]
    promote(q)
    assert q.claim(worker) == []
    q.settle(taken)
    assert ids(q.claim(worker) + q.claim(worker)) == [first]
