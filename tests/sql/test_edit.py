"""Edits of jobs that do not run."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import refused

Session = Callable[[], Caller]


def test_a_waiting_job_runs_with_its_new_arguments(q: Caller) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    jobs = [
        q.enqueue(args={"n": 1}, headers={"a": 1}),
        q.enqueue(group_key="g"),
        q.enqueue(group_key="g"),
        q.enqueue(delay="1 hour", unique_key="u"),
    ]
    q.sql("set jit = off; select pgqueue._admit('default', 10)")
    later = q.one("job", id=jobs[3])["run_at"]
    for job in jobs:
        before = q.one("result", id=job)["state"]
        assert q.one("edit_job", id=job, args={"n": -job}) == {"state": before, "changed": True}
        assert q.one("edit_job", id=job, args={"n": -job}) == {"state": before, "changed": False}
    assert q.one("job", id=jobs[0])["headers"] == {"a": 1}
    assert q.one("edit_job", id=jobs[0], headers={"b": 2})["changed"]
    assert q.one("job", id=jobs[3])["run_at"] == later
    assert q.sql("select event, data from pgqueue.job_event where job_id = %s order by at", jobs[0]) == [
        ("edited", {"args": {"n": 1}}),
        ("edited", {"headers": {"a": 1}}),
    ]
    claimed = q.claim(q.worker())
    assert {job["id"]: job["args"] for job in claimed} == {job: {"n": -job} for job in jobs[:2]}
    assert claimed[0]["headers"] == {"b": 2}


@pytest.mark.parametrize("outcome", ["discard", "cancelled"])
def test_a_job_that_ended_badly_is_mended_and_run_again(q: Caller, outcome: str) -> None:
    worker = q.worker()
    job = q.enqueue(args={"to": "ada@"})
    q.settle(q.claim(worker), outcome)
    assert q.one("edit_job", id=job, args={"to": "ada@b.c"})["changed"]
    q("retry", id=job)
    assert q.claim(worker)[0]["args"] == {"to": "ada@b.c"}


def test_what_cannot_be_edited_is_refused(q: Caller) -> None:
    worker = q.worker()
    done = q.enqueue()
    q.settle(q.claim(worker))
    running = q.enqueue()
    q.claim(worker)
    script = q.value("submit_script", document=Jsonb({"query": "select 1"}), owner="o")
    in_line = q.value("submit_script", document=Jsonb({"query": "select 1"}), owner="o")
    query = q.one("submit_query", sql="select 1")["id"]
    q.value("batch_submit", app="a", op="o", rows=Jsonb([{"line": 1, "input": {}}]), hold=True)
    ((slice_,),) = q.sql("select job_id from pgqueue.batch_slice")
    item = q.one("keyed_add", queue="k", key="x", payload="p")["id"]
    assert q.claim(worker, 1, ["scripts"])[0]["id"] == script
    for job, *words in (
        (done, "succeeded"),
        (running, "running"),
        (script, "sql.script"),
        (in_line, "sql.script"),
        (query, "sql.query"),
        (slice_, "rows.slice"),
        (item, "keyed.item"),
    ):
        with refused(q, "PQ005", *words):
            q("edit_job", id=job, args={"n": 1})
    with refused(q, "PQ002"):
        q("edit_job", id=10**12, args={})


def test_bad_arguments_are_refused(q: Caller) -> None:
    job = q.enqueue()
    for call in (
        f"edit_job({job})",
        f"edit_job({job}, '[]')",
        f"edit_job({job}, 'null')",
        f"edit_job({job}, '{{}}', '3')",
    ):
        with refused(q):
            q.sql(f"select * from pgqueue.{call}")


def test_an_edit_in_progress_is_skipped_by_claims_and_met_by_other_edits(q: Caller, session: Session) -> None:
    user, other = session(), session()
    job = q.enqueue(args={"n": 0})
    worker = q.worker()
    with user.connection.transaction():
        user("edit_job", id=job, args={"n": 1})
        assert q.claim(worker) == []
        other.sql("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other("edit_job", id=job, args={"n": 2})
    assert q.claim(worker)[0]["args"] == {"n": 1}


def test_a_retry_waits_for_the_edit_of_its_job(q: Caller, session: Session) -> None:
    user, other = session(), session()
    job = q.enqueue()
    worker = q.worker()
    q.settle(q.claim(worker), "discard")
    retry = threading.Thread(target=lambda: other("retry", id=job))
    with user.connection.transaction():
        user("edit_job", id=job, args={"n": 1})
        retry.start()
        wait_until(lambda: blocked(q, other.connection.info.backend_pid), "the retry waits")
    retry.join(20)
    assert q.claim(worker)[0]["args"] == {"n": 1}
