"""Workers that die, answers that get lost, jobs that hang: nothing is lost, nothing ends twice, poison shows itself."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.sql.calls import Caller, Row

LATER = "2030-01-01 00:01:00+00"


@pytest.fixture
def q(q: Caller) -> Caller:
    q.clock("2030-01-01 00:00:00+00")
    return q


def lose(q: Caller, worker: int) -> None:
    """Lets this worker's heartbeat run out, and no other's."""
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", worker)
    q("maintain", duties=["rescue"])


def test_jobs_of_a_lost_worker_run_again_attempt_unspent(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(3)]
    lost = q.worker()
    old = q.claim(lost)
    q.clock(LATER)
    assert q("maintain", duties=["rescue"]) == [{"duty": "rescue", "done": 3, "error": None}]
    assert q("workers") == []
    assert q.states(jobs) == ["queued"] * 3
    assert [row["problem"] for row in q.settle(old)] == ["stale"] * 3

    worker = q.worker()
    again = [q.claim(worker, 100) for _ in jobs]
    assert [[job["id"] for job in claim] for claim in again] == [[job] for job in jobs]  # alone, each in its lease
    assert {(job["attempt"], job["crashes"]) for (job,) in again} == {(1, 1)}
    q.settle([job for (job,) in again])
    assert q.states(jobs) == ["succeeded"] * 3
    assert [e["reason"] for e in q("attempts", id=jobs[0])] == ["worker_lost"]
    assert q.places() == {}


def test_a_lost_worker_is_unknown_and_must_register_again(q: Caller) -> None:
    worker = q.worker()
    lose(q, worker)
    for function, arguments in {
        "worker_heartbeat": {},
        "deregister_worker": {},
        "claim": {"queues": ["default"]},
    }.items():
        with pytest.raises(psycopg.Error) as refused:
            q(function, worker=worker, **arguments)
        assert refused.value.sqlstate == "PQ003"


def test_a_heartbeat_keeps_a_worker_alive(q: Caller) -> None:
    job, worker = q.enqueue(), q.worker()
    q.claim(worker)
    for second in range(20, 200, 20):
        q.clock(f"2030-01-01 00:{second // 60:02}:{second % 60:02}+00")
        q("worker_heartbeat", worker=worker)
        q("maintain", duties=["rescue"])
    assert q.state(job) == "running"


def test_a_poison_job_fails_and_its_neighbours_do_not(q: Caller) -> None:
    poison = q.enqueue("poison")
    innocent = [q.enqueue() for _ in range(8)]
    for _ in range(30):
        worker = q.worker()
        held: list[Row] = []
        while claim := q.claim(worker, 3):
            held += claim
        if poison in [job["id"] for job in held]:
            lose(q, worker)  # it takes down everything its worker holds
        else:
            q.settle(held)
            q("deregister_worker", worker=worker)
        if q.state(poison) == "failed":
            break
    assert q.one("result", id=poison)["reason"] == "worker_lost"
    assert [e["reason"] for e in q("attempts", id=poison)] == ["worker_lost"] * 5
    worker = q.worker()
    while claim := q.claim(worker):
        q.settle(claim)
    assert q.states(innocent) == ["succeeded"] * 8
    assert q.places() == {}


def test_at_most_one_twice_crashed_job_for_a_worker(q: Caller) -> None:
    for _ in range(2):
        q.enqueue()
    for _ in range(2):
        worker = q.worker()
        while q.claim(worker):
            pass
        lose(q, worker)
    worker, other = q.worker(), q.worker()
    assert [job["crashes"] for job in q.claim(worker)] == [2]
    assert q.claim(worker) == []
    assert [job["crashes"] for job in q.claim(other)] == [2]


def test_max_crashes_is_a_setting(q: Caller) -> None:
    q.value("configure", settings={"max_crashes": 1})
    job, worker = q.enqueue(), q.worker()
    q.claim(worker)
    lose(q, worker)
    assert q.one("result", id=job)["reason"] == "worker_lost"


def test_deregister_gives_back_unspent(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(2)]
    worker = q.worker()
    q.claim(worker)
    assert q.value("deregister_worker", worker=worker) == 2
    assert [(job["id"], job["attempt"], job["crashes"]) for job in q.claim(q.worker())] == [(job, 1, 0) for job in jobs]


def test_leases_the_worker_does_not_know_are_given_back(q: Caller) -> None:
    known, unknown = q.enqueue(), q.enqueue()
    worker = q.worker()
    (first,) = q.claim(worker, 1)
    q.claim(worker, 1)  # the answer to this one is lost on the way
    q("worker_heartbeat", worker=worker, leases=[first["lease"]])
    assert q.states([known, unknown]) == ["running", "running"]  # it may still be on its way
    q.clock("2030-01-01 00:00:06+00")
    q("worker_heartbeat", worker=worker)
    assert q.states([known, unknown]) == ["running", "running"]  # a claim is under way, the worker cannot say
    q("worker_heartbeat", worker=worker, leases=[first["lease"]])
    assert q.states([known, unknown]) == ["running", "queued"]
    assert [(job["id"], job["attempt"], job["crashes"]) for job in q.claim(worker)] == [(unknown, 1, 0)]


def test_a_heartbeat_names_lost_leases_and_cancels(q: Caller) -> None:
    job, worker = q.enqueue(), q.worker()
    (taken,) = q.claim(worker)
    assert q("worker_heartbeat", worker=worker, leases=[taken["lease"], 12345]) == [
        {"action": "lost", "lease": 12345, "job_id": None}
    ]
    q("cancel", id=job)
    assert q("worker_heartbeat", worker=worker, leases=[taken["lease"]]) == [
        {"action": "cancel", "lease": taken["lease"], "job_id": job}
    ]


def test_a_broken_heartbeat_promise_is_a_lost_job(q: Caller) -> None:
    promised, plain = q.enqueue(heartbeat="10 seconds"), q.enqueue()
    worker = q.worker()
    taken = q.claim(worker)
    lease = taken[0]["lease"]
    q.clock("2030-01-01 00:00:09+00")
    assert q.one("job_heartbeat", lease=lease, job=promised, progress={"at": 0.5}) == {
        "alive": True,
        "cancel_requested": False,
    }
    q.clock("2030-01-01 00:00:18+00")
    q("maintain", duties=["rescue"])
    assert q.states([promised, plain]) == ["running", "running"]
    assert q.one("job", id=promised)["progress"] == {"at": 0.5}
    q.clock("2030-01-01 00:00:20+00")
    q("maintain", duties=["rescue"])
    assert q.states([promised, plain]) == ["queued", "running"]
    assert q.one("job_heartbeat", lease=lease, job=promised) == {"alive": False, "cancel_requested": False}
    assert [(row["job_id"], row["problem"]) for row in q.settle(taken)] == [(promised, "stale")]


@pytest.mark.parametrize("where", ["job", "queue"])
def test_a_worker_that_does_not_enforce_timeouts_loses_the_job(q: Caller, where: str) -> None:
    settings: dict[str, Any] = {"timeout": "10 seconds"} if where == "job" else {}
    if where == "queue":
        q("configure_queue", queue="default", settings={"timeout": 10})
    job, worker = q.enqueue(max_attempts=1, **settings), q.worker()
    (taken,) = q.claim(worker)
    assert taken["timeout"].total_seconds() == 10
    for at, state in {"00:00:39": "running", "00:00:41": "failed"}.items():
        q.clock(f"2030-01-01 {at}+00")
        q("worker_heartbeat", worker=worker)
        q("maintain", duties=["rescue"])
        assert q.state(job) == state
    assert q.one("result", id=job)["reason"] == "timeout"


def test_a_pending_cancel_wins_over_another_run(q: Caller) -> None:
    jobs = [q.enqueue() for _ in range(4)]
    failing, released, _, done = jobs
    worker, other = q.worker(), q.worker()
    first = {job["id"]: job for job in q.claim(worker, 2)}
    second = {job["id"]: job for job in q.claim(other, 2)}
    assert [q.one("cancel", id=job) for job in jobs] == [{"state": "running", "changed": True}] * 4
    assert q.one("cancel", id=failing) == {"state": "running", "changed": False}
    q.settle([first[failing]], "failed", error={"type": "E"})
    q.settle([first[released]], "release")
    q.settle([second[done]])
    lose(q, other)
    assert q.states(jobs) == ["cancelled", "cancelled", "cancelled", "succeeded"]
    assert {q.one("result", id=job)["reason"] for job in jobs[:3]} == {"cancelled_by_user"}
    q.clock("2030-01-01 01:00+00")
    q("maintain", duties=["tidy"])
    assert q.places() == {}


def test_cancel_wherever_a_job_waits(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    ready = q.enqueue(unique_key="k", expires_in="1 hour")
    scheduled = q.enqueue(delay="1 hour")
    q.enqueue(group_key="g", queue="other")
    crashed = q.enqueue(queue="crashy")
    worker = q.worker("crashy")
    q.claim(worker, queues=["crashy"])
    lose(q, worker)
    holder, blocked = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    q("maintain", duties=["admit"])
    arrival = q.enqueue(group_key="g")
    assert q.states([ready, scheduled, holder, blocked, arrival, crashed]) == [
        "queued",
        "scheduled",
        "queued",
        "held",
        "queued",
        "queued",
    ]
    for job in (ready, scheduled, blocked, arrival, crashed, holder):
        assert q.one("cancel", id=job) == {"state": "cancelled", "changed": True}
        assert q.one("cancel", id=job) == {"state": "cancelled", "changed": False}
        assert q.one("result", id=job)["reason"] == "cancelled_by_user"
    assert q.one("enqueue", kind="noop", unique_key="k")["created"] is True
