"""Notifications: only when somebody sleeps or waits, never more; and correct without any."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.sql.calls import Caller, wait_until

Session = Callable[[], Caller]


def heard(listener: Caller) -> list[tuple[str, str]]:
    """What was sent to this session before now: notifications come in order of commit, its own last."""
    listener.sql("listen fence")
    listener.sql("notify fence")
    notes: list[tuple[str, str]] = []
    for note in listener.connection.notifies(timeout=20):
        if note.channel == "fence":
            return notes
        notes.append((note.channel, note.payload))
    raise AssertionError("the session's own notification did not come back")


def listening(session: Session, *channels: str) -> Caller:
    listener = session()
    for channel in channels:
        listener.sql(f"listen {channel}")
    return listener


def test_enqueue_is_silent_while_nobody_sleeps(q: Caller, session: Session) -> None:
    listener = listening(session, "pgqueue_wake")
    q.enqueue()
    q("enqueue_each", kind="noop", args=[{}, {}])
    assert heard(listener) == []


def test_enqueue_wakes_who_sleeps_on_its_queue(q: Caller, session: Session) -> None:
    listener = listening(session, "pgqueue_wake")
    listener("worker_sleep", queues=["default", "mail"])
    q.enqueue(queue="mail")
    q.enqueue(queue="other")
    q.enqueue(queue="mail", delay="1 hour")
    assert heard(listener) == [("pgqueue_wake", "mail")]
    listener("worker_wake")
    q.enqueue(queue="mail")
    assert heard(listener) == []


def test_sleeping_twice_needs_waking_once(q: Caller, session: Session) -> None:
    sleeper, listener = session(), listening(session, "pgqueue_wake")
    for _ in range(3):
        sleeper("worker_sleep", queues=["default", "a"])
    sleeper("worker_wake")
    q.enqueue()
    assert heard(listener) == []
    assert q.sql("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]


def test_whatever_makes_a_job_ready_wakes(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    worker = q.worker()
    (taken,) = q.claim(worker)
    listener = listening(session, "pgqueue_wake")
    listener("worker_sleep", queues=["default"])
    q.settle([taken], "release")
    assert heard(listener) == [("pgqueue_wake", "default")]
    q("cancel", id=first)  # frees the group's slot
    assert heard(listener) == [("pgqueue_wake", "default")]
    q("cancel", id=second)
    q("retry", id=second)
    assert heard(listener) == [("pgqueue_wake", "default")]
    q("resume_queue", queue="default")
    assert heard(listener) == []
    q("pause_queue", queue="default")
    q("resume_queue", queue="default")
    assert heard(listener) == [("pgqueue_wake", "default")]


def test_a_rolled_back_enqueue_wakes_nobody(q: Caller, session: Session) -> None:
    listener = listening(session, "pgqueue_wake")
    listener("worker_sleep", queues=["default"])
    with q.connection.transaction(force_rollback=True):
        q.enqueue()
    assert heard(listener) == []


def test_settle_tells_only_who_waits(q: Caller, session: Session) -> None:
    watched, other = q.enqueue(), q.enqueue()
    listener = listening(session, "pgqueue_done")
    assert listener("watch", jobs=[watched]) == [{"job_id": watched, "state": "queued"}]
    q.settle(q.claim(q.worker()))
    assert heard(listener) == [("pgqueue_done", str(watched))]
    listener("unwatch")
    third = q.enqueue()
    q.sql("insert into pgqueue.waiter values (%s, now() + interval '1 hour')", third)
    q.settle(q.claim(q.worker()))
    assert heard(listener) == []  # nobody listens any more
    assert q.state(other) == "succeeded"


def test_cancel_and_expiry_tell_who_waits(q: Caller, session: Session) -> None:
    cancelled, expired = q.enqueue(), q.enqueue(expires_in="1 millisecond")
    listener = listening(session, "pgqueue_done")
    listener("watch", jobs=[cancelled, expired])
    q("cancel", id=cancelled)
    q.clock("2100-01-01")
    q("maintain", duties=["expire"])
    assert heard(listener) == [("pgqueue_done", str(cancelled)), ("pgqueue_done", str(expired))]


def test_cancel_of_a_running_job_tells_its_worker(q: Caller, session: Session) -> None:
    job, worker = q.enqueue(), q.worker()
    q.claim(worker)
    listener = listening(session, "pgqueue_worker")
    q("cancel", id=job)
    assert heard(listener) == [("pgqueue_worker", str(worker))]


def test_one_leader_at_a_time(q: Caller, session: Session) -> None:
    first, second = session(), session()
    assert first.value("try_lead") is True
    assert first.value("try_lead") is True
    assert second.value("try_lead") is False
    assert second.value("stop_leading") is False
    assert first.value("stop_leading") is True
    assert second.value("try_lead") is True
    second.connection.close()
    wait_until(lambda: first.value("try_lead"), "the lock of the closed session is gone")


def test_enqueuers_side_by_side_send_nothing(q: Caller, session: Session) -> None:
    """Probes of the sleepers' lock meet, and take each other for what they are."""
    listener = listening(session, "pgqueue_wake")

    def enqueue(caller: Caller) -> None:
        for _ in range(300):
            caller.enqueue()

    threads = [threading.Thread(target=enqueue, args=[session()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard(listener) == []
    assert q.sql("select count(*) from pgqueue.ready") == [(1200,)]
