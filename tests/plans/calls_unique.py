"""Calls with unique keys that are replaced, given up and taken over."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from tests.plans.calls import Ids, _ids, call
from tests.plans.population import Population
from tests.sql.calls import Caller


@call(asked=400)  # fifty jobs with all their options; each holder is found where it waits
def enqueue_replacing(q: Caller, found: Population) -> Ids:
    jobs = found.some("keyed", 50)
    options = {"kind": "noop", "queue": "keyed", "args": {"n": 1}}
    elements = [
        {**options, "unique_key": f"key {job}", "on_duplicate": "debounce" if n % 2 else "replace", "delay": n % 3}
        for n, job in enumerate(jobs)
    ]
    return [job for (job,) in q.sql("select id from pgqueue.enqueue_many(%s)", Jsonb(elements))]


@call(asked=400)  # a hundred jobs, claimed, and back again; half of their keys are held by others then
def start_keys(q: Caller, found: Population) -> Ids:
    options = {"unique_until": "start", "queue": "by start"}
    keys = [f"new {n}" for n in range(100)]
    made = _ids(q("enqueue_each", kind="noop", args=[{}] * 100, unique_keys=keys, **options))
    taken = q.claim(found.workers[0], 100, ["by start"])
    again = _ids(q("enqueue_each", kind="noop", args=[{}] * 50, unique_keys=keys[:50], **options))
    assert q.settle(taken, "failed", error={}) == []
    return made + again


@call(asked=400)  # a hundred keys whose period is over
def enqueue_over_old_keys(q: Caller, found: Population) -> Ids:
    jobs = found.some("keyed", 100)
    keys = [f"key {job}" for job in jobs]
    with q.connection.transaction():
        q.sql("set local enable_seqscan = off")
        q.sql("update pgqueue.job_key set until = '2000-01-01' where job_id = any(%s)", jobs)
        q.sql("set local enable_seqscan = on")
    return _ids(q("enqueue_each", kind="noop", args=[{}] * len(keys), queue="keyed", unique_keys=keys))
