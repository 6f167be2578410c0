"""The life of a job: claimed in order, settled once, tried again by its policy."""

from __future__ import annotations

import psycopg
import pytest

from tests.sql.calls import Caller


def test_claims_come_by_priority_then_turn(q: Caller) -> None:
    low = q.enqueue(priority=-1)
    first, second = q.enqueue(), q.enqueue()
    high = q.enqueue(priority=10)
    worker = q.worker()
    assert [job["id"] for job in q.claim(worker)] == [high, first, second, low]


def test_claim_takes_no_more_than_asked_and_nothing_twice(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(5)]
    worker = q.worker()
    taken = [job["id"] for n in (2, 2, 2) for job in q.claim(worker, n)]
    assert taken == jobs
    assert q.claim(worker) == []


def test_claim_of_several_queues_gives_a_lease_for_each(q: Caller) -> None:
    a, b = q.enqueue(queue="a"), q.enqueue(queue="b", priority=1)
    q.enqueue(queue="c")
    worker = q.worker("a", "b")
    taken = q.claim(worker, queues=["a", "b"])
    assert [(job["id"], job["queue"]) for job in taken] == [(b, "b"), (a, "a")]
    assert len({job["lease"] for job in taken}) == 2
    assert q.settle(taken) == []
    assert q.states([a, b]) == ["succeeded", "succeeded"]


def test_success_keeps_the_result(q: Caller) -> None:
    job = q.enqueue(args={"x": 1})
    taken = q.claim(q.worker())
    assert (taken[0]["kind"], taken[0]["args"], taken[0]["attempt"], taken[0]["max_attempts"]) == (
        "noop",
        {"x": 1},
        1,
        5,
    )
    assert q.state(job) == "running"
    assert q.settle(taken, result={"sum": 3}) == []
    assert q.one("result", id=job) == {"state": "succeeded", "reason": None, "result": {"sum": 3}, "error": None}
    assert q.places() == {}


def test_a_second_settle_is_stale_and_changes_nothing(q: Caller) -> None:
    job = q.enqueue()
    taken = q.claim(q.worker())
    q.settle(taken, result=1)
    assert q.settle(taken, "failed", error={"type": "Late"}) == [
        {"lease": taken[0]["lease"], "job_id": job, "problem": "stale"}
    ]
    assert q.one("result", id=job)["result"] == 1
    assert q("attempts", id=job) == []


def test_a_lease_is_settled_job_by_job(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(4)]
    taken = q.claim(q.worker())
    q.settle(taken[1:3])
    assert q.states(jobs) == ["running", "succeeded", "succeeded", "running"]
    q.settle([taken[0]], "discard", error={"type": "E", "message": "m"})
    q.settle([taken[3]], "cancelled")
    assert q.states(jobs) == ["failed", "succeeded", "succeeded", "cancelled"]
    assert q.places() == {}


def test_a_job_of_another_lease_is_refused_and_the_rest_accepted(q: Caller) -> None:
    mine, other = q.enqueue(), q.enqueue()
    worker = q.worker()
    (one,), (two,) = q.claim(worker, 1), q.claim(worker, 1)
    assert q.settle([one, {**two, "lease": one["lease"]}]) == [
        {"lease": one["lease"], "job_id": other, "problem": "stale"}
    ]
    assert q.states([mine, other]) == ["succeeded", "running"]


def test_a_job_named_twice_is_refused_whole(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(3)]
    taken = q.claim(q.worker())
    with pytest.raises(psycopg.Error) as refused:
        q.settle([taken[0], taken[0]])
    assert refused.value.sqlstate == "PQ001"
    with pytest.raises(psycopg.Error) as refused:
        q.settle([taken[0], taken[1], taken[1]])
    assert refused.value.sqlstate == "PQ001"
    assert q.states(jobs) == ["running"] * 3


def test_settle_and_claim_is_both(q: Caller) -> None:
    first, second = q.enqueue(), q.enqueue()
    worker = q.worker()
    (taken,) = q.claim(worker, 1)
    rows = q(
        "settle_and_claim",
        worker=worker,
        leases=[taken["lease"], 999],
        jobs=[first, second],
        outcomes=["succeeded", "succeeded"],
        results=None,
        errors=None,
        delays=None,
        queues=["default"],
        n=5,
    )
    assert [(row["problem"], row["id"]) for row in rows] == [("stale", second), (None, second)]
    assert q.states([first, second]) == ["succeeded", "running"]


def test_a_failed_attempt_is_tried_again_until_attempts_run_out(q: Caller) -> None:
    job = q.enqueue(max_attempts=3, backoff={"strategy": "constant", "base": 60, "jitter": 0})
    worker = q.worker()
    for attempt, at in enumerate(["2030-01-01 00:00", "2030-01-01 00:01", "2030-01-01 00:02"], start=1):
        q.clock(at)
        q("maintain", duties=["promote"])
        taken = q.claim(worker)
        assert [job["attempt"] for job in taken] == [attempt]
        q.settle(taken, "failed", error={"type": "ValueError", "message": f"no {attempt}", "traceback": "…"})
        assert q.state(job) == ("failed" if attempt == 3 else "scheduled")
    assert q.one("result", id=job) == {
        "state": "failed",
        "reason": "error",
        "result": None,
        "error": {"type": "ValueError", "message": "no 3", "traceback": "…"},
    }
    errors = q("attempts", id=job)
    assert [(e["attempt"], e["reason"], e["error"]["message"], e["worker_id"]) for e in errors] == [
        (1, "error", "no 1", worker),
        (2, "error", "no 2", worker),
        (3, "error", "no 3", worker),
    ]
    assert q.places() == {}


@pytest.mark.parametrize(
    ("spec", "delays"),
    [
        ({"strategy": "constant", "base": 7, "jitter": 0}, [7, 7, 7]),
        ({"strategy": "linear", "base": 7, "jitter": 0}, [7, 14, 21]),
        ({"strategy": "exponential", "base": 7, "jitter": 0}, [7, 14, 28]),
        ({"strategy": "exponential", "base": 7, "cap": 10, "jitter": 0}, [7, 10, 10]),
        ({"base": 0}, [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("of_the_queue", [False, True])
def test_backoff(q: Caller, spec: dict[str, object], delays: list[int], of_the_queue: bool) -> None:
    q.clock("2030-01-01 00:00+00")
    if of_the_queue:
        q("configure_queue", queue="default", settings={"backoff": spec})
    job = q.enqueue(max_attempts=10, **({} if of_the_queue else {"backoff": spec}))
    worker = q.worker()
    for delay in delays:
        q.settle(q.claim(worker), "failed")
        due = q.sql("select extract(epoch from run_at - pgqueue._now()) from pgqueue.scheduled")
        assert [float(d) for (d,) in due] == ([delay] if delay else [])
        if delay:
            q("reschedule", id=job, run_at="2020-01-01")
    assert q.state(job) == "queued"


def test_jitter_stays_in_its_bounds_and_below_the_cap(q: Caller) -> None:
    seconds = [
        float(s)
        for (s,) in q.sql(
            """
            select extract(epoch from pgqueue._backoff('{"strategy": "constant", "base": 100, "jitter": 0.2}', 1))
            from generate_series(1, 500)"""
        )
    ]
    assert 80 <= min(seconds) < 85
    assert 115 < max(seconds) <= 120
    capped = q.sql(
        """select max(pgqueue._backoff('{"base": 100, "cap": 100, "jitter": 1}', 3)) from generate_series(1, 500)"""
    )
    assert capped[0][0].total_seconds() <= 100


def test_retry_snooze_and_release(q: Caller) -> None:
    q.clock("2030-01-01 00:00+00")
    retried, snoozed, released = (q.enqueue() for _ in range(3))
    taken = {job["id"]: job for job in q.claim(q.worker())}
    q.settle([taken[retried]], "retry", delay=30, error={"type": "Busy"})
    q.settle([taken[snoozed]], "snooze", delay=30)
    q.settle([taken[released]], "release")
    assert q.states([retried, snoozed, released]) == ["scheduled", "scheduled", "queued"]
    assert [q.one("job", id=job)["attempt"] for job in (retried, snoozed, released)] == [1, 0, 0]
    assert [len(q("attempts", id=job)) for job in (retried, snoozed, released)] == [1, 0, 0]
    q.clock("2030-01-01 00:00:30+00")
    q("maintain", duties=["promote"])
    assert {job["id"]: job["attempt"] for job in q.claim(q.worker())} == {retried: 2, snoozed: 1, released: 1}


def test_retry_spends_attempts_and_timeout_has_its_reason(q: Caller) -> None:
    retried, late = q.enqueue(max_attempts=1), q.enqueue(max_attempts=1)
    taken = {job["id"]: job for job in q.claim(q.worker())}
    q.settle([taken[retried]], "retry", delay=30)
    q.settle([taken[late]], "timeout", error={"type": "Timeout"})
    assert [q.one("result", id=job)["reason"] for job in (retried, late)] == ["error", "timeout"]


def test_a_failed_job_is_retried_by_hand_with_all_its_attempts(q: Caller) -> None:
    job = q.enqueue(max_attempts=2, unique_key="k")
    worker = q.worker()
    q.settle(q.claim(worker), "discard", error={"type": "E"})
    assert q.one("retry", id=job) == {"state": "queued", "changed": True}
    assert q.one("enqueue", kind="noop", unique_key="k") == {"id": job, "created": False}
    (taken,) = q.claim(worker)
    assert (taken["attempt"], taken["max_attempts"]) == (1, 2)
    q.settle([taken])
    assert q.state(job) == "succeeded"
    assert len(q("attempts", id=job)) == 1
    for again in (job, q.enqueue()):
        with pytest.raises(psycopg.Error) as refused:
            q("retry", id=again)
        assert refused.value.sqlstate == "PQ005"


def test_retry_is_refused_while_another_job_has_the_key(q: Caller) -> None:
    job = q.enqueue(unique_key="k")
    q("cancel", id=job)
    q.enqueue(unique_key="k")
    with pytest.raises(psycopg.Error, match="holds the unique key") as refused:
        q("retry", id=job)
    assert refused.value.sqlstate == "PQ005"
    assert q.state(job) == "cancelled"


def test_history_of_a_queue(q: Caller) -> None:
    worker = q.worker()
    for history, expected in {"all": ["succeeded", "failed"], "failed": ["failed"], "none": []}.items():
        q("configure_queue", queue="default", settings={"history": history})
        jobs = [q.enqueue(), q.enqueue()]
        good, bad = q.claim(worker)
        q.settle([good], result=1)
        q.settle([bad], "discard")
        kept = q.sql(
            "select state::text from pgqueue.outcome join pgqueue.job on id = job_id where id = any(%s) order by id",
            jobs,
        )
        assert [state for (state,) in kept] == expected
        assert q.sql("select count(*) from pgqueue.job where id = any(%s)", jobs)[0][0] == len(expected)
    assert q.places() == {}


def test_set_priority_and_reschedule(q: Caller) -> None:
    first, second, third = (q.enqueue() for _ in range(3))
    assert q.one("set_priority", id=third, priority=5) == {"state": "queued", "changed": True}
    assert q.one("reschedule", id=first, run_at="2100-01-01") == {"state": "scheduled", "changed": True}
    worker = q.worker()
    taken = q.claim(worker)
    assert [(job["id"], job["priority"]) for job in taken] == [(third, 5), (second, 0)]
    q.settle(taken, "release")
    assert [job["id"] for job in q.claim(worker)] == [third, second]  # the new priority outlives a release
    assert q.one("set_priority", id=first, priority=7) == {"state": "scheduled", "changed": True}
    assert q.one("reschedule", id=first, run_at="2000-01-01") == {"state": "queued", "changed": True}
    assert [(job["id"], job["priority"]) for job in q.claim(worker)] == [(first, 7)]
    for call in ({"function": "set_priority", "priority": 1}, {"function": "reschedule", "run_at": "2100-01-01"}):
        with pytest.raises(psycopg.Error) as refused:
            q(**call, id=first)  # type: ignore[arg-type]
        assert refused.value.sqlstate == "PQ005"
    assert q.state(first) == "running"


def test_pause_is_kept_and_stops_claims_only(q: Caller) -> None:
    worker = q.worker()
    assert q.value("pause_queue", queue="default") is True
    assert q.value("pause_queue", queue="default") is False
    job = q.enqueue()
    assert q.claim(worker) == []
    assert "paused" in q.value("why", id=job)
    assert q.value("resume_queue", queue="default") is True
    assert q.value("resume_queue", queue="default") is False
    assert [row["id"] for row in q.claim(worker)] == [job]


def test_wait_is_a_procedure_that_answers_when_the_job_is_final(q: Caller) -> None:
    job = q.enqueue()
    assert q.sql("call pgqueue.wait(%s, '10 milliseconds')", job) == [("queued", None, None)]
    q.settle(q.claim(q.worker()), result=[1])
    assert q.sql("call pgqueue.wait(%s, '10 seconds')", job) == [("succeeded", None, [1])]
