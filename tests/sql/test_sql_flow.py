"""Queries and scripts as children of other jobs, as their parents, and what follows them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row, blocked, wait_until
from tests.sql.support import pid, refused

Session = Callable[[], Caller]

ROOMS = ["query", "script"]
QUEUES = {"query": "queries", "script": "scripts"}
FOLLOW: dict[str, Any] = {
    "on_success": {"kind": "good", "pass_as": "got"},
    "on_error": [{"kind": "bad", "pass_as": "why"}],
}


def submit(q: Caller, room: str, owner: str = "ada", **more: Any) -> int:
    more = {name: Jsonb(value) if name in FOLLOW else value for name, value in more.items()}
    if room == "query":
        return int(q.one("submit_query", sql="select 1", owner=owner, **more)["id"])
    document = Jsonb({"query": ["select 1", {"query": "select 2", "name": "two"}], "onerror": "select 3"})
    return int(q.value("submit_script", document=document, owner=owner, **more))


def status(q: Caller, room: str, job: int) -> str:
    """As the room's own functions have it; that of the job is the same."""
    if room == "query":
        return str(q.one("query_status", id=job)["state"])
    found = str(q.value("script_report", id=job)["status"])
    assert [line["status"] for line in q("scripts", state=found) if line["id"] == job] == [found]
    return found


def cancel(q: Caller, room: str, job: int) -> None:
    q(f"cancel_{room}", id=job)


def looked(q: Caller) -> None:
    assert [row["error"] for row in q("maintain", duties=["dependents"])] == [None]


def turn(q: Caller, job: Row, error: dict[str, Any] | None = None) -> Row:
    """A worker's part: one query, or one of a script, which no server is asked to run."""
    room = job["kind"][4:]
    q(f"{room}_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01")
    said = {"command": "SELECT 1"} if room == "query" else {}
    row = q.one(f"{room}_end", lease=job["lease"], job=job["id"], error=error, **said)
    more = {name: row[own] for name, own in (("result", "result"), ("error", "failure")) if row[own] is not None}
    assert q.settle([job], row["verdict"], **more) == []
    return row


def work(q: Caller, worker: int, room: str, error: dict[str, Any] | None = None) -> list[int]:
    """Runs what there is to run; the ids in the order in which they came."""
    order: list[int] = []
    while taken := q.claim(worker, 1, [QUEUES[room]]):
        turn(q, taken[0], error)
        order.append(taken[0]["id"])
    return order


def ended(q: Caller, job: int, outcome: str = "succeeded") -> None:
    worker = q.worker()
    (taken,) = q.claim(worker)
    assert taken["id"] == job
    assert q.settle([taken], outcome) == []


@pytest.mark.parametrize("room", ROOMS)
def test_is_held_until_its_parents_have_ended(q: Caller, room: str) -> None:
    worker = q.worker(QUEUES[room])
    parent = q.enqueue()
    job = submit(q, room, depends_on=[parent])
    assert (q.state(job), status(q, room, job)) == ("held", "held")
    assert q.value("why", id=job) == f"Job {job} waits for another job, such as {parent}, which is queued."
    looked(q)
    assert q.claim(worker, queues=[QUEUES[room]]) == []
    if room == "query":
        batch = q.one("query_batch", id=job, n=0)
        assert (batch["state"], batch["data"], batch["is_last"]) == ("held", None, False)
    else:
        assert [query["status"] for query in q.value("script_report", id=job)["queries"]] == ["queued"] * 2
        assert q("scripts", state="queued") == []
    ended(q, parent)
    assert (q.state(job), status(q, room, job)) == ("queued", "queued")
    assert q.places().get("dependent") is None
    assert work(q, worker, room) == [job] * (1 if room == "query" else 2)
    assert status(q, room, job) == "succeeded"
    assert q("parents", id=job)[0]["id"] == parent
    q("deregister_worker", worker=worker)


@pytest.mark.parametrize("room", ROOMS)
def test_takes_its_turn_with_those_of_its_owner(q: Caller, room: str) -> None:
    """In the line it stands where its id says, with its priority."""
    worker = q.worker(QUEUES[room])
    parent = q.enqueue()
    first = submit(q, room, depends_on=[parent])
    second = submit(q, room)
    third = submit(q, room, depends_on=[parent], priority=3)
    looked(q)
    ended(q, parent)
    assert list(dict.fromkeys(work(q, worker, room))) == [third, first, second]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("policy", ["cancel", None, "run", "wait"])
@pytest.mark.parametrize("first", ["submit", "fail"])
def test_a_parent_that_fails(q: Caller, room: str, policy: str | None, first: str) -> None:
    worker = q.worker(QUEUES[room])
    parent = q.enqueue(max_attempts=1)
    if first == "fail":
        ended(q, parent, "failed")
    job = submit(q, room, depends_on=[parent], on_parent_failure=policy)
    child = q.enqueue(depends_on=[job], on_parent_failure="run")
    if first == "submit":
        looked(q)
        ended(q, parent, "failed")
    looked(q)
    if policy == "run":
        assert status(q, room, job) == "queued"
    elif policy == "wait":
        assert status(q, room, job) == "held"
        assert f"call pgqueue.retry({parent})" in q.value("why", id=job)
        q("retry", id=parent)
        looked(q)
        ended(q, parent)
        assert status(q, room, job) == "queued"
    else:
        assert status(q, room, job) == "cancelled"
        found = q.one("job", id=job)
        assert (found["state"], found["reason"]) == ("cancelled", "parent_failed")
        assert q.state(child) == "queued"
        assert q.claim(worker, queues=[QUEUES[room]]) == []
        if room == "query":
            assert q.one("query_status", id=job)["reason"] == "parent_failed"
            with refused(q, "PQ005", "was cancelled: parent_failed"):
                q("query_batch", id=job, n=0)
            assert q.sql("select outcome, reason from pgqueue.query_log") == [("cancelled", "parent_failed")]
        else:
            report = q.value("script_report", id=job)
            assert [query["status"] for query in report["queries"]] == ["cancelled", "skipped"]
            assert "a job that it waited for" in report["queries"][0]["failed_reason"]
            assert report["fallback_status"] == "skipped"
            assert "ended_at" in report
            assert q.sql("select expires_at is not null from pgqueue.script") == [(True,)]
        return
    assert set(work(q, worker, room)) == {job}
    assert status(q, room, job) == "succeeded"


@pytest.mark.parametrize("room", ROOMS)
def test_who_waits_for_it_is_told_of_the_cancel(q: Caller, session: Session, room: str) -> None:
    parent = q.enqueue(max_attempts=1)
    job = submit(q, room, depends_on=[parent])
    listener = session()
    listener.sql("listen pgqueue_done")
    listener("watch", jobs=[job])
    looked(q)
    ended(q, parent, "failed")
    (told,) = listener.connection.notifies(timeout=10, stop_after=1)
    assert told.payload == str(job)


@pytest.mark.parametrize("room", ROOMS)
def test_a_cancel_while_it_is_held(q: Caller, room: str) -> None:
    parent = q.enqueue()
    job = submit(q, room, depends_on=[parent], **FOLLOW)
    child = q.enqueue(depends_on=[job])
    cancel(q, room, job)
    looked(q)
    assert status(q, room, job) == "cancelled"
    assert q.state(child) == "cancelled"
    assert q.places() == {"ready": 2}  # the parent, and the follow-up
    ((args,),) = q.sql("select args from pgqueue.job where kind = 'bad'")
    assert args == {"why": {"state": "cancelled", "reason": "cancelled_by_user", "error": None}}


def test_a_caller_takes_back_a_held_query(q: Caller) -> None:
    job = submit(q, "query", depends_on=[q.enqueue()])
    with refused(q, "PQ002"):
        q("cancel_query", id=job, as_owner="bob")
    assert q.one("cancel_query", id=job, as_owner="ada") == {"state": "cancelled", "changed": True, "others": 0}


def test_wait_timeout_counts_while_it_is_held(q: Caller) -> None:
    job = submit(q, "query", depends_on=[q.enqueue()], wait_timeout="1 minute")
    q.clock("2100-01-01")
    q("maintain", duties=["expire"])
    found = q.one("query_status", id=job)
    assert (found["state"], found["reason"]) == ("failed", "queue_timeout")
    assert q.sql("select count(*) from pgqueue.dependent") == [(0,)]


@pytest.mark.parametrize(
    "flow",
    [
        {"depends_on": []},
        {"on_parent_failure": "run"},
        {"on_success": {"kind": "k"}},
        {"on_error": {"kind": "k"}},
    ],
)
def test_a_query_of_a_flow_is_a_run_of_its_own(q: Caller, flow: dict[str, Any]) -> None:
    shared = submit(q, "query")
    own = submit(q, "query", **flow)
    assert own != shared
    assert submit(q, "query", **flow) not in (own, shared)
    assert submit(q, "query", owner="bob") == shared
    cancel(q, "query", shared)
    assert submit(q, "query") not in (own, shared)
    with refused(q, "PQ001", "max_age"):
        submit(q, "query", max_age="1 hour", **flow)


def test_its_result_is_as_fresh_as_any(q: Caller) -> None:
    """max_age asks how old a result is, not how it came about."""
    job = submit(q, "query", on_success={"kind": "k"})
    work(q, q.worker("queries"), "query")
    assert q.one("submit_query", sql="select 1", owner="bob", max_age="1 hour")["id"] == job


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize(
    "bad",
    [
        {"depends_on": [None]},
        {"on_parent_failure": "never"},
        {"on_success": "mail"},
        {"on_error": {"kind": ""}},
        {"on_success": {"kind": "k", "priority": 40000}},
    ],
)
def test_bad_input(q: Caller, room: str, bad: dict[str, Any]) -> None:
    with refused(q, "PQ001"):
        submit(q, room, **bad)


@pytest.mark.parametrize("room", ROOMS)
def test_an_unknown_parent(q: Caller, room: str) -> None:
    with refused(q, "PQ002", "job 987654321, in depends_on, is unknown"):
        submit(q, room, depends_on=[987654321])


def test_held_scripts_are_not_counted_until_they_are_released(q: Caller) -> None:
    q("configure_owner", owner="ada", settings={"max_waiting": 1})
    parent, done = q.enqueue(), q.enqueue()
    (taken,) = [job for job in q.claim(q.worker()) if job["id"] == done]
    q.settle([taken])
    held = [submit(q, "script", depends_on=[parent]) for _ in range(2)]
    submit(q, "script")
    held.append(submit(q, "script", depends_on=[parent]))
    with refused(q, "PQ005", "1 scripts waiting"):
        submit(q, "script", depends_on=[done])  # which holds it no longer
    q("cancel", id=parent)
    q("maintain", duties=["dependents"])
    assert {status(q, "script", job) for job in held} <= {"cancelled", "held"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_full_queue(q: Caller, room: str) -> None:
    q("configure_queue", queue=QUEUES[room], settings={"max_queued": 1})
    parent = q.enqueue()
    submit(q, room, depends_on=[parent])
    job = submit(q, room)
    submit(q, room, depends_on=[parent])
    with refused(q, "PQ008", f"queue {QUEUES[room]} is full"):
        submit(q, room, owner="bob", on_success={"kind": "k"})
    if room == "query":
        assert submit(q, room, owner="bob") == job  # no job more
        with refused(q, "PQ008"):
            q("submit_query", sql="select 2")
    else:
        with refused(q, "PQ008"):
            submit(q, room, owner="bob")


@pytest.mark.parametrize("room", ROOMS)
def test_follow_ups_get_the_result(q: Caller, room: str) -> None:
    worker = q.worker(QUEUES[room])
    job = submit(q, room, **FOLLOW)
    child = q.enqueue(depends_on=[job])
    looked(q)
    work(q, worker, room)
    ((args, headers),) = q.sql("select args, headers from pgqueue.job where kind = 'good'")
    result = q.one("result", id=job)["result"]
    assert args == {"got": result}
    assert headers["parent"] == {"job": job, "kind": f"sql.{room}", "state": "succeeded"}
    if room == "query":
        assert result == {"rows": 0, "bytes": 0, "batches": 0, "command": "SELECT 1"}
    else:
        assert (result["id"], result["owner"], result["status"]) == (job, "ada", "succeeded")
        assert result["fallback_status"] == "skipped"
        assert result["ended_at"]
        assert "onerror" not in result
        assert [sorted(query) for query in result["queries"]] == [
            ["ended_at", "started_at", "status"],
            ["ended_at", "name", "started_at", "status"],
        ]
        assert {query["status"] for query in result["queries"]} == {"succeeded"}
    assert q.state(child) == "queued"
    assert q.one("parents", id=child)["result"] == result
    assert q.one("parents", id=child)["kind"] == f"sql.{room}"
    assert q.one("children", id=job)["id"] == child


@pytest.mark.parametrize("room", ROOMS)
def test_follow_ups_get_the_error(q: Caller, room: str) -> None:
    job = submit(q, room, **FOLLOW)
    work(q, q.worker(QUEUES[room]), room, {"message": "no such table", "sqlstate": "42P01"})
    ((args,),) = q.sql("select args from pgqueue.job where kind = 'bad'")
    why = args["why"]
    assert (why["state"], why["reason"], why["error"]["message"]) == ("failed", "error", "no such table")
    assert q.sql("select count(*) from pgqueue.job where kind = 'good'") == [(0,)]
    assert status(q, room, job) == "failed"


def test_the_result_of_a_script_whose_end_was_not_settled(q: Caller) -> None:
    """The next worker settles it with the same."""
    job = int(q.value("submit_script", document=Jsonb("select 1"), owner="ada"))
    worker = q.worker("scripts")
    (taken,) = q.claim(worker, queues=["scripts"])
    called = {"lease": taken["lease"], "job": job}
    q("script_begin", **called, backend_pid=1, backend_start="2026-01-01")
    said = q.one("script_end", **called)
    assert said["verdict"] == "succeeded"
    assert q.one("script_end", **called) == said
    again = q.one("script_begin", **called, backend_pid=1, backend_start="2026-01-01")
    assert (again["verdict"], again["result"]) == ("succeeded", said["result"])


def test_a_retried_query_waits_again_and_is_one_still(q: Caller) -> None:
    worker = q.worker("queries")
    parent = q.enqueue(max_attempts=1)
    job = submit(q, "query", depends_on=[parent], **FOLLOW)
    looked(q)
    ended(q, parent, "failed")
    assert q.state(job) == "cancelled"
    q("retry", id=parent)
    assert q.one("retry", id=job)["state"] == "held"
    assert q.one("query_status", id=job)["state"] == "held"
    looked(q)
    (taken,) = [each for each in q.claim(q.worker()) if each["id"] == parent]
    q.settle([taken])
    looked(q)
    assert q.state(job) == "queued"
    assert work(q, worker, "query") == [job]
    assert q.one("query_status", id=job)["state"] == "succeeded"
    assert q.sql("select count(*) from pgqueue.turn") == [(0,)]
    assert q.sql("select kind, count(*) from pgqueue.job where kind in ('good', 'bad') group by 1 order by 1") == [
        ("bad", 1),
        ("good", 1),
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_held_one_is_moved(q: Caller, room: str) -> None:
    parent = q.enqueue()
    job = submit(q, room, depends_on=[parent])
    assert q.one("move_jobs", filter={"ids": [job]}, queue="elsewhere")["done"] == 1
    assert status(q, room, job) == "held"
    assert q.sql(f"select queue from pgqueue.{room}") == [("elsewhere",)]
    looked(q)
    ended(q, parent)
    assert [each["id"] for each in q.claim(q.worker("elsewhere"), queues=["elsewhere"])] == [job]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
def test_in_a_queue_without_history(q: Caller, room: str, outcome: str) -> None:
    q("configure_queue", queue=QUEUES[room], settings={"history": "none"})
    parent = q.enqueue()
    job = submit(q, room, depends_on=[parent], **FOLLOW)
    looked(q)
    ended(q, parent, outcome)
    work(q, q.worker(QUEUES[room]), room)
    assert status(q, room, job) == ("succeeded" if outcome == "succeeded" else "cancelled")
    assert q.sql("select count(*) from pgqueue.job where id = %s", job) == [(0,)]
    assert q.sql("select kind from pgqueue.job where kind in ('good', 'bad')") == [
        ("good" if outcome == "succeeded" else "bad",)
    ]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("action", ["cancel", "move"])
def test_who_has_a_held_one_in_hand_stalls_no_settle(q: Caller, session: Session, room: str, action: str) -> None:
    """An open transaction that cancels or moves it, while its parent fails: the settle does not wait, and upkeep tells
    it afterwards.
    """
    q.sql("set lock_timeout = '100ms'")
    parent = q.enqueue()
    job = submit(q, room, depends_on=[parent])
    looked(q)
    user = session()
    with user.connection.transaction():
        if action == "cancel":
            cancel(user, room, job)
        else:
            user("move_jobs", filter={"ids": [job]}, queue="elsewhere")
        ended(q, parent, "discard")
        looked(q)
        assert status(q, room, job) == "held"
    looked(q)
    assert status(q, room, job) == "cancelled"
    reason = "cancelled_by_user" if action == "cancel" else "parent_failed"
    assert q.one("job", id=job)["reason"] == reason
    assert q.sql("select * from pgqueue.parent_look") == []


@pytest.mark.parametrize("action", ["cancel", "move"])
def test_who_waits_for_the_place_of_a_held_script_has_not_locked_it(q: Caller, session: Session, action: str) -> None:
    """Whoever tells it of a parent's end has its place first, and then wants the script: in the other order the two
    would be a deadlock.
    """
    job = submit(q, "script", depends_on=[q.enqueue()])
    teller, user = session(), session()
    call = ("cancel_script", {"id": job}) if action == "cancel" else ("_move", {"job": job, "queue": "elsewhere"})
    waits = threading.Thread(target=lambda: user(call[0], **call[1]))
    with teller.connection.transaction():
        teller.sql("select from pgqueue.dependent where job_id = %s for update", job)
        waits.start()
        wait_until(lambda: blocked(q, pid(user)), "the other session to wait")
        teller.sql("select from pgqueue.script where job_id = %s for update nowait", job)
    waits.join(20)
    assert status(q, "script", job) == ("cancelled" if action == "cancel" else "held")


@pytest.mark.parametrize("room", ROOMS)
def test_a_graph_over_the_rooms(q: Caller, room: str) -> None:
    """A job, after it a query or script, then the other, then a job, each in its place."""
    other = "script" if room == "query" else "query"
    first = q.enqueue()
    second = submit(q, room, depends_on=[first])
    third = submit(q, other, depends_on=[second])
    last = q.enqueue(depends_on=[second, third])
    looked(q)
    assert q.states([first, second, third, last]) == ["queued", "held", "held", "held"]
    ended(q, first)
    work(q, q.worker(QUEUES[room]), room)
    assert q.states([second, third, last]) == ["succeeded", "queued", "held"]
    work(q, q.worker(QUEUES[other]), other)
    assert q.states([third, last]) == ["succeeded", "queued"]
    assert [row["id"] for row in q("parents", id=last)] == [second, third]
