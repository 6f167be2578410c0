"""Who cancels and moves scripts and queries beside others who do: all lock in one order, so none of them deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import pid
from tests.sql.test_sql_flow import submit

Session = Callable[[], Caller]


@pytest.mark.parametrize("place", ["arrival", "line", "running"])
def test_who_cancels_a_script_by_its_job_locks_it_first(q: Caller, session: Session, place: str) -> None:
    """As cancel_script and a move do: whoever has the script wants its place, or its row in cancel_request, next."""
    script = submit(q, "script")
    if place == "line":  # the owner's other one has the turn
        q.claim(q.worker("scripts"), 1, ["scripts"])
        script = submit(q, "script")
        q.claim(q.worker("scripts"), 1, ["scripts"])
    elif place == "running":
        q.claim(q.worker("scripts"), 1, ["scripts"])
    other, user = session(), session()
    waits = threading.Thread(target=lambda: user("cancel", id=script))
    with other.connection.transaction():
        other.sql("select from pgqueue.script where job_id = %s for update", script)
        waits.start()
        wait_until(lambda: blocked(q, pid(user)), "the other session to wait")
        other.sql("set local lock_timeout = '100ms'")
        if place == "running":
            other.sql("insert into pgqueue.cancel_request (job_id, requested_at) values (%s, now())", script)
            other.sql("delete from pgqueue.cancel_request where job_id = %s", script)
        else:
            found = other.sql(f"select job_id from pgqueue.{place} where job_id = %s for update", script)
            assert found == [(script,)]
    waits.join(20)
    assert q.value("script_report", id=script)["status"] == "cancelled"


def test_who_cancels_a_query_takes_its_key_last(q: Caller, session: Session) -> None:
    """As a cancel by its job does, which has its row in cancel_request when it wants the key."""
    query = submit(q, "query")
    q.claim(q.worker("queries"), 1, ["queries"])
    other, user = session(), session()
    waits = threading.Thread(target=lambda: user("cancel_query", id=query))
    with other.connection.transaction(force_rollback=True):
        other.sql("insert into pgqueue.cancel_request (job_id, requested_at) values (%s, now())", query)
        waits.start()
        wait_until(lambda: blocked(q, pid(user)), "the other session to wait")
        assert other.sql("select job_id from pgqueue.job_key where job_id = %s for update nowait", query) == [(query,)]
    waits.join(20)
    assert q.sql("select from pgqueue.job_key") == []
    assert q.sql("select job_id from pgqueue.cancel_request") == [(query,)]


def test_nobody_joins_a_query_that_ended_beside_a_cancel_that_is_rolled_back(q: Caller, session: Session) -> None:
    query = submit(q, "query")
    (job,) = q.claim(q.worker("queries"), 1, ["queries"])
    user = session()
    with user.connection.transaction(force_rollback=True):
        user("cancel_query", id=query)
        q.settle([job], "discard", error={"message": "no session could be had"})
    again = q.one("submit_query", sql="select 1", owner="ada")
    assert again["created"]
    assert again["id"] > query
    assert q.sql("select job_id from pgqueue.job_key") == [(again["id"],)]
    assert q.sql("select * from pgqueue.left_key") == []
    assert submit(q, "query") == again["id"]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("room", ["query", "script"])
def test_a_cancel_in_an_open_transaction_does_not_hold_up_the_rescue_of_others(
    q: Caller, session: Session, room: str, commits: bool
) -> None:
    """The worker of both is lost meanwhile. What is cancelled waits for the cancel, and for the next pass."""
    queue = "queries" if room == "query" else "scripts"
    job, other = submit(q, room), q.enqueue()
    worker = q.worker(queue, "default")
    (taken,) = q.claim(worker, 1, [queue])
    q.claim(worker, 1)
    q(f"{room}_begin", lease=taken["lease"], job=job, backend_pid=1, backend_start="2026-01-01")
    user = session()
    with user.connection.transaction(force_rollback=not commits):
        user(f"cancel_{room}", id=job)
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        assert [row["error"] for row in q("maintain", duties=["rescue"])] == [None]
        assert (q.state(other), q.state(job)) == ("queued", "running")
        assert [row["error"] for row in q("maintain", duties=["rescue"])] == [None]
    assert [row["error"] for row in q("maintain", duties=["rescue"])] == [None]
    assert q.state(job) == ("cancelled" if commits else "queued")
    assert q.sql("select * from pgqueue.lease") == []
