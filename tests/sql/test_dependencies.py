"""Jobs that wait for others: held until their parents have ended, whatever happens to these, and then on at once."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller
from tests.sql.support import refused


def graph(q: Caller, *jobs: dict[str, Any]) -> list[int]:
    return [row["id"] for row in q("enqueue_many", jobs=Jsonb([{"kind": "noop", **job} for job in jobs]))]


def end(q: Caller, worker: int, *jobs: int, outcome: str = "succeeded", **more: Any) -> None:
    """Claims until these have been seen, and hands in the outcome; others are given back."""
    taken = q.claim(worker)
    mine = [job for job in taken if job["id"] in jobs]
    assert {job["id"] for job in mine} == set(jobs)
    assert q.settle([job for job in taken if job["id"] not in jobs], "release") == []
    assert q.settle(mine, outcome, **more) == []


def looked(q: Caller) -> None:
    assert [row["error"] for row in q("maintain", duties=["dependents"])] == [None]


def reason(q: Caller, job: int) -> str | None:
    found: str | None = q.one("job", id=job)["reason"]
    return found


def test_a_child_waits_for_all_its_parents(q: Caller) -> None:
    worker = q.worker()
    first, second = q.enqueue(), q.enqueue()
    child = q.enqueue("child", depends_on=[second, first, second])
    looked(q)
    assert q.state(child) == "held"
    assert q("why", id=child)[0]["why"] == f"Job {child} waits for 2 other jobs, such as {first}, which is queued."
    end(q, worker, first, result={"n": 1})
    assert q.state(child) == "held"
    assert q("why", id=child)[0]["why"] == f"Job {child} waits for another job, such as {second}, which is queued."
    assert q.one("group_status", id=child) == {"total": 2, "pending": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    end(q, worker, second, result=2)
    assert [row["id"] for row in q.claim(worker)] == [child]
    assert [(row["id"], row["kind"], row["state"], row["result"]) for row in q("parents", id=child)] == [
        (first, "noop", "succeeded", {"n": 1}),
        (second, "noop", "succeeded", 2),
    ]
    assert q("children", id=first) == [{"id": child, "kind": "child", "state": "running"}]
    assert q.sql("select depends_on from pgqueue.job where id = %s", child) == [([first, second],)]
    q("deregister_worker", worker=worker)


def test_lists_go_page_by_page(q: Caller) -> None:
    parents = [q.enqueue() for _ in range(5)]
    children = [q.enqueue(depends_on=parents) for _ in range(5)]
    assert [row["id"] for row in q("parents", id=children[0], max=2)] == parents[:2]
    assert [row["id"] for row in q("parents", id=children[0], after=parents[1], max=2)] == parents[2:4]
    assert [row["id"] for row in q("children", id=parents[0], after=children[2])] == children[3:]
    assert q("parents", id=parents[0]) == []
    assert q.one("group_status", id=parents[0])["total"] == 0


def test_parents_of_any_state(q: Caller) -> None:
    """Final ones count at once; one that waits, wherever, or is held itself is marked; one that runs is looked for."""
    worker = q.worker()
    done, failed = q.enqueue(), q.enqueue()
    end(q, worker, done)
    end(q, worker, failed, outcome="discard")
    running = q.enqueue()
    (taken,) = q.claim(worker)
    later = q.enqueue(delay="1 hour")
    grouped = q.enqueue(group_key="g")
    script = q.value("submit_script", document=Jsonb(["select 1"]), owner="ada")
    waiting = q.enqueue(depends_on=[running])
    job: dict[str, Any] = {"depends_on": [done, running, later, grouped, script, waiting]}
    child = q.enqueue(**job)
    ready = q.enqueue(depends_on=[done])
    run = q.enqueue(depends_on=[failed], on_parent_failure="run")
    dead = q.enqueue(depends_on=[done, failed])
    stuck = q.enqueue(depends_on=[failed], on_parent_failure="wait")
    assert q.states([child, ready, run, dead, stuck]) == ["held", "queued", "queued", "cancelled", "held"]
    assert reason(q, dead) == "parent_failed"
    looked(q)
    assert q.sql("select count(*) from pgqueue.parent_look") == [(2,)]  # the running parent's: once of each child
    marked = q.sql(
        """select job_id from pgqueue.scheduled where traits & 4096 <> 0
           union select job_id from pgqueue.arrival where traits & 4096 <> 0
           union select job_id from pgqueue.dependent where traits & 4096 <> 0"""
    )
    assert {row[0] for row in marked} == {later, grouped, script, waiting}
    assert q.settle([taken]) == []
    assert q.state(waiting) == "held"
    looked(q)
    assert q.state(waiting) == "queued"
    assert q.sql("select pending from pgqueue.dependent where job_id = %s", child) == [(4,)]
    for parent in (later, grouped, script, waiting):
        q("cancel", id=parent)
    assert (q.state(child), reason(q, child)) == ("cancelled", "parent_failed")


@pytest.mark.parametrize("how", ["ready", "crashed", "blocked", "again"])
def test_a_parent_is_marked_wherever_it_stands(q: Caller, how: str) -> None:
    worker = q.worker()
    if how == "blocked":
        q("configure_queue", queue="default", settings={"group_limit": 1})
        first = q.enqueue(group_key="g")
        parent = q.enqueue(group_key="g")
        (taken,) = q.claim(worker)
        assert taken["id"] == first
        assert q.sql("select job_id from pgqueue.blocked") == [(parent,)]
    else:
        parent = q.enqueue()
        if how != "ready":
            taken = q.claim(worker)[0]
            if how == "again":
                q.settle([taken], "release")
            else:
                q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
                q("maintain", duties=["rescue"])
                worker = q.worker()
                assert q.sql("select job_id from pgqueue.suspect") == [(parent,)]
    child = q.enqueue(depends_on=[parent])
    looked(q)
    assert q.sql("select * from pgqueue.parent_look") == []
    if how == "blocked":
        q.settle([taken])
    end(q, worker, parent)
    assert [row["id"] for row in q.claim(worker)] == [child]


def test_one_transaction_needs_no_upkeep(q: Caller) -> None:
    worker = q.worker()
    with q.connection.transaction():
        parents = [q.enqueue(), q.enqueue(delay="1 second"), q.enqueue(group_key="g")]
        children = [q.enqueue(depends_on=parents) for _ in range(2)]
        last = q.enqueue(depends_on=children)
    assert q.sql("select * from pgqueue.parent_look") == []
    q.clock("2100-01-01")
    q("register_worker", name="later", queues=["default"])
    q("maintain", duties=["promote"])
    end(q, worker, *parents)
    end(q, worker, *children)
    assert [row["id"] for row in q.claim(worker)] == [last]


def test_a_graph_in_one_call(q: Caller) -> None:
    worker = q.worker()
    a, b, c, d = graph(
        q,
        {"ref": "d", "depends_on": ["b", "c"], "kind": "last"},
        {"ref": "b", "depends_on": ["a"]},
        {"ref": "c", "depends_on": ["a", "a"], "delay": 3600},
        {"ref": "a"},
    )[::-1]
    # In the order of the call: the last came first.
    d, b, c, a = d, c, b, a
    assert q.states([a, b, c, d]) == ["queued", "held", "held", "held"]
    end(q, worker, a)
    assert q.states([b, c, d]) == ["queued", "scheduled", "held"]
    q("reschedule", id=c, run_at="2020-01-01")
    end(q, worker, b, c)
    assert q.states([d]) == ["queued"]


def test_refs_of_duplicates_are_the_holders(q: Caller) -> None:
    worker = q.worker()
    holder = q.enqueue(unique_key="u")
    first, child = graph(q, {"ref": "a", "unique_key": "u"}, {"depends_on": ["a"]})
    assert first == holder
    looked(q)
    end(q, worker, holder)
    assert q.state(child) == "queued"


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([{"ref": "a", "depends_on": ["a"]}], "element 1 waits for itself"),
        ([{"ref": "a", "depends_on": ["b"]}, {"ref": "b", "depends_on": ["a"]}], "waits for itself"),
        (
            [
                {},
                {"ref": "a", "depends_on": ["c"]},
                {"ref": "b", "depends_on": ["a"]},
                {"ref": "c", "depends_on": ["b"]},
            ],
            "element 2 waits for itself",
        ),
        ([{"ref": "a"}, {"ref": "a"}], "2 elements ref 'a'"),
        ([{"depends_on": ["nobody"]}], "element 1 'nobody'"),
        ([{"depends_on": [True]}], "'true'"),
        ([{"depends_on": [None]}], "element 1"),
        ([{"depends_on": 7}], "depends_on number"),
        ([{"depends_on": [1.5]}], "element 1"),
        ([{"depends_on": [10**30]}], "element 1"),
        ([{"ref": 5}], "ref number"),
        ([{"on_parent_failure": "hope"}], "on_parent_failure 'hope'"),
    ],
)
def test_graphs_that_are_refused(q: Caller, jobs: list[dict[str, Any]], words: str) -> None:
    with refused(q, "PQ001", *words.split()):
        graph(q, *jobs)


def test_unknown_parents_are_refused(q: Caller) -> None:
    worker = q.worker()
    q("configure_queue", queue="default", settings={"history": "none"})
    forgotten = q.enqueue()
    end(q, worker, forgotten)
    for parent in (forgotten, 987654321, 0, -1):
        with refused(q, "PQ002", str(parent), "unknown"):
            q.enqueue(depends_on=[parent])
        with refused(q, "PQ002", str(parent), "unknown"):
            q("enqueue_each", kind="x", args=[{}], depends_on=[parent])


def test_no_parents_are_none(q: Caller) -> None:
    assert q.state(q.one("enqueue", kind="x", depends_on=[])["id"]) == "queued"


def test_enqueue_each_holds_every_element(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    children = [
        row["id"] for row in q("enqueue_each", kind="x", args=[{}] * 5, depends_on=[parent], group_keys=["g"] * 5)
    ]
    looked(q)
    assert q.states(children) == ["held"] * 5
    end(q, worker, parent)
    assert q.states(children) == ["queued"] * 5
    assert len(q.claim(worker)) == 5


def test_policies(q: Caller) -> None:
    """Cancel: down the line, at once. Run: counts as done. Wait: until the parent has been retried and succeeds."""
    worker = q.worker()
    parent, other = q.enqueue(), q.enqueue(queue="other")
    children = [q.enqueue(depends_on=[parent, other], on_parent_failure=policy) for policy in ("cancel", "run", "wait")]
    below = [q.enqueue(depends_on=[child]) for child in children]
    looked(q)
    end(q, worker, parent, outcome="discard", error={"message": "no"})
    assert q.states(children) == ["cancelled", "held", "held"]
    assert q.states(below) == ["cancelled", "held", "held"]
    assert {reason(q, children[0]), reason(q, below[0])} == {"parent_failed"}
    other_worker = q.worker("other")
    q.settle(q.claim(other_worker, queues=["other"]))
    assert q.states(children) == ["cancelled", "queued", "held"]
    assert "is failed: call pgqueue.retry(" in q("why", id=children[2])[0]["why"]
    assert [row["state"] for row in q("parents", id=children[2])] == ["failed", "succeeded"]
    assert q("parents", id=children[2])[0]["error"] == {"message": "no"}

    q("retry", id=parent)
    end(q, worker, parent, outcome="discard")
    assert q.state(children[2]) == "held"
    q("retry", id=parent)
    end(q, worker, parent)
    assert q.state(children[2]) == "queued"
    assert q("retry", id=children[0]) == [{"state": "queued", "changed": True}]


@pytest.mark.parametrize("policy", ["cancel", "run", "wait"])
def test_a_parent_that_was_cancelled_or_expired_or_lost(q: Caller, policy: str) -> None:
    worker = q.worker()
    q("configure", settings={"max_crashes": 1})
    cancelled, asked = q.enqueue(), q.enqueue()
    lost, expired = q.enqueue(), q.enqueue(expires_in="1 minute", priority=-1)
    parents = [cancelled, asked, lost, expired]
    children = [q.enqueue(depends_on=[parent], on_parent_failure=policy, delay="1 hour") for parent in parents]
    looked(q)
    q("cancel", id=cancelled)
    taken = q.claim(worker, 2)
    q("cancel", id=asked)
    assert q.settle([job for job in taken if job["id"] == asked], "cancelled") == []
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    q.sql("update pgqueue.deadline set expires_at = '2020-01-01'")
    q("maintain", duties=["expire"])
    wanted = {"cancel": "cancelled", "run": "scheduled", "wait": "held"}[policy]
    assert q.states(parents) == ["cancelled", "cancelled", "failed", "failed"]
    assert q.states(children) == [wanted] * 4


def test_retries_in_between_do_not_count(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue(max_attempts=3, backoff={"base": 0})
    child = q.enqueue(depends_on=[parent])
    looked(q)
    for outcome in ("failed", "release", "failed"):
        end(q, worker, parent, outcome=outcome)
        assert q.state(child) == "held"
    end(q, worker, parent, outcome="snooze", delay=0)
    end(q, worker, parent)
    assert q.state(child) == "queued"


def test_what_may_be_done_with_a_held_job(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    changed, late, gone, expiring = (
        q.enqueue(depends_on=[parent], **o) for o in ({}, {}, {}, {"expires_in": "1 hour"})
    )
    grandchild = q.enqueue(depends_on=[gone])
    looked(q)
    assert q("set_priority", id=changed, priority=5) == [{"state": "held", "changed": True}]
    assert q("set_priority", id=changed, priority=5) == [{"state": "held", "changed": False}]
    assert q.one("job", id=changed)["priority"] == 5
    assert q("reschedule", id=late, run_at="2100-01-01") == [{"state": "held", "changed": True}]
    assert q.one("job", id=late)["run_at"].year == 2100
    assert q("cancel", id=gone) == [{"state": "cancelled", "changed": True}]
    assert q.state(grandchild) == "cancelled"
    with refused(q, "PQ005", "job"):
        q("retry", id=changed)
    assert {row["id"] for row in q("jobs", state="held")} == {changed, late, expiring}
    assert {row["queue"]: row["held"] for row in q("queues")}["default"] == 3
    q.sql("update pgqueue.deadline set expires_at = '2020-01-01'")
    q("maintain", duties=["expire"])
    assert (q.state(expiring), reason(q, expiring)) == ("failed", "queue_timeout")
    end(q, worker, parent)
    assert [(row["id"], row["priority"]) for row in q.claim(worker)] == [(changed, 5)]
    assert q.state(late) == "scheduled"


def test_a_retried_child_waits_for_parents_that_live_again(q: Caller) -> None:
    worker = q.worker()
    first, second = q.enqueue(), q.enqueue()
    child = q.enqueue(depends_on=[first, second])
    looked(q)
    end(q, worker, first)
    end(q, worker, second, outcome="discard")
    assert q.state(child) == "cancelled"
    q("retry", id=second)
    assert q("retry", id=child) == [{"state": "held", "changed": True}]
    end(q, worker, second)
    assert q.state(child) == "queued"
    end(q, worker, child, outcome="discard")
    assert q("retry", id=child) == [{"state": "queued", "changed": True}]


def test_queues_without_history(q: Caller) -> None:
    """A parent whose row is gone has succeeded, as far as anybody knows."""
    worker = q.worker()
    q("configure_queue", queue="default", settings={"history": "none"})
    first, second = q.enqueue(), q.enqueue()
    (one, two) = q.claim(worker)
    child = q.enqueue(depends_on=[first, second], queue="kept")
    q.settle([one])
    looked(q)
    assert q.state(child) == "held"
    assert q.one("group_status", id=child) == {"total": 2, "pending": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    q.settle([two], "discard")
    looked(q)
    assert q.state(child) == "queued"
    assert [(row["kind"], row["state"]) for row in q("parents", id=child)] == [(None, "succeeded")] * 2
    below = q.enqueue(depends_on=[q.enqueue()])
    looked(q)
    q.settle(q.claim(worker), "discard")
    with refused(q, "PQ002", str(below)):
        q.state(below)


def test_next_due_hurries(q: Caller) -> None:
    parent = q.enqueue()
    assert q.value("next_due") is None
    q.enqueue(depends_on=[parent])
    assert q.value("next_due") is not None
    looked(q)
    assert q.value("next_due") is None


def test_unique_and_grouped_children(q: Caller) -> None:
    worker = q.worker()
    q("configure_queue", queue="default", settings={"group_limit": 1})
    parent = q.enqueue()
    children = [q.enqueue(depends_on=[parent], unique_key=f"u{n}", group_key="g") for n in range(3)]
    assert q.one("enqueue", kind="x", unique_key="u0", depends_on=[parent]) == {"id": children[0], "created": False}
    looked(q)
    end(q, worker, parent)
    for child in children:
        (taken,) = q.claim(worker)
        assert taken["id"] == child
        q.settle([taken])
    assert q.places() == {}


def test_members_of_a_lease_settled_together_count_once(q: Caller) -> None:
    worker = q.worker()
    with q.connection.transaction():
        members = [row["id"] for row in q("enqueue_each", kind="m", args=[{}] * 50)]
        last = q.enqueue(depends_on=members)
    taken = q.claim(worker)
    q.settle(taken[:30])
    assert q.sql("select pending from pgqueue.dependent") == [(20,)]
    q.settle(taken[30:])
    assert q.state(last) == "queued"


@pytest.mark.parametrize("length", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_long_chain_is_cancelled_in_steps(q: Caller, length: int) -> None:
    """Thousands of jobs, each waiting for the one before: no recursion, and no step longer than its budget."""
    worker = q.worker()
    chain = graph(q, {"ref": "0"}, *({"ref": str(n), "depends_on": [str(n - 1)]} for n in range(1, length)))
    end(q, worker, chain[0], outcome="discard")
    passes = 0
    while q.value("next_due") is not None:
        looked(q)
        passes += 1
        assert passes < 100
    assert q.sql("select count(*) from pgqueue.outcome where reason = 'parent_failed'") == [(length - 1,)]
    assert q.sql("select * from pgqueue.parent_look") == []
    assert passes > length // 1_000


def test_ten_thousand_children(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    q("enqueue_each", kind="c", args=[{}] * 10_000, depends_on=[parent])
    looked(q)
    end(q, worker, parent)
    assert q.sql("select count(*) from pgqueue.ready") == [(1_000,)]
    looked(q)
    looked(q)
    assert q.value("next_due") is None
    assert q.sql("select count(*) from pgqueue.ready") == [(10_000,)]


def test_ten_thousand_parents(q: Caller) -> None:
    """Settles do not meet at the row of a job that waits for so many: upkeep counts."""
    worker = q.worker()
    with q.connection.transaction():
        members = [row["id"] for row in q("enqueue_each", kind="m", args=[{}] * 10_000)]
        last = q.enqueue(depends_on=members)
    for _ in range(10):
        q.settle(q.claim(worker, 1_000))
    assert q.sql("select count(*) >= 10000 from pgqueue.parent_look") == [(True,)]
    while q.value("next_due") is not None:
        assert q.state(last) == "held"
        looked(q)
    assert q.one("group_status", id=last) == {
        "total": 10_000,
        "pending": 0,
        "succeeded": 10_000,
        "failed": 0,
        "cancelled": 0,
    }
    assert [row["id"] for row in q.claim(worker)] == [last]


# Other rooms: their jobs end by the same final transition.


def test_a_query_as_a_parent(q: Caller) -> None:
    worker = q.worker()
    query = q.one("submit_query", sql="select 1", owner="ada", queue="default")["id"]
    child = q.enqueue(depends_on=[query], queue="after")
    looked(q)
    (taken,) = q.claim(worker)
    q("query_begin", lease=taken["lease"], job=query, backend_pid=1, backend_start="2026-01-01")
    verdict = q.one("query_end", lease=taken["lease"], job=query)["verdict"]
    q.settle([taken], verdict)
    assert q.state(child) == "queued"


def test_a_script_as_a_parent(q: Caller) -> None:
    worker = q.worker()
    script = q.value("submit_script", document=Jsonb(["select 1", "select 2"]), owner="ada")
    child = q.enqueue(depends_on=[script], queue="after")
    looked(q)
    for wanted in ("held", "queued"):
        (taken,) = q.claim(worker, queues=["scripts"])
        lease = {"lease": taken["lease"], "job": script}
        q("script_begin", **lease, backend_pid=1, backend_start="2026-01-01")
        q.settle([taken], q.one("script_end", **lease)["verdict"])
        assert q.state(child) == wanted


def test_a_keyed_item_as_a_parent(q: Caller) -> None:
    item = q.one("keyed_add", queue="k", key="a", payload="p")["id"]
    child = q.enqueue(depends_on=[item], queue="after")
    looked(q)
    q("keyed_cancel", queue="k", key="a")
    assert (q.state(child), reason(q, child)) == ("cancelled", "parent_failed")


@pytest.mark.parametrize("how", ["done", "abort"])
def test_slices_and_batches_as_parents(q: Caller, how: str) -> None:
    worker = q.worker("r/o")
    batch = q.value("batch_submit_each", app="r", op="o", context={}, lines=[1, 2], inputs=[{}, {}], slice_size=1)
    slices = [row[0] for row in q.sql("select job_id from pgqueue.batch_slice order by 1")]
    of_slice, of_batch = q.enqueue(depends_on=slices), q.enqueue(depends_on=[batch])
    looked(q)
    assert q.states([of_slice, of_batch]) == ["held"] * 2
    assert "waits for another job" in q("why", id=of_batch)[0]["why"]
    if how == "abort":
        q("batch_abort", id=batch)
    else:
        q.settle(q.claim(worker, queues=["r/o"]), result=[{"row": 1, "status": "succeeded"}])
    looked(q)
    assert q.states([of_slice, of_batch]) == (["cancelled"] * 2 if how == "abort" else ["queued", "cancelled"])
    assert q("parents", id=of_batch)[0]["kind"] == "batch"
