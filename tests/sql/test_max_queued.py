"""max_queued: a full queue refuses, and what is refused leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller
from tests.sql.support import refused

Session = Callable[[], Caller]


def full(q: Caller, function: str, **arguments: Any) -> bool:
    """Whether the call is refused for want of room; it has left nothing then."""
    before = q.places()
    try:
        q(function, **arguments)
    except psycopg.Error as error:
        told = error
    else:
        return False
    assert told.sqlstate == "PQ008"
    assert "queue default is full" in str(told)
    assert "max_queued" in str(told.diag.message_hint)
    assert q.places() == before
    return True


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("enqueue", {}),
    ("enqueue", {"priority": 5}),
    ("enqueue", {"group_key": "g"}),
    ("enqueue", {"unique_key": "new"}),
    ("enqueue", {"unique_key": "new", "unique_for": "1 hour"}),
    ("enqueue", {"timeout": "1 minute"}),
    ("enqueue_each", {"args": [{"n": 1}]}),
    ("enqueue_each", {"args": [{"n": 1}], "timeout": "1 minute"}),
    ("enqueue_each", {"args": [{"n": 1}], "group_keys": ["g"]}),
    ("enqueue_many", {"jobs": Jsonb([{"kind": "noop"}])}),
]


@pytest.mark.parametrize(("function", "arguments"), WAYS)
@pytest.mark.parametrize("most", [0, 3])
def test_a_full_queue_refuses(q: Caller, function: str, arguments: dict[str, Any], most: int) -> None:
    kind = {} if function == "enqueue_many" else {"kind": "noop"}
    q("configure_queue", queue="default", settings={"max_queued": most})
    for _ in range(most):
        q.enqueue()
    assert full(q, function, **kind, **arguments)
    q("configure_queue", queue="default", settings={"max_queued": most + 1})
    assert not full(q, function, **kind, **arguments)
    q.settle(q.claim(q.worker()))
    q("configure_queue", queue="default", settings={"max_queued": None})
    for _ in range(5):
        q.enqueue()


def test_all_or_nothing(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_queued": 3})
    q.enqueue()
    assert full(q, "enqueue_each", kind="noop", args=[{"n": n} for n in range(3)])
    assert full(q, "enqueue_many", jobs=Jsonb([{"kind": "a", "queue": "other"}, *[{"kind": "noop"}] * 3]))
    assert not full(q, "enqueue_many", jobs=Jsonb([*[{"kind": "a", "queue": "other"}] * 9, *[{"kind": "noop"}] * 2]))


def test_what_waits_for_a_time_runs_or_joins_is_not_counted(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_queued": 1})
    q.enqueue(delay="1 hour")
    q.enqueue(unique_key="k")
    q.enqueue(delay="1 hour")
    q("enqueue_many", jobs=Jsonb([{"kind": "noop", "delay": 60}]))
    assert not q.one("enqueue", kind="noop", unique_key="k")["created"]
    assert not q("enqueue_many", jobs=Jsonb([{"kind": "noop", "unique_key": "k"}]))[0]["created"]
    assert full(q, "enqueue", kind="noop")
    assert len(q.claim(q.worker())) == 1
    q.enqueue()
    assert full(q, "enqueue", kind="noop")
    q.sql("update pgqueue.scheduled set run_at = '2020-01-01'")
    q("maintain", duties=["promote"])  # is not refused
    assert q("queues")[0]["queued"] == 4


def test_what_waits_for_others_is_not_counted_and_what_need_not_wait_is(q: Caller) -> None:
    ended, live = q.enqueue(queue="p"), q.enqueue(queue="p")
    q.settle(q.claim(q.worker("p"), 1, ["p"]))
    q("configure_queue", queue="a", settings={"max_queued": 1})
    for _ in range(3):
        q.enqueue(queue="a", depends_on=[live])
    first = q.enqueue(queue="a", depends_on=[ended])
    with refused(q, "PQ008"):
        q.enqueue(queue="a", depends_on=[ended])
    with refused(q, "PQ008"):
        q("enqueue_many", jobs=Jsonb([{"kind": "k", "queue": "a", "depends_on": [ended]}]))
    with refused(q, "PQ008"):
        q("enqueue_each", kind="k", args=[{}], queue="a", depends_on=[ended])
    # A graph whose head has no room is refused whole; one that waits is not.
    graph = [{"kind": "k", "queue": "a", "ref": "x"}, {"kind": "k", "queue": "b", "depends_on": ["x"]}]
    with refused(q, "PQ008"):
        q("enqueue_many", jobs=Jsonb(graph))
    q("enqueue_many", jobs=Jsonb([{**graph[0], "queue": "b"}, {**graph[1], "queue": "a"}]))
    q("cancel", id=first)
    failed = q.enqueue(queue="p")
    q("cancel", id=failed)
    q.enqueue(queue="a")
    # It is cancelled at once, and takes no room.
    assert q.state(q.enqueue(queue="a", depends_on=[failed])) == "cancelled"


def test_blocked_and_crashed_jobs_count(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_queued": 3, "group_limit": 1})
    for _ in range(3):
        q.enqueue(group_key="g")
    q.claim(q.worker(), 1)
    q.enqueue()
    assert full(q, "enqueue", kind="noop")
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    assert q.places()["suspect"] == 1
    q("configure_queue", queue="default", settings={"max_queued": 4})
    assert full(q, "enqueue", kind="noop")


def test_open_transactions_wait_for_nobody_and_count_their_own(q: Caller, session: Session) -> None:
    q("configure_queue", queue="default", settings={"max_queued": 2})
    one, two = session(), session()
    one.connection.autocommit = two.connection.autocommit = False
    for caller in (one, two):
        caller.sql("set local lock_timeout = '1ms'")
        caller.enqueue()
        caller.enqueue()
    with pytest.raises(psycopg.Error, match="full"):
        two.enqueue()
    two.connection.rollback()
    one.connection.commit()
    assert full(q, "enqueue", kind="noop")
    assert q("queues")[0]["queued"] == 2


def test_what_is_claimed_meanwhile_is_room(q: Caller, session: Session) -> None:
    """The session that enqueues remembers where the waiting begin; that never makes it count too few for long."""
    q("configure_queue", queue="default", settings={"max_queued": 20})
    worker, other = q.worker(), session()
    for _ in range(10):
        while not full(other, "enqueue", kind="noop"):
            pass
        assert q("queues")[0]["queued"] == 20
        q.settle(q.claim(worker, 7))
    assert q("queues")[0]["queued"] == 13


def test_a_schedule_shows_that_its_queue_is_full(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"max_queued": 0})
    q("schedule", name="s", cron="every 10 minutes", kind="noop")
    just = "pgqueue._now() - interval '1 second'"
    q.sql(f"update pgqueue.schedule set due_at = x.t, next_run = x.t from (select {just}) x(t)")
    q("maintain", duties=["schedules"])
    assert "PQ008" in q("schedules")[0]["last_error"]
