"""Rates of queues and groups: never more starts in any window, and nobody forgotten when there is room again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.sql.calls import Caller, Row, blocked, wait_until
from tests.support.seeds import seeds

Session = Callable[[], Caller]
NOON = datetime.fromisoformat("2030-01-01 12:00:00+00")


def at(q: Caller, seconds: float) -> None:
    q.clock(str(NOON + timedelta(seconds=seconds)))


def most_in_a_window(starts: list[datetime], seconds: float) -> int:
    """Of any window of that length, wherever it begins."""
    starts = sorted(starts)
    return max(sum(a <= b < a + timedelta(seconds=seconds) for b in starts) for a in starts)


def test_a_window_slides(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"rate_limit": 3, "rate_period": 10})
    at(q, 0)
    for _ in range(10):
        q.enqueue()
    worker = q.worker()
    taken = []
    for second in (0, 1, 5, 9.999, 10, 10.5, 15, 20, 25):
        at(q, second)
        taken.append(len(q.claim(worker, 1 if second < 10 else 100)))
    assert taken == [1, 1, 1, 0, 1, 0, 2, 1, 2]
    assert [row for (row,) in q.sql("select sum(jobs) from pgqueue.rate_start")] == [9]


def test_a_rate_leaves_other_queues_alone_and_can_be_changed(q: Caller) -> None:
    at(q, 0)
    q("configure_queue", queue="a", settings={"rate_limit": 1, "rate_period": "1 hour"})
    for queue in ("a", "a", "a", "b", "b"):
        q.enqueue(queue=queue)
    worker = q.worker("a", "b")
    claims = [[job["queue"] for job in q.claim(worker, 100, ["a", "b"])] for _ in range(2)]
    assert claims == [["a", "b", "b"], []]
    q("configure_queue", queue="a", settings={"rate_limit": 2})
    assert len(q.claim(worker, 100, ["a", "b"])) == 1
    q("configure_queue", queue="a", settings={"rate_limit": None})
    assert len(q.claim(worker, 100, ["a", "b"])) == 1
    assert q("queues")[0]["settings"]["rate_period"] == "01:00:00"


def test_what_expired_unstarted_is_no_start(q: Caller) -> None:
    at(q, 0)
    q("configure_queue", queue="default", settings={"rate_limit": 2, "rate_period": 60})
    late = [q.enqueue(expires_in="1 second") for _ in range(2)]
    kept = [q.enqueue(), q.enqueue()]
    at(q, 5)
    worker = q.worker()
    taken = [job["id"] for _ in range(3) for job in q.claim(worker)]
    assert (taken, q.states(late)) == (kept, ["failed", "failed"])


def test_why_and_next_due_name_the_time_of_room(q: Caller) -> None:
    at(q, 0)
    q("configure_queue", queue="default", settings={"rate_limit": 1, "rate_period": 10})
    q.enqueue()
    waits = q.enqueue()
    worker = q.worker()
    assert q.value("next_due") is None
    q.claim(worker)
    at(q, 2)
    assert q.value("next_due") == NOON + timedelta(seconds=10)
    assert "1 jobs in 00:00:10" in q.value("why", id=waits)
    assert "12:00:10" in q.value("why", id=waits)
    at(q, 10)
    assert q.value("next_due") is None


@pytest.mark.parametrize("group", [None, "g"])
def test_who_sleeps_is_woken_when_there_is_room(q: Caller, session: Session, group: str | None) -> None:
    settings = {"group_rate_limit": 1, "group_rate_period": 10} if group else {"rate_limit": 1, "rate_period": 10}
    q("configure_queue", queue="default", settings=settings)
    at(q, 0)
    q.enqueue(group_key=group), q.enqueue(group_key=group)
    worker = q.worker()
    assert len(q.claim(worker)) == 1
    sleeper = session()
    sleeper.sql("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["default"])
    at(q, 9)
    q("maintain", duties=["promote"])
    assert list(sleeper.connection.notifies(timeout=0, stop_after=1)) == []
    assert q.value("next_due") == NOON + timedelta(seconds=10)
    at(q, 10)
    q("maintain", duties=["promote"])
    assert [n.payload for n in sleeper.connection.notifies(timeout=20, stop_after=1)] == ["default"]
    assert len(q.claim(worker)) == 1


@pytest.mark.parametrize("crashed", [False, True])
def test_a_claim_held_open_counts(q: Caller, session: Session, crashed: bool) -> None:
    q("configure_queue", queue="default", settings={"rate_limit": 3, "rate_period": "1 hour"})
    for _ in range(10):
        q.enqueue()
    if crashed:
        q("configure_queue", queue="default", settings={"rate_limit": None})
        q.claim(q.worker(), 4)
        q("configure_queue", queue="default", settings={"rate_limit": 3})
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
    worker, other = q.worker(), q.worker()
    holder, waiting = session(), session()
    with holder.connection.transaction():
        held = [job for _ in range(2) for job in holder.claim(worker, 1)]
        assert len(held) == 2
        taken: list[Row] = []
        thread = threading.Thread(target=lambda: taken.extend(waiting.claim(other, 10)))
        thread.start()
        wait_until(lambda: blocked(q, waiting.connection.info.backend_pid), "the second claim waits for the limiter")
    thread.join()
    assert len(taken) == 1
    assert q.claim(worker) == q.claim(other) == []


def test_starts_that_no_window_reaches_are_removed(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"rate_limit": 5, "rate_period": 10})
    q("configure_queue", queue="default", settings={"group_rate_limit": 5, "group_rate_period": 10})
    worker = q.worker()
    for second in range(0, 40, 4):
        at(q, second)
        q.enqueue(group_key="g")
        assert len(q.claim(worker)) == 1
    q("maintain", duties=["tidy"])
    left = [q.sql(f"select count(*) from pgqueue.{table}")[0][0] for table in ("rate_start", "group_start")]
    assert left == [3, 3]
    # A longer period is believed of what is still there.
    q("configure_queue", queue="default", settings={"rate_period": 100, "group_rate_period": 100})
    at(q, 90)
    q("maintain", duties=["tidy"])
    assert [q.sql(f"select count(*) from pgqueue.{table}")[0][0] for table in ("rate_start", "group_start")] == [3, 3]
    at(q, 200)
    q("maintain", duties=["tidy"])
    assert [q.sql(f"select count(*) from pgqueue.{table}")[0][0] for table in ("rate_start", "group_start")] == [0, 0]
    for _ in range(7):
        q.enqueue()
    assert len(q.claim(worker)) == 5


def test_groups_have_rates_of_their_own(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_rate_limit": 2, "group_rate_period": 10})
    at(q, 0)
    for n in range(12):
        q.enqueue(group_key="abc"[n % 3])
    plain = q.enqueue()
    worker = q.worker()
    first = q.claim(worker)
    assert sorted(job["group_key"] or "" for job in first) == ["", "a", "a", "b", "b", "c", "c"]
    assert plain in [job["id"] for job in first]
    q.settle(first)
    assert q.claim(worker) == []
    q("configure_group", queue="default", group_key="b", settings={"rate_limit": 3})
    assert [job["group_key"] for job in q.claim(worker)] == ["b"]
    (held,) = [job["id"] for job in q("jobs", state="held", max=1)]
    assert "starts at most 2 jobs in 00:00:10" in q.value("why", id=held)
    at(q, 10)
    q("maintain", duties=["promote"])
    assert sorted(job["group_key"] for job in q.claim(worker)) == ["a", "a", "b", "c", "c"]


@pytest.mark.parametrize("way", ["release", "retry", "snooze", "crash", "cancelled"])
@pytest.mark.parametrize("order", ["free", "strict"])
def test_each_start_of_a_job_counts_for_its_group(q: Caller, way: str, order: str) -> None:
    q("configure_queue", queue="default", settings={"group_rate_limit": 1, "group_rate_period": 10})
    q("configure_queue", queue="default", settings={"group_order": order})
    at(q, 0)
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    taken = q.claim(worker)
    assert [job["id"] for job in taken] == [first]
    if way == "crash":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
        worker = q.worker()
    else:
        q.settle(taken, way, **({"delay": 1} if way in ("retry", "snooze") else {}))
    claims = []
    for second_ in (2, 9, 11, 15, 22, 33, 44):
        at(q, second_)
        q.sql("update pgqueue.worker set heartbeat_at = pgqueue._now()")
        q("maintain", duties=["promote"])
        # A job that was in a crash is admitted by one claim and given out, alone, by the next.
        again = q.claim(worker) or q.claim(worker)
        q.settle(again)
        claims.append([job["id"] for job in again])
    if way == "cancelled":
        assert claims == [[], [], [second], [], [], [], []]
    elif order == "strict":
        assert claims == [[], [], [first], [], [second], [], []]
    else:
        assert sorted(claims[2] + claims[4]) == [first, second]
        assert claims[:2] == [[], []]
    assert q.places() == {}


def test_two_sessions_that_hold_claims_open_stay_below_a_groups_rate(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_rate_limit": 3, "group_rate_period": "1 hour"})
    for _ in range(10):
        q.enqueue(group_key="g")
    one, two = session(), session()
    workers = q.worker(), q.worker()
    one.connection.autocommit = two.connection.autocommit = False
    held = one.claim(workers[0], 2), two.claim(workers[1], 10)
    assert [len(jobs) for jobs in held] == [2, 0]  # the lock of the group is only tried
    one.connection.commit(), two.connection.commit()
    held = two.claim(workers[1], 10), one.claim(workers[0], 10)
    one.connection.commit(), two.connection.commit()
    assert sum(len(jobs) for jobs in held) == 1
    assert q.claim(workers[0]) == []


@pytest.mark.parametrize("seed", seeds([1, 2]))
def test_no_window_holds_more_whatever_the_claims(q: Caller, session: Session, seed: int) -> None:
    """Real time, four sessions, short periods."""
    q("configure_queue", queue="default", settings={"rate_limit": 20, "rate_period": 0.2})
    q("configure_queue", queue="default", settings={"group_rate_limit": 5, "group_rate_period": 0.3})
    q("enqueue_each", kind="noop", args=[{}] * 250, group_keys=[["a", "b", "c", "d", None][n % 5] for n in range(250)])
    taken: list[int] = []

    def work(caller: Caller, seed: int) -> None:
        pick = random.Random(seed)
        worker = caller.worker()
        while len(taken) < 250:
            jobs = caller.claim(worker, pick.randrange(1, 12))
            taken.extend(job["id"] for job in jobs)
            caller.settle(jobs)
            if not jobs:
                caller("maintain", duties=["promote"])

    threads = [threading.Thread(target=work, args=[session(), 10 * seed + n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(set(taken)) == sorted(taken) and len(taken) == 250
    rows = q.sql("select j.group_key, o.claimed_at from pgqueue.outcome o join pgqueue.job j on j.id = o.job_id")
    assert most_in_a_window([when for _, when in rows], 0.2) <= 20
    for key in "abcd":
        assert most_in_a_window([when for group, when in rows if group == key], 0.3) <= 5


def test_clients_of_keyed_queues_count(q: Caller) -> None:
    q("keyed_add", queue="k", key="a", payload="1")
    (line,) = q.sql("select queue from pgqueue.job limit 1")[0]
    q("configure_queue", queue=line, settings={"rate_limit": 1, "rate_period": "1 hour"})
    q("keyed_add", queue="k", key="b", payload="1")
    assert q.one("keyed_claim", queue="k", key="a", concurrency=9)["refused"] is None
    assert q.one("keyed_claim", queue="k", key="b", concurrency=9)["refused"] == "budget"
