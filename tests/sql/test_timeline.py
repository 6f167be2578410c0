"""The life of one job, told in order."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller


@pytest.fixture
def q(q: Caller) -> Caller:
    q.clock("2030-01-01 00:00:00+00")
    return q


def told(q: Caller, job: int) -> list[tuple[str, str | None]]:
    return [(row["event"], row["detail"]) for row in q("job_timeline", id=job)]


def data(q: Caller, job: int, event: str) -> Any:
    (found,) = [row["data"] for row in q("job_timeline", id=job) if row["event"] == event]
    return found


def test_a_life_with_everything(q: Caller) -> None:
    job = q.enqueue("send", delay="10 seconds", unique_key="u", expires_in="1 hour", max_attempts=2)
    assert told(q, job) == [
        ("enqueued", "send in queue default, unique key u"),
        ("due", None),
        ("expires", "fails then if it has not started"),
    ]
    q.clock("2030-01-01 00:00:01+00")
    q("reschedule", id=job, run_at="2030-01-01 00:00:02+00")
    q.clock("2030-01-01 00:00:02+00")
    q("set_priority", id=job, priority=7)
    q("maintain", duties=["promote"])
    q.clock("2030-01-01 00:00:03+00")
    worker = q.worker()
    (taken,) = q.claim(worker)
    q.clock("2030-01-01 00:00:04+00")
    lines = [{"message": "begun"}, {"message": "odd\nindeed", "level": "warning", "at": "2030-01-01T00:00:05Z"}]
    q("log_lines", lease=taken["lease"], job=job, lines=Jsonb(lines))
    q.clock("2030-01-01 00:00:06+00")
    q("job_heartbeat", lease=taken["lease"], job=job, progress={"at": 1})
    q.clock("2030-01-01 00:00:07+00")
    q.settle([taken], "retry", delay=1, error={"type": "Boom", "message": "no\nreally"})
    q.clock("2030-01-01 00:00:08+00")
    q("maintain", duties=["promote"])
    (taken,) = q.claim(worker)
    q.clock("2030-01-01 00:00:09+00")
    q("cancel", id=job, why="wrong customer")
    q.clock("2030-01-01 00:00:10+00")
    q.settle([taken], "cancelled")
    assert told(q, job) == [
        ("enqueued", "send in queue default, unique key u"),
        ("rescheduled", "from 2030-01-01T00:00:10+00:00, to 2030-01-01T00:00:02+00:00"),
        ("priority changed", "from 0, to 7"),
        ("logged", "2 lines in attempt 1, until 2030-01-01 00:00:05 +00: odd"),
        ("progress", '{"at": 1}'),
        ("attempt failed", f"attempt 1 on worker {worker}: Boom: no"),
        ("claimed", f"attempt 2 of 2 by worker {worker}"),
        ("cancel requested", "wrong customer"),
        ("cancelled", "cancelled_by_user"),
        ("retention ends", "may be forgotten from then on"),
    ]
    logged = data(q, job, "logged")
    assert (logged["lines"], logged["first_line"], logged["last_line"]) == (2, 1, 2)
    assert logged["levels"] == {"info": 1, "warning": 1}
    assert data(q, job, "attempt failed")["error"] == {"type": "Boom", "message": "no\nreally"}
    times = [row["at"] for row in q("job_timeline", id=job)]
    assert times == sorted(times)
    q("retry", id=job)
    assert data(q, job, "retried") | {"finished_at": None} == {
        "state": "cancelled",
        "reason": "cancelled_by_user",
        "attempt": 2,
        "finished_at": None,
    }
    assert "retention ends" not in dict(told(q, job))


def test_other_ends(q: Caller) -> None:
    waits = q.enqueue()
    q("cancel", id=waits, why="enough")
    assert [event for event, _ in told(q, waits)] == ["enqueued", "cancel requested", "cancelled", "retention ends"]
    fine = q.enqueue(group_key="g")
    q.settle(q.claim(q.worker()), result=1)
    assert [event for event, _ in told(q, fine)] == ["enqueued", "claimed", "succeeded", "retention ends"]
    assert told(q, fine)[0] == ("enqueued", "noop in queue default, group g")
    lost = q.enqueue()
    q.claim(q.worker())
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    assert [event for event, _ in told(q, lost)] == ["enqueued", "worker lost"]


def test_what_is_noted_by_others_is_told(q: Caller) -> None:
    job = q.enqueue()
    q.sql(
        "select pgqueue._note_event(%s, 'moved', %s)", job, Jsonb({"from": "a", "to": "b", "why": "full", "no": None})
    )
    q.sql("select pgqueue._note_event(%s, 'touched', null)", job)
    assert told(q, job)[1:] == [("moved", "from a, to b, full"), ("touched", None)]
