"""Owners take turns: who is next, how many at once, and that nobody's place in line is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row, blocked, wait_until
from tests.sql.support import refused

Session = Callable[[], Caller]


def submit(q: Caller, owner: str, queries: int = 1, **more: object) -> int:
    return int(q.value("submit_script", document=Jsonb(["select 1"] * queries), owner=owner, **more))


def begin(q: Caller, job: Row) -> Row:
    return q.one(
        f"{job['kind'][4:]}_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01"
    )


def turn(q: Caller, job: Row) -> str:
    """One query of the script, or the whole query, done by a worker that asks no server."""
    begin(q, job)
    verdict = q.one(f"{job['kind'][4:]}_end", lease=job["lease"], job=job["id"])["verdict"]
    assert q.settle([job], verdict) == []
    return str(verdict)


def turns(q: Caller, worker: int, at_once: int, queue: str = "scripts") -> str:
    """The owners in the order of their turns, with so many running at a time; they end in the order of their begin."""
    running: list[Row] = []
    order = ""
    while True:
        taken = q.claim(worker, at_once - len(running), queues=[queue]) if len(running) < at_once else []
        order += "".join(job["group_key"] for job in taken)
        running += taken
        if not running:
            return order
        turn(q, running.pop(0))


@pytest.mark.parametrize("at_once", [1, 2, 3, 10])
def test_fewest_turns_first_then_who_came_first(q: Caller, at_once: int) -> None:
    q("configure_queue", queue="scripts", settings={"max_running": None})
    for owner, jobs in {"A": 3, "B": 2, "C": 1}.items():
        for _ in range(jobs):
            submit(q, owner)
    assert turns(q, q.worker("scripts"), at_once) == "ABCABA"


def test_a_turn_is_one_query(q: Caller) -> None:
    worker = q.worker("scripts")
    submit(q, "A", 3)
    submit(q, "B", 2)
    submit(q, "A")
    assert turns(q, worker, 1) == "ABABAA"


def test_turns_count_for_as_long_as_the_queue_is_busy(q: Caller) -> None:
    worker = q.worker("scripts")
    submit(q, "A", 4)
    for _ in range(3):
        turn(q, q.claim(worker, 1, ["scripts"])[0])
    submit(q, "B", 3)  # has had none, so the next are B's until they are even
    assert turns(q, worker, 1) == "BBBA"
    # the queue was idle: all begin anew
    submit(q, "A", 2)
    submit(q, "B", 2)
    assert turns(q, worker, 1) == "ABAB"


def test_who_comes_back_is_served_again(q: Caller) -> None:
    worker = q.worker("scripts")
    submit(q, "A")
    submit(q, "B", 2)
    turn(q, q.claim(worker, 1, ["scripts"])[0])
    submit(q, "A")
    assert turns(q, worker, 1) == "BAB"


def test_one_script_of_an_owner_at_a_time_in_their_order(q: Caller) -> None:
    worker = q.worker("scripts")
    first, second = submit(q, "A", 2), submit(q, "A")
    (held,) = q.claim(worker, 10, ["scripts"])
    assert held["id"] == first
    assert q.claim(worker, 10, ["scripts"]) == []
    assert "turn" in q.value("why", id=second)
    assert turn(q, held) == "release"
    (held,) = q.claim(worker, 10, ["scripts"])
    assert held["id"] == first, "the owner's next has overtaken it"
    assert turn(q, held) == "succeeded"
    assert [job["id"] for job in q.claim(worker, 10, ["scripts"])] == [second]


def test_a_claim_held_open_keeps_its_owner(q: Caller, session: Session) -> None:
    """Neither waited for nor overlooked."""
    q("configure_queue", queue="scripts", settings={"max_running": None})
    worker, holder = q.worker("scripts"), session()
    submit(q, "C")
    submit(q, "A")
    submit(q, "A")
    submit(q, "B")
    turn(q, q.claim(worker, 1, ["scripts"])[0])  # which has taken all of them from the inbox to the line
    with holder.connection.transaction():
        (held,) = holder.claim(worker, 1, ["scripts"])
        assert held["group_key"] == "A"
        assert [job["group_key"] for job in q.claim(worker, 10, ["scripts"])] == ["B"]
        assert q.claim(worker, 10, ["scripts"]) == []
    assert q.claim(worker, 10, ["scripts"]) == []
    turn(q, held)
    assert [job["group_key"] for job in q.claim(worker, 10, ["scripts"])] == ["A"]


def test_capacity_holds_over_claims_held_open(q: Caller, session: Session) -> None:
    for owner in "ABCDEFG":
        submit(q, owner)
    worker, holder, waiting = q.worker("scripts"), session(), session()
    taken: list[Row] = []
    with holder.connection.transaction():
        assert len(holder.claim(worker, 3, ["scripts"])) == 3
        thread = threading.Thread(target=lambda: taken.extend(waiting.claim(worker, 10, ["scripts"])))
        thread.start()
        wait_until(lambda: blocked(q, waiting.connection.info.backend_pid), "the second claim waits for the limiter")
    thread.join()
    assert len(taken) == 1, "four run at a time, as installed"
    assert "max_running" in q.value("why", id=q("scripts", owner="G")[0]["id"])


def test_four_sessions_never_pass_a_limit(q: Caller, session: Session) -> None:
    """Every moment in which something is leased is looked at, from within the claims themselves."""
    q("configure_queue", queue="scripts", settings={"max_running": 3})
    for owner in "ABCDE":
        for _ in range(6):
            submit(q, owner, 2)
    worker = q.worker("scripts")
    failures: list[object] = []
    done: Counter[str] = Counter()

    def work(own: Caller) -> None:
        misses = 0
        while misses < 50:
            taken = own.claim(worker, 2, ["scripts"])
            misses = 0 if taken else misses + 1
            ((running, most),) = own.sql(
                """select (select count(*) from pgqueue.turn),
                     (select max(n) from (select count(*) as n from pgqueue.turn group by owner) o)"""
            )
            if running > 3 or (most or 0) > 1:
                failures.append((running, most))
            for job in taken:
                done[turn(own, job)] += 1

    threads = [threading.Thread(target=work, args=[session()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in q.claim(worker, 100, ["scripts"]):
        done[turn(q, job)] += 1
    assert failures == []
    assert done == {"release": 30, "succeeded": 30}
    assert q.places() == {}


def test_what_is_given_back_or_lost_stands_at_the_head(q: Caller) -> None:
    worker = q.worker("scripts")
    first, second = submit(q, "A", 2), submit(q, "A")
    (held,) = q.claim(worker, 10, ["scripts"])
    begin(q, held)
    assert q.value("script_report", id=first)["queries"][0]["status"] == "running"
    assert q.settle([held], "release") == []
    report = q.value("script_report", id=first)
    assert (report["status"], report["queries"][0]["status"]) == ("queued", "queued")
    assert "started_at" not in report["queries"][0]
    (held,) = q.claim(worker, 10, ["scripts"])
    assert (held["id"], held["attempt"]) == (first, 1)

    begin(q, held)
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    assert q.value("script_report", id=first)["status"] == "queued"
    (again,) = q.claim(q.worker("scripts"), 10, ["scripts"])
    assert (again["id"], again["crashes"]) == (first, 1)
    orders = begin(q, again)
    assert (orders["unit"], orders["position"], orders["old_pid"]) == ("query", 0, 1), "the old backend is named"
    for function, more in {"script_begin": {"backend_pid": 2, "backend_start": "2026-01-01"}, "script_end": {}}.items():
        with refused(q, "PQ004"):
            q(function, lease=held["lease"], job=first, **more)
    assert q.value("script_report", id=first)["status"] == "running"
    assert q.state(second) == "queued"


def test_too_many_crashes_end_it(q: Caller) -> None:
    q("configure", settings={"max_crashes": 2})
    script = submit(q, "A", 3)
    for _ in range(2):
        (held,) = q.claim(q.worker("scripts"), 10, ["scripts"])
        begin(q, held)
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
    report = q.value("script_report", id=script)
    assert [report["status"], *(query["status"] for query in report["queries"])] == [
        "failed",
        "failed",
        "skipped",
        "skipped",
    ]
    assert "lost" in report["failed_reason"]
    assert q.one("result", id=script)["reason"] == "worker_lost"


def test_a_job_in_line_is_a_waiting_job_like_any_other(q: Caller) -> None:
    worker = q.worker("scripts", "queries")
    jobs = [submit(q, "A") for _ in range(3)]
    turn(q, q.claim(worker, 1, ["scripts"])[0])  # which puts the others in line
    assert q.states(jobs) == ["succeeded", "queued", "queued"]
    assert [job["id"] for job in q("jobs", state="queued", queue="scripts")] == jobs[:0:-1]
    (row,) = (row for row in q("queues") if row["queue"] == "scripts")
    assert (row["queued"], row["running"]) == (2, 0)
    assert q.one("set_priority", id=jobs[2], priority=5)["changed"]
    assert [job["id"] for job in q.claim(worker, 1, ["scripts"])] == [jobs[2]]
    assert q.one("cancel", id=jobs[1]) == {"state": "cancelled", "changed": True}
    assert q.value("script_report", id=jobs[1])["status"] == "cancelled"
    q("pause_queue", queue="scripts")
    submit(q, "B")
    assert q.claim(worker, 10, ["scripts"]) == []
    late = q.one("submit_query", sql="select 1", wait_timeout="1 minute")["id"]
    assert q.one("reschedule", id=late, run_at="2100-01-01")["state"] == "scheduled"
    assert q.one("reschedule", id=late, run_at="2000-01-01")["state"] == "queued"
    q.clock("2100-01-01")
    assert q.claim(worker, 10, ["queries"]) == []  # too late to start
    assert (q.one("query_status", id=late)["state"], q.one("query_status", id=late)["reason"]) == (
        "failed",
        "queue_timeout",
    )


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_queries_run_side_by_side_up_to_group_limit(q: Caller, limit: int | None) -> None:
    q("configure_queue", queue="queries", settings={"group_limit": limit})
    for n in range(4):
        q("submit_query", sql=f"select {n}", owner="A")
    q("submit_query", sql="select 'b'", owner="B")
    taken = q.claim(q.worker("queries"), 4, ["queries"])
    owners = Counter(job["group_key"] for job in taken)
    assert owners == {"A": 3 if limit is None else limit, "B": 1}


def test_a_script_counts_in_its_owners_limit(q: Caller) -> None:
    q("configure_queue", queue="queries", settings={"group_limit": 2})
    worker = q.worker("queries")
    for n in range(2):
        q("submit_query", sql=f"select {n}", owner="A")
    running = q.claim(worker, 4, ["queries"])
    script = submit(q, "A", queue="queries")
    assert q.claim(worker, 4, ["queries"]) == []
    turn(q, running[0])
    assert [job["id"] for job in q.claim(worker, 4, ["queries"])] == [script]


def test_submits_of_one_owner_meet_at_the_limit(q: Caller, session: Session) -> None:
    """Exact, though the first is not committed; another owner's submit waits for nobody."""
    q("configure", settings={"script_max_waiting": 2})
    submit(q, "A")
    holder, waiting = session(), session()
    problem: list[psycopg.Error] = []

    def second() -> None:
        try:
            submit(waiting, "A")
        except psycopg.Error as error:
            problem.append(error)

    with holder.connection.transaction():
        submit(holder, "A")
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(lambda: blocked(q, waiting.connection.info.backend_pid), "the submit waits for the owner's lock")
        submit(q, "B")
    thread.join()
    assert [error.sqlstate for error in problem] == ["PQ005"]
    (held,) = q.claim(q.worker("scripts"), 1, ["scripts"])
    assert held["group_key"] == "A"
    submit(q, "A")  # what runs does not count
    q("configure_owner", owner="A", settings={"max_waiting": 3})
    submit(q, "A")
    with refused(q, "PQ005"):
        submit(q, "A")
    submit(q, "A", queue="elsewhere")


def test_a_worker_is_woken_for_whom_a_turn_has_become_free(q: Caller, session: Session) -> None:
    sleeper = session()
    sleeper.sql("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["scripts"])
    submit(q, "A")
    submit(q, "A")
    assert {note.payload for note in sleeper.connection.notifies(timeout=5, stop_after=1)} == {"scripts"}
    (held,) = q.claim(q.worker("scripts"), 1, ["scripts"])
    list(sleeper.connection.notifies(timeout=0))  # the second submit's
    turn(q, held)
    assert {note.payload for note in sleeper.connection.notifies(timeout=5, stop_after=1)} == {"scripts"}
