"""jobs(): every filter, alone and together, page by page, says what job() says of each job."""

from __future__ import annotations

from itertools import chain, product

import pytest

from tests.sql.calls import Caller, Row

STATES = ("scheduled", "queued", "held", "running", "succeeded", "failed", "cancelled")
KINDS, QUEUES = ("noop", "mail"), ("default", "other", "grouped")
COLUMNS = ("id", "queue", "kind", "state", "reason", "priority", "attempt", "max_attempts", "run_at", "worker_id")


@pytest.fixture
def known(q: Caller) -> list[Row]:
    """What job() says of jobs in every state and place, twice over, newest first."""
    q("configure_queue", queue="grouped", settings={"group_limit": 1})
    q("configure_queue", queue="other", settings={"max_attempts": 3})
    ids = [_one_of_each(q, kind, queue) for kind in KINDS for queue in QUEUES for _ in range(2)]
    jobs = [q.one("job", id=job) for job in sorted(chain(*ids), reverse=True)]
    assert {job["state"] for job in jobs} == set(STATES)
    return jobs


def _one_of_each(q: Caller, kind: str, queue: str) -> list[int]:
    worker = q.worker(queue)
    made = [q.enqueue(kind, queue=queue, priority=9) for _ in range(4)]
    _, succeeded, failed, again = q.claim(worker, 4, [queue])
    assert q.settle([succeeded]) == q.settle([failed], "discard") == q.settle([again], "release") == []
    made += [q.enqueue(kind, queue=queue, delay="1 hour"), q.enqueue(kind, queue=queue), q.enqueue(kind, queue=queue)]
    q("set_priority", id=made[-1], priority=-1)
    cancelled = q.enqueue(kind, queue=queue)
    q("cancel", id=cancelled)
    made += [cancelled]
    if queue == "grouped":
        made += [q.enqueue(kind, queue=queue, group_key="one") for _ in range(2)]
        q("maintain", duties=["admit"])
    return made


def test_pages(q: Caller, known: list[Row]) -> None:
    for state, queue, kind in product((None, *STATES), (None, "other"), (None, "mail")):
        given = {"state": state, "queue": queue, "kind": kind}
        wanted = [job for job in known if all(value in (None, job[name]) for name, value in given.items())]
        found: list[Row] = []
        while page := q("jobs", **given, before=found[-1]["id"] if found else None, max=3):
            found += page
        assert [[job[name] for name in COLUMNS] for job in found] == [[job[name] for name in COLUMNS] for job in wanted]
        assert q("jobs", **given, max=10000) == found
