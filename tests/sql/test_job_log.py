"""Log lines of jobs: in order, bounded, only while the lease holds, gone with the job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row, blocked, wait_until


def running(q: Caller, **options: Any) -> Row:
    """A job that runs."""
    job = q.enqueue(**options)
    (taken,) = q.claim(q.worker(options.get("queue", "default")), queues=[options.get("queue", "default")])
    assert taken["id"] == job
    return taken


def log(q: Caller, job: Row, *lines: str | dict[str, Any]) -> int:
    made = [line if isinstance(line, dict) else {"message": line} for line in lines]
    return int(q.value("log_lines", lease=job["lease"], job=job["id"], lines=Jsonb(made)))


def messages(q: Caller, job: Row, **options: Any) -> list[tuple[int, str]]:
    return [(row["line"], row["message"]) for row in q("job_log", id=job["id"], **options)]


def test_lines_are_numbered_over_all_attempts(q: Caller) -> None:
    q.clock("2030-01-01 00:00:00+00")
    job = running(q)
    assert log(q, job, "begun", {"message": "half", "level": "debug", "fields": {"rows": 7}}) == 2
    assert log(q, job) == 0
    q.settle([job], "retry", delay=0, error={"type": "E"})
    (again,) = q.claim(q.worker())
    assert log(q, again, {"message": "anew", "level": None, "at": "2029-12-31T23:00:00Z", "fields": None}) == 1
    q.settle([again])
    found = q.sql("select line, at::text, attempt, level, message, fields from pgqueue.job_log(%s)", job["id"])
    assert found == [
        (1, "2030-01-01 00:00:00+00", 1, "info", "begun", None),
        (2, "2030-01-01 00:00:00+00", 1, "debug", "half", {"rows": 7}),
        (3, "2029-12-31 23:00:00+00", 2, "info", "anew", None),
    ]


def test_a_reader_reads_on_where_it_was(q: Caller) -> None:
    job = running(q)
    log(q, job, *"abcde")
    assert messages(q, job, max=2) == [(1, "a"), (2, "b")]
    assert messages(q, job, after=2, max=2) == [(3, "c"), (4, "d")]
    assert messages(q, job, after=5) == []


def test_a_log_has_an_end_and_says_so_once(q: Caller) -> None:
    q("configure", settings={"job_log_lines": 3, "job_log_chars": 5})
    job = running(q)
    assert log(q, job, "a", "bbbbbbbb") == 2
    assert log(q, job, {"message": "c", "fields": {"text": "long"}}, "d", "e") == 1
    assert log(q, job, "f") == 0
    found = q("job_log", id=job["id"])
    assert [row["message"] for row in found] == ["a", "bbbbb", "c", "more lines were dropped: the log of a job keeps 3"]
    assert found[2]["fields"] == {"cut": '{"tex'}
    assert (found[3]["line"], found[3]["level"], found[3]["fields"]) == (4, "warning", {"dropped": True})
    full = running(q)
    q("configure", settings={"job_log_lines": 0})
    assert log(q, full, "nothing") == 0
    assert len(messages(q, full)) == 1


def test_a_lease_that_is_lost_writes_nothing(q: Caller) -> None:
    job = running(q)
    other = running(q, queue="other")
    q.settle([job])
    for lease, id in ((job["lease"], job["id"]), (other["lease"], job["id"]), (job["lease"], other["id"])):
        with pytest.raises(psycopg.Error) as raised:
            q("log_lines", lease=lease, job=id, lines=Jsonb([{"message": "late"}]))
        assert raised.value.diag.sqlstate == "PQ004"
    assert messages(q, job) == messages(q, other) == []


def test_two_calls_for_one_job_take_turns_and_others_do_not_wait(q: Caller, session: Callable[[], Caller]) -> None:
    one, two = session(), session()
    for _ in range(2):
        q.enqueue()
    job, beside = q.claim(q.worker())
    pid = two.connection.info.backend_pid
    with one.connection.transaction():
        assert log(one, job, "first") == 1
        thread = threading.Thread(target=log, args=(two, job, "second", "third"))
        thread.start()
        wait_until(lambda: blocked(q, pid), "the second call waits for the first")
        assert log(q, beside, "no matter") == 1
        assert q.settle([beside]) == []  # of the same lease: it is not locked by lines of another job
    thread.join(10)
    assert messages(q, job) == [(1, "first"), (2, "second"), (3, "third")]


@pytest.mark.parametrize("history", ["failed", "none"])
@pytest.mark.parametrize("outcome", ["succeeded", "discard"])
def test_what_is_forgotten_leaves_no_lines(q: Caller, history: str, outcome: str) -> None:
    q("configure_queue", queue="brief", settings={"history": history})
    kept = running(q)
    log(q, kept, "stays")
    job = running(q, queue="brief")
    silent = q.enqueue(queue="brief")
    log(q, job, "goes")
    q("set_priority", id=silent, priority=3)
    (other,) = q.claim(q.worker("brief"), queues=["brief"])
    q.settle([job], outcome)
    q.settle([other], outcome)
    stays = history == "failed" and outcome == "discard"
    ids = {kept["id"], job["id"]} if stays else {kept["id"]}
    assert {id for (id,) in q.sql("select job_id from pgqueue.job_log")} == ids
    assert q.sql("select count(*) from pgqueue.job_event") == [(int(stays),)]


def test_lines_go_with_their_job_when_a_block_is_thinned(q: Caller) -> None:
    q.clock("2030-01-01 00:00:00+00")
    q("configure_queue", queue="brief", settings={"retention": "1 hour"})
    jobs = [running(q), running(q, queue="brief")]
    for job in jobs:
        log(q, job, "line")
        q.settle([job])
    q.sql("select setval('pgqueue.job_id', (select min(high) from pgqueue.block))")
    q("maintain", duties=["blocks"])
    q.clock("2030-01-02 00:00:00+00")
    assert q("maintain", duties=["retention"])[0]["error"] is None
    assert q.sql("select job_id from pgqueue.job_log") == [(jobs[0]["id"],)]
    q.clock("2030-01-09 00:00:00+00")
    q("maintain", duties=["retention"])
    assert q.sql("select to_regclass('pgqueue.job_log_0'), to_regclass('pgqueue.job_event_0')") == [(None, None)]
