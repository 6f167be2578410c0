"""An id of a batch or slow query where one of a job may stand: it is waited for like a job, and what is of jobs only
says where to look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.sql.batches import QUEUE, hand_in, said, slow, submit, take, work
from tests.sql.calls import Caller
from tests.sql.support import refused
from tests.sql.test_waking import heard, listening

Session = Callable[[], Caller]


def test_batches_and_slow_queries_are_waited_for_by_their_ids(q: Caller, session: Session) -> None:
    held, batch, query = submit(q, 2, hold=True), submit(q, 2, slice_size=1), slow(q)
    listener = listening(session, "pgqueue_done")
    seen = listener("watch", jobs=[batch, held, query])
    assert [(row["job_id"], row["state"]) for row in seen] == [(batch, "queued"), (held, "held"), (query, "queued")]
    jobs = take(q, q.worker(QUEUE))
    assert [q.state(id) for id in (batch, query)] == ["running", "running"]
    hand_in(q, jobs[0], lambda row: said(row, "failed"))
    assert heard(listener) == []
    q.settle([jobs[1]], "release")
    assert q.state(batch) == "running", "one of its rows is done"
    for job in [*take(q, q.worker(QUEUE)), jobs[2]]:
        hand_in(q, job, lambda row: said(row, result=[1]))
    assert {payload for _, payload in heard(listener)} == {str(batch), str(query)}
    q("batch_abort", id=held)
    assert heard(listener) == [("pgqueue_done", str(held))]
    states = [row["state"] for row in listener("watch", jobs=[batch, held, query])]
    assert states == ["failed", "cancelled", "succeeded"]


def test_results_of_batches_and_slow_queries(q: Caller) -> None:
    batch, aborted = submit(q, 3), submit(q, 2, hold=True)
    good, bad, stopped = slow(q, "good"), slow(q, "bad"), slow(q, "stopped")
    assert set(q.one("result", id=batch).values()) == {"queued", None}
    q("batch_abort", id=aborted)
    q("slow_query_abort", id=stopped)
    message = {"msgid": 10, "errcode": "processing_error", "vals": ["no such table"]}

    def judge(row: list[Any]) -> dict[str, Any]:
        fails = row[2] == "bad" or row[1] == 3
        return said(row, "failed" if fails else "succeeded", result={"of": row[1]}, messages=[message] * fails)

    work(q, q.worker(QUEUE), judge)

    def result(id: int) -> tuple[object, ...]:
        return tuple(q.one("result", id=id).values())

    error = {"type": "RowsFailed", "message": "1 of 3 rows failed"}
    assert result(batch) == ("failed", "error", {"succeeded": 2, "failed": 1, "aborted": 0}, error)
    assert result(aborted) == ("cancelled", "aborted", {"succeeded": 0, "failed": 0, "aborted": 2}, None)
    assert result(good) == ("succeeded", None, {"of": 0}, None)
    error = {"type": "SlowQueryFailed", "message": "no such table", "messages": [message]}
    assert result(bad) == ("failed", "error", {"of": 0}, error)
    assert result(stopped) == ("cancelled", "aborted", None, None)
    for id, state in ((batch, "failed"), (aborted, "cancelled"), (good, "succeeded")):
        assert q.sql("call pgqueue.wait(%s)", id)[0][0] == state
    q("batch_purge", older_than="0")
    with refused(q, "PQ002", "unknown"):
        q("watch", jobs=[batch])


def test_what_is_of_jobs_only_says_where_to_look(q: Caller) -> None:
    for id, hint in ((submit(q), "batch_status"), (slow(q), "slow_query_status")):
        for call in ("job", "attempts", "cancel", "retry", "set_priority", "reschedule"):
            more = {"set_priority": {"priority": 1}, "reschedule": {"run_at": "2030-01-01"}}.get(call, {})
            with pytest.raises(psycopg.Error) as refusal:
                q(call, id=id, **more)
            assert (refusal.value.sqlstate, hint in str(refusal.value.diag.message_hint)) == ("PQ002", True)


def test_why_a_batch_is_not_done(q: Caller) -> None:
    batch = submit(q, 5, hold=True, slice_size=2)
    first, _, last = (job for (job,) in q.sql("select job_id from pgqueue.batch_slice order by 1"))

    def why(id: int = batch) -> str:
        return str(q.value("why", id=id))

    assert why() == f"Batch {batch} is held, with 5 rows so far: call pgqueue.batch_release({batch})."
    assert why(first).startswith(f"Job {first} (2 rows of batch {batch}) waits for the release of batch {batch}: call ")
    assert why(last).startswith(f"Job {last} (one row of batch {batch}) waits")
    q("batch_release", id=batch)
    none = f"0 of the 5 rows of batch {batch} are done; "
    assert why() == f"{none}no live worker serves queue app/op: start one that has a processor for app app, op op."
    worker = q.worker(QUEUE)
    assert why().startswith(f"{none}no worker has more of it just now, one serves queue app/op.")
    q("pause_queue", queue=QUEUE)
    assert why().startswith(f"{none}queue app/op is paused since ")
    q("resume_queue", queue=QUEUE)
    q("configure_queue", queue=QUEUE, settings={"max_running": 1})
    other = slow(q, priority=1)
    (job,) = take(q, worker, 1)
    assert why() == f"{none}queue app/op runs 1 jobs already, its max_running is 1."
    assert why(other) == f"Slow query {other} is not done; workers have it."
    assert why(job["id"]).startswith(f"Job {job['id']} (slow query {other}) is running: worker {worker} claimed it ")
    hand_in(q, job)
    assert why(other).startswith(f"Slow query {other} is final: it succeeded at ")
    q("configure_queue", queue=QUEUE, settings={"max_running": None})
    jobs = [job for job in take(q, worker) if job["kind"] != "rows.done"]
    assert why() == f"{none}workers have 3 slices of it."
    hand_in(q, jobs[0])
    assert why() == f"2 of the 5 rows of batch {batch} are done; workers have 2 slices of it."
    hand_in(q, jobs[1], lambda row: said(row, "failed"))
    hand_in(q, jobs[2])
    assert why().startswith(f"Batch {batch} is final: it failed at ")
    assert why().endswith("; of its 5 rows 3 succeeded, 2 failed, 0 were aborted.")
    (done,) = take(q, worker)
    assert why(done["id"]).startswith(f"Job {done['id']} (completion of {batch}) is running")


def test_why_of_a_job_that_only_calls_itself_a_slice(q: Caller) -> None:
    for kind in ("rows.slice", "rows.slow", "rows.done"):
        job = q.enqueue(args={"batch": 7, "rows": 5})
        q.sql("update pgqueue.job set kind = %s where id = %s", kind, job)
        assert q.value("why", id=job)
