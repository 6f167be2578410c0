"""Bulk operations: which jobs a filter finds, what becomes of each, and that batches are bounded and stall nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import refused

Session = Callable[[], Caller]


def bulk(q: Caller, function: str, filter: dict[str, Any], **arguments: Any) -> tuple[int, int]:
    """One batch that has to be the whole: how many were done and skipped."""
    row = q.one(function, filter=filter, **arguments)
    assert not row["more"]
    return row["done"], row["skipped"]


def fail(q: Caller, worker: int, queue: str = "default", type: str = "Boom", outcome: str = "discard") -> list[int]:
    jobs = q.claim(worker, queues=[queue])
    assert q.settle(jobs, outcome, error={"type": type, "message": f"{type} happened"}) == []
    return [job["id"] for job in jobs]


def script_of(q: Caller, text: str, **options: Any) -> int:
    return int(q.value("submit_script", document=Jsonb({"query": text}), owner="o", **options))


def events(q: Caller, job: int) -> list[tuple[str, Any]]:
    return q.sql("select event, data from pgqueue.job_event where job_id = %s order by at", job)


# Filters


def found(q: Caller, action: str = "cancel", **filter: Any) -> int:
    row = q.one("count_jobs", filter=filter, action=action)
    assert not row["more"]
    return int(row["jobs"])


def test_every_key_of_a_filter_counts(q: Caller) -> None:
    first = q.enqueue("a", queue="one", args={"x": 1, "y": {"z": [1, 2]}}, headers={"tenant": "t"}, priority=3)
    second = q.enqueue("b", queue="two", unique_key="u", delay="1 hour")
    third = q.enqueue("a", queue="two", group_key="g")
    for filter, count in (
        ({"queue": "two"}, 2),
        ({"queue": "three"}, 0),
        ({"kind": "a"}, 2),
        ({"kind": "a", "queue": "two"}, 1),
        ({"state": "scheduled"}, 1),
        ({"state": ["scheduled", "queued"]}, 3),
        ({"state": "running"}, 0),
        ({"group_key": "g"}, 1),
        ({"unique_key": "u"}, 1),
        ({"priority": 3}, 1),
        ({"priority": 0}, 2),
        ({"args": {"y": {"z": [2]}}}, 1),
        ({"args": {"x": 2}}, 0),
        ({"args": {}}, 3),
        ({"headers": {"tenant": "t"}}, 1),
        ({"ids": [first, third, 10**12]}, 2),
        ({"ids": [first, third], "state": "scheduled"}, 0),
        ({"ids": [first, second], "state": "scheduled"}, 1),
        ({"ids": []}, 0),
        ({"before_id": third}, 2),
        ({"after_id": second}, 1),
        ({"created_before": "2020-01-01"}, 0),
        ({"created_after": "2020-01-01"}, 3),
        ({"finished_after": "2020-01-01"}, 0),
        ({"reason": "error"}, 0),
        ({"error_type": "Boom"}, 0),
    ):
        assert found(q, **filter) == count, filter


def test_a_filter_of_final_jobs(q: Caller) -> None:
    worker = q.worker("default", "other")
    for _ in range(3):
        q.enqueue("a")
    failed = fail(q, worker)
    q.enqueue("b", queue="other", priority=5)
    fail(q, worker, "other", "Crash")
    cancelled = q.enqueue("a")
    q("cancel", id=cancelled)
    q.enqueue("a")
    assert q.settle(q.claim(worker)) == []
    for filter, count in (
        ({"kind": "a"}, 4),
        ({"state": "failed"}, 4),
        ({"queue": "other"}, 1),
        ({"priority": 5}, 1),
        ({"state": "cancelled"}, 1),
        ({"reason": "error"}, 4),
        ({"reason": "cancelled_by_user"}, 1),
        ({"error_type": "Boom"}, 3),
        ({"error_type": "Boom", "queue": "other"}, 0),
        ({"finished_before": "2020-01-01"}, 0),
        ({"finished_after": "2020-01-01"}, 5),
        ({"ids": failed[:2]}, 2),
    ):
        assert found(q, "retry", **filter) == count, filter
    assert found(q, "delete", kind="a") == 5
    assert found(q, "delete", state="succeeded") == 1


def test_a_job_that_waits_for_a_retry_is_found_by_its_error(q: Caller) -> None:
    worker = q.worker()
    q.enqueue()
    fail(q, worker, outcome="failed")
    q.enqueue()
    assert bulk(q, "cancel_jobs", {"error_type": "Boom"}) == (1, 0)


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        ({}, "empty"),
        ({"queu": "a"}, "queu"),
        ({"queue": None}, "queue null"),
        ({"queue": 3}, "queue number"),
        ({"state": "done"}, "state done"),
        ({"state": []}, "state empty"),
        ({"state": [3]}, "state 3"),
        ({"state": "failed"}, "failed cancelled"),
        ({"priority": "high"}, "priority string"),
        ({"priority": 1e12}, ""),
        ({"ids": 3}, "ids"),
        ({"ids": ["3"]}, "ids"),
        ({"ids": [1.5]}, "1.5"),
        ({"args": [1]}, "args array"),
        ({"created_before": "tomorrow noon-ish"}, "filter"),
        ({"before_id": 1e30}, ""),
        ([], "array"),
        (3, "number"),
    ],
)
def test_bad_filters_are_refused(q: Caller, filter: Any, words: str) -> None:
    q.enqueue()
    with refused(q, "PQ001", *words.split()):
        q.sql("select * from pgqueue.cancel_jobs(%s)", Jsonb(filter))


def test_other_bad_arguments_are_refused(q: Caller) -> None:
    for call in (
        "cancel_jobs(null)",
        "cancel_jobs('null')",
        'cancel_jobs(\'{"queue": "a"}\', 0)',
        'cancel_jobs(\'{"queue": "a"}\', 10001)',
        'cancel_jobs(\'{"queue": "a"}\', null)',
        'cancel_jobs(\'{"queue": "a"}\', 1, -1)',
        'cancel_jobs(\'{"queue": "a"}\', 1, null)',
        'set_priority_of_jobs(\'{"queue": "a"}\', 40000)',
        'set_priority_of_jobs(\'{"queue": "a"}\', null)',
        "move_jobs('{\"queue\": \"a\"}', '')",
        'move_jobs(\'{"queue": "a"}\', null)',
        'retry_jobs(\'{"queue": "a"}\', rate_limit => 0)',
        "retry_jobs('{\"queue\": \"a\"}', rate_limit => 1, rate_period => '0')",
        'retry_jobs(\'{"queue": "a"}\', rate_limit => 1, rate_period => null)',
        "retry_jobs('{\"queue\": \"a\"}', starts_at => 'infinity')",
        'delete_jobs(\'{"state": "queued"}\')',
        "count_jobs('{\"queue\": \"a\"}', 'eat')",
        'count_jobs(\'{"queue": "a"}\', null)',
        "failures(max => 0)",
    ):
        with refused(q):
            q.sql(f"select * from pgqueue.{call}")


# Batches


def test_batches_follow_each_other_to_the_end(q: Caller) -> None:
    jobs = [q.enqueue(queue=f"q{n % 3}", delay="1 hour" if n % 4 == 0 else None) for n in range(25)]
    q.enqueue("other")
    after, sizes = 0, []
    while True:
        row = q.one("cancel_jobs", filter={"kind": "noop"}, max=10, after=after)
        sizes.append(row["done"])
        after = row["last"]
        if not row["more"]:
            break
    assert sizes == [10, 10, 5]
    assert after == jobs[-1]
    assert set(q.states(jobs)) == {"cancelled"}
    assert q.places() == {"ready": 1}


def test_a_batch_looks_at_a_bounded_number_of_jobs(q: Caller) -> None:
    """Fifty thousand that do not match, in two lanes and a time, then one that does."""
    for options in ("queue => 'a'", "queue => 'b', priority => 1", "queue => 'a', delay => '1 hour'"):
        q.sql(f"select count(*) from pgqueue.enqueue_each('noop', array_fill('{{}}'::jsonb, array[25000]), {options})")
    wanted = q.enqueue("wanted", queue="a")
    after, calls, done = 0, 0, 0
    while True:
        row = q.one("cancel_jobs", filter={"kind": "wanted"}, after=after)
        calls, done = calls + 1, done + row["done"]
        assert row["last"] > after or not row["more"]
        after = row["last"]
        if not row["more"]:
            break
    assert done == 1
    assert 3 <= calls <= 10
    assert q.state(wanted) == "cancelled"


def test_a_batch_of_final_jobs_is_bounded_too(q: Caller) -> None:
    for _ in range(3):
        q.sql("select count(*) from pgqueue.enqueue_each('noop', array_fill('{}'::jsonb, array[8000]), 'a')")
    worker = q.worker("a")
    while jobs := q.claim(worker, 10_000, ["a"]):
        assert q.settle(jobs, "discard") == []
    last = q.enqueue("wanted", queue="a")
    q("cancel", id=last)
    row = q.one("retry_jobs", filter={"kind": "wanted"})
    assert (row["done"], row["more"]) == (0, True)
    row = q.one("retry_jobs", filter={"kind": "wanted"}, after=row["last"])
    assert (row["done"], row["more"], row["last"]) == (1, False, last)


# Cancel


def test_cancel_takes_all_that_waits_and_asks_what_runs(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    worker = q.worker()
    running = q.enqueue()
    q.claim(worker)
    jobs = [
        q.enqueue(),
        q.enqueue(delay="1 hour", unique_key="u"),
        q.enqueue(group_key="g", expires_in="1 hour"),
        q.enqueue(priority=5),
    ]
    q("set_priority", id=jobs[0], priority=9)
    assert bulk(q, "cancel_jobs", {"queue": "default"}, why="enough") == (5, 0)
    assert set(q.states(jobs)) == {"cancelled"}
    assert q.state(running) == "running"
    assert q.places() == {"lease": 1, "cancel_request": 1}
    assert q.one("job", id=jobs[0])["reason"] == "cancelled_by_user"
    assert bulk(q, "cancel_jobs", {"queue": "default"}) == (0, 1)
    assert q.enqueue(unique_key="u") not in jobs


def test_cancel_of_groups_lets_the_next_in(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    jobs = [q.enqueue(group_key="g") for _ in range(3)]
    worker = q.worker()
    q.claim(worker)
    assert q.states(jobs) == ["running", "held", "held"]
    assert bulk(q, "cancel_jobs", {"state": "held", "before_id": jobs[2]}) == (1, 0)
    q("cancel", id=jobs[0])
    q.settle([{"lease": lease, "id": jobs[0]} for (lease,) in q.sql("select id from pgqueue.lease")], "cancelled")
    assert [job["id"] for job in q.claim(worker)] == [jobs[2]]


def test_cancel_leaves_no_history_where_none_is_kept(q: Caller) -> None:
    q("configure_queue", queue="quiet", settings={"history": "none"})
    q.enqueue(queue="quiet")
    kept = q.enqueue()
    assert bulk(q, "cancel_jobs", {"kind": "noop"}) == (2, 0)
    assert q.sql("select id from pgqueue.job") == [(kept,)]


def test_cancel_of_every_room(q: Caller) -> None:
    script = script_of(q, "select 1")
    query = q.one("submit_query", sql="select 1")["id"]
    q.value("batch_submit", app="a", op="o", rows=Jsonb([{"line": 1, "input": {}}]))
    q.value("batch_submit", app="a", op="o", rows=Jsonb([{"line": 1, "input": {}}]), hold=True)
    q.one("keyed_add", queue="k", key="x", payload="p")
    assert bulk(q, "cancel_jobs", {"after_id": 0}) == (5, 0)
    assert q.places() == {"ready": 2}  # the callbacks of the batches
    assert q.states([script, query]) == ["cancelled", "cancelled"]
    assert q.sql("select status from pgqueue.batch order by id") == [("aborted",), ("aborted",)]
    assert q.sql("select count(*) from pgqueue.keyed_item") == [(0,)]


def test_items_that_clients_hold_are_cancelled_at_once(q: Caller) -> None:
    q.one("keyed_add_and_claim", queue="k", key="x", payload="p")
    q.one("keyed_add_and_claim", queue="k", key="y", payload="p")
    assert bulk(q, "cancel_jobs", {"queue": "k", "state": "running"}) == (2, 0)
    assert q.sql("select count(*) from pgqueue.keyed_item") == [(0,)]


def crashed(q: Caller) -> int:
    """A job whose worker was lost."""
    job = q.enqueue(args={"n": 1})
    q.claim(q.worker())
    q.clock("2100-01-01")
    q("maintain", duties=["rescue"])
    assert q.places()["suspect"] == 1
    return job


def test_a_job_that_came_out_of_a_crash_is_moved_edited_and_cancelled(q: Caller) -> None:
    job = crashed(q)
    assert bulk(q, "move_jobs", {"queue": "default"}, queue="b") == (1, 0)
    assert q.one("edit_job", id=job, args={"n": 2})["changed"]
    assert bulk(q, "set_priority_of_jobs", {"queue": "b"}, priority=4) == (1, 0)
    worker = q.worker("b")
    assert q.claim(worker) == []
    (claimed,) = q.claim(worker, queues=["b"])
    assert (claimed["id"], claimed["args"], claimed["crashes"], claimed["priority"]) == (job, {"n": 2}, 1, 4)
    q.settle([claimed], "release")
    assert bulk(q, "cancel_jobs", {"queue": "b"}) == (1, 0)
    assert q.places() == {}


# Retry


def test_a_redrive_by_error(q: Caller) -> None:
    worker = q.worker()
    jobs = [q.enqueue(), q.enqueue()]
    fail(q, worker)
    other = q.enqueue()
    fail(q, worker, type="Other")
    assert bulk(q, "retry_jobs", {"error_type": "Boom", "queue": "default"}) == (2, 0)
    assert q.states([*jobs, other]) == ["queued", "queued", "failed"]
    ((event, data),) = events(q, jobs[0])
    assert (event, data["state"], data["reason"]) == ("retried", "failed", "error")
    assert [job["id"] for job in q.claim(worker)] == jobs


def test_a_redrive_with_a_rate_goes_on_over_batches(q: Caller) -> None:
    q.clock("2030-01-01 12:00:00+00")
    worker = q.worker()
    jobs = [q.enqueue() for _ in range(6)]
    fail(q, worker)
    row = q.one("retry_jobs", filter={"state": "failed"}, max=4, rate_limit=2, rate_period="10 seconds")
    assert (row["done"], row["more"]) == (4, True)
    row = q.one(
        "retry_jobs",
        filter={"state": "failed"},
        after=row["last"],
        rate_limit=2,
        rate_period="10 seconds",
        starts_at=row["next_at"],
    )
    assert (row["done"], row["more"]) == (2, False)
    assert q.state(jobs[0]) == "queued"
    due = q.sql("select extract(epoch from run_at - pgqueue._now())::int from pgqueue.scheduled order by job_id")
    assert [seconds for (seconds,) in due] == [5, 10, 15, 20, 25]


def test_a_key_that_is_taken_skips_one_job(q: Caller) -> None:
    worker = q.worker()
    jobs = [q.enqueue(unique_key=key) for key in ("a", "b", "c")]
    fail(q, worker)
    holder = q.enqueue(unique_key="b")
    assert bulk(q, "retry_jobs", {"state": "failed"}) == (2, 1)
    assert q.states(jobs) == ["queued", "failed", "queued"]
    assert q.state(holder) == "queued"


def test_what_cannot_run_again_is_skipped(q: Caller) -> None:
    script = script_of(q, "select 1")
    q("cancel", id=script)
    live, failed = q.enqueue(), q.enqueue(queue="b")
    fail(q, q.worker("b"), "b")
    assert bulk(q, "retry_jobs", {"ids": [script, live, failed]}) == (1, 2)
    assert q.states([script, live, failed]) == ["cancelled", "queued", "queued"]


# Priority


def test_priorities_of_many(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    plain, later = q.enqueue(), q.enqueue(delay="1 hour")
    first, second = q.enqueue(group_key="g"), q.enqueue(group_key="g")
    high = q.enqueue(priority=5)
    worker = q.worker()
    (taken,) = q.claim(worker, 1)
    assert taken["id"] == high
    q.sql("set jit = off; select pgqueue._admit('default', 10)")
    assert q.state(second) == "held"
    assert bulk(q, "set_priority_of_jobs", {"queue": "default"}, priority=7) == (4, 0)
    assert bulk(q, "set_priority_of_jobs", {"queue": "default"}, priority=7) == (0, 4)
    assert [q.one("job", id=job)["priority"] for job in (plain, later, first, second)] == [7] * 4
    assert events(q, plain) == [("priority changed", {"from": 0, "to": 7})]
    assert sorted(job["id"] for job in q.claim(worker)) == [plain, first]
    assert q.state(later) == "scheduled"


# Move


def test_a_move_takes_everything_along(q: Caller) -> None:
    q("configure_queue", queue="a", settings={"group_limit": 1})
    plain = q.enqueue(queue="a", args={"n": 1}, expires_in="1 hour", timeout="1 min")
    later = q.enqueue(queue="a", delay="1 hour")
    keyed = q.enqueue(queue="a", unique_key="k")
    first, second = q.enqueue(queue="a", group_key="g"), q.enqueue(queue="a", group_key="g")
    low = q.enqueue(queue="a", priority=-3)
    q("set_priority", id=plain, priority=2)
    worker = q.worker("a", "b")
    q.sql("set jit = off; select pgqueue._admit('a', 10)")
    q.claim(worker, 1, ["a"])
    assert q.state(second) == "held"
    assert q.state(plain) == "running"
    assert bulk(q, "move_jobs", {"queue": "a"}, queue="b") == (5, 0)
    assert {q.one("job", id=job)["queue"] for job in (later, keyed, first, second, low)} == {"b"}
    assert q.enqueue(queue="b", unique_key="k") == keyed
    assert q.enqueue(queue="a", unique_key="k") != keyed
    assert q.state(later) == "scheduled"
    assert events(q, low) == [("moved", {"from": "a", "to": "b"})]
    taken = q.claim(worker, queues=["b"])
    assert [job["id"] for job in taken] == [keyed, first, second, low]  # no limit there
    assert {job["queue"] for job in taken} == {"b"}
    assert q.settle(taken) == []
    q.clock("2100-01-01")
    q("maintain", duties=["promote"])
    assert [job["id"] for job in q.claim(worker, queues=["b"])] == [later]


def test_a_move_under_a_limit_takes_turns_there(q: Caller) -> None:
    for queue in ("a", "b"):
        q("configure_queue", queue=queue, settings={"group_limit": 1})
    worker = q.worker("a", "b")
    there = q.enqueue(queue="b", group_key="g")
    jobs = [q.enqueue(queue="a", group_key="g") for _ in range(2)]
    (running,) = q.claim(worker, queues=["b"])
    assert running["id"] == there
    q.sql("set jit = off; select pgqueue._admit('a', 10)")
    assert bulk(q, "move_jobs", {"queue": "a"}, queue="b") == (2, 0)
    assert q.claim(worker, queues=["a", "b"]) == []
    assert q.sql("select count(*) from pgqueue.slot where queue = 'a'") == [(0,)]
    for job in jobs:
        assert q.settle([running]) == []
        (running,) = q.claim(worker, queues=["b"])
        assert running["id"] == job


def test_a_key_that_is_taken_there_stays_behind(q: Caller) -> None:
    jobs = [q.enqueue(queue="a", unique_key=key) for key in ("x", "y")]
    q.enqueue(queue="b", unique_key="x")
    assert bulk(q, "move_jobs", {"queue": "a"}, queue="b") == (1, 1)
    assert [q.one("job", id=job)["queue"] for job in jobs] == ["a", "b"]
    assert q.enqueue(queue="a", unique_key="x") == jobs[0]


def test_scripts_and_queries_move_and_slices_and_items_stay(q: Caller) -> None:
    script = script_of(q, "select 1", queue="s")
    waits = script_of(q, "select 2", queue="s")
    query = q.one("submit_query", sql="select 1", queue="s")["id"]
    q.value("batch_submit", app="a", op="o", rows=Jsonb([{"line": 1, "input": {}}]))
    q.one("keyed_add", queue="k", key="x", payload="p")
    worker = q.worker("s", "t")
    first = q.claim(worker, 1, ["s"])[0]["id"]  # those that wait stand in line now
    assert first == script
    assert bulk(q, "move_jobs", {"after_id": 0}, queue="t") == (2, 2)
    q.settle(q.sql("select 1 where false"))
    assert q.one("job", id=waits)["queue"] == "t"
    assert q.value("script_report", id=waits)["status"]
    assert {row["id"] for row in q("scripts", queue="t")} == {waits}
    taken = q.claim(worker, queues=["t"])
    assert query in [job["id"] for job in taken]
    assert q.one("submit_query", sql="select 1", queue="s")["id"] == query  # joined, wherever it runs


# Delete


def test_deleted_jobs_are_unknown(q: Caller) -> None:
    worker = q.worker()
    old = [q.enqueue(), q.enqueue()]
    fail(q, worker)
    live = q.enqueue()
    assert bulk(q, "delete_jobs", {"ids": [*old, live]}) == (2, 1)
    for job in old:
        with refused(q, "PQ002"):
            q("job", id=job)
    assert q.sql("select count(*) from pgqueue.attempt_error") == [(0,)]
    assert q.state(live) == "queued"
    with refused(q, "PQ001", "queued"):
        q("delete_jobs", filter={"state": ["failed", "queued"]})


# Side by side


def test_what_another_session_has_locked_is_passed_over(q: Caller, session: Session) -> None:
    user = session()
    jobs = [q.enqueue(args={"n": n}, delay="1 hour" if n % 2 else None) for n in range(40)]
    failed = q.enqueue(queue="f")
    fail(q, q.worker("f"), "f")
    with user.connection.transaction(force_rollback=True):
        user("cancel", id=jobs[3])
        user("set_priority", id=jobs[4], priority=4)
        user("retry", id=failed)
        user.enqueue(queue="elsewhere", unique_key="k")
        assert bulk(q, "set_priority_of_jobs", {"kind": "noop", "queue": "default"}, priority=3) == (38, 2)
        assert bulk(q, "retry_jobs", {"state": "failed"}) == (0, 1)
        assert bulk(q, "delete_jobs", {"state": "failed"}) == (0, 1)
        assert bulk(q, "cancel_jobs", {"queue": "default"}) == (38, 2)
    assert bulk(q, "cancel_jobs", {"queue": "default"}) == (2, 0)
    assert bulk(q, "retry_jobs", {"state": "failed"}) == (1, 0)


def test_an_uncommitted_key_does_not_stop_a_move_or_a_redrive(q: Caller, session: Session) -> None:
    user = session()
    moving = [q.enqueue(queue="a", unique_key=key) for key in ("x", "y")]
    failed = [q.enqueue(queue="f", unique_key=key) for key in ("x", "y")]
    fail(q, q.worker("f"), "f")
    with user.connection.transaction():
        user.enqueue(queue="b", unique_key="x")
        user.enqueue(queue="f", unique_key="x")
        assert bulk(q, "move_jobs", {"queue": "a"}, queue="b") == (1, 1)
        assert bulk(q, "retry_jobs", {"queue": "f"}) == (1, 1)
    assert [q.one("job", id=job)["queue"] for job in moving] == ["a", "b"]
    assert q.states(failed) == ["failed", "queued"]


def test_many_locked_rows_end_a_batch_early_and_the_next_goes_on(q: Caller, session: Session) -> None:
    user = session()
    failed = [q.enqueue(queue="f", unique_key=f"k{n}") for n in range(60)]
    fail(q, q.worker("f"), "f")
    with user.connection.transaction():
        for n in range(60):
            user.enqueue(queue="f", unique_key=f"k{n}")
        row = q.one("retry_jobs", filter={"state": "failed"})
        assert (row["done"], row["skipped"], row["last"], row["more"]) == (0, 40, failed[39], True)
        row = q.one("retry_jobs", filter={"state": "failed"}, after=row["last"])
        assert (row["done"], row["skipped"], row["more"]) == (0, 20, False)


def test_what_is_done_behind_the_end_of_a_batch_is_not_taken_for_skipped(q: Caller, session: Session) -> None:
    """Plain jobs go all at once, also those behind the fortieth that is locked."""
    user = session()
    failed = [q.enqueue(queue="f", unique_key=f"k{n}") for n in range(45)] + [q.enqueue(queue="f") for _ in range(50)]
    fail(q, q.worker("f"), "f")
    with user.connection.transaction():
        for n in range(45):
            user.enqueue(queue="f", unique_key=f"k{n}")
        row = q.one("retry_jobs", filter={"state": "failed"})
        assert (row["done"], row["skipped"], row["last"], row["more"]) == (50, 40, failed[39], True)
        row = q.one("retry_jobs", filter={"state": "failed"}, after=row["last"])
        assert (row["done"], row["skipped"], row["more"]) == (0, 5, False)


def test_a_redrive_of_plain_jobs_is_as_one_by_one(q: Caller) -> None:
    """Jobs that differ in everything that counts for it: what retry makes of each, retry_jobs does."""

    def make(queue: str) -> list[int]:
        q("configure_queue", queue=queue, settings={"group_limit": 1})
        options: list[dict[str, object]] = [
            {},
            {"group_key": "g"},
            {"group_key": "g"},
            {"timeout": "1 minute", "priority": 3},
            {"heartbeat": "1 minute"},
            {"on_error": {"kind": "told"}},
        ]
        jobs = [q.enqueue(queue=queue, max_attempts=1, **given) for given in options]
        q.enqueue(queue="children", depends_on=[jobs[0]], on_parent_failure="wait")
        worker = q.worker(queue)
        for _ in jobs:
            q.settle(q.claim(worker, 1, [queue]), "failed")
        q("maintain", duties=["dependents"])
        return jobs

    one_by_one, at_once = make("one"), make("all")
    for job in one_by_one:
        q("retry", id=job)
    assert bulk(q, "retry_jobs", {"queue": "all", "state": "failed"}) == (len(at_once), 0)
    places = """select * from (
        select job_id, 'ready' as place, traits, priority, attempt from pgqueue.ready
        union all select job_id, 'arrival', traits, priority, attempt from pgqueue.arrival) p
        where job_id = any(%s) order by job_id"""
    assert [row[1:] for row in q.sql(places, one_by_one)] == [row[1:] for row in q.sql(places, at_once)]
    assert len(q.sql(places, at_once)) == len(at_once)
    for one, other in zip(one_by_one, at_once, strict=True):
        told = [
            [(row["event"], row["data"]["state"]) for row in q("job_timeline", id=job) if row["event"] == "retried"]
            for job in (one, other)
        ]
        assert told[0] == told[1] == [("retried", "failed")]


@pytest.mark.parametrize("rounds", [6])
def test_batches_and_workers_side_by_side_come_to_an_end(q: Caller, session: Session, rounds: int) -> None:
    """Cancels, moves, redrives, priorities and deletes over the same jobs, with workers between them."""
    problems: list[BaseException] = []
    stop = threading.Event()
    q("configure_queue", queue="a", settings={"group_limit": 2})
    q("configure_queue", queue="b", settings={"max_running": 5})

    def run(act: Callable[[Caller], object]) -> None:
        mine = session_of[threading.current_thread().name]
        try:
            while not stop.is_set():
                act(mine)
        except psycopg.Error as problem:
            problems.append(problem)

    def work(mine: Caller) -> None:
        worker = mine.worker("a", "b")
        jobs: list[Row] = mine.claim(worker, 7, ["a", "b"])
        mine.settle(jobs[:3], "discard", error={"type": "Boom"})
        mine.settle(jobs[3:5])
        mine("deregister_worker", worker=worker)

    def add(mine: Caller) -> None:
        for n in range(10):
            mine.enqueue("k", queue="ab"[n % 2], group_key=f"g{n % 3}" if n % 4 else None, unique_key=f"u{n}")

    acts: dict[str, Callable[[Caller], object]] = {
        "worker": work,
        "second worker": work,
        "producer": add,
        "cancel": lambda mine: mine("cancel_jobs", filter={"priority": 3}, max=5),
        "there": lambda mine: mine("move_jobs", filter={"queue": "a"}, queue="b", max=20),
        "back": lambda mine: mine("move_jobs", filter={"queue": "b"}, queue="a", max=20),
        "redrive": lambda mine: mine("retry_jobs", filter={"kind": "k"}, max=20),
        "priority": lambda mine: mine("set_priority_of_jobs", filter={"kind": "k"}, priority=3, max=20),
        "delete": lambda mine: mine("delete_jobs", filter={"state": "cancelled"}, max=20),
    }
    session_of = {name: session() for name in acts}
    threads = [threading.Thread(target=run, args=(act,), name=name) for name, act in acts.items()]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        before = q.sql("select last_value from pgqueue.job_id")[0][0]
        while q.sql("select last_value from pgqueue.job_id")[0][0] < before + 100 and not problems:
            pass
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert problems == []
    # Whatever happened, each job is in one place, and everything can be brought to an end.
    assert (
        q.sql(
            """select w.id from (
             select job_id as id from pgqueue.ready union all select job_id from pgqueue.scheduled
             union all select job_id from pgqueue.arrival where job_id is not null
             union all select job_id from pgqueue.blocked union all select job_id from pgqueue.suspect
             union all select job_id from pgqueue.outcome
             union all select e from pgqueue.lease l cross join unnest(l.job_ids) e) w
           right join pgqueue.job j on j.id = w.id group by w.id, j.id having count(w.id) <> 1"""
        )
        == []
    )
    while (row := q.one("cancel_jobs", filter={"kind": "k"}, max=10_000))["more"] or row["done"]:
        pass
    q.sql("delete from pgqueue.arrival where job_id is null")
    q.clock("2100-01-01")
    q("maintain", duties=["tidy"])  # what was asked of jobs that ended first
    assert q.places() == {}


# Jobs that wait for others


def test_jobs_that_wait_for_others(q: Caller) -> None:
    parent = q.enqueue()
    children = [q.enqueue("child", depends_on=[parent], args={"n": n}) for n in range(3)]
    assert found(q, kind="child") == found(q, state="held") == 3
    assert q.one("edit_job", id=children[0], args={"n": 7}) == {"state": "held", "changed": True}
    assert bulk(q, "move_jobs", {"kind": "child"}, queue="b") == (3, 0)
    assert found(q, queue="b", state="held") == 3
    assert bulk(q, "set_priority_of_jobs", {"kind": "child"}, priority=2) == (3, 0)
    assert bulk(q, "cancel_jobs", {"ids": children[2:]}) == (1, 0)
    worker = q.worker("default", "b")
    assert q.settle(q.claim(worker)) == []
    q("maintain")
    claimed = q.claim(worker, queues=["b"])
    assert [(job["id"], job["priority"], job["args"]) for job in claimed] == [
        (children[0], 2, {"n": 7}),
        (children[1], 2, {"n": 1}),
    ]


def test_keys_until_the_start_move_along(q: Caller) -> None:
    job = q.enqueue(queue="a", unique_key="k", unique_until="start")
    assert bulk(q, "move_jobs", {"queue": "a"}, queue="b") == (1, 0)
    assert q.enqueue(queue="b", unique_key="k", unique_until="start") == job
    assert q.enqueue(queue="a", unique_key="k", unique_until="start") != job
