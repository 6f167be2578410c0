"""Time: due jobs, queue timeouts, blocks ahead and away, retention. The clock is faked, never waited for."""

from __future__ import annotations

import pytest

from tests.sql.calls import Caller


@pytest.fixture
def q(q: Caller) -> Caller:
    q.clock("2030-01-01 00:00:00+00")
    return q


def maintain(q: Caller, *duties: str) -> dict[str, int]:
    rows = q("maintain", duties=list(duties) or None)
    assert [row for row in rows if row["error"]] == []
    return {row["duty"]: row["done"] for row in rows}


def test_due_jobs_are_promoted_in_order_of_their_times(q: Caller) -> None:
    late = q.enqueue(run_at="2030-01-01 00:00:20+00")
    soon = q.enqueue(delay="10 seconds", group_key="g")
    never = q.enqueue(run_at="2031-01-01", priority=5)
    past = q.enqueue(run_at="2029-01-01")
    assert q.states([late, soon, never, past]) == ["scheduled", "scheduled", "scheduled", "queued"]
    assert q.sql("select pgqueue.next_due() = '2030-01-01 00:00:10+00'") == [(True,)]
    assert maintain(q, "promote") == {"promote": 0}
    q.clock("2030-01-01 00:00:20+00")
    assert maintain(q, "promote") == {"promote": 2}
    assert {job["id"] for job in q.claim(q.worker())} == {past, soon, late}


def test_a_job_scheduled_behind_the_cursor_is_found(q: Caller) -> None:
    for second in range(10, 20):
        q.enqueue(run_at=f"2030-01-01 00:00:{second}+00")
    q.clock("2030-01-01 00:01:00+00")
    assert maintain(q, "promote") == {"promote": 10}
    # a transaction that began long ago and is committed only now
    q.sql(
        "insert into pgqueue.scheduled select '2030-01-01 00:00:01+00', nextval('pgqueue.job_id'), 0, 0, 0, 'default'"
    )
    q.sql("select set_config('pgqueue.cursor_' || n, '', false) from generate_series(0, 255) n")  # its expiry
    assert maintain(q, "promote") == {"promote": 1}


@pytest.mark.parametrize("by", ["claim", "upkeep"])
def test_a_job_that_does_not_start_in_time_fails(q: Caller, by: str) -> None:
    job = q.enqueue(expires_in="10 seconds")
    started = q.enqueue(expires_in="10 seconds", queue="other")
    worker = q.worker()
    (running,) = q.claim(worker, queues=["other"])
    q.clock("2030-01-01 00:00:11+00")
    if by == "claim":
        assert q.claim(worker) == []
    else:
        assert maintain(q, "expire") == {"expire": 1}
    assert q.one("result", id=job)["reason"] == "queue_timeout"
    maintain(q, "expire")
    assert q.state(started) == "running"
    q.settle([running])
    assert q.places() == {}
    assert q.sql("select count(*) from pgqueue.deadline") == [(0,)]


@pytest.mark.parametrize("outcome", ["failed", "retry", "snooze", "lost", "by hand"])
def test_a_job_that_has_run_once_does_not_expire(q: Caller, outcome: str) -> None:
    job = q.enqueue(expires_in="10 seconds", backoff={"base": 0})
    worker = q.worker()
    taken = q.claim(worker)
    if outcome == "lost":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        maintain(q, "rescue")
        worker = q.worker()
    elif outcome == "by hand":
        q.settle(taken, "cancelled")
        q("retry", id=job)
    else:
        q.settle(taken, outcome, **({} if outcome == "failed" else {"delay": 0}))
    q.clock("2030-01-01 00:00:11+00")
    assert maintain(q, "expire") == {"expire": 0}
    assert [row["id"] for row in q.claim(worker)] == [job]


def test_a_job_given_back_unstarted_still_expires(q: Caller) -> None:
    job = q.enqueue(expires_in="10 seconds")
    q.settle(q.claim(q.worker()), "release")
    q.clock("2030-01-01 00:00:11+00")
    assert maintain(q, "expire") == {"expire": 1}
    assert q.one("result", id=job)["reason"] == "queue_timeout"


def test_blocks_are_made_ahead(q: Caller) -> None:
    q("configure", settings={"block_size": 1000, "blocks_ahead": 3})
    before = {low for (low,) in q.sql("select low from pgqueue.block")}
    q.sql("select setval('pgqueue.job_id', %s)", max(before) + 999_999)
    made = maintain(q, "blocks")["blocks"]
    last = q.sql("select last_value from pgqueue.job_id")[0][0]
    ahead = q.sql("select count(*) from pgqueue.block where high > %s", last)[0][0]
    assert made >= 3
    assert ahead == 4
    assert maintain(q, "blocks") == {"blocks": 0}


def test_enqueue_works_without_a_block_and_strays_move_in_later(q: Caller) -> None:
    beyond = q.sql("select max(high) from pgqueue.block")[0][0]
    q.sql("select setval('pgqueue.job_id', %s)", beyond + 41)
    job = q.enqueue(max_attempts=1)
    q.settle(q.claim(q.worker()), "failed", error={"type": "E"})
    assert q.sql("select id from pgqueue.job_default") == [(job,)]
    assert maintain(q, "blocks")["blocks"] >= 1
    assert q.sql(
        "select (select count(*) from pgqueue.job_default), (select count(*) from pgqueue.outcome_default)"
    ) == [(0, 0)]
    assert q.one("result", id=job)["error"] == {"type": "E"}


def test_a_block_is_closed_by_age(q: Caller) -> None:
    old = q.enqueue()
    assert maintain(q, "blocks") == {"blocks": 0}
    q.clock("2030-01-02 00:00:01+00")
    assert maintain(q, "blocks")["blocks"] >= 1
    new = q.enqueue()
    assert (old, new) == (1, 1_000_000)


def close_block(q: Caller) -> None:
    """Moves the sequence to the next block, as age does."""
    q.sql(
        """
        select setval('pgqueue.job_id', (
          select min(high) from pgqueue.block where high > (select last_value from pgqueue.job_id)))"""
    )
    maintain(q, "blocks")


def test_a_block_past_retention_is_dropped_whole(q: Caller) -> None:
    jobs = [q.enqueue(max_attempts=1) for _ in range(20)]
    taken = q.claim(q.worker())
    q.settle(taken[:10])
    q.settle(taken[10:], "failed", error={"type": "E"})
    close_block(q)
    q.clock("2030-01-07 23:59:00+00")
    assert maintain(q, "retention") == {"retention": 0}
    assert q.state(jobs[0]) == "succeeded"
    q.clock("2030-01-08 00:30:00+00")
    assert maintain(q, "retention") == {"retention": 1}
    assert q.sql(
        "select to_regclass('pgqueue.job_0'), to_regclass('pgqueue.outcome_0'), to_regclass('pgqueue.attempt_error_0')"
    ) == [(None, None, None)]
    assert q.sql("select count(*) from pgqueue.job") == [(0,)]


def test_stragglers_keep_their_block_and_it_is_thinned(q: Caller) -> None:
    q("configure_queue", queue="kept", settings={"retention": "10 years"})
    gone = [q.enqueue() for _ in range(5)]
    kept, waiting = q.enqueue(queue="kept"), q.enqueue(run_at="2040-01-01")
    q.settle(q.claim(q.worker("default", "kept"), queues=["default", "kept"]))
    close_block(q)
    q.clock("2030-02-01 00:00:00+00")
    assert maintain(q, "retention") == {"retention": 5}
    assert [job["id"] for job in q("jobs")] == [waiting, kept]
    assert q.sql("select count(*) from pgqueue.outcome where job_id = any(%s)", gone) == [(0,)]


def test_a_users_open_transaction_puts_the_drop_off_and_nothing_waits(q: Caller, session: object) -> None:
    q.enqueue()
    q.settle(q.claim(q.worker()))
    close_block(q)
    q.clock("2030-02-01 00:00:00+00")
    other = session()  # type: ignore[operator]
    with other.connection.transaction():
        other.enqueue()
        assert maintain(q, "retention") == {"retention": 0}
    q.clock("2030-02-01 00:01:00+00")
    assert maintain(q, "retention") == {"retention": 1}


def test_retention_never_drops_a_live_job(q: Caller) -> None:
    live = q.enqueue()
    close_block(q)
    q.clock("2035-01-01 00:00:00+00")
    for _ in range(3):
        maintain(q)
    assert q.state(live) == "queued"


def test_maintain_reports_the_failure_of_one_duty_and_does_the_others(q: Caller) -> None:
    q.sql("alter table pgqueue.deadline rename to deadline_away")
    q.enqueue(run_at="2030-01-01 00:00:05+00")
    q.clock("2030-01-01 00:00:06+00")
    rows = {row["duty"]: row for row in q("maintain")}
    assert "deadline" in rows["expire"]["error"]
    assert rows["promote"] == {"duty": "promote", "done": 1, "error": None}


def test_two_passes_at_once_are_one(q: Caller, session: object) -> None:
    other = session()  # type: ignore[operator]
    with other.connection.transaction():
        assert len(other("maintain")) > 8
        assert q("maintain") == []
    assert len(q("maintain")) > 8


def test_lanes_are_compacted(q: Caller) -> None:
    q.enqueue()
    q.sql("insert into pgqueue.lane select 'default', 0, false from generate_series(1, 20)")
    q.enqueue(group_key="g")
    maintain(q, "tidy")
    assert q.sql("select queue, priority, grouped from pgqueue.lane") == [("default", 0, True)]
    assert len(q.claim(q.worker())) == 2
