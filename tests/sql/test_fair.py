"""Fair turns: groups alternate by their weights, however long their backlogs are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, Row

Session = Callable[[], Caller]


def fill(q: Caller, **backlogs: int) -> None:
    for key, n in backlogs.items():
        q("enqueue_each", kind="noop", args=[{}] * n, group_keys=[key] * n)


def keys(jobs: list[Row]) -> str:
    return "".join(job["group_key"] or "-" for job in jobs)


@pytest.mark.parametrize("n", [1, 2, 100])
def test_groups_alternate(q: Caller, n: int) -> None:
    q("configure_queue", queue="default", settings={"fair": True})
    fill(q, a=30, b=3, c=3)
    worker = q.worker()
    order: list[Row] = []
    while taken := q.claim(worker, n):
        q.settle(taken)
        order += taken
    text = keys(order)
    assert sorted(text) == sorted("a" * 30 + "bbbccc")
    assert min(text[:10].count(key) for key in "abc") == 3
    for key in "abc":
        ids = [job["id"] for job in order if job["group_key"] == key]
        assert ids == sorted(ids)
    assert q.places() == {}


def test_who_comes_late_waits_for_one_turn_only(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"fair": True})
    fill(q, a=2000)
    worker = q.worker()
    q.settle(q.claim(worker, 1))
    fill(q, b=3)
    assert "b" in keys([job for _ in range(3) for job in q.claim(worker, 1)])
    for _ in range(2):
        assert "b" in keys(q.claim(worker, 1) + q.claim(worker, 1))


def test_weights(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"fair": True})
    changed = q.value("configure_group", queue="default", group_key="a", settings={"weight": 3})
    assert changed == {"weight": 3}
    fill(q, a=40, b=40)
    taken = q.claim(q.worker(), 40)
    assert (keys(taken).count("a"), keys(taken).count("b")) == (30, 10)
    q.settle(taken)
    assert q.value("configure_group", queue="default", group_key="a", settings={"weight": None}) == {}
    worker = q.worker()
    q.settle(q.claim(worker, 4))  # what had been admitted before
    later = keys(q.claim(worker, 10))
    assert (later.count("a"), later.count("b")) == (5, 5)


def test_with_a_limit(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"fair": True, "group_limit": 2})
    fill(q, a=10, b=10)
    worker = q.worker()
    first = q.claim(worker, 10)
    assert sorted(keys(first)) == ["a", "a", "b", "b"]
    assert q.claim(worker, 10) == []
    q.settle([job for job in first if job["group_key"] == "a"])
    second = q.claim(worker, 10)
    assert keys(second) == "aa"
    q("configure_group", queue="default", group_key="b", settings={"group_limit": 3})
    third = q.claim(worker, 10)
    assert keys(third) == "b"
    rows = {row["group_key"]: row for row in q("groups", queue="default")}
    assert {key: (row["waiting"], row["running"], row["settings"]) for key, row in rows.items()} == {
        "a": (6, 2, {}),
        "b": (7, 3, {"group_limit": 3}),
    }
    assert [row["group_key"] for row in q("groups", queue="default", max=1)] == ["a"]
    assert [row["group_key"] for row in q("groups", queue="default", after="a")] == ["b"]
    q.settle(second + third)


def test_jobs_without_a_group_and_other_queues_go_on(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"fair": True})
    fill(q, a=5)
    plain, other = [q.enqueue(), q.enqueue()], q.enqueue(queue="other")
    taken = [job["id"] for job in q.claim(q.worker("default", "other"), 100, ["default", "other"])]
    assert len(taken) == 8 and {*plain, other} <= set(taken)


@pytest.mark.parametrize("way", ["release", "snooze", "cancelled", "failed", "set_priority", "cancel", "crash"])
def test_a_turn_is_never_lost(q: Caller, way: str) -> None:
    """Whatever becomes of the job that has it."""
    q("configure_queue", queue="default", settings={"fair": True})
    fill(q, a=4)
    worker = q.worker()
    taken = q.claim(worker, 1)
    (ready,) = [job for (job,) in q.sql("select job_id from pgqueue.ready")]
    if way == "set_priority":
        q("set_priority", id=ready, priority=7)
    elif way == "cancel":
        q("cancel", id=ready)
    elif way == "crash":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
        worker = q.worker()
    else:
        q.settle(taken, way, **({"delay": 0} if way == "snooze" else {}))
    done = []
    for _ in range(8):
        q.sql("update pgqueue.scheduled set run_at = '2020-01-01'")
        q("maintain", duties=["promote"])
        again = q.claim(worker)
        q.settle(again)
        done += [job["id"] for job in again]
    if way in ("set_priority", "cancel"):
        q.settle(taken)
    assert len(done) == len(set(done)) == {"cancelled": 3, "set_priority": 3, "cancel": 2}.get(way, 4)
    assert q.places() == {}


def test_turned_on_and_off_while_it_runs(q: Caller) -> None:
    fill(q, a=20, b=20)
    worker = q.worker()
    running = q.claim(worker, 4)
    total = len(running)
    on = {"fair": True}
    for settings in (on, {"group_limit": 2}, {"fair": None}, {**on, "group_limit": None}, {"fair": False}):
        q("configure_queue", queue="default", settings=settings)
        more = q.claim(worker, 5)
        q.settle(running)
        running = more
        total += len(more)
    while running:
        q.settle(running)
        running = q.claim(worker, 5)
        total += len(running)
    assert total == 40
    assert q.places() == {}


def test_many_sessions(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"fair": True, "group_limit": 3})
    fill(q, a=200, b=50, c=50)
    done: list[str] = []
    over: list[str] = []
    running: list[str] = []
    lock = threading.Lock()

    def work(caller: Caller) -> None:
        worker = caller.worker()
        while len(done) < 300:
            taken = caller.claim(worker, 2)
            with lock:
                running.extend(job["group_key"] for job in taken)
                over.extend(key for key in "abc" if running.count(key) > 3)
                for job in taken:
                    running.remove(job["group_key"])
            caller.settle(taken)
            with lock:
                done.extend(job["group_key"] for job in taken)

    # Counted until just before the end of each is told, so never more than there are.
    threads = [threading.Thread(target=work, args=[session()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert over == []
    assert (done.count("a"), done.count("b"), done.count("c")) == (200, 50, 50)
    half = done[:120]
    assert min(half.count(key) for key in "abc") >= 25
    # Whoever found a group locked has left a request to look at it, and may have been the last to come.
    q("maintain", duties=["admit"])
    assert q.places() == {}
