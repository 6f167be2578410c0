"""Batches and slow queries that wait for jobs, are waited for, and are followed."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import (
    QUEUE,
    UNBALANCED,
    append,
    balanced,
    counts,
    said,
    slow,
    status,
    statuses,
    submit,
    take,
    work,
)
from tests.sql.calls import LIVE, Caller
from tests.sql.support import refused
from tests.sql.test_dependencies import end, looked
from tests.sql.test_follow_ups import BOTH, followers


def flow(**given: Any) -> dict[str, Any]:
    """Follow-ups, as parameters."""
    return {name: Jsonb(value) for name, value in given.items()}


def gate(q: Caller, batch: int) -> int:
    ((job,),) = q.sql("select gate from pgqueue.batch where id = %s", batch)
    return int(job)


def why(q: Caller, id: int) -> str:
    return str(q.value("why", id=id))


def idle(q: Caller) -> bool:
    """Nothing is left of what waited, but for what is in a queue; and the books balance, those of jobs too where they
    are kept.
    """
    for place in ("held", "dependent", "parent_look", "batch_leaving", "follow_up", "late_follow_up"):
        assert q.sql(f"select * from pgqueue.{place}") == [], place
    if q.sql("select 1 from pgqueue.queue where history = 'none'"):
        return q.sql(UNBALANCED) == []
    return balanced(q)


# Waiting for others


@pytest.mark.parametrize("kind", ["batch", "slow query"])
@pytest.mark.parametrize("history", ["all", "none"])
def test_a_batch_waits_for_jobs(q: Caller, kind: str, history: str) -> None:
    q("configure_queue", queue=QUEUE, settings={"history": history})
    worker, mine = q.worker(), q.worker(QUEUE)
    first, second = q.enqueue(), q.enqueue()
    parents = [second, first, second]
    batch = submit(q, 25, depends_on=parents) if kind == "batch" else slow(q, depends_on=parents)
    looked(q)
    assert (status(q, batch) if kind == "batch" else q.one("slow_query_status", id=batch))["status"] == "held"
    assert q.one("result", id=batch)["state"] == "held"
    name = "Batch" if kind == "batch" else "Slow query"
    assert why(q, batch) == f"{name} {batch} waits for 2 other jobs, such as {first}, which is queued."
    assert [(row["id"], row["state"]) for row in q("parents", id=batch)] == [(first, "queued"), (second, "queued")]
    assert take(q, mine) == []
    end(q, worker, first)
    assert why(q, batch) == f"{name} {batch} waits for another job, such as {second}, which is queued."
    assert q.one("group_status", id=batch)["pending"] == 1
    assert take(q, mine) == []
    end(q, worker, second)
    assert q.one("result", id=batch)["state"] == "queued"
    assert work(q, mine) == [batch]
    assert q.one("result", id=batch)["state"] == "succeeded"
    assert idle(q)


def test_what_a_held_batch_waits_for(q: Caller) -> None:
    parent = q.enqueue(queue="p")
    gated, both = submit(q, 2, depends_on=[parent]), submit(q, 2, depends_on=[parent], hold=True)
    held, free = submit(q, 2, hold=True), submit(q, 2)
    waits = {row["id"]: (row["status"], row["waits_for"]) for row in q("batch_list")}
    assert waits == {
        gated: ("held", ["parents"]),
        both: ("held", ["release", "parents"]),
        held: ("held", ["release"]),
        free: ("queued", None),
    }
    assert status(q, gated)["waits_for"] == ["parents"]
    assert f"call pgqueue.batch_release({both})" in why(q, both)
    assert f"such as {parent}" in why(q, both)
    slices = dict(q.sql("select batch_id, min(job_id) from pgqueue.held group by 1"))
    assert f"what batch {gated} waits for" in why(q, slices[gated])
    assert f"release of batch {held}" in why(q, slices[held])
    assert f"Job {gate(q, gated)} (for batch {gated}) waits for another job" in why(q, gate(q, gated))
    assert [row["kind"] for row in q("children", id=parent)] == ["rows.gate"] * 2


@pytest.mark.parametrize("first", ["release", "parents"])
def test_hold_and_parents_are_both_waited_for(q: Caller, first: str) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 0, depends_on=[parent], hold=True)
    looked(q)
    assert append(q, batch, 3) == 3

    def release() -> None:
        assert q.value("batch_release", id=batch) == 3
        with refused(q, "PQ005", "batch"):
            append(q, batch, 1)
        assert q.value("batch_release", id=batch) == 3, "a second time it does nothing"

    steps = [release, lambda: end(q, worker, parent)]
    for step in steps if first == "release" else reversed(steps):
        assert (status(q, batch)["status"], status(q, batch)["released_at"], take(q, mine)) == ("held", None, [])
        step()
    assert status(q, batch)["released_at"] is not None
    assert work(q, mine) == [batch]
    assert counts(q, batch) == ("succeeded", 3, 0, 0, 0)
    assert idle(q)


def test_rows_are_appended_after_the_parents_ended(q: Caller) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 1, depends_on=[parent], hold=True)
    looked(q)
    end(q, worker, parent)
    assert status(q, batch)["waits_for"] == ["release"]
    assert append(q, batch, 2, hold=False) == 3
    assert work(q, mine) == [batch]
    assert idle(q)


def test_one_that_was_not_held_takes_no_more_rows(q: Caller) -> None:
    batch = submit(q, 1, depends_on=[q.enqueue()])
    for hold in (True, False):
        with refused(q, "PQ005", "released"):
            append(q, batch, 1, hold=hold)
    assert q.value("batch_release", id=batch) == 1
    assert status(q, batch)["status"] == "held"


def test_an_empty_batch_succeeds_when_nothing_holds_it_any_more(q: Caller) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 0, hold=True, depends_on=[parent], **flow(**BOTH))
    child = q.enqueue("child", queue="c", depends_on=[batch])
    looked(q)
    q("batch_release", id=batch)
    end(q, worker, parent)
    assert counts(q, batch) == ("succeeded", 0, 0, 0, 0)
    assert [row["kind"] for row in followers(q)] == ["good"]
    looked(q)
    assert q.state(child) == "queued"
    assert work(q, mine) == [batch]
    assert idle(q)


POLICIES = [
    ("succeeded", None, "queued"),
    ("succeeded", "wait", "queued"),
    ("discard", None, "aborted"),
    ("discard", "cancel", "aborted"),
    ("cancelled", "cancel", "aborted"),
    ("discard", "run", "queued"),
    ("discard", "wait", "held"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("outcome", "policy", "expected"), POLICIES)
def test_policies(q: Caller, outcome: str, policy: str | None, expected: str, when: str) -> None:
    """Whether the parent has ended before the batch is submitted, or ends later."""
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    if when == "before":
        end(q, worker, parent, outcome=outcome)
    batch = submit(q, 12, depends_on=[parent], on_parent_failure=policy, **flow(**BOTH))
    looked(q)
    if when == "after":
        assert status(q, batch)["status"] == "held"
        end(q, worker, parent, outcome=outcome)
    assert status(q, batch)["status"] == expected
    if expected == "aborted":
        assert counts(q, batch) == ("aborted", 0, 0, 12, 0)
        assert statuses(q, batch) == [(line, "aborted") for line in range(1, 13)]
        found = q.one("result", id=batch)
        assert (found["state"], found["reason"]) == ("cancelled", "parent_failed")
        assert [row["args"] for row in followers(q)] == [
            {"why": {"state": "cancelled", "reason": "parent_failed", "error": None}}
        ]
    elif expected == "held":
        q("retry", id=parent)
        end(q, worker, parent)
    assert work(q, mine) == [batch]
    assert idle(q)


@pytest.mark.parametrize("history", ["all", "none"])
def test_an_abort_takes_the_gate_along(q: Caller, history: str) -> None:
    q("configure_queue", queue=QUEUE, settings={"history": history})
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent])
    looked(q)
    assert q.one("batch_abort", id=batch)["aborted"] == 3
    assert q.one("result", id=batch)["reason"] == "aborted"
    assert q.sql("select * from pgqueue.dependent") == []
    end(q, worker, parent)
    assert counts(q, batch)[0] == "aborted"
    assert work(q, mine) == [batch]
    looked(q)
    assert idle(q)


def test_a_cancelled_gate_aborts_its_batch(q: Caller) -> None:
    batch = submit(q, 3, depends_on=[q.enqueue()])
    q("cancel", id=gate(q, batch))
    assert counts(q, batch) == ("aborted", 0, 0, 3, 0)
    other = submit(q, 3, depends_on=[q.enqueue()])
    assert q.one("cancel_jobs", filter={"kind": "rows.gate"})["done"] == 1
    assert counts(q, other)[0] == "aborted"


def test_a_gate_is_no_job_to_be_changed(q: Caller) -> None:
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent])
    job = gate(q, batch)
    for function, more in [
        ("set_priority", {"priority": 5}),
        ("reschedule", {"run_at": "2020-01-01"}),
        ("reschedule", {"run_at": "2900-01-01"}),
        ("edit_job", {"args": {"batch": 1}}),
        ("retry", {}),
    ]:
        with refused(q, "PQ005"):
            q(function, id=job, **more)
    assert q.one("move_jobs", filter={"ids": [job]}, queue="other")["done"] == 0
    assert q.sql("select queue, run_at, traits from pgqueue.dependent") == [(QUEUE, None, 512)]
    q("cancel", id=job)
    with refused(q, "PQ005", "stood for a batch"):
        q("retry", id=job)


def test_refusals(q: Caller) -> None:
    for given, sqlstate in [
        ({"depends_on": [987654321]}, "PQ002"),
        ({"depends_on": [None]}, "PQ001"),
        ({"on_parent_failure": "hope"}, "PQ001"),
        ({"on_success": Jsonb("mail")}, "PQ001"),
        ({"on_error": Jsonb([{"args": {}}])}, "PQ001"),
        ({"on_error": Jsonb({"kind": "k", "depends_on": [1]})}, "PQ001"),
    ]:
        name = next(iter(given))
        with refused(q, sqlstate, name):
            submit(q, 3, **given)
        with refused(q, sqlstate, name):
            slow(q, **given)
    parent = q.enqueue()
    with refused(q, "PQ001", "no rows"):
        submit(q, 0, depends_on=[parent])


def test_nobody_waits_for_an_empty_list(q: Caller) -> None:
    batch = submit(q, 1, depends_on=[])
    assert (status(q, batch)["status"], q("parents", id=batch)) == ("queued", [])


def test_one_transaction_needs_no_upkeep(q: Caller) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    with q.connection.transaction():
        parent = q.enqueue()
        batch = submit(q, 3, depends_on=[parent])
    end(q, worker, parent)
    assert work(q, mine) == [batch]


def test_a_parent_that_is_forgotten(q: Caller) -> None:
    """The batch waited for it to be retried, which it cannot be any more."""
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent], on_parent_failure="wait")
    looked(q)
    end(q, worker, parent, outcome="discard")
    assert q.one("delete_jobs", filter={"ids": [parent]})["done"] == 1
    assert [row["error"] for row in q("maintain", duties=["tidy"])] == [None]
    assert (counts(q, batch)[0], q.one("result", id=batch)["reason"]) == ("aborted", "parent_failed")


# Batches that are waited for


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "aborted", "abort"])
def test_children_are_told_at_once(q: Caller, outcome: str) -> None:
    mine = q.worker(QUEUE)
    batch = submit(q, 3)
    child, run = (q.enqueue(depends_on=[batch], on_parent_failure=policy) for policy in (None, "run"))
    looked(q)
    if outcome == "abort":
        q("batch_abort", id=batch)
    else:
        work(q, mine, lambda row: said(row, outcome))
    assert q.states([child, run]) == ["queued" if outcome == "succeeded" else "cancelled", "queued"]
    looked(q)
    assert q.sql("select * from pgqueue.parent_look") == []


def test_a_batch_after_a_batch(q: Caller) -> None:
    mine = q.worker(QUEUE, "app/next")
    first = submit(q, 12)
    second = submit(q, 12, op="next", depends_on=[first])
    third = slow(q, op="next", depends_on=[first, second])
    looked(q)
    assert work(q, mine) == [first]
    assert work(q, mine, said, "app/next") == [second, third]
    looked(q)
    assert idle(q)


def test_a_long_chain_of_batches_is_aborted_level_by_level(q: Caller) -> None:
    """Not deeper into the stack with each."""
    chain = [submit(q, 1)]
    for _ in range(150):
        chain.append(submit(q, 1, depends_on=chain[-1:]))
    q("batch_abort", id=chain[0])
    rounds = 0
    while q.value("next_due") is not None:
        looked(q)
        rounds += 1
    assert 0 < rounds < 400
    assert {row["status"] for row in q("batch_list", max=1000)} == {"aborted"}
    looked(q)
    assert idle(q)


# Follow-ups


@pytest.mark.parametrize("history", ["all", "none"])
def test_success_passes_the_counts(q: Caller, history: str) -> None:
    q("configure_queue", queue=QUEUE, settings={"history": history})
    batch = submit(q, 12, **flow(**BOTH))
    work(q, q.worker(QUEUE))
    (follower,) = followers(q)
    assert (follower["kind"], follower["queue"]) == ("good", "default")
    assert follower["args"] == {"a": 1, "got": {"succeeded": 12, "failed": 0, "aborted": 0}}
    assert follower["headers"] == {"parent": {"job": batch, "kind": "batch", "state": "succeeded"}}
    assert idle(q)


def test_a_slow_query_passes_what_its_processor_gave(q: Caller) -> None:
    slow(q, **flow(**BOTH))
    work(q, q.worker(QUEUE), lambda row: said(row, result={"n": 1}))
    assert [row["args"] for row in followers(q)] == [{"a": 1, "got": {"n": 1}}]


@pytest.mark.parametrize(
    ("how", "why_"),
    [
        ("failed", {"state": "failed", "reason": "error"}),
        ("aborted", {"state": "cancelled", "reason": "aborted"}),
        ("abort", {"state": "cancelled", "reason": "aborted"}),
    ],
)
def test_an_error_passes_what_became_of_it(q: Caller, how: str, why_: dict[str, Any]) -> None:
    batch = submit(q, 2, **flow(**BOTH))
    if how == "abort":
        q("batch_abort", id=batch)
        assert not q.one("batch_abort", id=batch)["changed"]
    work(q, q.worker(QUEUE), lambda row: said(row, how))
    error = {"type": "RowsFailed", "message": "2 of 2 rows failed"} if how == "failed" else None
    assert [(row["kind"], row["args"]) for row in followers(q)] == [("bad", {"why": {**why_, "error": error}})]
    assert idle(q)


def test_follow_ups_live_as_long_as_their_batch(q: Caller) -> None:
    batch = submit(q, 1, **flow(**BOTH))
    q.sql("select set_config('pgqueue.slice_follow_up', '0', false)")
    assert [row["error"] for row in q("maintain", duties=["tidy"])] == [None]
    assert q.sql("select outcome from pgqueue.follow_up where job_id = %s order by 1", batch) == [
        ("error",),
        ("success",),
    ]
    q("batch_abort", id=batch)
    assert q.value("batch_purge", older_than="0") == 1
    assert [row["kind"] for row in followers(q)] == ["bad"]
    assert q.sql("select * from pgqueue.follow_up") == []


def test_a_follow_up_that_cannot_be_enqueued_is_in_no_way(q: Caller) -> None:
    """The block of the batch's id may be gone, so no attempt is noted."""
    batch = submit(q, 1, **flow(on_success={"kind": "k", "unique_key": "u", "on_duplicate": "raise"}))
    q.enqueue(unique_key="u")
    work(q, q.worker(QUEUE))
    assert status(q, batch)["status"] == "succeeded"
    assert followers(q) == []
    ((parent, error),) = q.sql("select job_id, error from pgqueue.late_follow_up")
    assert (parent, "PQ005" in error) == (batch, True)
    assert q.sql("select * from pgqueue.attempt_error where job_id = %s", batch) == []


# Forgetting, and large ones


def test_nothing_is_left_of_a_batch_that_is_forgotten(q: Caller) -> None:
    q.clock("2026-01-01 12:00")
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch = submit(q, 3, depends_on=[parent])
    looked(q)
    end(q, worker, parent)
    work(q, mine)
    q.clock("2026-02-01 12:00")
    for _ in range(3):
        assert [row for row in q("maintain") if row["error"]] == []
    for table in ("batch", "batch_count", "batch_slice", "row_outcome", "follow_up", "batch_leaving", *LIVE):
        assert q.sql(f"select * from pgqueue.{table}") == [], table
    with refused(q, "PQ002"):
        q("batch_status", id=batch)


def test_a_large_batch_is_let_go_in_steps(q: Caller) -> None:
    worker, mine = q.worker(), q.worker(QUEUE)
    parent = q.enqueue()
    batch, other = (
        q.sql(
            """select pgqueue.batch_submit_each('app', 'op', '{}', array_agg(n), array_agg(to_jsonb(n)),
                 slice_size => 1, depends_on => array[%s]::bigint[], hold => %s)
               from generate_series(1, 11000) n""",
            parent,
            hold,
        )[0][0]
        for hold in (False, True)
    )
    looked(q)
    end(q, worker, parent)
    assert q.sql("select count(*) from pgqueue.held where batch_id = %s", batch) == [(11000,)], "not in a settle"
    looked(q)
    assert (status(q, batch)["status"], status(q, other)["waits_for"]) == ("queued", ["release"])
    ((held,),) = q.sql("select count(*) from pgqueue.held where batch_id = %s", batch)
    assert held == 1000
    slice = q.sql("select max(job_id) from pgqueue.held where batch_id = %s", batch)[0][0]
    assert f"let go with its batch {batch}" in why(q, slice)
    assert len(take(q, mine, 100)) == 100
    assert q.value("batch_release", id=batch) == 11000
    looked(q)
    looked(q)
    assert q.sql("select count(*) filter (where batch_id = %s), count(*) from pgqueue.held", batch) == [(0, 11000)]
    assert q.sql("select * from pgqueue.batch_leaving") == []
    assert q.one("batch_abort", id=batch)["aborted"] == 11000
    q("batch_release", id=other)
    assert q.sql("select count(*) from pgqueue.held") == [(0,)]


@pytest.mark.parametrize("how", ["upkeep", "batch_abort"])
def test_a_large_batch_is_aborted_in_steps(q: Caller, how: str) -> None:
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 10_010, depends_on=[parent], hold=True, **flow(**BOTH))
    child = q.enqueue("child", queue="c", depends_on=[batch])
    looked(q)
    end(q, worker, parent, outcome="discard")
    assert counts(q, batch) == ("held", 0, 0, 0, 10_010)
    looked(q)
    assert counts(q, batch) == ("held", 0, 0, 10_000, 10)
    assert why(q, batch).endswith("upkeep does it in steps, 10 rows are left.")
    with refused(q, "PQ005", "being aborted"):
        append(q, batch, 1)
    assert q.value("batch_release", id=batch) == 10_010
    if how == "batch_abort":
        assert q.one("batch_abort", id=batch)["aborted"] == 10_010
    looked(q)
    assert counts(q, batch) == ("aborted", 0, 0, 10_010, 0)
    assert q.one("result", id=batch)["reason"] == "parent_failed"
    looked(q)
    assert q.state(child) == "cancelled"
    assert [row["kind"] for row in followers(q)] == ["bad"]
    assert idle(q)


def test_an_abort_of_a_batch_that_is_on_its_way(q: Caller) -> None:
    worker = q.worker()
    parent = q.enqueue()
    batch = submit(q, 10500, depends_on=[parent], slice_size=1)
    looked(q)
    end(q, worker, parent)
    looked(q)
    assert q.one("batch_abort", id=batch)["aborted"] == 10500
    looked(q)
    assert idle(q)
