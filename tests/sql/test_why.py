"""Why a job does not run: one sentence, the reason that would have to be removed first."""

from __future__ import annotations

import re

from tests.sql.calls import Caller


def why(q: Caller, job: int) -> str:
    """The sentence, numbers of the clock left out."""
    return re.sub(r"\d\d:\d\d:\d\d(\.\d+)?", "…", str(q.value("why", id=job)))


def test_what_waits_in_the_queue(q: Caller) -> None:
    job, next = q.enqueue(), q.enqueue()
    assert why(q, job) == "No live worker serves queue default: start one."
    worker = q.worker()
    assert why(q, job) == (f"Job {job} is queued: nothing is ahead of it in queue default, which one worker serves.")
    q.enqueue(priority=5)
    q.worker()
    assert why(q, next) == f"Job {next} is queued: 2 jobs are ahead of it in queue default, which 2 workers serve."
    q.claim(worker, 1)
    q("configure_queue", queue="default", settings={"max_running": 1})
    assert why(q, next) == "Queue default runs 1 jobs already, its max_running is 1."
    q("pause_queue", queue="default")
    assert why(q, next).startswith("Queue default is paused since ")


def test_what_waits_elsewhere(q: Caller) -> None:
    q.clock("2030-01-01 00:00:00+00")
    worker = q.worker()
    later = q.enqueue(delay="1 hour")
    assert why(q, later) == f"Job {later} waits for 2030-01-01 … +00 (in …)."
    q("configure_queue", queue="grouped", settings={"group_limit": 1})
    held = [q.enqueue(queue="grouped", group_key="g") for _ in range(2)][1]
    q.claim(q.worker("grouped"), queues=["grouped"])
    assert why(q, held) == f"Job {held} waits for its turn: group g of queue grouped runs at most 1 at a time."
    again = q.enqueue()
    (taken,) = q.claim(worker)
    assert why(q, again) == f"Job {again} is running: worker {worker} claimed it … ago."
    q("cancel", id=again)
    assert why(q, again).endswith(", and was asked to cancel it.")
    q.settle([taken], "cancelled")
    assert why(q, again) == f"Job {again} is final: it was cancelled (cancelled_by_user) at 2030-01-01 … +00."
    q.clock("2030-01-01 02:00:00+00")
    assert why(q, later).startswith(f"Job {later} has been due since 2030-01-01 … +00, but no upkeep")
