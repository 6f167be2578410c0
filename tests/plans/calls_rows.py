"""The calls of batches and slow queries whose plans are guarded."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from tests.plans.batches import SLICES
from tests.plans.calls import CALLS, Call, Ids, call
from tests.plans.flow import EACH
from tests.plans.population import Population
from tests.sql.calls import Caller, Row


def _rows(count: int) -> Jsonb:
    return Jsonb([{"line": n, "input": {"n": n}} for n in range(1, count + 1)])


def _said(job: Row, status: str = "succeeded") -> list[dict[str, Any]]:
    return [
        {"row": row[0], "status": status, "output": {"f": "line"}, "delay": 60} for row in job["args"].get("rows", [])
    ]


# -- in --


@call(asked=200)
def batch_submit(q: Caller, found: Population) -> Ids:
    batch = q.value("batch_submit", app="app", op="waiting", rows=_rows(100), hold=True)
    q("batch_append", id=batch, rows=_rows(100), hold=False)
    return None


@call(asked=1000)
def batch_submit_each(q: Caller, found: Population) -> Ids:
    lines = list(range(1, 1001))
    q("batch_submit_each", app="app", op="new", context={}, lines=lines, inputs=[{}] * 1000)
    return None


@call(asked=10)
def batch_append(q: Caller, found: Population) -> Ids:
    q("batch_append", id=found.batches["held"], rows=_rows(10))
    return None


@call(asked=SLICES)
def batch_release(q: Caller, found: Population) -> Ids:
    q("batch_release", id=found.batches["held"])
    return None


@call(asked=1)
def slow_query(q: Caller, found: Population) -> Ids:
    query = q.value("slow_query_submit", app="app", op="slow")
    q("slow_query_status", id=query)
    q("slow_query_abort", id=query)
    q("slow_query_status", id=query)
    return None


# -- out --


def _settle_rows(status: str, slices: int = 10) -> None:
    """Their rows, and the batch of each. Not all in one call: other ways are taken then."""

    @call(asked=slices * 10)
    def make(q: Caller, found: Population) -> Ids:
        jobs = q.claim(found.workers[0], slices, ["app/waiting"])
        for job in jobs[:-2]:
            assert q.settle([job], result=_said(job, status)) == []
        assert q.settle(jobs[-2:], result=_said(jobs[-1], status)) == []
        return None

    del CALLS["make"]
    CALLS[f"settle_rows_{status}"] = Call(f"settle_rows_{status}", make, slices * 10)


for _status in ("succeeded", "failed", "aborted", "later"):
    _settle_rows(_status)


@call(asked=100)
def settle_rows_of_several_leases(q: Caller, found: Population) -> Ids:
    jobs = [job for _ in range(5) for job in q.claim(found.workers[0], 2, ["app/waiting"])]
    assert q.settle(jobs, "discard", error={"type": "E"}) == []
    return None


@call(asked=500)  # ten slices come out of a crash, each becomes ten
def lose_rows(q: Caller, found: Population) -> Ids:
    worker = q.worker("app/waiting")
    assert q.claim(worker, 10, ["app/waiting"])
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", worker)
    (row,) = q("maintain", duties=["rescue"])
    assert row["error"] is None, row
    return None


# -- looks --


def _look(function: str, batch: str, asked: int = 1, **arguments: Any) -> None:
    name = f"{function}_{batch}" + "".join(f"_{argument}" for argument in arguments)

    @call(asked=asked)
    def make(q: Caller, found: Population) -> Ids:
        q(function, id=found.batches[batch], **arguments)
        return None

    del CALLS["make"]
    CALLS[name] = Call(name, make, asked)


for _batch in ("waiting", "held", "small", "big", "working"):
    _look("batch_status", _batch)
    _look("batch_rows", _batch, 100, max=100)
_look("batch_rows", "big", 100, max=100, after_line=4000, after_row=1)
_look("batch_rows", "working", 100, max=100, after_line=4000)
_look("batch_context", "big")
for _batch in ("big", "working"):
    _look("result", _batch)
    _look("why", _batch)
_look("output_file", "big", 200, name="f", chars=1000)
_look("output_file", "big", 200, name="f", chars=1000, after_line=4000, after_row=1)
_look("output_file", "small", 20, name="f")


@call(asked=2)
def watch_batches(q: Caller, found: Population) -> Ids:
    q("watch", jobs=[found.batches["working"], found.batches["waiting"]])
    return None


def _list(name: str, **arguments: Any) -> None:
    @call(asked=10)
    def make(q: Caller, found: Population) -> Ids:
        assert len(q("batch_list", max=10, **arguments)) in range(1, 11)
        return None

    del CALLS["make"]
    CALLS[name] = Call(name, make, 10)


_list("batch_list")
_list("batch_list_of_an_operation", app="app", op="Held")
_list("batch_list_before", before=2**62)
_list("batch_list_of_those_that_are_over", app="app", op="small", status="succeeded")


# -- before and after --


@call(asked=SLICES * 10 + EACH)
def a_batch_whose_parent_fails(q: Caller, found: Population) -> Ids:
    """The parent has other children, and the batch is followed."""
    parent = found.one("parent")
    given: dict[str, Any] = {"rows": _rows(SLICES * 10), "on_error": Jsonb({"kind": "k"})}
    batch = q.value("batch_submit", app="app", op="gated", depends_on=[parent], **given)
    q.enqueue(depends_on=[batch])
    q("why", id=batch)
    q("batch_status", id=batch)
    q("parents", id=batch)
    q("cancel", id=parent)
    assert q.one("batch_status", id=batch)["status"] == "aborted"
    return None


@call(asked=SLICES * 10)
def a_batch_is_let_go(q: Caller, found: Population) -> Ids:
    """By the end of its parent; then it ends, and tells who waits for it."""
    parent = q.enqueue(queue="gate")
    batch = q.value("batch_submit", app="app", op="gated", rows=_rows(SLICES * 10), depends_on=[parent], slice_size=500)
    q.enqueue(depends_on=[batch], queue="gated")
    worker = q.worker("gate", "app/gated")
    q.settle(q.claim(worker, queues=["gate"]))
    (job,) = q.claim(worker, queues=["app/gated"])
    assert q.settle([job], result=_said(job)) == []
    assert q.one("batch_status", id=batch)["status"] == "succeeded"
    return None


@call(asked=10_000)
def a_large_batch_is_let_go_by_upkeep(q: Caller, found: Population) -> Ids:
    lines = list(range(1, 6001))
    parent = q.enqueue(queue="gate")
    q(
        "batch_submit_each",
        app="app",
        op="gated",
        context={},
        lines=lines,
        inputs=[{}] * 6000,
        slice_size=100,
        depends_on=[parent],
    )
    q("maintain", duties=["dependents"])
    q.settle(q.claim(q.worker("gate"), queues=["gate"]))
    q("maintain", duties=["dependents"])
    q("maintain", duties=["dependents"])
    return None


# -- ends --


@call(asked=SLICES * 10)
def batch_abort(q: Caller, found: Population) -> Ids:
    assert q.one("batch_abort", id=found.batches["waiting"])["changed"]
    return None


@call(asked=SLICES * 10)
def batch_abort_held(q: Caller, found: Population) -> Ids:
    assert q.one("batch_abort", id=found.batches["held"])["changed"]
    return None


@call(asked=SLICES * 10)
def batch_abort_while_it_runs(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 5, ["app/waiting"])
    batch = q.sql("select batch_id from pgqueue.batch_slice where job_id = %s", jobs[0]["id"])[0][0]
    q("batch_abort", id=batch)
    q.settle(jobs, "cancelled")
    return None


@call(asked=20_000, whole={"batch_purge": ("*",)}, repeats=2)  # a thousand batches of twenty rows
def batch_purge(q: Caller, found: Population) -> Ids:
    q("batch_purge", older_than="30 days")
    q("batch_purge", older_than="0", app="app")
    return None
