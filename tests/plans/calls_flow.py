"""The calls of jobs that wait for others, and of those with follow-ups, whose plans are guarded."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from tests.plans.calls import LEASES, Ids, call
from tests.plans.flow import EACH, FOLLOW_UPS
from tests.plans.population import Population
from tests.sql.calls import Caller


@call(asked=4)
def enqueue_a_child(q: Caller, found: Population) -> Ids:
    parents = [found.one(kind) for kind in ("queued", "succeeded", "failed")]
    return [q.enqueue(depends_on=parents, on_parent_failure="run"), *parents]


@call(asked=64)  # scripts of that owner that wait
def submit_sql_children(q: Caller, found: Population) -> Ids:
    parents = [found.one(kind) for kind in ("queued", "succeeded")]
    follow = {"on_success": Jsonb({"kind": "noop"}), "on_error": Jsonb({"kind": "noop"})}
    query = q.one("submit_query", sql="select 8", owner="owner 3", depends_on=parents, **follow)["id"]
    owner = q.sql("select owner from pgqueue.script where job_id = %s", found.one("lined"))[0][0]
    scripts = [
        q.value("submit_script", document=Jsonb("select 8"), owner=owner, depends_on=waits_for, **follow)
        for waits_for in (parents, parents[1:])
    ]
    q("query_status", id=query)
    q("scripts", owner=owner, state="held", max=1)
    q("cancel_query", id=query)
    q("cancel_script", id=scripts[0])
    return [query, *scripts, *parents]


@call(asked=100)
def enqueue_many_children(q: Caller, found: Population) -> Ids:
    q("enqueue_each", kind="noop", args=[{}] * 100, depends_on=found.some("queued", 10))
    return None


@call(asked=103)
def enqueue_a_graph(q: Caller, found: Population) -> Ids:
    jobs: list[dict[str, Any]] = [{"kind": "noop", "ref": "0", "depends_on": found.some("queued", 3)}]
    jobs += [{"kind": "noop", "ref": str(n), "depends_on": [str(n - 1)], **FOLLOW_UPS} for n in range(1, 100)]
    q.sql("select count(*) from pgqueue.enqueue_many(%s)", Jsonb(jobs))
    return None


@call(asked=101)
def enqueue_the_last_of_a_group(q: Caller, found: Population) -> Ids:
    members = [row["id"] for row in q("enqueue_each", kind="noop", args=[{}] * 100)]
    return [*members, q.enqueue(depends_on=members)]


def _settle(q: Caller, found: Population, queue: str, n: int, outcome: str = "succeeded") -> None:
    taken = q.claim(found.workers[0], n, [queue])
    assert taken
    assert q.settle(taken, outcome) == []


@call(asked=10 * EACH)
def settle_parents(q: Caller, found: Population) -> Ids:
    _settle(q, found, "parents", 10)
    return None


@call(asked=10 * EACH)
def settle_parents_that_failed(q: Caller, found: Population) -> Ids:
    _settle(q, found, "parents", 10, "discard")
    return None


@call(asked=10)
def settle_with_follow_ups(q: Caller, found: Population) -> Ids:
    _settle(q, found, "followed", 10)
    return None


@call(asked=EACH)
def cancel_a_parent(q: Caller, found: Population) -> Ids:
    q("cancel", id=found.one("parent"))
    return None


@call(asked=EACH)
def retry_a_parent_and_its_child(q: Caller, found: Population) -> Ids:
    child = found.one("waiting")
    parent = found.ids["parent"].start + (child - found.ids["waiting"].start) // EACH
    q("cancel", id=child)
    q("retry", id=child)
    q("cancel", id=parent)
    q("retry", id=parent)
    return None


@call(asked=3, whole={"why": LEASES})
def change_a_child(q: Caller, found: Population) -> Ids:
    job = found.one("waiting")
    q("set_priority", id=job, priority=4)
    q("reschedule", id=job, run_at="2100-01-01")
    q("why", id=job)
    return None


@call(asked=2 * EACH)
def parents_and_children(q: Caller, found: Population) -> Ids:
    q("parents", id=found.one("waiting"))
    q("children", id=found.one("parent"))
    q("group_status", id=found.one("waiting"))
    return None
